//! Messages between clients: SUBSCRIBE and its like, PUBLISH, PUBSUB.
//!
//! `registry` says who listens to what and what PUBLISH promises, `subscriptions` is one client's
//! part in it, `message` what it gets, `queries` what PUBSUB tells. A message goes by way of
//! `outbox` and `post` to the workers of those who get it.
//!
//! A client that listens and speaks RESP2 may do little else (module `care`), for it could not tell
//! a message from a reply.

mod message;
mod queries;
mod registry;
mod subscriptions;

pub(super) use self::registry::{Delivery, Listener, divide};
pub use self::registry::{Kind, Registry};
pub(super) use self::subscriptions::Subscriptions;

use bytes::Bytes;

use super::context::{Context, large};
use super::row::{Argument, ArgumentKind, Categories, Flags, Handler, Keys, Outcome, Row};
use crate::resp::Args;

const CHANNEL: Argument = Argument::new("channel", ArgumentKind::String);
const SHARD_CHANNEL: Argument = Argument::new("shardchannel", ArgumentKind::String);
const PATTERN: Argument = Argument::new("pattern", ArgumentKind::Pattern);
const MESSAGE: Argument = Argument::new("message", ArgumentKind::String);

/// What all have in common.
const PUBSUB_BASE: Row =
    Row { group: "pubsub", categories: Categories::PUBSUB, since: "2.0.0", ..Row::BASE };

/// What changes subscriptions.
const SUBSCRIBES: Row = Row {
    flags: Flags::PUBSUB.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    ..PUBSUB_BASE
};

const PUBLISHES: Row = Row {
    arity: 3,
    flags: Flags::PUBSUB
        .and(Flags::LOADING)
        .and(Flags::STALE)
        .and(Flags::FAST)
        .and(Flags::MAY_REPLICATE),
    ..PUBSUB_BASE
};

pub(super) static ROWS: [Row; 9] = [
    Row {
        name: "subscribe",
        arity: -2,
        summary: "Listens for the messages of channels",
        complexity: "O(N) where N is the number of channels",
        arguments: &[CHANNEL.multiple()],
        handler: Handler::Plain(|context, args| subscribe(context, args, Kind::Channel)),
        ..SUBSCRIBES
    },
    Row {
        name: "unsubscribe",
        arity: -1,
        summary: "Stops listening for the messages of channels, of all without any",
        complexity: "O(N) where N is the number of channels",
        arguments: &[CHANNEL.optional().multiple()],
        handler: Handler::Plain(|context, args| unsubscribe(context, args, Kind::Channel)),
        ..SUBSCRIBES
    },
    Row {
        name: "psubscribe",
        arity: -2,
        summary: "Listens for the messages of all channels that match patterns",
        complexity: "O(N) where N is the number of patterns",
        arguments: &[Argument {
            parts: &[PATTERN],
            ..Argument::new("pattern", ArgumentKind::Block).multiple()
        }],
        handler: Handler::Plain(|context, args| subscribe(context, args, Kind::Pattern)),
        ..SUBSCRIBES
    },
    Row {
        name: "punsubscribe",
        arity: -1,
        summary: "Stops listening for what matches patterns, all without any",
        complexity: "O(N) where N is the number of patterns",
        arguments: &[PATTERN.optional().multiple()],
        handler: Handler::Plain(|context, args| unsubscribe(context, args, Kind::Pattern)),
        ..SUBSCRIBES
    },
    Row {
        name: "ssubscribe",
        arity: -2,
        keys: Keys::all(1, &["not_key"]),
        since: "7.0.0",
        summary: "Listens for the messages of channels of the shard",
        complexity: "O(N) where N is the number of channels",
        arguments: &[SHARD_CHANNEL.multiple()],
        handler: Handler::Plain(|context, args| subscribe(context, args, Kind::Shard)),
        ..SUBSCRIBES
    },
    Row {
        name: "sunsubscribe",
        arity: -1,
        keys: Keys::all(1, &["not_key"]),
        since: "7.0.0",
        summary: "Stops listening for the messages of channels of the shard, of all without any",
        complexity: "O(N) where N is the number of channels",
        arguments: &[SHARD_CHANNEL.optional().multiple()],
        handler: Handler::Plain(|context, args| unsubscribe(context, args, Kind::Shard)),
        ..SUBSCRIBES
    },
    Row {
        name: "publish",
        summary: "Sends a message to all who listen to a channel, and says how many they are",
        complexity: "O(N+M) where N is the number of its listeners and M that of all patterns",
        arguments: &[CHANNEL, MESSAGE],
        handler: Handler::Plain(|context, args| publish(context, args, Kind::Channel)),
        ..PUBLISHES
    },
    Row {
        name: "spublish",
        keys: Keys::one(&["not_key"]),
        since: "7.0.0",
        summary: "Sends a message to all who listen to a channel of the shard",
        complexity: "O(N) where N is the number of its listeners",
        arguments: &[SHARD_CHANNEL, MESSAGE],
        handler: Handler::OneKey(|context, args, _| publish(context, args, Kind::Shard)),
        ..PUBLISHES
    },
    Row {
        name: "pubsub",
        arity: -2,
        categories: Categories::NONE,
        since: "2.8.0",
        summary: "Commands about subscriptions",
        complexity: "Depends on the subcommand",
        subcommands: queries::ROWS,
        ..PUBSUB_BASE
    },
];

