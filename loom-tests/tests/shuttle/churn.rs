//! Each thread changes keys of its own, so it knows at every step what they must hold, while all
//! together make the segment grow, be cleaned and shrink: what a migration loses or brings back
//! shows at once. Faults that need a helper to sleep through a whole migration show too seldom to
//! be planted here: loom enumerates those.

use crate::support::*;
use ferrum_kv::sync::planted::Planted;

const ROUNDS: usize = 30;
/// Keys of a thread.
const KEYS: usize = 3;

const CHURN: Model = Model(churn);

fn churn() {
    let keyspace = keyspace();
    on_all(&keyspace, |number, keyspace, local| {
        let name = |key: usize| format!("{number}:{key}");
        let mut present: [Option<String>; KEYS] = Default::default();
        for round in 0..ROUNDS {
            // Phases in which a thread's keys come and go, and differ from thread to thread.
            let key = (round * 7 + number) % KEYS;
            let value = format!("{number}:{round}");
            match (round / 3 + number) % 4 {
                0 => {
                    let absent = present[key].is_none();
                    let done = set_if_absent(keyspace, local, &name(key), value.as_bytes());
                    assert_eq!(done, absent, "SETNX of a key of my own");
                    present[key].get_or_insert(value);
                }
                1 | 2 => {
                    set(keyspace, local, &name(key), value.as_bytes());
                    present[key] = Some(value);
                }
                _ => {
                    let was = present[key].take().is_some();
                    assert_eq!(remove(keyspace, local, &name(key)), was, "DEL of a key of my own");
                }
            }
            for (key, value) in present.iter().enumerate() {
                let found = get(keyspace, local, &name(key));
                let value = value.as_deref().map(str::as_bytes);
                assert_eq!(found.as_deref(), value, "a key of my own");
            }
            // A neighbour's key: only a whole value of its own.
            let neighbour = (number + 1) % THREADS;
            let other = get(keyspace, local, &format!("{neighbour}:{key}"));
            let start = format!("{neighbour}:").into_bytes();
            assert!(other.is_none_or(|value| value.starts_with(&start)), "a torn value");
        }
    });
    let local = keyspace.join();
    assert!(migrations(&keyspace, &local) > 4, "the segment must migrate again and again");
}

#[test]
fn keys_of_eight_threads_hold_what_was_written_last() {
    CHURN.holds();
}

#[test]
#[should_panic]
fn a_slot_finished_before_its_copy_is_seen() {
    CHURN.breaks_under(Planted::FinishBeforeCopy);
}

#[test]
#[should_panic]
fn a_chunk_done_too_early_is_seen() {
    CHURN.breaks_under(Planted::DoneBeforeMoved);
}

#[test]
#[should_panic]
fn an_empty_slot_left_unfrozen_is_seen() {
    CHURN.breaks_under(Planted::EmptyNotFrozen);
}

#[test]
#[should_panic]
fn a_key_changed_before_its_old_slot_is_moved_is_seen() {
    CHURN.breaks_under(Planted::MutateBeforeMoved);
}
