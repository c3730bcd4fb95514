//! Noting that keys are used, as far as the policy wants to know it.
//!
//! All policies keep the second of the last use; it says how long a key was idle. LRU adds the
//! access clock, LFU its counter, AHE the clock and its own classes. What a policy does not want is
//! left as it is, so that a change of policy finds what an earlier one has noted. A word is stored
//! only when it changes: a hot key that is only read stays in every core's cache.

use super::ahe::Lane;
use super::{Eviction, Policy, Score, place_of};
use crate::record::{OwnedRecord, RecordRef, Usage};
use crate::store::Session;

/// What is noted of a use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::store) enum Tracking {
    /// Nothing: who uses the key is not to be noticed.
    Nothing,
    /// The second.
    Time,
    /// And the tick of the access clock.
    Order,
    /// And how often.
    Frequency,
    /// And what AHE learns from.
    Learning,
}

impl Tracking {
    pub(in crate::store) fn of(policy: Policy) -> Self {
        match policy.score() {
            Some(Score::Lru) => Self::Order,
            Some(Score::Lfu) => Self::Frequency,
            Some(Score::Ahe) => Self::Learning,
            Some(Score::Random | Score::Ttl) | None => Self::Time,
        }
    }
}

impl Eviction {
    /// What is to be known of a key that is used now.
    fn used(&self, tracking: Tracking, lane: &Lane, usage: Usage, seconds: u64) -> Usage {
        let usage = match tracking {
            Tracking::Nothing => return usage,
            Tracking::Time => usage,
            Tracking::Order => usage.with_clock(self.ahe.count_access(lane)),
            Tracking::Frequency => {
                let decayed = usage.decayed_counter(seconds, self.settings.lfu_decay_minutes());
                let factor = self.settings.lfu_log_factor();
                usage.with_counter(Usage::log_incremented(decayed, factor, fastrand::f64()))
            }
            Tracking::Learning => self.ahe.hit(lane, usage, fastrand::u32(..)),
        };
        usage.with_seconds(seconds)
    }
}

impl Session<'_> {
    /// Notes that a key is used now.
    #[inline]
    pub(in crate::store) fn note_use(&self, record: RecordRef<'_>) {
        let usage = record.usage();
        let now = self.used(usage);
        if now != usage {
            record.set_usage(now);
        }
    }

    /// Notes that a key is used now by whoever is there for just that.
    pub(in crate::store) fn note_touch(&self, record: RecordRef<'_>) {
        let tracking = match self.tracking {
            Tracking::Nothing => Tracking::of(self.local.eviction.settings().policy()),
            tracking => tracking,
        };
        let (eviction, lane) = (&self.local.eviction, &self.local.lane);
        record.set_usage(eviction.used(tracking, lane, record.usage(), self.seconds));
    }

    /// Whether the record of a key needs that of the one before it.
    pub(in crate::store) fn keeps_history(&self) -> bool {
        matches!(self.tracking, Tracking::Frequency | Tracking::Learning)
    }

    /// What is to be known of a key that is used now.
    #[inline]
    pub(in crate::store) fn used(&self, usage: Usage) -> Usage {
        if self.tracking == Tracking::Time {
            return usage.with_seconds(self.seconds);
        }
        self.local.eviction.used(self.tracking, &self.local.lane, usage, self.seconds)
    }

    /// What is to be known of a key that is inserted now.
    #[inline]
    pub(in crate::store) fn inserted_usage(&self, database: usize, hash: u64) -> Usage {
        let usage = Usage::born(self.seconds);
        let (ahe, lane) = (&self.local.eviction.ahe, &self.local.lane);
        match self.tracking {
            Tracking::Nothing | Tracking::Time | Tracking::Frequency => usage,
            Tracking::Order => usage.with_clock(ahe.count_access(lane)),
            Tracking::Learning => {
                ahe.ghost_usage(place_of(database, hash), usage, fastrand::u32(..))
            }
        }
    }

    /// Asks for the memory that [`inserted_usage`](Self::inserted_usage) and an eviction look at.
    #[inline]
    pub(in crate::store) fn bring_ghost(&self, database: usize, hash: u64) {
        if self.tracking == Tracking::Learning {
            self.local.eviction.ahe.bring_ghost(place_of(database, hash));
        }
    }

    /// Notes in a record of a transaction how its key was used, and that it may be inserted.
    pub(in crate::store) fn note_put(
        &self,
        database: usize,
        current: Option<RecordRef<'_>>,
        record: &OwnedRecord,
    ) {
        let (record, hash) = (record.as_ref(), record.as_ref().hash());
        let usage = match current {
            Some(current) => self.used(current.usage()),
            None => self.inserted_usage(database, hash),
        };
        record.set_usage(usage);
        if current.is_none() && self.tracking == Tracking::Learning {
            self.local.inserted.borrow_mut().push((database, hash));
        }
    }

    /// Notes that a key was inserted.
    #[inline]
    pub(in crate::store) fn note_inserted(&self, database: usize, hash: u64) {
        if self.tracking == Tracking::Learning {
            let place = place_of(database, hash);
            self.local.eviction.ahe.inserted(&self.local.lane, database as u16, hash, place);
        }
    }

    /// Notes that a key was evicted.
    pub(super) fn note_evicted(&self, database: usize, hash: u64, usage: Usage, value: f32) {
        if self.tracking == Tracking::Learning {
            let place = place_of(database, hash);
            self.local.eviction.ahe.evicted(&self.local.lane, place, usage, value);
        }
    }
}
