//! MONITOR: every command that is run, shown to those who ask for it.
//!
//! A line is made when the command has run, goes to the workers of the monitors like a message
//! (module `pubsub`), and comes behind the replies that are written there. Commands that administer
//! the server are not shown, and no passwords. While there is no monitor a window of commands costs
//! one load.

use std::fmt;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use super::client::Client;
use super::context::Context;
use super::outbox::Outgoing;
use super::post::Message;
use super::pubsub::{Listener, divide};
use super::redact::shown_arguments;
use super::refusal::Refusal;
use super::row::{Flags, Handler, Outcome, Row};
use crate::memory::{Counted, Kind, taken};
use crate::resp::{Args, ReplyBuffer};
use crate::sync::plain::{AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(super) static ROWS: [Row; 1] = [Row {
    name: "monitor",
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    summary: "Shows every command that is run, as it comes",
    handler: Handler::Plain(monitor),
    ..Row::BASE
}];

/// The clients that are shown all commands.
#[derive(Debug, Default)]
pub struct Monitors {
    count: AtomicU64,
    /// A lock, which is taken only while there are monitors.
    all: Mutex<Vec<Listener>>,
}

impl Monitors {
    /// Whether there are any.
    #[inline]
    pub(super) fn is_watched(&self) -> bool {
        // Relaxed: whoever has seen MONITOR's reply and sends a command then is seen by the worker
        // that reads it, by way of the kernel (as for `pubsub::Registry`).
        self.count.load(Ordering::Relaxed) > 0
    }

    fn enter(self: &Arc<Monitors>, listener: Listener) -> Monitoring {
        let mut all = self.all();
        all.push(listener);
        // Relaxed: see `is_watched`.
        self.count.store(all.len() as u64, Ordering::Relaxed);
        Monitoring { monitors: Arc::clone(self), listener }
    }

    fn leave(&self, listener: Listener) {
        let mut all = self.all();
        all.retain(|it| *it != listener);
        self.count.store(all.len() as u64, Ordering::Relaxed);
    }

    fn all(&self) -> MutexGuard<'_, Vec<Listener>> {
        // A panic cannot leave the list half changed.
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One monitor's entry. It goes with the client.
pub(super) struct Monitoring {
    monitors: Arc<Monitors>,
    listener: Listener,
}

impl Drop for Monitoring {
    fn drop(&mut self) {
        self.monitors.leave(self.listener);
    }
}

impl fmt::Debug for Monitoring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitoring").finish_non_exhaustive()
    }
}

fn monitor<'a>(context: &mut Context<'_>, _: &Args<'a>) -> Outcome<'a> {
    if context.alone {
        // Within EXEC.
        return Err(Refusal::Text("ERR MONITOR isn't allowed for DENY BLOCKING client"));
    }
    // As in Redis a second one has no reply.
    if !context.client.is_monitor() {
        let listener = Listener { worker: context.worker, client: context.client.id };
        context.client.monitoring = Some(context.state.monitors.enter(listener));
        context.needs_care = true;
        context.out.ok();
    }
    Ok(())
}

/// Shows a command that has run to the monitors, if there are any.
#[inline]
pub(super) fn show(context: &mut Context<'_>, row: &Row, args: &Args<'_>) {
    if context.state.monitors.is_watched() {
        write_line(context, row, args);
    }
}

#[cold]
fn write_line(context: &mut Context<'_>, row: &Row, args: &Args<'_>) {
    if row.flags.contains(Flags::ADMIN) || row.name == "quit" {
        return;
    }
    let line = Arc::new(Line::new(context.client, args));
    let mut deliveries = Vec::new();
    divide(&context.state.monitors.all(), line, &mut deliveries);
    context.outbox.push(Outgoing::Line(deliveries));
}

/// One command, as monitors are shown it.
struct Line {
    text: Vec<u8>,
    _counted: Counted,
}

impl Line {
    fn new(client: &Client, args: &Args<'_>) -> Line {
        // Before 1970 there was no time.
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (seconds, micros) = (time.as_secs(), time.subsec_micros());
        let database = client.database;
        let (peer, start) = (&client.peer, format!("+{seconds}.{micros:06} [{database} "));
        let place = match peer.is_unix {
            true => format!("unix:{}]", peer.socket_file()),
            false => format!("{}]", peer.address),
        };
        let mut text = [start, place].concat().into_bytes();
        for argument in shown_arguments(args) {
            text.push(b' ');
            quote(argument, &mut text);
        }
        text.extend_from_slice(b"\r\n");
        let mut counted = Counted::new(Kind::Clients);
        counted.set(taken(text.capacity()) + taken(size_of::<Line>()));
        Line { text, _counted: counted }
    }
}

impl Message for Line {
    fn write(&self, client: &mut Client, out: &mut ReplyBuffer) {
        // As in Redis these are replies, which a client may not want.
        if client.is_monitor() && !client.wants_silence() {
            out.raw(&self.text);
        }
    }

    fn bytes(&self) -> usize {
        self.text.len()
    }
}

/// Adds an argument in quotes, with everything that is not printable ASCII escaped.
fn quote(argument: &[u8], text: &mut Vec<u8>) {
    text.push(b'"');
    for &byte in argument {
        match byte {
            b'\\' | b'"' => text.extend_from_slice(&[b'\\', byte]),
            b'\n' => text.extend_from_slice(b"\\n"),
            b'\r' => text.extend_from_slice(b"\\r"),
            b'\t' => text.extend_from_slice(b"\\t"),
            0x07 => text.extend_from_slice(b"\\a"),
            0x08 => text.extend_from_slice(b"\\b"),
            b' '..=b'~' => text.push(byte),
            // A vector takes everything.
            _ => drop(write!(text, "\\x{byte:02x}")),
        }
    }
    text.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_quoted_as_redis_does() {
        let mut text = Vec::new();
        quote(b"a b\"\\\n\r\t\x07\x08\x00\x7f\xff~", &mut text);
        assert_eq!(text, br#""a b\"\\\n\r\t\a\b\x00\x7f\xff~""#);
    }
}
