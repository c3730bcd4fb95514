//! Sequences of requests: what they are, and how they are read from files.
//!
//! A file is text, one decimal key id per line, and may be compressed by zstd (`.zst`).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io::{BufRead, BufReader, Error, ErrorKind};
use std::path::Path;

use ruzstd::decoding::StreamingDecoder;

/// Requests for keys that are numbered from 0 in order of first appearance.
pub(crate) struct Trace {
    pub(crate) name: String,
    pub(crate) requests: Vec<u32>,
    /// The number of different keys.
    pub(crate) distinct: usize,
    /// A trace of a real system, not a made-up pattern.
    pub(crate) is_real: bool,
}

impl Trace {
    /// Renumbers the keys.
    pub(crate) fn new(name: String, keys: impl Iterator<Item = u64>, is_real: bool) -> Self {
        let mut numbers = HashMap::new();
        let requests = keys
            .map(|key| {
                let next = numbers.len() as u32;
                match numbers.entry(key) {
                    Entry::Occupied(known) => *known.get(),
                    Entry::Vacant(new) => *new.insert(next),
                }
            })
            .collect();
        Self { name, requests, distinct: numbers.len(), is_real }
    }

    /// Reads a file. Its name up to the first dot becomes the trace's.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let file = BufReader::new(File::open(path)?);
        let keys = if path.extension().is_some_and(|extension| extension == "zst") {
            let decoder = StreamingDecoder::new(file).map_err(Error::other)?;
            parse(BufReader::new(decoder))?
        } else {
            parse(file)?
        };
        let file_name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = file_name.split('.').next().unwrap_or_default().to_owned();
        Ok(Self::new(name, keys.into_iter(), true))
    }
}

/// The ids of all lines that are not blank.
fn parse(reader: impl BufRead) -> Result<Vec<u64>, Error> {
    let mut keys = Vec::new();
    for line in reader.lines() {
        let line = line?;
        let text = line.trim();
        if text.is_empty() {
            continue;
        }
        let key = text.parse().map_err(|_| {
            let place = keys.len() + 1;
            Error::new(ErrorKind::InvalidData, format!("request {place} is no key id: {text:?}"))
        })?;
        keys.push(key);
    }
    Ok(keys)
}
