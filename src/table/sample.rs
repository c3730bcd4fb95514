//! Looking at a few keys at a random place, for those who look for victims.
//!
//! Hashes are random, so the keys in adjacent slots are a random sample of all keys, and reading
//! them costs one or two lines of slots and the records, which are fetched together. A sample
//! promises less than a walk (module `scan`): while a segment migrates a key may be met twice or
//! not at all.

use super::array::{Array, LINE};
use super::slot::{Word, tag_of};
use super::{Table, commit};
use crate::record::RecordRef;
use crate::sync::epoch::Guard;
use crate::sync::prefetch_read;

/// The keys that one sample may ask for.
pub const SAMPLE_MAX: usize = 64;

/// What a sample is taken of.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Where it begins: a random hash.
    pub from: u64,
    /// How many keys are wanted, up to [`SAMPLE_MAX`].
    pub count: usize,
    /// Only keys with a deadline.
    pub only_expiring: bool,
    /// Slots after which the search is given up.
    pub slots_max: usize,
}

impl Table {
    /// Adds the records of some keys in adjacent slots. Returns the hash to go on from when too few
    /// were found within the allowed slots.
    pub fn sample<'g>(
        &self,
        sample: Sample,
        guard: &'g Guard<'_>,
        out: &mut Vec<RecordRef<'g>>,
    ) -> u64 {
        let mut words = [Word::EMPTY; SAMPLE_MAX];
        let mut found = Found { words: &mut words[..sample.count.min(SAMPLE_MAX)], count: 0 };
        let mut left = sample.slots_max;
        let mut index = self.segment_index(sample.from);
        let mut start = Some(sample.from);
        // At most once around, and never more than the allowed slots.
        for _ in 0..=self.segments.len() {
            if found.is_full() || left == 0 {
                break;
            }
            left -= 1;
            let array = self.sampled_array(index, sample.from, guard);
            if let Some(array) = array.filter(|array| array.has_live()) {
                let first = start.map_or(0, |hash| self.first_slot(array, hash));
                left -= found.gather(array, first, left, sample.only_expiring);
            }
            start = None;
            index = (index + 1) % self.segments.len();
        }
        for word in &found.words[..found.count] {
            // SAFETY: loaded from a slot of an array that was reached under the pin 'g.
            let record = unsafe { word.record::<'g>() };
            out.extend(record.and_then(present));
        }
        (index as u64) << 1 << (63 - self.options.segment_bits)
    }

    /// Brings the slots near that a sample will begin with.
    pub fn prefetch_sample(&self, from: u64, guard: &Guard<'_>) {
        if let Some(array) = self.sampled_array(self.segment_index(from), from, guard) {
            prefetch_read(array.home_address(self.local(from)));
            prefetch_read(array.home_address(self.local(from)).wrapping_add(64));
        }
    }

    /// The array of a segment that a sample looks at: where the segment migrates, one of the two.
    fn sampled_array<'g>(
        &self,
        segment: usize,
        from: u64,
        guard: &'g Guard<'_>,
    ) -> Option<&'g Array> {
        let hash = (segment as u64) << 1 << (63 - self.options.segment_bits);
        let root = self.root(hash, guard)?;
        // SAFETY: reached under the pin 'g.
        match unsafe { root.migration() } {
            // SAFETY: as above.
            Some(migration) if from & 1 == 1 => Some(unsafe { migration.target() }),
            _ => Some(root),
        }
    }

    /// A slot of the home of a hash; which of the line the hash says.
    fn first_slot(&self, array: &Array, hash: u64) -> usize {
        array.home(self.local(hash)) + (hash >> 1) as usize % LINE
    }

    /// The record of a present key whose hash is this one in the bits of `mask`, the tag's among
    /// them, and nearly all others.
    pub fn find_hash<'g>(
        &self,
        hash: u64,
        mask: u64,
        guard: &'g Guard<'_>,
    ) -> Option<RecordRef<'g>> {
        let mut array = self.root(hash, guard)?;
        loop {
            let slots = array.chain(self.local(hash)).map(|index| array.slot(index).load());
            for word in slots.take_while(|word| !word.is_empty()) {
                if word.tag() != tag_of(hash) || word.is_dead() {
                    continue;
                }
                // SAFETY: loaded from a slot of an array that was reached under the pin 'g.
                let record = unsafe { word.record::<'g>() };
                let found = record.filter(|record| record.hash() & mask == hash & mask);
                if let Some(record) = found.and_then(present) {
                    return Some(record);
                }
            }
            // SAFETY: reached under the pin 'g, as the target is.
            array = unsafe { array.migration()?.target() };
        }
    }
}

/// The record that stands for a key now, given the one in its slot.
fn present(record: RecordRef<'_>) -> Option<RecordRef<'_>> {
    let record = match record.intent() {
        Some(intent) => commit::record_now(intent),
        None => Some(record),
    };
    record.filter(|record| record.has_value())
}

/// Words of present keys.
struct Found<'w> {
    words: &'w mut [Word],
    count: usize,
}

impl Found<'_> {
    fn is_full(&self) -> bool {
        self.count == self.words.len()
    }

    /// Takes the words of an array from a slot on to its end; returns how many it looked at, at
    /// most `left`.
    fn gather(&mut self, array: &Array, first: usize, left: usize, only_expiring: bool) -> usize {
        let until = array.capacity().min(first + left);
        for index in first..until {
            if self.is_full() {
                return index - first;
            }
            let word = array.slot(index).load();
            if word.pointer().is_null() || word.is_dead() || only_expiring && !word.has_deadline() {
                continue;
            }
            prefetch_read(word.pointer().cast_const());
            self.words[self.count] = word;
            self.count += 1;
        }
        until - first
    }
}
