//! Random commands, and what their replies mean.
//!
//! There are five classes of keys. *Lists* are added to. *Registers* are replaced by whoever is
//! told what was there. *Counters* rise by one. A *group* is set at once and by one client only.
//! *Firsts* are set by MSETNX, once and for all. Lists and firsts change with time, so that their
//! values stay short and there is always something to compete for.

use std::collections::HashMap;

use super::harness::Random;
use super::history::{ABSENT, Step, Version};
use super::link::{Arguments, Reply};

/// Clients of one run.
pub(crate) const CLIENTS: usize = 8;

/// Keys of a class that are used at the same time.
const KEYS: u64 = 4;
/// So many that a command over them takes a while.
const GROUP_KEYS: u64 = 8;
const FIRST_KEYS: u64 = 4;

const REGISTERS: u32 = 1_000;
const COUNTERS: u32 = 2_000;
const GROUPS: u32 = 3_000;
const FIRSTS: u32 = 1_000_000;
const LISTS: u32 = 2_000_000_000;

/// Commands after which lists and firsts are others.
const AGE: u64 = 200;

/// The name of a key. Their number spreads them over the table.
pub(crate) fn name(key: u32) -> String {
    format!("t:{key}")
}

fn is_list(key: u32) -> bool {
    key >= LISTS
}

/// What a command does, if it does.
#[derive(Clone, Debug)]
pub(crate) enum Meaning {
    Read(u32),
    ReadAll(Vec<u32>),
    Append(u32, Version),
    /// A write that is told what it replaces.
    Replace(u32, Version),
    Increment(u32),
    /// Writes of keys that nobody else writes.
    Set(Vec<(u32, Version)>),
    SetIfAbsent(Vec<(u32, Version)>),
    /// It fails and changes nothing.
    Fail,
}

/// A command and what it means.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    pub(crate) arguments: Arguments,
    pub(crate) meaning: Meaning,
}

impl Command {
    fn new<'a>(arguments: impl IntoIterator<Item = &'a str>, meaning: Meaning) -> Command {
        Command { arguments: arguments.into_iter().map(str::to_owned).collect(), meaning }
    }

    /// A command over several keys with the versions that they get.
    fn pairs(command: &str, pairs: &[(u32, Version)], meaning: Meaning) -> Command {
        let mut arguments = vec![command.to_owned()];
        for (key, version) in pairs {
            arguments.extend([name(*key), version.to_string()]);
        }
        Command { arguments, meaning }
    }

    pub(crate) fn get(key: u32) -> Command {
        Command::new(["GET", &name(key)], Meaning::Read(key))
    }

    pub(crate) fn get_all(keys: Vec<u32>) -> Command {
        let arguments = std::iter::once("MGET".to_owned()).chain(keys.iter().map(|key| name(*key)));
        Command { arguments: arguments.collect(), meaning: Meaning::ReadAll(keys) }
    }

    /// SET, where the client knows what is replaced.
    pub(crate) fn set(key: u32, version: Version) -> Command {
        Command::new(["SET", &name(key), &version.to_string()], Meaning::Set(vec![(key, version)]))
    }
}

/// The choices of one client, and what it knows of its own keys.
pub(crate) struct Chooser {
    pub(crate) random: Random,
    client: usize,
    /// The last number that it gave to a version.
    version: Version,
    /// What it wrote last to keys that nobody else writes.
    own: HashMap<u32, Version>,
}

