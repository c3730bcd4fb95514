//! The model as its users see it: a small cache that evicts what is worth least of all.

use super::*;
use std::collections::HashMap;

const SECONDS: u64 = 1_700_000_000;

/// A cache of so many keys that looks at every key for each victim.
struct Cache {
    ahe: Ahe,
    lane: Arc<Lane>,
    room: usize,
    keys: HashMap<u64, Usage>,
    requests: u64,
    hits: u64,
}

/// A hash of a key.
fn hash(key: u64) -> u64 {
    let mixed = (key + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9).rotate_left(32)
}

impl Cache {
    fn new(room: usize) -> Self {
        let ahe = Ahe::new();
        ahe.set_capacity(room as u64);
        let lane = ahe.lane();
        Self { ahe, lane, room, keys: HashMap::new(), requests: 0, hits: 0 }
    }

    fn request(&mut self, key: u64, random: u32) {
        self.requests += 1;
        if let Some(usage) = self.keys.get_mut(&key) {
            self.hits += 1;
            *usage = self.ahe.hit(&self.lane, *usage, random);
            return;
        }
        if self.keys.len() == self.room {
            let value = |usage: Usage| (self.ahe.value(usage, None), self.ahe.age(usage));
            let least = self.keys.iter().map(|(key, usage)| (value(*usage), *key)).min_by(
                |((value, age), key), (other, other_key)| {
                    let order = value.total_cmp(&other.0).then(other.1.cmp(age));
                    order.then(key.cmp(other_key))
                },
            );
            let ((worth, _), victim) = least.expect("a full cache");
            let usage = self.keys.remove(&victim).expect("a key");
            self.ahe.evicted(&self.lane, hash(victim), usage, worth);
            self.ahe.learn_if_due(self.requests * 100);
        }
        let usage = self.ahe.ghost_usage(hash(key), Usage::born(SECONDS), random);
        self.ahe.inserted(&self.lane, 0, hash(key), hash(key));
        self.keys.insert(key, usage);
    }

    fn hit_share(&self) -> f64 {
        self.hits as f64 / self.requests as f64
    }
}

/// Random numbers, the same in each run.
fn randoms() -> impl FnMut() -> u64 {
    let mut state = 1u64;
    move || {
        state = state.wrapping_add(1);
        hash(state) >> 7
    }
}

#[test]
fn a_hot_pool_among_cold_keys_is_told_by_frequency() {
    let mut cache = Cache::new(100);
    let mut random = randoms();
    for _ in 0..30_000 {
        let key = if random().is_multiple_of(2) { random() % 80 } else { 1000 + random() % 10_000 };
        cache.request(key, random() as u32);
    }
    assert!(cache.ahe.alpha() < 0.2, "{}", cache.ahe.alpha());
    // Half of the requests are for the pool; LRU would hit 0.30.
    assert!(cache.hit_share() > 0.44, "{}", cache.hit_share());
    let report = cache.ahe.report();
    assert!(report.learnings > 5 && report.ghost_hits > 0, "{report:?}");
    assert_eq!(report.evictions, cache.requests - cache.hits - 100);
    assert!(report.price > 0.0 && report.price < 0.01, "{report:?}");
}

#[test]
fn keys_that_are_used_soon_or_never_are_told_by_recency() {
    let mut cache = Cache::new(100);
    let mut random = randoms();
    for step in 0..15_000u64 {
        cache.request(step, random() as u32);
        if step % 2 == 0 {
            cache.request(step.saturating_sub(20), random() as u32);
        }
    }
    assert!(cache.ahe.alpha() > 0.7, "{}", cache.ahe.alpha());
    // Every third request could hit.
    assert!(cache.hit_share() > 0.33, "{}", cache.hit_share());
}

#[test]
fn part_of_a_loop_that_is_larger_than_the_cache_stays() {
    let mut cache = Cache::new(100);
    let mut random = randoms();
    for step in 0..30_000u64 {
        cache.request(step % 120, random() as u32);
    }
    // LRU never hits; 0.83 can be had.
    assert!(cache.hit_share() > 0.6, "{}", cache.hit_share());
    assert!(cache.ahe.alpha() > 0.9, "{}", cache.ahe.alpha());
}

#[test]
fn before_anything_was_seen_used_and_younger_keys_are_worth_more() {
    let ahe = Ahe::new();
    ahe.set_capacity(1 << 20);
    let usage = Usage::born(SECONDS);
    let value = |level, age: u32| {
        let clock = ahe.now().wrapping_sub(age);
        ahe.value(usage.with_level(level).with_clock(clock), None)
    };
    for level in 0..7 {
        assert!(value(level + 1, 0) > value(level, 0));
        assert!(value(level, 0) > value(level, 1000) && value(level, 1000) > value(level, 9000));
    }
}

