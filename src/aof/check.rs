//! What is in a log, and whether it is whole: the work of `ferrum-kv check`.
//!
//! [`examine`] reads a log to its end and counts; [`check`] prints that, and cuts a torn end when
//! it may. It never cuts a corrupt log: what follows the damage may be most of the data, and only
//! a person can decide what to do without.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use super::chunk::Chunk;
use super::error::{Corrupt, Error};
use super::lock::Lock;
use super::manifest;
use super::reader::{End, Known, Reader, Step, Torn, TornPart};
use super::repair::cut;
use crate::resp::Args;

/// What stands in the whole commands of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// The length of the file, in bytes.
    pub size: u64,
    /// Its commands, MULTI and EXEC included.
    pub commands: u64,
    /// Its blocks of MULTI and EXEC.
    pub blocks: u64,
    /// Commands that give a key a deadline.
    pub deadlines: u64,
    /// Commands by name, in capitals; without MULTI and EXEC.
    pub names: BTreeMap<String, u64>,
    /// Commands by the database they are for; without MULTI, EXEC and SELECT.
    pub databases: BTreeMap<u64, u64>,
}

/// Whether a log is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It ends with a whole command.
    Whole,
    /// Its end is unfinished.
    Torn(Torn),
    /// It is damaged, or not such a log.
    Corrupt(Corrupt),
}

/// The result of [`examine`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// What is in it, up to its end or the damage.
    pub contents: Contents,
    /// Whether it is whole.
    pub verdict: Verdict,
}

/// Reads the log at `path` to its end, or to the first damage.
///
/// # Errors
/// [`Error::RdbPreamble`]; [`Error::IsDirectory`]; [`Error::Io`]. Corruption is a verdict.
pub fn examine(path: &Path, known: Known) -> Result<Checked, Error> {
    let mut reader = Reader::open(path, known)?;
    let mut chunk = Chunk::new();
    let mut contents = Contents { size: reader.size(), ..Contents::default() };
    let mut database = 0;
    let verdict = loop {
        match reader.read(&mut chunk) {
            Ok(Step::Commands) => {}
            Ok(Step::End(End::Clean)) => break Verdict::Whole,
            Ok(Step::End(End::Torn(torn))) => break Verdict::Torn(torn),
            Err(Error::Corrupt(corrupt)) => break Verdict::Corrupt(corrupt),
            Err(error) => return Err(error),
        }
        for index in 0..chunk.len() {
            contents.count(&chunk.args(index), &mut database);
        }
    };
    contents.commands = reader.commands();
    contents.blocks = reader.blocks();
    Ok(Checked { contents, verdict })
}

impl Contents {
    fn count(&mut self, args: &Args<'_>, database: &mut u64) {
        let name = args.name().to_ascii_uppercase().escape_ascii().to_string();
        if name == "SELECT" && args.len() == 2 {
            let number = str::from_utf8(args.get(1)).ok().and_then(|text| text.parse().ok());
            // What is no number is for the one who executes it to refuse.
            *database = number.unwrap_or(*database);
        } else {
            *self.databases.entry(*database).or_default() += 1;
        }
        self.deadlines += u64::from(gives_deadline(&name, args));
        *self.names.entry(name).or_default() += 1;
    }
}

/// Whether a command gives its key a deadline, as far as can be told without executing it.
fn gives_deadline(name: &str, args: &Args<'_>) -> bool {
    let has_option = |from: usize| {
        let options: [&[u8]; 4] = [b"EX", b"PX", b"EXAT", b"PXAT"];
        args.iter().skip(from).any(|arg| options.iter().any(|o| arg.eq_ignore_ascii_case(o)))
    };
    match name {
        "EXPIRE" | "PEXPIRE" | "EXPIREAT" | "PEXPIREAT" | "SETEX" | "PSETEX" => true,
        "SET" => has_option(3),
        "GETEX" => has_option(2),
        _ => false,
    }
}

/// Whether to ask before a torn end is cut.
pub enum Fix<'a> {
    /// Cut nothing.
    No,
    /// Cut if this question is answered with yes.
    Ask(&'a mut dyn FnMut(&str) -> bool),
    /// Cut.
    Yes,
}

