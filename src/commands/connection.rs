//! The connection itself: PING, ECHO, QUIT, RESET, SELECT, HELLO. (CLIENT is in `client_rows`.)

use super::context::{Context, database_number};
use super::refusal::Refusal;
use super::row::{Argument, ArgumentKind, Categories, Flags, Handler, Outcome, Row};
use super::{auth, client_rows, hello, multi};
use crate::resp::{Args, Protocol};

/// What commands about the connection have in common.
pub(super) const CONNECTION: Row =
    Row { group: "connection", categories: Categories::CONNECTION, ..Row::BASE };

const MESSAGE: Argument = Argument::new("message", ArgumentKind::String);

/// What may come before anything else on a connection.
const HANDSHAKE: Flags = Flags::NOSCRIPT
    .and(Flags::LOADING)
    .and(Flags::STALE)
    .and(Flags::FAST)
    .and(Flags::NO_AUTH)
    .and(Flags::ALLOW_BUSY);

pub(super) static ROWS: [Row; 8] = [
    Row {
        name: "ping",
        arity: -1,
        flags: Flags::FAST,
        summary: "Answers PONG, or the message",
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        arguments: &[MESSAGE.optional()],
        handler: Handler::Plain(ping),
        ..CONNECTION
    },
    Row {
        name: "auth",
        arity: -2,
        flags: HANDSHAKE,
        summary: "Gives the password, so that commands are run",
        complexity: "O(N) where N is the length of the password",
        history: &[("6.0.0", "A user's name may come before the password.")],
        arguments: &[
            Argument {
                since: Some("6.0.0"),
                ..Argument::new("username", ArgumentKind::String).optional()
            },
            Argument::new("password", ArgumentKind::String),
        ],
        handler: Handler::Plain(auth::auth),
        ..CONNECTION
    },
    Row {
        name: "echo",
        arity: 2,
        flags: Flags::LOADING.and(Flags::STALE).and(Flags::FAST),
        summary: "Returns the message",
        arguments: &[MESSAGE],
        handler: Handler::Plain(echo),
        ..CONNECTION
    },
    Row {
        name: "quit",
        arity: -1,
        flags: HANDSHAKE,
        summary: "Closes the connection",
        handler: Handler::Immediate(quit),
        ..CONNECTION
    },
    Row {
        name: "reset",
        flags: HANDSHAKE,
        since: "6.2.0",
        summary: "Makes the connection as it was when it was new",
        handler: Handler::Immediate(reset),
        ..CONNECTION
    },
    Row {
        name: "select",
        arity: 2,
        flags: Flags::LOADING.and(Flags::STALE).and(Flags::FAST),
        summary: "Selects the database for this connection",
        arguments: &[Argument::new("index", ArgumentKind::Integer)],
        handler: Handler::Plain(select),
        ..CONNECTION
    },
    Row {
        name: "hello",
        arity: -1,
        flags: HANDSHAKE,
        since: "6.0.0",
        summary: "Chooses the protocol and describes the server",
        history: &[("6.2.0", "The protocol version may be left out.")],
        arguments: hello::ARGUMENTS,
        handler: Handler::Plain(hello::hello),
        ..CONNECTION
    },
    Row {
        name: "client",
        arity: -2,
        categories: Categories::NONE,
        since: "2.4.0",
        summary: "Commands about client connections",
        complexity: "Depends on the subcommand",
        subcommands: client_rows::ROWS,
        ..CONNECTION
    },
];

fn ping<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    let is_message = context.client.is_listening() && context.out.protocol == Protocol::Resp2;
    if is_message && args.len() <= 2 {
        // Where every reply looks like a message, this one does too.
        context.out.array(2);
        context.out.bulk(b"pong");
        context.out.bulk(args.iter().nth(1).unwrap_or_default());
        return Ok(());
    }
    match args.len() {
        1 => context.out.simple("PONG"),
        2 => context.echo(args, 1),
        _ => {
            return Err(Refusal::WrongArity { container: None, name: "ping" });
        }
    }
    Ok(())
}

fn echo<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    context.echo(args, 1);
    Ok(())
}

fn quit<'a>(context: &mut Context<'_>, _: &Args<'a>) -> Outcome<'a> {
    context.client.stop_listening();
    context.out.ok();
    context.client.close_after_reply = true;
    Ok(())
}

fn reset<'a>(context: &mut Context<'_>, _: &Args<'a>) -> Outcome<'a> {
    multi::forget(context);
    context.client.stop_listening();
    context.select(0);
    context.client.protocol = Protocol::Resp2;
    context.out.protocol = Protocol::Resp2;
    context.client.set_name(b"");
    context.client.reply_mode.reset(context.out);
    context.client.forget_authentication(context.state);
    context.out.simple("RESET");
    Ok(())
}

fn select<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    let index = database_number(context, args, 1)?;
    context.select(index);
    context.out.ok();
    Ok(())
}
