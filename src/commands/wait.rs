//! WAIT: how many replicas have what this connection has written, which none ever has.
//!
//! So whoever asks for at least one waits for the whole time given, as with a redis-server that has
//! no replicas, and is told 0. It waits by a timer of its connection; the worker serves the others
//! meanwhile. Another client may end the wait (CLIENT UNBLOCK). Inside EXEC nobody waits.

use std::time::{Duration, Instant};

use super::context::{Context, integer, timeout_ms};
use super::long::Work;
use super::peers::Unblocked;
use super::progress::Awaited;
use super::refusal::Refusal;
use super::row::{Argument, ArgumentKind, Categories, Flags, Handler, Row};
use crate::resp::Args;

/// A timeout that no connection outlives; a timer cannot count much further.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

pub(super) static ROWS: [Row; 1] = [Row {
    name: "wait",
    arity: 3,
    flags: Flags::NOSCRIPT,
    categories: Categories::CONNECTION,
    group: "generic",
    since: "3.0.0",
    summary: "Waits until replicas have what this connection wrote; there are none",
    tips: &["request_policy:all_shards", "response_policy:agg_min"],
    arguments: &[
        Argument::new("numreplicas", ArgumentKind::Integer),
        Argument::new("timeout", ArgumentKind::Integer),
    ],
    handler: Handler::Work(wait),
    ..Row::BASE
}];

/// A client that waits.
#[derive(Debug)]
struct Waiting {
    until: Instant,
}

impl Work for Waiting {
    fn step(&mut self, context: &mut Context<'_>) -> bool {
        let wait = &context.client.peer.wait;
        if Instant::now() < self.until && wait.goes_on() {
            return false;
        }
        match wait.end() {
            Some(Unblocked::WithError) => {
                context.refuse(&Refusal::Text("UNBLOCKED client unblocked via CLIENT UNBLOCK"));
            }
            Some(Unblocked::AsByTime) | None => context.out.integer(0),
        }
        true
    }

    fn awaits(&self) -> Option<Awaited> {
        Some(Awaited::Moment(self.until))
    }

    fn hurry(&mut self) {
        self.until = Instant::now();
    }
}

fn wait<'a>(_: &mut Context<'_>, args: &Args<'a>) -> Result<Box<dyn Work>, Refusal<'a>> {
    let replicas = integer(args.get(1))?;
    let time = match (replicas, timeout_ms(args.get(2))?) {
        (..=0, _) => Duration::ZERO,
        (_, 0) => FOREVER,
        (_, timeout_ms) => Duration::from_millis(timeout_ms).min(FOREVER),
    };
    Ok(Box::new(Waiting { until: Instant::now() + time }))
}
