//! Blocks that a session collects while it is alone.

use super::{Logged, Written, told};
use crate::record::NewValue;
use crate::ring::{Consumer, Read};
use crate::store::{Keyspace, KeyspaceOptions, Local};
use crate::table::Journal;
use std::time::Duration;

struct Scene {
    keyspace: Keyspace,
    local: Local,
    consumer: Consumer,
}

impl Scene {
    fn new() -> Self {
        let options = KeyspaceOptions { databases: 4, ..KeyspaceOptions::default() };
        let keyspace = Keyspace::new(options);
        let consumer = keyspace.start_log(64);
        Self { local: keyspace.join(), keyspace, consumer }
    }

    /// The parts of the next entry, as text, and its ticket; none if it is void.
    fn next(&mut self) -> (u64, Vec<String>) {
        let ticket = self.consumer.position();
        let read = self.consumer.next().expect("an entry");
        let parts = match Logged::decode(&read) {
            Some(Logged::Block(block)) => block.map(|part| format!("{part:?}")).collect(),
            Some(other) => vec![format!("plain {other:?}")],
            None => vec![],
        };
        self.consumer.release();
        (ticket, parts)
    }

    fn is_empty(&mut self) -> bool {
        self.consumer.next().is_none()
    }
}

fn text(table: u64, key: &str, effect: &str) -> String {
    let key = key.as_bytes();
    format!("Key {{ table: {table}, key: {key:?}, effect: {effect} }}")
}

#[test]
fn changes_flushes_and_swaps_become_one_block_in_their_order() {
    let mut scene = Scene::new();
    let keyspace = &scene.keyspace;
    {
        let mut session = scene.local.pin();
        keyspace.database(0).set(&session, keyspace.key(b"before"), NewValue::Copy(b"1"));
        session.begin_block();
        keyspace.database(0).set(&session, keyspace.key(b"a"), NewValue::Copy(b"x"));
        session.renew();
        assert_eq!(keyspace.database(0).append(&session, keyspace.key(b"a"), b"y"), Ok(2));
        keyspace.flush_all(&session);
        keyspace.database(0).set(&session, keyspace.key(b"b"), NewValue::Copy(b"z"));
        keyspace.database(0).swap(&session, 1);
        assert!(keyspace.database(1).remove(&session, keyspace.key(b"b")));
        assert!(!keyspace.database(1).remove(&session, keyspace.key(b"b")), "told once");
        session.end_block();
        keyspace.database(0).set(&session, keyspace.key(b"after"), NewValue::Copy(b"2"));
    }
    assert_eq!(scene.next().1.len(), 1);
    let expected = [
        text(0, "a", "Set([120], None)"),
        text(0, "a", "Append([121])"),
        "Flush(0)".to_owned(),
        text(4, "b", "Set([122], None)"),
        "Swap(0, 1)".to_owned(),
        text(4, "b", "Remove"),
    ];
    assert_eq!(scene.next().1, expected);
    assert_eq!(told(&mut scene.consumer).len(), 1, "a plain entry");
}

#[test]
fn all_that_is_made_has_the_blocks_ticket_as_its_version() {
    let mut scene = Scene::new();
    let keyspace = &scene.keyspace;
    let mut versions = Vec::new();
    {
        let session = scene.local.pin();
        session.begin_block();
        for name in [b"a", b"b"] {
            let key = keyspace.key(name);
            keyspace.database(2).set(&session, key, NewValue::Copy(b"text"));
            versions.push(keyspace.database(2).peek(&session, key, |entry| entry.version()));
        }
        session.end_block();
    }
    let (ticket, parts) = scene.next();
    assert_eq!(parts.len(), 2);
    assert_eq!(versions, [Some(ticket), Some(ticket)]);
}

#[test]
fn additions_are_told_as_deltas_also_those_in_place() {
    let mut scene = Scene::new();
    let keyspace = &scene.keyspace;
    {
        let session = scene.local.pin();
        let (database, key) = (keyspace.database(0), keyspace.key(b"n"));
        assert!(database.add(&session, key, 1).is_ok());
        session.begin_block();
        for sum in 2..5 {
            assert!(database.add(&session, key, 1).is_ok_and(|result| result == sum));
        }
        assert!(database.add(&session, key, -2).is_ok_and(|sum| sum == 2));
        session.end_block();
    }
    assert_eq!(scene.next().1.len(), 1);
    let add = |delta: i64| text(0, "n", &format!("Add({delta})"));
    assert_eq!(scene.next().1, [add(1), add(1), add(1), add(-2)]);
}

