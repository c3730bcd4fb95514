//! Commits whose owners stand still: on real hardware, with the owner's part done step by step.

use super::*;
use crate::record::{NewValue, Value};
use crate::sync::epoch::{Collector, Participant};
use crate::table::{Decision, TableOptions};

struct World {
    table: Table,
    participant: Participant,
}

const KEYS: [Key<'static>; 3] = [
    Key { bytes: b"a", hash: 1 << 60 },
    Key { bytes: b"b", hash: 2 << 60 },
    Key { bytes: b"c", hash: 3 << 60 },
];

impl World {
    /// The first two keys hold `old`.
    fn new() -> World {
        let collector = Collector::new();
        let participant = collector.register();
        let table = Table::new(TableOptions { segment_bits: 1, first_slots: 16 }, collector);
        let world = World { table, participant };
        world.set(KEYS[0], "old");
        world.set(KEYS[1], "old");
        world
    }

    fn set(&self, key: Key<'_>, value: &str) {
        let value = NewValue::Copy(value.as_bytes());
        self.table.update(key, &self.participant.pin(), |_| {
            Decision::Put(OwnedRecord::new(&Birth::of(key, 1), &value), Tag::Whole, ())
        });
    }

    fn get(&self, key: Key<'_>) -> String {
        let guard = self.participant.pin();
        let value = self.table.get(key, &guard).and_then(RecordRef::value);
        match value {
            None => "none".into(),
            Some(Value::Integer(number)) => number.to_string(),
            Some(value) => String::from_utf8(value.to_vec()).unwrap(),
        }
    }

    fn values(&self) -> [String; 3] {
        KEYS.map(|key| self.get(key))
    }

    /// What sets all keys to `new`.
    fn entries(&self) -> Vec<Entry> {
        let entry = |key| {
            let record = OwnedRecord::new(&Birth::of(key, 7), &NewValue::Copy(b"new"));
            Entry::new(&self.table, Expected::Any, record, Effect::Put(Tag::Whole))
        };
        KEYS.map(entry).into()
    }
}

#[test]
fn a_commit_whose_owner_stands_still_is_carried_out_by_who_meets_it() {
    for installed in 1..=KEYS.len() {
        for met in 0..installed {
            let world = World::new();
            let commit = Commit::ready(world.entries(), 9);
            {
                let guard = world.participant.pin();
                (0..installed).for_each(|index| assert!(commit.install(index, &guard).is_some()));
            }
            assert_eq!(world.values(), ["old", "old", "none"], "nothing has happened");
            world.set(KEYS[met], "later");
            let mut expected = ["new"; 3];
            expected[met] = "later";
            assert_eq!(world.values(), expected, "{installed} installed, {met} met");
            assert_eq!(world.table.len(), 3);
        }
    }
}

#[test]
fn a_commit_that_is_not_ready_is_aborted_by_who_meets_it() {
    let world = World::new();
    let commit = Commit::open(world.entries(), 9, 0);
    assert!(commit.install_all(&world.participant.pin()));
    assert_eq!(world.values(), ["old", "old", "none"]);
    world.set(KEYS[1], "later");
    assert_eq!(world.values(), ["old", "later", "none"]);
    assert!(!commit.make_ready());
    // The owner comes back, or who meets the others.
    commit.finish_all(&world.participant.pin());
    assert_eq!(world.values(), ["old", "later", "none"]);
    assert_eq!(world.table.len(), 2);
}

#[test]
fn what_is_left_of_a_commit_goes_with_its_table() {
    for committed in [false, true] {
        let world = World::new();
        let commit = Commit::ready(world.entries(), 9);
        assert!(commit.install_all(&world.participant.pin()));
        let decision = if committed { COMMITTED } else { FAILED };
        assert!(commit.change(READY, decision));
        let expected = if committed { ["new"; 3] } else { ["old", "old", "none"] };
        assert_eq!(world.values(), expected, "readers look through intents");
        drop(commit);
        // The leak check of `tests/keyspace.rs` and the sanitizers see the rest.
        drop(world);
    }
}
