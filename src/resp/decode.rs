//! The request decoder: incremental, resumable, without copies.
//!
//! # Contract with the caller
//!
//! The caller keeps an input buffer. `decode(input, ..)` reports:
//!
//! - `consumed`: the complete commands (and blank lines, and empty arrays) before this byte are
//!   done with. The next call's input must begin at this byte. Arguments in the batch are offsets
//!   into this call's input, so execute and clear the batch before the bytes go.
//! - `moved`: this many bytes at the *end* of the input now live in a large argument's buffer.
//!   Drop them. What stays, `input[consumed..input.len() - moved]`, is the head of the command
//!   in progress and must still be at the front of the next input. `moved > 0` only for the
//!   last, unfinished command, so nothing in the batch points into those bytes.
//! - `more`: call again before reading the socket, because the input still holds something to
//!   report: commands beyond `max_commands`, or an error. Without this rule a client that waits
//!   for its reply would wait for ever.
//!
//! An error is returned only by a call that added no command: the commands in front of the fault
//! are delivered first (with `more` set), as Redis answers them first. Then the error stays: the
//! stream cannot be followed any further.
//!
//! After each call, [`Decoder::large`] tells whether the next bytes of the socket are payload of
//! a large argument. As long as it does, read into it instead of the input. When it no longer
//! does, read into the input again: the line end after the payload comes first. (Payload given
//! through the input all the same is accepted; it only costs a copy.)
//!
//! # What is remembered
//!
//! Between calls the decoder keeps a [`Cursor`] into the command in progress, relative to the
//! command's first byte, and the arguments found so far. So no byte is looked at twice, however
//! the stream is cut, and the cuts never change what is decoded: limits count bytes of the
//! stream, not bytes that happen to be in the buffer. (Redis's own limit on inline commands
//! depends on the cuts: a long line that arrives whole is accepted. Here it never is.)

use bytes::Bytes;

use super::batch::{Batch, Span};
use super::error::ProtocolError;
use super::header;
use super::large::{Collector, LARGE_ARG, LargeArg};
use super::limits::Limits;

/// The last position in an input at which a new command is begun in the same call, so that
/// spans (32 bits) reach everything in it: a command has at most as many bytes again.
const LAST_START: usize = 1 << 31;
/// Collected spans and buffers for which room is kept between commands.
const KEPT: usize = 4096;

/// What a call of [`Decoder::decode`] did with its input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Decoded {
    /// Bytes at the start of the input that are done with; the next input begins after them.
    pub consumed: usize,
    /// Bytes at the end of the input that were moved to a large argument's buffer: drop them.
    pub moved: usize,
    /// Whether to call again before reading more: the input holds another command, or a fault.
    pub more: bool,
}

/// What the command in progress waits for.
#[derive(Clone, Copy, Debug, Default)]
enum Want {
    /// The first line, which decides whether it is an array or inline.
    #[default]
    FirstLine,
    /// The header line of an argument.
    Header,
    /// A payload of this many bytes, and its line end.
    Payload(usize),
    /// The rest of the payload of a large argument.
    Large,
    /// The line end after a large argument's payload.
    LineEnd,
}

/// How far the command in progress has been read; positions count from its first byte.
#[derive(Clone, Copy, Debug, Default)]
struct Cursor {
    /// Everything before this byte is understood.
    at: usize,
    /// No line end lies between `at` and this byte.
    scanned: usize,
    /// Arguments still to come.
    missing: usize,
    want: Want,
}

/// How reading one command ended.
enum Step {
    /// The command has this many bytes.
    Complete(usize),
    /// More bytes are needed; this many have been moved away.
    Partial { moved: usize },
}

/// Decodes the request stream of one connection.
#[derive(Debug)]
pub struct Decoder {
    /// Those in force.
    limits: Limits,
    /// Those of clients that have given the password, or need none.
    usual: Limits,
    is_stranger: bool,
    cursor: Cursor,
    /// Arguments of the command in progress.
    spans: Vec<Span>,
    /// Its finished large arguments.
    owned: Vec<Bytes>,
    /// Its payload bytes that have left the stream.
    departed: usize,
    /// The large argument on its way in, if any.
    collector: Option<Collector>,
    failed: Option<ProtocolError>,
}

