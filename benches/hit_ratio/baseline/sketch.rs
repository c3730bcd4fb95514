//! A count-min sketch of 4-bit counters that forgets: all are halved now and then.

/// Rows of counters; a key has one in each.
const ROWS: usize = 4;
const COUNTER_MAX: u8 = 15;

/// Additions, for each object of the cache, after which all counters are halved.
const ADDITIONS_PER_OBJECT: u64 = 10;

/// How often keys were requested lately, about.
pub(super) struct Sketch {
    rows: [Vec<u8>; ROWS],
    additions: u64,
    additions_max: u64,
}

impl Sketch {
    pub(super) fn new(objects: usize) -> Self {
        // Four counters an object in each row, so that few keys share one.
        let width = (4 * objects).next_power_of_two().max(64);
        let additions_max = ADDITIONS_PER_OBJECT * objects as u64;
        Self { rows: std::array::from_fn(|_| vec![0; width]), additions: 0, additions_max }
    }

    pub(super) fn add(&mut self, key: u64) {
        let mut is_changed = false;
        for (row, counters) in self.rows.iter_mut().enumerate() {
            let place = place(key, row, counters.len());
            if counters[place] < COUNTER_MAX {
                counters[place] += 1;
                is_changed = true;
            }
        }
        self.additions += u64::from(is_changed);
        if self.additions >= self.additions_max {
            self.additions /= 2;
            self.rows.iter_mut().flatten().for_each(|counter| *counter /= 2);
        }
    }

    pub(super) fn count(&self, key: u64) -> u8 {
        let counts = self.rows.iter().enumerate();
        counts.map(|(row, counters)| counters[place(key, row, counters.len())]).min().unwrap_or(0)
    }
}

/// A key's place in a row of a power of two.
fn place(key: u64, row: usize, width: usize) -> usize {
    // The finalizer of SplitMix64 (Steele, Lea and Flood, 2014).
    let mut hash = key.wrapping_add((row as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (hash ^ (hash >> 31)) as usize & (width - 1)
}
