//! What a log says, by the shortest means: a reader of its format and an interpreter of its
//! commands. They share nothing with the server, and know only what a log may contain.

use std::collections::HashMap;

use super::State;

/// A command of a log.
pub(crate) struct Logged<'a> {
    /// Where it begins and ends, in bytes from the log's beginning.
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) arguments: Vec<&'a [u8]>,
}

impl Logged<'_> {
    /// The command's name in upper case.
    pub(crate) fn name(&self) -> String {
        String::from_utf8_lossy(self.arguments[0]).to_ascii_uppercase()
    }

    /// As one line of text.
    pub(crate) fn line(&self) -> String {
        let words: Vec<_> =
            self.arguments.iter().map(|word| word.escape_ascii().to_string()).collect();
        words.join(" ")
    }
}

/// The commands of a log, up to the first byte that is not of a whole command.
pub(crate) struct Commands<'a> {
    bytes: &'a [u8],
    /// The end of the last whole command.
    pub(crate) at: usize,
}

impl<'a> Commands<'a> {
    pub(crate) fn of(bytes: &'a [u8]) -> Commands<'a> {
        Commands { bytes, at: 0 }
    }

    /// All commands of a log that has nothing but whole ones.
    pub(crate) fn all(bytes: &'a [u8]) -> Vec<Logged<'a>> {
        let mut commands = Commands::of(bytes);
        let all: Vec<_> = commands.by_ref().collect();
        let rest = super::show(&bytes[commands.at..]);
        assert!(rest.is_empty(), "at byte {}: {rest}", commands.at);
        all
    }

    /// A line with this first byte and a number; the number and where the line ends.
    fn number(&self, at: usize, kind: u8) -> Option<(usize, usize)> {
        let rest = self.bytes.get(at..)?.strip_prefix(&[kind])?;
        let length = rest.iter().take(20).position(|byte| *byte == b'\r')?;
        let digits = &rest[..length];
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
        (rest.get(length + 1) == Some(&b'\n')).then_some((number, at + length + 3))
    }
}

impl<'a> Iterator for Commands<'a> {
    type Item = Logged<'a>;

    fn next(&mut self) -> Option<Logged<'a>> {
        let start = self.at;
        let (count, mut at) = self.number(start, b'*')?;
        let mut arguments = Vec::with_capacity(count.min(64));
        for _ in 0..count {
            let (length, from) = self.number(at, b'$')?;
            let to = from.checked_add(length)?;
            arguments.push(self.bytes.get(from..to)?);
            at = to + 2;
            if self.bytes.get(to..at)? != b"\r\n" {
                return None;
            }
        }
        if arguments.is_empty() {
            return None;
        }
        self.at = at;
        Some(Logged { start, end: at, arguments })
    }
}

/// A value and its deadline, in milliseconds since 1970.
type Entry = (Vec<u8>, Option<u64>);

/// The databases that a log leads to. Time does not pass: a key is there until the log removes it.
#[derive(Clone, Default)]
pub(crate) struct Model {
    databases: HashMap<usize, HashMap<Vec<u8>, Entry>>,
    selected: usize,
    is_in_block: bool,
}

impl Model {
    /// The state after a whole log.
    pub(crate) fn of(log: &[u8]) -> Model {
        let mut model = Model::default();
        for command in Commands::all(log) {
            model.apply(&command);
        }
        assert!(!model.is_in_block, "the log ends inside a MULTI block");
        model
    }

    /// The entry of a key in the selected database.
    pub(crate) fn get(&self, database: usize, key: &[u8]) -> Option<&Entry> {
        self.databases.get(&database)?.get(key)
    }

    /// The database that the next command works in.
    pub(crate) fn selected(&self) -> usize {
        self.selected
    }

    /// Everything that has no deadline before this time.
    pub(crate) fn state(&self, now: u64) -> State {
        let mut state = State::new();
        for (number, database) in &self.databases {
            for (key, (value, deadline)) in database {
                if deadline.is_none_or(|deadline| deadline > now) {
                    state.insert((*number, key.clone()), (value.clone(), *deadline));
                }
            }
        }
        state
    }

    /// Executes one command; panics at one that has no place in a log.
    pub(crate) fn apply(&mut self, command: &Logged<'_>) {
        let words = &command.arguments;
        let wrong = || panic!("at byte {}: no place for '{}'", command.start, command.line());
        match (command.name().as_str(), words.len()) {
            ("SELECT", 2) => self.selected = number(words[1]),
            ("MULTI", 1) if !self.is_in_block => self.is_in_block = true,
            ("EXEC", 1) if self.is_in_block => self.is_in_block = false,
            ("FLUSHALL", 1) => self.databases.clear(),
            ("FLUSHDB", 1) => drop(self.databases.remove(&self.selected)),
            ("SWAPDB", 3) => {
                let (one, other) = (number(words[1]), number(words[2]));
                let (a, b) = (self.databases.remove(&one), self.databases.remove(&other));
                self.databases.extend(a.map(|keys| (other, keys)));
                self.databases.extend(b.map(|keys| (one, keys)));
            }
            (name, count) if count >= 2 => {
                let keys = self.databases.entry(self.selected).or_default();
                if !apply_to(keys, name, &words[1..]) {
                    wrong();
                }
            }
            _ => wrong(),
        }
    }
}

/// A number without a sign.
fn number<T: std::str::FromStr>(text: &[u8]) -> T {
    let parsed = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    parsed.unwrap_or_else(|| panic!("'{}' is no number", text.escape_ascii()))
}

/// Executes a command on keys of one database; whether it is one of a log.
fn apply_to(keys: &mut HashMap<Vec<u8>, Entry>, name: &str, words: &[&[u8]]) -> bool {
    let key = words[0];
    match (name, &words[1..]) {
        ("SET", [value]) => drop(keys.insert(key.to_vec(), (value.to_vec(), None))),
        ("SET", [value, option, time]) if option.eq_ignore_ascii_case(b"PXAT") => {
            keys.insert(key.to_vec(), (value.to_vec(), Some(number(time))));
        }
        ("APPEND", [tail]) => {
            keys.entry(key.to_vec()).or_default().0.extend_from_slice(tail);
        }
        ("SETRANGE", [offset, part]) => {
            let value = &mut keys.entry(key.to_vec()).or_default().0;
            let offset: usize = number(offset);
            let end = offset + part.len();
            value.resize(value.len().max(end), 0);
            value[offset..end].copy_from_slice(part);
        }
        ("INCRBY", [delta]) => add(keys, key, number(delta)),
        ("DECRBY", [delta]) => add(keys, key, -number::<i64>(delta)),
        ("INCR", []) => add(keys, key, 1),
        ("DECR", []) => add(keys, key, -1),
        ("PEXPIREAT", [time]) => set_deadline(keys, key, Some(number(time))),
        ("PERSIST", []) => set_deadline(keys, key, None),
        ("DEL" | "UNLINK", more) => {
            keys.remove(key);
            for key in more {
                keys.remove(*key);
            }
        }
        _ => return false,
    }
    true
}

fn add(keys: &mut HashMap<Vec<u8>, Entry>, key: &[u8], delta: i64) {
    let value = &mut keys.entry(key.to_vec()).or_insert_with(|| (b"0".to_vec(), None)).0;
    let sum = number::<i64>(value).checked_add(delta).expect("no overflow in a log");
    *value = sum.to_string().into_bytes();
}

fn set_deadline(keys: &mut HashMap<Vec<u8>, Entry>, key: &[u8], deadline: Option<u64>) {
    if let Some(entry) = keys.get_mut(key) {
        entry.1 = deadline;
    }
}