impl Decoder {
    /// A decoder at the start of a stream; allocates nothing.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits: limits.addressable(),
            usual: limits.addressable(),
            is_stranger: false,
            cursor: Cursor::default(),
            spans: Vec::new(),
            owned: Vec::new(),
            departed: 0,
            collector: None,
            failed: None,
        }
    }

    /// Has the commands to come kept to these limits, or to those of a client that has not given
    /// the password. For such a client no more than one command is to be decoded at a time: it may
    /// be the one that gives it. An argument that is on its way in is not looked at again.
    pub fn set_limits(&mut self, usual: Limits, is_stranger: bool) {
        self.usual = usual.addressable();
        self.limits = if is_stranger { self.usual.for_stranger() } else { self.usual };
        self.is_stranger = is_stranger;
    }

    /// Appends the complete commands of `input` to `batch` until it holds `max_commands`.
    /// `input` begins where the last call's [`Decoded::consumed`] ended; the arguments in the
    /// batch are positions in it, so the batch is to be cleared before the bytes are dropped.
    ///
    /// # Errors
    /// When the stream breaks the protocol or a limit and this call added no command. Every
    /// later call returns the same error.
    pub fn decode(
        &mut self,
        input: &[u8],
        batch: &mut Batch,
        max_commands: usize,
    ) -> Result<Decoded, ProtocolError> {
        let before = batch.len();
        let mut consumed = 0;
        while consumed < input.len() && self.failed.is_none() {
            if batch.len() >= max_commands || consumed > LAST_START {
                return Ok(Decoded { consumed, moved: 0, more: true });
            }
            match self.command(&input[consumed..], consumed, batch) {
                Ok(Step::Complete(length)) => consumed += length,
                Ok(Step::Partial { moved }) => {
                    return Ok(Decoded { consumed, moved, more: false });
                }
                Err(error) => {
                    batch.abandon_command();
                    self.fail(error);
                }
            }
        }
        match self.failed {
            Some(error) if batch.len() == before => Err(error),
            failed => Ok(Decoded { consumed, moved: 0, more: failed.is_some() }),
        }
    }

    /// The large argument in progress: where the next bytes of the socket belong. `None` when
    /// they belong into the input.
    pub fn large(&mut self) -> Option<LargeArg<'_>> {
        if let Some(Err(error)) = self.collector.as_mut().map(Collector::grow) {
            self.fail(error);
        }
        self.collector.as_mut().filter(|collector| collector.remaining() > 0).map(LargeArg::new)
    }

    /// The byte before which no line end is looked for again.
    #[cfg(test)]
    pub(super) fn scanned(&self) -> usize {
        self.cursor.scanned
    }

    /// Bytes allocated for the command in progress.
    #[must_use]
    pub fn room(&self) -> usize {
        let collected: usize = self.owned.iter().map(Bytes::len).sum();
        self.spans.capacity() * size_of::<Span>()
            + self.owned.capacity() * size_of::<Bytes>()
            + collected
            + self.collector.as_ref().map_or(0, Collector::room_in_all)
    }

    /// Remembers a fault and gives back what the command in progress held.
    fn fail(&mut self, error: ProtocolError) {
        self.failed = Some(error);
        self.collector = None;
        self.spans = Vec::new();
        self.owned = Vec::new();
    }

    /// Reads one command, which begins `base` bytes into the input.
    #[inline]
    fn command(
        &mut self,
        command: &[u8],
        base: usize,
        batch: &mut Batch,
    ) -> Result<Step, ProtocolError> {
        match self.cursor.want {
            Want::FirstLine if command[0] == b'*' => self.array(command, base, batch),
            Want::FirstLine => self.inline(command, batch),
            _ => self.resume(command, batch),
        }
    }

    /// Reads an array from its first byte.
    #[inline]
    fn array(
        &mut self,
        command: &[u8],
        base: usize,
        batch: &mut Batch,
    ) -> Result<Step, ProtocolError> {
        let max_line = self.limits.max_inline;
        let (count, at) = match header::quick(command, 1) {
            Some(header) => header,
            None => match header::multibulk(command, &mut self.cursor.scanned, max_line)? {
                Some(header) => header,
                None => return Ok(Step::Partial { moved: 0 }),
            },
        };
        if count > self.limits.max_args {
            return Err(self.too_many(count));
        }
        let mut cursor = Cursor { at, scanned: 0, missing: count, want: Want::Header };
        let complete = self.arguments(command, base, &mut cursor, &mut batch.spans)?;
        if complete {
            if count > 0 {
                batch.finish_command();
            }
            self.cursor = Cursor::default();
            return Ok(Step::Complete(cursor.at));
        }
        self.cursor = cursor;
        let unfinished = batch.spans.drain(batch.finished_spans()..);
        self.spans.extend(unfinished.map(|span| span.seen_from(base)));
        self.pause(command)
    }

    /// Goes on with an array whose count is known.
    fn resume(&mut self, command: &[u8], batch: &mut Batch) -> Result<Step, ProtocolError> {
        let mut cursor = self.cursor;
        if let (Want::Large, Some(collector)) = (cursor.want, &mut self.collector) {
            let rest = command.get(cursor.at..).unwrap_or_default();
            let taken = collector.push(rest)?;
            if collector.remaining() > 0 {
                return Ok(Step::Partial { moved: taken });
            }
            // What came through the input and is not at its end stays there, understood.
            let moved = if taken == rest.len() { taken } else { 0 };
            cursor.at += taken - moved;
            cursor.want = Want::LineEnd;
            self.finish_large(taken - moved);
            if taken == rest.len() {
                self.cursor = cursor;
                return Ok(Step::Partial { moved });
            }
        }
        if matches!(cursor.want, Want::LineEnd) {
            if command.len() < cursor.at + 2 {
                self.cursor = cursor;
                return Ok(Step::Partial { moved: 0 });
            }
            cursor.at += 2;
            cursor.missing -= 1;
            cursor.want = Want::Header;
        }
        let mut spans = std::mem::take(&mut self.spans);
        let complete = self.arguments(command, 0, &mut cursor, &mut spans)?;
        self.spans = spans;
        if !complete {
            self.cursor = cursor;
            return self.pause(command);
        }
        batch.adopt(&mut self.spans, &mut self.owned);
        self.spans.shrink_to(KEPT);
        self.owned.shrink_to(KEPT);
        self.departed = 0;
        self.cursor = Cursor::default();
        Ok(Step::Complete(cursor.at))
    }

    /// Makes an argument of the full collector; `stayed` of its bytes are still in the stream.
    fn finish_large(&mut self, stayed: usize) {
        if let Some(collector) = self.collector.take() {
            self.departed += collector.length() - stayed;
            self.spans.push(Span::owned(self.owned.len()));
            self.owned.push(collector.into_bytes());
        }
    }

    /// Waits for more of an array; a large payload leaves the stream here.
    fn pause(&mut self, command: &[u8]) -> Result<Step, ProtocolError> {
        let arrived = command.get(self.cursor.at..).unwrap_or_default();
        match self.cursor.want {
            Want::Payload(length) if length >= LARGE_ARG && arrived.len() < length => {
                let mut collector = Collector::new(length);
                let moved = collector.push(arrived)?;
                self.collector = Some(collector);
                self.cursor.want = Want::Large;
                Ok(Step::Partial { moved })
            }
            _ => Ok(Step::Partial { moved: 0 }),
        }
    }

    /// Reads arguments until none is missing (`true`) or the input ends.
    #[inline(always)]
    fn arguments(
        &self,
        command: &[u8],
        base: usize,
        cursor: &mut Cursor,
        spans: &mut Vec<Span>,
    ) -> Result<bool, ProtocolError> {
        while cursor.missing > 0 {
            let length = match cursor.want {
                Want::Payload(length) => length,
                _ => match self.argument_header(command, cursor)? {
                    Some(length) => length,
                    None => return Ok(false),
                },
            };
            let end = cursor.at + length + 2;
            if end > command.len() {
                cursor.want = Want::Payload(length);
                return Ok(false);
            }
            // The two bytes after the payload are skipped unseen, as in Redis.
            spans.push(Span::input(base + cursor.at, length));
            cursor.at = end;
            cursor.missing -= 1;
            cursor.want = Want::Header;
        }
        Ok(true)
    }

    /// Reads the header line of an argument and moves the cursor behind it.
    #[inline(always)]
    fn argument_header(
        &self,
        command: &[u8],
        cursor: &mut Cursor,
    ) -> Result<Option<usize>, ProtocolError> {
        let max_line = self.limits.max_inline;
        let quick = match command.get(cursor.at) {
            Some(b'$') => header::quick(command, cursor.at + 1),
            _ => None,
        };
        let (length, at) = match quick {
            Some(header) => header,
            None => match header::bulk(command, cursor.at, &mut cursor.scanned, max_line)? {
                Some(header) => header,
                None => return Ok(None),
            },
        };
        if length > self.limits.max_bulk_len {
            return Err(self.too_long(length));
        }
        if at + self.departed + length + 2 > self.limits.max_command {
            return Err(ProtocolError::CommandTooLong);
        }
        cursor.at = at;
        Ok(Some(length))
    }

    /// What is wrong with so many arguments.
    #[cold]
    fn too_many(&self, count: usize) -> ProtocolError {
        match self.is_stranger && count <= self.usual.max_args {
            true => ProtocolError::UnauthenticatedMultibulkLength,
            false => ProtocolError::InvalidMultibulkLength,
        }
    }

    /// What is wrong with an argument of this length.
    #[cold]
    fn too_long(&self, length: usize) -> ProtocolError {
        match self.is_stranger && length <= self.usual.max_bulk_len {
            true => ProtocolError::UnauthenticatedBulkLength,
            false => ProtocolError::InvalidBulkLength,
        }
    }

    /// Reads an inline command.
    fn inline(&mut self, command: &[u8], batch: &mut Batch) -> Result<Step, ProtocolError> {
        let max_inline = self.limits.max_inline;
        let end = header::find(command, b'\n', 0, self.cursor.scanned, max_inline)
            .ok_or(ProtocolError::InlineTooLong)?;
        if end == command.len() {
            self.cursor.scanned = end;
            return Ok(Step::Partial { moved: 0 });
        }
        let line = &command[..end];
        batch.push_inline(line.strip_suffix(b"\r").unwrap_or(line))?;
        self.cursor = Cursor::default();
        Ok(Step::Complete(end + 1))
    }
}
