//! All commands, in the order COMMAND lists them.

use super::row::Row;
use super::{
    bits, cluster, connection, counter, debug, expire, info, keys, latency, lolwut, memory,
    modules, monitor, moves, multi, object, pubsub, replication, saves, scan, serialize, server,
    set, shutdown, slowlog, string, subsequence, wait,
};

/// The rows of each family.
pub(super) static FAMILIES: [&[Row]; 28] = [
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
    &pubsub::ROWS,
    &connection::ROWS,
    &server::ROWS,
    &info::ROWS,
    &shutdown::ROWS,
    &saves::ROWS,
    &replication::ROWS,
    &wait::ROWS,
    &cluster::ROWS,
    &modules::ROWS,
    &debug::ROWS,
    &lolwut::ROWS,
    &monitor::ROWS,
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
