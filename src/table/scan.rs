//! Walking the keys of a range of hashes, across growth, cleaning and shrinking.
//!
//! A key is found from its home line on before the first EMPTY slot, and home lines follow the
//! order of hashes. So the keys with hashes in a range are all between the home of the range's
//! first hash and the end of the chain that begins at the home of its last, in every array of the
//! segment; what else stands there is told apart by its hash. The range and not the slots is what
//! a caller goes on from, so the walk holds no state and does not mind a new array in between.
//!
//! While a segment migrates the arrays are walked from the oldest to the newest. A key that is
//! present the whole time is met: its slot in an array is either still the key's place, or was
//! MOVED before we came by, and then the key is in the next array from then on. A key that is met
//! in two arrays is reported once.

use super::array::{Array, LINE};
use super::slot::Word;
use super::{Table, commit};
use crate::record::RecordRef;
use crate::sync::epoch::Guard;
use crate::sync::planted::{self, Planted};
use crate::sync::prefetch_read;

/// Boundaries between ranges are multiples of this many hashes, so that a cursor needs 48 bits,
/// which every client's number type holds.
pub const GRAIN_BITS: u32 = 16;

/// Slots whose records are asked for together.
const AHEAD: usize = 16;

/// Which keys a walk reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Which {
    /// All present keys.
    Present,
    /// All keys that were present at a ticket, as far as commits over several keys under way are
    /// concerned: one with a later ticket has not taken place.
    At(u64),
    /// Present keys with a deadline.
    Expiring,
}

impl Table {
    /// The end of a range that begins at hash `from`, lies in one segment and takes some `slots`
    /// slots to walk; `None` if it reaches the greatest hash. A segment without keys costs nothing,
    /// so a range may begin in one that has none and end where the next one begins that has some.
    pub fn range_end(&self, from: u64, slots: usize, guard: &Guard<'_>) -> Option<u64> {
        let bits = self.options.segment_bits;
        let segment = self.segment_index(from);
        let Some(array) = self.root(from, guard) else {
            // The segments after this one, up to the first that has an array.
            let mut later = segment + 1..self.segments.len();
            let next = later.find(|&next| {
                start_of(next, bits).is_some_and(|first| self.root(first, guard).is_some())
            });
            return start_of(next?, bits);
        };
        let line = array.home(self.local(from)) / LINE + slots.div_ceil(LINE).max(1);
        let lines = array.capacity() / LINE;
        if line >= lines {
            return start_of(segment + 1, bits);
        }
        // The least hash whose home is `line`.
        let local = ((line as u128) << 64).div_ceil(lines as u128);
        let within = local.div_ceil(1 << bits) as u64;
        let end = start_of(segment, bits)? + within;
        match end.checked_next_multiple_of(1 << GRAIN_BITS) {
            Some(end) if self.segment_index(end) == segment => Some(end),
            _ => start_of(segment + 1, bits),
        }
    }

