//! Running alone: a stand-in that lets everybody in at once.

use super::admission::Admission;
use super::context::Context;

/// Asks to run alone until [`leave`]: [`Admission::Run`] when no other worker is in a batch any
/// more, [`Admission::Wait`] to ask again later.
pub(super) fn enter(context: &mut Context<'_>) -> Admission {
    context.alone = true;
    Admission::Run
}

/// Lets the others run again.
pub(super) fn leave(context: &mut Context<'_>) {
    context.alone = false;
}
