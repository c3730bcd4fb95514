//! The newest keys, so that each of them is looked at a few times soon after it has come: among
//! random samples alone a key that is used once would stay as long as any other.
//!
//! A ring of one word a key: 48 bits of its hash and 16 of its database. A place in it is given by
//! one atomic addition and stored to Relaxed: who reads it in between finds the key that was there
//! a round ago, or none, which is a sample like any other. It says where a key was: whether it is
//! still there is found out when it is looked up.

use crate::memory::{Kind, count};
use crate::sync::OnceLock;
use crate::sync::plain::{AtomicU64, AtomicUsize, Ordering};

/// Sizes of rings: 2^0 to 2^32 words.
const SIZES: usize = 33;
/// No ring yet.
const NONE: usize = SIZES;
/// The database's number stands in these bits, of which neither a segment nor a tag is made.
const DATABASE_SHIFT: u32 = 16;
/// The bits of a hash that are kept.
pub(in crate::store::evict) const KEPT_BITS: u64 = !(0xffff << DATABASE_SHIFT);
/// How many keys may have come since the one that counts as the newest: more than go at once, and
/// an eighth of those that are remembered. Else those in between are passed over.
const BEHIND_MAX: u64 = 256;
/// The newest keys.
pub(super) struct Newcomers {
    rings: [OnceLock<Box<[AtomicU64]>>; SIZES],
    /// Which ring is in use.
    current: AtomicUsize,
    /// How many of its keys are remembered.
    length: AtomicU64,
    /// Keys that have come.
    count: AtomicU64,
    /// The one that was the newest for the last victim.
    passed: AtomicU64,
}

impl Newcomers {
    /// No keys, and no room for any.
    pub(super) fn new() -> Self {
        Self {
            rings: [const { OnceLock::new() }; SIZES],
            current: AtomicUsize::new(NONE),
            length: AtomicU64::new(0),
            count: AtomicU64::new(0),
            passed: AtomicU64::new(0),
        }
    }

    /// Remembers a quarter of `keys` keys.
    pub(super) fn resize(&self, keys: u64) {
        let length = (keys / 4).max(1);
        let size = ((length + 1).next_power_of_two().ilog2() as usize).min(SIZES - 1);
        let make = || {
            count(Kind::Eviction, ((1 << size) * size_of::<AtomicU64>()) as i64);
            (0..1u64 << size).map(|_| AtomicU64::new(0)).collect()
        };
        let _ring = self.rings[size].get_or_init(make);
        // Relaxed: the ring is published by its OnceLock; a length that does not fit the ring finds
        // other keys.
        self.length.store(length, Ordering::Relaxed);
        self.current.store(size, Ordering::Relaxed);
    }

    fn ring(&self) -> Option<&[AtomicU64]> {
        // Relaxed: see `resize`.
        self.rings.get(self.current.load(Ordering::Relaxed))?.get().map(|ring| &**ring)
    }

    /// Remembers a key.
    #[inline]
    pub(super) fn add(&self, database: u16, hash: u64) {
        let Some(ring) = self.ring() else { return };
        // Relaxed: see the module.
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let word = hash & KEPT_BITS | u64::from(database) << DATABASE_SHIFT;
        ring[count as usize & (ring.len() - 1)].store(word, Ordering::Relaxed);
    }

    /// Adds to `found` the newest key, and those that came a whole, half, quarter and eighth of the
    /// length ago: the database, and the hash as far as it is kept ([`KEPT_BITS`]).
    pub(super) fn sample(&self, found: &mut Vec<(u16, u64)>) {
        let Some(ring) = self.ring() else { return };
        let count = self.pass();
        // Relaxed: see the module.
        let length = self.length.load(Ordering::Relaxed);
        // The newest. (Measured: with the newest four the development traces had 0.1 points less,
        // and a victim cost six lines of memory more.)
        let newest = 1;
        let ages = [length.saturating_sub(1), length / 2, length / 4, length / 8];
        let older = ages.into_iter().filter(|&distance| distance > newest);
        for distance in std::iter::once(newest).chain(older) {
            let place = count.wrapping_sub(distance) as usize & (ring.len() - 1);
            let word = ring[place].load(Ordering::Relaxed);
            if word != 0 {
                found.push(((word >> DATABASE_SHIFT) as u16, word & KEPT_BITS));
            }
        }
    }

    /// How many keys count as having come, for the next victim: one more for each, so that every
    /// key has each of the ages once, also when many come before many go.
    fn pass(&self) -> u64 {
        // Relaxed: see the module. Two at a time may look at the same keys.
        let count = self.count.load(Ordering::Relaxed);
        let passed = self.passed.load(Ordering::Relaxed) + 1;
        let behind = BEHIND_MAX.min(self.length.load(Ordering::Relaxed) / 8);
        let is_near = passed <= count && count - passed <= behind;
        let passed = if is_near { passed } else { count };
        self.passed.store(passed, Ordering::Relaxed);
        passed
    }

    /// Memory of all rings in bytes.
    pub(super) fn memory_bytes(&self) -> u64 {
        let made = self.rings.iter().filter_map(OnceLock::get);
        made.map(|ring| size_of_val::<[AtomicU64]>(ring) as u64).sum()
    }
}

impl Drop for Newcomers {
    fn drop(&mut self) {
        count(Kind::Eviction, -(self.memory_bytes() as i64));
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::Newcomers;

    #[test]
    fn the_newest_and_those_of_four_ages_are_found() {
        let newcomers = Newcomers::new();
        newcomers.add(0, 1 << 32);
        let mut found = Vec::new();
        newcomers.sample(&mut found);
        assert_eq!(found, []);

        newcomers.resize(400);
        newcomers.add(3, 7 << 32 | 5 << 16 | 9);
        newcomers.sample(&mut found);
        assert_eq!(found, [(3, 7 << 32 | 9)]);

        for number in 1..=1000u64 {
            newcomers.add(1, number << 32);
        }
        found.clear();
        newcomers.sample(&mut found);
        let numbers: Vec<_> = found.iter().map(|(_, hash)| hash >> 32).collect();
        assert_eq!(numbers, [1000, 902, 951, 976, 989]);
        assert_eq!(newcomers.memory_bytes(), 8 * 128);
    }

    #[test]
    fn a_few_keys_are_found_once_each() {
        let newcomers = Newcomers::new();
        newcomers.resize(32);
        for number in 1..=20u64 {
            newcomers.add(0, number << 32);
        }
        let mut found = Vec::new();
        newcomers.sample(&mut found);
        let numbers: Vec<_> = found.iter().map(|(_, hash)| hash >> 32).collect();
        assert_eq!(numbers, [20, 14, 17, 19]);
    }

    #[test]
    fn keys_that_come_together_have_their_ages_one_after_the_other() {
        let newcomers = Newcomers::new();
        newcomers.resize(4000);
        let newest = || {
            let mut found = Vec::new();
            newcomers.sample(&mut found);
            found[0].1 >> 32
        };
        (1..=2000u64).for_each(|number| newcomers.add(0, number << 32));
        assert_eq!(newest(), 2000);
        (2001..=2050u64).for_each(|number| newcomers.add(0, number << 32));
        assert!((2001..=2050).all(|number| newest() == number));
        assert_eq!(newest(), 2050);
    }
}
