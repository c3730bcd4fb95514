//! Setting strings with all options: SET, SETNX, SETEX, PSETEX, GETSET, GETDEL, GETEX.

use super::context::{Context, new_value, write_value};
use super::deadline::Unit;
use super::refusal::Refusal;
use super::row::{Argument, ArgumentKind, Categories, Flags, Handler, Keys, Outcome, Row};
use super::string::{KEY, VALUE};
use crate::config::EventClasses;
use crate::resp::Args;
use crate::store::{Change, Entry, Key};

const STRING: Row = Row { group: "string", categories: Categories::STRING, ..Row::BASE };

/// `EX seconds` and its like, as an argument of SET and GETEX.
const fn time(name: &'static str, token: &'static str, kind: ArgumentKind) -> Argument {
    Argument { token: Some(token), ..Argument::new(name, kind) }
}

const EX: Argument = time("seconds", "EX", ArgumentKind::Integer);
const PX: Argument = time("milliseconds", "PX", ArgumentKind::Integer);
const EXAT: Argument = time("unix-time-seconds", "EXAT", ArgumentKind::UnixTime);
const PXAT: Argument = time("unix-time-milliseconds", "PXAT", ArgumentKind::UnixTime);

/// The same argument, said to be of a later version.
const fn since(version: &'static str, argument: Argument) -> Argument {
    Argument { since: Some(version), ..argument }
}

const SET_ARGUMENTS: &[Argument] = &[
    KEY,
    VALUE,
    Argument {
        parts: &[
            Argument { since: None, ..Argument::word("nx", "NX", "") },
            Argument { since: None, ..Argument::word("xx", "XX", "") },
        ],
        since: Some("2.6.12"),
        ..Argument::new("condition", ArgumentKind::OneOf).optional()
    },
    Argument::word("get", "GET", "6.2.0").optional(),
    Argument {
        parts: &[
            since("2.6.12", EX),
            since("2.6.12", PX),
            since("6.2.0", EXAT),
            since("6.2.0", PXAT),
            Argument::word("keepttl", "KEEPTTL", "6.0.0"),
        ],
        ..Argument::new("expiration", ArgumentKind::OneOf).optional()
    },
];

pub(super) static ROWS: [Row; 7] = [
    Row {
        name: "set",
        arity: -3,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: Keys::one_as_used("Reads the key only with `GET`", use_of_key),
        summary: "Sets a key to a value, whatever it held before",
        history: &[
            ("2.6.12", "Takes `EX`, `PX`, `NX` and `XX`."),
            ("6.0.0", "Takes `KEEPTTL`."),
            ("6.2.0", "Takes `GET`, `EXAT` and `PXAT`."),
            ("7.0.0", "Takes `NX` and `GET` together."),
        ],
        arguments: SET_ARGUMENTS,
        handler: Handler::OneKey(set),
        ..STRING
    },
    Row {
        name: "setnx",
        arity: 3,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
        keys: Keys::one(&["OW", "insert"]),
        summary: "Sets a key to a value unless the key exists",
        arguments: &[KEY, VALUE],
        handler: Handler::OneKey(setnx),
        ..STRING
    },
    Row {
        name: "setex",
        arity: 4,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: Keys::one(&["OW", "update"]),
        since: "2.0.0",
        summary: "Sets a key to a value that expires in so many seconds",
        arguments: &[KEY, Argument::new("seconds", ArgumentKind::Integer), VALUE],
        handler: Handler::OneKey(|context, args, key| setex(context, args, key, Unit::EX, "setex")),
        ..STRING
    },
    Row {
        name: "psetex",
        arity: 4,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: Keys::one(&["OW", "update"]),
        since: "2.6.0",
        summary: "Sets a key to a value that expires in so many milliseconds",
        arguments: &[KEY, Argument::new("milliseconds", ArgumentKind::Integer), VALUE],
        handler: Handler::OneKey(|context, args, key| {
            setex(context, args, key, Unit::PX, "psetex")
        }),
        ..STRING
    },
    Row {
        name: "getset",
        arity: 3,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
        keys: Keys::one(&["RW", "access", "update"]),
        summary: "Sets a key to a value and returns the one before",
        deprecated: Some(("6.2.0", "`SET` with the `!GET` argument")),
        arguments: &[KEY, VALUE],
        handler: Handler::OneKey(getset),
        ..STRING
    },
    Row {
        name: "getdel",
        arity: 2,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: Keys::one(&["RW", "access", "delete"]),
        since: "6.2.0",
        summary: "Deletes a key and returns its value",
        arguments: &[KEY],
        handler: Handler::OneKey(getdel),
        ..STRING
    },
    Row {
        name: "getex",
        arity: -2,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: Keys::one_with_notes(
            &["RW", "access", "update"],
            "Changes no more than the deadline",
        ),
        since: "6.2.0",
        summary: "Returns the value of a key and sets its deadline, or takes it away",
        arguments: &[
            KEY,
            Argument {
                parts: &[
                    EX,
                    PX,
                    EXAT,
                    PXAT,
                    Argument { since: None, ..Argument::word("persist", "PERSIST", "") },
                ],
                ..Argument::new("expiration", ArgumentKind::OneOf).optional()
            },
        ],
        handler: Handler::OneKey(getex),
        ..STRING
    },
];

