//! AUTH, and what a client may do that has not given the password yet.
//!
//! Such a client is a stranger. Its commands run one at a time, so that each is asked about after
//! the one before it has run: only those flagged `no_auth` do (AUTH, HELLO, QUIT, RESET). A command
//! that would be refused for its name or the number of its arguments is refused for that, as in
//! Redis.

use super::access::DEFAULT_USER;
use super::client::Client;
use super::client_list;
use super::context::Context;
use super::debug;
use super::denials::Attempt;
use super::dispatch::find;
use super::multi;
use super::refusal::Refusal;
use super::row::{Flags, Handler, Outcome};
use super::state::ServerState;
use crate::resp::Args;

impl Client {
    /// Whether the client has to give the password first.
    #[inline]
    pub fn is_stranger(&self, state: &ServerState) -> bool {
        !self.is_authenticated && state.access.is_required()
    }

    /// Makes the client what it is before it says who it is: a stranger if there is a password.
    pub fn forget_authentication(&mut self, state: &ServerState) {
        self.is_authenticated = !state.access.is_required();
    }
}

/// Refuses the command of a stranger, unless it is one that may come first. Returns whether it did.
#[cold]
pub(super) fn refuse_stranger(context: &mut Context<'_>, args: &Args<'_>) -> bool {
    let Some(row) = find(args).filter(|row| !row.flags.contains(Flags::NO_AUTH)) else {
        return false;
    };
    if debug::refuse(context, row) {
        return true;
    }
    context.setbacks.reject(row);
    if matches!(row.handler, Handler::Exec) {
        multi::forget(context);
        context.refuse(&Refusal::Text(
            "EXECABORT Transaction discarded because of: NOAUTH Authentication required.",
        ));
        return true;
    }
    if let Some(queue) = &mut context.client.queue {
        queue.break_off();
    }
    context.refuse(&Refusal::NotAuthenticated);
    true
}

/// AUTH with a password, or with a user's name and a password.
pub(super) fn auth<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    match args.len() {
        2 if !context.state.access.is_required() => {
            return Err(Refusal::Text(
                "ERR AUTH <password> called without any password configured for the default \
                 user. Are you sure your configuration is correct?",
            ));
        }
        2 => authenticate(context, args, DEFAULT_USER, args.get(1))?,
        3 => authenticate(context, args, args.get(1), args.get(2))?,
        _ => return Err(Refusal::Syntax),
    }
    context.out.ok();
    Ok(())
}

/// Lets the client in, or notes that it was turned away. A client that is in stays in.
pub(super) fn authenticate<'a>(
    context: &mut Context<'_>,
    args: &Args<'a>,
    user: &[u8],
    password: &[u8],
) -> Outcome<'a> {
    let access = &context.state.access;
    if !access.admits(user, password) {
        let place = if context.client.executing.is_some() { "multi" } else { "toplevel" };
        let (command, user) = (args.name().to_vec(), user.to_vec());
        let attempt = Attempt { context: place, command, user };
        access.denials.note(attempt, client_list::line(context));
        return Err(Refusal::WrongPassword);
    }
    context.client.is_authenticated = true;
    Ok(())
}
