//! Readers that hold what they have found while writers replace it and arrays go.

use crate::support::{Model, THREADS};
use ferrum_kv::record::{Birth, Key, NewValue, OwnedRecord};
use ferrum_kv::sync::Arc;
use ferrum_kv::sync::epoch::Collector;
use ferrum_kv::sync::planted::Planted;
use ferrum_kv::table::{Decision, Table, TableOptions, Tag};

const ROUNDS: u64 = 12;
/// Keys that all threads share.
const KEYS: u64 = 5;

const READERS: Model = Model(readers);

fn readers() {
    let collector = Collector::new();
    let options = TableOptions { segment_bits: 0, first_slots: 4 };
    let table = Arc::new(Table::new(options, collector.clone()));
    let threads: Vec<_> = (0..THREADS as u64)
        .map(|number| {
            let (table, collector) = (table.clone(), collector.clone());
            shuttle::thread::spawn(move || work(number, &table, &collector))
        })
        .collect();
    for thread in threads {
        thread.join().expect("a thread of the schedule");
    }
    assert!(table.migrations().1 > 1, "the segment must migrate");
}

fn work(number: u64, table: &Table, collector: &Collector) {
    let participant = collector.register();
    for round in 0..ROUNDS {
        let guard = participant.pin();
        let mut held = Vec::new();
        for step in 0..3 {
            let index = (number + round + step) % KEYS;
            let name = index.to_le_bytes();
            // Five homes around the array, and two tags.
            let key = Key { bytes: &name, hash: index << 61 | index << 16 | (index % 2) };
            match (number + round * 3 + step) % 4 {
                0 => table.update(key, &guard, |_| Decision::Remove(0, ())),
                1 | 2 => {
                    let text = format!("{number}:{round}");
                    table.update(key, &guard, |_| {
                        let value = NewValue::Copy(text.as_bytes());
                        Decision::Put(OwnedRecord::new(&Birth::of(key, 0), &value), Tag::Whole, ())
                    });
                }
                _ => {}
            }
            if let Some(record) = table.get(key, &guard) {
                held.push((record, record.value().map(|value| value.to_vec())));
            }
        }
        shuttle::thread::yield_now();
        for (record, value) in held {
            assert_eq!(record.value().map(|value| value.to_vec()), value, "a value changed");
        }
    }
}

#[test]
fn what_readers_hold_stays() {
    READERS.holds();
}

#[test]
#[should_panic(expected = "a record was")]
fn a_record_retired_before_it_is_unlinked_is_seen() {
    READERS.breaks_under(Planted::RetireBeforeUnlink);
}

#[test]
#[should_panic(expected = "a record was")]
fn a_key_changed_before_its_old_slot_is_moved_is_seen() {
    READERS.breaks_under(Planted::MutateBeforeMoved);
}

#[test]
#[should_panic(expected = "an array was")]
fn an_array_retired_while_it_is_the_root_is_seen() {
    READERS.breaks_under(Planted::RetireArrayBeforeSwap);
}
