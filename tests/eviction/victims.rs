//! Each policy chooses the keys that it is named after: among many, most of the time.

use std::time::Duration;

use super::crowd::{Crowd, VALUE_BYTES};
use super::harness::{Client, Random, encode};
use super::target::{Questions, Target, is_redis};

/// A step of the clock by which recency is told (Redis: a second), and a little.
const CLOCK_STEP: Duration = Duration::from_millis(1_100);

/// Bytes of a key with all that is its own, at most.
const KEY_BYTES: u64 = VALUE_BYTES as u64 + 250;

fn start(policy: &str) -> (Target, Client) {
    let target = Target::start(&["--maxmemory-policy", policy]);
    let client = target.connect();
    (target, client)
}

/// Bounds the memory to what is in use now, so that whatever comes takes another's place.
fn close_the_door(client: &mut Client) {
    let used = client.used_bytes();
    client.configure("maxmemory", &used.to_string());
}

/// Keys that come when the memory is used up, never read and without a deadline.
fn flood(client: &mut Client, count: u64) -> Crowd {
    let flood = Crowd::new("flood", count);
    flood.fill(client);
    flood
}

#[track_caller]
fn assert_all(crowd: &Crowd, client: &mut Client) {
    assert_eq!(crowd.present(client), 1_000, "all of {}", crowd.name);
}

/// At least so many thousandths are there.
#[track_caller]
fn assert_most(crowd: &Crowd, client: &mut Client, thousandths: u64) {
    let present = crowd.present(client);
    assert!(present >= thousandths, "only {present} of 1,000 of {}", crowd.name);
}

/// At most so many thousandths are there.
#[track_caller]
fn assert_few(crowd: &Crowd, client: &mut Client, thousandths: u64) {
    let present = crowd.present(client);
    assert!(present <= thousandths, "still {present} of 1,000 of {}", crowd.name);
}

fn recency(policy: &str, hot: Crowd, cold: Crowd) {
    let (_target, mut client) = start(policy);
    let fixed = Crowd::new("fixed", 300);
    fixed.fill(&mut client);
    for crowd in [hot, cold] {
        crowd.fill(&mut client);
    }
    std::thread::sleep(CLOCK_STEP);
    fixed.read(&mut client);
    hot.read(&mut client);
    std::thread::sleep(CLOCK_STEP);
    close_the_door(&mut client);
    let flood = flood(&mut client, 900);
    // A third of all go; of five that are looked at, one in four is cold even at the end.
    assert_most(&hot, &mut client, 900);
    assert_few(&cold, &mut client, 650);
    if policy.starts_with("volatile") {
        assert_all(&fixed, &mut client);
        assert_all(&flood, &mut client);
    } else {
        // They were used a little earlier than the hot ones.
        assert_most(&fixed, &mut client, 700);
        assert_most(&flood, &mut client, 900);
    }
}

#[test]
fn allkeys_lru_keeps_what_was_used_a_moment_ago() {
    recency("allkeys-lru", Crowd::new("hot", 1_500), Crowd::new("cold", 1_500));
}

#[test]
fn volatile_lru_keeps_what_was_used_a_moment_ago_and_what_has_no_deadline() {
    let (hot, cold) = (Crowd::expiring("hot", 1_500, 9_000), Crowd::expiring("cold", 1_500, 100));
    recency("volatile-lru", hot, cold);
}

/// Reads all of them so many times.
fn read_often(crowd: &Crowd, client: &mut Client, times: u64) {
    for _ in 0..times {
        crowd.read(client);
    }
}

fn frequency(policy: &str, hot: Crowd, cold: Crowd) {
    let (_target, mut client) = start(policy);
    let fixed = Crowd::new("fixed", 300);
    fixed.fill(&mut client);
    hot.fill(&mut client);
    read_often(&hot, &mut client, 100);
    cold.fill(&mut client);
    read_often(&cold, &mut client, 1);
    let bytes = client.used_bytes();
    close_the_door(&mut client);
    // More than there is room for, each read once, so that it is the newest and hot keys are old.
    let deadline = hot.seconds_left;
    for number in 0..10 {
        let name = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"][number];
        let crowd = Crowd { name, count: 200, seconds_left: deadline };
        for one in 0..crowd.count {
            let get = encode(&[b"GET".as_slice(), crowd.key(one).as_bytes()]);
            client.replies(&[crowd.set_one(one), get]);
        }
    }
    assert!(client.used_bytes() < bytes + bytes / 4, "the bound holds");
    assert_most(&hot, &mut client, 950);
    assert_few(&cold, &mut client, 600);
    if policy.starts_with("volatile") {
        assert_all(&fixed, &mut client);
    }
}

#[test]
fn allkeys_lfu_keeps_what_was_used_often() {
    frequency("allkeys-lfu", Crowd::new("hot", 400), Crowd::new("cold", 1_200));
}

#[test]
fn volatile_lfu_keeps_what_was_used_often_and_what_has_no_deadline() {
    let (hot, cold) = (Crowd::expiring("hot", 400, 100), Crowd::expiring("cold", 1_200, 9_000));
    frequency("volatile-lfu", hot, cold);
}

