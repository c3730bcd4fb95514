//! Commands that move values between keys: RENAME, RENAMENX, COPY, DEL, MSETNX.
//!
//! *The box*: some keys that change only in blocks with an INCR of the box's counter, so each
//! change has a number. In the end all changes are done again in the order of their numbers, on a
//! map: each must have had the reply that it has there, and who read the box at a number must have
//! seen what is there then.
//!
//! *The shell game*: some tokens under more keys, moved by plain RENAMENX. Whoever reads all keys
//! at once sees each token, and sees it once.
//!
//! *The pair*: two keys that are set together and removed together, always to the same value. So
//! nothing is left when one is taken from the other (BITOP XOR).

use std::collections::BTreeMap;

use super::harness::Random;
use super::history::{Step, Version};
use super::link::{Arguments, Link, Reply, line};

/// The counter of the box, among the keys of the history.
const BOX: u32 = 5_000;

/// Keys of the box and of the shell game.
const KEYS: u64 = 6;
const TOKENS: usize = 4;

type State = BTreeMap<String, Version>;

fn box_key(number: u64) -> String {
    format!("box:{number}")
}

fn shell(number: u64) -> String {
    format!("shell:{number}")
}

/// A numbered change of the box.
#[derive(Debug)]
struct Change {
    number: Version,
    arguments: Arguments,
    reply: Reply,
}

/// The box as it was seen.
#[derive(Debug)]
struct Seen {
    number: Version,
    state: State,
}

/// What one client did and saw.
#[derive(Debug, Default)]
pub(crate) struct Shuffler {
    changes: Vec<Change>,
    seen: Vec<Seen>,
}

/// Puts the tokens under their shells.
pub(crate) fn prepare(link: &mut Link) {
    for token in 0..TOKENS as u64 {
        assert!(link.run(&vec!["SET".into(), shell(token), format!("token{token}")]).is_ok());
    }
}

impl Shuffler {
    /// Does something; returns what it did to the counter of the box, if it did. `token` is a value
    /// that nobody has used.
    pub(crate) fn step(
        &mut self,
        link: &mut Link,
        random: &mut Random,
        token: u32,
    ) -> Option<Step> {
        match random.below(6) {
            0 | 1 => Some(self.change(link, random, token)),
            2 => Some(self.look(link, random)),
            3 => {
                let names = [0; 2].map(|_| shell(random.below(KEYS)));
                let [from, to] = names;
                // One that is not there is an error; one onto itself is not done.
                let reply = link.run(&vec!["RENAMENX".into(), from, to]);
                let is_right = reply.is_error() || matches!(reply, Reply::Number(0 | 1));
                assert!(is_right, "{reply:?}");
                None
            }
            4 => {
                look_under_shells(link);
                None
            }
            _ => {
                pair(link, random, token);
                None
            }
        }
    }

    fn change(&mut self, link: &mut Link, random: &mut Random, token: u32) -> Step {
        let from = random.below(KEYS);
        let to = (from + 1 + random.below(KEYS - 1)) % KEYS;
        let (a, b) = (box_key(from), box_key(to));
        let arguments = line(&match random.below(8) {
            0 => format!("RENAME {a} {b}"),
            1 => format!("RENAMENX {a} {b}"),
            2 => format!("COPY {a} {b}"),
            3 => format!("COPY {a} {b} REPLACE"),
            4 => format!("DEL {a} {b}"),
            5 | 6 => format!("MSETNX {a} {token} {b} {token}"),
            _ => format!("MSET {a} {token} {b} {token}"),
        });
        let counter = format!("INCR t:{BOX}");
        let block = [line("MULTI"), line(&counter), arguments.clone(), line("EXEC")];
        let mut replies = link.run_all(&block).remove(3).many();
        let number = replies[0].number() as Version;
        let reply = replies.remove(1);
        self.changes.push(Change { number, arguments, reply });
        Step::Write { key: BOX, version: number, after: number - 1, is_told: true }
    }

    fn look(&mut self, link: &mut Link, random: &mut Random) -> Step {
        let keys: Vec<_> = (0..KEYS).map(box_key).collect();
        let mut replies = match random.below(2) {
            0 => link.ask(&format!("MGET t:{BOX} {}", keys.join(" "))).many(),
            _ => {
                let mut block = vec![line("MULTI"), line(&format!("GET t:{BOX}"))];
                block.extend(keys.iter().map(|key| vec!["GET".to_owned(), key.clone()]));
                block.push(line("EXEC"));
                link.run_all(&block).pop().expect("of EXEC").many()
            }
        };
        let number = replies.remove(0).value() as Version;
        let pairs = keys.into_iter().zip(replies);
        let there = pairs.filter(|(_, value)| *value != Reply::Nil);
        let state = there.map(|(key, value)| (key, value.value() as Version)).collect();
        self.seen.push(Seen { number, state });
        Step::Read { key: BOX, version: number }
    }
}

