//! AHE: adaptive hybrid eviction, learned.
//!
//! Keys differ in how often they were used, and in how long ago; which of the two tells more of
//! their next use differs from load to load. So it is measured: for each class of keys (`class`)
//! the ages are counted at which they were used again or given up (`lane`), and from these counts a
//! table is made of what a key is worth per tick of its stay (`model`): `V[class][age]`. The
//! eviction priority score is `EPS = -ln V`: of the keys that are looked at the one with the least
//! V goes. Its mean over the ages of a class is the infrequency term of the plain formula, the
//! deviation from it at an age the recency term, and `alpha` the share of recency in the variance
//! of the score.
//!
//! What must be seen of evicted keys is kept as ghosts (`ghosts`), and newcomers are looked at more
//! than once while they are young (`newcomers`): a scan passes by.
//!
//! ## Who does what
//!
//! * A worker counts its accesses in its own [`Lane`]; every tick (about 1/1024 of the accesses in
//!   which C keys are accessed) it moves the shared clock on by one. C, the capacity, is how many
//!   keys memory holds when it is full.
//! * A use of a key ([`Ahe::hit`]) reads the clock, adds one to a counter of the lane, and gives
//!   the new access word, for the caller to store.
//! * A new key ([`Ahe::ghost_usage`], then [`Ahe::inserted`]) takes up the history of its ghost.
//! * A victim ([`Ahe::evicted`]) leaves one. The caller says what the victim was worth: the moving
//!   average of this, the *price*, is what a place in the cache costs.
//! * Whoever evicts asks once in a while [`Ahe::learn_if_due`]; one of them gets the learner's
//!   mutex, the others go on at once. It reads the counters of all lanes, adds what is new to
//!   counts of its own, and stores the new table.
//!
//! Everything that threads share is a single word that is loaded and stored Relaxed: nothing is
//! published through it, and each protocol is a statistic. Two threads at the same time may lose a
//! count, take a ghost twice, or read a table that is half new, which is as good as either. No
//! removal depends on it: a victim goes by the store's own rules. Only `lane` may wait, for a
//! learner that is at work, and it is called once a thread.
//!
//! After a change of capacity by much the tick changes, always by a power of two: the counts are
//! moved along, and the ages of keys not used since are off by as much until they are.

mod class;
mod ghosts;
mod lane;
mod model;
mod newcomers;

pub(in crate::store) use lane::Lane;

use super::moment::Moment;
use crate::record::Usage;
use crate::sync::plain::{AtomicU32, AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, PoisonError};
use class::{bucket_of, class_of, usage_of, used_again};
use crossbeam_utils::CachePadded;
use ghosts::{Ghost, Ghosts};
use lane::{CELLS, cell};
use model::Model;
pub(super) use newcomers::KEPT_BITS;
use newcomers::Newcomers;
use std::time::Instant;

/// Ticks of a full cache, at least, when it is large: finer ages tell nothing more.
const CAPACITY_TICKS: u64 = 1024;
/// The capacity as long as nobody has said one.
const FIRST_CAPACITY: u64 = 1024;
/// A capacity that differs by less than this part is the same: it is an estimate, and where young
/// keys are looked at should stay in step with their coming.
const CAPACITY_SLACK: u64 = 16;
/// One more ghost for so many keys of the capacity. Measured on the development traces: with no
/// more ghosts than keys a database's page cache lost 0.2 points, with half as many again repeated
/// runs of blocks lost 0.5.
const GHOSTS_MORE: u64 = 4;
/// The first learning is after so many accesses, or two per key of the capacity if that is less.
const FIRST_LEARNING: u64 = 1000;
/// The period in which counts fade by a tenth: half of all accesses so far, but no more than so
/// many...
const PERIOD_MAX: u64 = 16_000;
/// ... unless two accesses per key of the capacity are more, and no less than so many.
const PERIOD_MIN: u64 = 1000;
/// Learnings of a period: where a load changes, keys go for the wrong reason until the next one.
const PERIOD_LEARNINGS: u64 = 4;
/// Time between two learnings, in times that one takes: they use 2 % of a core at most.
const PAUSE_FACTOR: u64 = 50;
/// Weight of the newest victim in the price of a place.
const PRICE_STEP: f32 = 0.01;
/// Weight of the newest measure in the time that C accesses take.
const PASS_STEP: f64 = 0.5;

/// The capacity in ticks and the accesses of a tick, as powers of two: one word, so that they fit.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Scale {
    capacity: u32,
    tick_shift: u32,
}

