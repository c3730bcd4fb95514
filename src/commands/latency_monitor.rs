//! The latency monitor: what has taken longer than `latency-monitor-threshold`, by kinds of events.
//!
//! Of each event the last seconds in which it was slow are kept, each with its longest time. Behind
//! a lock that only what is slow and LATENCY take. The events are Redis's, as far as this server
//! has them:
//!
//! | event | what |
//! |---|---|
//! | `command`, `fast-command` | a command, by its flag `fast` |
//! | `expire-cycle` | a slice of the search for keys past their deadline |
//! | `eviction-cycle` | removing keys to make room, within a batch or beside it |
//! | `aof-write` | a write to the log |
//! | `aof-fsync-always` | a sync of the log that replies wait for |

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::sync::{Mutex, MutexGuard, PoisonError};

/// The most samples of an event (Redis's number).
const SAMPLES_MAX: usize = 160;

/// What was slow.
#[derive(Debug, Default)]
pub(super) struct LatencyMonitor(Mutex<BTreeMap<&'static str, Event>>);

/// One kind of event.
#[derive(Clone, Debug, Default)]
pub(super) struct Event {
    /// The last samples, the newest at the end.
    pub(super) samples: VecDeque<Sample>,
    /// The longest ever, in milliseconds.
    pub(super) longest_ms: u64,
}

/// The longest of a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    /// The second, in Unix time.
    pub(super) unix_seconds: u64,
    /// How long it took, in milliseconds.
    pub(super) ms: u64,
}

impl LatencyMonitor {
    /// Notes that something took so long, which was found to be long enough.
    pub(super) fn add(&self, event: &'static str, took: Duration) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let sample = Sample { unix_seconds: now.as_secs(), ms: took.as_millis() as u64 };
        self.events().entry(event).or_default().add(sample);
    }

    /// All events that there were, in the order of their names.
    pub(super) fn all(&self) -> BTreeMap<&'static str, Event> {
        self.events().clone()
    }

    /// The event of this name, if there was one.
    pub(super) fn event(&self, name: &[u8]) -> Option<Event> {
        let events = self.events();
        let found = events.iter().find(|(known, _)| known.as_bytes() == name);
        found.map(|(_, event)| event.clone())
    }

    /// Forgets the events that go by these names. Returns how many they were.
    pub(super) fn forget(&self, is_meant: impl Fn(&[u8]) -> bool) -> usize {
        let mut events = self.events();
        let before = events.len();
        events.retain(|name, _| !is_meant(name.as_bytes()));
        before - events.len()
    }

    fn events(&self) -> MutexGuard<'_, BTreeMap<&'static str, Event>> {
        // A panic leaves whole samples behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Event {
    fn add(&mut self, sample: Sample) {
        self.longest_ms = self.longest_ms.max(sample.ms);
        match self.samples.back_mut() {
            Some(last) if last.unix_seconds == sample.unix_seconds => {
                last.ms = last.ms.max(sample.ms);
            }
            _ => {
                if self.samples.len() == SAMPLES_MAX {
                    self.samples.pop_front();
                }
                self.samples.push_back(sample);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_one_sample_and_the_oldest_go() {
        let mut event = Event::default();
        let sample = |unix_seconds, ms| Sample { unix_seconds, ms };
        for (second, ms) in [(5, 20), (5, 30), (5, 10), (6, 7)] {
            event.add(sample(second, ms));
        }
        assert_eq!(event.samples, [sample(5, 30), sample(6, 7)]);
        (7..300).for_each(|second| event.add(sample(second, 1)));
        assert_eq!((event.samples.len(), event.longest_ms), (SAMPLES_MAX, 30));
        assert_eq!(event.samples[0], sample(300 - SAMPLES_MAX as u64, 1));
    }
}
