//! Maps with locks: dashmap and scc from the registry, and hashbrown in shards.

use std::sync::{PoisonError, RwLock};

use crossbeam_utils::CachePadded;
use dashmap::DashMap;
use hashbrown::HashTable;

use crate::keys::Key;
use crate::subject::{Item, Mode, Operation, Subject, View, digest, each};

type Hasher = ahash::RandomState;
type Counter = Item<i64>;

impl Item<i64> {
    #[inline(always)]
    fn digest(&self) -> u64 {
        match self {
            Item::Bytes(bytes) => digest(bytes),
            Item::Counter(number) => *number as u64,
        }
    }

    #[inline(always)]
    fn add(&mut self) -> i64 {
        let Item::Counter(number) = self else { panic!("not a counter") };
        *number += 1;
        *number
    }
}

/// Reader-writer locks over hashbrown tables, by default four per core.
pub(crate) struct Dashmap(DashMap<Box<[u8]>, Counter, Hasher>);

impl Subject for Dashmap {
    const NAME: &'static str = "dashmap";
    const MODES: &'static [Mode] = &[Mode::Single];
    type Thread = ();

    fn new() -> Self {
        Self(DashMap::default())
    }

    fn join(&self) {}

    fn run<O: Operation>(&self, (): &(), _mode: Mode, keys: &[Key]) -> u64 {
        each::<O>(self, keys, 0)
    }
}

impl View for Dashmap {
    #[inline(always)]
    fn get(&self, key: &Key) -> Option<u64> {
        self.0.get(&key[..]).map(|item| item.digest())
    }

    #[inline(always)]
    fn set(&self, key: &Key, value: &[u8]) {
        match self.0.get_mut(&key[..]) {
            Some(mut item) => *item = Item::Bytes(value.into()),
            None => self.insert(key, value),
        }
    }

    #[inline(always)]
    fn insert(&self, key: &Key, value: &[u8]) {
        self.0.insert((&key[..]).into(), Item::Bytes(value.into()));
    }

    #[inline(always)]
    fn add(&self, key: &Key) -> i64 {
        if let Some(mut item) = self.0.get_mut(&key[..]) {
            return item.add();
        }
        self.0.entry((&key[..]).into()).or_insert(Item::Counter(0)).add()
    }
}

/// A lock per bucket, reads included.
pub(crate) struct Scc(scc::HashMap<Box<[u8]>, Counter, Hasher>);

impl Subject for Scc {
    const NAME: &'static str = "scc";
    const MODES: &'static [Mode] = &[Mode::Single];
    type Thread = ();

    fn new() -> Self {
        Self(scc::HashMap::default())
    }

    fn join(&self) {}

    fn run<O: Operation>(&self, (): &(), _mode: Mode, keys: &[Key]) -> u64 {
        each::<O>(self, keys, 0)
    }
}

impl View for Scc {
    #[inline(always)]
    fn get(&self, key: &Key) -> Option<u64> {
        self.0.read_sync(&key[..], |_, item| item.digest())
    }

    #[inline(always)]
    fn set(&self, key: &Key, value: &[u8]) {
        let updated = self.0.update_sync(&key[..], |_, item| *item = Item::Bytes(value.into()));
        if updated.is_none() {
            self.insert(key, value);
        }
    }

    #[inline(always)]
    fn insert(&self, key: &Key, value: &[u8]) {
        self.0.upsert_sync((&key[..]).into(), Item::Bytes(value.into()));
    }

    #[inline(always)]
    fn add(&self, key: &Key) -> i64 {
        if let Some(sum) = self.0.update_sync(&key[..], |_, item| item.add()) {
            return sum;
        }
        self.0.entry_sync((&key[..]).into()).or_insert(Item::Counter(0)).get_mut().add()
    }
}

/// hashbrown tables behind the standard library's lock, four per core.
pub(crate) struct Sharded {
    shards: Box<[CachePadded<RwLock<Shard>>]>,
    hasher: Hasher,
}

type Shard = HashTable<(Box<[u8]>, Counter)>;

/// Where the bits of the hash that choose the shard begin: between those that hashbrown uses for
/// the position (the low ones) and for the tag (the top seven).
const SHARD_SHIFT: u32 = 44;

impl Subject for Sharded {
    const NAME: &'static str = "sharded";
    const MODES: &'static [Mode] = &[Mode::Single];
    type Thread = ();

    fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let shards = (0..(4 * cores).next_power_of_two()).map(|_| CachePadded::default());
        Self { shards: shards.collect(), hasher: Hasher::default() }
    }

    fn join(&self) {}

    fn run<O: Operation>(&self, (): &(), _mode: Mode, keys: &[Key]) -> u64 {
        each::<O>(self, keys, 0)
    }
}

impl Sharded {
    #[inline(always)]
    fn locate(&self, key: &[u8]) -> (u64, &RwLock<Shard>) {
        let hash = self.hasher.hash_one(key);
        (hash, &self.shards[(hash >> SHARD_SHIFT) as usize & (self.shards.len() - 1)])
    }

    /// Changes the item of a key under the lock of its shard, having made it if there is none.
    #[inline(always)]
    fn change<T>(
        &self,
        key: &Key,
        make: impl FnOnce() -> Counter,
        change: impl FnOnce(&mut Counter) -> T,
    ) -> T {
        let (hash, shard) = self.locate(key);
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        match shard.find_mut(hash, |(other, _)| **other == key[..]) {
            Some((_, item)) => change(item),
            None => {
                let pair = ((&key[..]).into(), make());
                let rehash = |(key, _): &(Box<[u8]>, Counter)| self.hasher.hash_one(&key[..]);
                change(&mut shard.insert_unique(hash, pair, rehash).get_mut().1)
            }
        }
    }
}

impl View for Sharded {
    #[inline(always)]
    fn get(&self, key: &Key) -> Option<u64> {
        let (hash, shard) = self.locate(key);
        let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
        shard.find(hash, |(other, _)| **other == key[..]).map(|(_, item)| item.digest())
    }

    #[inline(always)]
    fn set(&self, key: &Key, value: &[u8]) {
        self.change(key, || Item::Counter(0), |item| *item = Item::Bytes(value.into()));
    }

    #[inline(always)]
    fn insert(&self, key: &Key, value: &[u8]) {
        self.set(key, value);
    }

    #[inline(always)]
    fn add(&self, key: &Key) -> i64 {
        self.change(key, || Item::Counter(0), Item::add)
    }
}
