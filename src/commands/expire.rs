//! Deadlines: EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT, PERSIST, TTL, PTTL, EXPIRETIME, PEXPIRETIME.

use super::context::{Context, integer};
use super::deadline::Unit;
use super::refusal::Refusal;
use super::row::{Argument, ArgumentKind, Categories, Flags, Handler, Keys, Outcome, Row};
use super::string::KEY;
use crate::config::EventClasses;
use crate::resp::Args;
use crate::store::{Change, Key};

const CONDITIONS: [Argument; 4] = [
    Argument { since: None, ..Argument::word("nx", "NX", "") },
    Argument { since: None, ..Argument::word("xx", "XX", "") },
    Argument { since: None, ..Argument::word("gt", "GT", "") },
    Argument { since: None, ..Argument::word("lt", "LT", "") },
];

const CONDITION: Argument = Argument {
    since: Some("7.0.0"),
    parts: &CONDITIONS,
    ..Argument::new("condition", ArgumentKind::OneOf).optional()
};

/// EXPIRE and its like.
const SETS: Row = Row {
    arity: -3,
    flags: Flags::WRITE.and(Flags::FAST),
    keys: Keys::one(&["RW", "update"]),
    group: "generic",
    categories: Categories::KEYSPACE,
    history: &[("7.0.0", "Takes `NX`, `XX`, `GT` and `LT`.")],
    ..Row::BASE
};

/// TTL and its like.
const TELLS: Row = Row {
    arity: 2,
    flags: Flags::READONLY.and(Flags::FAST),
    keys: Keys::one(&["RO", "access"]),
    group: "generic",
    categories: Categories::KEYSPACE,
    arguments: &[KEY],
    ..Row::BASE
};

pub(super) static ROWS: [Row; 9] = [
    Row {
        name: "expire",
        summary: "Has a key expire in so many seconds",
        arguments: &[KEY, Argument::new("seconds", ArgumentKind::Integer), CONDITION],
        handler: Handler::OneKey(|context, args, key| {
            expire(context, args, key, Unit::EX, "expire")
        }),
        ..SETS
    },
    Row {
        name: "pexpire",
        since: "2.6.0",
        summary: "Has a key expire in so many milliseconds",
        arguments: &[KEY, Argument::new("milliseconds", ArgumentKind::Integer), CONDITION],
        handler: Handler::OneKey(|context, args, key| {
            expire(context, args, key, Unit::PX, "pexpire")
        }),
        ..SETS
    },
    Row {
        name: "expireat",
        since: "1.2.0",
        summary: "Has a key expire at a Unix time in seconds",
        arguments: &[KEY, Argument::new("unix-time-seconds", ArgumentKind::UnixTime), CONDITION],
        handler: Handler::OneKey(|context, args, key| {
            expire(context, args, key, Unit::EXAT, "expireat")
        }),
        ..SETS
    },
    Row {
        name: "pexpireat",
        since: "2.6.0",
        summary: "Has a key expire at a Unix time in milliseconds",
        arguments: &[
            KEY,
            Argument::new("unix-time-milliseconds", ArgumentKind::UnixTime),
            CONDITION,
        ],
        handler: Handler::OneKey(|context, args, key| {
            expire(context, args, key, Unit::PXAT, "pexpireat")
        }),
        ..SETS
    },
    Row {
        name: "persist",
        arity: 2,
        since: "2.2.0",
        summary: "Takes the deadline from a key, which then stays",
        history: &[],
        arguments: &[KEY],
        handler: Handler::OneKey(persist),
        ..SETS
    },
    Row {
        name: "ttl",
        summary: "Returns the seconds until a key expires; -1 if it stays, -2 if there is none",
        history: &[("2.8.0", "Returns -2 for a key that does not exist.")],
        tips: &["nondeterministic_output"],
        handler: Handler::OneKey(|context, _, key| tell(context, key, Unit::EX)),
        ..TELLS
    },
    Row {
        name: "pttl",
        since: "2.6.0",
        summary: "Returns the milliseconds until a key expires; -1 if it stays, -2 if there is \
                  none",
        history: &[("2.8.0", "Returns -2 for a key that does not exist.")],
        tips: &["nondeterministic_output"],
        handler: Handler::OneKey(|context, _, key| tell(context, key, Unit::PX)),
        ..TELLS
    },
    Row {
        name: "expiretime",
        since: "7.0.0",
        summary: "Returns the Unix time in seconds at which a key expires; -1 if it stays, -2 if \
                  there is none",
        handler: Handler::OneKey(|context, _, key| tell(context, key, Unit::EXAT)),
        ..TELLS
    },
    Row {
        name: "pexpiretime",
        since: "7.0.0",
        summary: "Returns the Unix time in milliseconds at which a key expires; -1 if it stays, \
                  -2 if there is none",
        handler: Handler::OneKey(|context, _, key| tell(context, key, Unit::PXAT)),
        ..TELLS
    },
];

