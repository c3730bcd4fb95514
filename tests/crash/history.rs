//! What one client does to keys of its own, and which of its states a recovered server can be in.
//!
//! The steps of a client follow from its name and their numbers alone, and no state comes twice
//! within the length of a round; so the step that a recovered state belongs to can be found by
//! going through the states one by one.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// The keys of one client, with their values.
pub(crate) type Keys = BTreeMap<String, Vec<u8>>;

/// Steps until a client's appended value begins anew.
const APPEND_PERIOD: u64 = 160;

/// The kinds of steps, in turns.
const KINDS: u64 = 8;

/// The steps of one client in one round.
#[derive(Clone)]
pub(crate) struct Script {
    /// What the names of its keys end with.
    name: String,
}

impl Script {
    pub(crate) fn new(round: u64, client: usize) -> Script {
        Script { name: format!("{round}:{client}") }
    }

    /// Whether a key is one of this client.
    pub(crate) fn owns(&self, key: &str) -> bool {
        key.split_once(':').is_some_and(|(_, name)| name == self.name)
    }

    pub(crate) fn counter(&self) -> String {
        self.key("counter")
    }

    fn key(&self, kind: &str) -> String {
        format!("{kind}:{}", self.name)
    }

    /// The command of a step; steps are counted from 1.
    pub(crate) fn command(&self, step: u64) -> Vec<String> {
        let number = step.to_string();
        let words: Vec<String> = match step % KINDS {
            0 | 1 => vec!["INCR".into(), self.counter()],
            2 => vec!["SET".into(), self.key("set"), number],
            3 => vec!["MSET".into(), self.key("m1"), number.clone(), self.key("m2"), number],
            4 if step % APPEND_PERIOD < KINDS => {
                vec!["SET".into(), self.key("tail"), format!("{number},")]
            }
            4 => vec!["APPEND".into(), self.key("tail"), format!("{number},")],
            5 => {
                let deadline = "4000000000000".into();
                vec!["SET".into(), self.key("limited"), number, "PXAT".into(), deadline]
            }
            6 if step % (2 * KINDS) < KINDS => vec!["DEL".into(), self.key("now-and-then")],
            6 => vec!["GETSET".into(), self.key("now-and-then"), number],
            _ => vec!["SETRANGE".into(), self.key("range"), (step % 40).to_string(), number],
        };
        words
    }

    /// What the command of a step does to the keys.
    fn apply(&self, step: u64, keys: &mut Keys) {
        let words = self.command(step);
        let (key, rest) = (words[1].clone(), &words[2..]);
        match words[0].as_str() {
            "INCR" => {
                let count = keys.get(&key).map_or(0, |value| number(value)) + 1;
                keys.insert(key, count.to_string().into_bytes());
            }
            "MSET" => {
                keys.insert(key, rest[0].clone().into_bytes());
                keys.insert(rest[1].clone(), rest[2].clone().into_bytes());
            }
            "APPEND" => keys.entry(key).or_default().extend(rest[0].bytes()),
            "DEL" => drop(keys.remove(&key)),
            "SETRANGE" => {
                let value = keys.entry(key).or_default();
                let start: usize = rest[0].parse().expect("an offset");
                let end = start + rest[1].len();
                value.resize(value.len().max(end), 0);
                value[start..end].copy_from_slice(rest[1].as_bytes());
            }
            _ => drop(keys.insert(key, rest[0].clone().into_bytes())),
        }
    }

    /// The last step, of these, that the keys can be the state after. An MSET may be there in part
    /// when its step is the next one.
    pub(crate) fn step_of(&self, recovered: &Keys, steps: RangeInclusive<u64>) -> Option<u64> {
        let mut keys = Keys::new();
        let mut found = None;
        for step in 0..=*steps.end() {
            if step > 0 {
                self.apply(step, &mut keys);
            }
            if step >= *steps.start()
                && (keys == *recovered || self.is_halfway(step, &keys, recovered))
            {
                found = Some(step);
            }
        }
        found
    }

    fn is_halfway(&self, step: u64, keys: &Keys, recovered: &Keys) -> bool {
        let next = self.command(step + 1);
        next[0] == "MSET"
            && [1, 3].iter().any(|at| {
                let (key, value) = (&next[*at], next[at + 1].as_bytes());
                recovered.get(key).is_some_and(|there| there == value)
                    && recovered.len() == keys.len() + usize::from(!keys.contains_key(key))
                    && recovered
                        .iter()
                        .all(|(name, there)| name == key || keys.get(name) == Some(there))
            })
    }
}

/// A counter's value.
pub(crate) fn number(value: &[u8]) -> u64 {
    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).expect("a number")
}

#[test]
fn every_state_of_a_script_is_told_from_the_others() {
    const STEPS: u64 = 2_000;
    let script = Script::new(1, 0);
    let mut keys = Keys::new();
    for step in 1..=STEPS {
        script.apply(step, &mut keys);
        assert_eq!(script.step_of(&keys, 0..=step), Some(step));
        if step % 97 == 0 {
            assert_eq!(script.step_of(&keys, step + 1..=step + 50), None);
            let mut wrong = keys.clone();
            wrong.remove(&script.key("set"));
            assert_eq!(script.step_of(&wrong, 1..=step), None);
        }
    }
}
