//! A piece of a log: whole commands, where they stand in the file, and the bytes they lie in.
//!
//! A chunk owns what it holds, so that one thread can read the next while another executes this
//! one, and it keeps its room when it is filled again.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use crate::resp::{Args, Batch};

/// A chunk that has grown for a long command keeps so many times its usual room.
const KEPT_FACTOR: usize = 4;

/// Whole commands of a log.
#[derive(Debug, Default)]
pub struct Chunk {
    /// Room for bytes of the file; what is beyond `filled` means nothing.
    pub(super) room: Vec<u8>,
    pub(super) filled: usize,
    /// Where in the file the bytes begin.
    pub(super) offset: u64,
    /// The commands of the file before that place.
    pub(super) commands_before: u64,
    /// Where in the file the next chunk begins.
    pub(super) end: u64,
    pub(super) batch: Batch,
    pub(super) places: Vec<RelativePlace>,
}

/// A command's place, counted from the start of the chunk.
#[derive(Clone, Copy, Debug)]
pub(super) struct RelativePlace {
    pub(super) start: u32,
    pub(super) number: u32,
}

/// Where a command stands in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The byte it begins at, counted from 0.
    pub offset: u64,
    /// Its number, counted from 1; MULTI and EXEC count.
    pub command: u64,
}

impl Chunk {
    /// An empty chunk; allocates nothing.
    #[must_use]
    pub fn new() -> Chunk {
        Chunk::default()
    }

    /// How many commands there are; may be none. MULTI and EXEC are not among them: what stands
    /// between them is given only when all of it is there.
    #[must_use]
    pub fn len(&self) -> usize {
        self.batch.len()
    }

    /// Whether there is no command.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// The commands, for an engine.
    #[must_use]
    pub fn batch(&self) -> &Batch {
        &self.batch
    }

    /// The bytes that the commands lie in.
    #[must_use]
    pub fn input(&self) -> &[u8] {
        &self.room[..self.filled]
    }

    /// The arguments of command `index`.
    ///
    /// # Panics
    /// When there is no such command.
    #[must_use]
    pub fn args(&self, index: usize) -> Args<'_> {
        self.batch.args(index, self.input())
    }

    /// Where command `index` stands in the file.
    ///
    /// # Panics
    /// When there is no such command.
    #[must_use]
    pub fn place(&self, index: usize) -> Place {
        let place = self.places[index];
        Place {
            offset: self.offset + u64::from(place.start),
            command: self.commands_before + u64::from(place.number),
        }
    }

    /// The bytes of the file before the end of this chunk: what has been read so far.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Forgets everything; the next bytes come from `offset`, after so many commands.
    pub(super) fn begin(&mut self, offset: u64, commands_before: u64, usual_bytes: usize) {
        self.offset = offset;
        self.commands_before = commands_before;
        self.end = offset;
        self.filled = 0;
        self.restart();
        let kept = usual_bytes.saturating_mul(KEPT_FACTOR);
        if self.room.len() > kept {
            self.room.truncate(usual_bytes);
            self.room.shrink_to_fit();
            self.batch.clear();
            self.places.shrink_to(usual_bytes);
        }
    }

    /// Forgets the commands, not the bytes.
    pub(super) fn restart(&mut self) {
        self.batch.truncate(0);
        self.places.clear();
    }

    /// Reads from the file until there are `wanted` bytes.
    pub(super) fn fill(&mut self, file: &File, wanted: usize) -> io::Result<()> {
        if self.filled >= wanted {
            return Ok(());
        }
        if self.room.len() < wanted {
            self.room.resize(wanted, 0);
        }
        let mut file = file;
        file.seek(SeekFrom::Start(self.offset + self.filled as u64))?;
        file.read_exact(&mut self.room[self.filled..wanted])?;
        self.filled = wanted;
        Ok(())
    }
}
