//! HELLO: the handshake of clients that speak RESP3.

use super::auth::authenticate;
use super::client_rows::name_client;
use super::context::Context;
use super::refusal::Refusal;
use super::row::{Argument, ArgumentKind, Outcome};
use super::state::COMPATIBLE_VERSION;
use crate::record::parse_canonical;
use crate::resp::{Args, Protocol};

/// The arguments, for the row.
pub(super) const ARGUMENTS: &[Argument] = &[Argument {
    parts: &[
        Argument::new("protover", ArgumentKind::Integer),
        Argument {
            token: Some("AUTH"),
            parts: &[
                Argument::new("username", ArgumentKind::String),
                Argument::new("password", ArgumentKind::String),
            ],
            ..Argument::new("username_password", ArgumentKind::Block).optional()
        },
        Argument {
            token: Some("SETNAME"),
            ..Argument::new("clientname", ArgumentKind::String).optional()
        },
    ],
    ..Argument::new("arguments", ArgumentKind::Block).optional()
}];

/// The handler. As in Redis, options take effect as they are read, the protocol at the end.
pub(super) fn hello<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    let mut protocol = context.client.protocol;
    if args.len() > 1 {
        protocol = match parse_canonical(args.get(1)).ok_or(Refusal::ProtocolNotANumber)? {
            2 => Protocol::Resp2,
            3 => Protocol::Resp3,
            _ => return Err(Refusal::UnsupportedProtocol),
        };
        options(context, args)?;
    }
    // Also where the password was taken away since the client came: as in Redis, which asks for
    // an AUTH then too.
    if !context.client.is_authenticated {
        return Err(Refusal::HelloNotAuthenticated);
    }
    context.client.protocol = protocol;
    context.out.protocol = protocol;
    describe(context);
    Ok(())
}

fn options<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    let mut index = 2;
    while index < args.len() {
        let option = args.get(index);
        let arguments = args.len() - index - 1;
        if option.eq_ignore_ascii_case(b"auth") && arguments >= 2 {
            authenticate(context, args, args.get(index + 1), args.get(index + 2))?;
            index += 3;
        } else if option.eq_ignore_ascii_case(b"setname") && arguments >= 1 {
            name_client(context, args.get(index + 1))?;
            index += 2;
        } else {
            return Err(Refusal::HelloOption(option));
        }
    }
    Ok(())
}

/// Writes the map that describes the server and the connection.
fn describe(context: &mut Context<'_>) {
    let out = &mut *context.out;
    out.map(7);
    out.bulk(b"server");
    out.bulk(b"redis");
    out.bulk(b"version");
    out.bulk(COMPATIBLE_VERSION.as_bytes());
    out.bulk(b"proto");
    out.integer(out.protocol.number());
    out.bulk(b"id");
    out.integer(context.client.id as i64);
    out.bulk(b"mode");
    out.bulk(b"standalone");
    out.bulk(b"role");
    out.bulk(b"master");
    out.bulk(b"modules");
    out.array(0);
}
