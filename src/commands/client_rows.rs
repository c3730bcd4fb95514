//! CLIENT: the rows of its subcommands, and those handlers that are a few lines.

use super::context::{Context, integer};
use super::peers::Unblocked;
use super::post::Parcel;
use super::refusal::Refusal;
use super::row::{Argument, ArgumentKind, Flags, Handler, Outcome, Row};
use super::{client_kill, client_list, help, pause, reply_mode};
use crate::resp::Args;

/// What all subcommands have in common.
const BASE: Row = Row {
    flags: Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE),
    ..super::connection::CONNECTION
};

/// What those have in common that are for administrators.
const ADMIN: Row = Row { flags: BASE.flags.and(Flags::ADMIN), ..BASE };

const ON: Argument = Argument::token("on", "ON");
const OFF: Argument = Argument::token("off", "OFF");
const NORMAL: Argument = Argument::token("normal", "NORMAL");
const MASTER: Argument = Argument::token("master", "MASTER");
const PUBSUB: Argument = Argument::token("pubsub", "PUBSUB");
const REPLICA: Argument = Argument::token("replica", "REPLICA");

/// ON or OFF, under one name.
const SWITCH: Argument =
    Argument { parts: &[ON, OFF], ..Argument::new("enabled", ArgumentKind::OneOf) };

/// A value after a word.
const fn named(name: &'static str, token: &'static str, kind: ArgumentKind) -> Argument {
    Argument { token: Some(token), ..Argument::new(name, kind) }
}

/// The subcommands.
pub(super) const ROWS: &[Row] = &[
    Row {
        name: "caching",
        arity: 3,
        since: "6.0.0",
        summary: "Has the keys of the next command tracked, or not",
        arguments: &[Argument {
            parts: &[Argument::token("yes", "YES"), Argument::token("no", "NO")],
            ..Argument::new("mode", ArgumentKind::OneOf)
        }],
        handler: Handler::Plain(caching),
        ..BASE
    },
    Row {
        name: "getname",
        arity: 2,
        since: "2.6.9",
        summary: "Returns the name of the connection",
        handler: Handler::Plain(getname),
        ..BASE
    },
    Row {
        name: "getredir",
        arity: 2,
        since: "6.0.0",
        summary: "Returns the client that is told of tracked keys instead of this one",
        handler: Handler::Plain(getredir),
        ..BASE
    },
    Row {
        name: "help",
        arity: 2,
        flags: Flags::LOADING.and(Flags::STALE),
        since: "5.0.0",
        summary: help::SUMMARY,
        handler: Handler::Plain(|context, _| help::write(context, "client", ROWS)),
        ..BASE
    },
    Row {
        name: "id",
        arity: 2,
        since: "5.0.0",
        summary: "Returns the number of the connection",
        handler: Handler::Plain(id),
        ..BASE
    },
    Row {
        name: "info",
        arity: 2,
        since: "6.2.0",
        summary: "Describes the connection",
        tips: &["nondeterministic_output"],
        handler: Handler::Plain(client_list::info),
        ..BASE
    },
    Row {
        name: "kill",
        arity: -3,
        since: "2.4.0",
        summary: "Closes connections",
        complexity: "O(N) where N is the number of connections",
        history: &[
            ("2.8.12", "Filters, `ID` among them."),
            ("3.2.0", "The type `master`."),
            ("5.0.0", "The type `replica`, which was called `slave`, as it still may be."),
            ("6.2.0", "The filter `LADDR`."),
        ],
        arguments: KILL_ARGUMENTS,
        handler: Handler::Plain(client_kill::kill),
        ..ADMIN
    },
    Row {
        name: "list",
        arity: -2,
        since: "2.4.0",
        summary: "Describes all connections, or some",
        complexity: "O(N) where N is the number of connections",
        history: &[
            ("2.8.12", "The field `id`."),
            ("5.0.0", "The filter `TYPE`."),
            ("6.0.0", "The field `user`."),
            ("6.2.0", "The filter `ID`, the fields `argv-mem`, `tot-mem`, `laddr` and `redir`."),
            ("7.0.0", "The fields `resp`, `multi-mem`, `rbs` and `rbp`."),
            ("7.0.3", "The field `ssub`."),
        ],
        tips: &["nondeterministic_output"],
        arguments: LIST_ARGUMENTS,
        handler: Handler::Work(client_list::list),
        ..ADMIN
    },
    Row {
        name: "no-evict",
        arity: 3,
        since: "7.0.0",
        summary: "Has the connection spared when clients have to go, or not",
        arguments: &[SWITCH],
        handler: Handler::Plain(no_evict),
        ..ADMIN
    },
    Row {
        name: "no-touch",
        arity: 3,
        since: "7.2.0",
        summary: "Has the commands of the connection not count as uses of keys, or count again",
        arguments: &[SWITCH],
        handler: Handler::Plain(no_touch),
        ..BASE
    },
    Row {
        name: "pause",
        arity: -3,
        since: "2.9.50",
        summary: "Has clients wait for some milliseconds, all or those that write",
        history: &[("6.2.0", "The option `mode`.")],
        arguments: &[
            Argument::new("timeout", ArgumentKind::Integer),
            Argument {
                parts: &[Argument::token("write", "WRITE"), Argument::token("all", "ALL")],
                since: Some("6.2.0"),
                ..Argument::new("mode", ArgumentKind::OneOf).optional()
            },
        ],
        handler: Handler::Alone(pause::pause),
        ..ADMIN
    },
    Row {
        name: "reply",
        arity: 3,
        since: "3.2.0",
        summary: "Turns the replies to the connection on or off, or skips one",
        arguments: &[Argument {
            parts: &[ON, OFF, Argument::token("skip", "SKIP")],
            ..Argument::new("on_off_skip", ArgumentKind::OneOf)
        }],
        handler: Handler::Last(reply_mode::reply),
        ..BASE
    },
    Row {
        name: "setinfo",
        arity: 4,
        since: "7.2.0",
        summary: "Notes the client library's name or version",
        arguments: &[Argument {
            parts: &[
                named("libname", "LIB-NAME", ArgumentKind::String),
                named("libver", "LIB-VER", ArgumentKind::String),
            ],
            ..Argument::new("attr", ArgumentKind::OneOf)
        }],
        handler: Handler::Plain(setinfo),
        ..BASE
    },
    Row {
        name: "setname",
        arity: 3,
        since: "2.6.9",
        summary: "Gives the connection a name",
        arguments: &[Argument::new("connection-name", ArgumentKind::String)],
        handler: Handler::Plain(setname),
        ..BASE
    },
    Row {
        name: "tracking",
        arity: -3,
        since: "6.0.0",
        summary: "Turns the tracking of keys off; there is none to be turned on",
        arguments: TRACKING_ARGUMENTS,
        handler: Handler::Plain(tracking),
        ..BASE
    },
    Row {
        name: "trackinginfo",
        arity: 2,
        since: "6.2.0",
        summary: "Tells whether keys are tracked for the connection",
        handler: Handler::Plain(trackinginfo),
        ..BASE
    },
    Row {
        name: "unblock",
        arity: -3,
        since: "5.0.0",
        summary: "Lets a client go on that waits in a blocking command",
        complexity: "O(log N) where N is the number of connections",
        arguments: &[
            Argument::new("client-id", ArgumentKind::Integer),
            Argument {
                parts: &[Argument::token("timeout", "TIMEOUT"), Argument::token("error", "ERROR")],
                ..Argument::new("timeout_error", ArgumentKind::OneOf).optional()
            },
        ],
        handler: Handler::Plain(unblock),
        ..ADMIN
    },
    Row {
        name: "unpause",
        arity: 2,
        since: "6.2.0",
        summary: "Lets the clients go on that PAUSE has wait",
        complexity: "O(N) where N is the number of clients that wait",
        handler: Handler::Plain(pause::unpause),
        ..ADMIN
    },
];

