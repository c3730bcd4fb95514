//! The connection itself: PING, ECHO, QUIT, RESET, SELECT, HELLO, CLIENT.

use super::context::{Context, database_number};
use super::refusal::Refusal;
use super::row::{Argument, ArgumentKind, Categories, Flags, Handler, Outcome, Row};
use super::{hello, help, multi};
use crate::resp::{Args, Protocol};

const CONNECTION: Row =
    Row { group: "connection", categories: Categories::CONNECTION, ..Row::BASE };

const MESSAGE: Argument = Argument::new("message", ArgumentKind::String);

/// What may come before anything else on a connection.
const HANDSHAKE: Flags = Flags::NOSCRIPT
    .and(Flags::LOADING)
    .and(Flags::STALE)
    .and(Flags::FAST)
    .and(Flags::NO_AUTH)
    .and(Flags::ALLOW_BUSY);

pub(super) static ROWS: [Row; 7] = [
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
        subcommands: CLIENT,
        ..CONNECTION
    },
];

/// What the subcommands of CLIENT have in common.
const CLIENT_BASE: Row =
    Row { flags: Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE), ..CONNECTION };

const CLIENT: &[Row] = &[
    Row {
        name: "getname",
        arity: 2,
        since: "2.6.9",
        summary: "Returns the name of the connection",
        handler: Handler::Plain(getname),
        ..CLIENT_BASE
    },
    Row {
        name: "help",
        arity: 2,
        flags: Flags::LOADING.and(Flags::STALE),
        since: "5.0.0",
        summary: help::SUMMARY,
        handler: Handler::Plain(|context, _| help::write(context, "client", CLIENT)),
        ..CLIENT_BASE
    },
    Row {
        name: "id",
        arity: 2,
        since: "5.0.0",
        summary: "Returns the number of the connection",
        handler: Handler::Plain(id),
        ..CLIENT_BASE
    },
    Row {
        name: "setinfo",
        arity: 4,
        since: "7.2.0",
        summary: "Notes the client library's name or version",
        arguments: &[Argument {
            parts: &[
                Argument {
                    token: Some("LIB-NAME"),
                    ..Argument::new("libname", ArgumentKind::String)
                },
                Argument {
                    token: Some("LIB-VER"),
                    ..Argument::new("libver", ArgumentKind::String)
                },
            ],
            ..Argument::new("attr", ArgumentKind::OneOf)
        }],
        handler: Handler::Plain(setinfo),
        ..CLIENT_BASE
    },
    Row {
        name: "setname",
        arity: 3,
        since: "2.6.9",
        summary: "Gives the connection a name",
        arguments: &[Argument::new("connection-name", ArgumentKind::String)],
        handler: Handler::Plain(setname),
        ..CLIENT_BASE
    },
];

fn ping<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
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
    context.out.ok();
    context.client.close_after_reply = true;
    Ok(())
}

fn reset<'a>(context: &mut Context<'_>, _: &Args<'a>) -> Outcome<'a> {
    multi::forget(context);
    context.select(0);
    context.client.protocol = Protocol::Resp2;
    context.out.protocol = Protocol::Resp2;
    context.client.name.clear();
    context.out.simple("RESET");
    Ok(())
}

fn select<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    let index = database_number(context, args, 1)?;
    context.select(index);
    context.out.ok();
    Ok(())
}

fn id<'a>(context: &mut Context<'_>, _: &Args<'a>) -> Outcome<'a> {
    context.out.integer(context.client.id as i64);
    Ok(())
}

fn getname<'a>(context: &mut Context<'_>, _: &Args<'a>) -> Outcome<'a> {
    if context.client.name.is_empty() {
        context.out.null();
    } else {
        context.out.bulk(&context.client.name);
    }
    Ok(())
}

fn setname<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    name_client(context, args.get(2))?;
    context.out.ok();
    Ok(())
}

fn setinfo<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    let (attribute, value) = (args.get(2), args.get(3));
    let client = &mut *context.client;
    let place = match attribute.to_ascii_lowercase().as_slice() {
        b"lib-name" => &mut client.library_name,
        b"lib-ver" => &mut client.library_version,
        _ => return Err(Refusal::UnknownAttribute(attribute)),
    };
    if !is_plain(value) {
        return Err(Refusal::AttributeValue(attribute));
    }
    value.clone_into(place);
    context.out.ok();
    Ok(())
}

/// Gives the connection a name; the empty one takes it away.
pub(super) fn name_client<'a>(context: &mut Context<'_>, name: &[u8]) -> Outcome<'a> {
    if !is_plain(name) {
        return Err(Refusal::ClientName);
    }
    name.clone_into(&mut context.client.name);
    Ok(())
}

/// Whether `text` has visible ASCII only, so that lists of clients can be split at spaces.
fn is_plain(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_graphic)
}
