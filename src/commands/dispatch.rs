//! One command: its row, the hashes of its keys, its handler.

use std::ops::Range;

use super::atomic::atomically;
use super::context::Context;
use super::lookup;
use super::refusal::Refusal;
use super::row::{Flags, Handler, Row};
use super::{cross_protocol, each_key, exec, long};
use crate::resp::Args;
use crate::store::{Key, Keyspace};
use crate::sync::Arc;

/// The most keys of one command that are hashed before it runs. A command of more does so itself,
/// little by little.
pub(super) const HASHED_KEYS_MAX: usize = 64;

/// A command that is about to run.
#[derive(Clone, Copy)]
pub(super) struct Planned {
    /// Its row; nothing when the command is to be refused.
    pub(super) row: Option<&'static Row>,
    /// Where its hashes start.
    start: u32,
    /// How many they are.
    count: u32,
}

impl Planned {
    /// A command of this row whose hashes are so many from `start` on. There are fewer than 2^32 in
    /// one place: each takes at least three bytes of a command.
    pub(super) fn new(row: impl Into<Option<&'static Row>>, start: usize, count: usize) -> Planned {
        Planned { row: row.into(), start: start as u32, count: count as u32 }
    }

    /// Which of the hashes are its own.
    #[inline]
    pub(super) fn range(&self) -> Range<usize> {
        let start = self.start as usize;
        start..start + self.count as usize
    }
}

/// The row of a command whose arguments fit it. Forced inline, which takes 3 ns of 19 off a PING in
/// a pipeline: the compiler alone leaves it a call.
#[inline(always)]
pub(super) fn find(args: &Args<'_>) -> Option<&'static Row> {
    let mut row = lookup::command(args.name())?;
    if !row.subcommands.is_empty() && args.len() > 1 {
        row = lookup::subcommand(row, args.get(1))?;
    }
    row.accepts(args.len()).then_some(row)
}

/// Hashes the keys of a command, if they are to be brought near before it runs. Returns how many
/// keys it has, which is more than there are hashes when it is a long one.
#[inline]
pub(super) fn hash_keys(
    keyspace: &Keyspace,
    row: &Row,
    args: &Args<'_>,
    hashes: &mut Vec<u64>,
) -> usize {
    match (row.handler, row.keys) {
        (Handler::OneKey(_), _) => {
            hashes.push(keyspace.key(args.get(1)).hash);
            1
        }
        (Handler::EachKey(_) | Handler::Atomic(_), Some(keys)) => {
            let count = keys.count(args.len());
            if count <= HASHED_KEYS_MAX {
                let bytes = (0..count).map(|number| args.get(keys.position(number)));
                hashes.extend(bytes.map(|bytes| keyspace.key(bytes).hash));
            }
            count
        }
        _ => 0,
    }
}

/// Runs a command. `hashes` are those that [`hash_keys`] has made.
#[inline]
pub(super) fn run_row(
    context: &mut Context<'_>,
    row: &'static Row,
    args: &Args<'_>,
    hashes: &[u64],
) {
    let outcome = match row.handler {
        Handler::OneKey(handler) => {
            let key = Key { bytes: args.get(1), hash: hashes[0] };
            handler(context, args, key)
        }
        Handler::Plain(handler)
        | Handler::Last(handler)
        | Handler::Immediate(handler)
        | Handler::Alone(handler) => handler(context, args),
        Handler::Atomic(handler) => atomically(context, |context| handler(context, args)),
        Handler::EachKey(key_loop) => match row.keys {
            Some(keys) => {
                let only_reads = row.flags.contains(Flags::READONLY);
                each_key::run(context, keys, key_loop, only_reads, args, hashes)
            }
            None => Ok(()),
        },
        Handler::Work(begin) => long::run_to_end(context, args, begin),
        // The engine's own.
        Handler::Exec => Ok(()),
        Handler::Container => Err(Refusal::arity(None, row)),
    };
    if let Err(refusal) = outcome {
        context.fail(row, &refusal);
    }
}

/// Refuses a command that has no row: [`find`] has found nothing, or it was not admitted. EXEC will
/// then run nothing.
#[cold]
pub(super) fn refuse(context: &mut Context<'_>, args: &Args<'_>, refusal: Option<&Arc<str>>) {
    if cross_protocol::is_sign(args.name()) {
        return cross_protocol::abort(context);
    }
    let row = rejected_row(args);
    row.inspect(|row| context.setbacks.reject(row));
    if row.is_some_and(|row| matches!(row.handler, Handler::Exec)) {
        return exec::refuse_arity(context);
    }
    if let Some(queue) = &mut context.client.queue {
        queue.break_off();
    }
    context.refuse(&why_not(args, refusal));
}

/// The row that counts a refusal; none if there is no such command or subcommand.
fn rejected_row(args: &Args<'_>) -> Option<&'static Row> {
    let row = lookup::command(args.name())?;
    match row.subcommands.is_empty() || args.len() == 1 {
        true => Some(row),
        false => lookup::subcommand(row, args.get(1)),
    }
}

fn why_not<'a>(args: &Args<'a>, refusal: Option<&Arc<str>>) -> Refusal<'a> {
    if find(args).is_some() {
        return refusal.map_or(Refusal::Loading, |text| Refusal::Log(text.clone()));
    }
    let Some(row) = lookup::command(args.name()) else {
        return Refusal::UnknownCommand(*args);
    };
    if row.subcommands.is_empty() || args.len() == 1 {
        return Refusal::arity(None, row);
    }
    match lookup::subcommand(row, args.get(1)) {
        Some(subcommand) => Refusal::arity(Some(row), subcommand),
        None => Refusal::UnknownSubcommand { container: row.name, name: args.get(1) },
    }
}
