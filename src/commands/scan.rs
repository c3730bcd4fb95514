//! Walks over the keyspace: KEYS, SCAN, RANDOMKEY.
//!
//! KEYS and a SCAN of a great COUNT go in steps, between which the worker serves its other clients.
//! Their replies are gathered until their number is known.

use super::context::{Context, integer};
use super::glob::{self, Case};
use super::long::Work;
use super::refusal::Refusal;
use super::row::{Argument, ArgumentKind, Categories, Flags, Handler, Outcome, Row};
use crate::resp::{Args, ReplyBuffer};
use crate::store::ScanPosition;

/// Keys of one step: about 0.2 ms.
const STEP_KEYS: usize = 1024;

/// Keys a SCAN returns if it does not say otherwise, as in Redis.
const COUNT: usize = 10;

const WALK: Row =
    Row { group: "generic", flags: Flags::READONLY, categories: Categories::KEYSPACE, ..Row::BASE };

pub(super) static ROWS: [Row; 3] = [
    Row {
        name: "keys",
        arity: 2,
        categories: Categories::KEYSPACE.and(Categories::DANGEROUS),
        summary: "Returns all keys that match a pattern",
        complexity: "O(N) where N is the number of keys in the database",
        tips: &["request_policy:all_shards", "nondeterministic_output_order"],
        arguments: &[Argument::new("pattern", ArgumentKind::Pattern)],
        handler: Handler::Work(keys),
        ..WALK
    },
    Row {
        name: "scan",
        arity: -2,
        since: "2.8.0",
        summary: "Returns some keys and where to go on",
        complexity: "O(1) for every call, O(N) for a whole scan, where N is the number of keys",
        history: &[("6.0.0", "Takes `TYPE`.")],
        tips: &["nondeterministic_output", "request_policy:special"],
        arguments: &[
            Argument::new("cursor", ArgumentKind::Integer),
            Argument {
                token: Some("MATCH"),
                ..Argument::new("pattern", ArgumentKind::Pattern).optional()
            },
            Argument {
                token: Some("COUNT"),
                ..Argument::new("count", ArgumentKind::Integer).optional()
            },
            Argument {
                token: Some("TYPE"),
                since: Some("6.0.0"),
                ..Argument::new("type", ArgumentKind::String).optional()
            },
        ],
        handler: Handler::Work(scan),
        ..WALK
    },
    Row {
        name: "randomkey",
        arity: 1,
        summary: "Returns a key, each with the same probability",
        tips: &["request_policy:all_shards", "nondeterministic_output"],
        handler: Handler::Plain(randomkey),
        ..WALK
    },
];

/// A walk under way.
#[derive(Debug)]
struct Walk {
    position: ScanPosition,
    /// Keys to look at yet.
    left: usize,
    pattern: Option<Vec<u8>>,
    /// Whether the keys of the type asked for are none of ours: all values are strings.
    no_type: bool,
    /// The keys found, encoded: each step's in a piece of its own, so that none is ever moved.
    found: ReplyBuffer,
    count: usize,
    /// Whether the reply tells where to go on (SCAN).
    tells_cursor: bool,
}

impl Work for Walk {
    fn step(&mut self, context: &mut Context<'_>) -> bool {
        let (database, session) = (context.database, &context.session);
        let (mut looked, mut keys) = (0, ReplyBuffer::new());
        let next = database.scan(session, self.position, self.left.min(STEP_KEYS), |key, _| {
            looked += 1;
            let pattern = self.pattern.as_deref();
            let wanted = pattern.is_none_or(|p| glob::matches(p, key, Case::Sensitive));
            if wanted && !self.no_type {
                keys.bulk(key);
                self.count += 1;
            }
        });
        self.found.append(keys);
        self.position = next.unwrap_or_default();
        self.left = self.left.saturating_sub(looked.max(1));
        if next.is_some() && self.left > 0 {
            return false;
        }
        if self.tells_cursor {
            context.out.array(2);
            context.out.bulk(self.position.cursor().to_string().as_bytes());
        }
        context.out.array(self.count);
        context.out.append(std::mem::take(&mut self.found));
        true
    }
}

fn keys<'a>(_: &mut Context<'_>, args: &Args<'a>) -> Result<Box<dyn Work>, Refusal<'a>> {
    Ok(Box::new(Walk {
        position: ScanPosition::default(),
        left: usize::MAX,
        pattern: Some(args.get(1).to_vec()).filter(|pattern| pattern != b"*"),
        no_type: false,
        found: ReplyBuffer::new(),
        count: 0,
        tells_cursor: false,
    }))
}

fn scan<'a>(_: &mut Context<'_>, args: &Args<'a>) -> Result<Box<dyn Work>, Refusal<'a>> {
    let mut walk = Walk {
        position: cursor(args.get(1))?,
        left: COUNT,
        pattern: None,
        no_type: false,
        found: ReplyBuffer::new(),
        count: 0,
        tells_cursor: true,
    };
    let mut index = 2;
    while index < args.len() {
        if index + 1 == args.len() {
            return Err(Refusal::Syntax);
        }
        let value = args.get(index + 1);
        match args.get(index).to_ascii_lowercase().as_slice() {
            b"match" => walk.pattern = Some(value.to_vec()).filter(|pattern| pattern != b"*"),
            b"count" => {
                let count = usize::try_from(integer(value)?).ok().filter(|&count| count > 0);
                walk.left = count.ok_or(Refusal::Syntax)?;
            }
            b"type" => walk.no_type = !value.eq_ignore_ascii_case(b"string"),
            _ => return Err(Refusal::Syntax),
        }
        index += 2;
    }
    Ok(Box::new(walk))
}

/// A cursor as `strtoul` reads one, since that is what Redis takes: a sign and leading zeros are
/// fine, a NUL ends it, what does not fit 64 bits is refused.
fn cursor(text: &[u8]) -> Result<ScanPosition, Refusal<'static>> {
    const INVALID: Refusal<'static> = Refusal::Text("ERR invalid cursor");
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() && !text.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(INVALID);
    }
    let digits = std::str::from_utf8(digits).map_err(|_| INVALID)?;
    let number: u64 = if digits.is_empty() { 0 } else { digits.parse().map_err(|_| INVALID)? };
    Ok(ScanPosition::from_cursor(if negative { number.wrapping_neg() } else { number }))
}

fn randomkey<'a>(context: &mut Context<'_>, _: &Args<'a>) -> Outcome<'a> {
    let out = &mut *context.out;
    let found = context.database.random_key(&context.session, |key, _| out.bulk(key));
    if found.is_none() {
        context.out.null();
    }
    Ok(())
}