impl Scale {
    /// For so many keys; the tick stays what it was as long as it fits.
    fn of(keys: u64, before: Option<Scale>) -> Self {
        let keys = keys.max(1);
        let fits = |shift: &u32| {
            let ticks = keys >> shift;
            ticks < 3 * CAPACITY_TICKS && (ticks >= CAPACITY_TICKS * 3 / 4 || *shift == 0)
        };
        let tick_shift = before
            .map(|scale| scale.tick_shift)
            .filter(fits)
            .unwrap_or_else(|| (keys / CAPACITY_TICKS).max(1).ilog2());
        Self { capacity: (keys >> tick_shift) as u32, tick_shift }
    }

    #[inline]
    fn from_bits(bits: u64) -> Self {
        Self { capacity: bits as u32, tick_shift: (bits >> 32) as u32 & 63 }
    }

    fn bits(self) -> u64 {
        u64::from(self.tick_shift) << 32 | u64::from(self.capacity)
    }
}

/// What only the learner touches, and the list of lanes.
struct Learner {
    lanes: Vec<Member>,
    model: Model,
    /// The scale that the counts are in.
    scale: Scale,
    /// Accesses in which the counts fade by a tenth.
    period: u64,
    /// Accesses until the last learning, and where the clock was.
    accesses: u64,
    clock: u64,
    /// When that was, in milliseconds; none before the first.
    time_ms: Option<u64>,
    /// What lanes had counted whose threads have ended: evictions and ghosts that were found.
    ended: (u64, u64),
}

/// A lane, and what it had counted at the last learning.
struct Member {
    lane: Arc<Lane>,
    seen: Vec<[u32; 2]>,
}

/// The model, shared by all workers.
pub struct Ahe {
    /// Ticks since the start. Its last 24 bits are what keys are stamped with.
    clock: CachePadded<AtomicU64>,
    /// The capacity in keys that was told; 0 before.
    capacity: AtomicU64,
    /// The [`Scale`] that it led to.
    scale: AtomicU64,
    /// When to learn next: not before the clock is here, and the time there.
    due_clock: AtomicU64,
    due_ms: AtomicU64,
    /// Time of the last C accesses in milliseconds, an `f64`; 0 as long as it is not known.
    pass_ms: AtomicU64,
    /// See [`Ahe::alpha`], an `f64`.
    alpha: AtomicU64,
    learnings: AtomicU64,
    /// Moving average of what victims were worth, an `f32`.
    price: CachePadded<AtomicU32>,
    /// Worth by class and bucket, each an `f32`.
    worth: Box<[AtomicU32]>,
    ghosts: Ghosts,
    newcomers: CachePadded<Newcomers>,
    learner: Mutex<Learner>,
}

/// Figures of the model, for INFO.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AheReport {
    /// The share of recency in the score, 0 to 1.
    pub alpha: f64,
    /// How often it has learned.
    pub learnings: u64,
    /// Keys that memory holds, in ticks.
    pub capacity_ticks: u32,
    /// Accesses of a tick.
    pub tick_accesses: u64,
    /// Evicted keys that can be remembered.
    pub ghosts: u64,
    /// Keys that were evicted.
    pub evictions: u64,
    /// Keys that came back while they were remembered.
    pub ghost_hits: u64,
    /// The price of a place: uses per tick that a victim would have brought.
    pub price: f64,
    /// Time in which as many keys are accessed as memory holds, in milliseconds; 0: not yet known.
    pub pass_ms: f64,
    /// Memory of all this.
    pub memory_bytes: u64,
}

impl std::fmt::Debug for Ahe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ahe").field("alpha", &self.alpha()).finish_non_exhaustive()
    }
}

impl Default for Ahe {
    fn default() -> Self {
        Self::new()
    }
}

impl Ahe {
    /// A model that has seen nothing, without ghosts until the capacity is told.
    pub fn new() -> Self {
        let scale = Scale::of(FIRST_CAPACITY, None);
        let model = Model::new(scale.capacity);
        let worth = words_of(&model).map(AtomicU32::new).collect();
        Self {
            clock: CachePadded::default(),
            capacity: AtomicU64::new(0),
            scale: AtomicU64::new(scale.bits()),
            due_clock: AtomicU64::new(FIRST_LEARNING),
            due_ms: AtomicU64::new(0),
            pass_ms: AtomicU64::new(0),
            // Undecided.
            alpha: AtomicU64::new(0.5f64.to_bits()),
            learnings: AtomicU64::new(0),
            price: CachePadded::default(),
            worth,
            ghosts: Ghosts::new(),
            newcomers: CachePadded::new(Newcomers::new()),
            learner: Mutex::new(Learner {
                lanes: Vec::new(),
                model,
                scale,
                period: PERIOD_MIN,
                accesses: 0,
                clock: 0,
                time_ms: None,
                ended: (0, 0),
            }),
        }
    }

