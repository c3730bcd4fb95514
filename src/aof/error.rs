//! What can go wrong with a log, one variant per failure, each worded for the operator: one line
//! that names the file and says what to do.

use super::writer::WriteError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// How to make a file of Redis's that holds an RDB image one of plain commands.
const CONVERT: &str = "convert it with the redis-server that wrote it: 'redis-cli CONFIG SET \
                       aof-use-rdb-preamble no', then 'redis-cli BGREWRITEAOF', and wait until \
                       'redis-cli INFO persistence' says aof_rewrite_in_progress:0";

/// A failure with a log.
#[derive(Debug)]
pub enum Error {
    /// The operating system refused something.
    Io {
        /// What was attempted, as in "cannot ... the file".
        attempt: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why it was refused.
        source: io::Error,
    },
    /// The writer has failed.
    Writer(WriteError),
    /// The log is a directory, as Redis's `appenddirname` is.
    IsDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// Another process has the log.
    Locked {
        /// The log.
        path: PathBuf,
        /// The file that is locked in its stead.
        lock: PathBuf,
        /// The process that has it, where it said so.
        process: Option<u32>,
    },
    /// The log has a byte that no valid log has in its place.
    Corrupt(Corrupt),
    /// The file begins with an RDB image, or is one.
    RdbPreamble {
        /// The file.
        path: PathBuf,
    },
    /// A line of a manifest is not understood.
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// The line, counted from 1; 0 for the whole.
        line: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// The file that the parts of a manifest would be joined into exists.
    AlreadyJoined {
        /// The manifest.
        manifest: PathBuf,
        /// The file in the way.
        path: PathBuf,
    },
    /// A part of a manifest that is not the last one has a torn end.
    TornPart {
        /// The part.
        path: PathBuf,
        /// Where its torn end begins.
        offset: u64,
        /// The length of the torn end.
        bytes: u64,
    },
    /// The place to cut lies beyond the end of the file.
    CutBeyondEnd {
        /// The file.
        path: PathBuf,
        /// The place to cut.
        offset: u64,
        /// The length of the file.
        size: u64,
    },
}

/// Where a log is corrupt, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corrupt {
    /// The log.
    pub path: PathBuf,
    /// The byte that cannot be where it is, counted from 0.
    pub offset: u64,
    /// The command it belongs to, counted from 1; MULTI and EXEC count.
    pub command: u64,
    /// The end of what is valid: before the command, or before the block of MULTI it stands in.
    pub valid: u64,
    /// What is wrong.
    pub reason: Reason,
    /// For [`Reason::UnknownCommand`] the beginning of the name, escaped; empty for others.
    pub name: String,
}

/// What is wrong with a byte of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Neither `*` nor `#` begins it.
    NotACommand,
    /// The line after `*` is no number from 1 to 2,147,483,647.
    Count,
    /// Not `$` where an argument must begin.
    NotAnArgument,
    /// The line after `$` is no number from 0 to 512 MiB.
    Length,
    /// No line end after the bytes of an argument.
    ArgumentEnd,
    /// The command is longer than 2 GiB.
    CommandTooLong,
    /// An annotation holds a NUL byte or is longer than 1,024 bytes.
    Annotation,
    /// MULTI inside a block.
    NestedMulti,
    /// EXEC outside a block.
    ExecWithoutMulti,
    /// MULTI or EXEC with arguments.
    BlockArguments,
    /// The name is no command of this server that changes keys.
    UnknownCommand,
    /// The file ends inside the command, yet whole commands follow its beginning.
    HoldsCommands,
}

impl Error {
    /// For `map_err`: an attempt on a path that the operating system refused.
    pub(super) fn io(attempt: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::Io { attempt, path, source }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::NotACommand => "'*' or '#' expected where a command begins",
            Reason::Count => "the number of arguments is not one from 1 to 2147483647",
            Reason::NotAnArgument => "'$' expected where an argument begins",
            Reason::Length => "the length of an argument is not one from 0 to 536870912",
            Reason::ArgumentEnd => "no line end where an argument ends",
            Reason::CommandTooLong => "the command is longer than 2 GiB",
            Reason::Annotation => "the annotation has no end within 1024 bytes",
            Reason::NestedMulti => "MULTI inside a block that MULTI has begun",
            Reason::ExecWithoutMulti => "EXEC without MULTI",
            Reason::BlockArguments => "MULTI and EXEC have no arguments",
            Reason::UnknownCommand => "the name is no command of this server that changes keys",
            Reason::HoldsCommands => {
                "the file ends inside this command, but whole commands follow its beginning, so \
                 its count or one of its lengths is damaged"
            }
        })
    }
}

impl fmt::Display for Corrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "corrupt at byte {}, command {}: {}", self.offset, self.command, self.reason)?;
        match self.reason {
            Reason::UnknownCommand => write!(f, " ('{}')", self.name),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io { attempt, path, source } => {
                write!(f, "cannot {attempt} {}: {source}", path.display())
            }
            Error::Writer(error) => write!(f, "{error}"),
            Error::IsDirectory { path } => write!(
                f,
                "the log {} is a directory: name a file, or the file ending in '.manifest' in a \
                 directory of redis-server",
                path.display()
            ),
            Error::Locked { path, lock, process } => {
                write!(f, "another server uses the log {}", path.display())?;
                if let Some(process) = process {
                    write!(f, " (process {process})")?;
                }
                write!(f, ": {} is locked; stop it first", lock.display())
            }
            Error::Corrupt(corrupt) => {
                let path = corrupt.path.display();
                write!(
                    f,
                    "the log {path} is {corrupt}; restore a copy, or see 'ferrum-kv check {path}'"
                )
            }
            Error::RdbPreamble { path } => {
                write!(f, "{} begins with an RDB image: {CONVERT}", path.display())
            }
            Error::Manifest { path, line: 0, reason } => {
                write!(f, "the manifest {} {reason}", path.display())
            }
            Error::Manifest { path, line, reason } => {
                write!(f, "the manifest {}, line {line}: {reason}", path.display())
            }
            Error::AlreadyJoined { manifest, path } => write!(
                f,
                "the parts of {} would be joined into {}, which exists: start with that file \
                 (--aof-path {}) if it was made so before, or move it away",
                manifest.display(),
                path.display(),
                path.display()
            ),
            Error::TornPart { path, offset, bytes } => write!(
                f,
                "{} is not the last part of its manifest, yet ends unfinished ({bytes} bytes after \
                 offset {offset}): cut it with 'ferrum-kv check {} --fix' if that may be lost",
                path.display(),
                path.display()
            ),
            Error::CutBeyondEnd { path, offset, size } => {
                write!(f, "cannot cut {} at {offset}: it has {size} bytes", path.display())
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source),
            Error::Writer(error) => error.source(),
            Error::IsDirectory { .. }
            | Error::Locked { .. }
            | Error::Corrupt(_)
            | Error::RdbPreamble { .. }
            | Error::Manifest { .. }
            | Error::AlreadyJoined { .. }
            | Error::TornPart { .. }
            | Error::CutBeyondEnd { .. } => None,
        }
    }
}
