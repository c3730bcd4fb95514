//! What a handler works with.

use bytes::Bytes;

use super::client::Client;
use super::outbox::Outgoing;
use super::persistence::Stage;
use super::queue::Queue;
use super::refusal::Refusal;
use super::row::Row;
use super::setbacks::Setbacks;
use super::state::ServerState;
use super::timing::Timing;
use crate::config::EventClasses;
use crate::record::parse_canonical;
use crate::resp::{Args, LARGE_ARG, ReplyBuffer};
use crate::store::{Attendance, Database, Evictor, MAX_LENGTH, NewValue, Session, Value};

/// The surroundings of a command while its batch runs: made once per batch.
pub(super) struct Context<'e> {
    /// What all workers share.
    pub(super) state: &'e ServerState,
    /// The client's selected database.
    pub(super) database: Database<'e>,
    /// The batch's pin on the store's memory, renewed between commands and between keys.
    pub(super) session: Session<'e>,
    /// The batch's presence among those that one client may have out; none in a replay.
    pub(super) attendance: Option<&'e Attendance<'e>>,
    /// The connection that sent the batch.
    pub(super) client: &'e mut Client,
    /// The replies.
    pub(super) out: &'e mut ReplyBuffer,
    /// A queue without commands, for the next MULTI.
    pub(super) spare_queue: &'e mut Option<Box<Queue>>,
    /// What to ask before a command runs.
    pub(super) stage: Stage,
    /// Whether nobody else can see what happens, so that no transaction is needed.
    pub(super) alone: bool,
    /// Whether the data takes more than `maxmemory`, although what could be evicted was.
    pub(super) is_out_of_memory: bool,
    /// Whether there is a bound to the memory.
    pub(super) is_bounded: bool,
    /// Makes room where there is one.
    pub(super) evictor: &'e mut Evictor,
    /// What the batch has counted so far.
    pub(super) counts: Counts,
    /// The number of the worker that runs it.
    pub(super) worker: usize,
    /// Which events of keys are told.
    pub(super) notifies: EventClasses,
    /// What is to be told when the command is done.
    pub(super) outbox: Vec<Outgoing>,
    /// Whether commands need more than to be run (module `care`).
    pub(super) needs_care: bool,
    /// What has gone wrong in the batch so far.
    pub(super) setbacks: Setbacks,
    /// How long the batch's commands take.
    pub(super) timing: Timing<'e>,
}

/// Counted in a batch; added to the worker's statistics at its end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Commands whose handlers ran, as Redis counts them.
    pub(super) commands: u64,
    /// Error replies.
    pub(super) errors: u64,
    /// Keys that a reading command found.
    pub(super) hits: u64,
    /// Keys that a reading command did not find.
    pub(super) misses: u64,
}

impl Counts {
    /// Notes whether a reading command found a key.
    #[inline]
    pub(super) fn look_up(&mut self, found: bool) {
        self.hits += u64::from(found);
        self.misses += u64::from(!found);
    }
}

impl Context<'_> {
    /// The bytes that a value may have.
    pub(super) fn value_limit(&self) -> usize {
        (self.state.tunables.proto_max_bulk_len_bytes.get() as usize).min(MAX_LENGTH)
    }

    /// A batch begins: what its client has wished for holds.
    #[inline]
    pub(super) fn begin(&mut self) {
        if self.client.reply_mode.is_any() {
            self.client.reply_mode.begin_batch(self.out);
        }
        if self.client.leaves_usage {
            self.session.leave_usage(true);
        }
    }

    /// Selects a database that there is.
    pub(super) fn select(&mut self, number: usize) {
        self.client.database = number;
        self.database = self.state.keyspace.database(number);
    }

    /// Has the connection closed after the reply that has just been written. Nothing that follows
    /// in the same EXEC is answered any more.
    pub(super) fn close_after_reply(&mut self) {
        self.client.close_after_reply = true;
        self.client.reply_mode.go_off(self.out);
    }

    /// Takes a queue that has done its work, for the next MULTI of whatever connection.
    pub(super) fn give_back(&mut self, mut queue: Box<Queue>) {
        queue.clear();
        *self.spare_queue = Some(queue);
    }

    /// Writes an error reply and counts it.
    #[cold]
    pub(super) fn refuse(&mut self, refusal: &Refusal<'_>) {
        let text = refusal.text();
        self.counts.errors += 1;
        self.setbacks.note_error(&text);
        self.out.error_bytes(&text);
    }

    /// Writes the error reply of a command that has run.
    #[cold]
    pub(super) fn fail(&mut self, row: &'static Row, refusal: &Refusal<'_>) {
        self.setbacks.fail(row);
        self.refuse(refusal);
    }

    /// Writes argument `index` as a bulk string; a large one is passed on without a copy.
    pub(super) fn echo(&mut self, args: &Args<'_>, index: usize) {
        match large(args, index) {
            Some(bytes) => self.out.bulk_large(bytes.clone()),
            None => self.out.bulk(args.get(index)),
        }
    }
}

/// Argument `index` as a value to store. A large argument has a buffer of its own already, which
/// becomes the value as it is.
#[inline]
pub(super) fn new_value<'a>(args: &Args<'a>, index: usize) -> NewValue<'a> {
    match large(args, index) {
        Some(bytes) => NewValue::Shared(bytes.clone()),
        None => NewValue::Copy(args.get(index)),
    }
}

#[inline]
pub(super) fn large<'a>(args: &Args<'a>, index: usize) -> Option<&'a Bytes> {
    // Shorter arguments never have a buffer of their own, and their length is at hand.
    if args.get(index).len() < LARGE_ARG {
        return None;
    }
    args.owned(index)
}

/// Calls `read` with the bytes of a value.
#[inline]
pub(super) fn with_bytes<T>(value: Value<'_>, read: impl FnOnce(&[u8]) -> T) -> T {
    match value {
        Value::Bytes(bytes) => read(bytes),
        Value::Integer(number) => read(itoa::Buffer::new().format(number).as_bytes()),
        Value::Large(large) => read(large.as_slice()),
    }
}

/// The decimal integer of 64 bits that an argument is.
pub(super) fn integer<'a>(text: &[u8]) -> Result<i64, Refusal<'a>> {
    parse_canonical(text).ok_or(Refusal::NotAnInteger)
}

/// The timeout in milliseconds that an argument is.
pub(super) fn timeout_ms<'a>(text: &[u8]) -> Result<u64, Refusal<'a>> {
    let timeout: i64 = parse_canonical(text)
        .ok_or(Refusal::Text("ERR timeout is not an integer or out of range"))?;
    u64::try_from(timeout).map_err(|_| Refusal::Text("ERR timeout is negative"))
}

/// The database whose number argument `index` gives.
pub(super) fn database_number<'a>(
    context: &Context<'_>,
    args: &Args<'a>,
    index: usize,
) -> Result<usize, Refusal<'a>> {
    let wanted = i32::try_from(integer(args.get(index))?)
        .map_err(|_| Refusal::NotWithin(i32::MIN.into(), i32::MAX.into()))?;
    let databases = context.state.keyspace.databases();
    let number = usize::try_from(wanted).ok().filter(|&number| number < databases);
    number.ok_or(Refusal::DatabaseOutOfRange)
}

/// Writes a stored value as a bulk string.
#[inline]
pub(super) fn write_value(out: &mut ReplyBuffer, value: &Value<'_>) {
    match value {
        Value::Bytes(bytes) => out.bulk(bytes),
        Value::Integer(number) => out.bulk_integer(*number),
        Value::Large(large) => out.bulk_large(large.to_bytes()),
    }
}
