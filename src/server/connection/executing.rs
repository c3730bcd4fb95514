//! What a connection has received: decoded, and run by the worker's engine.

use std::panic::{AssertUnwindSafe, catch_unwind};

use log::{debug, error};

use super::Connection;
use crate::commands::{Position, Progress};
use crate::resp::{ProtocolError, ReplyBuffer};
use crate::server::desk::Desk;
use crate::server::stages::{Running, Then};

/// Commands decoded into one batch: enough for any usual pipeline, and few enough that the spans
/// of their arguments stay in the first-level cache with the input.
const BATCH_COMMANDS_MAX: usize = 1024;

/// Batches executed before their replies are sent. One `recv` of the shortest commands
/// makes about five; a buffer that has grown for a giant command could hold thousands.
const BATCHES_MAX: usize = 8;

/// Replies, in bytes, after which no further batch is begun before they are sent.
pub(super) const REPLIES_SOFT_LIMIT_BYTES: usize = crate::commands::OUTPUT_SOFT_LIMIT;

impl Connection {
    /// Decodes and executes what the input holds.
    pub(super) fn execute(&mut self, desk: &mut Desk) -> Then {
        for _ in 0..BATCHES_MAX {
            let mut running = match self.running.take() {
                Some(running) => running,
                None => match self.decode(desk) {
                    Ok(running) => running,
                    Err(error) => return self.refuse(error, &mut desk.replies),
                },
            };
            let progress = self.execute_batch(running.at, desk);
            self.unsent.add(running.at, progress, desk.batch.len());
            // There is no saying which replies were not wanted.
            self.unsent.has_part |= self.client.take_muted();
            match progress {
                Progress::Done => {
                    let has_owned = desk.batch.has_owned();
                    desk.batch.clear();
                    if has_owned {
                        // Buffers that were counted here have become values, counted there.
                        self.count();
                    }
                    desk.input.consume(running.consumed);
                }
                Progress::Flush(at) => {
                    running.at = at;
                    self.running = Some(running);
                    return Then::Execute;
                }
                Progress::Stall(at, awaited) => {
                    running.at = at;
                    self.running = Some(running);
                    return Then::Stall(awaited);
                }
                Progress::Close => return Then::Close,
            }
            if !running.more {
                return Then::Receive;
            }
            if desk.replies.len() >= REPLIES_SOFT_LIMIT_BYTES {
                break;
            }
        }
        Then::Execute
    }

    fn decode(&mut self, desk: &mut Desk) -> Result<Running, ProtocolError> {
        let input = desk.input.pending();
        // Once a batch: the limits may have changed, and so may what the client is.
        let is_stranger = self.client.is_stranger(self.worker.state());
        self.decoder.set_limits(self.worker.limits(), is_stranger);
        let commands_max = if is_stranger { 1 } else { BATCH_COMMANDS_MAX };
        let decoded = self.decoder.decode(input, &mut desk.batch, commands_max)?;
        desk.input.drop_tail(decoded.moved);
        Ok(Running { at: Position::default(), consumed: decoded.consumed, more: decoded.more })
    }

    /// Runs the engine. A panic in a command costs this connection, and nothing else.
    fn execute_batch(&mut self, at: Position, desk: &mut Desk) -> Progress {
        if desk.batch.is_empty() {
            return Progress::Done;
        }
        let mut engine = self.worker.engine();
        let input = desk.input.pending();
        let result = catch_unwind(AssertUnwindSafe(|| {
            engine.execute(&mut self.client, &desk.batch, input, at, &mut desk.replies)
        }));
        self.exposed = self.exposed.max(engine.take_exposed());
        match result {
            Ok(progress) => progress,
            Err(_logged) => {
                let first = desk.batch.args(at.command, input).name();
                error!(
                    "client {}: a command failed by a panic, closing the connection; the batch \
                     begins with '{}' ({} commands)",
                    self.client.id,
                    first.escape_ascii(),
                    desk.batch.len() - at.command,
                );
                *desk = Desk::new();
                self.client.give_back_exclusion();
                // What it has changed before is written although it waits for nothing.
                engine.wake_log();
                Progress::Close
            }
        }
    }

    /// Puts the log's refusal in the place of all replies: what they tell of cannot be kept now.
    pub(super) fn withhold(&mut self, text: &str, replies: &mut ReplyBuffer) {
        replies.clear();
        for _ in 0..self.unsent.whole {
            replies.error(text);
        }
        self.worker.engine().count_errors(text, self.unsent.whole as u64);
        self.exposed = 0;
    }

    /// Answers a stream that cannot be followed any further.
    fn refuse(&self, error: ProtocolError, replies: &mut ReplyBuffer) -> Then {
        debug!("client {}: protocol error: {error}", self.client.id);
        self.worker.engine().count_errors("ERR", 1);
        if !self.client.wants_silence() {
            error.reply(replies);
        }
        Then::Close
    }
}