#[test]
fn what_came_to_nothing_is_not_told() {
    let mut scene = Scene::new();
    let keyspace = &scene.keyspace;
    {
        let session = scene.local.pin();
        session.begin_block();
        let scribe = session.scribe(3).expect("a log");
        let enter = |name: &'static [u8]| scribe.enter(keyspace.key(name), Written::Removed);
        drop(enter(b"first lost"));
        enter(b"a").commit();
        drop(enter(b"lost"));
        drop(enter(b"lost again, and longer than what it follows by a good deal"));
        drop(session.enter_flush(9));
        enter(b"b").commit();
        // So long that the block no longer fits in slots, and taken back.
        drop(enter(&[b'x'; 1000]));
        enter(b"c").commit();
        drop(enter(b"last lost"));
        session.end_block();
    }
    let expected = ["a", "b", "c"].map(|name| text(3, name, "Remove"));
    assert_eq!(scene.next().1, expected);
    assert!(scene.is_empty());
}

#[test]
fn a_block_without_a_change_is_void() {
    let mut scene = Scene::new();
    {
        let session = scene.local.pin();
        session.begin_block();
        drop(session.enter_swap(1, 2));
        session.end_block();
        session.end_block();
    }
    assert!(matches!(scene.consumer.next(), Some(Read::Void)));
    assert!(scene.is_empty());
}

#[test]
fn a_session_that_is_dropped_in_a_block_ends_it() {
    let mut scene = Scene::new();
    let keyspace = &scene.keyspace;
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let session = scene.local.pin();
        session.begin_block();
        keyspace.database(0).set(&session, keyspace.key(b"a"), NewValue::Copy(b"x"));
        std::panic::resume_unwind(Box::new(()));
    }));
    assert!(panicked.is_err());
    assert_eq!(scene.next().1, [text(0, "a", "Set([120], None)")]);
    let session = scene.local.pin();
    session.begin_block();
    drop(session);
    // A block of nothing takes no place.
    let keyspace = &scene.keyspace;
    keyspace.database(0).set(&scene.local.pin(), keyspace.key(b"b"), NewValue::Copy(b"y"));
    let told = format!("plain {}", text(0, "b", "Set([121], None)"));
    assert_eq!(scene.next().1, [told]);
}

#[test]
fn without_a_log_nothing_is_collected() {
    let keyspace = Keyspace::new(KeyspaceOptions::default());
    let local = keyspace.join();
    let session = local.pin();
    session.begin_block();
    keyspace.database(0).set(&session, keyspace.key(b"a"), NewValue::Copy(b"x"));
    keyspace.flush_all(&session);
    session.end_block();
    assert!(keyspace.database(0).is_empty(&session));
}

#[test]
fn a_reply_waits_for_the_block_that_it_tells_of() {
    let mut scene = Scene::new();
    scene.keyspace.log().expect("a log").set_strict(true);
    let keyspace = &scene.keyspace;
    let session = scene.local.pin();
    session.begin_block();
    assert_eq!(scene.local.take_exposed(), 0);
    keyspace.database(0).set(&session, keyspace.key(b"a"), NewValue::Copy(b"x"));
    let exposed = scene.local.take_exposed();
    keyspace.database(0).flush(&session);
    assert_eq!(scene.local.take_exposed(), exposed);
    session.end_block();
    drop(session);
    let (ticket, parts) = scene.next();
    assert_eq!((ticket + 1, parts.len()), (exposed, 2));
    assert_eq!(scene.consumer.position(), exposed);
}

#[test]
fn a_snapshot_begins_when_the_block_is_over_however_often_it_is_renewed() {
    let scene = Scene::new();
    let keyspace = &scene.keyspace;
    let mut session = scene.local.pin();
    session.begin_block();
    keyspace.database(0).set(&session, keyspace.key(b"a"), NewValue::Copy(b"x"));
    std::thread::scope(|scope| {
        let snapshot = scope.spawn(|| {
            let local = keyspace.join();
            let mut keys = Vec::new();
            let mut snapshot = keyspace.begin_snapshot(&local).expect("no other one");
            snapshot.set_tables(&[0]);
            while snapshot.step(&mut |key| keys.push(key.key.to_vec())) {}
            snapshot.finish(&mut |key| keys.push(key.key.to_vec()));
            keys.sort();
            keys.dedup();
            keys
        });
        for _ in 0..50 {
            session.renew();
            std::thread::sleep(Duration::from_millis(1));
            assert!(!snapshot.is_finished());
        }
        keyspace.database(0).set(&session, keyspace.key(b"b"), NewValue::Copy(b"x"));
        session.end_block();
        drop(session);
        let keys = snapshot.join().expect("it ends");
        assert_eq!(keys, [b"a", b"b"], "the block's ticket is before the snapshot's");
    });
}
