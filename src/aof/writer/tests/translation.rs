//! Entries and the bytes they become.

use super::super::pending::Output;
use super::super::translate::{Places, Translated, Translator};
use super::commands;
use crate::store::{Effect, Logged};
use bytes::Bytes;

/// Everything in the output from `start` on.
fn all(output: &Output, start: u64) -> Vec<u8> {
    let (mut bytes, mut place) = (Vec::new(), start);
    loop {
        let (piece, _) = output.from(place);
        if piece.is_empty() {
            return bytes;
        }
        bytes.extend_from_slice(piece);
        place += piece.len() as u64;
    }
}

struct Scene {
    translator: Translator,
    output: Output,
}

impl Scene {
    fn new(databases: u64) -> Self {
        Self { translator: Translator::new(Places::new(databases)), output: Output::new(0) }
    }

    fn write(&mut self, entry: Logged<'_>) -> Translated {
        let translated = self.translator.write(&entry, None, &mut self.output);
        self.output.command_ended();
        translated
    }

    fn key(&mut self, table: u64, key: &str, effect: Effect<'_>) {
        assert_eq!(
            self.write(Logged::Key { table, key: key.as_bytes(), effect }),
            Translated::Done
        );
    }

    fn text(&self) -> String {
        String::from_utf8(all(&self.output, 0)).unwrap()
    }

    fn commands(&self) -> Vec<String> {
        commands(&all(&self.output, 0))
    }
}

