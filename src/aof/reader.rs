//! Goes through a log from its beginning.
//!
//! [`Reader::read`] fills a [`Chunk`] with the next whole commands until there are no more, and
//! then says how the log ends. The reader itself remembers a place in the file and no bytes: each
//! chunk reads from that place, about a megabyte, and the next place is the end of the last command
//! that the chunk gives out. What lies behind it is read again, which costs less than to keep it. A
//! command longer than that makes its chunk grow, by doubling, so it is looked at twice in all.
//!
//! # Blocks
//!
//! What stands between MULTI and EXEC is given out only when EXEC has been seen. A block that ends
//! in the chunk it begins in costs nothing more. Otherwise the chunk ends in front of the block and
//! the next one begins with it; if the block does not fit in there either, it is looked through to
//! its EXEC once, and then given out in as many chunks as it takes. So a block of any length needs
//! no more memory than any other part of the log.
//!
//! # The end
//!
//! The length of the file is taken when it is opened, and is the end even if the file grows. A
//! fault is an error, unless NUL bytes begin at it and go on to the end: then the log is torn.

use std::fs::File;
use std::path::{Path, PathBuf};

use memchr::memmem;

use super::chunk::{Chunk, RelativePlace};
use super::error::{Corrupt, Error, Reason};
use super::format::{self, Fault, Item};
use crate::resp::{Args, Batch};

/// Bytes of an ordinary chunk: a few thousand commands. Large enough that a read of the file costs
/// little, small enough that bytes are still in the second-level cache when they are executed.
const CHUNK_BYTES: usize = 1 << 20;

/// Bytes that are compared with NUL at a time.
const ZEROS_PIECE_BYTES: usize = 64 << 10;

/// The most that is shown of a name that is no command's.
const NAME_SHOWN_MAX_BYTES: usize = 64;

/// The length of a MULTI, which has one spelling but for its case.
const MULTI_BYTES: u64 = b"*1\r\n$5\r\nMULTI\r\n".len() as u64;

/// What an RDB image begins with.
const RDB_MAGIC: &[u8] = b"REDIS";

/// Tells whether a name, in any mixture of cases, is that of a command that stands in logs. MULTI
/// and EXEC are not asked for.
pub type Known = fn(&[u8]) -> bool;

/// Reads a log.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    file: File,
    size: u64,
    known: Known,
    chunk_bytes: usize,
    /// Everything before this place of the file has been given out.
    offset: u64,
    /// The commands before that place.
    commands: u64,
    /// Whether that place is in a block whose EXEC has been seen.
    in_block: bool,
    /// The blocks that ended before that place.
    blocks: u64,
}

/// What a call of [`Reader::read`] has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Step {
    /// The chunk holds the next commands.
    Commands,
    /// There are no more; the chunk is empty.
    End(End),
}

/// How a log ends, when it is not corrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With a whole command, outside any block.
    Clean,
    /// Unfinished.
    Torn(Torn),
}

/// An unfinished end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Torn {
    /// Where it begins: what is before is whole.
    pub offset: u64,
    /// Its length.
    pub bytes: u64,
    /// What is unfinished.
    pub part: TornPart,
}

/// What is unfinished at the end of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TornPart {
    /// A command, or an annotation.
    Command,
    /// The block of a MULTI, in which so many commands are whole.
    Block {
        /// The commands, MULTI not counted.
        commands: u64,
    },
    /// A command or a block, and NUL bytes to the end of the file.
    Zeros,
}

/// A command's part in blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Multi,
    Exec,
    Other,
}

/// A boundary between items of a chunk.
#[derive(Clone, Copy, Debug)]
struct Mark {
    /// The byte after the boundary.
    start: usize,
    /// Commands before it that are in the batch.
    commands: usize,
    /// Commands before it, with MULTI and EXEC.
    numbers: u32,
    /// Blocks that ended before it.
    blocks: u64,
}

/// How far a chunk has been understood.
#[derive(Debug)]
struct Parsed {
    /// Everything before this can be given out.
    given: Mark,
    /// Whether that boundary is in a block whose EXEC has been seen.
    is_in_block: bool,
    /// Whether a block begins there whose EXEC has not been seen.
    is_open: bool,
    stop: Stop,
}

