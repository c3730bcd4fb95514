//! What scores are computed by, the same for all keys that are compared.

use super::ahe::Ahe;
use super::{Eviction, ahe, lfu, lru, ttl};
use crate::config::Score;
use crate::record::{RecordRef, Usage};

/// The state of the clocks and settings when victims are compared.
pub(super) struct Moment<'e> {
    pub(super) by: Score,
    /// Coarse Unix time in seconds.
    pub(super) seconds: u64,
    /// Unix time in milliseconds.
    pub(super) now: u64,
    pub(super) lfu_decay_minutes: u64,
    pub(super) ahe: &'e Ahe,
}

impl<'e> Moment<'e> {
    pub(super) fn new(eviction: &'e Eviction, by: Score, seconds: u64, now: u64) -> Self {
        let lfu_decay_minutes = eviction.settings.lfu_decay_minutes();
        Self { by, seconds, now, lfu_decay_minutes, ahe: &eviction.ahe }
    }

    /// Ticks of the access clock since a key was used.
    pub(super) fn age_ticks(&self, usage: Usage) -> u32 {
        self.ahe.age(usage)
    }

    /// How much a key is to go: the greatest goes first.
    /// (By chance: not decided here.)
    pub(super) fn score(&self, record: RecordRef<'_>) -> u64 {
        let usage = record.usage();
        match self.by {
            Score::Lru => lru::score(usage, self),
            Score::Lfu => lfu::score(usage, self),
            Score::Random => 0,
            Score::Ttl => ttl::score(record.deadline()),
            Score::Ahe => ahe::score(usage, record.deadline(), self),
        }
    }
}
