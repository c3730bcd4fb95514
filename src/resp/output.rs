//! The bytes of a connection's replies: one vector, with large values spliced in.
//!
//! Replies are appended to `bytes`. A large value is not copied: a [`Part`] remembers its
//! buffer and the position in `bytes` in front of which it belongs. What the socket has taken
//! is remembered as two positions; the vector starts anew when all is written, and its written
//! front is cut off once that is the larger half.

use bytes::Bytes;

use super::encode::Protocol;

/// Capacity kept by [`ReplyBuffer::clear`], in bytes: twice Redis's reply buffer of 16 KiB per
/// client, since a pipeline's replies gather here before they are written.
const KEPT: usize = 32 * 1024;

/// A large value among the replies.
#[derive(Clone, Debug)]
struct Part {
    /// It comes in front of this byte of the vector.
    position: usize,
    bytes: Bytes,
}

/// A place in a [`ReplyBuffer`].
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    bytes: usize,
    parts: usize,
}

/// Encoded replies, waiting to be written.
///
/// The methods that append replies follow [`ReplyBuffer::protocol`] where the two protocols
/// differ. Aggregates are announced by their size; their elements follow as replies.
#[derive(Clone, Debug, Default)]
pub struct ReplyBuffer {
    /// What the connection speaks.
    pub protocol: Protocol,
    pub(super) bytes: Vec<u8>,
    parts: Vec<Part>,
    /// Bytes of the vector already written.
    written: usize,
    /// Parts already written.
    written_parts: usize,
    /// Bytes of the other parts.
    parts_left: usize,
}

impl ReplyBuffer {
    /// An empty buffer that speaks RESP2; allocates nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets all replies, written or not. Keeps the protocol, and the room of ordinary replies.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT);
        self.parts.clear();
        self.parts.shrink_to(KEPT / size_of::<Part>());
        self.written = 0;
        self.written_parts = 0;
        self.parts_left = 0;
    }

    /// Bytes still to write, large values included.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.bytes.len() - self.written + self.parts_left
    }

    /// Bytes allocated, and the bytes of the large values that wait to be written, which others may
    /// hold too.
    #[must_use]
    pub fn room(&self) -> usize {
        self.bytes.capacity() + self.parts.capacity() * size_of::<Part>() + self.parts_left
    }

    /// Whether nothing is left to write.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends bytes that are already encoded.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The end of the replies so far, to come back to with [`rewind`](ReplyBuffer::rewind).
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark { bytes: self.bytes.len(), parts: self.parts.len() }
    }

    /// Takes back what was appended since the mark, none of which has been written. Does nothing
    /// after a rewind to an earlier mark.
    pub fn rewind(&mut self, mark: Mark) {
        debug_assert!(mark.bytes >= self.written && mark.parts >= self.written_parts);
        self.bytes.truncate(mark.bytes);
        let parts = mark.parts.min(self.parts.len());
        self.parts_left -= self.parts.drain(parts..).map(|p| p.bytes.len()).sum::<usize>();
    }

    /// Appends the replies gathered in another buffer, without copying them.
    pub fn append(&mut self, other: ReplyBuffer) {
        debug_assert!(other.written == 0 && other.written_parts == 0, "part of it was written");
        let bytes = Bytes::from(other.bytes);
        let mut start = 0;
        for part in other.parts {
            self.splice(bytes.slice(start..part.position));
            self.splice(part.bytes);
            start = part.position;
        }
        self.splice(bytes.slice(start..));
    }

    /// Appends a buffer without copying it.
    pub(super) fn splice(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.parts_left += bytes.len();
            self.parts.push(Part { position: self.bytes.len(), bytes });
        }
    }

    /// All that is left to write, when it is one piece: the usual case.
    #[must_use]
    #[inline]
    pub fn is_single(&self) -> Option<&[u8]> {
        (self.parts_left == 0).then(|| &self.bytes[self.written..])
    }

    /// The pieces that are left to write, in order; none is empty.
    #[must_use]
    pub fn chunks(&self) -> Chunks<'_> {
        Chunks {
            bytes: &self.bytes,
            position: self.written,
            parts: &self.parts[self.written_parts..],
        }
    }

    /// Notes that the first `count` bytes have been written. Large values are released as soon
    /// as they are through. Counts beyond [`ReplyBuffer::len`] empty the buffer.
    pub fn advance(&mut self, mut count: usize) {
        if count >= self.len() {
            self.clear();
            return;
        }
        while count > 0 {
            let (until, part) = match self.parts.get_mut(self.written_parts) {
                Some(part) => (part.position, Some(part)),
                None => (self.bytes.len(), None),
            };
            let own = count.min(until - self.written);
            self.written += own;
            count -= own;
            if let Some(part) = part.filter(|_| count > 0) {
                let taken = count.min(part.bytes.len());
                // Advancing a `Bytes` keeps its buffer alive; the empty rest does not.
                part.bytes = part.bytes.slice(taken..);
                count -= taken;
                self.parts_left -= taken;
                if part.bytes.is_empty() {
                    self.written_parts += 1;
                }
            }
        }
        if self.written > KEPT && self.written > self.bytes.len() / 2 {
            self.cut_written();
        }
    }

    /// Gives back the written front. Moves fewer bytes than have been written since the last
    /// time, so the cost per byte is constant.
    fn cut_written(&mut self) {
        self.parts.drain(..self.written_parts);
        self.written_parts = 0;
        self.bytes.drain(..self.written);
        for part in &mut self.parts {
            part.position -= self.written;
        }
        self.written = 0;
    }
}

