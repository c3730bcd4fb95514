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

/// What samples are taken of.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// How many keys are wanted, up to [`SAMPLE_MAX`].
    pub count: usize,
    /// Only keys with a deadline.
    pub only_expiring: bool,
    /// Slots after which the search is given up.
    pub slots_max: usize,
}

impl Table {
    /// Takes a sample at each of some places: random hashes. In rounds, so that the memory brings
    /// near what all of them need at the same time. Adds the records, and returns where the search
    /// of the last one has ended, as a hash.
    pub fn sample<'g>(
        &self,
        sample: Sample,
        places: &[u64],
        guard: &'g Guard<'_>,
        out: &mut Vec<RecordRef<'g>>,
    ) -> u64 {
        for &from in places {
            if let Some(array) = self.sampled_array(self.segment_index(from), from, guard) {
                prefetch_read(array);
            }
        }
        for &from in places {
            if let Some(array) = self.sampled_array(self.segment_index(from), from, guard) {
                let line = array.home_address(self.local(from));
                prefetch_read(line);
                prefetch_read(line.wrapping_add(64));
                prefetch_read(line.wrapping_add(128));
            }
        }
        let mut words = Vec::with_capacity(places.len() * sample.count.min(SAMPLE_MAX));
        let mut next = 0;
        for &from in places {
            next = self.gather(sample, from, guard, &mut words);
        }
        // SAFETY: loaded from slots of arrays that were reached under the pin 'g.
        let records = words.iter().filter_map(|word| unsafe { word.record::<'g>() });
        out.extend(records.filter_map(present));
        next
    }

    /// Adds the words of some keys that are likely to be present, and asks for their records.
    /// Returns where the search has ended, as a hash.
    fn gather(&self, sample: Sample, from: u64, guard: &Guard<'_>, words: &mut Vec<Word>) -> u64 {
        let most = words.len() + sample.count.min(SAMPLE_MAX);
        let mut left = sample.slots_max;
        let mut index = self.segment_index(from);
        let mut start = Some(from);
        // At most once around, and never more than the allowed slots.
        for _ in 0..=self.segments.len() {
            if words.len() == most || left == 0 {
                break;
            }
            left -= 1;
            let array = self.sampled_array(index, from, guard);
            if let Some(array) = array.filter(|array| array.has_live()) {
                let first = start.map_or(0, |hash| self.first_slot(array, hash));
                left -= gather_in(array, first, left, most, sample.only_expiring, words);
            }
            start = None;
            index = (index + 1) % self.segments.len();
        }
        (index as u64) << 1 << (63 - self.options.segment_bits)
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

/// Adds the words of an array from slot `first` on, until there are `most` of them, the array ends,
/// or `left` slots were looked at. Returns how many were.
fn gather_in(
    array: &Array,
    first: usize,
    left: usize,
    most: usize,
    only_expiring: bool,
    words: &mut Vec<Word>,
) -> usize {
    let until = array.capacity().min(first + left);
    for index in first..until {
        if words.len() == most {
            return index - first;
        }
        let word = array.slot(index).load();
        let is_wanted = !only_expiring || word.has_deadline();
        if is_wanted && !word.is_dead() && !word.pointer().is_null() {
            prefetch_read(word.pointer().cast_const());
            words.push(word);
        }
    }
    until - first
}
