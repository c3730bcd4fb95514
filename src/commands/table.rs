//! All commands, in the order COMMAND lists them.

use super::row::Row;
use super::{
    bits, connection, counter, expire, info, keys, latency, memory, moves, multi, object, scan,
    serialize, server, set, slowlog, string, subsequence,
};

/// The rows of each family.
pub(super) static FAMILIES: [&[Row]; 18] = [
    &string::ROWS,
    &counter::ROWS,
    &bits::ROWS,
    &set::ROWS,
    &expire::ROWS,
    &moves::ROWS,
    &scan::ROWS,
    &object::ROWS,
    &memory::ROWS,
    &serialize::ROWS,
    &subsequence::ROWS,
    &keys::ROWS,
    &multi::ROWS,
    &connection::ROWS,
    &server::ROWS,
    &info::ROWS,
    &slowlog::ROWS,
    &latency::ROWS,
];

/// Every command, subcommands not counted.
pub(super) fn rows() -> impl Iterator<Item = &'static Row> + Clone {
    FAMILIES.iter().copied().flatten()
}

/// How many commands there are, subcommands not counted.
pub(super) fn count() -> usize {
    FAMILIES.iter().map(|family| family.len()).sum()
}
