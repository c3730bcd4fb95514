//! From what was seen to what a key is worth: survival analysis of the time to a key's next use.
//!
//! For each class and bucket of ages there are the keys that were used again at such an age (hits)
//! and those that were given up (lost). From both come the keys at risk `n_b`, that is, of such an
//! age or more, and the probability `p_b` that one which has come to the bucket is used in it. With
//! few counts it leans on that of its level of frequency, and this on a prior in which the rate of
//! uses falls with age as a hyperbola.
//!
//! A key is worth the most uses per tick of its stay that any plan of how long to keep it brings:
//! `V[b] = max over e >= b of (sum of S_j p_j (1 + W_j / 2)) / (sum of S_j D_j (1 - p_j / 2))`,
//! both sums over b..=e, with `S` the share that is still unused, `D` the width of a bucket, and
//! `W_j` what the key is worth after that use beyond the price of its stay. (It is Gittins' index
//! of a bandit whose arms are the places of the cache.) One pass from the oldest bucket finds all
//! maxima: an age whose followers are worth more than itself is merged with them.

use super::class::{BUCKETS, CLASSES, INTERVALS, LEVELS, class_after, edge_of};
use super::lane::{CELLS, cell};

/// How many keys a guess counts for: that of the level, and below it the prior.
const GUESS_KEYS: f64 = 8.0;
/// What a use may be worth beyond itself at most, in uses.
const FUTURE_MAX: f64 = 50.0;
/// The share of it that counts, since the key may be evicted before.
const FUTURE_SHARE: f64 = 0.5;
/// A plan does not look at what so small a share of keys would live to see.
const SHARE_MIN: f64 = 1e-9;
/// What is left of all counts after one period.
const MEMORY: f64 = 0.9;

/// Prior: uses per octave of ages rise with the level, as if the key had so many uses to show.
const PRIOR_USES: f64 = 0.5;

/// The counts, fading, and what was found from them.
pub(super) struct Model {
    hits: Vec<f64>,
    lost: Vec<f64>,
    /// Chance of a use in each bucket, by class.
    chances: Vec<f64>,
    /// Keys at risk in each bucket, by class.
    at_risk: Vec<f64>,
    /// Worth per tick, by class and bucket.
    worth: Vec<f64>,
    /// What a class is worth beyond the price of its stay.
    future: [f64; CLASSES],
    /// Chances before anything was seen, by level and bucket, and the capacity they are for.
    prior: Vec<f64>,
    prior_capacity: u32,
    /// Ticks that a key unused in the bucket stays in it.
    widths: [f64; BUCKETS],
    /// Where a use in the bucket leads, for each class: the classes, and where the interval turns.
    turns: [usize; INTERVALS + 1],
}

impl Model {
    /// Nothing seen, in a cache of `capacity` ticks.
    pub(super) fn new(capacity: u32) -> Self {
        let zeros = || vec![0.0; CELLS];
        let mut model = Self {
            hits: zeros(),
            lost: zeros(),
            chances: zeros(),
            at_risk: zeros(),
            worth: zeros(),
            future: [0.0; CLASSES],
            prior: vec![0.0; LEVELS * BUCKETS],
            prior_capacity: 0,
            widths: std::array::from_fn(|bucket| f64::from(edge_of(bucket + 1) - edge_of(bucket))),
            turns: [0; INTERVALS + 1],
        };
        model.learn(capacity, 0.0, 0.0);
        model
    }

    /// Takes in what was seen of a cell since the last time.
    #[inline]
    pub(super) fn add(&mut self, cell: usize, hits: u32, lost: u32) {
        self.hits[cell] += f64::from(hits);
        self.lost[cell] += f64::from(lost);
    }

    /// Finds the worth of all classes and ages, in a cache of `capacity` ticks whose places cost
    /// `price` uses a tick. Then all that was seen fades by so many periods.
    ///
    /// What a class is worth beyond its next use follows from that of the classes after it; each
    /// learning goes one step on from what the last one found.
    pub(super) fn learn(&mut self, capacity: u32, price: f64, periods: f64) {
        if self.prior_capacity != capacity {
            self.prepare(capacity);
        }
        for level in 0..LEVELS {
            self.find_chances(level);
        }
        let before = self.future;
        for class in 0..CLASSES {
            self.future[class] = self.future_of(class, price, &before);
        }
        for class in 0..CLASSES {
            self.find_worth(class);
        }
        let memory = MEMORY.powf(periods);
        for count in self.hits.iter_mut().chain(&mut self.lost) {
            *count *= memory;
        }
    }

