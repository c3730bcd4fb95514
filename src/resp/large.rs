//! Large bulk arguments: payload that leaves the input for a buffer of its own.
//!
//! The buffer grows with what has arrived, never with what was announced: at most
//! [`FIRST_ROOM`] until that much is there, then the whole length at once and exactly, so that
//! a full buffer becomes [`Bytes`] as it is, without a copy and without slack.

use bytes::buf::Limit;
use bytes::{BufMut, Bytes};

use super::error::ProtocolError;

/// Bulk arguments of at least this many bytes get a buffer of their own, unless they are already
/// complete when first seen. The same threshold as Redis's `PROTO_MBULK_BIG_ARG`.
pub const LARGE_ARG: usize = 32 * 1024;

/// Bytes reserved for a large argument before as many have arrived: an announcement alone costs
/// no more than this much (untouched) memory.
const FIRST_ROOM: usize = 1024 * 1024;

/// A large argument on its way in.
#[derive(Debug)]
pub(super) struct Collector {
    bytes: Vec<u8>,
    length: usize,
}

impl Collector {
    pub(super) fn new(length: usize) -> Self {
        Self { bytes: Vec::new(), length }
    }

    pub(super) fn length(&self) -> usize {
        self.length
    }

    pub(super) fn remaining(&self) -> usize {
        self.length - self.bytes.len()
    }

    /// Makes room for at least one more byte, when one is missing.
    pub(super) fn grow(&mut self) -> Result<(), ProtocolError> {
        if self.bytes.len() < self.bytes.capacity() || self.remaining() == 0 {
            return Ok(());
        }
        let target =
            if self.bytes.len() < FIRST_ROOM { self.length.min(FIRST_ROOM) } else { self.length };
        let additional = target - self.bytes.len();
        self.bytes.try_reserve_exact(additional).map_err(|_| ProtocolError::OutOfMemory)
    }

    /// Takes as much of `payload` as is missing and returns how many bytes that were.
    pub(super) fn push(&mut self, payload: &[u8]) -> Result<usize, ProtocolError> {
        let mut taken = 0;
        // Two rounds at most: up to the first room, then up to the end.
        while taken < payload.len() && self.remaining() > 0 {
            self.grow()?;
            let rest = &payload[taken..];
            let room = self.room().min(rest.len());
            self.bytes.extend_from_slice(&rest[..room]);
            taken += room;
        }
        Ok(taken)
    }

    pub(super) fn into_bytes(self) -> Bytes {
        Bytes::from(self.bytes)
    }

    /// Bytes allocated.
    pub(super) fn room_in_all(&self) -> usize {
        self.bytes.capacity()
    }

    /// Missing bytes that fit without growing.
    fn room(&self) -> usize {
        self.remaining().min(self.bytes.capacity() - self.bytes.len())
    }
}

/// The rest of a large argument, to be filled from the socket. Ask the decoder for a new one
/// before each read: that is when the buffer grows.
#[derive(Debug)]
pub struct LargeArg<'a> {
    collector: &'a mut Collector,
}

impl<'a> LargeArg<'a> {
    /// `collector` has room and misses bytes.
    pub(super) fn new(collector: &'a mut Collector) -> Self {
        Self { collector }
    }

    /// Payload bytes still to come, without the line end after them.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.collector.remaining()
    }

    /// The place to read into: takes no more than the payload misses and never reallocates.
    /// At least one byte long when the decoder has just given it out.
    pub fn buffer(&mut self) -> Limit<&mut Vec<u8>> {
        let room = self.collector.room();
        (&mut self.collector.bytes).limit(room)
    }

    /// Copies payload in; returns how many bytes it took, at most [`LargeArg::remaining`] and
    /// possibly fewer: ask again with the rest.
    pub fn push(&mut self, payload: &[u8]) -> usize {
        let room = self.collector.room().min(payload.len());
        self.collector.bytes.extend_from_slice(&payload[..room]);
        room
    }
}
