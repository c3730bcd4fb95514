//! What commands are made of: the few keys that all commands share, values from every edge, and
//! numbers that are right, wrong and at the limits.

use fastrand::Rng;

/// Few, so that commands meet each other's keys.
pub(crate) const KEYS: [&[u8]; 12] = [
    b"a",
    b"b",
    b"c",
    b"d",
    b"key:1",
    b"key:2",
    b"key:3",
    b"{tag}x",
    b"h?llo[1]",
    b"",
    b"\0\r\n\xff key",
    b"a-key-that-is-longer-than-what-any-server-keeps-in-line-with-its-record-0123456789",
];

/// The edges of the 64-bit range and of representations that spend two bits of a word.
pub(crate) const INTEGERS: [&str; 30] = [
    "0",
    "1",
    "-1",
    "2",
    "7",
    "10",
    "100",
    "-100",
    "255",
    "9999",
    "10000",
    "32767",
    "-32768",
    "65536",
    "2147483647",
    "-2147483648",
    "4294967296",
    "4611686018427387903",
    "4611686018427387904",
    "4611686018427387905",
    "-4611686018427387903",
    "-4611686018427387904",
    "-4611686018427387905",
    "9223372036854775806",
    "9223372036854775807",
    "-9223372036854775807",
    "-9223372036854775808",
    "9223372036854775000",
    "-9223372036854775000",
    "1234567890123",
];

/// Numbers that integer commands refuse or that lie outside what they take. None is a small
/// positive number: a deadline of a few seconds would end at its own moment in each server.
pub(crate) const WRONG_NUMBERS: [&str; 20] = [
    "",
    "abc",
    "1.5",
    "1e3",
    " 7",
    "7 ",
    "+7",
    "007",
    "0x10",
    "-0",
    "-",
    "0",
    "-1",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "-9223372036854775809",
    "99999999999999999999999999999999",
    "nan",
    "\0",
];

/// For INCRBYFLOAT, as values and as what is added.
pub(crate) const FLOATS: [&str; 28] = [
    "0.1",
    "-0.1",
    "1.5",
    "-2.25",
    "3.0",
    "5.0e3",
    "1e2",
    "1e-5",
    "200",
    "10.50",
    "0.0000000001",
    "1e17",
    "1e18",
    "-1e17",
    "3.141592653589793238",
    "123456789.987654321",
    "1e308",
    "-1e308",
    "1e400",
    "1e-400",
    "inf",
    "-inf",
    "infinity",
    "nan",
    "0x1p3",
    ".5",
    "5.",
    "1.5 ",
];

const LOOKALIKES: [&str; 16] = [
    "",
    "-",
    "-0",
    "00",
    "01",
    "+1",
    " 1",
    "1 ",
    "0x1",
    "1e3",
    "1.0",
    "-1.50",
    ".5",
    "1.",
    "true",
    "00000000000000000000000001",
];

const WORDS: [&str; 14] = [
    "hello",
    "world",
    "ohmytext",
    "mynewtext",
    "abcabcabc",
    "abcbdab",
    "bdcaba",
    "foobar",
    "ab",
    "a",
    "\r\n",
    "\0",
    "+OK\r\n",
    "$-1\r\n",
];

const BINARY: [&[u8]; 10] = [
    b"\x00\x01\x02\r\n\xff",
    b"\xff\xff\xff",
    b"\x00\x00\x00\x00\x00\x00\x00\x00",
    b"\xff\xf0\x00",
    b"\x80",
    b"\x7f\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\x00\xff\x00\xff\x00\xff\x00\xff\x00\xff",
    b"a\0b",
    b"a\r\nb\r\n",
    b"\xc3\xa4\xe2\x82\xac",
];

/// One of these.
pub(crate) fn pick<'a, T: ?Sized>(random: &mut Rng, items: &[&'a T]) -> &'a T {
    items[random.usize(..items.len())]
}

/// True once in so many times.
pub(crate) fn once_in(random: &mut Rng, times: usize) -> bool {
    random.usize(..times) == 0
}

/// A value from the edge pool.
pub(crate) fn value(random: &mut Rng) -> Vec<u8> {
    match random.u32(..1000) {
        0..150 => random.i64(-1000..1000).to_string().into_bytes(),
        150..350 => pick(random, &INTEGERS).into(),
        350..420 => pick(random, &LOOKALIKES).into(),
        420..480 => pick(random, &FLOATS).into(),
        480..500 => random.i64(..).to_string().into_bytes(),
        500..700 => pick(random, &WORDS).into(),
        700..800 => pick(random, &BINARY).to_vec(),
        // What Redis embeds ends at 44 bytes.
        800..860 => bytes(random, 43..47),
        860..930 => bytes(random, 0..100),
        930..970 => repeated(random, 21..400),
        970..988 => bytes(random, 100..400),
        988..993 => bytes(random, 20_000..20_100),
        993..997 => repeated(random, 20_000..20_100),
        997..999 => repeated(random, 100_000..100_100),
        _ => bytes(random, 100_000..100_100),
    }
}

fn bytes(random: &mut Rng, length: std::ops::Range<usize>) -> Vec<u8> {
    let length = random.usize(length);
    std::iter::repeat_with(|| random.u8(..)).take(length).collect()
}

/// A short pattern over and over, which compresses well.
fn repeated(random: &mut Rng, length: std::ops::Range<usize>) -> Vec<u8> {
    let pattern = bytes(random, 1..9);
    let length = random.usize(length);
    pattern.iter().copied().cycle().take(length).collect()
}
