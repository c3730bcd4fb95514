//! Least frequently used first: Redis's logarithmic counters, which fall with time.
//!
//! <https://redis.io/docs/latest/develop/reference/eviction/> (the new LFU mode)

use super::moment::Moment;
use crate::record::Usage;

/// The counter falls before it is compared. Among equals the one that was idle longer goes first.
pub(super) fn score(usage: Usage, moment: &Moment<'_>) -> u64 {
    let counter = usage.decayed_counter(moment.seconds, moment.lfu_decay_minutes);
    u64::from(u8::MAX - counter) << 24 | usage.idle_seconds(moment.seconds)
}