impl Chooser {
    pub(crate) fn new(client: usize, seed: u64) -> Chooser {
        let random =
            Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(client as u64) | 1);
        Chooser { random, client, version: client as Version + 1, own: HashMap::new() }
    }

    /// A number that no other version of the history has, sums of counters apart.
    pub(crate) fn fresh(&mut self) -> Version {
        self.version += CLIENTS as Version;
        self.version
    }

    fn one_of(&mut self, first: u32, count: u64) -> u32 {
        first + self.random.below(count) as u32
    }

    pub(crate) fn register(&mut self) -> u32 {
        self.one_of(REGISTERS, KEYS)
    }

    fn counter(&mut self) -> u32 {
        self.one_of(COUNTERS, KEYS)
    }

    fn list(&mut self, time: u64) -> u32 {
        self.one_of(LISTS + (time / AGE * KEYS) as u32, KEYS)
    }

    fn first(&mut self, time: u64) -> u32 {
        self.one_of(FIRSTS + (time / 16 * (FIRST_KEYS - 1)) as u32, FIRST_KEYS)
    }

    fn group(&mut self, client: usize) -> u32 {
        self.one_of(GROUPS + client as u32 * GROUP_KEYS as u32, GROUP_KEYS)
    }

    /// A key of any class.
    pub(crate) fn any_key(&mut self, time: u64) -> u32 {
        match self.random.below(6) {
            0 => self.register(),
            1 => self.counter(),
            2 => self.first(time),
            3 => {
                let client = self.random.below(CLIENTS as u64) as usize;
                self.group(client)
            }
            _ => self.list(time),
        }
    }

    /// Different keys, of one client's group or of any class.
    pub(crate) fn some_keys(&mut self, time: u64) -> Vec<u32> {
        let mut keys: Vec<u32> = match self.random.below(3) {
            0 => {
                // Two groups are looked at most, so that their writers are met.
                let among = if self.random.below(4) > 0 { 2 } else { CLIENTS as u64 };
                let client = self.random.below(among) as u32;
                let first = GROUPS + client * GROUP_KEYS as u32;
                (first..first + GROUP_KEYS as u32).collect()
            }
            _ => (0..2 + self.random.below(5)).map(|_| self.any_key(time)).collect(),
        };
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// A command that reads or changes something. `time` counts the commands of all clients.
    pub(crate) fn command(&mut self, time: u64) -> Command {
        match self.random.below(12) {
            0..=2 => {
                let (key, element) = (self.list(time), self.fresh());
                let text = format!("{element},");
                Command::new(["APPEND", &name(key), &text], Meaning::Append(key, element))
            }
            3 => Command::get(self.any_key(time)),
            4 | 5 => Command::get_all(self.some_keys(time)),
            6 => {
                let key = self.counter();
                Command::new(["INCR", &name(key)], Meaning::Increment(key))
            }
            7 => {
                let (key, version) = (self.register(), self.fresh());
                let text = version.to_string();
                let meaning = Meaning::Replace(key, version);
                match self.random.below(2) {
                    0 => Command::new(["SET", &name(key), &text, "GET"], meaning),
                    _ => Command::new(["GETSET", &name(key), &text], meaning),
                }
            }
            8 | 9 => {
                let first = GROUPS + self.client as u32 * GROUP_KEYS as u32;
                let left_out = self.random.below(2 * GROUP_KEYS) as u32;
                let keys = (0..GROUP_KEYS as u32).filter(|number| *number != left_out);
                let pairs: Vec<_> = keys.map(|number| (first + number, self.fresh())).collect();
                Command::pairs("MSET", &pairs, Meaning::Set(pairs.clone()))
            }
            10 => {
                let first = self.first(time);
                let pairs = [(first, self.fresh()), (first + 1, self.fresh())];
                Command::pairs("MSETNX", &pairs, Meaning::SetIfAbsent(pairs.to_vec()))
            }
            _ => {
                let key = self.any_key(time);
                Command::new(["SETRANGE", &name(key), "-1", "x"], Meaning::Fail)
            }
        }
    }

    /// Adds to `steps` what a command did that has happened and was answered by this.
    pub(crate) fn understand(&mut self, meaning: &Meaning, reply: Reply, steps: &mut Vec<Step>) {
        match meaning {
            Meaning::Read(key) => steps.push(read(*key, &reply)),
            Meaning::ReadAll(keys) => {
                let values = reply.many();
                assert_eq!(values.len(), keys.len());
                steps.extend(keys.iter().zip(&values).map(|(key, value)| read(*key, value)));
            }
            Meaning::Append(key, element) => {
                assert!(reply.number() > 0);
                steps.push(Step::Append { key: *key, element: *element });
            }
            Meaning::Replace(key, version) => {
                let after = reply.value() as Version;
                let (key, version) = (*key, *version);
                steps.push(Step::Write { key, version, after, is_told: true });
            }
            Meaning::Increment(key) => {
                let version = reply.number() as Version;
                let (key, after) = (*key, version - 1);
                steps.push(Step::Write { key, version, after, is_told: true });
            }
            Meaning::Set(pairs) => {
                assert!(reply.is_ok(), "{reply:?}");
                for (key, version) in pairs {
                    let after = self.own.insert(*key, *version).unwrap_or(ABSENT);
                    let (key, version) = (*key, *version);
                    steps.push(Step::Write { key, version, after, is_told: false });
                }
            }
            Meaning::SetIfAbsent(pairs) => {
                if reply.number() == 1 {
                    steps.extend(pairs.iter().map(|(key, version)| Step::Write {
                        key: *key,
                        version: *version,
                        after: ABSENT,
                        is_told: true,
                    }));
                }
            }
            Meaning::Fail => assert!(reply.is_error(), "{reply:?}"),
        }
    }

    /// Notes that the client has read a key that it now writes in the same transaction: what it
    /// replaces is what it read.
    pub(crate) fn expect(&mut self, key: u32, version: Version) {
        self.own.insert(key, version);
    }
}

/// What a command would have written that did not happen.
pub(crate) fn would_write(meaning: &Meaning) -> Vec<Step> {
    let write = |(key, version): &(u32, Version)| Step::Write {
        key: *key,
        version: *version,
        after: ABSENT,
        is_told: false,
    };
    match meaning {
        Meaning::Append(key, element) => vec![Step::Append { key: *key, element: *element }],
        Meaning::Replace(key, version) => vec![write(&(*key, *version))],
        Meaning::Set(pairs) | Meaning::SetIfAbsent(pairs) => pairs.iter().map(write).collect(),
        // The sum is another's.
        Meaning::Increment(_) | Meaning::Read(_) | Meaning::ReadAll(_) | Meaning::Fail => vec![],
    }
}

fn read(key: u32, value: &Reply) -> Step {
    if !is_list(key) {
        return Step::Read { key, version: value.value() as Version };
    }
    let text = value.text().unwrap_or_default();
    let elements = text.split_terminator(',').map(|element| element.parse().expect("an element"));
    Step::List { key, elements: elements.collect() }
}
