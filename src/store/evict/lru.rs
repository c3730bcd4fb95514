//! Least recently used first.
//!
//! The time of the last use is kept in seconds, as in Redis, where all keys that were used in the
//! same second look alike. Among those the access clock decides (module `ahe`), which ticks about a
//! thousand times while as many accesses are made as there are keys.

use super::moment::Moment;
use crate::record::Usage;

pub(super) fn score(usage: Usage, moment: &Moment<'_>) -> u64 {
    usage.idle_seconds(moment.seconds) << 24 | u64::from(moment.age_ticks(usage))
}
