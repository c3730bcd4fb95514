//! The commands of Redis 7.0 on strings and keys, with all their options, as rows.

use super::grammar::Argument::{
    Float, Integer, Key, Many, Maybe, Milliseconds, Number, OneOf, Options, Payload, RestoreTtl,
    Seconds, Text, UnixMilliseconds, UnixSeconds, Value, Word,
};
use super::grammar::{Argument, Row};

/// Commands that belong together.
pub(crate) struct Family {
    pub(crate) name: &'static str,
    pub(crate) rows: &'static [Row],
}

/// Everything there is.
const FAMILIES: [Family; 10] = [
    BASICS,
    CONNECTION,
    STRINGS,
    RANGES,
    BITS,
    EXPIRY,
    KEYSPACE,
    INSPECTION,
    SERIALIZATION,
    TRANSACTIONS,
];

/// Every row.
pub(crate) fn all_rows() -> Vec<&'static Row> {
    FAMILIES.iter().flat_map(|family| family.rows).collect()
}

/// The rows of the families of this list with commas.
pub(crate) fn rows_of(list: &str) -> Vec<&'static Row> {
    let is_listed = |family: &&Family| list.split(',').any(|name| name == family.name);
    FAMILIES.iter().filter(is_listed).flat_map(|family| family.rows).collect()
}

const fn row(name: &'static str, weight: u32, arguments: &'static [Argument]) -> Row {
    Row { name, weight, arguments }
}

const DATABASE: Argument = Number(&["0", "1", "2", "3"]);

/// Indexes into values, from both ends and beyond both.
const INDEX: Argument = Number(&[
    "0",
    "1",
    "2",
    "3",
    "7",
    "8",
    "43",
    "44",
    "45",
    "100",
    "19999",
    "99999999",
    "-1",
    "-2",
    "-3",
    "-8",
    "-44",
    "-100",
    "-20000",
    "4294967296",
    "-9223372036854775807",
]);

const KEYS: Argument = Many { least: 1, most: 5, alternatives: &[&[Key]] };

const PAIRS: Argument = Many { least: 1, most: 4, alternatives: &[&[Key, Value]] };

const PATTERN: Argument = Text(&[
    "*",
    "?",
    "a*",
    "*a",
    "key:?",
    "key:[12]",
    "key:[^1]",
    "key:[2-9]",
    "h\\?llo*",
    "h??lo*",
    "",
    "[",
    "[a",
    "\\",
    "*\\",
    "a-key*9",
    "nothing",
    "**",
    "{tag}*",
    "[a-",
    "[^",
]);

const BASICS: Family = Family {
    name: "basics",
    rows: &[
        row("SET", 60, &[Key, Value]),
        row("GET", 40, &[Key]),
        row("SETNX", 8, &[Key, Value]),
        row("MGET", 6, &[KEYS]),
        row("MSET", 6, &[PAIRS]),
        row("APPEND", 12, &[Key, Value]),
        row("STRLEN", 8, &[Key]),
        row("INCR", 14, &[Key]),
        row("DECR", 10, &[Key]),
        row("INCRBY", 14, &[Key, Integer]),
        row("DECRBY", 14, &[Key, Integer]),
        row("DEL", 10, &[KEYS]),
        row("UNLINK", 5, &[KEYS]),
        row("EXISTS", 6, &[KEYS]),
        row("TYPE", 5, &[Key]),
        row("DBSIZE", 3, &[]),
        row("FLUSHDB", 1, &[Options(&[&[&[Word("SYNC")], &[Word("ASYNC")]]])]),
        row("FLUSHALL", 1, &[Options(&[&[&[Word("SYNC")], &[Word("ASYNC")]]])]),
    ],
};

/// MULTI comes in whole transactions only, with WATCH or without: see `transaction.rs`.
const TRANSACTIONS: Family = Family {
    name: "transactions",
    rows: &[
        row("EXEC", 2, &[]),
        row("DISCARD", 2, &[]),
        row("WATCH", 0, &[KEYS]),
        row("UNWATCH", 2, &[]),
    ],
};

const CONNECTION: Family = Family {
    name: "connection",
    rows: &[
        row("PING", 2, &[Maybe(&[Value])]),
        row("ECHO", 2, &[Value]),
        row("SELECT", 14, &[DATABASE]),
        row("FOO", 1, &[Many { least: 0, most: 4, alternatives: &[&[Value]] }]),
        row("GETT", 1, &[Key]),
        row("STRALGO", 1, &[Word("LCS"), Word("KEYS"), Key, Key]),
    ],
};