    /// What depends on the capacity alone.
    fn prepare(&mut self, capacity: u32) {
        self.prior_capacity = capacity;
        for (level, chances) in self.prior.chunks_mut(BUCKETS).enumerate() {
            for (bucket, chance) in chances.iter_mut().enumerate() {
                let age = f64::from(edge_of(bucket)) + 2.0 * f64::from(capacity);
                let uses = PRIOR_USES * (level as f64 + 0.5) * self.widths[bucket] / age;
                *chance = -(-uses).exp_m1();
            }
        }
        // The first bucket of each level of intervals.
        let interval = |bucket| class_after(0, bucket, capacity) % INTERVALS;
        for level in 0..=INTERVALS {
            let first = (0..BUCKETS).find(|&bucket| interval(bucket) >= level);
            self.turns[level] = first.unwrap_or(BUCKETS);
        }
        self.turns[INTERVALS] = BUCKETS;
    }

    /// The chances of the classes of a level.
    fn find_chances(&mut self, level: usize) {
        let first = level * INTERVALS;
        let mut left = [0.0; INTERVALS];
        for bucket in (0..BUCKETS).rev() {
            let (mut hits, mut keys) = (0.0, 0.0);
            for (class, left) in (first..).zip(&mut left) {
                let place = cell(class, bucket);
                *left += self.hits[place] + self.lost[place];
                // Those lost in the bucket were at risk for half of it.
                self.at_risk[place] = *left - self.lost[place] / 2.0;
                hits += self.hits[place];
                keys += self.at_risk[place];
            }
            let prior = self.prior[cell(level, bucket)];
            let guess = (hits + GUESS_KEYS * prior) / (keys + GUESS_KEYS);
            for class in first..first + INTERVALS {
                let place = cell(class, bucket);
                self.chances[place] =
                    (self.hits[place] + GUESS_KEYS * guess) / (self.at_risk[place] + GUESS_KEYS);
            }
        }
    }

    /// What a use in each bucket is worth to a key of the class: the buckets and the worth.
    fn gains(&self, class: usize, future: &[f64; CLASSES]) -> [f64; BUCKETS] {
        let mut gains = [0.0; BUCKETS];
        for interval in 1..INTERVALS {
            let range = self.turns[interval]..self.turns[interval + 1];
            if let Some(bucket) = range.clone().next() {
                let next = class_after(class, bucket, self.prior_capacity);
                gains[range].fill(1.0 + FUTURE_SHARE * future[next]);
            }
        }
        gains
    }

    /// What a key of the class that was used right now is worth beyond the price of its stay.
    fn future_of(&self, class: usize, price: f64, future: &[f64; CLASSES]) -> f64 {
        let gains = self.gains(class, future);
        let chances = &self.chances[cell(class, 0)..cell(class, BUCKETS)];
        let (mut share, mut sum, mut best) = (1.0, 0.0, 0.0f64);
        for ((chance, gain), width) in chances.iter().zip(gains).zip(self.widths) {
            sum += share * (chance * gain - price * width * (1.0 - chance / 2.0));
            best = best.max(sum);
            share *= 1.0 - chance;
            if share < SHARE_MIN {
                break;
            }
        }
        best.min(FUTURE_MAX)
    }

    /// The worth of all ages of a class.
    fn find_worth(&mut self, class: usize) {
        let gains = self.gains(class, &self.future);
        // Stretches of ages, the youngest last, each worth more than the one after it: uses and
        // ticks for each key that comes to the stretch, and the share that leaves it unused.
        let mut stretches: [(f64, f64, f64); BUCKETS] = [(0.0, 0.0, 0.0); BUCKETS];
        let mut length = 0;
        for bucket in (0..BUCKETS).rev() {
            let place = cell(class, bucket);
            let chance = self.chances[place];
            let mut uses = chance * gains[bucket];
            let mut ticks = self.widths[bucket] * (1.0 - chance / 2.0);
            let mut share = 1.0 - chance;
            while length > 0 {
                let (more_uses, more_ticks, more_share) = stretches[length - 1];
                if more_uses * ticks <= uses * more_ticks {
                    break;
                }
                uses += share * more_uses;
                ticks += share * more_ticks;
                share *= more_share;
                length -= 1;
            }
            stretches[length] = (uses, ticks, share);
            length += 1;
            self.worth[place] = uses / ticks;
        }
    }

    /// Worth in uses per tick, by class and bucket.
    pub(super) fn worth(&self) -> &[f64] {
        &self.worth
    }

