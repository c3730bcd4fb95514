//! How much there is, and whether it is too much.
//!
//! The whole is the sum of many threads' counts, which takes too long to ask for before every
//! command. So a thread that has seen how much room there is goes on for its part of it by its own
//! count alone: half of the room, divided by the threads, so that all together cannot pass the
//! bound; and no more than a little of the bound, since what another thread was allowed long ago
//! may still be to come.
//!
//! What is unlinked and waits for readers or for a snapshot (limbo, flushed tables, images) is as
//! good as freed: to evict more because of it would never end. Limbo is kept small by other means
//! (`sync::epoch`), but a reader that the system has stopped may hold it for a while. So what there
//! is when a thread looks, up to a little of the bound, has its place within the bound; and while
//! more waits, writers pause for some milliseconds, in which that reader gets on.

use super::settings::Settings;
use crate::memory;
use crate::store::{Keyspace, Session};
use crate::sync::epoch::{limbo_bytes, thread_limbo_bytes};

/// All allowances together are at most this part of the bound.
const SHARES: u64 = 128;

/// The part of the bound that limbo may take within it. (A thread that the system stops for some
/// milliseconds while others write was seen to hold back 4 MB.)
const LIMBO_SHARE: u64 = 16;

/// The part of the bound by which limbo may take the whole beyond it, and be no less itself, before
/// writers wait for a moment.
const LIMBO_EXCESS_SHARE: u64 = 128;

/// Bytes that count against `maxmemory`.
pub(super) fn used_bytes(keyspace: &Keyspace) -> u64 {
    let gone = limbo_bytes() + memory::reaping_bytes() + keyspace.image_bytes();
    memory::counted_bytes().saturating_sub(gone)
}

/// What limbo takes now, as far as it has its place within a bound of so many bytes.
pub(super) fn limbo_reserve(bound: u64) -> u64 {
    limbo_bytes().min(bound / LIMBO_SHARE)
}

/// Whether so much waits for readers that together with it the data is well beyond the bound.
pub(super) fn is_held_back(keyspace: &Keyspace, bound: u64) -> bool {
    if bound == 0 {
        return false;
    }
    let (limbo, excess) = (limbo_bytes(), bound / LIMBO_EXCESS_SHARE);
    limbo > excess && used_bytes(keyspace) + limbo > bound + excess
}

/// The calling thread's part of [`used_bytes`], which may be negative: another has allocated what
/// it has unlinked.
pub(super) fn thread_bytes() -> i64 {
    memory::thread_bytes() - thread_limbo_bytes()
}

/// All keys.
pub(super) fn keys(keyspace: &Keyspace, session: &Session<'_>) -> u64 {
    (0..keyspace.databases()).map(|index| keyspace.database(index).len(session)).sum()
}

/// The bounds, as they are now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Bounds {
    /// 0: none.
    pub(super) bytes: u64,
    /// 0: none.
    pub(super) keys: u64,
}

impl Bounds {
    pub(super) fn of(settings: &Settings) -> Self {
        Self { bytes: settings.max_bytes(), keys: settings.max_keys() }
    }
}

/// What a thread may take before it asks for the whole again: of data, and of memory, in which
/// limbo is, since it is limbo that grows when values are replaced.
#[derive(Debug, Default)]
pub(super) struct Allowance {
    bounds: Bounds,
    /// Its own count of data up to which there is nothing to ask.
    until: i64,
    /// Its own count of all memory up to which there is nothing to ask.
    until_taken: i64,
}

impl Allowance {
    /// Whether the thread may go on without asking.
    #[inline]
    pub(super) fn is_left(&self, bounds: Bounds) -> bool {
        let taken = memory::thread_bytes();
        bounds.keys == 0
            && self.bounds == bounds
            && taken < self.until_taken
            && taken - thread_limbo_bytes() < self.until
    }

    /// So many bytes are free, for `threads` threads.
    pub(super) fn renew(&mut self, bounds: Bounds, free: u64, threads: usize) {
        let threads = threads.max(1) as u64;
        let share = (free / (2 * threads)).min(bounds.bytes / (SHARES * threads));
        let share = i64::try_from(share).unwrap_or(i64::MAX);
        let until = |count: i64| count.saturating_add(share);
        let (until, until_taken) = (until(thread_bytes()), until(memory::thread_bytes()));
        *self = Self { bounds, until, until_taken };
    }

    /// Nothing is left.
    pub(super) fn end(&mut self) {
        self.until = i64::MIN;
    }
}

/// No key takes less, its slot included.
const KEY_BYTES_MIN: u64 = 64;

/// How many keys of a kind of which there are `keys` now there will be at the bounds; 0 as
/// long as that cannot be told.
pub(super) fn capacity(keyspace: &Keyspace, bounds: Bounds, keys: u64) -> u64 {
    let by_bytes = match bounds.bytes {
        0 => keys,
        // Early on the estimate would be too high, and AHE would make tables for it.
        bytes if used_bytes(keyspace) < bytes / 64 * 63 => 0,
        bytes => {
            let full = keys as f64 * bytes as f64 / used_bytes(keyspace).max(1) as f64;
            (full as u64).min(bytes / KEY_BYTES_MIN)
        }
    };
    // At the bound one goes before the next one comes.
    if bounds.keys > 0 { bounds.keys + 1 } else { by_bytes }
}
