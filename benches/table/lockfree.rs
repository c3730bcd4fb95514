//! papaya: open addressing without locks.

use std::sync::atomic::{AtomicI64, Ordering};

use papaya::{HashMap, HashMapRef, LocalGuard, ResizeMode};

use crate::keys::Key;
use crate::subject::{BATCH, Item, Mode, Operation, Subject, View, digest, each};

type Map = HashMap<Box<[u8]>, Item<AtomicI64>, ahash::RandomState>;

pub(crate) struct Papaya(Map);

impl Subject for Papaya {
    const NAME: &'static str = "papaya";
    const MODES: &'static [Mode] = &[Mode::Single, Mode::Batched];
    type Thread = ();

    fn new() -> Self {
        Self(Map::default())
    }

    /// By default a resize goes on as long as there are inserts, and a load that ends in the middle
    /// of one leaves every later look-up to search two tables.
    fn new_to_load() -> Self {
        let builder = HashMap::builder().resize_mode(ResizeMode::Blocking);
        Self(builder.hasher(ahash::RandomState::default()).build())
    }

    fn join(&self) {}

    fn run<O: Operation>(&self, (): &(), mode: Mode, keys: &[Key]) -> u64 {
        let batch = if mode == Mode::Batched { BATCH } else { 1 };
        keys.chunks(batch).enumerate().fold(0, |sum, (number, window)| {
            sum.wrapping_add(each::<O>(&Pinned(self.0.pin()), window, number * batch))
        })
    }
}

struct Pinned<'m>(HashMapRef<'m, Box<[u8]>, Item<AtomicI64>, ahash::RandomState, LocalGuard<'m>>);

impl View for Pinned<'_> {
    #[inline(always)]
    fn get(&self, key: &Key) -> Option<u64> {
        self.0.get(&key[..]).map(|item| match item {
            Item::Bytes(bytes) => digest(bytes),
            // Relaxed: a number by itself.
            Item::Counter(counter) => counter.load(Ordering::Relaxed) as u64,
        })
    }

    #[inline(always)]
    fn set(&self, key: &Key, value: &[u8]) {
        self.0.insert((&key[..]).into(), Item::Bytes(value.into()));
    }

    #[inline(always)]
    fn insert(&self, key: &Key, value: &[u8]) {
        self.set(key, value);
    }

    #[inline(always)]
    fn add(&self, key: &Key) -> i64 {
        let item = match self.0.get(&key[..]) {
            Some(item) => item,
            None => {
                self.0.get_or_insert_with((&key[..]).into(), || Item::Counter(AtomicI64::new(0)))
            }
        };
        let Item::Counter(counter) = item else { panic!("not a counter") };
        // Relaxed: a number by itself.
        counter.fetch_add(1, Ordering::Relaxed) + 1
    }
}
