//! The desk a connection works at: input buffer, batch and replies, pooled per worker.
//!
//! A connection that waits for its client holds no desk. It takes one when its turn comes, usually
//! the one the previous connection has just left (last in, first out, so it is still in the
//! cache), and gives it back before it waits again. It keeps its desk while replies are not yet
//! written, a batch is only partly executed, or the unfinished command in the input is too long
//! to set aside. So ten thousand idle clients cost no buffers, and memory follows the work.
//!
//! A desk counts as `memory::Kind::Clients`: when it is made, whenever it is given back or kept
//! over a wait, and until it goes. What it grows by within a turn is bounded by the turn.

use crate::memory::{Counted, Kind, taken};
use crate::resp::{Batch, ReplyBuffer};

/// Bytes of a fresh input buffer: what one `recv` can take. Four times Redis's read size: deep
/// pipelines then cost fewer system calls, while the buffer still fits the second-level cache.
pub(super) const INPUT_BYTES: usize = 64 * 1024;

/// Spare desks a worker keeps. More than a few are spare only after a burst.
const SPARES_MAX: usize = 8;

/// Everything one turn of a connection works with.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) input: Input,
    pub(super) batch: Batch,
    pub(super) replies: ReplyBuffer,
    counted: Counted,
}

impl Desk {
    pub(super) fn new() -> Desk {
        let mut desk = Desk {
            input: Input::new(),
            batch: Batch::new(),
            replies: ReplyBuffer::new(),
            counted: Counted::new(Kind::Clients),
        };
        desk.count();
        desk
    }

    /// Counts what the desk takes now. Values in its replies count in full, as if they were copied,
    /// whoever else has them: it is the client that keeps them alive.
    pub(super) fn count(&mut self) {
        let input = taken(self.input.buffer.capacity());
        let batch = self.batch.room() + self.batch.owned_bytes();
        self.counted.set(taken(size_of::<Desk>()) + input + batch + self.replies.room());
    }

    /// What it was found to take when it was last counted, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.counted.bytes()
    }

    /// Makes the desk ready for whoever comes next, and small again.
    fn clear(&mut self) {
        self.input.reset();
        self.batch.clear();
        self.replies.clear();
        self.count();
    }
}

/// The spare desks of one worker.
#[derive(Debug, Default)]
pub(super) struct DeskPool {
    #[expect(
        clippy::vec_box,
        reason = "a desk changes hands twice per turn: its box moves, not its contents"
    )]
    spares: Vec<Box<Desk>>,
}

impl DeskPool {
    /// The desk that was given back last, or a new one.
    pub(super) fn take(&mut self) -> Box<Desk> {
        self.spares.pop().unwrap_or_else(|| Box::new(Desk::new()))
    }

    /// Takes a desk back. Its contents are dropped.
    pub(super) fn give_back(&mut self, mut desk: Box<Desk>) {
        if self.spares.len() < SPARES_MAX {
            desk.clear();
            self.spares.push(desk);
        }
    }
}

/// Bytes received and not yet consumed: `buffer[start..end]`. The whole buffer is initialised, so
/// the socket reads into it without further ado.
#[derive(Debug)]
pub(super) struct Input {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Input {
    fn new() -> Input {
        Input { buffer: vec![0; INPUT_BYTES], start: 0, end: 0 }
    }

    /// What was received and not consumed.
    pub(super) fn pending(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// How many bytes more there is room for.
    pub(super) fn room(&self) -> usize {
        self.buffer.len() - (self.end - self.start)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Drops `count` bytes from the front of [`pending`](Input::pending).
    pub(super) fn consume(&mut self, count: usize) {
        self.start += count;
        debug_assert!(self.start <= self.end);
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Drops `count` bytes from the back of [`pending`](Input::pending).
    pub(super) fn drop_tail(&mut self, count: usize) {
        self.end -= count;
        debug_assert!(self.start <= self.end);
    }

    /// Room for more, at least one byte: what is pending moves to the front first, and a buffer
    /// that is full of one unfinished command doubles. The decoder bounds the length of a
    /// command, and so the buffer.
    pub(super) fn spare(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            self.buffer.resize(2 * self.end, 0);
        }
        &mut self.buffer[self.end..]
    }

    /// Says that `count` bytes were put at the front of [`spare`](Input::spare).
    pub(super) fn received(&mut self, count: usize) {
        self.end += count;
        debug_assert!(self.end <= self.buffer.len());
    }

    /// Puts bytes that were set aside back in. Only on an empty input, and no more than
    /// [`INPUT_BYTES`].
    pub(super) fn restore(&mut self, bytes: &[u8]) {
        debug_assert!(self.is_empty());
        self.buffer[..bytes.len()].copy_from_slice(bytes);
        self.start = 0;
        self.end = bytes.len();
    }

    fn reset(&mut self) {
        self.start = 0;
        self.end = 0;
        if self.buffer.len() > INPUT_BYTES {
            self.buffer.truncate(INPUT_BYTES);
            self.buffer.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(input: &mut Input, bytes: &[u8]) {
        input.spare()[..bytes.len()].copy_from_slice(bytes);
        input.received(bytes.len());
    }

    #[test]
    fn what_is_not_consumed_stays_in_order() {
        let mut input = Input::new();
        receive(&mut input, b"abcdef");
        input.consume(4);
        receive(&mut input, b"gh");
        assert_eq!(input.pending(), b"efgh");
        input.drop_tail(1);
        assert_eq!(input.pending(), b"efg");
        input.consume(3);
        assert!(input.is_empty());
    }

    #[test]
    fn a_full_buffer_doubles_and_a_reset_makes_it_small_again() {
        let mut input = Input::new();
        let filled = input.spare().len();
        input.received(filled);
        assert_eq!(input.spare().len(), INPUT_BYTES);
        input.reset();
        assert_eq!(input.spare().len(), INPUT_BYTES);
        assert!(input.is_empty());
    }

    #[test]
    fn the_desk_given_back_last_is_taken_first() {
        let mut pool = DeskPool::default();
        let (first, second) = (pool.take(), pool.take());
        let address = std::ptr::from_ref(&*second);
        pool.give_back(first);
        pool.give_back(second);
        assert_eq!(std::ptr::from_ref(&*pool.take()), address);
    }

    #[test]
    fn spare_desks_are_bounded() {
        let mut pool = DeskPool::default();
        for _ in 0..2 * SPARES_MAX {
            pool.give_back(Box::new(Desk::new()));
        }
        assert_eq!(pool.spares.len(), SPARES_MAX);
    }
}
