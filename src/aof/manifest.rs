//! Redis's list of the parts of a log, and how its parts become one file.
//!
//! Since version 7 redis-server keeps its log as a directory: a *base*, which a rewrite made, and
//! *increments*, written since; a manifest beside them says which files count. Each of its lines is
//! a row of keys and values, quoted where need be:
//!
//! ```text
//! file appendonly.aof.2.base.aof seq 2 type b
//! file appendonly.aof.2.incr.aof seq 2 type i
//! ```
//!
//! The type is `b` for the base (one at most), `i` for an increment (sequence numbers rise), `h`
//! for what is history and does not count. Lines that begin with `#` are comments. Unknown keys are
//! skipped, as Redis does for the sake of later versions.
//!
//! A server that is started on a manifest reads every part, and if all of them are plain commands
//! writes them one after the other into a file of the manifest's name without `.manifest`. Each
//! part begins in database 0, so a SELECT goes in front of each. From then on that file is the log.
//! The parts stay as they are. Only the last part may have a torn end, which is left out.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::chunk::Chunk;
use super::durable::{directory_of, private_file, sync_directory_of, with_suffix};
use super::error::Error;
use super::reader::{End, Known, Reader, Step, Torn};
use crate::resp::words;

/// What a manifest's name ends with.
const SUFFIX: &str = ".manifest";

/// The longest manifest, in bytes: some thousands of parts, where Redis's have a handful.
const MANIFEST_MAX_BYTES: u64 = 1 << 20;

/// Leads to the database that each part begins in.
const SELECT_0: &[u8] = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n";

/// What has been joined into a plain file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The manifest.
    pub manifest: PathBuf,
    /// Its parts, in order.
    pub parts: Vec<PathBuf>,
    /// The torn end of the last part, which was left out and is still in that part.
    pub left_out: Option<Torn>,
}

/// The file that the parts of this manifest are joined into; `None` if the name is no manifest's.
pub(super) fn plain_path(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let plain = name.strip_suffix(SUFFIX).filter(|plain| !plain.is_empty())?;
    Some(path.with_file_name(plain))
}

/// The files that a manifest lists, in the order in which they are to be replayed.
pub(super) fn parts(manifest: &Path) -> Result<Vec<PathBuf>, Error> {
    let file = File::open(manifest).map_err(Error::io("open the manifest", manifest))?;
    let mut text = Vec::new();
    let read = file.take(MANIFEST_MAX_BYTES + 1).read_to_end(&mut text);
    read.map_err(Error::io("read the manifest", manifest))?;
    let refused = |line, reason| Error::Manifest { path: manifest.to_owned(), line, reason };
    if text.len() as u64 > MANIFEST_MAX_BYTES {
        return Err(refused(0, "is longer than 1 MiB"));
    }
    let names = names(&text).map_err(|(line, reason)| refused(line, reason))?;
    Ok(names.into_iter().map(|name| directory_of(manifest).join(name)).collect())
}

/// A line of a manifest.
#[derive(Debug, Default)]
struct Entry {
    file: Option<String>,
    sequence: Option<u64>,
    kind: Option<u8>,
}

/// The names of base and increments in order; or the line at fault (0 for the whole) and why.
fn names(text: &[u8]) -> Result<Vec<String>, (usize, &'static str)> {
    let mut base = None;
    let mut increments = Vec::new();
    let mut highest = 0;
    // What follows the last newline is a line only if there is something.
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    for (number, line) in text.split(|&byte| byte == b'\n').enumerate() {
        let refused = |reason| (number + 1, reason);
        if line.starts_with(b"#") {
            continue;
        }
        let entry = entry(line).map_err(refused)?;
        let (Some(file), Some(sequence), Some(kind)) = (entry.file, entry.sequence, entry.kind)
        else {
            return Err(refused("'file', 'seq' and 'type' expected"));
        };
        match kind {
            b'b' if base.is_some() => return Err(refused("a second base")),
            b'b' => base = Some(file),
            b'i' if sequence <= highest => {
                return Err(refused("the sequence numbers of the increments do not rise"));
            }
            b'i' => {
                highest = sequence;
                increments.push(file);
            }
            b'h' => {}
            _ => return Err(refused("the type is none of b, i and h")),
        }
    }
    let names: Vec<_> = base.into_iter().chain(increments).collect();
    match names.is_empty() {
        true => Err((0, "lists no file")),
        false => Ok(names),
    }
}

fn entry(line: &[u8]) -> Result<Entry, &'static str> {
    let words = words(line).map_err(|_| "a quote is not closed")?;
    if words.len() % 2 == 1 {
        return Err("a value is missing after the last word");
    }
    let mut entry = Entry::default();
    for pair in words.chunks_exact(2) {
        let value = str::from_utf8(&pair[1]).map_err(|_| "not UTF-8 text")?;
        match pair[0].to_ascii_lowercase().as_slice() {
            b"file" => entry.file = Some(file_name(value)?.to_owned()),
            b"seq" => {
                entry.sequence = Some(value.parse().map_err(|_| "'seq' is not a whole number")?);
            }
            b"type" => match value.as_bytes() {
                [kind] => entry.kind = Some(*kind),
                _ => return Err("the type is none of b, i and h"),
            },
            _ => {}
        }
    }
    Ok(entry)
}

