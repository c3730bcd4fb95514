//! Replication, which there is none of: REPLICAOF, SLAVEOF, ROLE, FAILOVER, REPLCONF, PSYNC, SYNC.
//!
//! The server is always a master without replicas, and answers as such a redis-server does. What
//! would make it follow another server, or another follow it, is refused in plain words.

use std::fmt;

use super::context::{Context, integer};
use super::refusal::Refusal;
use super::row::{Argument, ArgumentKind, Categories, Flags, Handler, Outcome, Row};
use super::state::random_id;
use crate::record::parse_canonical;
use crate::resp::Args;
use crate::sync::{Mutex, PoisonError};

/// The name of the history of the data, 40 hexadecimal digits, new in every run. Behind a lock: it
/// is asked for by INFO and changed by DEBUG.
pub struct ReplicationId(Mutex<String>);

impl Default for ReplicationId {
    fn default() -> ReplicationId {
        ReplicationId(Mutex::new(random_id()))
    }
}

impl ReplicationId {
    /// Takes another one.
    pub(super) fn change(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = random_id();
    }
}

impl fmt::Display for ReplicationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Put there as a whole, so a panic leaves one behind.
        f.write_str(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

const FOLLOWS: Row = Row {
    arity: 3,
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::STALE).and(Flags::NO_ASYNC_LOADING),
    summary: "Accepts NO ONE; another master is refused",
    arguments: &[Argument {
        parts: &[
            Argument {
                parts: &[
                    Argument::new("host", ArgumentKind::String),
                    Argument::new("port", ArgumentKind::Integer),
                ],
                ..Argument::new("host-port", ArgumentKind::Block)
            },
            Argument {
                parts: &[Argument::token("no", "NO"), Argument::token("one", "ONE")],
                ..Argument::new("no-one", ArgumentKind::Block)
            },
        ],
        ..Argument::new("args", ArgumentKind::OneOf)
    }],
    handler: Handler::Plain(replicaof),
    ..Row::BASE
};

/// What replicas send.
const OF_REPLICAS: Flags =
    Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::NO_ASYNC_LOADING).and(Flags::NO_MULTI);

pub(super) static ROWS: [Row; 7] = [
    Row { name: "replicaof", since: "5.0.0", ..FOLLOWS },
    Row { name: "slaveof", deprecated: Some(("5.0.0", "`REPLICAOF`")), ..FOLLOWS },
    Row {
        name: "role",
        flags: Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE).and(Flags::FAST),
        categories: Categories::ADMIN.and(Categories::DANGEROUS),
        since: "2.8.12",
        summary: "Returns what the server is in replication: a master without replicas",
        handler: Handler::Plain(role),
        ..Row::BASE
    },
    Row {
        name: "failover",
        arity: -1,
        flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::STALE),
        since: "6.2.0",
        summary: "Refused: there are no replicas",
        arguments: &[
            Argument {
                token: Some("TO"),
                parts: &[
                    Argument::new("host", ArgumentKind::String),
                    Argument::new("port", ArgumentKind::Integer),
                    Argument::token("force", "FORCE").optional(),
                ],
                ..Argument::new("target", ArgumentKind::Block).optional()
            },
            Argument::token("abort", "ABORT").optional(),
            Argument {
                token: Some("TIMEOUT"),
                ..Argument::new("milliseconds", ArgumentKind::Integer).optional()
            },
        ],
        handler: Handler::Plain(failover),
        ..Row::BASE
    },
    Row {
        name: "replconf",
        arity: -1,
        flags: Flags::ADMIN
            .and(Flags::NOSCRIPT)
            .and(Flags::LOADING)
            .and(Flags::STALE)
            .and(Flags::ALLOW_BUSY),
        since: "3.0.0",
        summary: "Takes what a replica says of itself",
        handler: Handler::Plain(replconf),
        ..Row::BASE
    },
    Row {
        name: "psync",
        arity: -3,
        flags: OF_REPLICAS,
        since: "2.8.0",
        summary: "Refused: the server has no replicas",
        arguments: &[
            Argument::new("replicationid", ArgumentKind::String),
            Argument::new("offset", ArgumentKind::Integer),
        ],
        handler: Handler::Plain(psync),
        ..Row::BASE
    },
    Row {
        name: "sync",
        flags: OF_REPLICAS,
        summary: "Refused: the server has no replicas",
        handler: Handler::Plain(|_, _| Err(NO_REPLICATION)),
        ..Row::BASE
    },
];

const NO_REPLICATION: Refusal<'static> = Refusal::Text(
    "ERR Replication is not supported: the server has no replicas and follows nobody",
);

/// REPLICAOF and SLAVEOF.
fn replicaof<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    let (host, port) = (args.get(1), args.get(2));
    if host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one") {
        context.out.ok();
        return Ok(());
    }
    match parse_canonical(port) {
        Some(0..=65535) => Err(NO_REPLICATION),
        _ => Err(Refusal::Text("ERR Invalid master port")),
    }
}

fn role<'a>(context: &mut Context<'_>, _: &Args<'a>) -> Outcome<'a> {
    context.out.array(3);
    context.out.bulk(b"master");
    context.out.integer(0);
    context.out.array(0);
    Ok(())
}

fn failover<'a>(_: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    let (mut has_target, mut has_timeout, mut forces, mut aborts) = (false, false, false, false);
    let mut index = 1;
    while index < args.len() {
        let left = args.len() - index - 1;
        match args.get(index).to_ascii_lowercase().as_slice() {
            b"timeout" if left >= 1 && !has_timeout => {
                if integer(args.get(index + 1))? <= 0 {
                    let text = "ERR FAILOVER timeout must be greater than 0";
                    return Err(Refusal::Text(text));
                }
                has_timeout = true;
                index += 1;
            }
            b"to" if left >= 2 && !has_target => {
                integer(args.get(index + 2))?;
                has_target = true;
                index += 2;
            }
            b"force" if !forces => forces = true,
            b"abort" if !aborts => aborts = true,
            _ => return Err(Refusal::Syntax),
        }
        index += 1;
    }
    Err(Refusal::Text(if aborts {
        "ERR No failover in progress."
    } else {
        "ERR FAILOVER requires connected replicas."
    }))
}

fn replconf<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    // Options and values go in pairs.
    if args.len().is_multiple_of(2) {
        return Err(Refusal::Syntax);
    }
    for index in (1..args.len()).step_by(2) {
        let (option, value) = (args.get(index), args.get(index + 1));
        match option.to_ascii_lowercase().as_slice() {
            b"listening-port" | b"rdb-only" => drop(integer(value)?),
            b"ip-address" | b"capa" | b"rdb-filter-only" => {}
            // What passes between replicas and masters that know each other.
            b"ack" | b"getack" => return Err(NO_REPLICATION),
            _ => return Err(Refusal::ReplicaOption(option)),
        }
    }
    context.out.ok();
    Ok(())
}

fn psync<'a>(_: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    integer(args.get(2))?;
    Err(NO_REPLICATION)
}
