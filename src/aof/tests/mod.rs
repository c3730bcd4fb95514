//! The log on disk, tested on real files.

mod files;
mod reading;
mod reference;

use std::fmt;
use std::path::{Path, PathBuf};
use std::process;

use super::{Chunk, Corrupt, End, Error, Place, Reader, Reason, Step};
use crate::sync::plain::{AtomicU64, Ordering};

/// A directory that is removed at the end of its test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ferrum-kv-aof-{}-{number}", process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a new directory");
        // As `open` shows it.
        Scratch(path.canonicalize().expect("it is there"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A file with these contents.
    fn file(&self, name: &str, contents: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, contents).expect("a file");
        path
    }

    /// The names in the directory, sorted.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).expect("a directory");
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("one").file_name();
        let mut names: Vec<_> =
            entries.map(|entry| name(entry).to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The commands of these tests.
fn known(name: &[u8]) -> bool {
    let names: [&[u8]; 6] = [b"SET", b"DEL", b"SELECT", b"INCRBY", b"APPEND", b"PEXPIREAT"];
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// One command as it stands in a log.
fn encoded(args: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        bytes.extend(format!("${}\r\n", arg.len()).bytes());
        bytes.extend_from_slice(arg);
        bytes.extend(b"\r\n");
    }
    bytes
}

/// The command of these words.
fn command(words: &str) -> Vec<u8> {
    let args: Vec<_> = words.split(' ').map(str::as_bytes).collect();
    encoded(&args)
}

/// The commands of these lines, one after the other.
fn log(lines: &[&str]) -> Vec<u8> {
    lines.iter().flat_map(|line| command(line)).collect()
}

/// All that a reader gives out.
#[derive(PartialEq)]
struct Outcome {
    commands: Vec<(Place, Vec<Vec<u8>>)>,
    blocks: u64,
    end: Result<End, Wrong>,
}

/// What is known of a corrupt log, its path apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wrong {
    offset: u64,
    command: u64,
    valid: u64,
    reason: Reason,
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, args) in &self.commands {
            let args: Vec<_> = args.iter().map(|arg| arg.escape_ascii().to_string()).collect();
            writeln!(f, "{} @{}: {}", place.command, place.offset, args.join(" "))?;
        }
        write!(f, "{} blocks, {:?}", self.blocks, self.end)
    }
}

/// Reads a file to its end.
fn outcome(path: &Path, chunk_bytes: usize) -> Result<Outcome, Error> {
    let mut reader = Reader::open(path, known)?.with_chunk_bytes(chunk_bytes);
    let mut chunk = Chunk::new();
    let mut commands = Vec::new();
    let end = loop {
        match reader.read(&mut chunk) {
            Ok(Step::Commands) => {
                assert_eq!(chunk.end(), reader.offset());
                for index in 0..chunk.len() {
                    let args = chunk.args(index).iter().map(<[u8]>::to_vec).collect();
                    commands.push((chunk.place(index), args));
                }
            }
            Ok(Step::End(end)) => {
                assert!(chunk.is_empty());
                break Ok(end);
            }
            Err(Error::Corrupt(Corrupt { offset, command, valid, reason, .. })) => {
                assert!(matches!(reader.read(&mut chunk), Err(Error::Corrupt(_))), "it stays");
                break Err(Wrong { offset, command, valid, reason });
            }
            Err(error) => return Err(error),
        }
    };
    Ok(Outcome { commands, blocks: reader.blocks(), end })
}