/// The words that confirm a subscription and its end.
const CONFIRMATIONS: [(&[u8], &[u8]); 3] = [
    (b"subscribe", b"unsubscribe"),
    (b"psubscribe", b"punsubscribe"),
    (b"ssubscribe", b"sunsubscribe"),
];

fn subscribe<'a>(context: &mut Context<'_>, args: &Args<'a>, kind: Kind) -> Outcome<'a> {
    for name in args.iter().skip(1) {
        let listener = Listener { worker: context.worker, client: context.client.id };
        let new = || Box::new(Subscriptions::new(&context.state.channels, listener));
        context.client.subscriptions.get_or_insert_with(new).enter(kind, name);
        confirm(context, CONFIRMATIONS[kind as usize].0, kind, Some(name));
    }
    // From the next command on.
    context.needs_care = true;
    Ok(())
}

fn unsubscribe<'a>(context: &mut Context<'_>, args: &Args<'a>, kind: Kind) -> Outcome<'a> {
    let word = CONFIRMATIONS[kind as usize].1;
    if args.len() > 1 {
        for name in args.iter().skip(1) {
            leave(context, kind, name);
            confirm(context, word, kind, Some(name));
        }
        return Ok(());
    }
    let own = context.client.subscriptions.as_deref();
    let names: Vec<_> = own.into_iter().flat_map(|own| own.names(kind).cloned()).collect();
    if names.is_empty() {
        confirm(context, word, kind, None);
    }
    for name in names {
        leave(context, kind, &name);
        confirm(context, word, kind, Some(&name));
    }
    Ok(())
}

fn leave(context: &mut Context<'_>, kind: Kind, name: &[u8]) {
    let Some(own) = &mut context.client.subscriptions else { return };
    own.leave(kind, name);
    if own.counts() == [0; 3] {
        context.client.subscriptions = None;
    }
}

/// Says that a subscription has begun or ended, and how many of the client's there are then.
fn confirm(context: &mut Context<'_>, word: &[u8], kind: Kind, name: Option<&[u8]>) {
    let [channels, patterns, shard] = context.client.subscriptions();
    let count = if kind == Kind::Shard { shard } else { channels + patterns };
    context.push(|_, out| {
        out.push(3);
        out.bulk(word);
        match name {
            Some(name) => out.bulk(name),
            None => out.null(),
        }
        out.integer(count as i64);
    });
}

fn publish<'a>(context: &mut Context<'_>, args: &Args<'a>, kind: Kind) -> Outcome<'a> {
    // A large message has a buffer of its own already, which all who get it share.
    let payload = || large(args, 2).cloned().unwrap_or_else(|| Bytes::copy_from_slice(args.get(2)));
    let deliveries = context.state.channels.address(kind, args.get(1), payload);
    let receivers: usize = deliveries.iter().map(|delivery| delivery.clients.len()).sum();
    if !deliveries.is_empty() {
        context.deliver(deliveries);
    }
    context.out.integer(receivers as i64);
    Ok(())
}
