//! The access word: how a key has been used, in the eight bytes that its record keeps for it.
//!
//! ```text
//! 0        24        32        56      59         61     64
//! | seconds | counter | clock   | level | interval | none |
//! ```
//!
//! The word is a statistic: it is read and written Relaxed, a read and a write of it are not one
//! step, and of two uses at the same time one may be lost. Nothing else depends on it. All policies
//! share it, so one that is chosen while the server runs finds history: `seconds` belongs to all,
//! `counter` to LFU, `clock` to LRU and AHE, `level` and `interval` to AHE (`store::evict::ahe`).

/// When the key was last used: Unix time in seconds, modulo 2^24 (194 days), as Redis's LRU clock.
const SECONDS: Field = Field { shift: 0, bits: 24 };
/// How often, on the logarithmic scale of Redis's LFU.
const COUNTER: Field = Field { shift: 24, bits: 8 };
/// When the key was last used, in ticks of the access clock, modulo 2^24.
const CLOCK: Field = Field { shift: 32, bits: 24 };
/// How often, on the scale of AHE: exact up to 3, then a doubling a step.
const LEVEL: Field = Field { shift: 56, bits: 3 };
/// How long the last pause between two uses was: 0 if there was none yet.
const INTERVAL: Field = Field { shift: 59, bits: 2 };

const _: () = {
    let fields = [SECONDS, COUNTER, CLOCK, LEVEL, INTERVAL];
    let (mut index, mut end) = (0, 0);
    while index < fields.len() {
        assert!(fields[index].shift == end, "a gap between two fields");
        end += fields[index].bits;
        index += 1;
    }
    assert!(end == 61);
};

/// A time that lies so little before the one it is compared with, of 2^24, is taken for the same:
/// threads read clocks a little apart, and a negative age must not become the greatest of all.
const AHEAD_MAX: u32 = 1 << 12;

/// Mask of the two clocks.
const CLOCK_MASK: u64 = (1 << 24) - 1;

/// What the counter of a new key begins with, so that it has time to be used (Redis LFU_INIT_VAL).
const COUNTER_BORN: u8 = 5;

/// A part of the word.
#[derive(Clone, Copy)]
struct Field {
    shift: u32,
    bits: u32,
}

impl Field {
    const fn mask(self) -> u64 {
        (1 << self.bits) - 1
    }

    #[inline]
    const fn get(self, word: u64) -> u64 {
        word >> self.shift & self.mask()
    }

    #[inline]
    const fn set(self, word: u64, value: u64) -> u64 {
        word & !(self.mask() << self.shift) | (value & self.mask()) << self.shift
    }
}

/// The use of a key: a value of the access word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage(u64);

impl Usage {
    /// The use of a new key at this Unix time in seconds.
    #[inline]
    pub fn born(seconds: u64) -> Self {
        Self(COUNTER.set(SECONDS.set(0, seconds), u64::from(COUNTER_BORN)))
    }

    /// A value of the word.
    #[inline]
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The value of the word.
    #[inline]
    pub fn bits(self) -> u64 {
        self.0
    }

    /// When the key was last used, Unix seconds modulo 2^24.
    #[inline]
    pub fn seconds(self) -> u64 {
        SECONDS.get(self.0)
    }

    /// The same key, last used at this Unix time in seconds.
    #[inline]
    #[must_use]
    pub fn with_seconds(self, seconds: u64) -> Self {
        Self(SECONDS.set(self.0, seconds))
    }

    /// The logarithmic counter as it was at the last use.
    #[inline]
    pub fn counter(self) -> u8 {
        COUNTER.get(self.0) as u8
    }

    /// The same key with another counter.
    #[inline]
    #[must_use]
    pub fn with_counter(self, counter: u8) -> Self {
        Self(COUNTER.set(self.0, u64::from(counter)))
    }

    /// When the key was last used, in ticks of the access clock modulo 2^24.
    #[inline]
    pub fn clock(self) -> u32 {
        CLOCK.get(self.0) as u32
    }

    /// The same key, last used at this tick (modulo 2^24) of the access clock.
    #[inline]
    #[must_use]
    pub fn with_clock(self, clock: u32) -> Self {
        Self(CLOCK.set(self.0, u64::from(clock)))
    }

    /// The level of frequency, 0 to 7.
    #[inline]
    pub fn level(self) -> u8 {
        LEVEL.get(self.0) as u8
    }

    /// The same key at another level of frequency, 0 to 7.
    #[inline]
    #[must_use]
    pub fn with_level(self, level: u8) -> Self {
        Self(LEVEL.set(self.0, u64::from(level)))
    }

    /// The level of the last pause between two uses, 0 to 3.
    #[inline]
    pub fn interval(self) -> u8 {
        INTERVAL.get(self.0) as u8
    }

    /// The same key with another level of its last pause, 0 to 3.
    #[inline]
    #[must_use]
    pub fn with_interval(self, interval: u8) -> Self {
        Self(INTERVAL.set(self.0, u64::from(interval)))
    }

    /// For how many seconds the key has not been used at this Unix time in seconds, if it was used
    /// in the last 194 days. A use that lies a little ahead (of a thread whose clock was read
    /// later) is one of this moment.
    #[inline]
    pub fn idle_seconds(self, now_seconds: u64) -> u64 {
        u64::from(Self::age_between((now_seconds & CLOCK_MASK) as u32, self.seconds() as u32))
    }