/// What the options of SET or GETEX say of the deadline.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Expiration {
    /// Nothing.
    #[default]
    Unsaid,
    /// The argument of this index, in this unit.
    At(Unit, usize),
    /// It stays (SET).
    Keep,
    /// It goes (GETEX).
    Persist,
}

/// The options of SET and GETEX.
#[derive(Clone, Copy, Default)]
struct Options {
    nx: bool,
    xx: bool,
    get: bool,
    expiration: Expiration,
}

impl Options {
    /// Reads the arguments from `from` on. The rules for what excludes what are Redis's: the same
    /// option twice is fine, and the last counts.
    fn parse<'a>(args: &Args<'a>, from: usize, is_set: bool) -> Result<Options, Refusal<'a>> {
        let mut options = Options::default();
        let mut index = from;
        while index < args.len() {
            let expiration = match args.get(index).to_ascii_lowercase().as_slice() {
                b"nx" if is_set && !options.xx => {
                    options.nx = true;
                    None
                }
                b"xx" if is_set && !options.nx => {
                    options.xx = true;
                    None
                }
                b"get" if is_set => {
                    options.get = true;
                    None
                }
                b"keepttl" if is_set => Some(Expiration::Keep),
                b"persist" if !is_set => Some(Expiration::Persist),
                b"ex" => Some(Expiration::At(Unit::EX, index + 1)),
                b"px" => Some(Expiration::At(Unit::PX, index + 1)),
                b"exat" => Some(Expiration::At(Unit::EXAT, index + 1)),
                b"pxat" => Some(Expiration::At(Unit::PXAT, index + 1)),
                _ => return Err(Refusal::Syntax),
            };
            if let Some(expiration) = expiration {
                if !options.expiration.gives_way_to(expiration) {
                    return Err(Refusal::Syntax);
                }
                if let Expiration::At(_, amount) = expiration {
                    if amount >= args.len() {
                        return Err(Refusal::Syntax);
                    }
                    index = amount;
                }
                options.expiration = expiration;
            }
            index += 1;
        }
        Ok(options)
    }
}

impl Expiration {
    /// Whether `next` may follow: the same once more, or anything after nothing.
    fn gives_way_to(self, next: Expiration) -> bool {
        match (self, next) {
            (Expiration::At(one, _), Expiration::At(other, _)) => one == other,
            (one, other) => one == Expiration::Unsaid || one == other,
        }
    }

    /// The deadline that is given, if one is.
    fn deadline<'a>(
        self,
        context: &Context<'_>,
        args: &Args<'a>,
        command: &'static str,
    ) -> Result<Option<u64>, Refusal<'a>> {
        match self {
            Expiration::At(unit, index) => {
                let now = if unit.absolute { 0 } else { context.session.now() };
                unit.deadline(args.get(index), now, command).map(Some)
            }
            _ => Ok(None),
        }
    }
}

/// What a SET among the arguments, from `start`, does with its key.
fn use_of_key(args: &Args<'_>, start: usize) -> &'static [&'static str] {
    let reads = args.iter().skip(start + 3).any(|option| option.eq_ignore_ascii_case(b"get"));
    if reads { &["RW", "access", "update"] } else { &["OW", "update"] }
}

fn set<'a>(context: &mut Context<'_>, args: &Args<'a>, key: Key<'a>) -> Outcome<'a> {
    if args.len() == 3 {
        context.database.set(&context.session, key, new_value(args, 2));
        context.notify(EventClasses::STRING, "set", key);
        context.out.ok();
        return Ok(());
    }
    let options = Options::parse(args, 3, true)?;
    let deadline = options.expiration.deadline(context, args, "set")?;
    let keep = options.expiration == Expiration::Keep;
    let decide = |entry: Option<Entry<'_>>| {
        if options.nx && entry.is_some() || options.xx && entry.is_none() {
            return Change::Keep(false);
        }
        let kept = entry.and_then(Entry::deadline).filter(|_| keep);
        Change::Put { value: new_value(args, 2), deadline: deadline.or(kept), result: true }
    };
    if options.get {
        let (found, is_set) = get_and_change(context, key, decide);
        context.look_up(key, found);
        if is_set {
            tell_set(context, key, deadline.is_some());
        }
    } else if context.database.change(&context.session, key, decide) {
        tell_set(context, key, deadline.is_some());
        context.out.ok();
    } else {
        context.out.null();
    }
    Ok(())
}

