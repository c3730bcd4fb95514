//! The command line, read as redis-server reads it: `ferrum-kv [FILE] [--directive value ...]`.
//!
//! Every directive of the configuration file is an option, with as many words as it takes there:
//! `--save ""`, `--client-output-buffer-limit pubsub 32mb 8mb 60`, also `--maxmemory=1gb`. Options
//! override the file, later ones earlier ones. `-` in the place of the file, or at the end, reads
//! such a file from standard input. No flag has a default of its own: what is not given leaves the
//! [`Config`] as it was.
//!
//! Tasks other than a server (`check`, `ping`, `completions`, `man`) are subcommands.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use clap_complete::Shell;

use super::{Address, Config, directives, file, help};
use crate::resp::words;

/// The end of each message about an option.
const HINT: &str = "(--help shows the options)";

/// Short names of directives, older than this server's configuration files.
const SYNONYMS: [(&str, &str); 1] = [("client-timeout", "timeout")];

/// What can be asked for instead of a server.
#[derive(Debug, Subcommand)]
pub(super) enum Task {
    /// Verify a log and print what is in it; exit code 0 if it is whole
    Check(Check),
    /// Print what a shell needs to complete this command line
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page
    Man,
    /// Ask a server whether it serves; exit code 0 if it does
    Ping(Ping),
}

/// Which server to ask. A password comes from the environment variable REDISCLI_AUTH.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Ping {
    /// Its address
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:6380")]
    pub addr: Address,

    /// How long to wait for its answer
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub timeout: u64,
}

/// What to check, and what may be done to it.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Check {
    /// The log, or the manifest of a log of redis-server
    #[arg(value_name = "FILE")]
    pub path: PathBuf,

    /// Cut off a torn end after asking; what is cut is kept in FILE.torn-SECONDS
    #[arg(long)]
    pub fix: bool,

    /// Do not ask
    #[arg(long, requires = "fix")]
    pub yes: bool,
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Request {
    /// Run a server with these settings.
    Serve(Box<Start>),
    /// Verify a log.
    Check(Check),
    /// Ask a server whether it serves.
    Ping(Ping),
    /// Print this text (help, version, what a shell or `man` needs) and end well.
    Show(Vec<u8>),
}

/// The settings of a server to start.
#[derive(Debug, Default, PartialEq)]
pub struct Start {
    /// The settings.
    pub config: Config,
    /// What standard input held, if that was asked for: it can be read only once.
    pub standard_input: Option<Vec<u8>>,
}

/// Reads the command line; `arguments` begins with the program's name.
///
/// # Errors
/// What to tell the operator: one line for an option, several for a line of a file, which is quoted
/// as redis-server does.
pub fn parse<A: Into<OsString> + Clone>(
    arguments: impl IntoIterator<Item = A>,
) -> Result<Request, String> {
    let arguments: Vec<OsString> = arguments.into_iter().skip(1).map(Into::into).collect();
    let is_task = |word: &OsString| help::TASKS.iter().any(|task| *task == word);
    if arguments.first().is_some_and(is_task) {
        return task(&arguments);
    }
    let mut is_value = false;
    for word in &arguments {
        match word.to_str() {
            _ if is_value => {}
            Some("--help" | "-h") => return Ok(Request::Show(help::text().into())),
            Some("--version" | "-v" | "-V") => return Ok(Request::Show(help::version().into())),
            _ => {}
        }
        is_value = !is_value && name_of(word).is_some_and(|(name, words)| needs(&name, &words));
    }
    let given = Given::of(&arguments).map_err(|reason| format!("ferrum-kv: {reason} {HINT}"))?;
    given.start().map(|start| Request::Serve(Box::new(start)))
}

/// Reads a task and what is asked of it.
fn task(arguments: &[OsString]) -> Result<Request, String> {
    let program = OsString::from("ferrum-kv");
    let matches = help::command().try_get_matches_from([&[program], arguments].concat());
    let task =
        matches.and_then(|matches| <Task as clap::FromArgMatches>::from_arg_matches(&matches));
    match task {
        Ok(Task::Check(check)) => Ok(Request::Check(check)),
        Ok(Task::Ping(ping)) => Ok(Request::Ping(ping)),
        Ok(Task::Completions { shell }) => Ok(Request::Show(help::completions(shell))),
        Ok(Task::Man) => Ok(Request::Show(help::manual())),
        Err(error) if !error.use_stderr() => Ok(Request::Show(error.to_string().into())),
        Err(error) => {
            // The first line says what is wrong; the rest repeats the usage.
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            let line = line.strip_prefix("error: ").unwrap_or(line);
            Err(format!("ferrum-kv: {line} {HINT}"))
        }
    }
}

/// A command line taken apart.
#[derive(Debug, Default)]
struct Given {
    file: Option<PathBuf>,
    reads_standard_input: bool,
    options: Vec<GivenOption>,
}

#[derive(Debug)]
struct GivenOption {
    /// As it was written, without `--`.
    name: String,
    words: Vec<Vec<u8>>,
}

