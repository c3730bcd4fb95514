//! From entries of the ring to the commands of the file.
//!
//! An entry names a table; a command of the file acts on the selected database. So the translator
//! knows which database each place belongs to ([`Logged::Swap`] exchanges two) and which database
//! the file has selected, and writes SELECT when the next command is for another. It also knows the
//! number of each place's living table, and drops what still comes for one that is flushed.
//!
//! What has happened at one instant ([`Logged::Block`]) stands between MULTI and EXEC; if only one
//! command is left of it, that is written alone.

use super::pending::Output;
use crate::store::{Block, Effect, Logged};
use bytes::Bytes;

/// Whose a place is, and the number of its living table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Place {
    database: u64,
    table: u64,
}

/// The places of all databases at one ticket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Places {
    places: Vec<Place>,
}

impl Places {
    /// Each place belongs to the database of its number and has its first table.
    pub fn new(databases: u64) -> Self {
        Self::in_order((0..databases).map(|place| (place, place)))
    }

    /// For each place its database and the number of its table, as replay has left them.
    pub fn in_order(places: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let places = places.into_iter().map(|(database, table)| Place { database, table });
        Self { places: places.collect() }
    }

    /// For each place its database and the number of its living table.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.places.iter().map(|place| (place.database, place.table))
    }

    fn databases(&self) -> u64 {
        self.places.len() as u64
    }

    /// The place of a table that still lives.
    #[inline]
    fn living(&mut self, table: u64) -> Option<&mut Place> {
        let place = table.checked_rem(self.databases())?;
        let place = &mut self.places[place as usize];
        (table >= place.table).then_some(place)
    }

    /// Exchanges the places of two databases; false when there are no such two.
    fn swap(&mut self, one: u64, other: u64) -> bool {
        let place_of = |database| self.places.iter().position(|place| place.database == database);
        let (Some(first), Some(second)) = (place_of(one), place_of(other)) else {
            return false;
        };
        self.places[first].database = other;
        self.places[second].database = one;
        true
    }
}

/// What became of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub(super) enum Translated {
    /// It is in the output, or nothing was to be written.
    Done,
    /// Somebody waits for this place.
    Mark,
}

/// A command of the file, for the database it acts on.
enum Command<'e> {
    Key { database: u64, key: &'e [u8], effect: Effect<'e>, shared: Option<&'e Bytes> },
    Flush { database: u64 },
    Swap(u64, u64),
}

/// Writes entries as commands.
#[derive(Debug)]
pub(super) struct Translator {
    places: Places,
    /// The database that the file has selected.
    selected: Option<u64>,
}

impl Translator {
    pub(super) fn new(places: Places) -> Self {
        Self { places, selected: None }
    }

    /// One that is told the database of each key, for [`write_key`](Translator::write_key) only.
    pub(super) fn for_dump() -> Self {
        Self::new(Places::new(0))
    }

    /// Writes the command that has this effect on a key of a database.
    pub(super) fn write_key(
        &mut self,
        database: u64,
        key: &[u8],
        effect: Effect<'_>,
        shared: Option<&Bytes>,
        output: &mut Output,
    ) {
        self.select(database, output.open());
        write_effect(key, effect, shared, output);
    }

    /// The places after everything translated so far.
    pub(super) fn places(&self) -> &Places {
        &self.places
    }

    /// The next command is preceded by a SELECT.
    pub(super) fn select_again(&mut self) {
        self.selected = None;
    }

    /// Writes the command of an entry, or the commands. `shared` is the buffer that its value may
    /// lie in; a block knows those of its own.
    #[inline]
    pub(super) fn write(
        &mut self,
        entry: &Logged<'_>,
        shared: Option<&Bytes>,
        output: &mut Output,
    ) -> Translated {
        match *entry {
            Logged::Block(block) => self.write_block(block, output),
            Logged::Mark => {
                self.select_again();
                return Translated::Mark;
            }
            _ => {
                if let Some(command) = self.command(entry, shared) {
                    self.write_command(&command, output);
                }
            }
        }
        Translated::Done
    }

    /// Takes note of what an entry does to databases and tables, and writes nothing.
    pub(super) fn follow(&mut self, entry: &Logged<'_>) {
        match *entry {
            Logged::Block(mut block) => {
                while let Some((entry, _)) = block.next_part() {
                    self.command(&entry, None);
                }
            }
            _ => drop(self.command(entry, None)),
        }
    }

    /// Writes the commands of a block. The first one is held back until there is a second.
    fn write_block(&mut self, mut block: Block<'_>, output: &mut Output) {
        let mut first = None;
        let mut is_open = false;
        while let Some((entry, shared)) = block.next_part() {
            let Some(command) = self.command(&entry, shared) else {
                continue;
            };
            if !is_open {
                let Some(first) = first.take() else {
                    first = Some(command);
                    continue;
                };
                is_open = true;
                output.open().extend_from_slice(b"*1\r\n$5\r\nMULTI\r\n");
                self.write_command(&first, output);
            }
            self.write_command(&command, output);
            output.part_ended();
        }
        match first {
            Some(only) => self.write_command(&only, output),
            None if is_open => output.open().extend_from_slice(b"*1\r\n$4\r\nEXEC\r\n"),
            None => {}
        }
    }