    /// Adds the records of all keys with hashes from `from` up to but not including `until`
    /// (`None`: up to the greatest), which may span segments.
    pub fn collect<'g>(
        &self,
        from: u64,
        until: Option<u64>,
        which: Which,
        guard: &'g Guard<'_>,
        out: &mut Vec<RecordRef<'g>>,
    ) {
        let last = until.map_or(u64::MAX, |until| until - 1);
        let bits = self.options.segment_bits;
        let mut from = from;
        loop {
            let next = start_of(self.segment_index(from) + 1, bits);
            let end = next.map_or(last, |next| last.min(next - 1));
            self.collect_in_segment(from, end, which, guard, out);
            match next {
                Some(next) if next <= last => from = next,
                _ => return,
            }
        }
    }

    fn collect_in_segment<'g>(
        &self,
        from: u64,
        last: u64,
        which: Which,
        guard: &'g Guard<'_>,
        out: &mut Vec<RecordRef<'g>>,
    ) {
        let start = out.len();
        let Some(mut array) = self.root(from, guard) else {
            return;
        };
        let mut walk = Walk { table: self, from, last, which, out };
        if planted::is(Planted::WalkNextFirst) {
            // SAFETY: reached under the pin 'g.
            if let Some(migration) = unsafe { array.migration() } {
                // SAFETY: as above.
                walk.array(unsafe { migration.target() });
            }
            return walk.array(array);
        }
        walk.array(array);
        // SAFETY: the arrays were reached under the pin 'g, here and below.
        if unsafe { array.migration() }.is_none() {
            return;
        }
        // SAFETY: as above.
        while let Some(migration) = unsafe { array.migration() } {
            // SAFETY: as above.
            array = unsafe { migration.target() };
            walk.array(array);
        }
        let found = &mut walk.out[start..];
        // Stable: the newest record of a key stays behind the older ones.
        found.sort_by(|a, b| (a.hash(), a.key()).cmp(&(b.hash(), b.key())));
        let mut kept = start;
        for index in start..walk.out.len() {
            let record = walk.out[index];
            let newer = walk.out.get(index + 1);
            if newer
                .is_none_or(|newer| newer.hash() != record.hash() || newer.key() != record.key())
            {
                walk.out[kept] = record;
                kept += 1;
            }
        }
        walk.out.truncate(kept);
    }

    /// Moves a chunk of the migration of a hash's segment. False if the segment is not migrating.
    pub fn help(&self, hash: u64, guard: &Guard<'_>) -> bool {
        let root = self.segment(hash);
        match self.moving(root, guard) {
            Some(moving) => !self.step(root, &moving, guard),
            None => false,
        }
    }
}

/// The first hash of a segment, `None` for the one after the last.
fn start_of(segment: usize, bits: u32) -> Option<u64> {
    u64::try_from((segment as u128) << (64 - bits)).ok()
}

/// A walk over the arrays of one segment.
struct Walk<'t, 'g, 'o> {
    table: &'t Table,
    from: u64,
    /// The last hash of the range.
    last: u64,
    which: Which,
    out: &'o mut Vec<RecordRef<'g>>,
}

impl<'g> Walk<'_, 'g, '_> {
    fn array(&mut self, array: &'g Array) {
        let first = array.home(self.table.local(self.from));
        // Slots that are walked whatever they hold; from there on, to the end of the chain.
        let span = array.home(self.table.local(self.last)) + LINE - first;
        let capacity = array.capacity();
        let mut at = 0;
        while at < capacity {
            let mut words = [Word::EMPTY; AHEAD];
            let mut count = 0;
            let mut ended = false;
            while count < AHEAD && at < capacity {
                let index = first + at;
                let index = if index < capacity { index } else { index - capacity };
                let word = array.slot(index).load();
                if at >= span && word.is_empty() {
                    ended = true;
                    break;
                }
                at += 1;
                let may_count = self.which != Which::Expiring || word.has_deadline();
                if may_count && !word.is_dead() {
                    prefetch_read(word.pointer().cast_const());
                    words[count] = word;
                    count += 1;
                }
            }
            words[..count].iter().for_each(|&word| self.look(word));
            if ended {
                return;
            }
        }
    }

    fn look(&mut self, word: Word) {
        // SAFETY: loaded from a slot of an array that was reached under the pin 'g.
        let (record, live) = unsafe { (word.record::<'g>(), word.is_live()) };
        let record = match record.and_then(RecordRef::intent) {
            None => record.filter(|_| live),
            Some(intent) => match self.which {
                Which::At(ticket) if !planted::is(Planted::WalkTakesNew) => {
                    commit::record_at(intent, ticket)
                }
                _ => commit::record_now(intent),
            },
        };
        if let Some(record) = record
            && (self.from..=self.last).contains(&record.hash())
        {
            self.out.push(record);
        }
    }
}
