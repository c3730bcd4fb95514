//! Moving a key to the next array against everything else that may happen to it.

use crate::support::*;
use ferrum_kv::sync::planted::Planted;

/// A helper that may sleep between freeze, copy and finish, against a delete.
const COPIER_AGAINST_DELETE: Model =
    Model { name: "copier against delete", most: usize::MAX, run: copier_against_delete };

fn copier_against_delete() {
    let keyspace = migrating(b"value");
    let local = keyspace.join();
    let helper = spawn(&keyspace, maintain);
    assert!(remove(&keyspace, &local, K));
    assert_eq!(get(&keyspace, &local, K), None, "a deleted key came back");
    helper.join().unwrap();
    assert_eq!(get(&keyspace, &local, K), None, "a deleted key came back");
    migrate_again(&keyspace, &local);
    assert_eq!(get(&keyspace, &local, K), None, "a deleted key came back");
}

#[test]
fn a_sleeping_copier_does_not_bring_a_deleted_key_back() {
    COPIER_AGAINST_DELETE.holds();
}

#[test]
#[should_panic]
fn an_absence_without_a_name_is_seen() {
    COPIER_AGAINST_DELETE.breaks_under(Planted::NamelessAbsence);
}

/// A reader while a helper moves the key.
const COPIER_AGAINST_READER: Model =
    Model { name: "copier against reader", most: usize::MAX, run: copier_against_reader };

fn copier_against_reader() {
    let keyspace = migrating(b"value");
    let local = keyspace.join();
    let helper = spawn(&keyspace, maintain);
    let read = get(&keyspace, &local, K);
    assert_eq!(read.as_deref(), Some(&b"value"[..]), "a present key was not found");
    helper.join().unwrap();
}

#[test]
fn a_key_is_found_while_it_moves() {
    COPIER_AGAINST_READER.holds();
}

#[test]
#[should_panic(expected = "a present key was not found")]
fn a_slot_finished_before_its_copy_is_seen() {
    COPIER_AGAINST_READER.breaks_under(Planted::FinishBeforeCopy);
}

#[test]
#[should_panic(expected = "a present key was not found")]
fn a_root_published_without_a_release_is_seen() {
    COPIER_AGAINST_READER.breaks_under(Planted::RelaxedPromote);
}

/// A moved slot has no name: its tag may be another key's.
const TWINS: Model = Model { name: "twins", most: usize::MAX, run: twins };

fn twins() {
    let keyspace = keyspace(4);
    let local = keyspace.join();
    // Both at home in the third slot, with one tag; `k` stands in the fourth.
    const NEIGHBOUR: ferrum_kv::store::Key<'static> = key(b"n", 32, 1);
    set(&keyspace, &local, TWIN, b"twin");
    set(&keyspace, &local, NEIGHBOUR, b"neighbour");
    set(&keyspace, &local, FIRST, b"first");
    assert_eq!(migrations(&keyspace, &local), (1, 0));
    let helper = spawn(&keyspace, maintain);
    let read = get(&keyspace, &local, NEIGHBOUR);
    assert_eq!(read.as_deref(), Some(&b"neighbour"[..]), "a present key was not found");
    helper.join().unwrap();
}

#[test]
fn a_key_behind_a_moved_twin_is_found() {
    TWINS.holds();
}

#[test]
#[should_panic(expected = "a present key was not found")]
fn a_probe_that_trusts_a_moved_tag_is_seen() {
    TWINS.breaks_under(Planted::StopAtMovedTag);
}

/// Two inserters that both find the array full.
const TWO_GROWERS: Model = Model { name: "two growers", most: 2, run: two_growers };

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
    TWO_GROWERS.holds();
}

#[test]
#[should_panic]
fn a_migration_begun_without_a_release_is_seen() {
    TWO_GROWERS.breaks_under(Planted::RelaxedBegin);
}