const KILL_ARGUMENTS: &[Argument] = &[Argument {
    parts: &[
        Argument::new("ip:port", ArgumentKind::String),
        Argument {
            parts: &[
                Argument {
                    since: Some("2.8.12"),
                    ..named("client-id", "ID", ArgumentKind::Integer).optional()
                },
                Argument {
                    parts: &[
                        NORMAL,
                        Argument::word("master", "MASTER", "3.2.0"),
                        Argument::token("slave", "SLAVE"),
                        Argument::word("replica", "REPLICA", "5.0.0"),
                        PUBSUB,
                    ],
                    since: Some("2.8.12"),
                    ..named("normal_master_slave_pubsub", "TYPE", ArgumentKind::OneOf).optional()
                },
                named("username", "USER", ArgumentKind::String).optional(),
                named("ip:port", "ADDR", ArgumentKind::String).optional(),
                Argument {
                    since: Some("6.2.0"),
                    ..named("ip:port", "LADDR", ArgumentKind::String).optional()
                },
                named("yes/no", "SKIPME", ArgumentKind::String).optional(),
            ],
            ..Argument::new("new-format", ArgumentKind::OneOf).multiple()
        },
    ],
    ..Argument::new("filter", ArgumentKind::OneOf)
}];

const LIST_ARGUMENTS: &[Argument] = &[
    Argument {
        parts: &[NORMAL, MASTER, REPLICA, PUBSUB],
        since: Some("5.0.0"),
        ..named("normal_master_replica_pubsub", "TYPE", ArgumentKind::OneOf).optional()
    },
    Argument {
        parts: &[Argument::new("client-id", ArgumentKind::Integer).multiple()],
        since: Some("6.2.0"),
        ..named("id", "ID", ArgumentKind::Block).optional()
    },
];

