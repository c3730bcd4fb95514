//! A histogram of latencies, kept as a row of counters with one writer.
//!
//! The buckets are those of an HDR histogram of two significant digits, from a nanosecond to a
//! second, which is what redis-server keeps: 256 buckets of one nanosecond, then 128 for every
//! further power of two, each twice as wide as those before. So to record is to add one to one
//! word, without a lock; percentiles are computed by the `hdrhistogram` crate from a copy.

use hdrhistogram::Histogram;

use crate::stats::Counter;

/// Buckets of a nanosecond each.
const FINE: u64 = 256;

/// Buckets of one width after those.
const HALF: u64 = FINE / 2;

/// The longest that is told from what is longer, in nanoseconds: a second, as in Redis.
const LONGEST: u64 = 1_000_000_000;

/// All of them.
const BUCKETS: usize = bucket_of(LONGEST) + 1;

/// Significant digits of a value in nanoseconds.
const DIGITS: u8 = 2;

/// The bounds that LATENCY HISTOGRAM counts up to are 2^10 ns and all doubles of it.
const FIRST_BOUND: u64 = 1024;

/// How many of each latency there were. One thread writes, all may read.
#[derive(Debug)]
pub(super) struct Latencies(Box<[Counter]>);

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies((0..BUCKETS).map(|_| Counter::new()).collect())
    }
}

impl Latencies {
    /// Records `count` latencies of so many nanoseconds; only the owner calls it.
    #[inline]
    pub(super) fn record(&self, nanoseconds: u64, count: u64) {
        self.0[bucket_of(nanoseconds.clamp(1, LONGEST))].add(count);
    }
}

/// What several threads have recorded, as it was at one moment.
#[derive(Debug)]
pub(super) struct Summary(Vec<u64>);

impl Default for Summary {
    fn default() -> Summary {
        Summary(vec![0; BUCKETS])
    }
}

impl Summary {
    /// Adds what one thread has recorded.
    pub(super) fn add(&mut self, latencies: &Latencies) {
        for (sum, counter) in self.0.iter_mut().zip(&latencies.0) {
            *sum += counter.get();
        }
    }

    /// Takes away what was there at an earlier moment.
    pub(super) fn take_away(&mut self, earlier: &Summary) {
        for (sum, before) in self.0.iter_mut().zip(&earlier.0) {
            // A bucket that was summed late for `earlier` may have more there.
            *sum = sum.saturating_sub(*before);
        }
    }

    /// How many latencies there are.
    pub(super) fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The latency in nanoseconds that so many percent are not above, for each of these.
    pub(super) fn percentiles(&self, percents: &[f64]) -> Vec<u64> {
        // The bounds are good ones, and all values are within them.
        let Ok(mut histogram) = Histogram::<u64>::new_with_bounds(1, LONGEST, DIGITS) else {
            return vec![0; percents.len()];
        };
        for (bucket, &count) in self.0.iter().enumerate().filter(|(_, count)| **count > 0) {
            histogram.saturating_record_n(least_of(bucket).max(1), count);
        }
        percents.iter().map(|&percent| histogram.value_at_percentile(percent)).collect()
    }

    /// How many latencies are not above each bound, as pairs of a bound in microseconds and a
    /// number; only where the number is greater than at the bound before.
    pub(super) fn cumulative(&self) -> Vec<(u64, u64)> {
        let mut pairs = Vec::new();
        let (mut from, mut counted, mut bound) = (0, 0, FIRST_BOUND);
        while from < BUCKETS {
            let end = (bucket_of(bound) + 1).min(BUCKETS);
            let more: u64 = self.0[from..end].iter().sum();
            if more > 0 {
                counted += more;
                pairs.push(((least_of(end) - 1) / 1_000, counted));
            }
            (from, bound) = (end, bound * 2);
        }
        pairs
    }
}

/// The bucket of a value from 1 to [`LONGEST`].
const fn bucket_of(value: u64) -> usize {
    if value < FINE {
        return value as usize;
    }
    // The value's eight highest bits, of which the first is set, and how far up they are.
    let shift = (value.ilog2() - HALF.ilog2()) as u64;
    (shift * HALF + (value >> shift)) as usize
}

/// The least value of a bucket.
const fn least_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < FINE {
        return bucket;
    }
    let shift = bucket / HALF - 1;
    (bucket - shift * HALF) << shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_begins_where_the_one_before_ends() {
        assert_eq!(BUCKETS, 3055);
        for bucket in 1..BUCKETS {
            assert_eq!(bucket_of(least_of(bucket)), bucket);
            assert_eq!(bucket_of(least_of(bucket) - 1), bucket - 1);
        }
    }

    #[test]
    fn percentiles_are_those_that_redis_shows() {
        let latencies = Latencies::default();
        for microseconds in [5, 14, 47] {
            latencies.record(microseconds * 1_000, 1);
        }
        let mut summary = Summary::default();
        summary.add(&latencies);
        // As redis-server 7.0 has them for the same: 5.023, 14.015 and 47.103.
        assert_eq!(summary.percentiles(&[10.0, 50.0, 100.0]), [5_023, 14_015, 47_103]);
        latencies.record(u64::MAX, 3);
        latencies.record(0, 1);
        let mut later = Summary::default();
        later.add(&latencies);
        later.take_away(&summary);
        assert_eq!(later.count(), 4);
        let [least, most] = later.percentiles(&[0.0, 100.0])[..] else { panic!("two") };
        assert!(least == 1 && most >= LONGEST, "{least} {most}");
    }

    #[test]
    fn bounds_are_those_that_redis_shows() {
        let latencies = Latencies::default();
        for microseconds in [1, 2, 5, 12, 16, 47, 66, 320] {
            latencies.record(microseconds * 1_000, 1);
        }
        let mut summary = Summary::default();
        summary.add(&latencies);
        let expected = [(1, 1), (2, 2), (8, 3), (16, 5), (66, 7), (528, 8)];
        assert_eq!(summary.cumulative(), expected);
    }
}