#[test]
fn every_effect_becomes_its_command_byte_for_byte() {
    let cases: [(Effect<'_>, &str); 9] = [
        (Effect::Set(b"value", None), "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n"),
        (
            Effect::Set(b"", Some(1_700_000_000_123)),
            "*5\r\n$3\r\nSET\r\n$3\r\nkey\r\n$0\r\n\r\n$4\r\nPXAT\r\n$13\r\n1700000000123\r\n",
        ),
        (Effect::Append(b"0123456789"), "*3\r\n$6\r\nAPPEND\r\n$3\r\nkey\r\n$10\r\n0123456789\r\n"),
        (
            Effect::Range(536_870_900, b"\r\n"),
            "*4\r\n$8\r\nSETRANGE\r\n$3\r\nkey\r\n$9\r\n536870900\r\n$2\r\n\r\n\r\n",
        ),
        (Effect::Add(7), "*3\r\n$6\r\nINCRBY\r\n$3\r\nkey\r\n$1\r\n7\r\n"),
        (
            Effect::Add(i64::MIN),
            "*3\r\n$6\r\nINCRBY\r\n$3\r\nkey\r\n$20\r\n-9223372036854775808\r\n",
        ),
        (Effect::Expire(5), "*3\r\n$9\r\nPEXPIREAT\r\n$3\r\nkey\r\n$1\r\n5\r\n"),
        (Effect::Persist, "*2\r\n$7\r\nPERSIST\r\n$3\r\nkey\r\n"),
        (Effect::Remove, "*2\r\n$3\r\nDEL\r\n$3\r\nkey\r\n"),
    ];
    for (effect, expected) in cases {
        let mut scene = Scene::new(1);
        scene.key(0, "key", effect);
        assert_eq!(scene.text(), format!("*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n{expected}"));
    }
}

#[test]
fn lengths_of_any_number_of_digits_are_right() {
    for length in [0, 1, 9, 10, 11, 99, 100, 999, 1000, 99_999, 1_000_000] {
        let mut scene = Scene::new(1);
        let value = vec![b'v'; length];
        scene.key(0, "k", Effect::Set(&value, None));
        let expected = format!("SET k {}", "v".repeat(length));
        assert_eq!(scene.commands(), ["SELECT 0".to_owned(), expected]);
    }
}

#[test]
fn the_database_is_selected_first_and_when_it_changes() {
    let mut scene = Scene::new(16);
    scene.key(0, "a", Effect::Remove);
    scene.key(0, "b", Effect::Remove);
    scene.key(15, "c", Effect::Remove);
    let _ = scene.write(Logged::Flush(15));
    scene.key(0, "d", Effect::Remove);
    let expected =
        ["SELECT 0", "DEL a", "DEL b", "SELECT 15", "DEL c", "FLUSHDB", "SELECT 0", "DEL d"];
    assert_eq!(scene.commands(), expected);
}

#[test]
fn a_swap_changes_whose_a_place_is() {
    let mut scene = Scene::new(4);
    scene.key(1, "a", Effect::Remove);
    let _ = scene.write(Logged::Swap(1, 2));
    scene.key(1, "b", Effect::Remove);
    scene.key(2, "c", Effect::Remove);
    // Database 2 has place 1, database 3 place 3.
    let _ = scene.write(Logged::Swap(2, 3));
    scene.key(1, "d", Effect::Remove);
    let _ = scene.write(Logged::Flush(3));
    // Nothing changes, as no such database.
    let _ = scene.write(Logged::Swap(1, 9));
    let _ = scene.write(Logged::Swap(0, 0));
    let expected = [
        "SELECT 1",
        "DEL a",
        "SWAPDB 1 2",
        "SELECT 2",
        "DEL b",
        "SELECT 1",
        "DEL c",
        "SWAPDB 2 3",
        "SELECT 3",
        "DEL d",
        "SELECT 2",
        "FLUSHDB",
        "SWAPDB 0 0",
    ];
    assert_eq!(scene.commands(), expected);
    let places: Vec<_> = scene.translator.places().iter().collect();
    assert_eq!(places, [(0, 0), (3, 1), (1, 2), (2, 7)]);
}

#[test]
fn entries_of_flushed_tables_are_dropped() {
    let mut scene = Scene::new(4);
    scene.key(1, "a", Effect::Add(1));
    let _ = scene.write(Logged::Flush(1));
    scene.key(1, "late", Effect::Add(1));
    let _ = scene.write(Logged::Flush(1));
    scene.key(5, "b", Effect::Add(1));
    let _ = scene.write(Logged::Flush(5));
    let _ = scene.write(Logged::Flush(9));
    scene.key(9, "late", Effect::Remove);
    scene.key(13, "c", Effect::Add(1));
    let expected =
        ["SELECT 1", "INCRBY a 1", "FLUSHDB", "INCRBY b 1", "FLUSHDB", "FLUSHDB", "INCRBY c 1"];
    assert_eq!(scene.commands(), expected);
}

#[test]
fn the_order_at_the_start_is_the_one_that_replay_has_left() {
    let mut scene = Scene::new(2);
    scene.translator = Translator::new(Places::in_order([(1, 2), (0, 1)]));
    scene.key(2, "a", Effect::Remove);
    scene.key(1, "b", Effect::Remove);
    scene.key(0, "late", Effect::Remove);
    assert_eq!(scene.commands(), ["SELECT 1", "DEL a", "SELECT 0", "DEL b"]);
}

#[test]
fn behind_a_mark_the_database_is_selected_again() {
    let mut scene = Scene::new(1);
    scene.key(0, "a", Effect::Remove);
    assert_eq!(scene.write(Logged::Mark), Translated::Mark);
    scene.key(0, "b", Effect::Remove);
    assert_eq!(scene.commands(), ["SELECT 0", "DEL a", "SELECT 0", "DEL b"]);
}

#[test]
fn a_large_shared_value_is_not_copied() {
    let mut scene = Scene::new(1);
    let shared = Bytes::from(vec![b'v'; 20_000]);
    let effect = Effect::Set(&shared, Some(1));
    let entry = Logged::Key { table: 0, key: b"k", effect };
    let _ = scene.translator.write(&entry, Some(&shared), &mut scene.output);
    scene.output.command_ended();
    scene.key(0, "next", Effect::Remove);
    let expected = [
        "SELECT 0".to_owned(),
        format!("SET k {} PXAT 1", "v".repeat(20_000)),
        "DEL next".to_owned(),
    ];
    assert_eq!(scene.commands(), expected);
    let header = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*5\r\n$3\r\nSET\r\n$1\r\nk\r\n$20000\r\n".len();
    let (piece, ends_command) = scene.output.from(header as u64);
    assert_eq!(piece.as_ptr(), shared.as_ptr());
    assert!(!ends_command);
    assert!(!shared.is_unique());
    scene.output.forget(scene.output.end());
    assert!(shared.is_unique());
}

#[test]
fn a_large_value_elsewhere_is_copied() {
    let mut scene = Scene::new(1);
    let (value, other) = (vec![b'v'; 20_000], Bytes::from_static(b"other"));
    let entry = Logged::Key { table: 0, key: b"k", effect: Effect::Append(&value) };
    let _ = scene.translator.write(&entry, Some(&other), &mut scene.output);
    scene.output.command_ended();
    assert_eq!(scene.commands()[1], format!("APPEND k {}", "v".repeat(20_000)));
}

#[test]
fn output_is_let_go_a_piece_at_a_time() {
    let mut scene = Scene::new(1);
    for _ in 0..10 {
        scene.key(0, "k", Effect::Set(&[b'v'; 200_000], None));
    }
    let whole = all(&scene.output, 0);
    assert_eq!(scene.output.end(), whole.len() as u64);
    for place in [1, 300_000, 999_999, whole.len() as u64 - 1] {
        scene.output.forget(place);
        assert!(scene.output.start() <= place, "nothing after it is lost");
        assert_eq!(all(&scene.output, place), whole[place as usize..]);
    }
    assert!(scene.output.start() > 900_000);
    scene.output.forget(whole.len() as u64);
    assert_eq!(scene.output.start(), whole.len() as u64);
    scene.key(0, "k", Effect::Remove);
    assert_eq!(commands(&all(&scene.output, whole.len() as u64)), ["DEL k"]);
}
