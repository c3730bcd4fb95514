//! Keys that change their name or place: RENAME, RENAMENX, COPY, MOVE, SWAPDB.
//!
//! Those of two keys read and write them in a transaction, so nobody sees one without the other.

use super::context::{Context, database_number};
use super::refusal::Refusal;
use super::row::{Argument, ArgumentKind, Categories, Flags, Handler, Keys, Outcome, Row};
use super::string::KEY;
use crate::config::EventClasses;
use crate::record::parse_canonical;
use crate::resp::Args;
use crate::store::{Change, Database, Key};

const MOVES: Row = Row { group: "generic", categories: Categories::KEYSPACE, ..Row::BASE };

const NEW_KEY: Argument = Argument { key_spec: 1, ..Argument::new("newkey", ArgumentKind::Key) };

pub(super) static ROWS: [Row; 5] = [
    Row {
        name: "rename",
        arity: 3,
        flags: Flags::WRITE,
        keys: Keys::pair(&["RW", "access", "delete"], &["OW", "update"]),
        summary: "Gives a key another name, whatever had that name",
        arguments: &[KEY, NEW_KEY],
        handler: Handler::Atomic(rename),
        ..MOVES
    },
    Row {
        name: "renamenx",
        arity: 3,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: Keys::pair(&["RW", "access", "delete"], &["OW", "insert"]),
        summary: "Gives a key another name unless a key has it",
        history: &[("3.2.0", "Returns 0 when both names are the same, not an error.")],
        arguments: &[KEY, NEW_KEY],
        handler: Handler::Atomic(renamenx),
        ..MOVES
    },
    Row {
        name: "copy",
        arity: -3,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: Keys::pair(&["RO", "access"], &["OW", "update"]),
        since: "6.2.0",
        summary: "Copies a key's value and deadline to another key",
        arguments: &[
            Argument::new("source", ArgumentKind::Key),
            Argument { key_spec: 1, ..Argument::new("destination", ArgumentKind::Key) },
            Argument {
                token: Some("DB"),
                ..Argument::new("destination-db", ArgumentKind::Integer).optional()
            },
            Argument { since: None, ..Argument::word("replace", "REPLACE", "") }.optional(),
        ],
        handler: Handler::Atomic(copy),
        ..MOVES
    },
    Row {
        name: "move",
        arity: 3,
        flags: Flags::WRITE.and(Flags::FAST),
        // As Redis says; what it does is rather a deletion.
        keys: Keys::one(&["RW", "access", "update"]),
        summary: "Moves a key to another database unless it has one of that name",
        arguments: &[KEY, Argument::new("db", ArgumentKind::Integer)],
        handler: Handler::Atomic(move_key),
        ..MOVES
    },
    Row {
        name: "swapdb",
        arity: 3,
        flags: Flags::WRITE.and(Flags::FAST),
        categories: Categories::KEYSPACE.and(Categories::DANGEROUS),
        group: "server",
        since: "4.0.0",
        summary: "Exchanges two databases",
        arguments: &[
            Argument::new("index1", ArgumentKind::Integer),
            Argument::new("index2", ArgumentKind::Integer),
        ],
        handler: Handler::Alone(swapdb),
        ..MOVES
    },
];

/// Where a key goes to.
#[derive(Clone, Copy)]
struct Destination<'d> {
    database: Database<'d>,
    key: Key<'d>,
    /// Whether a key there is replaced.
    replace: bool,
}

/// What has become of a copy.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Copied {
    /// There is no source.
    NoSource,
    /// There is a destination, which stays.
    Occupied,
    /// Done.
    Done,
}

fn copy_key(context: &Context<'_>, source: Key<'_>, to: Destination<'_>) -> Copied {
    let session = &context.session;
    let Some(entry) = context.database.entry(session, source) else {
        return Copied::NoSource;
    };
    to.database.change(session, to.key, |there| match there {
        Some(_) if !to.replace => Change::Keep(Copied::Occupied),
        _ => Change::Put { value: entry.same(), deadline: entry.deadline(), result: Copied::Done },
    })
}

/// Whether a destination is there and what replaces it is told as a new key all the same: Redis
/// deletes the one before it makes the other.
fn is_told_as_new(context: &Context<'_>, to: Destination<'_>) -> bool {
    let is_told = context.notifies.contains(EventClasses::NEW) && to.replace;
    is_told && to.database.contains(&context.session, to.key)
}

