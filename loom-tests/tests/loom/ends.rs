//! The end of a migration: who may call it complete, and helpers that sleep through it.

use crate::support::*;
use ferrum_kv::sync::planted::Planted;

/// Two helpers of the last chunk, and a reader that may come through the new root.
const TWO_HELPERS: Model = Model { name: "two helpers", most: usize::MAX, run: two_helpers };

fn two_helpers() {
    let world = World::almost_moved();
    let one = world.spawn(|world| world.help(1));
    let two = world.spawn(|world| world.help(1));
    assert_eq!(world.get(K).as_deref(), Some(&b"old"[..]), "a present key was not found");
    one.join().unwrap();
    two.join().unwrap();
    assert_eq!(world.table.migrations(), (0, 1));
}

#[test]
fn a_key_is_found_while_two_complete_a_migration() {
    TWO_HELPERS.holds();
}

#[test]
#[should_panic(expected = "a present key was not found")]
fn a_chunk_done_too_early_is_seen() {
    TWO_HELPERS.breaks_under(Planted::DoneBeforeMoved);
}

#[test]
#[should_panic(expected = "a present key was not found")]
fn a_chunk_done_without_a_release_is_seen() {
    TWO_HELPERS.breaks_under(Planted::RelaxedDone);
}

/// A helper that sleeps before its copy, while its migration is completed, the key is deleted in
/// the next array, and that array migrates in turn.
const STALE_HELPER: Model = Model { name: "stale helper", most: 2, run: stale_helper };

fn stale_helper() {
    let world = World::almost_moved();
    let helper = world.spawn(|world| world.help(1));
    let other = world.spawn(|world| {
        world.remove(K);
        // Mostly dead now: this begins the next migration.
        world.remove(SECOND);
        world.help(8);
    });
    helper.join().unwrap();
    other.join().unwrap();
    assert_eq!(world.get(K), None, "a deleted key came back");
    assert_eq!(world.get(FIRST).as_deref(), Some(&b"first"[..]));
}

#[test]
fn a_helper_that_slept_through_two_migrations_does_no_harm() {
    STALE_HELPER.holds();
}

#[test]
#[should_panic]
fn a_copy_that_passes_frozen_slots_is_seen() {
    STALE_HELPER.breaks_under(Planted::CopyPastFrozen);
}
