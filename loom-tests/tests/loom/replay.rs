//! What the models of the log share: an interpreter of its entries that knows the state after each
//! of them.

use crate::support::*;
use ferrum_kv::ring::Consumer;
use ferrum_kv::store::{Effect, Key, Keyspace, Local, Logged};
use std::collections::BTreeMap;

/// Slots of the ring: enough for every entry of a model, the void ones included.
pub(crate) const RING_SLOTS: usize = 16;

/// The keys of a table and their values.
pub(crate) type Keys = BTreeMap<Vec<u8>, Vec<u8>>;

/// An interpreter of entries. Like the loading of a log it lets no key expire.
pub(crate) struct Replay {
    tables: BTreeMap<u64, Keys>,
    /// The live table of each place, and the place of each database.
    live: Vec<u64>,
    order: Vec<usize>,
    /// The value of `k` in the first database before any entry and after each, with its ticket.
    pub(crate) states: Vec<(u64, Option<String>)>,
    /// The sum after each addition.
    pub(crate) sums: Vec<i64>,
}

impl Replay {
    /// Begins with these keys in the first database of as many as there are.
    pub(crate) fn new(databases: u64, before: &[(Key<'static>, &str)]) -> Self {
        let mut replay = Self {
            tables: BTreeMap::new(),
            live: (0..databases).collect(),
            order: (0..databases as usize).collect(),
            states: Vec::new(),
            sums: Vec::new(),
        };
        replay.add_table(0, before);
        replay.note(0);
        replay
    }

    /// Adds a table that was there before the first entry.
    pub(crate) fn add_table(&mut self, number: u64, before: &[(Key<'static>, &str)]) {
        let entry = |&(key, value): &(Key<'static>, &str)| -> (Vec<u8>, Vec<u8>) {
            (key.bytes.to_vec(), value.as_bytes().to_vec())
        };
        self.tables.insert(number, before.iter().map(entry).collect());
    }

    fn note(&mut self, ticket: u64) {
        let value = self.value(0);
        self.states.push((ticket, value));
    }

    /// The value of `k` in a database.
    pub(crate) fn value(&self, database: usize) -> Option<String> {
        let keys = self.tables.get(&self.live[self.order[database]])?;
        keys.get(K.bytes).map(|value| String::from_utf8(value.clone()).expect("text"))
    }

    /// The numbers of the live tables.
    pub(crate) fn live(&self) -> Vec<u64> {
        self.live.clone()
    }

    /// The keys of the live tables that have some.
    pub(crate) fn keys(&self) -> BTreeMap<u64, Keys> {
        let tables = self
            .tables
            .iter()
            .filter(|(number, keys)| self.live.contains(number) && !keys.is_empty());
        tables.map(|(number, keys)| (*number, keys.clone())).collect()
    }

    /// Takes an entry out. `None` if it is not published, else whether it was a mark.
    pub(crate) fn step(&mut self, consumer: &mut Consumer) -> Option<bool> {
        let ticket = consumer.position();
        let read = consumer.next()?;
        let logged = Logged::decode(&read);
        if let Some(logged) = logged {
            self.apply(logged);
            self.note(ticket);
        }
        Some(logged == Some(Logged::Mark))
    }

    /// Takes out the entries of threads that have ended.
    pub(crate) fn rest(&mut self, consumer: &mut Consumer) {
        let end = consumer.ring().tail();
        while consumer.position() < end {
            assert!(self.step(consumer).is_some(), "an entry was not published");
        }
    }

    /// Replays everything and compares `k` with what is in memory.
    pub(crate) fn compare(&mut self, consumer: &mut Consumer, keyspace: &Keyspace, local: &Local) {
        let memory: Vec<Option<String>> =
            (0..keyspace.databases()).map(|index| text_in(keyspace, local, index)).collect();
        self.rest(consumer);
        let replayed: Vec<Option<String>> =
            (0..keyspace.databases()).map(|index| self.value(index)).collect();
        assert_eq!(replayed, memory, "the log replays to another value");
    }

    /// Whether `k` went from one value to another by an entry.
    pub(crate) fn went(&self, from: Option<&str>, to: Option<&str>) -> bool {
        let is = |index: usize, value| self.states[index].1.as_deref() == value;
        (1..self.states.len()).any(|index| is(index - 1, from) && is(index, to))
    }

    fn apply(&mut self, logged: Logged<'_>) {
        let databases = self.live.len() as u64;
        match logged {
            Logged::Mark => {}
            Logged::Block(block) => block.for_each(|part| self.apply(part)),
            Logged::Swap(one, other) => self.order.swap(one as usize, other as usize),
            Logged::Flush(table) => {
                let live = &mut self.live[(table % databases) as usize];
                assert_eq!(*live, table, "a table is flushed once, in order");
                *live += databases;
            }
            Logged::Key { table, key, effect } => {
                let live = self.live[(table % databases) as usize];
                assert!(table <= live, "an entry of a table before it is there");
                if table == live {
                    self.change(table, key, effect);
                }
            }
        }
    }

    fn change(&mut self, table: u64, key: &[u8], effect: Effect<'_>) {
        let keys = self.tables.entry(table).or_default();
        if effect == Effect::Remove {
            assert!(keys.remove(key).is_some(), "an absent key was removed");
            return;
        }
        let value = keys.entry(key.to_vec()).or_default();
        match effect {
            Effect::Set(bytes, _) => *value = bytes.to_vec(),
            Effect::Append(tail) => value.extend_from_slice(tail),
            Effect::Add(delta) => {
                let text = std::str::from_utf8(value).expect("digits");
                let sum = delta + if text.is_empty() { 0 } else { text.parse().expect("digits") };
                *value = sum.to_string().into_bytes();
                self.sums.push(sum);
            }
            _ => panic!("not an effect of these models: {effect:?}"),
        }
    }
}

/// The value of `k` in a database in memory.
pub(crate) fn text_in(keyspace: &Keyspace, local: &Local, database: usize) -> Option<String> {
    let value = keyspace.database(database).get(&local.pin(), K, |value| value.to_vec());
    value.map(|value| String::from_utf8(value).expect("text"))
}
