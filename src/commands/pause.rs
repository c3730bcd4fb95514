//! CLIENT PAUSE and UNPAUSE: clients wait, all of them or those that write.
//!
//! One word says until when, and who. Every batch looks at it before each window: a relaxed load of
//! a word that hardly ever changes. While it is set a window ends before the first command that has
//! to wait, and the batch stalls there (`Awaited::Pause`); what came before is answered. A command
//! that would be refused for its name, the number of its arguments or what its client is (one that
//! listens, say) is refused at once, as in Redis. Meanwhile keys stay as they are: none is evicted,
//! and one past its deadline reads as absent but stays until the pause is over.
//!
//! PAUSE has all other clients out when it sets the word, as an EXEC over the whole keyspace does.
//! So when its reply comes no command that was to wait is under way, on any worker.

use std::time::Instant;

use super::care;
use super::context::{Context, timeout_ms};
use super::debug;
use super::dispatch::find;
use super::progress::Position;
use super::refusal::Refusal;
use super::row::{Flags, Handler, Outcome, Row};
use super::windows::Window;
use crate::resp::Args;
use crate::sync::plain::{AtomicU64, Ordering};

/// The bit of the word that says that all clients wait, and not only those that write.
const ALL: u64 = 1;

/// The longest pause in milliseconds: 63 bits, less what the server has run before.
const TIMEOUT_MAX_MS: u64 = u64::MAX >> 2;

/// Who waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Who wants to change keys, or to tell others something.
    Writes,
    /// Everybody.
    All,
}

/// Whether clients are to wait, and until when.
#[derive(Debug)]
pub struct Pause {
    /// The end in milliseconds after `started`, times two, and [`ALL`]; 0 without a pause.
    word: AtomicU64,
    started: Instant,
}

impl Default for Pause {
    fn default() -> Pause {
        Pause { word: AtomicU64::new(0), started: Instant::now() }
    }
}

impl Pause {
    /// Whether there may be one: to be asked on the way of commands.
    #[inline]
    pub(super) fn is_set(&self) -> bool {
        // Relaxed: who sets it has all others out, and what let them in again has told them.
        self.word.load(Ordering::Relaxed) != 0
    }

    /// Whether there is one now.
    pub fn is_active(&self) -> bool {
        self.is_set() && self.scope().is_some()
    }

    /// Who waits now. The first who asks after its end ends it for good.
    #[cold]
    pub(super) fn scope(&self) -> Option<Scope> {
        // Relaxed, here and below: as in `is_set`; a pause that is over is over for everybody.
        let word = self.word.load(Ordering::Relaxed);
        if word == 0 {
            return None;
        }
        if self.now_ms() < word >> 1 {
            return Some(if word & ALL == 0 { Scope::Writes } else { Scope::All });
        }
        // Lost to somebody who has set another one, or ended it.
        let _ = self.word.compare_exchange(word, 0, Ordering::Relaxed, Ordering::Relaxed);
        None
    }

    /// Has clients wait for so long at least. A pause under way gets no shorter by that, nor fewer
    /// to wait.
    pub(super) fn begin(&self, timeout_ms: u64, scope: Scope) {
        let under_way = match self.is_active() {
            true => self.word.load(Ordering::Relaxed),
            false => 0,
        };
        // The millisecond that has begun does not count.
        let begun = u64::from(timeout_ms > 0);
        let end_ms = self.now_ms() + begun + timeout_ms.min(TIMEOUT_MAX_MS);
        let end_ms = end_ms.max(under_way >> 1);
        let all = if scope == Scope::All { ALL } else { under_way & ALL };
        self.word.store(end_ms << 1 | all, Ordering::Relaxed);
    }

    /// Lets everybody go on.
    pub(super) fn end(&self) {
        self.word.store(0, Ordering::Relaxed);
    }

    fn now_ms(&self) -> u64 {
        // 64 bits of milliseconds do not run out.
        self.started.elapsed().as_millis() as u64
    }
}

/// CLIENT PAUSE.
pub(super) fn pause<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    let scope = match args.len() {
        3 => Scope::All,
        4 if args.get(3).eq_ignore_ascii_case(b"write") => Scope::Writes,
        4 if args.get(3).eq_ignore_ascii_case(b"all") => Scope::All,
        4 => return Err(Refusal::Text("ERR CLIENT PAUSE mode must be WRITE or ALL")),
        _ => return Err(Refusal::SubcommandSyntax { container: "CLIENT", name: args.get(1) }),
    };
    let timeout_ms = timeout_ms(args.get(2))?;
    context.state.pause.begin(timeout_ms, scope);
    context.out.ok();
    Ok(())
}

/// CLIENT UNPAUSE.
pub(super) fn unpause<'a>(context: &mut Context<'_>, _: &Args<'a>) -> Outcome<'a> {
    context.state.pause.end();
    context.out.ok();
    Ok(())
}

/// What a pause does to the commands that come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Hold {
    /// Those that are left in the window may run.
    Nothing,
    /// The first of them has to wait.
    First,
}

/// Takes from the window the first command that has to wait and all after it. An empty window
/// stands for a work with these arguments.
#[cold]
pub(super) fn hold(
    context: &mut Context<'_>,
    window: &mut Window,
    args: &Args<'_>,
    at: Position,
) -> Hold {
    // A log that is loaded does not wait.
    let scope = context.state.pause.scope().filter(|_| context.attendance.is_some());
    context.session.preserve_expired(scope.is_some());
    // A work under way goes on.
    let Some(scope) = scope.filter(|_| !at.is_begun) else {
        return Hold::Nothing;
    };
    let context = &*context;
    let client = &*context.client;
    let waits = |row: &Row| match row.handler {
        _ if care::is_barred(context, row) || debug::is_barred(context, row) => false,
        _ if scope == Scope::All => true,
        Handler::Exec => client.queue.as_ref().is_some_and(|queue| queue.is_writing()),
        _ => is_writing(row),
    };
    let held = match window.commands.is_empty() {
        true => find(args),
        false => {
            let rows = window.commands.iter().map(|planned| planned.row);
            let first = rows.enumerate().find(|(_, row)| row.is_some_and(waits));
            window.commands.truncate(first.map_or(usize::MAX, |(index, _)| index));
            first.filter(|(index, _)| *index == 0).and_then(|(_, row)| row)
        }
    };
    match held.filter(|row| waits(row)) {
        Some(row) => {
            context.client.note_row(row);
            Hold::First
        }
        None => Hold::Nothing,
    }
}

/// Whether a command waits while writes do.
pub(super) fn is_writing(row: &Row) -> bool {
    row.flags.contains(Flags::WRITE) || row.flags.contains(Flags::MAY_REPLICATE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_gets_longer_and_stricter_and_no_shorter_or_milder() {
        let pause = Pause::default();
        assert!(!pause.is_active());
        pause.begin(60_000, Scope::Writes);
        assert_eq!(pause.scope(), Some(Scope::Writes));
        pause.begin(0, Scope::Writes);
        assert_eq!(pause.scope(), Some(Scope::Writes));
        pause.begin(0, Scope::All);
        pause.begin(1, Scope::Writes);
        assert_eq!(pause.scope(), Some(Scope::All));
        pause.end();
        assert_eq!(pause.scope(), None);
    }

    #[test]
    fn a_pause_ends_by_itself() {
        let pause = Pause::default();
        pause.begin(0, Scope::All);
        assert!(!pause.is_active());
        assert!(!pause.is_set());
        pause.begin(u64::MAX, Scope::All);
        assert!(pause.is_active());
    }
}
