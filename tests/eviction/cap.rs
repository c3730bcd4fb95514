//! The bound holds while clients write, and not by throwing everything away.

use super::load::{Mix, Sample, look, write};
use super::target::{Questions, Target};

const CAP_BYTES: u64 = 100 << 20;

/// What may be used beyond the bound.
const OVER_BYTES: u64 = CAP_BYTES / 50;

/// Keys of all sizes that would take five times the bound.
const KEYS: u64 = 50_000;

const POLICY: [&str; 4] = ["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"];

/// The bound holds in every sample.
#[track_caller]
fn assert_bounded(samples: &[Sample]) {
    assert_at_most(samples, CAP_BYTES + OVER_BYTES);
}

#[track_caller]
fn assert_at_most(samples: &[Sample], bound_bytes: u64) {
    let most = samples.iter().max_by_key(|sample| sample.counted_bytes()).expect("a sample");
    let limbo = most.limbo_bytes;
    println!("{} samples; at most {}, limbo {limbo}", samples.len(), most.counted_bytes());
    assert!(most.counted_bytes() <= bound_bytes, "{} in {most:?}", most.counted_bytes());
}

/// Once there was no more room, most of it stayed in use.
#[track_caller]
fn assert_full(samples: &[Sample]) {
    let first = samples.iter().position(|sample| sample.counted_bytes() > CAP_BYTES * 98 / 100);
    let full = &samples[first.expect("it became full")..];
    let least = full.iter().min_by_key(|sample| sample.counted_bytes()).expect("a sample");
    println!("full after {first:?}; at least {least:?}");
    assert!(least.counted_bytes() >= CAP_BYTES * 85 / 100, "{least:?}");
    let mut keys: Vec<u64> = full.iter().map(|sample| sample.keys).collect();
    let fewest = *keys.iter().min().expect("a sample");
    keys.sort_unstable();
    let middle = keys[keys.len() / 2];
    assert!(fewest > middle / 2, "{fewest} keys once, {middle} most of the time");
}

fn fill_twice_and_more(target: &Target, mix: Mix) {
    let samples = write(target, mix, 4 * CAP_BYTES, |_, _| {});
    assert_bounded(&samples);
    assert_full(&samples);
    assert!(target.connect().info("evicted_keys") > 0);
}

#[test]
fn the_bound_holds_while_new_keys_of_all_sizes_come() {
    let target = Target::start(&POLICY);
    fill_twice_and_more(&target, Mix::New);
}

#[test]
fn the_bound_holds_while_keys_are_set_again() {
    for policy in ["allkeys-lfu", "allkeys-random"] {
        let target = Target::start(&[&POLICY[..3], &[policy]].concat());
        fill_twice_and_more(&target, Mix::Sets(KEYS));
    }
}

#[test]
fn the_bound_holds_under_the_learned_policy() {
    if super::target::is_redis() {
        return;
    }
    let target = Target::start(&[&POLICY[..3], &["allkeys-ahe"]].concat());
    fill_twice_and_more(&target, Mix::Sets(KEYS));
}

#[test]
fn the_bound_holds_while_values_grow_in_place() {
    let target = Target::start(&POLICY);
    fill_twice_and_more(&target, Mix::Changes(KEYS / 5));
}

#[test]
fn the_bound_holds_while_all_is_logged() {
    // Without rewrites, which hold more for a while.
    let settings = [&POLICY[..], &["--auto-aof-rewrite-percentage", "0"]].concat();
    let target = Target::with_log("everysec", &settings);
    let samples = write(&target, Mix::Changes(KEYS / 5), 4 * CAP_BYTES, |_, _| {});
    // Whose commands wait for the log do not free what waits for readers; and the log's buffers,
    // which are several times as large, are not read at the same instant.
    assert_at_most(&samples, CAP_BYTES + 3 * OVER_BYTES);
    assert_full(&samples);
}

#[test]
fn the_bound_holds_while_everything_is_flushed_now_and_then() {
    const EVERY_BYTES: u64 = CAP_BYTES * 3 / 2;
    let target = Target::start(&POLICY);
    let mut next = EVERY_BYTES;
    let samples = write(&target, Mix::New, 5 * CAP_BYTES, |client, sample| {
        if sample.sent_bytes > next {
            assert_eq!(client.ask("FLUSHALL"), "+OK\r\n");
            next += EVERY_BYTES;
        }
    });
    assert_bounded(&samples);
    // It became full again after each.
    let fills = samples.windows(2).filter(|pair| {
        let full = CAP_BYTES * 9 / 10;
        pair[0].counted_bytes() < full && pair[1].counted_bytes() >= full
    });
    assert!(fills.count() >= 3, "{:?}", samples.len());
}

#[test]
fn the_bound_holds_with_a_rewrite_of_the_log_under_way() {
    let target = Target::with_log("everysec", &POLICY);
    let mut next = CAP_BYTES;
    let samples = write(&target, Mix::Sets(KEYS), 4 * CAP_BYTES, |client, sample| {
        if sample.sent_bytes > next {
            client.ask("BGREWRITEAOF");
            next += CAP_BYTES;
        }
    });
    // What a rewrite has still to write is held beside, as a fork would hold it: once the data, and
    // what waits for the rewrite's own steps.
    let most = samples.iter().map(Sample::counted_bytes).max();
    assert!(most <= Some(3 * CAP_BYTES), "{most:?}");
    assert_full(&samples);
    let mut client = target.connect();
    crate::harness::wait_until("the rewrite's memory is free", || {
        look(&mut client, 0).counted_bytes() <= CAP_BYTES + OVER_BYTES
    });
}