/// Examines the log at `path`, or each part of the manifest at `path`, writes what it holds and
/// the verdict to `out`, and cuts a torn end if `fix` says so. Returns whether all is well now.
///
/// # Errors
/// Those of [`examine`] and [`cut`]; [`Error::Locked`] if there is to be a cut and a server has
/// the log; [`Error::Io`] when `out` cannot be written to.
pub fn check(path: &Path, fix: Fix<'_>, known: Known, out: &mut dyn Write) -> Result<bool, Error> {
    if manifest::plain_path(path).is_none() {
        return check_file(path, fix, known, out);
    }
    let mut is_well = true;
    for part in manifest::parts(path)? {
        is_well &= check_file(&part, Fix::No, known, out)?;
    }
    if !is_well && !matches!(fix, Fix::No) {
        print(out, format_args!("nothing is cut through a manifest: name the part itself\n"))?;
    }
    Ok(is_well)
}

fn check_file(path: &Path, fix: Fix<'_>, known: Known, out: &mut dyn Write) -> Result<bool, Error> {
    let shown = path.display();
    // The lock comes before the reading: what a server appends meanwhile must not be cut.
    let _lock = match (&fix, path.canonicalize()) {
        (Fix::No, _) => None,
        (_, Ok(resolved)) => Some(Lock::take(&resolved)?),
        (_, Err(source)) => return Err(Error::io("open", path)(source)),
    };
    let Checked { contents, verdict } = examine(path, known)?;
    print(out, format_args!("{shown}\n{contents}"))?;
    let torn = match verdict {
        Verdict::Whole => {
            print(out, format_args!("ok\n"))?;
            return Ok(true);
        }
        Verdict::Corrupt(corrupt) => {
            let valid = corrupt.valid;
            let advice = format_args!(
                "{corrupt}\n\
                 Nothing is cut in the middle of a log. All before byte {valid} can be replayed; \
                 what follows is lost if it is cut there. If no copy of the file is left, that is \
                 done so: cp '{shown}' '{shown}.damaged' && truncate -s {valid} '{shown}'\n"
            );
            print(out, advice)?;
            return Ok(false);
        }
        Verdict::Torn(torn) => torn,
    };
    let Torn { offset, bytes, .. } = torn;
    let what = torn.part;
    print(out, format_args!("torn tail: {bytes} bytes after offset {offset} ({what})"))?;
    let question = format!("Cut {bytes} bytes off {shown}? They are kept beside it. [y/N] ");
    let is_to_cut = match fix {
        Fix::No => {
            print(out, format_args!(", can be cut with --fix\n"))?;
            return Ok(false);
        }
        Fix::Ask(ask) => {
            print(out, format_args!("\n"))?;
            ask(&question)
        }
        Fix::Yes => {
            print(out, format_args!("\n"))?;
            true
        }
    };
    if !is_to_cut {
        print(out, format_args!("nothing cut\n"))?;
        return Ok(false);
    }
    let done = cut(path, offset)?;
    print(out, format_args!("cut {} bytes", done.bytes))?;
    if let Some(kept) = done.kept {
        print(out, format_args!(", kept in {}", kept.display()))?;
    }
    print(out, format_args!("\nok\n"))?;
    Ok(true)
}

fn print(out: &mut dyn Write, text: fmt::Arguments<'_>) -> Result<(), Error> {
    let written = out.write_fmt(text).and_then(|()| out.flush());
    match written {
        // Whoever closed the pipe has seen enough, and the verdict is in the exit code.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(Error::io("write to", Path::new("standard output"))),
    }
}

impl fmt::Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  bytes      {}", self.size)?;
        writeln!(f, "  commands   {}", self.commands)?;
        for (name, count) in &self.names {
            writeln!(f, "    {name} {count}")?;
        }
        writeln!(f, "  blocks     {} (MULTI and EXEC)", self.blocks)?;
        writeln!(f, "  deadlines  {} commands set one", self.deadlines)?;
        for (number, count) in &self.databases {
            writeln!(f, "  database   {number}: {count} commands")?;
        }
        Ok(())
    }
}

impl fmt::Display for TornPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TornPart::Command => write!(f, "an unfinished command"),
            TornPart::Block { commands } => {
                write!(f, "MULTI without EXEC, with {commands} whole commands")
            }
            TornPart::Zeros => write!(f, "NUL bytes to the end of the file"),
        }
    }
}
