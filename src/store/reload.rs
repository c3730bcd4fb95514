//! Loading again what a log tells, while the server runs (DEBUG LOADAOF).
//!
//! A second keyspace is filled beside the first one and then takes its place, table by table. So
//! nothing is lost when the log turns out to be damaged, and nothing that is loaded is logged.
//!
//! The tables of both go by one collector and one hash, since threads that know the first keyspace
//! will use them. Versions are another matter: those of the second one begin at the beginning. They
//! are unique there, and nothing of the first one is left to be mistaken for it but what clients
//! watch, which is why all watches break. From then on versions are tickets of the log, so the log
//! must be past all versions that were given: a snapshot tells by them what was there before it.

use super::{Keyspace, KeyspaceOptions, Local};
use crate::sync::plain::Ordering;
use std::time::Duration;

/// Between two looks for room in the log.
const PAUSE: Duration = Duration::from_micros(100);

/// The keyspace does not change: it was given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GivenUp;

impl Keyspace {
    /// An empty keyspace whose content can take the place of this one's ([`Keyspace::adopt`]).
    /// Its changes are not logged.
    pub fn beside(&self) -> Keyspace {
        let options = KeyspaceOptions {
            databases: self.databases(),
            table: self.generations.options(),
            ..KeyspaceOptions::default()
        };
        let mut beside = Self::with(options, self.hasher.clone(), self.collector.clone());
        beside.clock = self.clock.clone();
        beside.eviction = self.eviction.clone();
        beside
    }

    /// Has the log write everything that was changed so far, and say where that ends to those who
    /// [expect a mark](crate::aof::writer::LogHandle::expect_mark).
    pub fn mark_log(&self) {
        if let Some(log) = self.log() {
            log.enter_mark().commit();
            log.wake();
        }
    }

    /// Puts what `other` holds, which was made [`beside`](Keyspace::beside) this one, in the place
    /// of what is here. Nothing of it is logged: the log has told it already. The caller has all
    /// others out of the keyspace and knows that there is no snapshot of it.
    ///
    /// # Errors
    /// [`GivenUp`], when `gives_up` says so while the log has no room.
    pub fn adopt(
        &self,
        local: &Local,
        mut other: Keyspace,
        gives_up: impl Fn() -> bool,
    ) -> Result<(), GivenUp> {
        self.pass_versions(&other, gives_up)?;
        let session = local.pin();
        self.generations.adopt(&mut other.generations, &session);
        Ok(())
    }

    /// Moves the log's tickets past the versions of `other`, by entries that are void.
    fn pass_versions(&self, other: &Keyspace, gives_up: impl Fn() -> bool) -> Result<(), GivenUp> {
        let Some(log) = self.log() else { return Ok(()) };
        // Relaxed: whoever took a block of versions has finished with it.
        let end = other.versions.load(Ordering::Relaxed);
        while log.ring().tail() < end {
            if log.has_room() {
                drop(log.enter_mark());
            } else if gives_up() {
                return Err(GivenUp);
            } else {
                std::thread::sleep(PAUSE);
            }
        }
        Ok(())
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::record::NewValue;
    use crate::ring::Consumer;
    use crate::store::Value;
    use crate::sync::plain::AtomicBool;

    const DATABASES: usize = 4;
    const KEYS: usize = 10_000;

    fn keyspace() -> (Keyspace, Consumer) {
        let keyspace =
            Keyspace::new(KeyspaceOptions { databases: DATABASES, ..KeyspaceOptions::default() });
        let consumer = keyspace.start_log(64);
        (keyspace, consumer)
    }

    fn set(keyspace: &Keyspace, local: &Local, database: usize, key: &str, value: &[u8]) {
        let session = local.pin();
        let name = keyspace.key(key.as_bytes());
        keyspace.database(database).set(&session, name, NewValue::Copy(value));
    }

    fn get(keyspace: &Keyspace, local: &Local, database: usize, key: &str) -> Option<Vec<u8>> {
        let session = local.pin();
        let name = keyspace.key(key.as_bytes());
        keyspace.database(database).peek(&session, name, |entry| match entry.value() {
            Value::Bytes(bytes) => bytes.to_vec(),
            Value::Integer(number) => number.to_string().into_bytes(),
            Value::Large(large) => large.to_bytes().to_vec(),
        })
    }

    /// A keyspace beside this one with many keys in the database 1, and one in 0.
    fn filled(keyspace: &Keyspace) -> Keyspace {
        let beside = keyspace.beside();
        let local = beside.join();
        (0..KEYS).for_each(|number| set(&beside, &local, 0, &format!("k{number}"), b"new"));
        beside.database(0).swap(&local.pin(), 1);
        set(&beside, &local, 0, "both", b"2");
        drop(local);
        beside
    }

    /// Says that it is over, also by a panic.
    struct Over<'s>(&'s AtomicBool);

    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// Takes what is logged until told to stop.
    fn drain(mut consumer: Consumer, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            while consumer.next().is_some() {}
            consumer.release();
            std::thread::yield_now();
        }
    }

    #[test]
    fn what_was_loaded_is_there_instead_and_older_than_all_that_comes() {
        let (keyspace, consumer) = keyspace();
        let local = keyspace.join();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let stop = &stop;
            let _over = Over(stop);
            scope.spawn(move || drain(consumer, stop));
            set(&keyspace, &local, 0, "both", b"1");
            set(&keyspace, &local, 0, "old", b"1");
            set(&keyspace, &local, 3, "old", b"1");
            keyspace.database(0).swap(&local.pin(), 2);
            let places = keyspace.places(&local.pin());
            let watched = {
                let session = local.pin();
                keyspace.database(3).watch(&session, keyspace.key(b"old"))
            };
            let beside = filled(&keyspace);
            let versions = beside.versions.load(Ordering::Relaxed);
            assert_eq!(keyspace.adopt(&local, beside, || false), Ok(()));

            let log = keyspace.log().expect("it was started");
            assert!(log.ring().tail() >= versions, "tickets are later than all versions");
            assert_eq!(keyspace.places(&local.pin()), places, "the log knows where keys belong");
            assert!(!local.pin().is_unchanged(&keyspace, &watched));
            let counts = [0, 1, 2, 3].map(|index| keyspace.database(index).len(&local.pin()));
            assert_eq!(counts, [1, KEYS as u64, 0, 0]);
            assert_eq!(get(&keyspace, &local, 0, "both").as_deref(), Some(&b"2"[..]));
            assert_eq!(get(&keyspace, &local, 1, "k77").as_deref(), Some(&b"new"[..]));
            assert_eq!(get(&keyspace, &local, 3, "old"), None);
            // Changed afterwards, so a snapshot has the others only.
            let mut snapshot = keyspace.begin_snapshot(&local).expect("there is none");
            set(&keyspace, &local, 1, "later", b"x");
            let tables: Vec<u64> = places.iter().map(|(_, table)| *table).collect();
            snapshot.set_tables(&tables);
            let mut keys = 0;
            while snapshot.step(&mut |_| keys += 1) {}
            assert_eq!(keys, KEYS + 1);
        });
    }

    #[test]
    fn nothing_changes_when_the_log_has_no_room_and_it_is_given_up() {
        let (keyspace, _consumer) = keyspace();
        let local = keyspace.join();
        set(&keyspace, &local, 0, "both", b"1");
        let beside = filled(&keyspace);
        assert_eq!(keyspace.adopt(&local, beside, || true), Err(GivenUp));
        assert_eq!(get(&keyspace, &local, 0, "both").as_deref(), Some(&b"1"[..]));
        assert_eq!(keyspace.database(1).len(&local.pin()), 0);
    }
}