/// A key that is moved is the same as before, and goes on with its history.
fn move_to(context: &Context<'_>, source: Key<'_>, to: Destination<'_>) -> Copied {
    let session = &context.session;
    let copied = copy_key(context, source, to);
    if copied == Copied::Done {
        if let Some(entry) = context.database.entry(session, source) {
            to.database.set_history(session, to.key, entry);
        }
        context.database.remove(session, source);
    }
    copied
}

fn rename_to(context: &mut Context<'_>, args: &Args<'_>, replace: bool) -> Copied {
    let (database, keyspace) = (context.database, &context.state.keyspace);
    let (source, key) = (keyspace.key(args.get(1)), keyspace.key(args.get(2)));
    if source.bytes == key.bytes {
        return match database.contains(&context.session, source) {
            true => Copied::Occupied,
            false => Copied::NoSource,
        };
    }
    let to = Destination { database, key, replace };
    let is_there = is_told_as_new(context, to);
    let copied = move_to(context, source, to);
    if copied == Copied::Done {
        if is_there {
            context.notify(EventClasses::NEW, "new", key);
        }
        context.notify(EventClasses::GENERIC, "rename_from", source);
        context.notify(EventClasses::GENERIC, "rename_to", key);
    }
    copied
}

fn rename<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    if rename_to(context, args, true) == Copied::NoSource {
        return Err(Refusal::NoSuchKey);
    }
    context.out.ok();
    Ok(())
}

fn renamenx<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    let copied = rename_to(context, args, false);
    if copied == Copied::NoSource {
        return Err(Refusal::NoSuchKey);
    }
    context.out.integer((copied != Copied::Occupied).into());
    Ok(())
}

fn copy<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    let keyspace = &context.state.keyspace;
    let (mut number, mut replace) = (context.client.database, false);
    let mut index = 3;
    while index < args.len() {
        let option = args.get(index);
        if option.eq_ignore_ascii_case(b"replace") {
            replace = true;
        } else if option.eq_ignore_ascii_case(b"db") && index + 1 < args.len() {
            index += 1;
            number = database_number(context, args, index)?;
        } else {
            return Err(Refusal::Syntax);
        }
        index += 1;
    }
    let (source, key) = (keyspace.key(args.get(1)), keyspace.key(args.get(2)));
    if number == context.client.database && source.bytes == key.bytes {
        return Err(Refusal::SameObject);
    }
    let to = Destination { database: keyspace.database(number), key, replace };
    let is_there = is_told_as_new(context, to);
    let copied = copy_key(context, source, to);
    context.database.touch(&context.session, source);
    context.look_up(source, copied != Copied::NoSource);
    if copied == Copied::Done {
        if is_there {
            context.notify_in(number, EventClasses::NEW, "new", key);
        }
        context.notify_in(number, EventClasses::GENERIC, "copy_to", key);
    }
    context.out.integer((copied == Copied::Done).into());
    Ok(())
}

fn move_key<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    let number = database_number(context, args, 2)?;
    if number == context.client.database {
        return Err(Refusal::SameObject);
    }
    let keyspace = &context.state.keyspace;
    let key = keyspace.key(args.get(1));
    let to = Destination { database: keyspace.database(number), key, replace: false };
    let copied = move_to(context, key, to);
    if copied == Copied::Done {
        context.notify(EventClasses::GENERIC, "move_from", key);
        context.notify_in(number, EventClasses::GENERIC, "move_to", key);
    }
    context.out.integer((copied == Copied::Done).into());
    Ok(())
}

fn swapdb<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    let number = |index, refusal| {
        let number = parse_canonical(args.get(index)).ok_or(Refusal::Text(refusal))?;
        i32::try_from(number).map_err(|_| Refusal::Text(refusal))
    };
    let one = number(1, "ERR invalid first DB index")?;
    let other = number(2, "ERR invalid second DB index")?;
    let databases = context.state.keyspace.databases();
    let checked = |number| usize::try_from(number).ok().filter(|&number| number < databases);
    let (Some(one), Some(other)) = (checked(one), checked(other)) else {
        return Err(Refusal::DatabaseOutOfRange);
    };
    if one != other {
        context.state.keyspace.database(one).swap(&context.session, other);
    }
    context.out.ok();
    Ok(())
}
