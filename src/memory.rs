//! What the server's memory is taken for, counted where it is taken and given back.
//!
//! * Everything counts in one total; every kind but [`Kind::Records`] counts in a total of its own
//!   too. So the records, which each SET makes and frees, cost one addition to a cell of the
//!   thread's own (about 1 ns), and their bytes are what the other kinds leave of the total.
//! * Counted is what the allocator really takes ([`taken`]), not what was asked for.
//! * Counts are exact when nothing changes. A sum taken meanwhile is that of some state between its
//!   start and its end ([`crate::sync::stripe`]).
//!
//! What eviction may hold against a memory cap is not all of it:
//! * the log's buffers and the ring before them are not ([`counted_bytes`]), as in Redis: evictions
//!   are logged too, so they would bring about the next ones;
//! * memory that holds no data any more and waits to be freed is not: what readers may still see
//!   ([`crate::sync::epoch::limbo_bytes`]) and tables that were flushed ([`reaping_bytes`]).

use crate::sync::plain::{AtomicU64, Ordering};
use crate::sync::stripe::{Striped, thread_number};

/// What memory is taken for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Keys and the values that are kept beside them. The pools of freed blocks do not count.
    Records,
    /// The tables: arrays of slots, their migrations.
    Arrays,
    /// Values in buffers of their own.
    Buffers,
    /// Connections: what they have received and not yet executed, replies that are not sent.
    Clients,
    /// The slots of the ring.
    Ring,
    /// Changes on their way to the log's file: payloads too long for the ring's slots, commands
    /// that are not written, or not synced.
    Log,
    /// What eviction remembers.
    Eviction,
}

/// Kinds that have totals of their own: all but the records.
const OTHERS: usize = 6;

/// All bytes.
static TOTAL: Striped = Striped::new();
/// The bytes of each other kind.
static PARTS: [Striped; OTHERS] = [const { Striped::new() }; OTHERS];

impl Kind {
    /// The place of its total.
    #[inline]
    const fn part(self) -> Option<usize> {
        match self {
            Self::Records => None,
            Self::Arrays => Some(0),
            Self::Buffers => Some(1),
            Self::Clients => Some(2),
            Self::Ring => Some(3),
            Self::Log => Some(4),
            Self::Eviction => Some(5),
        }
    }
}

/// Counts bytes that were taken, or given back if `delta` is below zero.
#[inline]
pub fn count(kind: Kind, delta: i64) {
    let number = thread_number();
    TOTAL.add_as(number, delta);
    if let Some(part) = kind.part() {
        PARTS[part].add_as(number, delta);
    }
}

/// Bytes of one kind.
pub fn bytes(kind: Kind) -> u64 {
    let bytes = match kind.part() {
        Some(part) => PARTS[part].sum(),
        None => PARTS.iter().fold(TOTAL.sum(), |left, part| left.wrapping_sub(part.sum())),
    };
    // Below zero for a moment, when bytes move from one thread's cell to another's meanwhile.
    bytes.max(0).cast_unsigned()
}

/// Bytes of all kinds.
pub fn used_bytes() -> u64 {
    TOTAL.sum().max(0).cast_unsigned()
}

/// Bytes of all kinds that a memory cap is about: all but what is on its way to the log. Memory in
/// limbo or being reaped is still among them.
pub fn counted_bytes() -> u64 {
    used_bytes().saturating_sub(uncounted_bytes())
}

/// Bytes that a memory cap is not about.
pub fn uncounted_bytes() -> u64 {
    bytes(Kind::Log) + bytes(Kind::Ring)
}

/// Bytes of the keyspace: its records, arrays and buffers.
pub fn keyspace_bytes() -> u64 {
    let elsewhere = [Kind::Clients, Kind::Ring, Kind::Log, Kind::Eviction];
    elsewhere.into_iter().fold(used_bytes(), |left, kind| left.saturating_sub(bytes(kind)))
}

/// The calling thread's part in [`used_bytes`]: what it has taken, less what it has given back,
/// whoever had taken that. One load: for whoever wants to know how much it has taken since.
#[inline]
pub fn thread_bytes() -> i64 {
    TOTAL.own()
}

/// What the server's allocator, jemalloc, takes for a request of `size` bytes: the next of its size
/// classes (16 bytes apart up to 128, from there on four to each doubling), or whole pages from 16
/// KiB on.
#[inline]
pub const fn taken(size: usize) -> usize {
    const CLASS_BYTES: usize = 16;
    const EVEN_MAX: usize = 128;
    const CLASS_MAX: usize = 14 << 10;
    const PAGE: usize = 4 << 10;
    if size <= EVEN_MAX {
        size.next_multiple_of(CLASS_BYTES)
    } else if size <= CLASS_MAX {
        // The greatest power of two below `size` begins the four classes.
        size.next_multiple_of(1 << ((size - 1).ilog2() - 2))
    } else {
        size.next_multiple_of(PAGE)
    }
}

