//! From rows of a grammar to commands: mostly right, now and then wrong in one way.

use fastrand::Rng;

use super::payload;
use super::pool::{FLOATS, INTEGERS, KEYS, WRONG_NUMBERS, once_in, pick, value};
use super::rules::needs_every_key_looked_up;

/// All arguments of one command, its name first.
pub(crate) type Request = Vec<Vec<u8>>;

/// What is done to both servers.
#[derive(Clone)]
pub(crate) enum Step {
    Command(Request),
    /// All waits until deadlines of a few milliseconds are over.
    Pause,
}

/// One command of the grammar.
pub(crate) struct Row {
    /// A word, or two with a subcommand.
    pub(crate) name: &'static str,
    /// How often it comes, compared with others.
    pub(crate) weight: u32,
    pub(crate) arguments: &'static [Argument],
}

/// A generator of arguments.
pub(crate) enum Argument {
    Key,
    Value,
    /// A value serialized by redis-server, or nearly so.
    Payload,
    /// A name of the syntax, in any case.
    Word(&'static str),
    /// One of several such names.
    OneOf(&'static [&'static str]),
    /// One of these texts, as it is.
    Text(&'static [&'static str]),
    /// One of these numbers, or a wrong one.
    Number(&'static [&'static str]),
    /// Any integer.
    Integer,
    Float,
    /// Deadlines: relative ones are thousands of seconds away or in the past, so that no key
    /// ends between the moments at which the two servers execute the same command.
    Seconds,
    Milliseconds,
    UnixSeconds,
    UnixMilliseconds,
    /// The time to live of RESTORE, relative or absolute in milliseconds, mostly none.
    RestoreTtl,
    /// These together, or nothing.
    Maybe(&'static [Argument]),
    /// Groups of options; of each group one option at most, in any order.
    Options(&'static [&'static [&'static [Argument]]]),
    /// One of these several times.
    Many {
        least: usize,
        most: usize,
        alternatives: &'static [&'static [Argument]],
    },
}

/// Seconds since 1970 in the year 2100 and at the limits. Fixed, so that a run can be repeated.
const UNIX_SECONDS: [&str; 9] = [
    "4102444800",
    "4102444801",
    "4102448400",
    "9223372036854775",
    "9223372036854776",
    "1",
    "1600000000",
    "0",
    "-1",
];

const UNIX_MILLISECONDS: [&str; 10] = [
    "4102444800000",
    "4102444800001",
    "4102444800499",
    "4102444800500",
    "4102444801999",
    "9223372036854775807",
    "1",
    "1600000000000",
    "0",
    "-1",
];

/// Milliseconds that are far away or refused as relative deadlines, and edges as absolute ones.
const RESTORE_TTLS: [&str; 5] =
    ["4102444800000", "4102444801999", "1600000000000", "9223372036854775807", "-1"];

/// Relative deadlines that are refused or over at once.
const PAST_OR_OVERFLOW: [&str; 9] = [
    "0",
    "-1",
    "-1000",
    "-9223372036854775",
    "-9223372036854776",
    "-9223372036854775808",
    "9223372036854775",
    "9223372036854776",
    "9223372036854775807",
];

/// How many payloads of DUMP are remembered.
const PAYLOADS_MAX: usize = 30;

/// One command in so many is followed by a pause, for a deadline of a few milliseconds.
const SHORT_LIVED_ONE_IN: usize = 400;

/// Makes steps from a seed.
pub(crate) struct Generator {
    pub(crate) random: Rng,
    pub(crate) rows: Vec<&'static Row>,
    weight: u32,
    payloads: Vec<Vec<u8>>,
    /// Relative deadlines so far: each is another, seconds apart from all others, so that GT and
    /// LT never compare deadlines that are equal but for the moment they were set.
    deadlines: u64,
    /// The key of the next key argument.
    forced_key: Option<&'static [u8]>,
    /// Nothing is made wrong.
    is_careful: bool,
}

impl Generator {
    pub(crate) fn new(seed: u64, rows: &[&'static Row]) -> Generator {
        Generator {
            random: Rng::with_seed(seed),
            weight: rows.iter().map(|row| row.weight).sum(),
            rows: rows.to_vec(),
            payloads: Vec::new(),
            deadlines: 0,
            forced_key: None,
            is_careful: false,
        }
    }

    /// The next steps, mostly one.
    pub(crate) fn next_steps(&mut self, steps: &mut Vec<Step>) {
        if once_in(&mut self.random, SHORT_LIVED_ONE_IN) {
            self.short_lived(steps);
        }
        self.transaction(steps);
        let row = self.row();
        if needs_every_key_looked_up(row.name) {
            let scan = [b"SCAN", &b"0"[..], b"COUNT", b"1000"];
            steps.push(Step::Command(scan.map(<[u8]>::to_vec).to_vec()));
        }
        steps.push(Step::Command(self.command(row)));
    }

    /// Takes note of a payload that redis-server gave.
    pub(crate) fn remember(&mut self, payload: Vec<u8>) {
        if self.payloads.len() < PAYLOADS_MAX {
            self.payloads.push(payload);
        } else {
            let place = self.random.usize(..PAYLOADS_MAX);
            self.payloads[place] = payload;
        }
    }

    /// A key that ends while all wait, and a command that meets the ended key.
    fn short_lived(&mut self, steps: &mut Vec<Step>) {
        let forms =
            ["SET k v PX t", "PSETEX k t v", "PEXPIRE k t", "GETEX k PX t", "RESTORE k t p"];
        let is_on = |form: &&&str| {
            let name = form.split(' ').next();
            self.rows.iter().any(|row| row.name == "PEXPIRE")
                && self.rows.iter().any(|row| Some(row.name) == name)
        };
        let forms: Vec<&str> = forms.iter().filter(is_on).copied().collect();
        if forms.is_empty() {
            return;
        }
        let key = pick(&mut self.random, &KEYS);
        let form = pick(&mut self.random, &forms);
        let request = form.split(' ').map(|word| match word {
            "k" => key.to_vec(),
            "t" => self.random.u32(1..9).to_string().into_bytes(),
            "v" => value(&mut self.random),
            "p" => self.payload(),
            _ => word.into(),
        });
        steps.push(Step::Command(request.collect()));
        steps.push(Step::Pause);
        let meets_key = |row: &&Row| {
            matches!(row.arguments.first(), Some(Argument::Key))
                && !needs_every_key_looked_up(row.name)
        };
        let row = std::iter::repeat_with(|| self.row()).find(meets_key);
        self.forced_key = Some(key);
        self.is_careful = true;
        let request = self.command(row.expect("the repetition has no end"));
        self.is_careful = false;
        steps.push(Step::Command(request));
    }

    /// Whether a command is among those to be made.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.rows.iter().any(|row| row.name == name)
    }

    pub(crate) fn row(&mut self) -> &'static Row {
        let mut place = self.random.u32(..self.weight);
        let row = self.rows.iter().find(|row| {
            let is_it = place < row.weight;
            place = place.saturating_sub(row.weight);
            is_it
        });
        row.expect("the weights add up")
    }

    pub(crate) fn command(&mut self, row: &Row) -> Request {
        let mut request: Request = row.name.split(' ').map(|word| self.spelled(word)).collect();
        for argument in row.arguments {
            self.argument(argument, &mut request);
        }
        if !self.is_careful && once_in(&mut self.random, 30) {
            self.change_count(&mut request);
        }
        request
    }

    /// One argument missing, one twice, or one more.
    fn change_count(&mut self, request: &mut Request) {
        if request.len() > 1 && self.random.bool() {
            request.remove(self.random.usize(1..request.len()));
            return;
        }
        let place = self.random.usize(1..=request.len());
        let more = match self.random.bool() {
            true => request[self.random.usize(..request.len())].clone(),
            false => pick(&mut self.random, &WRONG_NUMBERS).into(),
        };
        request.insert(place, more);
    }

    fn argument(&mut self, argument: &Argument, request: &mut Request) {
        let made = match argument {
            Argument::Key => self.key(),
            Argument::Value => value(&mut self.random),
            Argument::Payload => self.payload(),
            Argument::Word(word) => self.spelled(word),
            Argument::OneOf(words) => {
                let word = pick(&mut self.random, words);
                self.spelled(word)
            }
            Argument::Text(texts) => pick(&mut self.random, texts).into(),
            Argument::Number(numbers) => self.number(numbers),
            Argument::Integer => self.number(&INTEGERS),
            Argument::Float if self.random.bool() => self.number(&FLOATS),
            Argument::Float => {
                let (whole, part) = (self.random.i32(-99..99), self.random.u32(..1000));
                format!("{whole}.{part}").into_bytes()
            }
            Argument::Seconds => self.relative(1, 9_000_000_000_000_000),
            Argument::Milliseconds => self.relative(1000, 9_000_000_000_000_000_000),
            Argument::UnixSeconds => self.number(&UNIX_SECONDS),
            Argument::UnixMilliseconds => self.number(&UNIX_MILLISECONDS),
            Argument::RestoreTtl => match self.random.u32(..10) {
                0..6 => b"0".to_vec(),
                6..8 => self.relative(1000, 9_000_000_000_000_000_000),
                _ => self.number(&RESTORE_TTLS),
            },
            Argument::Maybe(parts) => {
                if self.random.bool() {
                    self.arguments(parts, request);
                }
                return;
            }
            Argument::Options(groups) => return self.options(groups, request),
            Argument::Many { least, most, alternatives } => {
                for _ in 0..self.random.usize(*least..=*most) {
                    let parts = pick(&mut self.random, alternatives);
                    self.arguments(parts, request);
                }
                return;
            }
        };
        request.push(made);
    }

    fn arguments(&mut self, parts: &[Argument], request: &mut Request) {
        for part in parts {
            self.argument(part, request);
        }
    }

    /// Of each group one option at most; now and then two, twice the same, or an unknown one.
    fn options(&mut self, groups: &[&[&[Argument]]], request: &mut Request) {
        let mut chosen = Vec::new();
        for group in groups {
            if self.random.u32(..100) < 40 {
                chosen.push(pick(&mut self.random, group));
            }
        }
        if !self.is_careful && once_in(&mut self.random, 15) {
            let group = pick(&mut self.random, groups);
            chosen.push(pick(&mut self.random, group));
        }
        self.random.shuffle(&mut chosen);
        for option in chosen {
            self.arguments(option, request);
        }
        if !self.is_careful && once_in(&mut self.random, 60) {
            request.push(pick(&mut self.random, &["FOO", "", "EX", "NX", "0", "REPLACE"]).into());
        }
    }

    fn key(&mut self) -> Vec<u8> {
        match self.forced_key.take() {
            Some(key) => key.to_vec(),
            None => pick(&mut self.random, &KEYS).to_vec(),
        }
    }

    fn payload(&mut self) -> Vec<u8> {
        if self.payloads.is_empty() || once_in(&mut self.random, 12) {
            return payload::fixed(&mut self.random);
        }
        let payload = &self.payloads[self.random.usize(..self.payloads.len())];
        match once_in(&mut self.random, 5) {
            true => payload::spoilt(&mut self.random, payload),
            false => payload.clone(),
        }
    }

    /// A name in upper case, in lower case, or mixed.
    fn spelled(&mut self, word: &str) -> Vec<u8> {
        let mut word = word.as_bytes().to_vec();
        match self.random.u32(..3) {
            0 => {}
            1 => word.make_ascii_lowercase(),
            _ => word.iter_mut().for_each(|letter| {
                if self.random.bool() {
                    letter.make_ascii_lowercase();
                }
            }),
        }
        word
    }

    fn number(&mut self, numbers: &[&'static str]) -> Vec<u8> {
        match !self.is_careful && once_in(&mut self.random, 25) {
            true => pick(&mut self.random, &WRONG_NUMBERS).into(),
            false => pick(&mut self.random, numbers).into(),
        }
    }

    /// A deadline from now on, of so many units a second; `far` of them do not overflow yet.
    fn relative(&mut self, units: u64, far: u64) -> Vec<u8> {
        const SEEN: u64 = 100_003;
        if once_in(&mut self.random, 8) {
            return self.number(&PAST_OR_OVERFLOW);
        }
        self.deadlines += 1;
        // Each number below the prime comes once before any comes again.
        let seconds = 1000 + 10 * (self.deadlines * 7919 % SEEN);
        let base = if once_in(&mut self.random, 12) { far } else { 0 };
        (base + seconds * units + 4 * (units - 1)).to_string().into_bytes()
    }
}