/// When EXPIRE applies.
#[derive(Clone, Copy, Default)]
struct Conditions {
    nx: bool,
    xx: bool,
    gt: bool,
    lt: bool,
}

impl Conditions {
    fn parse<'a>(args: &Args<'a>) -> Result<Conditions, Refusal<'a>> {
        let mut conditions = Conditions::default();
        for option in args.iter().skip(3) {
            match option.to_ascii_lowercase().as_slice() {
                b"nx" => conditions.nx = true,
                b"xx" => conditions.xx = true,
                b"gt" => conditions.gt = true,
                b"lt" => conditions.lt = true,
                _ => return Err(Refusal::ExpireOption(option)),
            }
        }
        let Conditions { nx, xx, gt, lt } = conditions;
        if nx && (xx || gt || lt) {
            return Err(Refusal::Text(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if gt && lt {
            return Err(Refusal::Text("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(conditions)
    }

    /// Whether a key with the deadline `now` may get the deadline `then`. A key without one counts
    /// as staying for ever.
    fn allow(self, now: Option<u64>, then: i64) -> bool {
        let then = i128::from(then);
        let current = now.map_or(i128::MAX, i128::from);
        !(self.nx && now.is_some()
            || self.xx && now.is_none()
            || self.gt && then <= current
            || self.lt && then >= current)
    }
}

fn expire<'a>(
    context: &mut Context<'_>,
    args: &Args<'a>,
    key: Key<'a>,
    unit: Unit,
    command: &'static str,
) -> Outcome<'a> {
    let conditions = Conditions::parse(args)?;
    let amount = integer(args.get(2))?;
    let now = context.session.now();
    let when = unit.resolve(amount, now).ok_or(Refusal::ExpireTime(command))?;
    let event = context.database.change(&context.session, key, |entry| match entry {
        Some(entry) if conditions.allow(entry.deadline(), when) => match u64::try_from(when) {
            Ok(when) if !context.session.is_past(when) => {
                Change::Deadline { entry, deadline: Some(when), result: Some("expire") }
            }
            // Past already: the key is deleted at once.
            _ => Change::Remove(Some("del")),
        },
        _ => Change::Keep(None),
    });
    if let Some(event) = event {
        context.notify(EventClasses::GENERIC, event, key);
    }
    context.out.integer(event.is_some().into());
    Ok(())
}

fn persist<'a>(context: &mut Context<'_>, _: &Args<'a>, key: Key<'a>) -> Outcome<'a> {
    let done = context.database.change(&context.session, key, |entry| match entry {
        Some(entry) if entry.deadline().is_some() => {
            Change::Deadline { entry, deadline: None, result: true }
        }
        _ => Change::Keep(false),
    });
    if done {
        context.notify(EventClasses::GENERIC, "persist", key);
    }
    context.out.integer(done.into());
    Ok(())
}

/// Writes a key's deadline, or the time until then, in the unit.
fn tell<'a>(context: &mut Context<'_>, key: Key<'a>, unit: Unit) -> Outcome<'a> {
    let deadline = context.database.peek(&context.session, key, |entry| entry.deadline());
    context.look_up(key, deadline.is_some());
    let reply = match deadline {
        None => -2,
        Some(None) => -1,
        Some(Some(deadline)) => {
            let now = if unit.absolute { 0 } else { context.session.now() };
            let millis = deadline.saturating_sub(now);
            // To the nearest second, as Redis rounds.
            (if unit.seconds { (millis + 500) / 1000 } else { millis }).cast_signed()
        }
    };
    context.out.integer(reply);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_compare_with_the_deadline_there_is() {
        let none = Conditions::default();
        let (gt, lt) = (Conditions { gt: true, ..none }, Conditions { lt: true, ..none });
        let (nx, xx) = (Conditions { nx: true, ..none }, Conditions { xx: true, ..none });
        assert!(none.allow(None, -5) && none.allow(Some(1), 1));
        assert!(nx.allow(None, 1) && !nx.allow(Some(9), 1));
        assert!(!xx.allow(None, 1) && xx.allow(Some(9), 1));
        assert!(gt.allow(Some(9), 10) && !gt.allow(Some(9), 9) && !gt.allow(None, i64::MAX));
        assert!(lt.allow(Some(9), 8) && !lt.allow(Some(9), 9) && lt.allow(None, i64::MAX));
    }
}
