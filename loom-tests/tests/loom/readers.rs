//! Reclamation: a record or an array goes only when nobody who may have seen it is pinned. Here a
//! reader holds what it found across a step of the other threads and then touches it again.

use crate::support::*;
use ferrum_kv::sync::planted::Planted;

/// A reader pinned before or after the retirement of what it may find.
const READER_AGAINST_REPLACE: Model =
    Model { name: "reader against replace", most: usize::MAX, run: reader_against_replace };

fn reader_against_replace() {
    let world = World::full();
    let writer = world.spawn(|world| world.set(K, b"new"));
    let seen = world.linger(K).expect("present");
    assert!(seen == b"old" || seen == b"new");
    writer.join().unwrap();
    assert_eq!(world.linger(K).as_deref(), Some(&b"new"[..]));
}

#[test]
fn a_record_outlives_the_readers_that_found_it() {
    READER_AGAINST_REPLACE.holds();
}

#[test]
#[should_panic(expected = "use after free: a record")]
fn a_record_retired_before_it_is_unlinked_is_seen() {
    READER_AGAINST_REPLACE.breaks_under(Planted::RetireBeforeUnlink);
}

/// The same record stands in two arrays while it moves: it must have left the old one before the
/// new one's may be replaced and retired.
const READER_OF_THE_OLD_ARRAY: Model =
    Model { name: "reader of the old array", most: usize::MAX, run: reader_of_the_old_array };

fn reader_of_the_old_array() {
    let world = World::migrating();
    let writer = world.spawn(|world| {
        world.set(K, b"new");
        world.set(K, b"newer");
    });
    let seen = world.linger(K).expect("present");
    assert!(seen == b"old" || seen == b"new" || seen == b"newer");
    writer.join().unwrap();
    assert_eq!(world.linger(K).as_deref(), Some(&b"newer"[..]), "an old value came back");
}

#[test]
fn a_reader_of_the_old_array_finds_only_what_is_alive() {
    READER_OF_THE_OLD_ARRAY.holds();
}

#[test]
#[should_panic(expected = "use after free: a record")]
fn a_key_changed_before_its_old_slot_is_moved_is_seen() {
    READER_OF_THE_OLD_ARRAY.breaks_under(Planted::MutateBeforeMoved);
}

/// An array goes while readers are in it.
const READER_AGAINST_THE_END: Model =
    Model { name: "reader against the end of an array", most: usize::MAX, run: reader_and_end };

fn reader_and_end() {
    let world = World::migrating();
    let helper = world.spawn(|world| world.help(8));
    assert_eq!(world.linger(K).as_deref(), Some(&b"old"[..]));
    helper.join().unwrap();
    assert_eq!(world.table.migrations(), (0, 1));
}

#[test]
fn an_array_outlives_the_readers_in_it() {
    READER_AGAINST_THE_END.holds();
}

#[test]
#[should_panic(expected = "use after free: an array")]
fn an_array_retired_while_it_is_the_root_is_seen() {
    READER_AGAINST_THE_END.breaks_under(Planted::RetireArrayBeforeSwap);
}

/// A deleted record stays as the name of its key's absence: it goes when the key is set again, or
/// with the old array's slot, whichever comes first.
const READER_AGAINST_REVIVAL: Model =
    Model { name: "reader against delete and revival", most: 2, run: reader_and_revival };

fn reader_and_revival() {
    let world = World::migrating();
    world.remove(K);
    let writer = world.spawn(|world| world.set(K, b"new"));
    let helper = world.spawn(|world| world.help(8));
    assert!(world.linger(K).is_none_or(|seen| seen == b"new"));
    writer.join().unwrap();
    helper.join().unwrap();
    assert_eq!(world.linger(K).as_deref(), Some(&b"new"[..]));
}

#[test]
fn a_dead_record_is_freed_once() {
    READER_AGAINST_REVIVAL.holds();
}
