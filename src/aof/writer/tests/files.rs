//! The writer on real files.

use super::super::storage::{FileStorage, Storage};
use super::{AppendFsync, DATABASES, commands, keyspace, options, until};
use crate::aof::writer::{LogHandle, LogOptions, WriteError};
use crate::store::{Keyspace, NewValue};
use crate::sync::Arc;
use crate::sync::plain::{AtomicU64, Ordering};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A folder of its own for each test.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Folder {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("ferrum-writer-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Folder(path)
    }

    /// A file in it that holds this.
    pub(super) fn file(&self, name: &str, contents: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, contents).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(super) fn start(keyspace: &Keyspace, path: &Path, policy: AppendFsync) -> Arc<LogHandle> {
    let length = std::fs::metadata(path).unwrap().len();
    let options = LogOptions { path: path.to_owned(), ..options(policy, length) };
    LogHandle::start(options, keyspace.start_log(1 << 12)).unwrap()
}

#[test]
fn changes_of_all_kinds_from_several_threads_come_into_the_file() {
    let folder = Folder::new();
    let path = folder.file("log.aof", b"");
    let keyspace = keyspace();
    let log = start(&keyspace, &path, AppendFsync::EverySecond);
    std::thread::scope(|scope| {
        for thread in 0..DATABASES {
            let keyspace = &keyspace;
            scope.spawn(move || {
                let local = keyspace.join();
                for number in 0..5000 {
                    let session = local.pin();
                    let name = format!("{thread}:{}", number % 100);
                    let key = keyspace.key(name.as_bytes());
                    let database = keyspace.database(thread as usize);
                    match number % 3 {
                        0 => database.set(&session, key, NewValue::Copy(&[b'x'; 300])),
                        1 => drop(database.remove(&session, key)),
                        _ => database.set(&session, key, NewValue::Copy(b"short")),
                    }
                    drop(session);
                    while !keyspace.log().unwrap().has_room() {
                        std::thread::yield_now();
                    }
                }
            });
        }
    });
    log.stop(Duration::from_secs(10)).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(log.status().current_bytes, bytes.len() as u64);
    assert_eq!(log.status().unsynced_bytes, 0);
    let commands = commands(&bytes);
    let changes = commands.iter().filter(|command| !command.starts_with("SELECT")).count();
    // All but the removals of keys that are not there yet.
    assert!(changes > 19_000, "{changes} changes");
    let again: usize = commands.iter().map(|command| command_length(command)).sum();
    assert_eq!(again, bytes.len(), "the file is whole commands and nothing else");
}

/// The length of a command in the file, given its words, none of which has a space.
fn command_length(command: &str) -> usize {
    let words = command.split(' ');
    let length = |number: usize| number.to_string().len() + 3;
    let all = words.clone().map(|word| length(word.len()) + word.len() + 2).sum::<usize>();
    length(words.count()) + all
}

#[test]
fn an_existing_file_is_continued() {
    let folder = Folder::new();
    let path = folder.file("log.aof", b"*1\r\n$7\r\nFLUSHDB\r\n");
    let keyspace = keyspace();
    let log = start(&keyspace, &path, AppendFsync::Always);
    assert_eq!(log.status().base_bytes, 17);
    {
        let local = keyspace.join();
        keyspace.database(3).set(&local.pin(), keyspace.key(b"key"), NewValue::Copy(b"value"));
    }
    log.stop(Duration::from_secs(10)).unwrap();
    let commands = commands(&std::fs::read(&path).unwrap());
    assert_eq!(commands, ["FLUSHDB", "SELECT 3", "SET key value"]);
}

#[test]
fn a_file_that_is_missing_or_has_another_length_is_an_error() {
    let folder = Folder::new();
    let path = folder.file("log.aof", b"12345");
    let keyspaces = [keyspace(), keyspace()];
    let with = |path: &Path| LogOptions { path: path.to_owned(), ..options(AppendFsync::No, 4) };
    let error = LogHandle::start(with(&path), keyspaces[0].start_log(64)).err().unwrap();
    assert!(matches!(error, WriteError::Length { length: 5, expected: 4, .. }), "{error}");
    std::fs::remove_file(&path).unwrap();
    let error = LogHandle::start(with(&path), keyspaces[1].start_log(64)).err().unwrap();
    assert!(matches!(error, WriteError::Open { .. }), "{error}");
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn the_device_that_is_always_full_is_a_full_disk() {
    let path = Path::new("/dev/full");
    let keyspace = keyspace();
    let storage = Arc::new(FileStorage::open(path).unwrap());
    let consumer = keyspace.start_log(64);
    let log = LogHandle::start_on(storage, options(AppendFsync::EverySecond, 0), consumer).unwrap();
    let local = keyspace.join();
    keyspace.database(0).set(&local.pin(), keyspace.key(b"key"), NewValue::Copy(b"value"));
    until("writes are refused", || log.refusal().is_some());
    let text = log.refusal().unwrap();
    assert_eq!(&*text, "MISCONF Errors writing to the AOF file: No space left on device");
    assert!(log.stop(Duration::from_secs(10)).is_err());
}

#[test]
fn a_file_whose_name_another_has_taken_is_not_opened_anew() {
    let folder = Folder::new();
    let path = folder.file("log.aof", b"one");
    let storage = FileStorage::open(&path).unwrap();
    assert!(storage.reopen().is_ok());
    // While the old one is open the new one has another number.
    std::fs::remove_file(&path).unwrap();
    assert!(storage.reopen().is_err());
    folder.file("log.aof", b"two");
    assert!(storage.reopen().is_err());
}