fn look_under_shells(link: &mut Link) {
    let keys: Vec<_> = (0..KEYS).map(shell).collect();
    let values = link.ask(&format!("MGET {}", keys.join(" "))).many();
    let mut tokens: Vec<_> = values.iter().filter_map(Reply::text).collect();
    tokens.sort_unstable();
    let expected: Vec<_> = (0..TOKENS).map(|token| format!("token{token}")).collect();
    assert_eq!(tokens, expected, "a token is not there, or twice");
}

fn pair(link: &mut Link, random: &mut Random, token: u32) {
    match random.below(7) {
        0 => {
            let reply = link.ask(&format!("MSET pair:a {token} pair:b {token}"));
            assert!(reply.is_ok(), "{reply:?}");
        }
        1 => {
            let reply = link.ask(&format!("MSETNX pair:a {token} pair:b {token}"));
            assert!(matches!(reply, Reply::Number(0 | 1)), "{reply:?}");
        }
        2 | 3 => {
            let command = ["DEL", "UNLINK"][random.below(2) as usize];
            let reply = link.ask(&format!("{command} pair:b pair:a"));
            assert!(matches!(reply, Reply::Number(0 | 2)), "half a pair was removed: {reply:?}");
        }
        4 => {
            let result = format!("pair:{token}");
            let replies = link.run_all(&[
                line(&format!("BITOP XOR {result} pair:a pair:b")),
                line(&format!("BITCOUNT {result}")),
                line(&format!("DEL {result}")),
            ]);
            assert_eq!(replies[1], Reply::Number(0), "the pair was not the same: {replies:?}");
        }
        5 => {
            let command = ["EXISTS", "TOUCH"][random.below(2) as usize];
            let reply = link.ask(&format!("{command} pair:b pair:a"));
            assert!(matches!(reply, Reply::Number(0 | 2)), "half a pair is there: {reply:?}");
        }
        _ => {
            let values = link.ask("MGET pair:a pair:b").many();
            assert_eq!(values[0], values[1], "half a pair was seen");
        }
    }
}

/// Does all changes again and compares.
pub(crate) fn judge(all: Vec<Shuffler>) {
    let (mut changes, mut seen) = (Vec::new(), Vec::new());
    for mut one in all {
        changes.append(&mut one.changes);
        seen.append(&mut one.seen);
    }
    changes.sort_by_key(|change| change.number);
    seen.sort_by_key(|seen| seen.number);
    println!("the box: {} changes, seen {} times", changes.len(), seen.len());
    let mut state = State::new();
    let mut seen = seen.into_iter().peekable();
    for (number, change) in (0..).zip(std::iter::once(None).chain(changes.iter().map(Some))) {
        if let Some(change) = change {
            assert_eq!(change.number, number, "changes are missing, or there is one too many");
            let reply = apply(&mut state, &change.arguments);
            let is_same = reply == change.reply || reply.is_error() && change.reply.is_error();
            assert!(is_same, "{change:?} should have had {reply:?}");
        }
        while let Some(seen) = seen.next_if(|seen| seen.number == number) {
            assert_eq!(seen.state, state, "the box at {number}");
        }
    }
    let beyond = seen.next();
    assert!(beyond.is_none(), "changes of nobody: {beyond:?}");
}

/// What a command does and replies.
fn apply(state: &mut State, arguments: &[String]) -> Reply {
    let (a, b) = (arguments[1].clone(), arguments[2].clone());
    match arguments[0].as_str() {
        command @ ("RENAME" | "RENAMENX") => {
            let Some(value) = state.get(&a).copied() else {
                return Reply::Line("-ERR no such key".to_owned());
            };
            if command == "RENAMENX" && state.contains_key(&b) {
                return Reply::Number(0);
            }
            state.remove(&a);
            state.insert(b, value);
            if command == "RENAME" { Reply::Line("+OK".to_owned()) } else { Reply::Number(1) }
        }
        "COPY" => {
            let replaces = arguments.len() == 4;
            match state.get(&a).copied() {
                Some(value) if replaces || !state.contains_key(&b) => {
                    state.insert(b, value);
                    Reply::Number(1)
                }
                _ => Reply::Number(0),
            }
        }
        "DEL" => {
            let removed = [a, b].iter().filter(|key| state.remove(*key).is_some()).count();
            Reply::Number(removed as i64)
        }
        command => {
            let (b, value) = (arguments[3].clone(), arguments[2].parse().expect("a token"));
            if command == "MSETNX" && (state.contains_key(&a) || state.contains_key(&b)) {
                return Reply::Number(0);
            }
            state.insert(a, value);
            state.insert(b, value);
            if command == "MSET" { Reply::Line("+OK".to_owned()) } else { Reply::Number(1) }
        }
    }
}
