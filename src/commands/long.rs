//! Commands that may take long.
//!
//! A command that walks the whole keyspace or computes for long is a [`Work`] of many steps, which
//! the connection keeps between its turns, so that it does not hold the worker. So is a command
//! that waits for a time to come. Inside EXEC it is done in one go.

use super::context::Context;
use super::progress::{Awaited, Position, Progress};
use super::row::{BeginWork, Outcome, Row};
use crate::resp::Args;
use std::fmt;

/// A command under way.
pub(super) trait Work: fmt::Debug {
    /// Does a part of it that takes about a quarter of a millisecond. True when the reply has been
    /// written and nothing is left.
    fn step(&mut self, context: &mut Context<'_>) -> bool;

    /// What has to come before the next step; nothing when it may follow at once.
    fn awaits(&self) -> Option<Awaited> {
        None
    }

    /// Says before the first step that all steps will follow at once, whatever it awaits.
    fn hurry(&mut self) {}
}

/// Begins a work, or goes on with it; returns where to go on and when: in the same command, or at
/// the start of the next one.
pub(super) fn run(
    context: &mut Context<'_>,
    row: &'static Row,
    args: &Args<'_>,
    begin: BeginWork,
    at: Position,
) -> Progress {
    let next = Progress::Flush(Position::at(at.command + 1));
    if !at.is_begun {
        context.counts.commands += 1;
        match begin(context, args) {
            Ok(work) => context.client.work = Some(work),
            Err(refusal) => {
                context.fail(row, &refusal);
                return next;
            }
        }
    }
    let Some(mut work) = context.client.work.take() else {
        return next;
    };
    if work.step(context) {
        return next;
    }
    let at = Position { is_begun: true, ..at };
    let progress = match work.awaits() {
        Some(awaited) => Progress::Stall(at, awaited),
        None => Progress::Flush(at),
    };
    context.client.work = Some(work);
    progress
}

/// Does all of it.
pub(super) fn run_to_end<'a>(
    context: &mut Context<'_>,
    args: &Args<'a>,
    begin: BeginWork,
) -> Outcome<'a> {
    let mut work = begin(context, args)?;
    work.hurry();
    // Every step comes nearer to the end, or its work would not end outside of EXEC either.
    while !work.step(context) {
        context.session.renew();
    }
    Ok(())
}
