//! Our keyspace.

use ferrum_kv::store::{
    self, Database, Keyspace, KeyspaceOptions, Local, NewValue, Session, Value,
};

use crate::keys::Key;
use crate::subject::{BATCH, Mode, Operation, Subject, View, digest};

pub(crate) struct Ferrum(Keyspace);

impl Subject for Ferrum {
    const NAME: &'static str = "ferrum";
    const MODES: &'static [Mode] = &[Mode::Single, Mode::Batched];
    type Thread = Local;

    fn new() -> Self {
        Self(Keyspace::new(KeyspaceOptions::default()))
    }

    fn join(&self) -> Local {
        self.0.join()
    }

    fn settle(&self, local: &Local) {
        while self.0.report(&local.pin()).migrating > 0 {
            self.0.maintain(local, false);
        }
    }

    fn run<O: Operation>(&self, local: &Local, mode: Mode, keys: &[Key]) -> u64 {
        match mode {
            Mode::Single => self.single::<O>(local, keys),
            Mode::Batched => self.batched::<O>(local, keys),
        }
    }
}

impl Ferrum {
    fn single<O: Operation>(&self, local: &Local, keys: &[Key]) -> u64 {
        let database = self.0.database(0);
        let mut sum = 0u64;
        for (index, key) in keys.iter().enumerate() {
            let session = local.pin();
            let hash = self.0.key(key).hash;
            sum = sum.wrapping_add(O::apply(&At { database, session: &session, hash }, key, index));
        }
        sum
    }

    fn batched<O: Operation>(&self, local: &Local, keys: &[Key]) -> u64 {
        let database = self.0.database(0);
        let mut sum = 0u64;
        let mut hashes = [0u64; BATCH];
        for (number, window) in keys.chunks(BATCH).enumerate() {
            let mut session = local.pin();
            for (key, hash) in window.iter().zip(&mut hashes) {
                *hash = self.0.key(key).hash;
            }
            database.prefetch(&session, &hashes[..window.len()]);
            for (index, (key, &hash)) in window.iter().zip(&hashes).enumerate() {
                let at = At { database, session: &session, hash };
                sum = sum.wrapping_add(O::apply(&at, key, number * BATCH + index));
                session.renew();
            }
        }
        sum
    }
}

struct At<'a> {
    database: Database<'a>,
    session: &'a Session<'a>,
    hash: u64,
}

impl At<'_> {
    #[inline(always)]
    fn key<'k>(&self, bytes: &'k Key) -> store::Key<'k> {
        store::Key { bytes, hash: self.hash }
    }
}

impl View for At<'_> {
    #[inline(always)]
    fn get(&self, key: &Key) -> Option<u64> {
        self.database.get(self.session, self.key(key), |value| match value {
            Value::Bytes(bytes) => digest(bytes),
            Value::Integer(number) => number as u64,
            Value::Large(large) => digest(large.as_slice()),
        })
    }

    #[inline(always)]
    fn set(&self, key: &Key, value: &[u8]) {
        self.database.set(self.session, self.key(key), NewValue::Copy(value));
    }

    #[inline(always)]
    fn insert(&self, key: &Key, value: &[u8]) {
        self.set(key, value);
    }

    #[inline(always)]
    fn add(&self, key: &Key) -> i64 {
        self.database.add(self.session, self.key(key), 1).expect("a counter")
    }
}