    /// What is to be written for an entry that is neither a block nor a mark, if anything. The
    /// places are then as it has left them.
    #[inline]
    fn command<'e>(
        &mut self,
        entry: &Logged<'e>,
        shared: Option<&'e Bytes>,
    ) -> Option<Command<'e>> {
        match *entry {
            Logged::Key { table, key, effect } => {
                let database = self.places.living(table)?.database;
                Some(Command::Key { database, key, effect, shared })
            }
            Logged::Flush(table) => {
                let databases = self.places.databases();
                let place = self.places.living(table)?;
                place.table = table + databases;
                Some(Command::Flush { database: place.database })
            }
            Logged::Swap(one, other) => {
                self.places.swap(one, other).then_some(Command::Swap(one, other))
            }
            Logged::Mark | Logged::Block(_) => None,
        }
    }

    #[inline]
    fn write_command(&mut self, command: &Command<'_>, output: &mut Output) {
        match *command {
            Command::Key { database, key, effect, shared } => {
                self.select(database, output.open());
                write_effect(key, effect, shared, output);
            }
            Command::Flush { database } => {
                let open = output.open();
                self.select(database, open);
                open.extend_from_slice(b"*1\r\n$7\r\nFLUSHDB\r\n");
            }
            Command::Swap(one, other) => {
                let open = output.open();
                open.extend_from_slice(b"*3\r\n$6\r\nSWAPDB\r\n");
                number(open, one);
                number(open, other);
            }
        }
    }

    #[inline]
    fn select(&mut self, database: u64, open: &mut Vec<u8>) {
        if self.selected != Some(database) {
            self.selected = Some(database);
            open.extend_from_slice(b"*2\r\n$6\r\nSELECT\r\n");
            number(open, database);
        }
    }
}

#[inline]
fn write_effect(key: &[u8], effect: Effect<'_>, shared: Option<&Bytes>, output: &mut Output) {
    let open = output.open();
    match effect {
        Effect::Set(value, deadline) => {
            match deadline {
                None => open.extend_from_slice(b"*3\r\n$3\r\nSET\r\n"),
                Some(_) => open.extend_from_slice(b"*5\r\n$3\r\nSET\r\n"),
            }
            bulk(open, key);
            write_value(value, shared, output);
            if let Some(deadline) = deadline {
                let open = output.open();
                open.extend_from_slice(b"$4\r\nPXAT\r\n");
                number(open, deadline);
            }
        }
        Effect::Append(value) => {
            open.extend_from_slice(b"*3\r\n$6\r\nAPPEND\r\n");
            bulk(open, key);
            write_value(value, shared, output);
        }
        Effect::Range(offset, value) => {
            open.extend_from_slice(b"*4\r\n$8\r\nSETRANGE\r\n");
            bulk(open, key);
            number(open, offset);
            write_value(value, shared, output);
        }
        Effect::Add(delta) => {
            open.extend_from_slice(b"*3\r\n$6\r\nINCRBY\r\n");
            bulk(open, key);
            bulk(open, itoa::Buffer::new().format(delta).as_bytes());
        }
        Effect::Expire(deadline) => {
            open.extend_from_slice(b"*3\r\n$9\r\nPEXPIREAT\r\n");
            bulk(open, key);
            number(open, deadline);
        }
        Effect::Persist => {
            open.extend_from_slice(b"*2\r\n$7\r\nPERSIST\r\n");
            bulk(open, key);
        }
        Effect::Remove => {
            open.extend_from_slice(b"*2\r\n$3\r\nDEL\r\n");
            bulk(open, key);
        }
    }
}

/// Bytes of a value above which its buffer is written as it is instead of being copied: a copy of
/// so many costs about as much as a write of its own.
const SHARED_BYTES_MIN: usize = 16 * 1024;

/// A value; one that lies in `shared` and is long is not copied.
#[inline]
fn write_value(value: &[u8], shared: Option<&Bytes>, output: &mut Output) {
    match shared {
        Some(shared) if value.len() >= SHARED_BYTES_MIN => {
            let open = output.open();
            header(open, value.len());
            let (inside, outside) = (value.as_ptr_range(), shared.as_ptr_range());
            if outside.start <= inside.start && inside.end <= outside.end {
                output.splice(shared.slice_ref(value));
            } else {
                open.extend_from_slice(value);
            }
            output.open().extend_from_slice(b"\r\n");
        }
        _ => bulk(output.open(), value),
    }
}

/// A bulk string.
#[inline]
fn bulk(open: &mut Vec<u8>, bytes: &[u8]) {
    // One look at the room for all parts.
    open.reserve(bytes.len() + HEADER_BYTES_MAX + 2);
    header(open, bytes.len());
    open.extend_from_slice(bytes);
    open.extend_from_slice(b"\r\n");
}

/// The longest header of a bulk string: a dollar, a number of ten digits, a line end.
const HEADER_BYTES_MAX: usize = 13;

/// The headers of short bulk strings, each with its length in the last byte.
static HEADERS: [[u8; 8]; 1000] = headers();

const fn headers() -> [[u8; 8]; 1000] {
    let mut headers = [[0; 8]; 1000];
    let mut number = 0;
    while number < headers.len() {
        let digits = if number < 10 {
            1
        } else if number < 100 {
            2
        } else {
            3
        };
        let header = &mut headers[number];
        header[0] = b'$';
        let (mut rest, mut at) = (number, digits);
        while at > 0 {
            header[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            at -= 1;
        }
        header[digits + 1] = b'\r';
        header[digits + 2] = b'\n';
        header[7] = digits as u8 + 3;
        number += 1;
    }
    headers
}

/// The header of a bulk string: its length.
#[inline]
fn header(open: &mut Vec<u8>, length: usize) {
    match HEADERS.get(length) {
        Some(header) => open.extend_from_slice(&header[..header[7].into()]),
        None => {
            open.push(b'$');
            open.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
            open.extend_from_slice(b"\r\n");
        }
    }
}

/// A bulk string of decimal digits.
#[inline]
fn number(open: &mut Vec<u8>, value: u64) {
    bulk(open, itoa::Buffer::new().format(value).as_bytes());
}