/// The pieces of a [`ReplyBuffer`], in order.
#[derive(Clone, Debug)]
pub struct Chunks<'a> {
    bytes: &'a [u8],
    position: usize,
    parts: &'a [Part],
}

impl<'a> Iterator for Chunks<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let until = self.parts.first().map_or(self.bytes.len(), |part| part.position);
        if self.position < until {
            let chunk = &self.bytes[self.position..until];
            self.position = until;
            return Some(chunk);
        }
        let (part, rest) = self.parts.split_first()?;
        self.parts = rest;
        Some(&part.bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn written(out: &ReplyBuffer) -> Vec<u8> {
        out.chunks().collect::<Vec<_>>().concat()
    }

    #[test]
    fn large_values_are_passed_on_without_a_copy() {
        let value = Bytes::from(vec![b'v'; 100_000]);
        let mut out = ReplyBuffer::new();
        out.ok();
        out.bulk_large(value.clone());
        out.bulk_large(Bytes::new());
        let chunks: Vec<_> = out.chunks().collect();
        assert_eq!(chunks[0], b"+OK\r\n$100000\r\n");
        assert_eq!(chunks[1].as_ptr(), value.as_ptr());
        assert_eq!(chunks[2..], [b"\r\n$0\r\n\r\n"]);
        assert_eq!(out.len(), 5 + 9 + 100_000 + 8);
        assert_eq!(out.is_single(), None);
    }

    #[test]
    fn a_large_value_is_released_once_it_is_written() {
        let value = Bytes::from(vec![b'v'; 100_000]);
        let mut out = ReplyBuffer::new();
        out.bulk_large(value.clone());
        out.advance(9 + 99_999);
        assert!(!value.is_unique());
        out.advance(1);
        assert!(value.is_unique());
        assert_eq!(out.is_single(), Some(&b"\r\n"[..]));
        out.advance(2);
        assert!(out.is_empty());
    }

    #[test]
    fn a_buffer_that_is_never_empty_gives_back_what_is_written() {
        let mut out = ReplyBuffer::new();
        out.raw(&[b'x'; 100]);
        for _ in 0..10_000 {
            out.raw(&[b'x'; 1000]);
            out.advance(1000);
        }
        assert_eq!(out.len(), 100);
        assert!(out.bytes.capacity() <= 8 * KEPT);
    }

    #[test]
    fn clearing_forgets_everything_but_the_protocol() {
        let mut out = ReplyBuffer::new();
        out.protocol = Protocol::Resp3;
        out.raw(&[b'x'; 1_000_000]);
        out.bulk_large(Bytes::from_static(b"value"));
        out.advance(10);
        out.clear();
        assert_eq!((out.len(), out.chunks().count()), (0, 0));
        assert_eq!(out.protocol, Protocol::Resp3);
        assert!(out.bytes.capacity() <= KEPT);
    }

    #[derive(Clone, Debug)]
    enum Action {
        Raw(Vec<u8>),
        Splice(Vec<u8>),
        Advance(usize),
    }

    fn config() -> ProptestConfig {
        ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
    }

    fn filled() -> impl Strategy<Value = Vec<u8>> {
        (any::<u8>(), 0..20_000usize).prop_map(|(byte, length)| vec![byte; length])
    }

    fn action() -> impl Strategy<Value = Action> {
        prop_oneof![
            filled().prop_map(Action::Raw),
            filled().prop_map(Action::Splice),
            (0..40_000usize).prop_map(Action::Advance),
        ]
    }

    proptest! {
        #![proptest_config(config())]

        #[test]
        fn the_pieces_are_always_what_is_left(actions in vec(action(), 0..40)) {
            let (mut out, mut left) = (ReplyBuffer::new(), Vec::new());
            for action in actions {
                match action {
                    Action::Raw(bytes) => {
                        left.extend_from_slice(&bytes);
                        out.raw(&bytes);
                    }
                    Action::Splice(bytes) => {
                        left.extend_from_slice(&bytes);
                        out.splice(bytes.into());
                    }
                    Action::Advance(count) => {
                        left.drain(..count.min(left.len()));
                        out.advance(count);
                    }
                }
                prop_assert_eq!(out.len(), left.len());
                prop_assert!(out.chunks().all(|chunk| !chunk.is_empty()));
                prop_assert_eq!(&written(&out), &left);
                prop_assert!(out.is_single().is_none_or(|bytes| bytes == left));
            }
        }
    }
}