/// A name that leads nowhere but into the manifest's directory.
fn file_name(name: &str) -> Result<&str, &'static str> {
    match Path::new(name).file_name() {
        Some(last) if last == name => Ok(name),
        _ => Err("the file is not a mere name in the directory of the manifest"),
    }
}

/// Joins the parts of a manifest into the file `plain`, which is there in full, and on the disk,
/// or not at all. The caller has the lock of `plain`.
pub(super) fn join(manifest: &Path, plain: &Path, known: Known) -> Result<Joined, Error> {
    // Also a link that leads nowhere is in the way.
    if plain.symlink_metadata().is_ok() {
        let (manifest, path) = (manifest.to_owned(), plain.to_owned());
        return Err(Error::AlreadyJoined { manifest, path });
    }
    let parts = parts(manifest)?;
    let mut left_out = None;
    let mut lengths = Vec::with_capacity(parts.len());
    for (index, part) in parts.iter().enumerate() {
        let mut reader = Reader::open(part, known)?;
        let end = read_through(&mut reader)?;
        if let End::Torn(torn) = end {
            if index + 1 < parts.len() {
                let Torn { offset, bytes, .. } = torn;
                return Err(Error::TornPart { path: part.clone(), offset, bytes });
            }
            left_out = Some(torn);
        }
        lengths.push(reader.offset());
    }
    let unfinished = with_suffix(plain, ".joining");
    if let Err(error) = write_joined(&unfinished, parts.iter().zip(lengths)) {
        // On a full disk the room is needed; the error to report is the first one.
        let _ = std::fs::remove_file(&unfinished);
        return Err(error);
    }
    std::fs::rename(&unfinished, plain).map_err(Error::io("rename to the log", plain))?;
    sync_directory_of(plain)?;
    Ok(Joined { manifest: manifest.to_owned(), parts, left_out })
}

/// Reads to the end.
fn read_through(reader: &mut Reader) -> Result<End, Error> {
    let mut chunk = Chunk::new();
    loop {
        if let Step::End(end) = reader.read(&mut chunk)? {
            return Ok(end);
        }
    }
}

fn write_joined<'a>(
    target: &Path,
    parts: impl Iterator<Item = (&'a PathBuf, u64)>,
) -> Result<(), Error> {
    let created = private_file().write(true).create(true).truncate(true).open(target);
    let mut joined = created.map_err(Error::io("create", target))?;
    for (part, length) in parts {
        let opened = File::open(part).map_err(Error::io("open", part))?;
        let written = joined.write_all(SELECT_0).and_then(|()| {
            match io::copy(&mut opened.take(length), &mut joined)? == length {
                true => Ok(()),
                false => Err(io::ErrorKind::UnexpectedEof.into()),
            }
        });
        written.map_err(Error::io("copy the parts of the log to", target))?;
    }
    joined.sync_all().map_err(Error::io("sync", target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_comes_first_then_the_increments_and_no_history() {
        let text = b"file a.2.incr.aof seq 2 type i\n# a comment\nfile old seq 1 type h\n\
                     type b seq 3 file \"a b\\x2e3\"\nfile 'c d' seq 7 type i start_offset 5\n";
        assert_eq!(names(text), Ok(vec!["a b.3".into(), "a.2.incr.aof".into(), "c d".into()]));
    }

    #[test]
    fn a_wrong_line_is_named() {
        for (text, line) in [
            ("", 1),
            ("# nothing\n", 0),
            ("file a seq 1 type h\n", 0),
            ("file a seq 1 type b\n\n", 2),
            ("file a seq 1 type b\nfile b seq 2 type b\n", 2),
            ("file a seq 2 type i\nfile b seq 2 type i\n", 2),
            ("file a seq 1\n", 1),
            ("file a seq 1 type\n", 1),
            ("file a seq x type b\n", 1),
            ("file a seq 1 type x\n", 1),
            ("file ../a seq 1 type b\n", 1),
            ("file /a seq 1 type b\n", 1),
            ("file .. seq 1 type b\n", 1),
            ("file '' seq 1 type b\n", 1),
            ("file 'a seq 1 type b\n", 1),
        ] {
            assert_eq!(names(text.as_bytes()).map_err(|(line, _)| line), Err(line), "{text}");
        }
    }

    #[test]
    fn only_a_name_with_the_suffix_is_a_manifest() {
        assert_eq!(plain_path(Path::new("d/a.aof.manifest")), Some(PathBuf::from("d/a.aof")));
        assert_eq!(plain_path(Path::new("d/a.aof")), None);
        assert_eq!(plain_path(Path::new("d/.manifest")), None);
    }
}
