//! Configuration files: lines of a directive's name and its words, in the format of `redis.conf`.
//!
//! A line is empty, a comment that begins with `#`, or words apart by white space; words may be in
//! quotes, as in inline commands. Lines may end with CR LF. The last line of a directive counts,
//! except of those that say something about one class of things in each line. `include FILE` reads
//! another file in its place, whose name may have wildcards and is relative to the folder in which
//! the process was started.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::directives::{self, BAD};
use super::{Config, path_of, wildcard};
use crate::resp::words;

/// Files within files: far more than anybody nests, and few enough that a file which includes
/// itself is found out at once.
const DEPTH_MAX: usize = 16;

/// The longest file, in bytes: a hundred times Redis's commented example. It keeps a slip (a
/// device, a log) from filling the memory.
const FILE_MAX_BYTES: u64 = 16 << 20;

/// What is wrong with a configuration.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault {
    /// A file cannot be had.
    File {
        /// Its path.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A line is wrong.
    Line {
        /// The file.
        source: String,
        /// The line's number, from 1.
        number: usize,
        /// The line.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::File { path, reason } => {
                write!(f, "cannot read the configuration file {}: {reason}", path.display())
            }
            Fault::Line { source, number, text, reason } => write!(
                f,
                "*** FATAL CONFIG FILE ERROR (FerrumKV {}) ***\n\
                 Reading the configuration file {source}, at line {number}\n\
                 >>> '{text}'\n\
                 {reason}",
                env!("CARGO_PKG_VERSION")
            ),
        }
    }
}

/// Puts what a file says into `config`.
///
/// # Errors
/// The first thing that is wrong.
pub fn read(config: &mut Config, path: &Path) -> Result<(), Fault> {
    read_within(config, path, 0)
}

/// Puts into `config` what a text says that came from `source`.
///
/// # Errors
/// The first thing that is wrong.
pub fn read_text(config: &mut Config, source: &str, text: &[u8]) -> Result<(), Fault> {
    read_lines(config, source, text, 0)
}

/// The bytes of a file.
///
/// # Errors
/// That it cannot be had, or is too long.
pub fn contents(path: &Path) -> Result<Vec<u8>, Fault> {
    let failed = |reason| Fault::File { path: path.to_owned(), reason };
    let file = File::open(path).map_err(|error| failed(error.to_string()))?;
    let mut text = Vec::new();
    let read = file.take(FILE_MAX_BYTES + 1).read_to_end(&mut text);
    read.map_err(|error| failed(error.to_string()))?;
    match text.len() as u64 > FILE_MAX_BYTES {
        true => Err(failed("it is longer than 16 MiB".to_owned())),
        false => Ok(text),
    }
}

fn read_within(config: &mut Config, path: &Path, depth: usize) -> Result<(), Fault> {
    read_lines(config, &path.to_string_lossy(), &contents(path)?, depth)
}

fn read_lines(config: &mut Config, source: &str, text: &[u8], depth: usize) -> Result<(), Fault> {
    for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
        let fault = |reason: String| {
            let text = shown(line);
            Fault::Line { source: source.to_owned(), number: index + 1, text, reason }
        };
        let words = match directive(line) {
            Ok(Some(words)) => words,
            Ok(None) => continue,
            Err(reason) => return Err(fault(reason)),
        };
        let [name, value @ ..] = words.as_slice() else {
            continue;
        };
        match name.as_slice() {
            b"include" => {
                let [pattern] = value else {
                    return Err(fault(BAD.to_owned()));
                };
                if depth == DEPTH_MAX {
                    return Err(fault(format!("more than {DEPTH_MAX} files within files")));
                }
                let pattern = path_of(pattern).ok_or_else(|| fault(BAD.to_owned()))?;
                let files = wildcard::expand(&config.include_folder.join(pattern));
                for file in files.map_err(|error| fault(error.to_string()))? {
                    // A file that cannot be had is a fault of this line.
                    read_within(config, &file, depth + 1).map_err(|inner| match inner {
                        Fault::File { .. } => fault(inner.to_string()),
                        line => line,
                    })?;
                }
            }
            name => apply(config, name, value).map_err(fault)?,
        }
    }
    Ok(())
}

/// The words of a line, the name of the directive in lower case; none for a line without any.
///
/// # Errors
/// That quotes do not match.
pub(super) fn directive(line: &[u8]) -> Result<Option<Vec<Vec<u8>>>, String> {
    let line = line.trim_ascii();
    if line.is_empty() || line.starts_with(b"#") {
        return Ok(None);
    }
    let mut words = words(line).map_err(|_| "Unbalanced quotes in configuration line")?;
    if let Some(name) = words.first_mut() {
        name.make_ascii_lowercase();
    }
    Ok((!words.is_empty()).then_some(words))
}

/// Directives that redis-server no longer has: they stand in old files and say nothing.
const GONE: [&str; 3] =
    ["list-max-ziplist-entries", "list-max-ziplist-value", "lua-replicate-commands"];

/// Whether there is a directive of this name, or was one.
pub fn is_known(name: &[u8]) -> bool {
    is_gone(name) || directives::find(name).is_some()
}

fn is_gone(name: &[u8]) -> bool {
    GONE.iter().any(|gone| gone.as_bytes().eq_ignore_ascii_case(name))
}

/// Puts one setting into `config`.
///
/// # Errors
/// What is wrong with it.
pub fn apply(config: &mut Config, name: &[u8], value: &[Vec<u8>]) -> Result<(), String> {
    if is_gone(name) && value.len() == 1 {
        return Ok(());
    }
    let (row, _) = directives::find(name).ok_or(BAD)?;
    row.read(config, value)
}

