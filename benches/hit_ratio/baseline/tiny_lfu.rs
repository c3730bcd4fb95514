//! W-TinyLFU: newcomers pass a window, an LRU queue, and then get into the main part only if they
//! were requested more often than what would have to go. The main part is an LRU queue in two
//! segments. The window grows and shrinks as the hit ratio of the last requests tells (hill
//! climbing). The parameters are those of Caffeine.

use fastrand::Rng;

use super::queues::Queues;
use super::sketch::Sketch;
use crate::cache::Cache;

const WINDOW: usize = 0;
const PROBATION: usize = 1;
const PROTECTED: usize = 2;

/// The window's share at first.
const WINDOW_SHARE: f64 = 0.01;
/// The protected segment's share of the main part.
const PROTECTED_SHARE: f64 = 0.8;
/// A loser that was requested so often gets in at random, against attacks on the counters.
const WARM_COUNT: u8 = 6;
const WARM_ONE_IN: u32 = 128;

/// Requests per object between two changes of the window.
const SAMPLE_PER_OBJECT: u64 = 10;
/// The first step, as a share of all objects.
const STEP_SHARE: f64 = 0.0625;
const STEP_DECAY: f64 = 0.98;
/// A change of the hit ratio that makes the steps large again.
const RESTART_CHANGE: f64 = 0.05;

pub(super) struct TinyLfu {
    objects: usize,
    window_objects: usize,
    queues: Queues<3>,
    sketch: Sketch,
    climber: Climber,
    rng: Rng,
}

impl TinyLfu {
    pub(super) fn new(objects: usize, keys: usize) -> Self {
        let window_objects = ((objects as f64 * WINDOW_SHARE) as usize).max(1);
        Self {
            objects,
            window_objects,
            queues: Queues::new(keys),
            sketch: Sketch::new(objects),
            climber: Climber::new(objects),
            rng: Rng::with_seed(1),
        }
    }

    fn protected_objects(&self) -> usize {
        ((self.objects - self.window_objects) as f64 * PROTECTED_SHARE) as usize
    }

    fn hit(&mut self, queue: usize, key: u32) {
        match queue {
            WINDOW => self.queues.push(WINDOW, key),
            _ => {
                self.queues.push(PROTECTED, key);
                self.demote();
            }
        }
    }

    fn demote(&mut self) {
        while self.queues.len(PROTECTED) > self.protected_objects()
            && let Some(key) = self.queues.pop(PROTECTED)
        {
            self.queues.push(PROBATION, key);
        }
    }

    fn insert(&mut self, key: u32) {
        self.queues.push(WINDOW, key);
        while self.queues.len(WINDOW) > self.window_objects
            && let Some(candidate) = self.queues.pop(WINDOW)
        {
            self.admit(candidate);
        }
    }

    /// What leaves the window takes the place of the main part's victim, or goes itself.
    fn admit(&mut self, candidate: u32) {
        if self.queues.len(PROBATION) + self.queues.len(PROTECTED)
            >= self.objects - self.window_objects
        {
            let victim = self.queues.oldest(PROBATION).or_else(|| self.queues.oldest(PROTECTED));
            let Some(victim) = victim.filter(|&victim| self.wins(candidate, victim)) else {
                return;
            };
            self.queues.remove(victim);
        }
        self.queues.push(PROBATION, candidate);
    }

    fn wins(&mut self, candidate: u32, victim: u32) -> bool {
        let candidate = self.sketch.count(candidate.into());
        candidate > self.sketch.count(victim.into())
            || candidate >= WARM_COUNT && self.rng.u32(0..WARM_ONE_IN) == 0
    }

    /// Gives the window as many objects more as the climber wants, or fewer; keys move along.
    fn resize(&mut self, change: isize) {
        let main_min = 1.min(self.objects - 1);
        let wanted = self.window_objects.saturating_add_signed(change);
        self.window_objects = wanted.clamp(1, (self.objects - main_min).max(1));
        self.demote();
        let main_objects = self.objects - self.window_objects;
        while self.queues.len(PROBATION) + self.queues.len(PROTECTED) > main_objects {
            let Some(key) = self.queues.pop(PROBATION).or_else(|| self.queues.pop(PROTECTED))
            else {
                break;
            };
            self.queues.push(WINDOW, key);
        }
        while self.queues.len(WINDOW) > self.window_objects
            && let Some(key) = self.queues.pop(WINDOW)
        {
            self.queues.push(PROBATION, key);
        }
    }
}

impl Cache for TinyLfu {
    fn request(&mut self, key: u64) -> bool {
        self.sketch.add(key);
        let key = key as u32;
        let queue = self.queues.queue_of(key);
        match queue {
            Some(queue) => self.hit(queue, key),
            None => self.insert(key),
        }
        if let Some(change) = self.climber.count(queue.is_some()) {
            self.resize(change);
        }
        queue.is_some()
    }
}

/// Looks for the best window by its slope.
struct Climber {
    sample: u64,
    step_first: f64,
    /// The next change of the window.
    step: f64,
    requests: u64,
    hits: u64,
    /// Of the last sample; none before the first.
    hit_ratio: Option<f64>,
}

impl Climber {
    fn new(objects: usize) -> Self {
        let step_first = STEP_SHARE * objects as f64;
        let sample = SAMPLE_PER_OBJECT * objects as u64;
        Self { sample, step_first, step: -step_first, requests: 0, hits: 0, hit_ratio: None }
    }

    /// Counts a request. After the last of a sample: by how many objects to change the window.
    fn count(&mut self, is_hit: bool) -> Option<isize> {
        self.requests += 1;
        self.hits += u64::from(is_hit);
        if self.requests < self.sample {
            return None;
        }
        let hit_ratio = self.hits as f64 / self.requests as f64;
        (self.requests, self.hits) = (0, 0);
        let change = hit_ratio - self.hit_ratio.replace(hit_ratio).unwrap_or(0.0);
        let amount = if change >= 0.0 { self.step } else { -self.step };
        self.step = match change.abs() >= RESTART_CHANGE {
            true => self.step_first.copysign(amount),
            false => amount * STEP_DECAY,
        };
        Some(amount as isize)
    }
}