    /// The age of the last use at this tick of the access clock, in ticks; 0 for a use a little
    /// ahead.
    #[inline]
    pub fn idle_ticks(self, now: u32) -> u32 {
        Self::age_between(now, self.clock())
    }

    /// What the counter has become at this Unix time: one less for each `decay_minutes` that the
    /// key was not used (Redis's LFUDecrAndReturn); 0 minutes: it does not decay.
    #[inline]
    pub fn decayed_counter(self, now_seconds: u64, decay_minutes: u64) -> u8 {
        let minutes = self.idle_seconds(now_seconds) / 60;
        let steps = minutes.checked_div(decay_minutes).unwrap_or(0);
        self.counter().saturating_sub(u8::try_from(steps).unwrap_or(u8::MAX))
    }

    /// The time between two readings of a clock of 24 bits; 0 if the earlier one is a little ahead.
    #[inline]
    pub fn age_between(now: u32, then: u32) -> u32 {
        let age = now.wrapping_sub(then) & CLOCK_MASK as u32;
        if age > CLOCK_MASK as u32 - AHEAD_MAX { 0 } else { age }
    }

    /// A counter after one more use: it rises with a probability that falls with its height
    /// (Redis's LFULogIncr), up to 255. `random` is a random number of 0 to 1 (1 excluded).
    #[inline]
    pub fn log_incremented(counter: u8, log_factor: u64, random: f64) -> u8 {
        let above = f64::from(counter.saturating_sub(COUNTER_BORN));
        let rises = random < 1.0 / (above * log_factor as f64 + 1.0);
        counter.saturating_add(u8::from(rises))
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::Usage;

    #[test]
    fn each_field_keeps_its_value_whatever_happens_to_the_others() {
        let usage = Usage::born(0xfff_ffff)
            .with_counter(0xa5)
            .with_clock(0x123_4567)
            .with_level(7)
            .with_interval(2);
        let fields = |usage: Usage| {
            let (level, interval) = (usage.level(), usage.interval());
            (usage.seconds(), usage.counter(), usage.clock(), level, interval)
        };
        assert_eq!(fields(usage), (0xff_ffff, 0xa5, 0x23_4567, 7, 2));
        assert_eq!(fields(usage.with_seconds(0)), (0, 0xa5, 0x23_4567, 7, 2));
        assert_eq!(fields(usage.with_counter(0)), (0xff_ffff, 0, 0x23_4567, 7, 2));
        assert_eq!(fields(usage.with_clock(0)), (0xff_ffff, 0xa5, 0, 7, 2));
        assert_eq!(fields(usage.with_level(0)), (0xff_ffff, 0xa5, 0x23_4567, 0, 2));
        assert_eq!(fields(usage.with_interval(3)), (0xff_ffff, 0xa5, 0x23_4567, 7, 3));
        assert_eq!(Usage::from_bits(usage.bits()), usage);
    }

    #[test]
    fn a_new_key_has_been_used_once() {
        let usage = Usage::born(1_700_000_000);
        assert_eq!(usage.counter(), 5);
        assert_eq!((usage.clock(), usage.level(), usage.interval()), (0, 0, 0));
        assert_eq!(usage.idle_seconds(1_700_000_000), 0);
        assert_eq!(usage.idle_seconds(1_700_000_090), 90);
    }

    #[test]
    fn idle_times_pass_the_end_of_the_clock_and_forgive_clocks_that_differ() {
        let usage = Usage::born((1 << 24) - 10).with_clock((1 << 24) - 3);
        assert_eq!(usage.idle_seconds((1 << 24) + 5), 15);
        assert_eq!(usage.idle_seconds((1 << 24) - 12), 0);
        assert_eq!(usage.idle_ticks(4), 7);
        assert_eq!(usage.idle_ticks((1 << 24) - 4), 0);
    }

    #[test]
    fn a_counter_falls_by_one_for_each_period_without_use() {
        let usage = Usage::born(1000).with_counter(20);
        assert_eq!(usage.decayed_counter(1059, 1), 20);
        assert_eq!(usage.decayed_counter(1060, 1), 19);
        assert_eq!(usage.decayed_counter(1000 + 600, 5), 18);
        assert_eq!(usage.decayed_counter(1000 + 6000, 1), 0);
        assert_eq!(usage.decayed_counter(1000 + 60 * 100_000, 1), 0);
        assert_eq!(usage.decayed_counter(1000 + 6000, 0), 20);
    }

    #[test]
    fn a_counter_rises_the_more_rarely_the_higher_it_is() {
        assert_eq!(Usage::log_incremented(0, 10, 0.999), 1);
        assert_eq!(Usage::log_incremented(5, 10, 0.999), 6);
        assert_eq!(Usage::log_incremented(6, 10, 0.090), 7);
        assert_eq!(Usage::log_incremented(6, 10, 0.092), 6);
        assert_eq!(Usage::log_incremented(105, 10, 0.000_998), 106);
        assert_eq!(Usage::log_incremented(105, 10, 0.001), 105);
        assert_eq!(Usage::log_incremented(200, 0, 0.999), 201);
        assert_eq!(Usage::log_incremented(255, 0, 0.0), 255);
    }
}
