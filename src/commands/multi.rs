//! Transactions as clients see them: MULTI, EXEC, DISCARD, WATCH, UNWATCH.
//!
//! After MULTI a connection's commands are queued (module `queue`) until EXEC runs them (module
//! `exec`). A command that would be refused whatever the keys hold, for its name, the number of its
//! arguments, the state of the log or want of memory, is refused at once, and EXEC then runs none.
//!
//! WATCH notes what a key is. EXEC does nothing if it has become anything else, be it only that its
//! deadline has passed or that it was deleted and made again.

use std::collections::HashMap;

use super::context::Context;
use super::queue::Full;
use super::refusal::Refusal;
use super::row::{Categories, Flags, Handler, Keys, Outcome, Row};
use super::string::KEY;
use crate::resp::Args;
use crate::store::Watched;

/// What a connection watches, by database and key.
pub(super) type Watches = HashMap<(usize, Box<[u8]>), Watched>;

/// What is done at once, also while nothing else may be.
const AT_ONCE: Flags =
    Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE).and(Flags::FAST).and(Flags::ALLOW_BUSY);

const TRANSACTION: Row =
    Row { flags: AT_ONCE, categories: Categories::TRANSACTION, group: "transactions", ..Row::BASE };

pub(super) static ROWS: [Row; 5] = [
    Row {
        name: "multi",
        since: "1.2.0",
        summary: "Begins a transaction: commands are queued until EXEC",
        handler: Handler::Immediate(multi),
        ..TRANSACTION
    },
    Row {
        name: "exec",
        flags: Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE).and(Flags::SKIP_SLOWLOG),
        since: "1.2.0",
        summary: "Runs the commands queued since MULTI, all at one instant",
        complexity: "Depends on the commands",
        handler: Handler::Exec,
        ..TRANSACTION
    },
    Row {
        name: "discard",
        since: "2.0.0",
        summary: "Forgets the commands queued since MULTI",
        complexity: "O(N) where N is the number of commands",
        handler: Handler::Immediate(discard),
        ..TRANSACTION
    },
    Row {
        name: "watch",
        arity: -2,
        keys: Keys::all(1, &["RO"]),
        since: "2.2.0",
        summary: "Has the next EXEC do nothing if one of the keys changes before it",
        complexity: "O(1) for every key",
        arguments: &[KEY.multiple()],
        handler: Handler::Immediate(watch),
        ..TRANSACTION
    },
    Row {
        name: "unwatch",
        since: "2.2.0",
        summary: "Forgets all watched keys",
        handler: Handler::Plain(unwatch),
        ..TRANSACTION
    },
];

fn multi<'a>(context: &mut Context<'_>, _: &Args<'a>) -> Outcome<'a> {
    if context.client.queue.is_some() {
        return Err(Refusal::Text("ERR MULTI calls can not be nested"));
    }
    context.client.queue = Some(context.spare_queue.take().unwrap_or_default());
    context.out.ok();
    Ok(())
}

fn discard<'a>(context: &mut Context<'_>, _: &Args<'a>) -> Outcome<'a> {
    if context.client.queue.is_none() {
        return Err(Refusal::Text("ERR DISCARD without MULTI"));
    }
    forget(context);
    context.out.ok();
    Ok(())
}

fn watch<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    if context.client.queue.is_some() {
        return Err(Refusal::Text("ERR WATCH inside MULTI is not allowed"));
    }
    let number = context.client.database;
    for bytes in args.iter().skip(1) {
        // A key that is watched already stays compared with what it was the first time.
        context.client.watches.entry((number, bytes.into())).or_insert_with(|| {
            context.database.watch(&context.session, context.state.keyspace.key(bytes))
        });
    }
    context.out.ok();
    Ok(())
}

fn unwatch<'a>(context: &mut Context<'_>, _: &Args<'a>) -> Outcome<'a> {
    context.client.watches = Watches::new();
    context.out.ok();
    Ok(())
}

/// Forgets what is queued and what is watched.
pub(super) fn forget(context: &mut Context<'_>) {
    if let Some(queue) = context.client.queue.take() {
        context.give_back(queue);
    }
    context.client.watches = Watches::new();
}

/// What a client may still do after MULTI while the memory is used up (EXEC unless something that
/// may take memory is queued). Nothing else is queued then, for a queue takes memory too.
const WITHOUT_MEMORY: [&str; 4] = ["exec", "discard", "quit", "reset"];

/// Whether a command is to be refused while the memory is used up.
pub(super) fn needs_memory(context: &Context<'_>, row: &Row) -> bool {
    let is_queued = context.client.queue.is_some() && !WITHOUT_MEMORY.contains(&row.name);
    is_queued || row.flags.contains(Flags::DENYOOM)
}

/// Refuses a command because the memory is used up. EXEC will then run nothing.
#[cold]
pub(super) fn refuse_memory(context: &mut Context<'_>, row: &'static Row) {
    context.setbacks.reject(row);
    if let Some(queue) = &mut context.client.queue {
        queue.break_off();
    }
    context.refuse(&Refusal::OutOfMemory);
}

/// Queues a command. A client whose queue is full loses its connection, as one does whose command
/// is too long.
pub(super) fn enqueue(
    context: &mut Context<'_>,
    row: &'static Row,
    args: &Args<'_>,
    hashes: &[u64],
) {
    let limit = context.state.tunables.client_query_buffer_limit_bytes.get() as usize;
    let Some(queue) = &mut context.client.queue else { return };
    if row.flags.contains(Flags::NO_MULTI) {
        queue.break_off();
        context.setbacks.reject(row);
        return context.refuse(&Refusal::Text("ERR Command not allowed inside a transaction"));
    }
    match queue.push(row, args, hashes, limit) {
        Ok(()) => context.out.simple("QUEUED"),
        Err(Full) => context.client.close_after_reply = true,
    }
}
