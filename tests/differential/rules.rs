//! Which replies are compared by a rule and not byte by byte, and why. Errors are always compared
//! byte by byte.

use std::time::Duration;

/// How the replies of one command are compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Rule {
    /// The same bytes.
    Bytes,
    /// Integers that may differ by what time measurement leaves open, of so many units a second.
    Time { units: u64 },
    /// Integers of any size, none of them negative.
    AnyInteger,
    /// Seconds as [`Rule::Time`], or any where redis-server shares the value with other keys.
    IdleTime,
    /// Lists of simple strings that begin with the same string.
    OwnWords,
    /// The same elements in any order.
    AnyOrder,
    /// Any one key that exists in both.
    AnyKey,
    /// All keys of all steps of the iteration, together.
    WholeScan,
    /// The same bytes, or `embstr` there and `int` here.
    Encoding,
    /// Serialized values that redis-server restores to the same value.
    SameValue,
}

/// Every exception, with its reason.
const RULES: [(&str, Rule, &str); 14] = [
    ("TTL", Rule::Time { units: 1 }, "each server executes at its own moment"),
    ("PTTL", Rule::Time { units: 1000 }, "each server executes at its own moment"),
    ("EXPIRETIME", Rule::Time { units: 1 }, "relative deadlines begin at each server's moment"),
    ("PEXPIRETIME", Rule::Time { units: 1000 }, "relative deadlines begin at each one's moment"),
    ("OBJECT IDLETIME", Rule::IdleTime, "Redis keeps one time for all keys of a small integer"),
    ("OBJECT HELP", Rule::OwnWords, "every server describes itself; the first line is syntax"),
    ("OBJECT REFCOUNT", Rule::AnyInteger, "Redis shares small integers or not, by their history"),
    ("MEMORY USAGE", Rule::AnyInteger, "every server lays out its memory in its own way"),
    (
        "OBJECT ENCODING",
        Rule::Encoding,
        "what INCRBYFLOAT makes is text, but looks like an integer if it is one beyond 2^62",
    ),
    ("KEYS", Rule::AnyOrder, "a hash table has an order of its own"),
    ("RANDOMKEY", Rule::AnyKey, "it is random"),
    ("SCAN", Rule::WholeScan, "cursors and the order of a hash table are its own"),
    ("DUMP", Rule::SameValue, "how well a value is compressed is left to the server"),
    // Without an LFU policy it is an error, which is compared byte by byte.
    ("OBJECT FREQ", Rule::AnyInteger, "uses are counted at random, and Redis counts look-ups"),
];

/// How the replies to these arguments are compared.
pub(crate) fn rule_of(request: &[Vec<u8>]) -> Rule {
    let is_named = |name: &str| {
        let mut words = name.split(' ').zip(request);
        let is_long_enough = name.split(' ').count() <= request.len();
        is_long_enough
            && words.all(|(word, argument)| argument.eq_ignore_ascii_case(word.as_bytes()))
    };
    let found = RULES.iter().find(|(name, _, _)| is_named(name));
    found.map_or(Rule::Bytes, |(_, rule, _)| *rule)
}

/// Redis counts and measures a key whose time is over until a command or its background task meets
/// it, so an iteration with SCAN, which ends such keys, comes before these.
pub(crate) fn needs_every_key_looked_up(name: &str) -> bool {
    ["DBSIZE", "MEMORY USAGE"].contains(&name)
}

