//! The commands of one round: where each argument lies, flat and reusable.
//!
//! An argument is a span of eight bytes. Its length word tells where it lies: in the caller's
//! input (the usual case), in the batch's own scratch (inline commands, whose quotes had to be
//! resolved), or in a buffer of its own (large arguments). A command is a range of spans.

use bytes::Bytes;

/// Set in the length of a span that lies in the scratch.
const IN_SCRATCH: u32 = 1 << 31;
/// The length of a span whose start is an index into the owned buffers.
const OWNED: u32 = u32::MAX;
/// The longest argument that a span can describe.
pub(super) const MAX_SPAN: usize = IN_SCRATCH as usize - 1;

/// Room that [`Batch::clear`] keeps, in spans, commands and scratch bytes each. A pipeline of a
/// thousand SETs fits; a command of a million arguments does not linger in an idle connection.
const KEPT: usize = 4096;

/// Where one argument lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    start: u32,
    length: u32,
}

impl Span {
    /// An argument inside the input. The decoder's limits keep both numbers in range.
    #[inline(always)]
    pub(super) fn input(start: usize, length: usize) -> Self {
        debug_assert!(start <= u32::MAX as usize && length <= MAX_SPAN);
        Self { start: start as u32, length: length as u32 }
    }

    /// The argument in the owned buffer of this index.
    pub(super) fn owned(index: usize) -> Self {
        Self { start: index as u32, length: OWNED }
    }

    fn scratch(start: usize, length: usize) -> Self {
        Self { start: start as u32, length: length as u32 | IN_SCRATCH }
    }

    /// The same argument seen from `base` bytes further into the input.
    pub(super) fn seen_from(self, base: usize) -> Self {
        Self { start: self.start - base as u32, ..self }
    }
}

/// A round of complete commands, filled by [`Decoder::decode`] and read through [`Batch::args`].
///
/// [`Decoder::decode`]: super::Decoder::decode
#[derive(Debug, Default)]
pub struct Batch {
    pub(super) spans: Vec<Span>,
    /// For each command, the end of its spans; it begins where the one before ends.
    ends: Vec<u32>,
    scratch: Vec<u8>,
    owned: Vec<Bytes>,
}

impl Batch {
    /// An empty batch; allocates nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets all commands. Keeps the room of an ordinary round, gives back that of a giant one.
    pub fn clear(&mut self) {
        self.spans.clear();
        self.ends.clear();
        self.scratch.clear();
        self.owned.clear();
        self.spans.shrink_to(KEPT);
        self.ends.shrink_to(KEPT);
        self.scratch.shrink_to(KEPT);
        self.owned.shrink_to(KEPT);
    }

    /// How many commands there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no command.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The arguments of command `index`. `input` is the slice that was given to the decoder, or
    /// at least its first [`Decoded::consumed`] bytes.
    ///
    /// # Panics
    /// When there is no such command.
    ///
    /// [`Decoded::consumed`]: super::Decoded::consumed
    #[must_use]
    #[inline]
    pub fn args<'a>(&'a self, index: usize, input: &'a [u8]) -> Args<'a> {
        let end = self.ends[index] as usize;
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        Args { spans: &self.spans[start..end], input, batch: self }
    }

    /// Adds an argument to the command in progress: `length` bytes from `start` on of the input
    /// that [`Batch::args`] will be given. For whoever finds commands without a decoder. The start
    /// is below 4 GiB, the length below 2 GiB.
    #[inline(always)]
    pub fn push_argument(&mut self, start: usize, length: usize) {
        self.spans.push(Span::input(start, length));
    }

    /// Adds an argument that has a buffer of its own to the command in progress.
    pub fn push_owned(&mut self, bytes: Bytes) {
        self.spans.push(Span::owned(self.owned.len()));
        self.owned.push(bytes);
    }

    /// Makes a command of all arguments after the last one's end.
    #[inline]
    pub fn finish_command(&mut self) {
        self.ends.push(self.spans.len() as u32);
    }

    /// Keeps the first `commands` commands only. Unlike [`Batch::clear`] it keeps all room.
    pub fn truncate(&mut self, commands: usize) {
        self.ends.truncate(commands);
        self.abandon_command();
    }

