//! Commands that may take long.
//!
//! A command that walks the whole keyspace or computes for long is a [`Work`] of many steps, which
//! the connection keeps between its turns, so that it does not hold the worker. Inside EXEC it is
//! done in one go.

use super::context::Context;
use super::engine::Position;
use super::row::{BeginWork, Outcome, Row};
use crate::resp::Args;
use std::fmt;

/// A command under way.
pub(super) trait Work: fmt::Debug {
    /// Does a part of it that takes about a quarter of a millisecond. True when the reply has been
    /// written and nothing is left.
    fn step(&mut self, context: &mut Context<'_>) -> bool;
}

/// Begins a work, or goes on with it; returns where to go on: in the same command, or at the start
/// of the next one.
pub(super) fn run(
    context: &mut Context<'_>,
    row: &'static Row,
    args: &Args<'_>,
    begin: BeginWork,
    at: Position,
) -> Position {
    let next = Position::at(at.command + 1);
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
    context.client.work = Some(work);
    Position { is_begun: true, ..at }
}

/// Does all of it.
pub(super) fn run_to_end<'a>(
    context: &mut Context<'_>,
    args: &Args<'a>,
    begin: BeginWork,
) -> Outcome<'a> {
    let mut work = begin(context, args)?;
    // Every step comes nearer to the end, or its work would not end outside of EXEC either.
    while !work.step(context) {
        context.session.renew();
    }
    Ok(())
}
