//! Made-up access patterns of a million requests, the same ones in every run.
//!
//! Those of FerrumKV's first eviction benchmark, at a length at which a cache of 5,000 objects is
//! filled many times over. All but `loop` are over 100,000 keys. Zipf's exponent is 1.
//!
//! * `zipf`: keys drawn by Zipf's law. The best set of keys never changes.
//! * `shift`: eight phases; each draws by Zipf's law among its own 12,500 keys.
//! * `mixed`: 70 % drawn by Zipf's law among 5,000 hot keys; 30 % from a scan over all keys, which
//!   moves on with every request of either kind.
//! * `scan`: all keys in order, ten times.
//! * `loop`: 6,000 keys in order, again and again: a little more than 5,000 objects can hold.

use clap::ValueEnum;
use fastrand::Rng;

use crate::trace::Trace;

const REQUESTS: u64 = 1_000_000;
const KEYS: u64 = 100_000;
const PHASES: u64 = 8;
const HOT_KEYS: u64 = 5_000;
const HOT_SHARE: f64 = 0.7;
const LOOP_KEYS: u64 = 6_000;
const SEED: u64 = 0x5eed_0f1a_7e57;

/// The cache sizes that patterns are replayed at, in objects.
pub(crate) const SIZES: [usize; 2] = [1_000, 5_000];

/// A kind of made-up trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Pattern {
    Zipf,
    Shift,
    Mixed,
    Scan,
    Loop,
}

impl Pattern {
    pub(crate) fn trace(self) -> Trace {
        let rng = Rng::with_seed(SEED);
        match self {
            Self::Zipf => {
                let mut draw = Zipf::new(KEYS, rng);
                trace("zipf", |_| draw.key())
            }
            Self::Shift => {
                let mut draw = Zipf::new(KEYS / PHASES, rng);
                trace("shift", |at| at * PHASES / REQUESTS * (KEYS / PHASES) + draw.key())
            }
            Self::Mixed => {
                let mut draw = Zipf::new(HOT_KEYS, rng);
                trace("mixed", |at| match draw.rng.f64() < HOT_SHARE {
                    true => draw.key(),
                    false => at % KEYS,
                })
            }
            Self::Scan => trace("scan", |at| at % KEYS),
            Self::Loop => trace("loop", |at| at % LOOP_KEYS),
        }
    }
}

/// The keys at all places.
fn trace(name: &str, key_at: impl FnMut(u64) -> u64) -> Trace {
    Trace::new(name.to_owned(), (0..REQUESTS).map(key_at), false)
}

/// Draws keys from 0, the key at rank r with a weight of 1/r.
struct Zipf {
    /// The sum of the weights up to each key.
    cumulated: Vec<f64>,
    rng: Rng,
}

impl Zipf {
    fn new(keys: u64, rng: Rng) -> Self {
        let mut sum = 0.0;
        let add = |rank| {
            sum += 1.0 / rank as f64;
            sum
        };
        Self { cumulated: (1..=keys).map(add).collect(), rng }
    }

    fn key(&mut self) -> u64 {
        let last = self.cumulated.len() - 1;
        let place = self.rng.f64() * self.cumulated[last];
        self.cumulated.partition_point(|&sum| sum <= place).min(last) as u64
    }
}
