//! DUMP and RESTORE.

use super::context::{Context, integer, with_bytes};
use super::payload::{self, PayloadError};
use super::refusal::Refusal;
use super::row::{Argument, ArgumentKind, Categories, Flags, Handler, Keys, Outcome, Row};
use super::string::KEY;
use crate::config::EventClasses;
use crate::record::Usage;
use crate::resp::{Args, LARGE_ARG};
use crate::store::{Change, Key, MAX_LENGTH, NewValue, Value};
use bytes::Bytes;

const SERIALIZES: Row = Row {
    group: "generic",
    categories: Categories::KEYSPACE,
    since: "2.6.0",
    complexity: "O(N) where N is the length of the value",
    ..Row::BASE
};

pub(super) static ROWS: [Row; 2] = [
    Row {
        name: "dump",
        arity: 2,
        flags: Flags::READONLY,
        keys: Keys::one(&["RO", "access"]),
        summary: "Returns the value of a key in a form that RESTORE takes",
        tips: &["nondeterministic_output"],
        arguments: &[KEY],
        handler: Handler::OneKey(dump),
        ..SERIALIZES
    },
    Row {
        name: "restore",
        arity: -4,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: Keys::one(&["OW", "update"]),
        categories: Categories::KEYSPACE.and(Categories::DANGEROUS),
        summary: "Makes a key of what DUMP has returned",
        history: &[
            ("3.0.0", "Takes `REPLACE`."),
            ("5.0.0", "Takes `ABSTTL`, `IDLETIME` and `FREQ`."),
        ],
        arguments: &[
            KEY,
            Argument::new("ttl", ArgumentKind::Integer),
            Argument::new("serialized-value", ArgumentKind::String),
            Argument::word("replace", "REPLACE", "3.0.0").optional(),
            Argument::word("absttl", "ABSTTL", "5.0.0").optional(),
            Argument {
                token: Some("IDLETIME"),
                since: Some("5.0.0"),
                ..Argument::new("seconds", ArgumentKind::Integer).optional()
            },
            Argument {
                token: Some("FREQ"),
                since: Some("5.0.0"),
                ..Argument::new("frequency", ArgumentKind::Integer).optional()
            },
        ],
        handler: Handler::OneKey(restore),
        ..SERIALIZES
    },
];

fn dump<'a>(context: &mut Context<'_>, _: &Args<'a>, key: Key<'a>) -> Outcome<'a> {
    let found = context.database.get(&context.session, key, |value| match value {
        Value::Integer(number) => payload::encode_integer(number),
        value => with_bytes(value, payload::encode),
    });
    context.look_up(key, found.is_some());
    match found {
        Some(payload) if payload.len() < LARGE_ARG => context.out.bulk(&payload),
        Some(payload) => context.out.bulk_large(payload.into()),
        None => context.out.null(),
    }
    Ok(())
}

/// The options of RESTORE.
#[derive(Clone, Copy, Default)]
struct Options {
    replace: bool,
    absolute: bool,
    /// Seconds since the key was last used.
    idle: Option<u64>,
    /// How often it was used, on LFU's scale.
    frequency: Option<u8>,
}

impl Options {
    fn parse<'a>(args: &Args<'a>) -> Result<Options, Refusal<'a>> {
        let mut options = Options::default();
        let mut index = 4;
        while index < args.len() {
            let number = || integer(args.get(index + 1));
            let more = index + 1 < args.len();
            match args.get(index).to_ascii_lowercase().as_slice() {
                b"replace" => options.replace = true,
                b"absttl" => options.absolute = true,
                b"idletime" if more && options.frequency.is_none() => {
                    let idle = u64::try_from(number()?);
                    options.idle =
                        Some(idle.map_err(|_| {
                            Refusal::Text("ERR Invalid IDLETIME value, must be >= 0")
                        })?);
                    index += 1;
                }
                b"freq" if more && options.idle.is_none() => {
                    let frequency = u8::try_from(number()?);
                    options.frequency = Some(frequency.map_err(|_| {
                        Refusal::Text("ERR Invalid FREQ value, must be >= 0 and <= 255")
                    })?);
                    index += 1;
                }
                _ => return Err(Refusal::Syntax),
            }
            index += 1;
        }
        Ok(options)
    }
}

const BUSY_KEY: Refusal<'static> = Refusal::Text("BUSYKEY Target key name already exists.");

fn restore<'a>(context: &mut Context<'_>, args: &Args<'a>, key: Key<'a>) -> Outcome<'a> {
    let options = Options::parse(args)?;
    if !options.replace && context.database.contains(&context.session, key) {
        return Err(BUSY_KEY);
    }
    let ttl = integer(args.get(2))?;
    let ttl =
        u64::try_from(ttl).map_err(|_| Refusal::Text("ERR Invalid TTL value, must be >= 0"))?;
    let decoded = payload::decode(args.get(3), MAX_LENGTH).map_err(|error| {
        Refusal::Text(match error {
            PayloadError::VersionOrChecksum => "ERR DUMP payload version or checksum are wrong",
            PayloadError::Format => "ERR Bad data format",
        })
    })?;
    let now = context.session.now();
    let deadline = match (ttl, options.absolute) {
        (0, _) => None,
        (ttl, true) => Some(ttl),
        // Past 64 bits Redis comes out before 1970: the key is as good as expired.
        (ttl, false) => Some(ttl + now).filter(|&then| i64::try_from(then).is_ok()).or(Some(0)),
    };
    let large = decoded.len() >= LARGE_ARG;
    let shared = if large { Some(Bytes::copy_from_slice(&decoded)) } else { None };
    let done = context.database.change(&context.session, key, |entry| {
        if entry.is_some() && !options.replace {
            return Change::Keep(None);
        }
        let is_there = entry.is_some();
        if deadline.is_some_and(|deadline| deadline <= now) {
            return Change::Remove(Some((if is_there { "del" } else { "" }, false)));
        }
        let value = match &shared {
            Some(bytes) => NewValue::Shared(bytes.clone()),
            None => NewValue::Copy(&decoded),
        };
        Change::Put { value, deadline, result: Some(("restore", is_there)) }
    });
    let Some((event, is_told_as_new)) = done else {
        return Err(BUSY_KEY);
    };
    if is_told_as_new {
        // Redis deletes the old key first.
        context.notify(EventClasses::NEW, "new", key);
    }
    if !event.is_empty() {
        context.notify(EventClasses::GENERIC, event, key);
    }
    note_use(context, key, options);
    context.out.ok();
    Ok(())
}

/// Notes how a restored key was used, as far as the policy goes by it. It is a new key, whatever it
/// has replaced.
fn note_use(context: &Context<'_>, key: Key<'_>, options: Options) {
    if context.state.keyspace.eviction().settings().counts_frequency() {
        let frequency = options.frequency.unwrap_or(Usage::born(0).counter());
        context.database.set_frequency(&context.session, key, frequency);
    } else if let Some(seconds) = options.idle {
        context.database.set_idle(&context.session, key, seconds);
    }
}