    /// Forgets the arguments after the last command's end.
    pub fn abandon_command(&mut self) {
        self.spans.truncate(self.finished_spans());
    }

    /// How many spans belong to finished commands.
    pub(super) fn finished_spans(&self) -> usize {
        self.ends.last().map_or(0, |&end| end as usize)
    }

    /// Makes a command of spans and buffers that were collected over several rounds, and leaves
    /// both vectors empty. Owned spans count from the start of `owned`.
    pub(super) fn adopt(&mut self, spans: &mut Vec<Span>, owned: &mut Vec<Bytes>) {
        let base = self.owned.len() as u32;
        if base > 0 && !owned.is_empty() {
            for span in spans.iter_mut().filter(|span| span.length == OWNED) {
                span.start += base;
            }
        }
        self.spans.append(spans);
        self.owned.append(owned);
        self.finish_command();
    }

    /// Whether there are arguments with buffers of their own.
    #[must_use]
    pub fn has_owned(&self) -> bool {
        !self.owned.is_empty()
    }

    /// Bytes of such arguments.
    #[must_use]
    pub fn owned_bytes(&self) -> usize {
        self.owned.iter().map(Bytes::len).sum()
    }

    /// Bytes allocated, large arguments aside.
    #[must_use]
    pub fn room(&self) -> usize {
        self.spans.capacity() * size_of::<Span>()
            + self.ends.capacity() * size_of::<u32>()
            + self.scratch.capacity()
            + self.owned.capacity() * size_of::<Bytes>()
    }

    /// Splits an inline command's line into the scratch; a line without words is no command.
    pub(super) fn push_inline(&mut self, line: &[u8]) -> Result<(), super::ProtocolError> {
        let Self { spans, scratch, .. } = self;
        super::inline::split(line, scratch, |start, length| {
            spans.push(Span::scratch(start, length));
        })?;
        if self.spans.len() > self.finished_spans() {
            self.finish_command();
        }
        Ok(())
    }
}

/// The arguments of one command, its name first. Cheap to copy.
#[derive(Clone, Copy, Debug)]
pub struct Args<'a> {
    spans: &'a [Span],
    input: &'a [u8],
    batch: &'a Batch,
}

impl<'a> Args<'a> {
    /// How many arguments there are, the name included: never 0.
    #[must_use]
    #[inline]
    #[expect(clippy::len_without_is_empty, reason = "a command has at least its name")]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Argument `index`; the name is number 0.
    ///
    /// # Panics
    /// When `index` is out of range: a command's arity is checked before its handler runs.
    #[must_use]
    #[inline]
    pub fn get(&self, index: usize) -> &'a [u8] {
        self.resolve(self.spans[index])
    }

    /// The command's name, as the client wrote it.
    #[must_use]
    #[inline]
    pub fn name(&self) -> &'a [u8] {
        self.get(0)
    }

    /// All arguments in order.
    #[inline]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let args = *self;
        args.spans.iter().map(move |&span| args.resolve(span))
    }

    /// The buffer of a large argument, to clone (cheap: a counted reference) and keep as a
    /// value; `None` for an argument that lies in the input.
    ///
    /// # Panics
    /// When `index` is out of range.
    #[must_use]
    #[inline]
    pub fn owned(&self, index: usize) -> Option<&'a Bytes> {
        let span = self.spans[index];
        (span.length == OWNED).then(|| &self.batch.owned[span.start as usize])
    }

    #[inline(always)]
    fn resolve(&self, span: Span) -> &'a [u8] {
        let start = span.start as usize;
        if span.length & IN_SCRATCH == 0 {
            &self.input[start..start + span.length as usize]
        } else {
            self.resolve_elsewhere(span)
        }
    }

    #[cold]
    fn resolve_elsewhere(&self, span: Span) -> &'a [u8] {
        let start = span.start as usize;
        if span.length == OWNED {
            &self.batch.owned[start]
        } else {
            let length = (span.length & !IN_SCRATCH) as usize;
            &self.batch.scratch[start..start + length]
        }
    }
}
