//! Eight threads at the same few keys: counters, a lock, a log, while the segment migrates.

use crate::support::*;
use ferrum_kv::sync::planted::Planted;

const ROUNDS: usize = 12;
/// Bytes of one entry of the log.
const ENTRY: usize = 40;

const MIXED: Model = Model(mixed);

fn mixed() {
    let keyspace = keyspace();
    let local = keyspace.join();
    set(&keyspace, &local, "stable", b"stays");
    on_all(&keyspace, |number, keyspace, local| {
        for round in 0..ROUNDS {
            add(keyspace, local, "counter", 1);
            let filler = format!("filler:{number}:{}", round % 4);
            if round % 8 < 4 {
                set(keyspace, local, &filler, b"x");
            } else {
                assert!(remove(keyspace, local, &filler), "a filler was lost");
            }
            if set_if_absent(keyspace, local, "lock", b"held") {
                assert_eq!(add(keyspace, local, "inside", 1), 1, "two threads hold the lock");
                assert_eq!(add(keyspace, local, "inside", -1), 0, "two threads hold the lock");
                assert!(remove(keyspace, local, "lock"), "the lock was lost");
            }
            append(keyspace, local, "log", &[b'a' + number as u8; ENTRY]);
            append(keyspace, local, "log", b"");
            let stable = get(keyspace, local, "stable");
            assert_eq!(stable.as_deref(), Some(&b"stays"[..]), "a stable key was lost");
        }
    });
    let counter = get(&keyspace, &local, "counter").expect("present");
    assert_eq!(counter, (THREADS * ROUNDS).to_string().into_bytes(), "an INCR was lost");
    let log = get(&keyspace, &local, "log").expect("present");
    for number in 0..THREADS as u8 {
        let entries = log.chunks(ENTRY).filter(|entry| **entry == [b'a' + number; ENTRY]).count();
        assert_eq!(entries, ROUNDS, "an APPEND was lost or torn");
    }
    assert!(migrations(&keyspace, &local) > 1, "the segment must migrate");
}

#[test]
fn eight_threads_agree_on_shared_keys() {
    MIXED.holds();
}

#[test]
#[should_panic(expected = "lost")]
fn a_counter_without_compare_and_swap_is_seen() {
    MIXED.breaks_under(Planted::CounterNotExclusive);
}

#[test]
#[should_panic(expected = "an APPEND was lost or torn")]
fn a_claim_that_two_may_have_is_seen() {
    MIXED.breaks_under(Planted::ClaimNotExclusive);
}

#[test]
#[should_panic]
fn a_lost_claim_that_is_ignored_is_seen() {
    MIXED.breaks_under(Planted::LostClaimIgnored);
}
