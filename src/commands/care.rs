//! Commands that need more than to be run: some clients may not run all, some commands are told of.
//!
//! * A client that listens (module `pubsub`) and speaks RESP2 may change what it listens to, and
//!   little else: it could not tell messages from replies.
//! * A monitor (module `monitor`) may not touch the keyspace, as in Redis, where it counts as a
//!   replica.
//! * What a command tells others (module `outbox`) is sent when it is done.
//! * Monitors are shown each command that has run.
//!
//! Whether any of this may be so is asked once a window ([`is_needed`]); without it a command pays
//! for one look at a flag beside those that the engine reads anyway.

use super::context::Context;
use super::dispatch::Planned;
use super::monitor;
use super::multi;
use super::refusal::Refusal;
use super::row::{Flags, Handler, Row};
use super::windows::{Ran, Window, run_one};
use crate::resp::{Args, Protocol, ReplyBuffer};

/// Whether the commands that come next need care.
#[inline]
pub(super) fn is_needed(context: &Context<'_>) -> bool {
    !context.notifies.is_empty()
        || context.client.is_marked()
        || context.state.monitors.is_watched()
        || !context.outbox.is_empty()
}

/// Runs one command of the window, or queues it, or refuses it.
pub(super) fn run(
    context: &mut Context<'_>,
    planned: Planned,
    args: &Args<'_>,
    window: &Window,
) -> Ran {
    let Some(row) = planned.row else {
        return run_one(context, planned, args, window);
    };
    if refuse(context, row, args) {
        return Ran::Done;
    }
    let commands = context.counts.commands;
    let before = is_told_first(context, row).then(|| {
        let mut fresh = ReplyBuffer::new();
        fresh.protocol = context.out.protocol;
        context.client.reply_mode.move_to(&fresh, context.out);
        std::mem::replace(&mut *context.out, fresh)
    });
    let ran = run_one(context, planned, args, window);
    if !matches!(ran, Ran::Waits(_)) && context.counts.commands > commands {
        monitor::show(context, row, args);
    }
    match before {
        Some(mut before) => {
            // What is told comes between the earlier replies and this one.
            context.tell(Some(&mut before));
            let reply = std::mem::replace(&mut *context.out, before);
            context.out.protocol = reply.protocol;
            context.client.reply_mode.return_to(context.out, reply);
        }
        None => context.tell(None),
    }
    ran
}

/// Refuses a command that the client may not run. True if it did.
pub(super) fn refuse(context: &mut Context<'_>, row: &'static Row, args: &Args<'_>) -> bool {
    if is_confined(context, row) {
        context.setbacks.reject(row);
        let name = full_name(row, args);
        if matches!(row.handler, Handler::Exec) {
            multi::forget(context);
            context.refuse(&Refusal::ExecConfined(name));
        } else {
            context.refuse(&Refusal::Confined(name));
        }
        return true;
    }
    if context.client.is_monitor() && touches_keys(row) {
        context.setbacks.reject(row);
        if let Some(queue) = &mut context.client.queue {
            queue.break_off();
        }
        context.refuse(&Refusal::Text("ERR Replica can't interact with the keyspace"));
        return true;
    }
    false
}

/// Whether the client may not run this now, for what it is and whatever the keys hold.
pub(super) fn is_barred(context: &Context<'_>, row: &Row) -> bool {
    is_confined(context, row)
        || context.client.is_monitor() && touches_keys(row)
        || context.client.queue.is_some() && row.flags.contains(Flags::NO_MULTI)
}

/// Whether a client that listens may not run this now.
fn is_confined(context: &Context<'_>, row: &Row) -> bool {
    const SUBSCRIBES: Flags = Flags::PUBSUB.and(Flags::NOSCRIPT);
    let is_allowed =
        row.flags.contains(SUBSCRIBES) || ["ping", "quit", "reset"].contains(&row.name);
    context.client.is_listening() && context.client.protocol == Protocol::Resp2 && !is_allowed
}

fn touches_keys(row: &Row) -> bool {
    row.flags.contains(Flags::MAY_REPLICATE)
        || row.flags.contains(Flags::READONLY)
        || row.flags.contains(Flags::WRITE)
}

/// Whether what a command tells its own client is to come before its reply. Not for those that may
/// have to wait for other clients: they look at whether all replies are sent.
fn is_told_first(context: &Context<'_>, row: &Row) -> bool {
    let tells = !context.notifies.is_empty() || row.flags.contains(Flags::PUBSUB);
    let waits = matches!(row.handler, Handler::Exec | Handler::Alone(_));
    tells && !waits && context.client.is_listening() && context.client.queue.is_none()
}

/// The name of a command; for a subcommand with that of its container: `client|id`.
fn full_name(row: &Row, args: &Args<'_>) -> String {
    match super::lookup::command(args.name()) {
        Some(container) if !std::ptr::eq(container, row) => {
            format!("{}|{}", container.name, row.name)
        }
        _ => row.name.to_owned(),
    }
}
