//! What must be asked of the log before commands run.
//!
//! While the data is loading, a command runs only if its row is flagged `loading`. Where changes
//! are logged, a command flagged `write` is refused while the log cannot be written to, and waits
//! while it has no room. Both are asked once for a window of commands, or for a piece of a long
//! work; a command that has begun is not refused any more. A window that waits does so as a
//! whole, so that its commands keep their order.
//!
//! Commands after MULTI are asked about when they are queued, and once more, all together, before
//! EXEC begins.

use super::context::Context;
use super::multi;
use super::persistence::Stage;
use super::progress::Position;
use super::queue::Queue;
use super::row::{Flags, Handler, Row};
use super::state::ServerState;
use super::windows::Window;
use crate::store::Room;
use crate::sync::Arc;

/// Whether commands may run now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Admission {
    /// They may, those of a window that have a row.
    Run,
    /// Later.
    Wait,
    /// No.
    Refuse,
}

/// Takes the rows from the commands of a window that may not run, or says that it has to wait.
pub(super) fn admit_window(context: &Context<'_>, window: &mut Window) -> Admission {
    window.refusal = None;
    if context.stage == Stage::Loading {
        for planned in &mut window.commands {
            planned.row = planned.row.filter(|row| row.flags.contains(Flags::LOADING));
        }
        return Admission::Run;
    }
    let writes = |row: &Row| row.flags.contains(Flags::WRITE);
    if !window.commands.iter().any(|planned| planned.row.is_some_and(writes)) {
        return Admission::Run;
    }
    window.refusal = context.state.persistence.refusal();
    if window.refusal.is_some() {
        for planned in &mut window.commands {
            planned.row = planned.row.filter(|row| !writes(row));
        }
        return Admission::Run;
    }
    if has_room(context.state) { Admission::Run } else { Admission::Wait }
}

/// Whether there is memory for a command of this row, made by eviction where it must be. One that
/// needs none runs. EXEC is told of it, and decides by what is queued.
pub(super) fn admit_memory(context: &mut Context<'_>, row: &Row) -> Admission {
    let is_exec = matches!(row.handler, Handler::Exec);
    if !is_exec && !multi::needs_memory(context, row) {
        return Admission::Run;
    }
    let room = context.evictor.make_room(&context.state.keyspace, &mut context.session);
    context.is_out_of_memory = room == Room::None;
    match room {
        // It would go on growing while nothing can go.
        // (A log that refuses changes has its say where commands are admitted to it.)
        Room::Blocked if !context.state.persistence.is_refusing() => Admission::Wait,
        Room::None if !is_exec => Admission::Refuse,
        _ => Admission::Run,
    }
}

/// Whether EXEC may run all that is queued now; the log's refusal if it may not. Nothing is queued
/// that may not run while the data is loading.
pub(super) fn admit_exec(context: &Context<'_>, queue: &Queue) -> Result<Admission, Arc<str>> {
    if context.stage != Stage::Logged || !queue.writes() {
        return Ok(Admission::Run);
    }
    match context.state.persistence.refusal() {
        Some(text) => Err(text),
        None if has_room(context.state) => Ok(Admission::Run),
        None => Ok(Admission::Wait),
    }
}

/// Whether the work of a row may begin or go on at `at`.
pub(super) fn admit_work(
    context: &Context<'_>,
    window: &mut Window,
    row: &Row,
    at: Position,
) -> Admission {
    window.refusal = None;
    let begins = !at.is_begun;
    if context.stage == Stage::Loading {
        let may_run = !begins || row.flags.contains(Flags::LOADING);
        return if may_run { Admission::Run } else { Admission::Refuse };
    }
    if !row.flags.contains(Flags::WRITE) {
        return Admission::Run;
    }
    if begins {
        window.refusal = context.state.persistence.refusal();
        if window.refusal.is_some() {
            return Admission::Refuse;
        }
    }
    if has_room(context.state) { Admission::Run } else { Admission::Wait }
}

/// Whether keys past their deadline may be made absent now, although nobody asks for them.
pub(super) fn may_sweep(state: &ServerState) -> bool {
    match state.persistence.stage() {
        Stage::Open => true,
        Stage::Loading => false,
        Stage::Logged => has_room(state) && state.persistence.refusal().is_none(),
    }
}

/// Whether the log has room for changes, if there is one.
pub(super) fn has_room(state: &ServerState) -> bool {
    state.keyspace.log().is_none_or(|log| log.has_room())
}