const STRINGS: Family = Family {
    name: "strings",
    rows: &[
        row("INCRBYFLOAT", 24, &[Key, Float]),
        row("SET", 60, &[Key, Value, Options(&[EXPIRY_OR_KEEP, CONDITION, &[&[Word("GET")]]])]),
        row("SETEX", 8, &[Key, Seconds, Value]),
        row("PSETEX", 8, &[Key, Milliseconds, Value]),
        row("GETSET", 8, &[Key, Value]),
        row("GETDEL", 8, &[Key]),
        row("GETEX", 16, &[Key, Options(&[EXPIRY_OR_PERSIST])]),
        row("MSETNX", 6, &[PAIRS]),
    ],
};

const CONDITION: &[&[Argument]] = &[&[Word("NX")], &[Word("XX")]];

const EXPIRY_OR_KEEP: &[&[Argument]] = &[
    &[Word("EX"), Seconds],
    &[Word("PX"), Milliseconds],
    &[Word("EXAT"), UnixSeconds],
    &[Word("PXAT"), UnixMilliseconds],
    &[Word("KEEPTTL")],
];

const EXPIRY_OR_PERSIST: &[&[Argument]] = &[
    &[Word("EX"), Seconds],
    &[Word("PX"), Milliseconds],
    &[Word("EXAT"), UnixSeconds],
    &[Word("PXAT"), UnixMilliseconds],
    &[Word("PERSIST")],
];

/// Where SETRANGE writes: nothing between 20,000 and the limit of 512 MiB, which would be filled.
const RANGE_OFFSET: Argument =
    Number(&["0", "1", "3", "10", "43", "44", "45", "200", "20000", "536870912", "-1"]);

const RANGES: Family = Family {
    name: "ranges",
    rows: &[
        row("LCS", 8, &[Key, Key, Options(LCS_OPTIONS)]),
        row("SETRANGE", 14, &[Key, RANGE_OFFSET, Value]),
        row("GETRANGE", 12, &[Key, INDEX, INDEX]),
        row("SUBSTR", 4, &[Key, INDEX, INDEX]),
    ],
};

const LCS_OPTIONS: &[&[&[Argument]]] = &[
    &[&[Word("LEN")], &[Word("IDX")], &[Word("IDX")]],
    &[&[Word("MINMATCHLEN"), Number(&["0", "1", "2", "4", "-1", "100"])]],
    &[&[Word("WITHMATCHLEN")]],
];

/// Bits up to some kilobytes, and the first that is beyond 512 MiB.
const BIT_OFFSET: Argument = Number(&[
    "0",
    "1",
    "6",
    "7",
    "8",
    "9",
    "63",
    "64",
    "100",
    "351",
    "352",
    "1000",
    "20000",
    "4294967296",
    "-1",
]);

const BIT: Argument = Number(&["0", "0", "0", "1", "1", "1", "1", "1", "2"]);

const BIT_RANGE: &[Argument] = &[INDEX, INDEX, Maybe(&[OneOf(&["BYTE", "BIT"])])];

const FIELD_TYPE: Argument = Text(&[
    "u1", "u2", "u5", "u8", "u16", "u31", "u32", "u63", "i1", "i2", "i5", "i8", "i16", "i32",
    "i63", "i64", "U8", "u64", "i65", "u0", "i0", "8", "x8", "",
]);

const FIELD_OFFSET: Argument = Text(&[
    "0",
    "1",
    "3",
    "7",
    "8",
    "13",
    "63",
    "64",
    "100",
    "#0",
    "#1",
    "#2",
    "#7",
    "#",
    "-1",
    "#-1",
    "4294967296",
    "#9223372036854775807",
    "a",
]);

const FIELD_GET: &[Argument] = &[Word("GET"), FIELD_TYPE, FIELD_OFFSET];

