//! How far a batch has come, and what keeps it from going on.

use std::time::Instant;

/// Where in a batch to go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The command.
    pub command: usize,
    /// Whether part of it is done.
    pub is_begun: bool,
}

impl Position {
    /// The start of a command.
    pub(super) fn at(command: usize) -> Position {
        Position { command, ..Position::default() }
    }
}

/// How a call of `Engine::execute` ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Progress {
    /// All commands of the batch are done.
    Done,
    /// Write out the replies there are (there may be none), let other connections have a turn, then
    /// call again with this position and the same batch and input.
    Flush(Position),
    /// Write out the replies there are (there may be none), wait for this, then call again with
    /// this position and the same batch and input.
    Stall(Position, Awaited),
    /// Write out the replies, then close the connection. The rest of the batch is void.
    Close,
}

/// What a batch waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// Room in the log, or its refusal.
    Room,
    /// That no other client has all out.
    Turn,
    /// That this client has all out.
    Exclusion,
    /// That the clients that were told to wait may go on.
    Pause,
    /// A moment. A client that has all out keeps them out until then.
    Moment(Instant),
    /// A moment that comes soon, to see whether another thread has done what it was asked for. A
    /// client that goes does not end that.
    Look(Instant),
}
