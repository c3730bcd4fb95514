//! The bytes that are on their way to the disk, in the order of the file.
//!
//! ```text
//!   start           synced?         written                     end
//!     | piece | piece | ... | piece | ... | splice | ... | open |
//! ```
//!
//! New commands go into the *open* buffer. Full, it becomes a *piece*; a large value becomes a
//! piece of its own, uncopied. Pieces leave at the front when nobody may need them again: a failed
//! sync means that everything since the last good one must be written once more, from here.
//!
//! A *command* here is what must not be cut: a whole block from its MULTI to its EXEC counts as
//! one. A long block takes several pieces, of which the last one ends the command.
//!
//! All positions are offsets in the file.
//!
//! The buffers count as `memory::Kind::Log`, as often as the pieces change. A shared value counts
//! in full, since the log may be the last to have it.

use crate::memory::{Counted, Kind, taken};
use bytes::Bytes;
use std::collections::VecDeque;

/// Bytes of the open buffer above which it becomes a piece.
pub(super) const PIECE_BYTES: usize = 256 * 1024;

/// Emptied buffers kept for the next pieces, until the writer is idle: as many as become full
/// between two syncs when much is written. Memory fresh from the system costs as much as the
/// writing.
const SPARES_MAX: usize = 128;

#[derive(Debug)]
enum Content {
    Copied(Vec<u8>),
    Shared(Bytes),
}

impl Content {
    fn bytes(&self) -> &[u8] {
        match self {
            Content::Copied(bytes) => bytes,
            Content::Shared(bytes) => bytes,
        }
    }

    /// Bytes that the allocator has taken for it.
    fn taken(&self) -> usize {
        match self {
            Content::Copied(bytes) => taken(bytes.capacity()),
            Content::Shared(bytes) => taken(bytes.len()),
        }
    }
}

#[derive(Debug)]
struct Piece {
    content: Content,
    start: u64,
    /// Whether a command ends with it.
    ends_command: bool,
}

impl Piece {
    fn end(&self) -> u64 {
        self.start + self.content.bytes().len() as u64
    }
}

/// Where commands are written to.
#[derive(Debug)]
pub(super) struct Output {
    pieces: VecDeque<Piece>,
    open: Vec<u8>,
    /// The place of the open buffer in the file.
    open_start: u64,
    spares: Vec<Vec<u8>>,
    /// What the pieces and the spares take.
    closed_bytes: usize,
    counted: Counted,
}

impl Output {
    /// Nothing, to be written at `start`.
    pub(super) fn new(start: u64) -> Self {
        let open = Vec::with_capacity(PIECE_BYTES);
        let mut output = Self {
            pieces: VecDeque::new(),
            open,
            open_start: start,
            spares: Vec::new(),
            closed_bytes: 0,
            counted: Counted::new(Kind::Log),
        };
        output.count();
        output
    }

    fn count(&mut self) {
        self.counted.set(self.closed_bytes + taken(self.open.capacity()));
    }

    fn push(&mut self, piece: Piece) {
        self.closed_bytes += piece.content.taken();
        self.pieces.push_back(piece);
        self.count();
    }

    /// The buffer that takes more bytes.
    #[inline]
    pub(super) fn open(&mut self) -> &mut Vec<u8> {
        &mut self.open
    }

    /// The place of the first byte that is still here.
    pub(super) fn start(&self) -> u64 {
        self.pieces.front().map_or(self.open_start, |piece| piece.start)
    }

    /// The place after the last byte.
    #[inline]
    pub(super) fn end(&self) -> u64 {
        self.open_start + self.open.len() as u64
    }

    /// Adds a buffer without copying it.
    pub(super) fn splice(&mut self, bytes: Bytes) {
        self.close(false);
        let piece =
            Piece { start: self.open_start, content: Content::Shared(bytes), ends_command: false };
        self.open_start = piece.end();
        self.push(piece);
    }