    /// How much of what keys are worth, in logarithms, is told by their age alone: 1 is pure
    /// recency, 0 pure frequency; none as long as nothing was seen.
    pub(super) fn alpha(&self) -> Option<f64> {
        let (mut weights, mut sum, mut squares, mut within) = (0.0, 0.0, 0.0, 0.0);
        for class in 0..CLASSES {
            let (mut class_weight, mut class_sum, mut class_squares) = (0.0, 0.0, 0.0);
            for bucket in 0..BUCKETS {
                let place = cell(class, bucket);
                let weight = self.at_risk[place] * self.widths[bucket];
                if weight > 0.0 {
                    let score = self.worth[place].ln();
                    class_weight += weight;
                    class_sum += weight * score;
                    class_squares += weight * score * score;
                }
            }
            if class_weight > 0.0 {
                within += class_squares - class_sum * class_sum / class_weight;
                weights += class_weight;
                sum += class_sum;
                squares += class_squares;
            }
        }
        let total = if weights > 0.0 { squares - sum * sum / weights } else { 0.0 };
        (total > 0.0).then(|| (within / total).clamp(0.0, 1.0))
    }

    /// Counts again in ticks that have become longer (or, if negative, shorter) by a power of two.
    pub(super) fn rescale(&mut self, octaves: i32) {
        let shift = octaves * super::class::OCTAVE as i32;
        for histogram in [&mut self.hits, &mut self.lost] {
            for counts in histogram.chunks_mut(BUCKETS) {
                let mut moved = [0.0; BUCKETS];
                for (bucket, count) in counts.iter().enumerate() {
                    let place = (bucket as i32 - shift).clamp(0, BUCKETS as i32 - 1);
                    moved[place as usize] += count;
                }
                counts.copy_from_slice(&moved);
            }
        }
    }

    /// Memory of a model in bytes.
    pub(super) const BYTES: u64 =
        (size_of::<Model>() + (5 * CELLS + LEVELS * BUCKETS) * size_of::<f64>()) as u64;
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// Counts that jump about.
    fn filled(capacity: u32) -> Model {
        let mut model = Model::new(capacity);
        let mut state = 7u64;
        for place in 0..CELLS {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            let (hits, lost) = (state >> 33 & 0xff, state >> 50 & 0x3f);
            if state >> 60 < 9 {
                model.add(place, hits as u32, lost as u32);
            }
        }
        model
    }

    #[test]
    fn a_key_is_worth_what_the_best_plan_brings() {
        let mut model = filled(1100);
        for _ in 0..3 {
            model.learn(1100, 1e-4, 0.5);
        }
        for class in 0..CLASSES {
            let gains = model.gains(class, &model.future);
            for bucket in 0..BUCKETS {
                let (mut share, mut uses, mut ticks, mut best) = (1.0, 0.0, 0.0, 0.0f64);
                for (end, gain) in gains.iter().enumerate().skip(bucket) {
                    let chance = model.chances[cell(class, end)];
                    uses += share * chance * gain;
                    ticks += share * model.widths[end] * (1.0 - chance / 2.0);
                    share *= 1.0 - chance;
                    best = best.max(uses / ticks);
                }
                let found = model.worth[cell(class, bucket)];
                assert!((found / best - 1.0).abs() < 1e-9, "{class} {bucket}: {found} {best}");
            }
        }
    }

    #[test]
    fn chances_are_the_share_of_those_at_risk_once_there_are_many() {
        let mut model = Model::new(1024);
        model.add(cell(5, 20), 60_000, 0);
        model.add(cell(5, 40), 0, 40_000);
        model.learn(1024, 0.0, 0.0);
        assert!((model.chances[cell(5, 20)] - 0.6).abs() < 1e-3);
        assert!(model.chances[cell(5, 19)] < 1e-3 && model.chances[cell(5, 40)] < 1e-3);
        assert_eq!(model.at_risk[cell(5, 40)], 20_000.0);
        // Another class of that level is guessed like it; another level is not.
        assert!((model.chances[cell(6, 20)] - 0.6).abs() < 1e-3);
        assert!(model.chances[cell(9, 20)] < 0.1);
    }

    #[test]
    fn what_was_seen_fades_and_is_counted_on_when_ticks_double() {
        let mut model = Model::new(1024);
        model.add(cell(3, 30), 1000, 500);
        model.learn(1024, 0.0, 1.0);
        assert!((model.hits[cell(3, 30)] - 900.0).abs() < 1e-9);
        model.rescale(2);
        assert!((model.hits[cell(3, 22)] - 900.0).abs() < 1e-9);
        assert!((model.lost[cell(3, 22)] - 450.0).abs() < 1e-9);
        model.rescale(-1);
        assert!((model.hits[cell(3, 26)] - 900.0).abs() < 1e-9);
        model.rescale(30);
        assert!((model.hits[cell(3, 0)] - 900.0).abs() < 1e-9);
    }

    #[test]
    fn alpha_tells_ages_from_classes() {
        let mut model = Model::new(1024);
        assert_eq!(model.alpha(), None);
        // Of one class all are used at once or not at all.
        model.add(cell(0, 1), 5000, 0);
        model.add(cell(0, 60), 0, 5000);
        model.learn(1024, 0.0, 0.0);
        assert!(model.alpha().is_some_and(|alpha| alpha > 0.99));
    }
}
