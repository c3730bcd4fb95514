//! What a connection is at: the stages it goes through, and what it keeps between them.

use crate::commands::{Awaited, Position, Progress};

/// What a connection does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Wait for bytes.
    Receive,
    /// Decode and execute what has been received.
    Execute,
    /// Wait until the replies may be sent, then send them.
    Await(Then),
    /// Send the replies, then go on.
    Send(Then),
    /// Wait for a moment, then execute.
    Doze,
}

/// What follows when all replies are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// Every complete command is answered.
    Receive,
    /// There is more to execute; the other connections come first.
    Execute,
    /// There is more to execute when this has come.
    Stall(Awaited),
    /// The wait for a moment goes on.
    Doze,
    /// This was the last reply.
    Close,
}

/// How a turn ended, if not by waiting for the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The others come next, then it goes on.
    Yield,
    /// The connection is closed.
    Close,
}

/// A batch that is decoded and not fully executed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Running {
    /// Where to go on.
    pub(super) at: Position,
    /// Bytes of the input to drop when the batch is done.
    pub(super) consumed: usize,
    /// Whether the input holds more to decode.
    pub(super) more: bool,
}

/// Replies that are written and not sent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unsent {
    /// How many, as far as they are whole.
    pub(super) whole: usize,
    /// Whether there may also be a part of one.
    pub(super) has_part: bool,
}

impl Unsent {
    /// Adds the replies of a batch of so many commands that was executed from `at` on.
    pub(super) fn add(&mut self, at: Position, progress: Progress, commands: usize) {
        let end = match progress {
            Progress::Done => Position { command: commands, ..Position::default() },
            Progress::Flush(next) | Progress::Stall(next, _) => next,
            // The last reply, and no saying how many came before.
            Progress::Close => Position { is_begun: true, ..at },
        };
        self.whole += end.command - at.command;
        self.has_part |= at.is_begun || end.is_begun;
    }
}