/// Where and why the parser of a chunk stopped.
#[derive(Clone, Copy, Debug)]
struct Stop {
    /// The start of the item that cannot be read, or the end of the bytes.
    item: usize,
    /// Commands before it.
    numbers: u32,
    why: Why,
}

#[derive(Clone, Copy, Debug)]
enum Why {
    /// The bytes end where an item ends.
    Boundary,
    /// The bytes end inside an item, of which so many bytes would show more.
    Unfinished(usize),
    Fault(Fault),
}

impl Reader {
    /// A reader at the start of the file. A command whose name is not `known` counts as corrupt.
    ///
    /// # Errors
    /// [`Error::RdbPreamble`]; [`Error::IsDirectory`]; [`Error::Io`] when it cannot be opened.
    pub fn open(path: &Path, known: Known) -> Result<Reader, Error> {
        let file = File::open(path).map_err(Error::io("open", path))?;
        let metadata = file.metadata().map_err(Error::io("examine", path))?;
        if metadata.is_dir() {
            return Err(Error::IsDirectory { path: path.to_owned() });
        }
        let reader = Reader {
            path: path.to_owned(),
            file,
            size: metadata.len(),
            known,
            chunk_bytes: CHUNK_BYTES,
            offset: 0,
            commands: 0,
            in_block: false,
            blocks: 0,
        };
        let mut beginning = Chunk::new();
        reader.fill(&mut beginning, RDB_MAGIC.len())?;
        if beginning.input() == RDB_MAGIC {
            return Err(Error::RdbPreamble { path: path.to_owned() });
        }
        Ok(reader)
    }

