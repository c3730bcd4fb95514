//! SCAN, KEYS and RANDOMKEY: keys in the order of their hashes.
//!
//! A position is a point in the space of hashes, so it says all there is to say: it stays valid
//! through every growth, cleaning and shrinking, in any session. Every key that is present from the
//! start of a scan to its end is reported; one that comes or goes meanwhile may or may not be. No
//! key is reported twice while it stays.

use super::entry::Entry;
use super::{Database, Key, Session};
use crate::record::RecordRef;
use crate::table::{GRAIN_BITS, Table, Which};

/// Bits of a cursor.
pub const CURSOR_BITS: u32 = u64::BITS - GRAIN_BITS;

/// Slots that one step of a scan walks.
const STEP_SLOTS: usize = 64;

/// A scan that finds few keys stops after so many slots for each key it was asked for.
const SLOTS_PER_KEY: usize = 16;

/// Keys that a range has on average from which a random one is taken.
const SAMPLE_KEYS: u64 = 16;

/// A range with more keys than this is taken as if it had so many: with [`SAMPLE_KEYS`] on average
/// that is eight standard deviations away.
const SAMPLE_KEYS_MAX: u64 = 48;

/// Ranges tried for a random key before the first one that has keys is taken.
const SAMPLES: usize = 128;

/// Where a scan goes on; 0 is the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ScanPosition(u64);

impl ScanPosition {
    /// The position that a cursor names, if it names one.
    pub fn from_cursor(cursor: u64) -> Self {
        // A cursor that is none of ours is taken as what its low bits say, as Redis does.
        Self(cursor << GRAIN_BITS)
    }

    /// The cursor, less than 2^[`CURSOR_BITS`].
    pub fn cursor(self) -> u64 {
        self.0 >> GRAIN_BITS
    }
}

impl Database<'_> {
    /// Reports some `count` present keys from a position on, and returns where to go on; `None` at
    /// the end.
    pub fn scan(
        &self,
        session: &Session<'_>,
        from: ScanPosition,
        count: usize,
        mut visit: impl FnMut(&[u8], Entry<'_>),
    ) -> Option<ScanPosition> {
        session.expose_all();
        let table = self.current(session)?;
        let mut from = from.0;
        let (mut found, mut slots) = (0, 0);
        let mut records = Vec::new();
        loop {
            let until = table.range_end(from, STEP_SLOTS.min(count), &session.guard);
            records.clear();
            table.collect(from, until, Which::Present, &session.guard, &mut records);
            for &record in &records {
                if self.is_present(session, record) {
                    visit(record.key(), Entry::new(record));
                    found += 1;
                }
            }
            from = until?;
            slots += STEP_SLOTS.min(count);
            if found >= count || slots >= count.saturating_mul(SLOTS_PER_KEY) {
                return Some(ScanPosition(from));
            }
        }
    }

    /// Whether a record that was met is a present key's; one past its deadline is made absent.
    fn is_present(&self, session: &Session<'_>, record: RecordRef<'_>) -> bool {
        let over = session.is_over(record);
        if over && session.may_expire() {
            self.expire(session, Key { bytes: record.key(), hash: record.hash() });
        }
        !over
    }

    /// A key, each with the same probability: the space of hashes is divided into equal ranges that
    /// have a few keys each, a range is taken at random, and with a probability in proportion to
    /// its keys one of them is chosen, else another range.
    pub fn random_key<T>(
        &self,
        session: &Session<'_>,
        read: impl FnOnce(&[u8], Entry<'_>) -> T,
    ) -> Option<T> {
        session.expose_all();
        let table = self.current(session)?;
        let ranges = (table.len() / SAMPLE_KEYS).max(1);
        let bits = ranges.ilog2();
        let mut records = Vec::new();
        for _ in 0..SAMPLES {
            let (from, until) = match bits {
                0 => (0, None),
                _ => {
                    let shift = u64::BITS - bits;
                    let number = fastrand::u64(..) >> shift;
                    (number << shift, (number + 1).checked_mul(1 << shift))
                }
            };
            self.collect_present(session, table, from, until, &mut records);
            let count = records.len() as u64;
            let most = if bits == 0 { count } else { SAMPLE_KEYS_MAX.max(count) };
            if most == 0 {
                return None;
            }
            let chosen = fastrand::u64(..most) as usize;
            if let Some(&record) = records.get(chosen) {
                return Some(read(record.key(), Entry::new(record)));
            }
        }
        // Hardly any key is left of many a moment ago.
        self.collect_present(session, table, 0, None, &mut records);
        fastrand::choice(&records).map(|&record| read(record.key(), Entry::new(record)))
    }

    fn collect_present<'g>(
        &self,
        session: &'g Session<'_>,
        table: &'g Table,
        from: u64,
        until: Option<u64>,
        records: &mut Vec<RecordRef<'g>>,
    ) {
        records.clear();
        table.collect(from, until, Which::Present, &session.guard, records);
        records.retain(|&record| self.is_present(session, record));
    }
}
