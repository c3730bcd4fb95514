//! Blocks of the ring and the bytes they become.

use super::super::medium::Medium;
use super::super::pending::{Output, PIECE_BYTES};
use super::super::translate::{Places, Translated, Translator};
use super::disk::Disk;
use super::{AppendFsync, Bench, DATABASES, commands, until};
use crate::ring::Consumer;
use crate::store::{Keyspace, Local, Logged, NewValue, Session};
use crate::sync::Arc;
use bytes::Bytes;

/// What is done in a keyspace, and the commands it becomes.
struct Scene {
    keyspace: Keyspace,
    local: Local,
    consumer: Consumer,
    translator: Translator,
    output: Output,
}

impl Scene {
    fn new() -> Scene {
        let keyspace = super::keyspace();
        let consumer = keyspace.start_log(64);
        let translator = Translator::new(Places::new(DATABASES));
        let local = keyspace.join();
        Scene { keyspace, local, consumer, translator, output: Output::new(0) }
    }

    /// Does something in one block.
    fn block(&mut self, act: impl FnOnce(&Keyspace, &Session<'_>)) {
        self.plain(|keyspace, session| {
            session.begin_block();
            act(keyspace, session);
            session.end_block();
        });
    }

    fn plain(&mut self, act: impl FnOnce(&Keyspace, &Session<'_>)) {
        let session = self.local.pin();
        act(&self.keyspace, &session);
        drop(session);
        while let Some(read) = self.consumer.next() {
            if let Some(logged) = Logged::decode(&read) {
                let done = self.translator.write(&logged, None, &mut self.output);
                assert_eq!(done, Translated::Done);
                self.output.command_ended();
            }
        }
        self.consumer.release();
    }

    /// All commands since the last call.
    fn commands(&mut self) -> Vec<String> {
        let (mut bytes, mut place) = (Vec::new(), self.output.start());
        loop {
            let (piece, _) = self.output.from(place);
            if piece.is_empty() {
                break;
            }
            bytes.extend_from_slice(piece);
            place += piece.len() as u64;
        }
        self.output.forget(place);
        commands(&bytes)
    }
}

fn set(keyspace: &Keyspace, session: &Session<'_>, database: usize, key: &str, value: &[u8]) {
    let key = keyspace.key(key.as_bytes());
    keyspace.database(database).set(session, key, NewValue::Copy(value));
}

#[test]
fn a_block_stands_between_multi_and_exec_with_its_selects() {
    let mut scene = Scene::new();
    scene.block(|keyspace, session| {
        set(keyspace, session, 0, "a", b"1");
        set(keyspace, session, 3, "b", b"2");
        set(keyspace, session, 3, "c", b"3");
    });
    scene.plain(|keyspace, session| set(keyspace, session, 3, "d", b"4"));
    let expected =
        ["MULTI", "SELECT 0", "SET a 1", "SELECT 3", "SET b 2", "SET c 3", "EXEC", "SET d 4"];
    assert_eq!(scene.commands(), expected);
}

#[test]
fn a_single_command_stands_alone_and_none_is_nothing() {
    let mut scene = Scene::new();
    scene.block(|keyspace, session| set(keyspace, session, 0, "a", b"1"));
    scene.block(|_, _| {});
    scene.block(|keyspace, session| keyspace.database(1).flush(session));
    scene.block(|keyspace, session| keyspace.database(1).swap(session, 2));
    assert_eq!(scene.commands(), ["SELECT 0", "SET a 1", "SWAPDB 1 2"]);
}

#[test]
fn flushes_and_swaps_change_whose_the_parts_behind_them_are() {
    let mut scene = Scene::new();
    scene.block(|keyspace, session| {
        set(keyspace, session, 0, "a", b"1");
        keyspace.flush_all(session);
        set(keyspace, session, 0, "b", b"2");
        keyspace.database(0).swap(session, 1);
        set(keyspace, session, 1, "c", b"3");
        keyspace.database(1).flush(session);
    });
    let expected = [
        "MULTI",
        "SELECT 0",
        "SET a 1",
        "FLUSHDB",
        "SET b 2",
        "SWAPDB 0 1",
        "SELECT 1",
        "SET c 3",
        "FLUSHDB",
        "EXEC",
    ];
    assert_eq!(scene.commands(), expected);
    let places: Vec<_> = scene.translator.places().iter().collect();
    assert_eq!(places, [(1, 8), (0, 1), (2, 2), (3, 3)]);
}

#[test]
fn parts_of_flushed_tables_are_dropped() {
    let mut scene = Scene::new();
    // As if the flush of table 1 had an earlier ticket than the changes of that table.
    let _ = scene.translator.write(&Logged::Flush(1), None, &mut scene.output);
    assert_eq!(scene.commands(), ["SELECT 1", "FLUSHDB"]);
    scene.block(|keyspace, session| {
        set(keyspace, session, 1, "late", b"1");
        set(keyspace, session, 0, "a", b"2");
        set(keyspace, session, 1, "late too", b"3");
    });
    assert_eq!(scene.commands(), ["SELECT 0", "SET a 2"]);
    scene.block(|keyspace, session| {
        set(keyspace, session, 1, "late", b"1");
        set(keyspace, session, 1, "late too", b"3");
    });
    assert_eq!(scene.commands(), [""; 0]);
    scene.block(|keyspace, session| {
        set(keyspace, session, 0, "a", b"4");
        set(keyspace, session, 1, "late", b"1");
        set(keyspace, session, 2, "b", b"5");
    });
    assert_eq!(scene.commands(), ["MULTI", "SET a 4", "SELECT 2", "SET b 5", "EXEC"]);
}

#[test]
fn large_values_of_a_block_are_not_copied() {
    let mut scene = Scene::new();
    let values: Vec<_> = (0..3).map(|digit| Bytes::from(vec![b'0' + digit; 20_000])).collect();
    let shares = values.clone();
    scene.block(|keyspace, session| {
        for (number, value) in shares.into_iter().enumerate() {
            let name = format!("k{number}");
            let key = keyspace.key(name.as_bytes());
            keyspace.database(0).set(session, key, NewValue::Shared(value));
        }
    });
    for value in &values {
        let is_there = (0..scene.output.end()).any(|place| {
            let (piece, ends_command) = scene.output.from(place);
            piece.as_ptr() == value.as_ptr() && !ends_command
        });
        assert!(is_there, "the value's own buffer is in the output");
    }
    let texts: Vec<_> =
        values.iter().map(|value| String::from_utf8_lossy(value).into_owned()).collect();
    let mut expected = vec!["MULTI".to_owned(), "SELECT 0".to_owned()];
    expected.extend((0..3).map(|number| format!("SET k{number} {}", texts[number])));
    expected.push("EXEC".to_owned());
    assert!(scene.commands() == expected);
}

#[test]
fn a_long_block_takes_several_pieces_of_which_the_last_ends_it() {
    let mut scene = Scene::new();
    scene.block(|keyspace, session| {
        for number in 0..10_000 {
            set(keyspace, session, 0, &format!("key:{number}"), &[b'v'; 100]);
        }
    });
    let (mut place, mut pieces) = (0, Vec::new());
    while place < scene.output.end() {
        let (piece, ends_command) = scene.output.from(place);
        place += piece.len() as u64;
        pieces.push((piece.len() < PIECE_BYTES + 1000, ends_command));
    }
    assert!(pieces.len() > 4 && pieces.iter().all(|(is_bounded, _)| *is_bounded), "{pieces:?}");
    let last = pieces.len() - 1;
    assert!(pieces.iter().enumerate().all(|(number, (_, ends))| *ends == (number == last)));
    assert_eq!(scene.commands().len(), 10_003);
}

#[test]
fn a_block_that_cannot_be_written_whole_is_cut_back_to_its_multi() {
    for policy in AppendFsync::ALL {
        let disk = Disk::default();
        let bench = Bench::new(&disk, policy);
        bench.set("before", "1");
        until("it is written", || commands(&disk.cached()).len() == 2);
        let before = disk.cached();
        disk.set_room(Some(before.len() + 100));
        {
            let session = bench.local.pin();
            session.begin_block();
            for key in ["a", "b", "c", "d"] {
                set(&bench.keyspace, &session, 0, key, b"a value of some length");
            }
            session.end_block();
        }
        until("writes are refused", || bench.log.refusal().is_some());
        until("the file ends before the block", || disk.cached() == before);
        disk.set_room(None);
        until("writes are taken", || bench.log.refusal().is_none());
        bench.stop();
        let written = commands(&disk.safe());
        let all = ["SELECT 0", "SET before 1", "MULTI"];
        assert_eq!(
            (&written[..3], &*written[7], written.len()),
            (&all.map(str::to_owned)[..], "EXEC", 8)
        );
    }
}

#[test]
fn a_write_that_stops_anywhere_in_a_long_block_leaves_nothing_of_it() {
    let disk = Disk::default();
    let mut medium = Medium::new(Arc::new(disk.clone()), 0, true);
    let mut scene = Scene::new();
    scene.plain(|keyspace, session| set(keyspace, session, 0, "before", b"1"));
    std::mem::swap(medium.output(), &mut scene.output);
    medium.write().expect("room");
    let before = disk.cached();
    std::mem::swap(medium.output(), &mut scene.output);
    scene.block(|keyspace, session| {
        for number in 0..40 {
            set(keyspace, session, 0, &format!("{number}"), &[b'v'; 20_000]);
        }
    });
    std::mem::swap(medium.output(), &mut scene.output);
    for room in (before.len()..before.len() + 800_000).step_by(30_011) {
        disk.set_room(Some(room));
        medium.write().expect_err("no room");
        assert_eq!(disk.cached(), before, "with room for {room}");
    }
    disk.set_room(None);
    medium.recover().expect("room");
    assert_eq!(commands(&disk.cached()).len(), 2 + 42);
}