#[test]
fn a_key_that_comes_back_goes_on_where_it_was() {
    let ahe = Ahe::new();
    ahe.set_capacity(100);
    let lane = ahe.lane();
    let usage = Usage::born(SECONDS).with_level(2).with_interval(3).with_clock(ahe.now());
    ahe.evicted(&lane, hash(1), usage, 0.1);
    (0..60).for_each(|_| _ = ahe.count_access(&lane));
    let again = ahe.ghost_usage(hash(1), Usage::born(SECONDS + 9), 1);
    assert_eq!((again.level(), again.interval(), again.clock()), (3, 2, 60));
    assert_eq!((again.seconds(), again.counter()), ((SECONDS + 9) & 0xff_ffff, 5));
    ahe.inserted(&lane, 0, hash(1), hash(1));
    assert_eq!(ahe.now(), 61);
    assert_eq!(ahe.report().ghost_hits, 1);
    // Its ghost is gone; another key never had one.
    assert_eq!(ahe.ghost_usage(hash(1), usage, 1).level(), 0);
    assert_eq!(ahe.ghost_usage(hash(2), usage, 1).interval(), 0);
    let mut recent = Vec::new();
    ahe.recent(&mut recent);
    assert_eq!(recent, [(0, hash(1) & super::KEPT_BITS)]);
}

#[test]
fn a_key_that_expires_soon_is_worth_less() {
    let ahe = Ahe::new();
    ahe.set_capacity(4096);
    let lane = ahe.lane();
    let usage = Usage::born(SECONDS);
    assert_eq!(ahe.value(usage, Some(0)), 0.0);
    // How fast the cache is gone through is not known yet.
    assert_eq!(ahe.value(usage, Some(5)), ahe.value(usage, None));
    (0..4096).for_each(|_| _ = ahe.count_access(&lane));
    assert!(ahe.learn_if_due(5000));
    (0..4096).for_each(|_| _ = ahe.count_access(&lane));
    assert!(ahe.learn_if_due(15_000));
    assert_eq!(ahe.report().pass_ms, 10_000.0);
    let now = usage.with_clock(ahe.now());
    let share = ahe.value(now, Some(1000)) / ahe.value(now, None);
    assert!((share - 0.1).abs() < 1e-4, "{share}");
    assert_eq!(ahe.value(now, Some(10_000)), ahe.value(now, None));
}

#[test]
fn the_tick_stays_as_long_as_it_fits() {
    let shift = |keys, before| Scale::of(keys, before).tick_shift;
    assert_eq!([1, 1023, 1024, 2047, 2048, 4100].map(|keys| shift(keys, None)), [0, 0, 0, 0, 1, 2]);
    let before = Scale::of(4096, None);
    let nearby = [3100, 4096, 8000, 12_000];
    assert_eq!(nearby.map(|keys| shift(keys, Some(before))), [2, 2, 2, 2]);
    assert_eq!([2000, 12_400].map(|keys| shift(keys, Some(before))), [0, 3]);
    assert_eq!(shift(0, Some(before)), 0);
    for keys in [0, 1, 5000, 1 << 33, u64::MAX] {
        let scale = Scale::of(keys, None);
        assert!(scale.capacity > 0 && u64::from(scale.capacity) < 3 * CAPACITY_TICKS);
        assert!(Scale::from_bits(scale.bits()) == scale);
    }
}

#[test]
fn a_capacity_that_moves_while_it_learns_does_no_harm() {
    let mut cache = Cache::new(200);
    let mut random = randoms();
    for step in 0..40_000u64 {
        let key =
            if random().is_multiple_of(2) { random() % 150 } else { 1000 + random() % 10_000 };
        cache.request(key, random() as u32);
        // An estimate that is a long way off, and then comes near.
        cache.ahe.set_capacity(200 + 2_000_000 / (step + 1));
    }
    assert!(cache.hit_share() > 0.40, "{}", cache.hit_share());
}

#[test]
fn threads_count_for_one_model_and_what_they_saw_outlives_them() {
    const STEPS: u64 = 20_000;
    let ahe = Ahe::new();
    ahe.set_capacity(8192);
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let ahe = &ahe;
            scope.spawn(move || {
                let lane = ahe.lane();
                let mut usage = Usage::born(SECONDS);
                for step in 0..STEPS {
                    let place = hash(thread << 32 | step);
                    usage = ahe.hit(&lane, usage, step as u32);
                    ahe.inserted(&lane, 0, place, place);
                    ahe.evicted(&lane, place, usage, ahe.value(usage, None));
                    ahe.learn_if_due(step * 10);
                }
            });
        }
    });
    // 8 accesses a tick; each thread may have kept up to 7.
    let ticks = 4 * 2 * STEPS / 8;
    assert!((ticks - 4..=ticks).contains(&u64::from(ahe.now())), "{}", ahe.now());
    assert_eq!(ahe.report().evictions, 4 * STEPS);

    // The lanes go with the next learning, their figures stay.
    let lane = ahe.lane();
    let bytes = ahe.memory_bytes();
    (0..40_000).for_each(|_| _ = ahe.count_access(&lane));
    assert!(ahe.learn_if_due(u64::MAX));
    assert!(ahe.memory_bytes() < bytes);
    let report = ahe.report();
    assert_eq!(report.evictions, 4 * STEPS);
    assert!(report.alpha >= 0.0 && report.alpha <= 1.0);
}