/// A line as a message shows it: without what nobody may see.
fn shown(line: &[u8]) -> String {
    let line = line.trim_ascii();
    let name = line.split(u8::is_ascii_whitespace).next().unwrap_or(line);
    match directives::is_secret(name) {
        true => format!("{} (not shown)", String::from_utf8_lossy(name)),
        false => String::from_utf8_lossy(line).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Config, Fault> {
        let mut config = Config::default();
        read_text(&mut config, "a file", text.as_bytes()).map(|()| config)
    }

    #[test]
    fn lines_are_directives_comments_or_nothing() {
        let config = read(
            "# a comment\r\n\r\n  PORT 7000 \r\n\tbind 1.2.3.4 -::1\r\ndir '/a b'\n\
             requirepass \"x\\x41\\\"\"\nmaxmemory 1gb\nmaxmemory 2gb\n   # another\n\
             client-output-buffer-limit pubsub 1mb 0 0\nclient-output-buffer-limit normal 2 1 3",
        )
        .unwrap();
        assert_eq!((config.port, config.max_memory_bytes), (7000, 2 << 30));
        assert_eq!(config.bind, ["1.2.3.4", "-::1"]);
        assert_eq!(config.dir, Path::new("/a b"));
        assert_eq!(config.require_pass.0, b"xA\"");
        let hard = config.client_output_buffer_limits.map(|limit| limit.hard_bytes);
        assert_eq!(hard, [2, 256 << 20, 1 << 20]);
        assert_eq!(directives::warnings(&config), [""; 0]);
    }

    #[test]
    fn a_fault_names_file_line_and_reason() {
        for (text, number, reason) in [
            ("port 1\nfoo bar", 2, BAD),
            ("port", 1, "wrong number of arguments"),
            ("\n\nport 1 2", 3, "wrong number of arguments"),
            ("port x", 1, "argument couldn't be parsed into an integer"),
            ("bind 'x", 1, "Unbalanced quotes in configuration line"),
            ("include", 1, BAD),
            ("daemonize maybe", 1, "argument must be 'yes' or 'no'"),
        ] {
            let Fault::Line { source, number: at, reason: said, .. } = read(text).unwrap_err()
            else {
                panic!("{text}: a line is at fault");
            };
            assert_eq!((source.as_str(), at, said.as_str()), ("a file", number, reason));
        }
        let said = read("port 1\nfoo  bar ").unwrap_err().to_string();
        assert!(said.contains("\nReading the configuration file a file, at line 2\n"), "{said}");
        assert!(said.contains("\n>>> 'foo  bar'\nBad directive"), "{said}");
        let said = read("requirepass my secret").unwrap_err().to_string();
        assert!(said.contains(">>> 'requirepass (not shown)'"), "{said}");
    }

    #[test]
    fn directives_of_old_files_say_nothing() {
        let old = "list-max-ziplist-entries 512\nLIST-max-ziplist-value 64\n\
                   lua-replicate-commands yes\nslaveof no one";
        assert_eq!(read(old).unwrap(), Config::default());
        assert!(read("list-max-ziplist-entries 1 2").is_err());
        assert!(read("rename-command a b c").unwrap_err().to_string().ends_with(BAD));
    }

    #[test]
    fn what_has_no_effect_is_warned_of_once_if_it_is_not_the_default() {
        let same = "hash-max-listpack-entries 512\nsave \"\"\ntls-port 0\nreplica-priority 100";
        assert_eq!(directives::warnings(&read(same).unwrap()), [""; 0]);
        let other = "hash-max-ziplist-entries 5\nhash-max-ziplist-entries 6\nsave 60 1\nsave 9 9\n\
                     user alice on >secret\nuser bob on\nreplicaof 1.2.3.4 6379\nloadmodule /x.so\n\
                     rename-command FLUSHALL \"\"";
        let warnings = directives::warnings(&read(other).unwrap());
        assert_eq!(warnings.len(), 6, "{warnings:?}");
        assert!(!warnings.iter().any(|warning| warning.contains("secret")), "{warnings:?}");
        let loud = warnings.iter().filter(|warning| warning.starts_with("WARNING: ")).count();
        assert_eq!(loud, 4, "{warnings:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        /// Whatever a file holds, it is read or a line of it is named.
        #[test]
        fn no_file_makes_the_reader_fail_otherwise(
            lines in prop::collection::vec(
                (
                    prop::sample::select(directives::all().map(|row| row.name).collect::<Vec<_>>()),
                    prop_oneof![
                        "[ -~]{0,20}",
                        Just("yes".to_owned()),
                        Just("-1".to_owned()),
                        Just("99999999999999999999".to_owned()),
                        Just("\"a\\x00b\"".to_owned()),
                        Just("1gb 2 3 4".to_owned()),
                        "\\PC{0,9}",
                    ],
                ),
                0..12,
            ),
            garbage in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let mut text = Vec::new();
            for (name, value) in &lines {
                text.extend(format!("{name} {value}\n").bytes());
            }
            for end in [&b""[..], &garbage] {
                let whole = [&text, end].concat();
                // No file of the machine is to be read by chance.
                if whole.windows(7).any(|part| part.eq_ignore_ascii_case(b"include")) {
                    continue;
                }
                let count = whole.split(|&byte| byte == b'\n').count();
                if let Err(fault) = read_text(&mut Config::default(), "x", &whole) {
                    let is_line = matches!(
                        &fault, Fault::Line { number, .. } if (1..=count).contains(number)
                    );
                    prop_assert!(is_line, "{}", fault);
                }
            }
        }
    }
}
