//! What the model tells apart: 32 classes of keys by their use, and ages in 92 buckets.
//!
//! A key's class is its level of frequency (0 for one that was never used again, exact up to 3,
//! then a doubling a step, to 7) and the level of its last interval between two uses: 0 if there
//! was none, 1 if it was shorter than the time of half a cache (of C/2 accesses, C being the keys
//! that memory holds), 2 if shorter than two, 3 if longer.
//!
//! Ages are in ticks of the access clock. Up to 7 each has its bucket, then there are four an
//! octave: `8..10`, `10..12`, and so on to 2^24.

use crate::record::Usage;

/// Levels of frequency.
pub(super) const LEVELS: usize = 8;
/// Levels of the last interval.
pub(super) const INTERVALS: usize = 4;
/// Classes of keys.
pub(super) const CLASSES: usize = LEVELS * INTERVALS;
/// Buckets of ages.
pub(super) const BUCKETS: usize = 92;
/// Buckets of an octave.
pub(super) const OCTAVE: usize = 4;
/// The level up to which uses are counted one by one.
const EXACT_LEVEL: u8 = 3;
/// The highest level.
const TOP_LEVEL: u8 = LEVELS as u8 - 1;

/// The class of a key.
#[inline]
pub(super) fn class_of(usage: Usage) -> usize {
    usize::from(usage.level()) * INTERVALS + usize::from(usage.interval())
}

/// The key of a class, without a time.
#[inline]
pub(super) fn usage_of(class: usize, usage: Usage) -> Usage {
    usage.with_level((class / INTERVALS) as u8).with_interval((class % INTERVALS) as u8)
}

/// The bucket of an age in ticks, below 2^24.
#[inline]
pub(super) fn bucket_of(age: u32) -> usize {
    let octave = age.max(4).ilog2();
    let bucket = OCTAVE as u32 * (octave - 2) + (age >> (octave - 2));
    (bucket as usize).min(BUCKETS - 1)
}

/// The least age of a bucket in ticks; of `BUCKETS`, where the last one ends.
pub(super) fn edge_of(bucket: usize) -> u32 {
    let octave = (bucket / OCTAVE).max(1) - 1;
    ((bucket - OCTAVE * octave) as u32) << octave
}

/// The level of an interval of so many ticks, in a cache of `capacity` ticks.
#[inline]
fn interval_of(age: u32, capacity: u32) -> u8 {
    1 + u8::from(age >= capacity / 2) + u8::from(age >= capacity.saturating_mul(2))
}

/// What becomes of a key that is used again after `age` ticks, in a cache of `capacity` ticks:
/// beyond the third use the level rises with half the probability at each step.
#[inline]
pub(super) fn used_again(usage: Usage, age: u32, capacity: u32, random: u32) -> Usage {
    let level = usage.level();
    let rises = if level < EXACT_LEVEL {
        true
    } else {
        level < TOP_LEVEL && random & ((1 << (level + 1 - EXACT_LEVEL)) - 1) == 0
    };
    let level = level + u8::from(rises);
    usage.with_level(level).with_interval(interval_of(age, capacity))
}

/// The class most keys of a class come to if used again in a bucket.
pub(super) fn class_after(class: usize, bucket: usize, capacity: u32) -> usize {
    let level = (class / INTERVALS) as u8;
    let level = if level < EXACT_LEVEL { level + 1 } else { level };
    usize::from(level) * INTERVALS + usize::from(interval_of(edge_of(bucket), capacity))
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn every_age_lies_between_the_edges_of_its_bucket() {
        let near = (2..24).flat_map(|bits| (1u32 << bits) - 2..=(1 << bits) + 2);
        for age in (0..5000).chain(near) {
            let bucket = bucket_of(age.min((1 << 24) - 1));
            let age = age.min((1 << 24) - 1);
            assert!(edge_of(bucket) <= age && age < edge_of(bucket + 1), "{age}: {bucket}");
        }
        assert_eq!(bucket_of((1 << 24) - 1), BUCKETS - 1);
        assert_eq!(edge_of(BUCKETS), 1 << 24);
    }

    #[test]
    fn a_key_rises_with_each_use_and_then_ever_more_rarely() {
        let mut usage = Usage::default();
        for level in 1..=3 {
            usage = used_again(usage, 10, 1000, u32::MAX);
            assert_eq!((usage.level(), usage.interval()), (level, 1));
        }
        for level in 3..7 {
            let bits = u32::from(level) - 2;
            let rising = (0..64).filter(|&random| {
                used_again(usage.with_level(level), 999, 1000, random).level() == level + 1
            });
            assert_eq!(rising.count(), 64 >> bits);
        }
        assert_eq!(used_again(usage.with_level(7), 2000, 1000, 0).level(), 7);
        assert_eq!(used_again(usage, 999, 1000, 0).interval(), 2);
        assert_eq!(used_again(usage, 2000, 1000, 0).interval(), 3);
    }

    #[test]
    fn the_class_after_is_the_class_that_a_use_leads_to() {
        for class in 0..CLASSES {
            for bucket in 0..BUCKETS {
                let usage = usage_of(class, Usage::default());
                let next = used_again(usage, edge_of(bucket), 1300, u32::MAX);
                assert_eq!(class_after(class, bucket, 1300), class_of(next));
            }
        }
    }
}