impl Given {
    fn of(arguments: &[OsString]) -> Result<Given, String> {
        let mut given = Given::default();
        let mut words = arguments.iter().peekable();
        if let Some(first) = words.next_if(|word| name_of(word).is_none()) {
            given.take_file(first)?;
        }
        while let Some(word) = words.next() {
            if word == "-" && words.peek().is_none() {
                given.reads_standard_input = true;
                continue;
            }
            let (name, first) = name_of(word).ok_or_else(|| unexpected(word))?;
            let mut option = GivenOption { name, words: first };
            let is_standard_input =
                |word: &OsString, after: Option<&&OsString>| word == "-" && after.is_none();
            while let Some(word) = words.peek().copied() {
                let mut ahead = words.clone();
                ahead.next();
                let is_value = needs(&option.name, &option.words);
                if is_standard_input(word, ahead.peek()) || !is_value && name_of(word).is_some() {
                    break;
                }
                option.words.push(word.as_bytes().to_vec());
                words.next();
            }
            if option.name == SAVE && option.words.is_empty() {
                // As in Redis: what a script makes of an empty list.
                option.words.push(Vec::new());
            }
            match (option.name.as_str(), option.words.as_slice()) {
                ("config", [path]) => given.take_file(OsStr::from_bytes(path))?,
                ("config", _) => return Err("--config needs the name of a file".to_owned()),
                _ => given.options.push(option),
            }
        }
        Ok(given)
    }

    fn take_file(&mut self, path: &OsStr) -> Result<(), String> {
        if path == "-" {
            self.reads_standard_input = true;
        } else if path.is_empty() || path.as_bytes().starts_with(b"-") || self.file.is_some() {
            return Err(unexpected(path));
        } else {
            self.file = Some(path.into());
        }
        Ok(())
    }

    /// The settings: of the file, then those of standard input, then the options.
    fn start(self) -> Result<Start, String> {
        let mut start = Start::default();
        let config = &mut start.config;
        config.include_folder = std::env::current_dir().unwrap_or_default();
        if let Some(path) = self.file {
            file::read(config, &path).map_err(|fault| match fault {
                file::Fault::File { .. } => format!("ferrum-kv: {fault}"),
                fault => fault.to_string(),
            })?;
            // Fails only for an empty path, which is no file.
            config.config_file = std::path::absolute(path).ok();
        }
        if self.reads_standard_input {
            let mut text = Vec::new();
            let read = std::io::stdin().read_to_end(&mut text);
            read.map_err(|error| format!("ferrum-kv: cannot read standard input: {error}"))?;
            let read = file::read_text(config, "of standard input", &text);
            read.map_err(|fault| fault.to_string())?;
            start.standard_input = Some(text);
        }
        for GivenOption { name, words } in self.options {
            put(&mut start.config, &name, &words).map_err(|reason| {
                let value = match directives::is_secret(name.as_bytes()) {
                    true => " (not shown)".to_owned(),
                    false => words.iter().map(|word| format!(" {}", lossy(word))).collect(),
                };
                format!("ferrum-kv: --{name}{value}: {reason} {HINT}")
            })?;
        }
        Ok(start)
    }
}

/// The one directive that may stand without a value.
const SAVE: &str = "save";

/// Whether the next word is a value of this option, whatever it looks like: it may be a password
/// that begins with `--`. Of `--save` it is none if it looks like an option.
fn needs(name: &str, words: &[Vec<u8>]) -> bool {
    words.is_empty() && name != SAVE
}

/// The name of an option, and the values in the same word, behind a `=` or white space; none if the
/// word is no option.
fn name_of(word: &OsStr) -> Option<(String, Vec<Vec<u8>>)> {
    let rest = word.as_bytes().strip_prefix(b"--")?;
    let is_end = |byte: &u8| *byte == b'=' || byte.is_ascii_whitespace();
    let end = rest.iter().position(is_end).unwrap_or(rest.len());
    let (name, value) = rest.split_at(end);
    let values = match value {
        [] => Vec::new(),
        [b'=', value @ ..] => vec![value.to_vec()],
        line => words(line).ok()?,
    };
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
    let name = String::from_utf8(name.to_ascii_lowercase()).ok();
    name.filter(|name| name.bytes().all(|byte| is_name(&byte))).map(|name| (name, values))
}

fn unexpected(word: &OsStr) -> String {
    format!("unexpected argument '{}'", lossy(word.as_bytes()))
}

fn lossy(word: &[u8]) -> String {
    OsString::from_vec(word.to_vec()).to_string_lossy().into_owned()
}

/// Puts what an option says into `config`.
fn put(config: &mut Config, name: &str, words: &[Vec<u8>]) -> Result<(), String> {
    if name == help::ADDRESS {
        let [word] = words else {
            return Err("one HOST:PORT is expected".to_owned());
        };
        let Address { host, port } = lossy(word).parse()?;
        config.bind = vec![host];
        config.port = port;
        return Ok(());
    }
    let synonym = SYNONYMS.iter().find(|(short, _)| *short == name);
    let name = synonym.map_or(name, |(_, name)| name);
    if !file::is_known(name.as_bytes()) {
        return Err("there is no such option".to_owned());
    }
    file::apply(config, name.as_bytes(), words)
}

#[cfg(test)]
mod tests;
