//! The word of an integer record: INCR without an allocation.
//!
//! ```text
//! bit 63 .. 1: the value, two's complement     bit 0: FROZEN
//! ```
//!
//! States and transitions
//! * *open*: any thread may change the value by compare-and-swap ([`CounterWord::add`]); that
//!   compare-and-swap is the linearization point of an in-place INCR.
//! * *frozen*: the value stands for good. [`CounterWord::freeze`] gets there and nothing leads
//!   back.
//!
//! Whoever is about to unlink an integer record (replace, delete) freezes it **before** the
//! compare-and-swap of the slot. So a successful in-place INCR proves that the record was still in
//! its slot, and a new record that builds on the value (APPEND, INCR by replacement) builds on the
//! last one: without the freeze an INCR that came between the reading of the value and the
//! replacement would be lost. A SET or DEL that does not look at the value could do without (an
//! INCR that lands in the unlinked record overlaps the unlinking and counts as having come before
//! it), but one rule for all is what a log of operations in their order needs. Freezing is neutral:
//! the value still stands and is readable, a freezer may give up; later INCRs then replace the
//! record.

use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::planted::{self, Planted};
use crate::sync::spin_loop;

/// The value stands for good; INCR goes by replacing the record.
const FROZEN: u64 = 1;

/// Values from here up do not fit beside the flag.
const LIMIT: i64 = 1 << 62;

/// Whether a value can live in a [`CounterWord`]: −2^62 ≤ value < 2^62.
#[inline]
pub const fn fits_in_place(value: i64) -> bool {
    value >= -LIMIT && value < LIMIT
}

/// What became of an attempt to add in place.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub enum Added {
    /// Done: the new value. This was the linearization point.
    Done(i64),
    /// The word is frozen at this value: replace the record.
    Frozen(i64),
    /// The sum does not fit the word: freeze, and replace the record.
    TooLarge,
    /// The sum does not fit a signed 64-bit integer; nothing changed.
    Overflow,
    /// It must not be done in place: freeze, and replace the record.
    Refused,
}

/// An integer that many threads add to.
pub struct CounterWord(AtomicU64);

impl CounterWord {
    /// An open counter. The caller has checked [`fits_in_place`].
    pub(super) fn new(value: i64) -> Self {
        debug_assert!(fits_in_place(value));
        Self(AtomicU64::new(encode(value)))
    }

    /// The value at the moment of the load.
    #[inline]
    pub fn get(&self) -> i64 {
        // Acquire, with the release of `add`: what a client did before an INCR that we see has
        // happened for us too.
        decode(self.0.load(Ordering::Acquire))
    }

    /// Adds `delta`, retrying with backoff while other threads change the word: each retry means
    /// that another thread's operation has succeeded.
    #[inline]
    pub fn add(&self, delta: i64) -> Added {
        self.add_noted(delta, || Some(()), |()| ())
    }

    /// As [`add`](CounterWord::add), with a note that is made between the reading of the word and
    /// each attempt to change it: kept if the attempt succeeds, else dropped. No note, no change.
    #[inline]
    pub fn add_noted<N>(
        &self,
        delta: i64,
        mut note: impl FnMut() -> Option<N>,
        keep: impl FnOnce(N),
    ) -> Added {
        let mut word = self.0.load(Ordering::Acquire);
        let mut spins = 1;
        loop {
            let value = decode(word);
            let Some(sum) = value.checked_add(delta) else {
                return Added::Overflow;
            };
            if word & FROZEN != 0 {
                return Added::Frozen(value);
            }
            if !fits_in_place(sum) {
                return Added::TooLarge;
            }
            let Some(noted) = note() else {
                return Added::Refused;
            };
            if planted::is(Planted::CounterNotExclusive) {
                self.0.store(encode(sum), Ordering::Release);
                return Added::Done(sum);
            }
            // AcqRel: release for `get` and `freeze`; acquire so that the value we build on is one
            // whose past is ours too.
            match self.0.compare_exchange(word, encode(sum), Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    keep(noted);
                    return Added::Done(sum);
                }
                Err(now) => word = now,
            }
            drop(noted);
            for _ in 0..spins {
                spin_loop();
            }
            // 32 pauses are about the time a line takes from another core and back.
            spins = (spins * 2).min(MAX_SPINS);
        }
    }

    /// Stops all in-place changes and returns the value that stands.
    pub fn freeze(&self) -> i64 {
        if planted::is(Planted::CounterNotFrozen) {
            return self.get();
        }
        // AcqRel: acquire the last change before the freeze; release so that an adder that sees
        // FROZEN also sees what the freezer knew (a migration it must follow).
        decode(self.0.fetch_or(FROZEN, Ordering::AcqRel))
    }
}

#[cfg(any(loom, shuttle))]
const MAX_SPINS: u32 = 1;
#[cfg(not(any(loom, shuttle)))]
const MAX_SPINS: u32 = 32;

#[inline]
const fn encode(value: i64) -> u64 {
    (value as u64) << 1
}

#[inline]
const fn decode(word: u64) -> i64 {
    (word as i64) >> 1
}

/// Parses a decimal exactly as Redis prints one (no sign but '-', no leading zero, no space), so
/// that printing the result gives back the same bytes. `None` for everything else, also out of
/// range.
#[inline]
pub fn parse_canonical(bytes: &[u8]) -> Option<i64> {
    // "-9223372036854775808" has 20 bytes.
    let (&first, rest) = bytes.split_first()?;
    if bytes.len() > 20 {
        return None;
    }
    let (negative, digits) = if first == b'-' { (true, rest) } else { (false, bytes) };
    match digits {
        [] => return None,
        [b'0'] => return if negative { None } else { Some(0) },
        [b'0', ..] => return None,
        _ => {}
    }
    let mut magnitude: u64 = 0;
    for &digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        magnitude = magnitude.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    if negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn only_what_prints_back_the_same_is_canonical() {
        for (text, value) in [
            ("0", Some(0)),
            ("-1", Some(-1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("-9223372036854775809", None),
            ("-0", None),
            ("00", None),
            ("01", None),
            ("+1", None),
            (" 1", None),
            ("1 ", None),
            ("", None),
            ("-", None),
            ("1e3", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(parse_canonical(text.as_bytes()), value, "{text:?}");
        }
    }

    #[test]
    fn the_word_keeps_its_value_at_both_ends_of_its_range() {
        for value in [0, 1, -1, LIMIT - 1, -LIMIT] {
            assert_eq!(CounterWord::new(value).get(), value);
        }
        assert_eq!(CounterWord::new(LIMIT - 1).add(1), Added::TooLarge);
        assert_eq!(CounterWord::new(-LIMIT).add(-1), Added::TooLarge);
        assert_eq!(CounterWord::new(1).add(i64::MAX), Added::Overflow);
        assert_eq!(CounterWord::new(-2).add(i64::MIN), Added::Overflow);
    }

    #[test]
    fn a_frozen_counter_stands_still() {
        let word = CounterWord::new(41);
        assert_eq!(word.add(1), Added::Done(42));
        assert_eq!(word.freeze(), 42);
        assert_eq!(word.add(1), Added::Frozen(42));
        assert_eq!(word.get(), 42);
    }

    #[test]
    fn additions_of_many_threads_are_all_counted() {
        let word = CounterWord::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    (0..10_000).for_each(|_| assert!(matches!(word.add(1), Added::Done(_))))
                });
            }
        });
        assert_eq!(word.get(), 40_000);
    }
}