const TRACKING_ARGUMENTS: &[Argument] = &[
    Argument { parts: &[ON, OFF], ..Argument::new("status", ArgumentKind::OneOf) },
    named("client-id", "REDIRECT", ArgumentKind::Integer).optional(),
    Argument {
        multiple_token: true,
        ..named("prefix", "PREFIX", ArgumentKind::String).optional().multiple()
    },
    Argument::token("bcast", "BCAST").optional(),
    Argument::token("optin", "OPTIN").optional(),
    Argument::token("optout", "OPTOUT").optional(),
    Argument::token("noloop", "NOLOOP").optional(),
];

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
    let is_name = match attribute.to_ascii_lowercase().as_slice() {
        b"lib-name" => true,
        b"lib-ver" => false,
        _ => return Err(Refusal::UnknownAttribute(attribute)),
    };
    if !is_plain(value) {
        return Err(Refusal::AttributeValue(attribute));
    }
    match is_name {
        true => context.client.set_library_name(value),
        false => context.client.set_library_version(value),
    }
    context.out.ok();
    Ok(())
}

/// Gives the connection a name; the empty one takes it away.
pub(super) fn name_client<'a>(context: &mut Context<'_>, name: &[u8]) -> Outcome<'a> {
    if !is_plain(name) {
        return Err(Refusal::ClientName);
    }
    context.client.set_name(name);
    Ok(())
}

/// Whether `text` has visible ASCII only, so that lists of clients can be split at spaces.
fn is_plain(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_graphic)
}

/// ON or OFF.
fn switch<'a>(word: &[u8]) -> Result<bool, Refusal<'a>> {
    match word.to_ascii_lowercase().as_slice() {
        b"on" => Ok(true),
        b"off" => Ok(false),
        _ => Err(Refusal::Syntax),
    }
}

fn no_evict<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    context.client.is_spared = switch(args.get(2))?;
    context.out.ok();
    Ok(())
}

fn no_touch<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    let leaves = switch(args.get(2))?;
    context.client.leaves_usage = leaves;
    context.session.leave_usage(leaves);
    context.out.ok();
    Ok(())
}

/// Ends the wait of a client in WAIT: there is no other command that could be ended so.
fn unblock<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    let how = match args.len() {
        3 => Unblocked::AsByTime,
        4 if args.get(3).eq_ignore_ascii_case(b"timeout") => Unblocked::AsByTime,
        4 if args.get(3).eq_ignore_ascii_case(b"error") => Unblocked::WithError,
        4 => {
            return Err(Refusal::Text("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"));
        }
        _ => return Err(Refusal::SubcommandSyntax { container: "CLIENT", name: args.get(1) }),
    };
    let id = u64::try_from(integer(args.get(2))?).ok();
    let peer = id.and_then(|id| context.state.peers.find(id));
    let unblocked = peer.filter(|peer| peer.wait.unblock(how));
    if let Some(peer) = &unblocked {
        context.state.post.send(peer.worker, Parcel::Wake(peer.id));
    }
    context.out.integer(unblocked.is_some().into());
    Ok(())
}

fn getredir<'a>(context: &mut Context<'_>, _: &Args<'a>) -> Outcome<'a> {
    context.out.integer(-1);
    Ok(())
}

fn tracking<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    let alone: [&[u8]; 4] = [b"bcast", b"optin", b"optout", b"noloop"];
    let mut index = 3;
    while index < args.len() {
        let word = args.get(index).to_ascii_lowercase();
        let has_value = index + 1 < args.len();
        match word.as_slice() {
            b"redirect" if has_value => {
                integer(args.get(index + 1))?;
                index += 2;
            }
            b"prefix" if has_value => index += 2,
            word if alone.contains(&word) => index += 1,
            _ => return Err(Refusal::Syntax),
        }
    }
    if switch(args.get(2))? {
        return Err(Refusal::Text("ERR This server does not track keys for clients"));
    }
    context.out.ok();
    Ok(())
}

fn trackinginfo<'a>(context: &mut Context<'_>, _: &Args<'a>) -> Outcome<'a> {
    let out = &mut *context.out;
    out.map(3);
    out.bulk(b"flags");
    out.set(1);
    out.bulk(b"off");
    out.bulk(b"redirect");
    out.integer(-1);
    out.bulk(b"prefixes");
    out.array(0);
    Ok(())
}

fn caching<'a>(_: &mut Context<'_>, _: &Args<'a>) -> Outcome<'a> {
    Err(Refusal::Text(
        "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or \
         OPTOUT mode enabled",
    ))
}