    /// A lane for the calling thread, until it lets go of it. May wait for a learner.
    pub fn lane(&self) -> Arc<Lane> {
        let lane = Arc::new(Lane::new());
        let mut learner = self.learner.lock().unwrap_or_else(PoisonError::into_inner);
        learner.lanes.push(Member { lane: lane.clone(), seen: vec![[0; 2]; CELLS] });
        lane
    }

    /// Whether there is room for ghosts yet.
    pub fn has_ghosts(&self) -> bool {
        self.ghosts.room() > 0
    }

    /// The same for a policy that only wants the clock: it makes nothing.
    pub fn set_clock_capacity(&self, keys: u64) {
        // Relaxed: see the module.
        let before = Scale::from_bits(self.scale.load(Ordering::Relaxed));
        let scale = Scale::of(keys, Some(before));
        if scale != before {
            self.scale.store(scale.bits(), Ordering::Relaxed);
        }
    }

    /// Says how many keys memory holds when it is full; may be called again and again with an
    /// estimate. It makes tables of that size: not to be called while pinned.
    pub fn set_capacity(&self, keys: u64) {
        let keys = keys.max(1);
        // Relaxed: see the module.
        let known = self.capacity.load(Ordering::Relaxed);
        if keys.abs_diff(known) <= known / CAPACITY_SLACK {
            return;
        }
        self.capacity.store(keys, Ordering::Relaxed);
        let before = self.scale();
        let scale = Scale::of(keys, Some(before));
        if scale != before {
            self.scale.store(scale.bits(), Ordering::Relaxed);
        }
        self.ghosts.resize(keys.saturating_add(keys / GHOSTS_MORE));
        self.newcomers.resize(keys);
        if self.learnings.load(Ordering::Relaxed) == 0 {
            let first = FIRST_LEARNING.min(2 * keys);
            self.due_clock.store((first >> scale.tick_shift).max(1), Ordering::Relaxed);
            if scale.capacity != before.capacity {
                self.publish(&Model::new(scale.capacity));
            }
        }
    }

    #[inline]
    fn scale(&self) -> Scale {
        // Relaxed: see the module.
        Scale::from_bits(self.scale.load(Ordering::Relaxed))
    }

    /// The clock now, modulo 2^24.
    #[inline]
    pub fn now(&self) -> u32 {
        // Relaxed: see the module.
        self.clock.load(Ordering::Relaxed) as u32 & ((1 << 24) - 1)
    }

    /// Counts an access; returns the clock. For policies that need no more than the time.
    #[inline]
    pub fn count_access(&self, lane: &Lane) -> u32 {
        self.tick(lane, self.scale())
    }

    #[inline]
    fn tick(&self, lane: &Lane, scale: Scale) -> u32 {
        let ticks = lane.count_access(scale.tick_shift);
        if ticks > 0 {
            // Relaxed: see the module.
            self.clock.fetch_add(u64::from(ticks), Ordering::Relaxed);
        }
        self.now()
    }

    /// A key was used: counts the access and the age. Returns its use from now on; seconds and
    /// counter are untouched.
    #[inline]
    pub fn hit(&self, lane: &Lane, usage: Usage, random: u32) -> Usage {
        let scale = self.scale();
        let now = self.tick(lane, scale);
        let age = usage.idle_ticks(now);
        lane.count_hit(class_of(usage), bucket_of(age));
        used_again(usage, age, scale.capacity, random).with_clock(now)
    }

    /// What a new key begins with: stamped with the clock, and if it was evicted not long ago, its
    /// use is one more. `place` is the key's hash, different for each database. Counts nothing.
    #[inline]
    pub fn ghost_usage(&self, place: u64, usage: Usage, random: u32) -> Usage {
        let now = self.now();
        let usage = match self.ghosts.find(place) {
            Some(ghost) => {
                let age = Usage::age_between(now, ghost.clock);
                used_again(usage_of(ghost.class, usage), age, self.scale().capacity, random)
            }
            None => usage_of(0, usage),
        };
        usage.with_clock(now)
    }

    /// Asks for the memory in which the ghost of a key is, or will be.
    #[inline]
    pub fn bring_ghost(&self, place: u64) {
        self.ghosts.bring(place);
    }

