//! The settings of eviction, which may change at any time.

use crate::config::{Policy, Score};
use crate::sync::epoch::set_limbo_target;
use crate::sync::plain::{AtomicU64, Ordering};
use std::time::Duration;

pub use crate::config::TENACITY_MAX;

/// All settings, as plain data. The defaults are Redis's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EvictionOptions {
    /// Bytes that the data may take, 0 for any number (`maxmemory`).
    pub max_bytes: u64,
    /// Keys that there may be, 0 for any number: for measuring in process.
    pub max_keys: u64,
    /// What is done when they are used up.
    pub policy: Policy,
    /// Keys looked at for one victim, at least 1 (`maxmemory-samples`).
    pub samples: u64,
    /// How long a request may be kept waiting for victims, from 0 to [`TENACITY_MAX`]
    /// (`maxmemory-eviction-tenacity`).
    pub tenacity: u64,
    /// How slowly the LFU counter rises (`lfu-log-factor`).
    pub lfu_log_factor: u64,
    /// Minutes after which it falls by one, 0 for never (`lfu-decay-time`).
    pub lfu_decay_minutes: u64,
}

impl Default for EvictionOptions {
    fn default() -> Self {
        Self {
            max_bytes: 0,
            max_keys: 0,
            policy: Policy::NoEviction,
            samples: 5,
            tenacity: 10,
            lfu_log_factor: 10,
            lfu_decay_minutes: 1,
        }
    }
}

/// The settings in force. Each is a word of its own: whoever reads two of them may see one from
/// before a change and one from after it, which is as if the change had come in between.
#[derive(Debug)]
pub struct Settings {
    max_bytes: AtomicU64,
    max_keys: AtomicU64,
    policy: AtomicU64,
    samples: AtomicU64,
    tenacity: AtomicU64,
    lfu_log_factor: AtomicU64,
    lfu_decay_minutes: AtomicU64,
}

macro_rules! words {
    ($($get:ident, $set:ident, $what:literal;)*) => {
        $(
            #[doc = $what]
            #[inline]
            pub fn $get(&self) -> u64 {
                // Relaxed: as in `max_bytes`.
                self.$get.load(Ordering::Relaxed)
            }

            #[doc = concat!("Sets it: ", $what)]
            pub fn $set(&self, value: u64) {
                self.$get.store(value, Ordering::Relaxed);
            }
        )*
    };
}

impl Settings {
    pub(super) fn new(options: EvictionOptions) -> Self {
        if options.max_bytes > 0 {
            set_limbo_target(options.max_bytes);
        }
        Self {
            max_bytes: AtomicU64::new(options.max_bytes),
            max_keys: AtomicU64::new(options.max_keys),
            policy: AtomicU64::new(options.policy.number()),
            samples: AtomicU64::new(options.samples),
            tenacity: AtomicU64::new(options.tenacity),
            lfu_log_factor: AtomicU64::new(options.lfu_log_factor),
            lfu_decay_minutes: AtomicU64::new(options.lfu_decay_minutes),
        }
    }

    /// Bytes that the data may take, 0 for any number.
    #[inline]
    pub fn max_bytes(&self) -> u64 {
        // Relaxed, here and below: a number, nothing is published through it.
        self.max_bytes.load(Ordering::Relaxed)
    }

    /// Sets it. With a bound less may wait for readers; that is the process's.
    pub fn set_max_bytes(&self, bytes: u64) {
        self.max_bytes.store(bytes, Ordering::Relaxed);
        set_limbo_target(bytes);
    }

    words! {
        max_keys, set_max_keys, "Keys that there may be, 0 for any number.";
        samples, set_samples, "Keys looked at for one victim.";
        tenacity, set_tenacity, "How long a request may be kept waiting for victims.";
        lfu_log_factor, set_lfu_log_factor, "How slowly the LFU counter rises.";
        lfu_decay_minutes, set_lfu_decay_minutes, "Minutes after which it falls by one.";
    }

    /// What is done when the memory is used up.
    #[inline]
    pub fn policy(&self) -> Policy {
        Policy::of_number(self.policy.load(Ordering::Relaxed))
    }

    /// Sets it.
    pub fn set_policy(&self, policy: Policy) {
        self.policy.store(policy.number(), Ordering::Relaxed);
    }

    /// Whether there is any bound.
    #[inline]
    pub fn is_bounded(&self) -> bool {
        self.max_bytes() > 0 || self.max_keys() > 0
    }

    /// Whether LFU counters are kept.
    pub fn counts_frequency(&self) -> bool {
        self.policy().score() == Some(Score::Lfu)
    }

    /// How long one request may be kept waiting for victims; `None` for any time. Redis's curve: 50
    /// µs for each unit up to 10, from there on 15 % more for each.
    pub fn patience(&self) -> Option<Duration> {
        match self.tenacity() {
            TENACITY_MAX.. => None,
            low @ ..=10 => Some(Duration::from_micros(50 * low)),
            high => Some(Duration::from_micros(500).mul_f64(1.15_f64.powi(high as i32 - 10))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_follows_tenacity_as_in_redis() {
        let settings = Settings::new(EvictionOptions::default());
        assert_eq!(settings.patience(), Some(Duration::from_micros(500)));
        settings.set_tenacity(0);
        assert_eq!(settings.patience(), Some(Duration::ZERO));
        settings.set_tenacity(100);
        assert_eq!(settings.patience(), None);
        settings.set_tenacity(99);
        let longest = settings.patience().expect("a bound");
        assert!((Duration::from_secs(100)..Duration::from_secs(200)).contains(&longest));
    }
}