/// Whether the replies are as equal as the rule asks, for the rules that need nothing but the
/// replies. `skew` is the time that can have passed between both servers' execution.
pub(crate) fn agree(rule: Rule, redis: &[u8], ours: &[u8], skew: Duration) -> bool {
    if redis == ours {
        return true;
    }
    match rule {
        Rule::Encoding => redis == b"$6\r\nembstr\r\n" && ours == b"$3\r\nint\r\n",
        Rule::IdleTime => agree(Rule::Time { units: 1 }, redis, ours, skew),
        Rule::Time { units } => match (integer(redis), integer(ours)) {
            // Once for the setting of the deadline, once for the reading, and one for rounding.
            (Some(redis @ 0..), Some(ours @ 0..)) => {
                let skew_units = 2 * skew.as_millis() as u64 * units / 1000 + 1;
                redis.abs_diff(ours) <= skew_units
            }
            _ => false,
        },
        Rule::AnyInteger => matches!((integer(redis), integer(ours)), (Some(0..), Some(0..))),
        Rule::OwnWords => {
            let is_list = |reply: &[u8]| reply.first() == Some(&b'*');
            let begin = |reply| lines(reply).nth(1).map(<[u8]>::to_vec);
            is_list(redis) && is_list(ours) && begin(redis) == begin(ours)
        }
        Rule::AnyOrder => match (redis.first(), ours.first()) {
            (Some(b'*'), Some(b'*')) => sorted(strings(redis)) == sorted(strings(ours)),
            _ => false,
        },
        Rule::Bytes | Rule::AnyKey | Rule::WholeScan | Rule::SameValue => false,
    }
}

fn lines(reply: &[u8]) -> impl Iterator<Item = &[u8]> {
    reply.split(|byte| *byte == b'\n')
}

fn integer(reply: &[u8]) -> Option<i64> {
    let digits = reply.strip_prefix(b":")?.strip_suffix(b"\r\n")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

pub(crate) fn sorted(mut strings: Vec<&[u8]>) -> Vec<&[u8]> {
    strings.sort_unstable();
    strings
}

/// All bulk strings in a reply, however nested, in their order.
pub(crate) fn strings(reply: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    let mut rest = reply;
    while let Some(line_end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        let (line, after) = (&rest[..line_end], &rest[line_end + 2..]);
        rest = after;
        if let Some(length) = line.strip_prefix(b"$") {
            let length = std::str::from_utf8(length).ok().and_then(|digits| digits.parse().ok());
            if let Some((string, after)) = length.and_then(|length| rest.split_at_checked(length)) {
                found.push(string);
                rest = &after[2.min(after.len())..];
            }
        }
    }
    found
}

#[test]
fn rules_tell_what_agrees() {
    let second = Duration::from_secs(1);
    let request = |line: &str| -> Vec<Vec<u8>> { line.split(' ').map(Into::into).collect() };
    assert_eq!(rule_of(&request("pttl k")), Rule::Time { units: 1000 });
    assert_eq!(rule_of(&request("Object IdleTime k")), Rule::IdleTime);
    assert_eq!(rule_of(&request("OBJECT")), Rule::Bytes);
    let time = Rule::Time { units: 1000 };
    assert!(agree(time, b":5000\r\n", b":6999\r\n", second));
    assert!(!agree(time, b":5000\r\n", b":7002\r\n", second));
    assert!(!agree(time, b":0\r\n", b":-1\r\n", second));
    assert!(agree(Rule::AnyInteger, b":1\r\n", b":70\r\n", second));
    assert!(!agree(Rule::AnyInteger, b"$-1\r\n", b":70\r\n", second));
    let (one, other) = (b"*2\r\n$1\r\na\r\n$2\r\n\r\n\r\n", b"*2\r\n$2\r\n\r\n\r\n$1\r\na\r\n");
    assert!(agree(Rule::AnyOrder, one, other, second));
    assert!(!agree(Rule::AnyOrder, one, b"*1\r\n$1\r\na\r\n", second));
    let help = |rest: &str| format!("*2\r\n+{rest}\r\n").into_bytes();
    assert!(agree(Rule::OwnWords, &help("a\r\n+b"), &help("a\r\n+c"), second));
    assert!(!agree(Rule::OwnWords, &help("a\r\n+b"), &help("c\r\n+b"), second));
    assert!(!agree(Rule::Bytes, one, other, second));
}