    /// A key has come that was absent: counts the access, and takes its ghost away.
    pub fn inserted(&self, lane: &Lane, database: u16, hash: u64, place: u64) {
        let now = self.tick(lane, self.scale());
        if let Some(ghost) = self.ghosts.take(place) {
            let age = Usage::age_between(now, ghost.clock);
            lane.count_ghost_hit(ghost.class, bucket_of(age));
        }
        self.newcomers.add(database, hash);
    }

    /// A key was evicted that was worth `value` ([`Ahe::value`]): leaves its ghost.
    pub fn evicted(&self, lane: &Lane, place: u64, usage: Usage, value: f32) {
        let now = self.now();
        lane.count_eviction();
        let ghost = Ghost { class: class_of(usage), clock: usage.clock() };
        if let Some(gone) = self.ghosts.leave(place, ghost, now) {
            let age = Usage::age_between(now, gone.clock);
            lane.count_lost(gone.class, bucket_of(age));
        }
        // Relaxed: see the module.
        let price = f32::from_bits(self.price.load(Ordering::Relaxed));
        let price = if price == 0.0 { value } else { price + PRICE_STEP * (value - price) };
        self.price.store(price.to_bits(), Ordering::Relaxed);
    }

    /// What keeping a key is worth: uses per tick of its stay. A key that will expire in
    /// `remaining_ms` is worth less, as far as that is before the cache has been gone through once;
    /// one that has is worth nothing.
    #[inline]
    pub fn value(&self, usage: Usage, remaining_ms: Option<u64>) -> f32 {
        let bucket = bucket_of(self.age(usage));
        // Relaxed: see the module.
        let worth = self.worth[cell(class_of(usage), bucket)].load(Ordering::Relaxed);
        let worth = f32::from_bits(worth);
        match remaining_ms {
            None => worth,
            Some(0) => 0.0,
            Some(remaining) => {
                let pass_ms = f64::from_bits(self.pass_ms.load(Ordering::Relaxed));
                let share = remaining as f64 / pass_ms.max(1.0);
                worth * share.min(1.0) as f32
            }
        }
    }

    /// Ticks since a key was used.
    #[inline]
    pub fn age(&self, usage: Usage) -> u32 {
        usage.idle_ticks(self.now())
    }

    /// Adds the places of up to eight young keys to `found`: their database, and the bits of
    /// their hash in [`KEPT_BITS`]. They may have gone.
    pub fn recent(&self, found: &mut Vec<(u16, u64)>) {
        self.newcomers.sample(found);
    }

