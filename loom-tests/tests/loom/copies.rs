//! Moving a key to the next array against everything else that may happen to it.

use crate::support::*;
use ferrum_kv::sync::planted::Planted;

/// A helper that may sleep between freeze, copy and finish, against a delete.
fn copier_against_delete() {
    let keyspace = migrating(b"value");
    let local = keyspace.join();
    let helper = spawn(&keyspace, |keyspace, local| keyspace.maintain(local, true));
    assert!(remove(&keyspace, &local, K));
    assert_eq!(get(&keyspace, &local, K), None, "a deleted key came back");
    helper.join().unwrap();
    assert_eq!(get(&keyspace, &local, K), None, "a deleted key came back");
    migrate_again(&keyspace, &local);
    assert_eq!(get(&keyspace, &local, K), None, "a deleted key came back");
}

#[test]
fn a_sleeping_copier_does_not_bring_a_deleted_key_back() {
    explore("copier against delete", copier_against_delete);
}

#[test]
#[should_panic]
fn an_absence_without_a_name_is_seen() {
    expose(Planted::NamelessAbsence, copier_against_delete);
}

/// A reader while a helper moves the key.
fn copier_against_reader() {
    let keyspace = migrating(b"value");
    let local = keyspace.join();
    let helper = spawn(&keyspace, |keyspace, local| keyspace.maintain(local, true));
    let read = get(&keyspace, &local, K);
    assert_eq!(read.as_deref(), Some(&b"value"[..]), "a present key was not found");
    helper.join().unwrap();
}

#[test]
fn a_key_is_found_while_it_moves() {
    explore("copier against reader", copier_against_reader);
}

#[test]
#[should_panic(expected = "a present key was not found")]
fn a_slot_finished_before_its_copy_is_seen() {
    expose(Planted::FinishBeforeCopy, copier_against_reader);
}

/// Two helpers and a reader.
fn two_copiers_against_reader() {
    let keyspace = migrating(b"value");
    let local = keyspace.join();
    let one = spawn(&keyspace, |keyspace, local| keyspace.maintain(local, true));
    let two = spawn(&keyspace, |keyspace, local| keyspace.maintain(local, true));
    let read = get(&keyspace, &local, K);
    assert_eq!(read.as_deref(), Some(&b"value"[..]), "a present key was not found");
    one.join().unwrap();
    two.join().unwrap();
    assert_eq!(migrations(&keyspace, &local), (0, 1));
}

#[test]
fn a_key_is_found_while_two_move_it() {
    explore_within("two copiers against reader", 2, two_copiers_against_reader);
}

#[test]
#[should_panic(expected = "a present key was not found")]
fn a_chunk_done_too_early_is_seen() {
    expose(Planted::DoneBeforeMoved, two_copiers_against_reader);
}

#[test]
#[should_panic(expected = "a present key was not found")]
fn a_chunk_done_without_a_release_is_seen() {
    expose(Planted::RelaxedDone, two_copiers_against_reader);
}

#[test]
#[should_panic(expected = "a present key was not found")]
fn a_root_published_without_a_release_is_seen() {
    expose(Planted::RelaxedPromote, copier_against_reader);
}

/// A moved slot has no name: its tag may be another key's.
fn twins() {
    let keyspace = keyspace(4);
    let local = keyspace.join();
    // Both at home in the third slot, with one tag; `k` stands in the fourth.
    const NEIGHBOUR: ferrum_kv::store::Key<'static> = key(b"n", 32, 1);
    set(&keyspace, &local, TWIN, b"twin");
    set(&keyspace, &local, NEIGHBOUR, b"neighbour");
    set(&keyspace, &local, FIRST, b"first");
    assert_eq!(migrations(&keyspace, &local), (1, 0));
    let helper = spawn(&keyspace, |keyspace, local| keyspace.maintain(local, true));
    let read = get(&keyspace, &local, NEIGHBOUR);
    assert_eq!(read.as_deref(), Some(&b"neighbour"[..]), "a present key was not found");
    helper.join().unwrap();
}

#[test]
fn a_key_behind_a_moved_twin_is_found() {
    explore("twins", twins);
}

#[test]
#[should_panic(expected = "a present key was not found")]
fn a_probe_that_trusts_a_moved_tag_is_seen() {
    expose(Planted::StopAtMovedTag, twins);
}

/// A helper that sleeps through the completion of its migration, a delete, and the next migration.
fn stale_helper() {
    let keyspace = migrating(b"value");
    let local = keyspace.join();
    let helper = spawn(&keyspace, |keyspace, local| keyspace.maintain(local, true));
    assert!(remove(&keyspace, &local, K));
    migrate_again(&keyspace, &local);
    assert_eq!(get(&keyspace, &local, K), None, "a deleted key came back");
    helper.join().unwrap();
    migrate_again(&keyspace, &local);
    assert_eq!(get(&keyspace, &local, K), None, "a deleted key came back");
    assert_eq!(get(&keyspace, &local, FIRST).as_deref(), Some(&b"first"[..]));
}

#[test]
fn a_helper_that_slept_through_two_migrations_does_no_harm() {
    explore_within("stale helper", 2, stale_helper);
}

#[test]
#[should_panic]
fn a_copy_that_passes_frozen_slots_is_seen() {
    expose(Planted::CopyPastFrozen, stale_helper);
}

/// Two inserters that both find the array full.
fn two_growers() {
    let keyspace = keyspace(4);
    let local = keyspace.join();
    set(&keyspace, &local, FIRST, b"first");
    set(&keyspace, &local, K, b"value");
    let grower = spawn(&keyspace, |keyspace, local| set(keyspace, local, SECOND, b"second"));
    set(&keyspace, &local, TWIN, b"twin");
    assert_eq!(get(&keyspace, &local, K).as_deref(), Some(&b"value"[..]), "lost");
    grower.join().unwrap();
    for (key, value) in
        [(FIRST, &b"first"[..]), (K, b"value"), (SECOND, b"second"), (TWIN, b"twin")]
    {
        assert_eq!(get(&keyspace, &local, key).as_deref(), Some(value), "lost");
    }
}

#[test]
fn two_inserters_grow_one_array_together() {
    explore_within("two growers", 2, two_growers);
}

#[test]
#[should_panic]
fn a_migration_begun_without_a_release_is_seen() {
    expose(Planted::RelaxedBegin, two_growers);
}
