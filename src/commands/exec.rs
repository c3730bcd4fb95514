//! EXEC.
//!
//! The queued commands run as one transaction of the store, which also checks the watched keys. If
//! one of them cannot be part of a transaction ([`needs_exclusion`]), the worker asks to be alone,
//! and they run one after the other; other workers see nothing in between either way.
//!
//! An error of a command is its reply and no more: the others are run, as in Redis.
//!
//! [`needs_exclusion`]: super::atomic::needs_exclusion

use std::mem;
use std::time::Instant;

use super::admission::{self, Admission};
use super::atomic::{Ending, atomically_or_not};
use super::context::Context;
use super::multi::{self, Watches};
use super::progress::Awaited;
use super::queue::Queue;
use super::refusal::Refusal;
use super::row::Row;
use super::windows::Ran;

/// Runs what is queued since MULTI, or has done nothing and wants to be called again later.
pub(super) fn exec(context: &mut Context<'_>, row: &'static Row) -> Ran {
    let Some(mut queue) = context.client.queue.take() else {
        context.counts.commands += 1;
        context.fail(row, &Refusal::Text("ERR EXEC without MULTI"));
        return Ran::Done;
    };
    let refusal = match admission::admit_exec(context, &queue) {
        // As in Redis it is said before anything else.
        _ if context.is_out_of_memory && queue.denies_oom() => Some(Refusal::ExecOutOfMemory),
        Ok(Admission::Wait) => {
            context.client.queue = Some(queue);
            return Ran::Waits(Awaited::Room);
        }
        Ok(_) if queue.is_broken() => {
            let text = "EXECABORT Transaction discarded because of previous errors.";
            Some(Refusal::Text(text))
        }
        Ok(_) => None,
        Err(text) => Some(Refusal::ExecLog(text)),
    };
    if let Some(refusal) = refusal {
        context.fail(row, &refusal);
    } else if queue.needs_exclusion() && !context.alone {
        if context.have_all_out() != Admission::Run {
            context.client.queue = Some(queue);
            return Ran::Waits(Awaited::Exclusion);
        }
        context.run_alone(|context| run(context, &mut queue));
    } else {
        run(context, &mut queue);
    }
    context.counts.commands += 1;
    context.give_back(queue);
    multi::forget(context);
    if !context.needs_care {
        // What was published; else it is told together with the rest.
        context.tell(None);
    }
    // What was queued may concern the command after it.
    match context.client.reply_mode.is_any() || context.state.pause.is_set() {
        true => Ran::Last,
        false => Ran::Done,
    }
}

/// Refuses an EXEC for the number of its arguments. As in Redis this ends the transaction.
#[cold]
pub(super) fn refuse_arity(context: &mut Context<'_>) {
    multi::forget(context);
    context.refuse(&Refusal::Text(
        "EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command",
    ));
}

fn run(context: &mut Context<'_>, queue: &mut Queue) {
    let watches = mem::take(&mut context.client.watches);
    let begun = Instant::now();
    let has_run = atomically_or_not(context, |context| {
        if !are_unchanged(context, &watches) {
            // Nothing can undo that: it is true now, whatever else changes.
            context.out.null_array();
            return Ending::Abandon(false);
        }
        context.out.array(queue.len());
        context.client.executing = Some(queue.len());
        queue.run(context);
        context.client.executing = None;
        Ending::Commit(true)
    });
    if has_run {
        queue.record_times(context, begun.elapsed());
    }
}

fn are_unchanged(context: &Context<'_>, watches: &Watches) -> bool {
    let keyspace = &context.state.keyspace;
    watches.values().all(|watched| context.session.is_unchanged(keyspace, watched))
}