/// What one owner has counted; given back when it goes. For owners whose memory grows and shrinks,
/// which say now and then how much it is.
#[derive(Debug)]
pub struct Counted {
    kind: Kind,
    bytes: usize,
}

impl Counted {
    /// Nothing yet.
    pub const fn new(kind: Kind) -> Self {
        Self { kind, bytes: 0 }
    }

    /// So many bytes it is now.
    #[inline]
    pub fn set(&mut self, bytes: usize) {
        if bytes != self.bytes {
            count(self.kind, bytes as i64 - self.bytes as i64);
            self.bytes = bytes;
        }
    }

    /// As many as were said last.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// What is known of a table that nobody can find any more, whose memory is not yet free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remains {
    /// Bytes of its records and their buffers, about.
    pub data_bytes: u64,
    /// Bytes of its arrays.
    pub array_bytes: u64,
    /// Its keys.
    pub keys: u64,
}

/// The sums over all such tables, in the order of the fields; and the keys of those that are freed.
static REAPING: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];
static REAPED_KEYS: AtomicU64 = AtomicU64::new(0);

/// All tables that wait to be freed, or are being freed now.
pub fn reaping() -> Remains {
    // Relaxed, here and below: statistics.
    let [data_bytes, array_bytes, keys] = REAPING.each_ref().map(|sum| sum.load(Ordering::Relaxed));
    Remains { data_bytes, array_bytes, keys }
}

/// Bytes that FLUSHDB and FLUSHALL have given up and that are not yet free: an estimate, which is
/// exactly 0 when all is free. Part of [`used_bytes`].
pub fn reaping_bytes() -> u64 {
    let Remains { data_bytes, array_bytes, .. } = reaping();
    data_bytes + array_bytes
}

/// Keys that were freed with their tables since the start.
pub fn reaped_keys() -> u64 {
    REAPED_KEYS.load(Ordering::Relaxed)
}

/// What one such table holds, as far as it is not yet freed. Dropped, it is nothing any more.
#[derive(Debug, Default)]
pub struct Reaping(Remains);

impl Reaping {
    /// Announces that all this is to be freed.
    pub fn announce(remains: Remains) -> Self {
        for (sum, part) in REAPING.iter().zip(Self::fields(remains)) {
            sum.fetch_add(part, Ordering::Relaxed);
        }
        Self(remains)
    }

    /// Of `parts` equal parts that are left one is free.
    pub fn free_part(&mut self, parts: u64) {
        let Remains { data_bytes, array_bytes, keys } = self.0;
        self.free(Remains {
            data_bytes: data_bytes / parts,
            array_bytes: array_bytes / parts,
            keys: keys / parts,
        });
    }

    fn free(&mut self, freed: Remains) {
        for (sum, part) in REAPING.iter().zip(Self::fields(freed)) {
            sum.fetch_sub(part, Ordering::Relaxed);
        }
        REAPED_KEYS.fetch_add(freed.keys, Ordering::Relaxed);
        self.0.data_bytes -= freed.data_bytes;
        self.0.array_bytes -= freed.array_bytes;
        self.0.keys -= freed.keys;
    }

    fn fields(remains: Remains) -> [u64; 3] {
        [remains.data_bytes, remains.array_bytes, remains.keys]
    }
}

impl Drop for Reaping {
    fn drop(&mut self) {
        if self.0 != Remains::default() {
            self.free(self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(not(any(loom, shuttle, miri)))]
    fn what_is_taken_is_what_jemalloc_says() {
        use std::alloc::Layout;
        let jemalloc = tikv_jemallocator::Jemalloc;
        for align in [16, 64] {
            for size in (16_usize..40_000).chain([65_537, 1 << 20, (1 << 20) + 1]) {
                let size = size.next_multiple_of(if align == 64 { 64_usize } else { 1 });
                let layout = Layout::from_size_align(size, align).expect("a power of two");
                let usable = crate::sync::allocator::usable_bytes(&jemalloc, layout);
                assert_eq!(taken(size), usable, "{size} bytes, aligned to {align}");
            }
        }
    }

    #[test]
    fn a_table_that_is_freed_part_by_part_leaves_nothing() {
        let remains = Remains { data_bytes: 1001, array_bytes: 77, keys: 10 };
        let mut reaping = Reaping(remains);
        for sum in &REAPING {
            // So that the sums stay above zero whatever the other tests do.
            sum.fetch_add(1 << 40, Ordering::Relaxed);
        }
        for left in (1..=7).rev() {
            reaping.free_part(left);
            assert!(reaping.0.data_bytes <= 1001 * (left - 1) / 7 + left);
        }
        assert_eq!(reaping.0, Remains::default());
        drop(reaping);
        for (sum, part) in REAPING.iter().zip(Reaping::fields(remains)) {
            sum.fetch_sub((1 << 40) - part, Ordering::Relaxed);
        }
    }
}