    /// Makes a full open buffer a piece. A command has just ended.
    #[inline]
    pub(super) fn command_ended(&mut self) {
        if self.open.len() >= PIECE_BYTES {
            self.close(true);
        }
    }

    /// Makes a full open buffer a piece. A command of a block has just ended, and more come.
    pub(super) fn part_ended(&mut self) {
        if self.open.len() >= PIECE_BYTES {
            self.close(false);
        }
    }

    fn close(&mut self, ends_command: bool) {
        if self.open.is_empty() {
            return;
        }
        let next = match self.spares.pop() {
            Some(spare) => {
                self.closed_bytes -= taken(spare.capacity());
                spare
            }
            None => Vec::with_capacity(PIECE_BYTES),
        };
        let content = Content::Copied(std::mem::replace(&mut self.open, next));
        let piece = Piece { start: self.open_start, content, ends_command };
        self.open_start = piece.end();
        self.push(piece);
    }

    /// The bytes from `position` to the end of their piece, and whether a command ends with them;
    /// empty at the end. A command has just ended.
    pub(super) fn from(&self, position: u64) -> (&[u8], bool) {
        debug_assert!(self.start() <= position && position <= self.end());
        if position >= self.open_start {
            return (&self.open[(position - self.open_start) as usize..], true);
        }
        // The last piece that begins at `position` or before.
        let after = self.pieces.partition_point(|piece| piece.start <= position);
        match self.pieces.get(after.wrapping_sub(1)) {
            Some(piece) => {
                let bytes = piece.content.bytes();
                (&bytes[(position - piece.start) as usize..], piece.ends_command)
            }
            None => (&[], true),
        }
    }

    /// Lets go of what lies before `position`, a piece at a time.
    pub(super) fn forget(&mut self, position: u64) {
        while self.pieces.front().is_some_and(|piece| piece.end() <= position) {
            let Some(Piece { content, .. }) = self.pieces.pop_front() else { break };
            self.closed_bytes -= content.taken();
            if let Content::Copied(bytes) = content {
                self.spare(bytes);
            }
        }
        if position == self.end() {
            self.open_start = position;
            self.open.clear();
            // A key may be as long as a value; its buffer is not for keeps.
            if self.open.capacity() > 2 * PIECE_BYTES {
                self.open = Vec::with_capacity(PIECE_BYTES);
            }
        }
        self.count();
    }

    /// Begins anew at another place; nothing may be left.
    pub(super) fn restart(&mut self, start: u64) {
        debug_assert!(self.pieces.is_empty() && self.open.is_empty());
        self.open_start = start;
    }

    /// Gives the emptied buffers back to the system.
    pub(super) fn trim(&mut self) {
        let spares = std::mem::take(&mut self.spares);
        self.closed_bytes -= spares.iter().map(|spare| taken(spare.capacity())).sum::<usize>();
        self.count();
    }

    fn spare(&mut self, mut bytes: Vec<u8>) {
        if self.spares.len() < SPARES_MAX && bytes.capacity() <= 2 * PIECE_BYTES {
            bytes.clear();
            self.closed_bytes += taken(bytes.capacity());
            self.spares.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buffers_of_the_log_are_counted_until_they_go() {
        let mut output = Output::new(0);
        let empty = output.counted.bytes();
        assert_eq!(empty, PIECE_BYTES);
        for _ in 0..5 {
            output.open().resize(PIECE_BYTES, b'x');
            output.command_ended();
        }
        output.splice(Bytes::from(vec![b'v'; 100_000]));
        let full = output.counted.bytes();
        assert_eq!(full, 6 * PIECE_BYTES + taken(100_000));
        output.forget(3 * PIECE_BYTES as u64);
        assert_eq!(output.counted.bytes(), full, "three buffers are spare");
        output.forget(output.end());
        output.trim();
        assert_eq!((output.counted.bytes(), output.closed_bytes), (empty, 0));
    }
}