    /// The same with chunks of another size, for tests of what happens between chunks.
    #[cfg(test)]
    pub(super) fn with_chunk_bytes(self, chunk_bytes: usize) -> Reader {
        Reader { chunk_bytes, ..self }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The length of the file when it was opened, in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The place in the file up to which commands have been given out.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The commands before that place; MULTI and EXEC count.
    #[must_use]
    pub fn commands(&self) -> u64 {
        self.commands
    }

    /// The blocks of MULTI that ended before that place.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Fills the chunk with the next commands; what it held before is forgotten. It may hold none
    /// although there are more.
    ///
    /// # Errors
    /// [`Error::Corrupt`] at the first byte that cannot be where it is, once every whole command
    /// before it (and before the block it stands in) has been given out; [`Error::Io`]. A further
    /// call fails in the same way.
    pub fn read(&mut self, chunk: &mut Chunk) -> Result<Step, Error> {
        chunk.begin(self.offset, self.commands, self.chunk_bytes);
        if self.offset >= self.size {
            return Ok(Step::End(End::Clean));
        }
        let mut wanted = self.chunk_bytes;
        loop {
            self.fill(chunk, wanted)?;
            let parsed = self.parse(chunk);
            let given = parsed.given;
            if given.start > 0 {
                self.offset += given.start as u64;
                self.commands += u64::from(given.numbers);
                self.blocks += given.blocks;
                self.in_block = parsed.is_in_block;
                chunk.end = self.offset;
                return Ok(Step::Commands);
            }
            let is_end = chunk.offset + chunk.input().len() as u64 == self.size;
            match (parsed.stop.why, parsed.is_open) {
                (Why::Fault(fault), _) => return self.faulty(chunk, &parsed.stop, fault),
                _ if is_end => return self.torn(chunk, &parsed),
                (_, true) => return self.look_through(chunk),
                (Why::Unfinished(needed), false) => {
                    wanted = needed.max(chunk.input().len().saturating_mul(2));
                }
                // Of bytes without a fault, some are parsed or an item is unfinished.
                (Why::Boundary, false) => return Ok(Step::End(End::Clean)),
            }
        }
    }

    /// Finds the whole items of the chunk.
    fn parse(&self, chunk: &mut Chunk) -> Parsed {
        chunk.restart();
        let Chunk { room, filled, batch, places, .. } = chunk;
        let input = &room[..*filled];
        let mut parser = Parser {
            done: Mark { start: 0, commands: 0, numbers: 0, blocks: 0 },
            open: None,
            in_block: self.in_block,
            known: self.known,
        };
        let why = loop {
            if parser.done.start == input.len() {
                break Why::Boundary;
            }
            match format::item(input, parser.done.start, batch) {
                Ok(Item::Annotation(end)) => parser.done.start = end,
                Ok(Item::Command(end)) => {
                    batch.finish_command();
                    if let Err(reason) = parser.command(input, end, batch, places) {
                        break Why::Fault(Fault { at: parser.done.start, reason });
                    }
                }
                Ok(Item::Unfinished(needed)) => break Why::Unfinished(needed),
                Err(fault) => break Why::Fault(fault),
            }
        };
        let given = parser.open.unwrap_or(parser.done);
        batch.truncate(given.commands);
        places.truncate(given.commands);
        Parsed {
            given,
            is_in_block: parser.in_block && parser.open.is_none(),
            is_open: parser.open.is_some(),
            stop: Stop { item: parser.done.start, numbers: parser.done.numbers, why },
        }
    }

    /// Looks for the EXEC of the block at the reader's place and enters the block when there is
    /// one.
    fn look_through(&mut self, chunk: &mut Chunk) -> Result<Step, Error> {
        let (offset, commands, blocks) = (self.offset, self.commands, self.blocks);
        self.enter_block();
        let found = loop {
            match self.read(chunk) {
                Ok(Step::Commands) if self.blocks > blocks => break Ok(None),
                Ok(Step::Commands) => {}
                Ok(Step::End(end)) => break Ok(Some(end)),
                Err(error) => break Err(error),
            }
        };
        let whole = self.commands - commands - 1;
        (self.offset, self.commands, self.blocks) = (offset, commands, blocks);
        self.in_block = false;
        match found {
            Ok(None) => {
                self.enter_block();
                chunk.begin(self.offset, self.commands, self.chunk_bytes);
                Ok(Step::Commands)
            }
            Ok(Some(end)) => {
                chunk.begin(self.offset, self.commands, self.chunk_bytes);
                let part = match end {
                    End::Torn(Torn { part: TornPart::Zeros, .. }) => TornPart::Zeros,
                    _ => TornPart::Block { commands: whole },
                };
                Ok(self.torn_here(part))
            }
            Err(Error::Corrupt(corrupt)) => {
                Err(Error::Corrupt(Corrupt { valid: self.offset, ..corrupt }))
            }
            Err(error) => Err(error),
        }
    }

    /// Steps over the MULTI at the reader's place.
    fn enter_block(&mut self) {
        self.offset += MULTI_BYTES;
        self.commands += 1;
        self.in_block = true;
    }

    /// The log ends inside what begins at the reader's place, and all of that is in the chunk.
    fn torn(&self, chunk: &mut Chunk, parsed: &Parsed) -> Result<Step, Error> {
        if let Why::Unfinished(_) = parsed.stop.why {
            let unfinished = &chunk.input()[parsed.stop.item..];
            if holds_commands(unfinished, self.known) {
                let at = parsed.stop.item;
                return self.corrupt(
                    chunk,
                    &parsed.stop,
                    Fault { at, reason: Reason::HoldsCommands },
                );
            }
        }
        let part = match parsed.is_open {
            // Without the MULTI.
            true => TornPart::Block { commands: u64::from(parsed.stop.numbers) - 1 },
            false => TornPart::Command,
        };
        chunk.restart();
        Ok(self.torn_here(part))
    }

    fn torn_here(&self, part: TornPart) -> Step {
        let bytes = self.size - self.offset;
        Step::End(End::Torn(Torn { offset: self.offset, bytes, part }))
    }

    /// A fault in what begins at the reader's place.
    fn faulty(&self, chunk: &Chunk, stop: &Stop, fault: Fault) -> Result<Step, Error> {
        match self.is_zeros_from(self.offset + fault.at as u64)? {
            true => Ok(self.torn_here(TornPart::Zeros)),
            false => self.corrupt(chunk, stop, fault),
        }
    }

    fn corrupt(&self, chunk: &Chunk, stop: &Stop, fault: Fault) -> Result<Step, Error> {
        Err(Error::Corrupt(Corrupt {
            path: self.path.clone(),
            offset: self.offset + fault.at as u64,
            command: self.commands + u64::from(stop.numbers) + 1,
            valid: self.offset,
            reason: fault.reason,
            name: match fault.reason {
                Reason::UnknownCommand => name_at(chunk.input(), stop.item),
                _ => String::new(),
            },
        }))
    }

    /// Whether there is nothing but NUL bytes from a place of the file to its end.
    fn is_zeros_from(&self, offset: u64) -> Result<bool, Error> {
        let mut piece = Chunk::new();
        let mut at = offset;
        while at < self.size {
            piece.begin(at, 0, ZEROS_PIECE_BYTES);
            self.fill(&mut piece, ZEROS_PIECE_BYTES)?;
            if piece.input().iter().any(|&byte| byte != 0) {
                return Ok(false);
            }
            at += piece.input().len() as u64;
        }
        Ok(true)
    }

    /// Fills the chunk with so many bytes, or as many as there are.
    fn fill(&self, chunk: &mut Chunk, wanted: usize) -> Result<(), Error> {
        let left = usize::try_from(self.size - chunk.offset).unwrap_or(usize::MAX);
        chunk.fill(&self.file, wanted.min(left)).map_err(Error::io("read", &self.path))
    }
}

/// The parser's way through one chunk.
struct Parser {
    /// What has been parsed.
    done: Mark,
    /// What had been parsed in front of the MULTI of a block whose EXEC has not been seen.
    open: Option<Mark>,
    /// Whether a block has begun, in this chunk or before it.
    in_block: bool,
    known: Known,
}

impl Parser {
    /// Takes the last command of the batch, which ends before `end`; a MULTI or EXEC is taken out
    /// of the batch. An error leaves the parser as it was.
    #[inline]
    fn command(
        &mut self,
        input: &[u8],
        end: usize,
        batch: &mut Batch,
        places: &mut Vec<RelativePlace>,
    ) -> Result<(), Reason> {
        let kind = kind(&batch.args(self.done.commands, input), self.known)?;
        match kind {
            Kind::Other => {
                // A chunk ends within 4 GiB, and has fewer commands than bytes.
                let start = self.done.start as u32;
                places.push(RelativePlace { start, number: self.done.numbers + 1 });
                self.done.commands += 1;
            }
            Kind::Multi if self.in_block => return Err(Reason::NestedMulti),
            Kind::Multi => {
                self.open = Some(self.done);
                self.in_block = true;
                batch.truncate(self.done.commands);
            }
            Kind::Exec if !self.in_block => return Err(Reason::ExecWithoutMulti),
            Kind::Exec => {
                self.open = None;
                self.in_block = false;
                self.done.blocks += 1;
                batch.truncate(self.done.commands);
            }
        }
        self.done.numbers += 1;
        self.done.start = end;
        Ok(())
    }
}

#[inline]
fn kind(args: &Args<'_>, known: Known) -> Result<Kind, Reason> {
    let name = args.name();
    let kind = match name.len() {
        4 if name.eq_ignore_ascii_case(b"exec") => Kind::Exec,
        5 if name.eq_ignore_ascii_case(b"multi") => Kind::Multi,
        _ if known(name) => return Ok(Kind::Other),
        _ => return Err(Reason::UnknownCommand),
    };
    match args.len() {
        1 => Ok(kind),
        _ => Err(Reason::BlockArguments),
    }
}

/// The name of the command that begins at `start`, to be shown.
fn name_at(input: &[u8], start: usize) -> String {
    let mut batch = Batch::new();
    if !matches!(format::item(input, start, &mut batch), Ok(Item::Command(_))) {
        return String::new();
    }
    batch.finish_command();
    let name = batch.args(0, input).name();
    name[..name.len().min(NAME_SHOWN_MAX_BYTES)].escape_ascii().to_string()
}

/// Whether a whole command begins at some line of an unfinished command. Every place that may be
/// one is tried, and almost all fail at their second byte.
fn holds_commands(unfinished: &[u8], known: Known) -> bool {
    let mut batch = Batch::new();
    memmem::find_iter(unfinished, b"\r\n*").any(|line_end| {
        batch.clear();
        let is_command =
            matches!(format::item(unfinished, line_end + 2, &mut batch), Ok(Item::Command(_)));
        batch.finish_command();
        is_command && kind(&batch.args(0, unfinished), known).is_ok()
    })
}
