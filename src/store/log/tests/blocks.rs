//! Blocks as they are entered by a commit over several keys.

use super::{Code, Effect, Log, Logged, log};
use crate::record::{Birth, Key, NewValue, OwnedRecord};
use crate::ring::{Boxed, Consumer, ENTRY_BYTES, Read};
use crate::store::log::Block;
use crate::sync::OnceLock;
use crate::table::{BlockJournal, Part, Tag, Written};
use bytes::Bytes;

const TABLE: u64 = (1 << 40) - 1;

fn journal() -> (OnceLock<Log>, Consumer) {
    let (log, consumer) = log();
    let journal = OnceLock::new();
    assert!(journal.set(log).is_ok());
    (journal, consumer)
}

/// A change to be told: its key, its record (none for an absence), what is new of it.
struct Change {
    table: u64,
    key: Vec<u8>,
    record: Option<OwnedRecord>,
    tag: Tag,
}

impl Change {
    fn new(table: u64, key: &[u8], value: &NewValue<'_>, deadline: Option<u64>, tag: Tag) -> Self {
        let birth = Birth { deadline, ..Birth::of(Key { bytes: key, hash: 0 }, 1) };
        let record = Some(OwnedRecord::new(&birth, value));
        Self { table, key: key.to_vec(), record, tag }
    }

    fn removal(table: u64, key: &[u8]) -> Self {
        Self { table, key: key.to_vec(), record: None, tag: Tag::Whole }
    }

    fn part(&self) -> Part<'_> {
        let written = match &self.record {
            Some(record) => Written::Put(record.as_ref(), self.tag),
            None => Written::Removed,
        };
        Part { table: self.table, key: Key { bytes: &self.key, hash: 0 }, written }
    }
}

fn enter(journal: &OnceLock<Log>, changes: &[Change]) {
    journal.enter_block(&mut changes.iter().map(Change::part)).expect("a log").commit();
}

