//! The keys of the operations, made before the clock runs.

/// A key: a word and twelve digits, as redis-benchmark makes them.
pub(crate) type Key = [u8; 16];

/// Every value stored.
pub(crate) const VALUE: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";

/// The least number of keys in a random sequence: small sets are gone through several times.
const SEQUENCE_MIN: usize = 1 << 18;

/// Copies of the hot key in a row.
const HOT_COUNT: usize = 1 << 12;

/// The key sequences for one number of keys.
pub(crate) struct KeySets {
    /// Each key once, in the order of its number.
    pub(crate) present: Vec<Key>,
    /// Those keys uniformly at random.
    pub(crate) random: Vec<Key>,
    /// Keys that no map has, at random.
    pub(crate) missing: Vec<Key>,
    /// One key over and over.
    pub(crate) hot: Vec<Key>,
}

impl KeySets {
    pub(crate) fn new(count: usize) -> Self {
        let length = count.max(SEQUENCE_MIN);
        let mut random = Random(0x9E37_79B9_7F4A_7C15);
        let mut sequence = |word| (0..length).map(|_| key(word, random.below(count))).collect();
        Self {
            present: (0..count).map(|number| key(b"key:", number)).collect(),
            random: sequence(b"key:"),
            missing: sequence(b"mis:"),
            hot: vec![key(b"key:", count / 2); HOT_COUNT],
        }
    }
}

fn key(word: &[u8; 4], mut number: usize) -> Key {
    let mut key = *b"....000000000000";
    key[..4].copy_from_slice(word);
    for digit in key[4..].iter_mut().rev() {
        *digit += (number % 10) as u8;
        number /= 10;
    }
    key
}

/// Marsaglia's xorshift64: enough for an even spread, and the same on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((u128::from(self.0) * bound as u128) >> 64) as usize
    }
}