const BITS: Family = Family {
    name: "bits",
    rows: &[
        row("SETBIT", 14, &[Key, BIT_OFFSET, BIT]),
        row("GETBIT", 8, &[Key, BIT_OFFSET]),
        row("BITCOUNT", 10, &[Key, Maybe(BIT_RANGE)]),
        row(
            "BITPOS",
            12,
            &[Key, Number(&["0", "1", "2"]), Maybe(&[INDEX, Maybe(&[INDEX, Maybe(BIT_UNIT)])])],
        ),
        row("BITOP", 10, &[OneOf(&["AND", "OR", "XOR", "NOT"]), Key, KEYS]),
        row("BITOP NOT", 4, &[Key, Key]),
        row(
            "BITFIELD",
            16,
            &[
                Key,
                Many {
                    least: 0,
                    most: 4,
                    alternatives: &[
                        FIELD_GET,
                        &[Word("SET"), FIELD_TYPE, FIELD_OFFSET, Integer],
                        &[Word("INCRBY"), FIELD_TYPE, FIELD_OFFSET, Integer],
                        &[Word("OVERFLOW"), OneOf(&["WRAP", "SAT", "FAIL", "FOO"])],
                    ],
                },
            ],
        ),
        row(
            "BITFIELD",
            8,
            &[
                Key,
                Maybe(&[Word("OVERFLOW"), OneOf(&["WRAP", "SAT", "FAIL"])]),
                OneOf(&["SET", "INCRBY"]),
                Text(&["u1", "u4", "u8", "u63", "i2", "i8", "i33", "i64"]),
                Text(&["0", "1", "8", "#3", "65"]),
                Integer,
            ],
        ),
        row("BITFIELD_RO", 6, &[Key, Many { least: 0, most: 3, alternatives: &[FIELD_GET] }]),
    ],
};

const BIT_UNIT: &[Argument] = &[OneOf(&["BYTE", "BIT"])];

const EXPIRE_CONDITION: Argument = Options(&[CONDITION, &[&[Word("GT")], &[Word("LT")]]]);

const EXPIRY: Family = Family {
    name: "expiry",
    rows: &[
        row("EXPIRE", 12, &[Key, Seconds, EXPIRE_CONDITION]),
        row("PEXPIRE", 12, &[Key, Milliseconds, EXPIRE_CONDITION]),
        row("EXPIREAT", 12, &[Key, UnixSeconds, EXPIRE_CONDITION]),
        row("PEXPIREAT", 12, &[Key, UnixMilliseconds, EXPIRE_CONDITION]),
        row("PERSIST", 8, &[Key]),
        row("TTL", 8, &[Key]),
        row("PTTL", 8, &[Key]),
        row("EXPIRETIME", 8, &[Key]),
        row("PEXPIRETIME", 8, &[Key]),
    ],
};

const KEYSPACE: Family = Family {
    name: "keyspace",
    rows: &[
        row("TOUCH", 3, &[KEYS]),
        row("RENAME", 8, &[Key, Key]),
        row("RENAMENX", 8, &[Key, Key]),
        row("COPY", 12, &[Key, Key, Options(&[&[&[Word("DB"), DATABASE]], &[&[Word("REPLACE")]]])]),
        row("MOVE", 8, &[Key, DATABASE]),
        row("SWAPDB", 4, &[DATABASE, DATABASE]),
        row("RANDOMKEY", 1, &[]),
        row("KEYS", 2, &[PATTERN]),
        row("SCAN", 2, &[Number(&["0"]), Options(SCAN_OPTIONS)]),
    ],
};

const SCAN_OPTIONS: &[&[&[Argument]]] = &[
    &[&[Word("MATCH"), PATTERN]],
    &[&[Word("COUNT"), Number(&["1", "2", "10", "1000", "0"])]],
    &[&[Word("TYPE"), Text(&["string", "STRING", "list", "foo"])]],
];

const INSPECTION: Family = Family {
    name: "inspection",
    rows: &[
        row("OBJECT ENCODING", 16, &[Key]),
        row("OBJECT IDLETIME", 3, &[Key]),
        row("OBJECT FREQ", 2, &[Key]),
        row("OBJECT REFCOUNT", 3, &[Key]),
        row("OBJECT HELP", 1, &[]),
        row("OBJECT FOO", 1, &[Key]),
        row("OBJECT", 1, &[]),
        row("MEMORY USAGE", 4, &[Key, Options(&[SAMPLES])]),
    ],
};

const SAMPLES: &[&[Argument]] = &[&[Word("SAMPLES"), Number(&["0", "1", "5", "-1"])]];

const SERIALIZATION: Family = Family {
    name: "serialization",
    rows: &[
        row("DUMP", 12, &[Key]),
        row("RESTORE", 16, &[Key, RestoreTtl, Payload, Options(RESTORE_OPTIONS)]),
        row("RESTORE", 8, &[Key, RestoreTtl, Payload, Word("REPLACE")]),
    ],
};

const RESTORE_OPTIONS: &[&[&[Argument]]] = &[
    &[&[Word("REPLACE")]],
    &[&[Word("ABSTTL")]],
    &[
        &[Word("IDLETIME"), Number(&["0", "1", "1000", "-1"])],
        &[Word("FREQ"), Number(&["0", "1", "255", "256", "-1"])],
    ],
];