/// What an entry says; the parts if it is a block.
fn read(consumer: &mut Consumer, check: impl FnOnce(bool, Vec<Logged<'_>>)) {
    let read = consumer.next().expect("an entry");
    let is_boxed = matches!(read, Read::Boxed(_));
    match Logged::decode(&read).expect("not void") {
        Logged::Block(block) => check(is_boxed, block.collect()),
        single => check(is_boxed, vec![single]),
    }
    consumer.release();
}

fn key<'e>(table: u64, key: &'e [u8], effect: Effect<'e>) -> Logged<'e> {
    Logged::Key { table, key, effect }
}

#[test]
fn every_effect_is_read_as_it_was_written() {
    let (journal, mut consumer) = journal();
    let text = NewValue::Copy(b"abcdef");
    let changes = [
        Change::new(0, b"a", &text, None, Tag::Whole),
        Change::new(TABLE, b"b", &text, Some(u64::MAX), Tag::Whole),
        Change::new(127, b"c", &text, Some(7), Tag::Tail(2)),
        Change::new(128, b"d", &text, None, Tag::Range(1, 3)),
        Change::new(300, b"e", &NewValue::Copy(b"42"), None, Tag::Added(-5)),
        Change::new(1, b"f", &text, Some(1 << 50), Tag::Deadline),
        Change::new(1, b"g", &text, None, Tag::Deadline),
        Change::removal(1, b""),
        Change::new(1, b"h", &NewValue::Copy(b"-17"), None, Tag::Whole),
    ];
    enter(&journal, &changes);
    read(&mut consumer, |is_boxed, parts| {
        assert!(!is_boxed);
        let expected = [
            key(0, b"a", Effect::Set(b"abcdef", None)),
            key(TABLE, b"b", Effect::Set(b"abcdef", Some(u64::MAX))),
            key(127, b"c", Effect::Append(b"ef")),
            key(128, b"d", Effect::Range(1, b"bcd")),
            key(300, b"e", Effect::Add(-5)),
            key(1, b"f", Effect::Expire(1 << 50)),
            key(1, b"g", Effect::Persist),
            key(1, b"", Effect::Remove),
            key(1, b"h", Effect::Set(b"-17", None)),
        ];
        assert_eq!(parts, expected);
    });
}

#[test]
fn blocks_of_every_length_are_read_as_they_were_written() {
    let (journal, mut consumer) = journal();
    let mut forms = [0; 2];
    for first in [0, 1, 40, 100, 127, 128, 200, 224, 300, 16_383, 16_384, 70_000] {
        for second in (0..=ENTRY_BYTES).chain([1000, 20_000]) {
            let values = [vec![b'x'; first], vec![b'y'; second]];
            let changes: Vec<_> = values
                .iter()
                .map(|value| {
                    let (name, value) = (&value[..value.len() / 2], NewValue::Copy(value));
                    Change::new(3, name, &value, Some(9), Tag::Whole)
                })
                .collect();
            enter(&journal, &changes);
            read(&mut consumer, |is_boxed, parts| {
                forms[usize::from(is_boxed)] += 1;
                let effects = values.iter().map(|value| Effect::Set(value, Some(9)));
                let names = values.iter().map(|value| &value[..value.len() / 2]);
                let expected: Vec<_> =
                    names.zip(effects).map(|(name, effect)| key(3, name, effect)).collect();
                assert!(parts == expected, "{first} and {second}");
            });
        }
    }
    assert!(forms[0] > 50 && forms[1] > 50, "{forms:?}");
}

#[test]
fn four_keys_of_a_usual_size_need_no_box() {
    let (journal, mut consumer) = journal();
    let value = NewValue::Copy(&[b'v'; 32]);
    let changes: Vec<_> = (0..4)
        .map(|number| Change::new(number, &[b'a' + number as u8; 16], &value, None, Tag::Whole))
        .collect();
    enter(&journal, &changes);
    read(&mut consumer, |is_boxed, parts| assert_eq!((is_boxed, parts.len()), (false, 4)));
}

#[test]
fn large_values_are_shared_and_come_with_their_own_parts() {
    let (journal, mut consumer) = journal();
    for count in [1, 2, 3, 100] {
        let values: Vec<_> =
            (0..count).map(|number| Bytes::from(vec![number as u8; 20_000 + number])).collect();
        let mut changes = Vec::new();
        for (number, value) in values.iter().enumerate() {
            let name = number.to_string();
            let large = NewValue::Shared(value.clone());
            let deadline = (number % 3 == 0).then_some(5);
            changes.push(Change::new(1, name.as_bytes(), &large, deadline, Tag::Whole));
            // Only what is new of a large value is copied.
            changes.push(Change::new(2, name.as_bytes(), &large, None, Tag::Tail(1)));
        }
        enter(&journal, &changes);
        drop(changes);
        let entry = consumer.next().expect("an entry");
        let Some(Logged::Block(mut block)) = Logged::decode(&entry) else { panic!("no block") };
        for (number, value) in values.iter().enumerate() {
            let name = number.to_string();
            let (logged, shared) = block.next_part().expect("a part");
            let effect = Effect::Set(value, (number % 3 == 0).then_some(5));
            assert!(logged == key(1, name.as_bytes(), effect), "{number} of {count}");
            assert_eq!(shared.expect("a tail").as_ptr(), value.as_ptr(), "not copied");
            let (logged, shared) = block.next_part().expect("a part");
            assert_eq!(logged, key(2, name.as_bytes(), Effect::Append(&[number as u8])));
            assert!(shared.is_none());
        }
        assert_eq!(block.next_part(), None);
        assert!(values.iter().all(|value| !value.is_unique()));
        drop(entry);
        consumer.release();
        assert!(values.iter().all(Bytes::is_unique), "freed with the entry");
    }
}

#[test]
fn boxed_bytes_of_all_tails_count_as_room() {
    let (journal, mut consumer) = journal();
    let changes: Vec<_> = (0..4)
        .map(|_| {
            let value = NewValue::Shared(Bytes::from(vec![0; 17 << 20]));
            Change::new(1, b"k", &value, None, Tag::Whole)
        })
        .collect();
    enter(&journal, &changes);
    assert!(!journal.get().expect("a log").has_room());
    drop(consumer.next());
    consumer.release();
    assert!(journal.get().expect("a log").has_room());
}

#[test]
fn a_block_of_one_part_is_a_plain_entry() {
    let (journal, mut consumer) = journal();
    for value in [&b"short"[..], &[b'x'; 1000], &[b'x'; 20_000]] {
        for value in [NewValue::Copy(value), NewValue::Shared(Bytes::copy_from_slice(value))] {
            enter(&journal, &[Change::new(5, b"k", &value, None, Tag::Whole)]);
            let read = consumer.next().expect("an entry");
            assert!(matches!(Logged::decode(&read), Some(Logged::Key { table: 5, .. })));
            consumer.release();
        }
    }
}

#[test]
fn without_a_log_or_a_part_there_is_no_entry() {
    let none = OnceLock::new();
    let change = Change::removal(0, b"k");
    assert!(none.enter_block(&mut [change.part(), change.part()].into_iter()).is_none());
    none.wake();
    let record = OwnedRecord::new(&Birth::of(change.part().key, 1), &NewValue::Copy(b"v"));
    assert!(!BlockJournal::wants(&none, 0, record.as_ref()));
    let (journal, mut consumer) = journal();
    assert!(journal.enter_block(&mut std::iter::empty()).is_none());
    assert!(!BlockJournal::wants(&journal, 0, record.as_ref()), "no snapshot");
    // A commit that came to nothing.
    drop(journal.enter_block(&mut [change.part(), change.part()].into_iter()));
    assert!(matches!(consumer.next(), Some(Read::Void)));
}

/// Reads whatever there is in an entry with these bytes.
fn read_anything(read: &Read<'_>) -> usize {
    match Logged::decode(read) {
        Some(Logged::Block(mut block)) => {
            let mut parts = 0;
            while block.next_part().is_some() {
                parts += 1;
            }
            assert_eq!(block.next_part(), None, "an end is the end");
            parts
        }
        other => usize::from(other.is_some()),
    }
}

#[test]
fn no_bytes_make_the_reader_panic() {
    let mut random = fastrand::Rng::with_seed(11);
    let mut parts = 0;
    for round in 0..300_000 {
        let mut bytes = vec![0; random.usize(0..80)];
        // Small numbers are codes and lengths that fit.
        let most = if round % 2 == 0 { 255 } else { 20 };
        bytes.iter_mut().for_each(|byte| *byte = random.u8(0..=most));
        if round % 4 > 0
            && let Some(first) = bytes.first_mut()
        {
            *first = Code::Block as u8;
        }
        parts += read_anything(&Read::Inline(&bytes));
        let more = vec![Bytes::from_static(b"tail"); random.usize(0..3)];
        let boxed = Boxed { head: bytes, tail: Bytes::new(), more };
        parts += read_anything(&Read::Boxed(Box::new(boxed)));
    }
    assert!(parts > 50_000, "{parts} parts in noise");
}

#[test]
fn one_changed_or_missing_byte_of_a_block_never_makes_the_reader_panic() {
    let (journal, mut consumer) = journal();
    let large = NewValue::Shared(Bytes::from(vec![b'l'; 20_000]));
    let changes = [
        Change::new(700, b"one", &NewValue::Copy(&[b'v'; 150]), Some(5), Tag::Whole),
        Change::new(1, b"two", &large, Some(5), Tag::Whole),
        Change::removal(1, b"three"),
    ];
    enter(&journal, &changes);
    let Some(Read::Boxed(boxed)) = consumer.next() else { panic!("a box") };
    for place in 0..boxed.head.len() {
        for change in 1..=u8::MAX {
            let mut head = boxed.head.clone();
            head[place] ^= change;
            let tail = boxed.tail.clone();
            read_anything(&Read::Boxed(Box::new(Boxed { head, tail, more: vec![] })));
        }
        let head = boxed.head[..place].to_vec();
        read_anything(&Read::Boxed(Box::new(Boxed { head, ..Boxed::default() })));
    }
}

#[test]
fn a_part_that_wants_a_tail_that_is_not_there_ends_the_block() {
    let head = [Code::Block as u8, 0, Code::Set as u8 | 0x80, 0, 0, Code::Set as u8 | 0x80];
    let tail = Bytes::from_static(b"tail");
    let boxed = Boxed { head: [&head[..], &[0, 0]].concat(), tail, more: vec![] };
    let block = Block::in_box(&boxed).expect("a block");
    let expected = [key(0, b"", Effect::Set(b"tail", None))];
    assert!(block.eq(expected));
}