    /// Learns, if it is time and nobody else does. `now_ms` is any time in milliseconds that goes
    /// on. Returns whether it did.
    pub fn learn_if_due(&self, now_ms: u64) -> bool {
        // Relaxed: see the module; the mutex is what lets only one in.
        let is_due = || {
            self.clock.load(Ordering::Relaxed) >= self.due_clock.load(Ordering::Relaxed)
                && now_ms >= self.due_ms.load(Ordering::Relaxed)
        };
        if !is_due() {
            return false;
        }
        let Ok(mut learner) = self.learner.try_lock() else { return false };
        // Another may just have learned.
        if !is_due() {
            return false;
        }
        let start = Instant::now();
        self.learn(&mut learner, now_ms);
        let micros = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX / PAUSE_FACTOR);
        let pause_ms = (micros * PAUSE_FACTOR).div_ceil(1000);
        self.due_ms.store(now_ms.saturating_add(pause_ms), Ordering::Relaxed);
        true
    }

    fn learn(&self, learner: &mut Learner, now_ms: u64) {
        let scale = self.scale();
        learner.collect();
        if scale.tick_shift != learner.scale.tick_shift {
            let octaves = scale.tick_shift as i32 - learner.scale.tick_shift as i32;
            learner.model.rescale(octaves);
        }
        learner.scale = scale;

        // Relaxed: see the module.
        let clock = self.clock.load(Ordering::Relaxed);
        let price = f32::from_bits(self.price.load(Ordering::Relaxed));
        let ticks = clock - learner.clock;
        let periods = ticks as f64 / (learner.period >> scale.tick_shift).max(1) as f64;
        learner.model.learn(scale.capacity, f64::from(price), periods.min(1.0));
        self.publish(&learner.model);
        if let Some(alpha) = learner.model.alpha() {
            self.alpha.store(alpha.to_bits(), Ordering::Relaxed);
        }

        if let Some(elapsed) = learner.time_ms.and_then(|before| now_ms.checked_sub(before)) {
            let pass = elapsed as f64 * f64::from(scale.capacity) / ticks.max(1) as f64;
            let known = f64::from_bits(self.pass_ms.load(Ordering::Relaxed));
            let pass = if known == 0.0 { pass } else { known + PASS_STEP * (pass - known) };
            self.pass_ms.store(pass.to_bits(), Ordering::Relaxed);
        }
        learner.accesses += ticks << scale.tick_shift;
        learner.clock = clock;
        learner.time_ms = Some(now_ms);
        let pass = u64::from(scale.capacity) << scale.tick_shift;
        let period = (learner.accesses / 2).min(PERIOD_MAX).max(2 * pass).max(PERIOD_MIN);
        learner.period = period;
        let next = (period / PERIOD_LEARNINGS) >> scale.tick_shift;
        self.due_clock.store(clock + next, Ordering::Relaxed);
        self.learnings.fetch_add(1, Ordering::Relaxed);
    }

    fn publish(&self, model: &Model) {
        for (place, word) in self.worth.iter().zip(words_of(model)) {
            // Relaxed: see the module.
            place.store(word, Ordering::Relaxed);
        }
    }

    /// How much of the score is recency (1) and how much frequency (0).
    pub fn alpha(&self) -> f64 {
        // Relaxed: see the module.
        f64::from_bits(self.alpha.load(Ordering::Relaxed))
    }

    /// Figures for INFO. May wait for a learner.
    pub fn report(&self) -> AheReport {
        let learner = self.learner.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut evictions, mut ghost_hits) = learner.ended;
        for member in &learner.lanes {
            let (more_evictions, more_hits) = member.lane.figures();
            evictions += more_evictions;
            ghost_hits += more_hits;
        }
        let lanes = learner.lanes.len() as u64;
        drop(learner);
        let scale = self.scale();
        AheReport {
            alpha: self.alpha(),
            learnings: self.learnings.load(Ordering::Relaxed),
            capacity_ticks: scale.capacity,
            tick_accesses: 1 << scale.tick_shift,
            ghosts: self.ghosts.room(),
            evictions,
            ghost_hits,
            price: f64::from(f32::from_bits(self.price.load(Ordering::Relaxed))),
            pass_ms: f64::from_bits(self.pass_ms.load(Ordering::Relaxed)),
            memory_bytes: self.memory_of(lanes),
        }
    }

    /// Memory of the model in bytes, so far as it is allocated apart. May wait for a learner.
    pub fn memory_bytes(&self) -> u64 {
        let lanes = self.learner.lock().unwrap_or_else(PoisonError::into_inner).lanes.len();
        self.memory_of(lanes as u64)
    }

    fn memory_of(&self, lanes: u64) -> u64 {
        let seen = (CELLS * size_of::<[u32; 2]>()) as u64;
        let worth = (CELLS * size_of::<u32>()) as u64;
        let tables = self.ghosts.memory_bytes() + self.newcomers.memory_bytes();
        tables + lanes * (Lane::BYTES + seen) + Model::BYTES + worth
    }
}

/// The worth by class and bucket as others read it.
fn words_of(model: &Model) -> impl Iterator<Item = u32> {
    model.worth().iter().map(|worth| (*worth as f32).to_bits())
}

/// How much a key is to go: the less it is worth the more, among equals the older one.
pub(super) fn score(usage: Usage, deadline: Option<u64>, moment: &Moment<'_>) -> u64 {
    let remaining = deadline.map(|deadline| deadline.saturating_sub(moment.now));
    let worth = moment.ahe.value(usage, remaining);
    // The bits of floats that are not negative are in the order of the floats.
    u64::from(!worth.to_bits()) << 32 | u64::from(moment.ahe.age(usage))
}

impl Learner {
    /// Adds to the counts what the lanes have counted since the last time, and lets go of the lanes
    /// whose threads have ended.
    fn collect(&mut self) {
        let Self { lanes, model, ended, .. } = self;
        lanes.retain_mut(|member| {
            // Asked before the counters are read: a thread that ends later is seen next time.
            let has_ended = Arc::strong_count(&member.lane) == 1;
            for (cell, seen) in member.seen.iter_mut().enumerate() {
                let counts = member.lane.counts(cell);
                let [hits, lost] =
                    std::array::from_fn(|side| counts[side].wrapping_sub(seen[side]));
                if hits | lost != 0 {
                    model.add(cell, hits, lost);
                    *seen = counts;
                }
            }
            if has_ended {
                let (evictions, ghost_hits) = member.lane.figures();
                ended.0 += evictions;
                ended.1 += ghost_hits;
            }
            !has_ended
        });
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
