//! Tests of the writer: the bytes of every command, the policies, and a disk that fails.

mod blocks;
mod disk;
mod dormancy;
mod failures;
mod files;
mod medium;
mod policies;
mod switches;
mod translation;

use super::{AppendFsync, LogHandle, LogOptions, Places};
use crate::store::{Keyspace, KeyspaceOptions, Local, NewValue};
use crate::sync::Arc;
use disk::Disk;
use std::time::{Duration, Instant};

/// Databases of the keyspaces here.
const DATABASES: u64 = 4;

/// A keyspace whose changes go to a log.
struct Bench {
    keyspace: Keyspace,
    local: Local,
    log: Arc<LogHandle>,
}

fn options(policy: AppendFsync, length: u64) -> LogOptions {
    LogOptions { path: "model.aof".into(), length, policy, places: Places::new(DATABASES) }
}

fn keyspace() -> Keyspace {
    let databases = DATABASES as usize;
    Keyspace::new(KeyspaceOptions { databases, ..KeyspaceOptions::default() })
}

impl Bench {
    /// On a disk, with a ring of so many slots.
    fn with_slots(disk: &Disk, policy: AppendFsync, slots: usize) -> Bench {
        let keyspace = keyspace();
        let consumer = keyspace.start_log(slots);
        let storage = Arc::new(disk.clone());
        let log = LogHandle::start_on(storage, options(policy, 0), consumer).unwrap();
        Bench { local: keyspace.join(), keyspace, log }
    }

    fn new(disk: &Disk, policy: AppendFsync) -> Bench {
        Self::with_slots(disk, policy, 1024)
    }

    /// Sets a key; returns the position that the log must reach before this may be told.
    fn set(&self, key: &str, value: &str) -> u64 {
        self.set_bytes(key.as_bytes(), value.as_bytes())
    }

    fn set_bytes(&self, key: &[u8], value: &[u8]) -> u64 {
        let session = self.local.pin();
        let key = self.keyspace.key(key);
        self.keyspace.database(0).set(&session, key, NewValue::Copy(value));
        drop(session);
        self.tail()
    }

    fn tail(&self) -> u64 {
        self.keyspace.log().unwrap().ring().tail()
    }

    fn stop(&self) {
        self.log.stop(Duration::from_secs(10)).unwrap();
    }
}

/// Waits until something is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let patience = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < patience, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The commands of a log, each as words with spaces between; what is not whole is left out.
fn commands(mut bytes: &[u8]) -> Vec<String> {
    let mut commands = Vec::new();
    while let Some((words, rest)) = command(bytes) {
        commands.push(words.join(" "));
        bytes = rest;
    }
    commands
}

fn command(bytes: &[u8]) -> Option<(Vec<String>, &[u8])> {
    let (count, mut rest) = number(bytes, b'*')?;
    let mut words = Vec::new();
    for _ in 0..count {
        let (length, text) = number(rest, b'$')?;
        let (word, after) = text.split_at_checked(length)?;
        words.push(String::from_utf8_lossy(word).into_owned());
        rest = after.strip_prefix(b"\r\n")?;
    }
    Some((words, rest))
}

fn number(bytes: &[u8], sign: u8) -> Option<(usize, &[u8])> {
    let digits = bytes.strip_prefix(&[sign])?;
    let end = digits.iter().position(|&byte| byte == b'\r')?;
    let number = std::str::from_utf8(&digits[..end]).ok()?.parse().ok()?;
    Some((number, digits[end..].strip_prefix(b"\r\n")?))
}
