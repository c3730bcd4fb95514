//! What is replayed against: a read-through cache of keys, and how a replay is counted.

use std::time::Instant;

/// A cache whose clients fetch what it lacks: a GET, and after a miss a SET of the same key.
pub(crate) trait Cache {
    /// Asks for a key and puts it in if it was absent. Returns whether it was present.
    fn request(&mut self, key: u64) -> bool;

    /// Called once, after the last request.
    fn finish(&mut self) -> Ending {
        Ending::default()
    }
}

/// What a cache can tell about itself after a replay.
#[derive(Clone, Copy, Default)]
pub(crate) struct Ending {
    /// The adaptive policy's share of recency, 0 to 1.
    pub(crate) alpha: Option<f64>,
    /// Keys held on average while full, where the bound is one of bytes.
    pub(crate) objects: Option<f64>,
}

/// The result of one replay.
#[derive(Clone, Copy)]
pub(crate) struct Outcome {
    pub(crate) hits: u64,
    pub(crate) requests: u64,
    pub(crate) seconds: f64,
    pub(crate) ending: Ending,
}

impl Outcome {
    /// Hits among all requests, from the first one on an empty cache, in percent.
    pub(crate) fn hit_ratio_percent(&self) -> f64 {
        100.0 * self.hits as f64 / self.requests.max(1) as f64
    }
}

/// Sends all requests in order.
pub(crate) fn replay(requests: &[u32], cache: &mut dyn Cache) -> Outcome {
    let begin = Instant::now();
    let mut hits = 0;
    for &key in requests {
        hits += u64::from(cache.request(u64::from(key)));
    }
    let ending = cache.finish();
    let seconds = begin.elapsed().as_secs_f64();
    Outcome { hits, requests: requests.len() as u64, seconds, ending }
}