/// Tells that a key was set, and that it was given a deadline.
fn tell_set(context: &mut Context<'_>, key: Key<'_>, has_deadline: bool) {
    context.notify(EventClasses::STRING, "set", key);
    if has_deadline {
        context.notify(EventClasses::GENERIC, "expire", key);
    }
}

/// Changes a key and replies with what it held, or null. Returns whether it was there, and the
/// result of the change.
fn get_and_change<'g, 'v, R>(
    context: &'g mut Context<'_>,
    key: Key<'_>,
    mut decide: impl FnMut(Option<Entry<'g>>) -> Change<'v, R>,
) -> (bool, R) {
    let Context { database, session, out, .. } = context;
    let start = out.mark();
    let mut found = false;
    let result = database.change(session, key, |entry| {
        // A later look starts the reply anew.
        out.rewind(start);
        found = entry.is_some();
        match entry {
            // A value that is about to go: no INCR may come between the reply and the change.
            Some(entry) => write_value(out, &entry.settled()),
            None => out.null(),
        }
        decide(entry)
    });
    (found, result)
}

fn setnx<'a>(context: &mut Context<'_>, args: &Args<'a>, key: Key<'a>) -> Outcome<'a> {
    let value = new_value(args, 2);
    let set = context.database.set_if_absent(&context.session, key, value);
    if set {
        context.notify(EventClasses::STRING, "set", key);
    }
    context.out.integer(i64::from(set));
    Ok(())
}

fn setex<'a>(
    context: &mut Context<'_>,
    args: &Args<'a>,
    key: Key<'a>,
    unit: Unit,
    command: &'static str,
) -> Outcome<'a> {
    let deadline = Some(unit.deadline(args.get(2), context.session.now(), command)?);
    context.database.change(&context.session, key, |_| Change::Put {
        value: new_value(args, 3),
        deadline,
        result: (),
    });
    tell_set(context, key, true);
    context.out.ok();
    Ok(())
}

fn getset<'a>(context: &mut Context<'_>, args: &Args<'a>, key: Key<'a>) -> Outcome<'a> {
    let (found, ()) = get_and_change(context, key, |_| Change::Put {
        value: new_value(args, 2),
        deadline: None,
        result: (),
    });
    context.look_up(key, found);
    tell_set(context, key, false);
    Ok(())
}

fn getdel<'a>(context: &mut Context<'_>, _: &Args<'a>, key: Key<'a>) -> Outcome<'a> {
    let (found, ()) = get_and_change(context, key, |_| Change::Remove(()));
    context.look_up(key, found);
    if found {
        context.notify(EventClasses::GENERIC, "del", key);
    }
    Ok(())
}

fn getex<'a>(context: &mut Context<'_>, args: &Args<'a>, key: Key<'a>) -> Outcome<'a> {
    let options = Options::parse(args, 2, false)?;
    if !context.database.touch(&context.session, key) {
        context.look_up(key, false);
        context.out.null();
        return Ok(());
    }
    let deadline = options.expiration.deadline(context, args, "getex")?;
    let now = if deadline.is_some() { context.session.now() } else { 0 };
    let (found, event) = get_and_change(context, key, |entry| match (entry, deadline) {
        (None, _) => Change::Keep(None),
        (_, Some(deadline)) if deadline <= now => Change::Remove(Some("del")),
        (Some(entry), Some(_)) => Change::Deadline { entry, deadline, result: Some("expire") },
        (Some(entry), None)
            if options.expiration == Expiration::Persist && entry.deadline().is_some() =>
        {
            Change::Deadline { entry, deadline: None, result: Some("persist") }
        }
        (Some(_), None) => Change::Keep(None),
    });
    context.look_up(key, found);
    if let Some(event) = event {
        context.notify(EventClasses::GENERIC, event, key);
    }
    Ok(())
}