/// Four groups that differ in all that another policy would look at lose about as many.
fn evenness(policy: &str, is_volatile: bool) {
    const NAMES: [&str; 4] = ["first", "second", "third", "fourth"];
    let (_target, mut client) = start(policy);
    let fixed = Crowd::new("fixed", 300);
    fixed.fill(&mut client);
    let crowds = [0, 1, 2, 3].map(|place: usize| {
        let seconds = is_volatile.then_some(100 + 1_000 * place as u64);
        Crowd { name: NAMES[place], count: 1_000, seconds_left: seconds }
    });
    for crowd in &crowds {
        crowd.fill(&mut client);
    }
    read_often(&crowds[0], &mut client, 10);
    std::thread::sleep(CLOCK_STEP);
    crowds[1].read(&mut client);
    close_the_door(&mut client);
    flood(&mut client, 2_000);
    let shares = crowds.map(|crowd| crowd.present(&mut client));
    let mean = shares.iter().sum::<u64>() / 4;
    assert!((300..800).contains(&mean), "{shares:?}");
    // The deviation of a share is 16 thousandths; this is five times that.
    assert!(shares.iter().all(|share| share.abs_diff(mean) < 80), "{shares:?}");
    if is_volatile {
        assert_all(&fixed, &mut client);
    }
}

#[test]
fn allkeys_random_takes_from_all_alike() {
    evenness("allkeys-random", false);
}

#[test]
fn volatile_random_takes_from_all_with_a_deadline_alike() {
    evenness("volatile-random", true);
}

#[test]
fn volatile_ttl_takes_the_nearest_deadlines_first() {
    let (_target, mut client) = start("volatile-ttl");
    let fixed = Crowd::new("fixed", 300);
    fixed.fill(&mut client);
    let crowds = [
        Crowd::expiring("latest", 1_000, 4_000),
        Crowd::expiring("nearest", 1_000, 1_000),
        Crowd::expiring("third", 1_000, 3_000),
        Crowd::expiring("second", 1_000, 2_000),
    ];
    for crowd in &crowds {
        crowd.fill(&mut client);
    }
    let [latest, nearest, third, second] = crowds;
    read_often(&nearest, &mut client, 5);
    close_the_door(&mut client);
    let flood = flood(&mut client, 1_400);
    assert_few(&nearest, &mut client, 250);
    assert_few(&second, &mut client, 800);
    assert_most(&third, &mut client, 850);
    assert_most(&latest, &mut client, 950);
    assert_all(&fixed, &mut client);
    assert_all(&flood, &mut client);
}

/// Keys that there is room for.
const ROOM: u64 = 2_000;

/// Keys that are used again and again, though so rarely that everything else has come and gone
/// meanwhile.
const HOT: u64 = 800;

/// Keys used once between two uses of a hot one.
const SCANNED: u64 = 3_000;

const ROUNDS: u64 = 16;

/// Hits on hot keys in the second half of a read-through run, in thousandths: in each round every
/// hot key is used once, in any order, among many that never come again.
fn hits_of_the_hot(client: &mut Client, seconds_left: Option<u64>) -> u64 {
    let crowd = |name| Crowd { name, count: u64::MAX, seconds_left };
    let (hot, scan) = (crowd("hot"), crowd("scan"));
    let mut random = Random(7);
    let mut hits = 0;
    for round in 0..ROUNDS {
        let mut uses: Vec<(bool, u64)> = (0..HOT)
            .map(|number| (true, number))
            .chain((0..SCANNED).map(|number| (false, round * SCANNED + number)))
            .collect();
        for place in (1..uses.len()).rev() {
            uses.swap(place, random.below(place as u64 + 1) as usize);
        }
        for uses in uses.chunks(50) {
            let of = |is_hot| if is_hot { hot } else { scan };
            let gets: Vec<_> = uses
                .iter()
                .map(|(is_hot, number)| encode(&["GET", &of(*is_hot).key(*number)]))
                .collect();
            let mut sets = Vec::new();
            for ((is_hot, number), reply) in uses.iter().zip(client.replies(&gets)) {
                if reply == b"$-1\r\n" {
                    sets.push(of(*is_hot).set_one(*number));
                } else if *is_hot && round >= ROUNDS / 2 {
                    hits += 1;
                }
            }
            client.all(&sets, b"+OK");
        }
    }
    hits * 1_000 / (HOT * ROUNDS / 2)
}

fn hits_with(policy: &str, seconds_left: Option<u64>) -> u64 {
    let (_target, mut client) = start(policy);
    let fixed = Crowd::new("fixed", 300);
    fixed.fill(&mut client);
    let bound = client.used_bytes() + ROOM * KEY_BYTES;
    client.configure("maxmemory", &bound.to_string());
    let hits = hits_of_the_hot(&mut client, seconds_left);
    if policy.starts_with("volatile") {
        assert_all(&fixed, &mut client);
    }
    hits
}

#[test]
fn recency_alone_loses_hot_keys_to_a_scan() {
    // What the tests of AHE prove means something only if this is so.
    let hits = hits_with("allkeys-lru", None);
    assert!(hits < 450, "{hits} of 1,000");
}

#[test]
fn allkeys_ahe_keeps_hot_keys_from_a_scan() {
    if is_redis() {
        return;
    }
    let hits = hits_with("allkeys-ahe", None);
    assert!(hits > 800, "{hits} of 1,000");
}

#[test]
fn volatile_ahe_keeps_hot_keys_from_a_scan_and_what_has_no_deadline() {
    if is_redis() {
        return;
    }
    let hits = hits_with("volatile-ahe", Some(50_000));
    assert!(hits > 800, "{hits} of 1,000");
}
