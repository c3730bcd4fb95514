//! The directives: every setting, one row each.
//!
//! A row says how a setting is called, what its value may look like, where in [`Config`] it is kept
//! and when it may change. The configuration file, the command line, CONFIG GET, SET and REWRITE
//! and the help all derive from the rows; nothing about a setting is repeated elsewhere.
//!
//! All directives of redis-server 7.0.15 are here, also those of things that this server does not
//! have: such a value is checked, kept and shown as redis-server would, and the operator is warned
//! once if it differs from the default ([`Form::Inert`]). A file with `hash-max-listpack-entries`
//! means no harm; one with `replicaof` expects something that will not happen, so its warning says
//! what. The files of rows:
//!
//! * `general`, `network`, `clients`, `memory`, `log`, `observe`: what works here, by topic;
//! * `absent`: what does not, by topic too;
//! * `form`: the kinds of values.

mod absent;
mod clients;
mod form;
mod general;
mod log;
mod memory;
mod network;
mod observe;

pub(in crate::config) use form::BAD;
pub use form::{Form, Get, Inert, Names, Normal, Pick, Read, Set};
use form::{WRONG_COUNT, integer, name_of, one_of, with_unit, yes_or_no};

use super::Config;
use super::quote::quoted;
use crate::resp::words;

/// All rows, by topic.
const TABLES: [&[Directive]; 7] = [
    general::ROWS,
    network::ROWS,
    clients::ROWS,
    memory::ROWS,
    log::ROWS,
    observe::ROWS,
    absent::ROWS,
];

/// One setting.
#[derive(Clone, Copy)]
pub struct Directive {
    /// The name, in lower case.
    pub name: &'static str,
    /// Another name, which Redis keeps for the sake of old files.
    pub alias: Option<&'static str>,
    /// The heading under which the help has it.
    pub topic: &'static str,
    /// When it may change.
    pub change: Change,
    /// Whether the value must not be shown to anybody but who asks for it by CONFIG GET.
    pub is_secret: bool,
    /// What its value may be and where it is kept.
    pub form: Form,
    /// What the value stands for in the help.
    pub value: &'static str,
    /// A sentence for the help; without one it is not in the help.
    pub summary: &'static str,
}

/// When a setting may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// At any time.
    AnyTime,
    /// At the start only, as in Redis.
    AtStart,
    /// In Redis where `enable-protected-configs` allows it. Here what has an effect changes at the
    /// start only. (The value that it has already is accepted.)
    Protected,
}

impl Directive {
    /// A row of this name for a value of this form, which may change at any time.
    const fn new(name: &'static str, form: Form) -> Directive {
        Directive {
            name,
            alias: None,
            topic: "",
            change: Change::AnyTime,
            is_secret: false,
            form,
            value: "",
            summary: "",
        }
    }

    /// The same, with what the help says of it.
    const fn help(
        self,
        topic: &'static str,
        value: &'static str,
        summary: &'static str,
    ) -> Directive {
        Directive { topic, value, summary, ..self }
    }

    /// The same, with another name.
    const fn alias(self, alias: &'static str) -> Directive {
        Directive { alias: Some(alias), ..self }
    }

    /// The same, which may change then.
    const fn change(self, change: Change) -> Directive {
        Directive { change, ..self }
    }

    /// The same, which is not shown.
    const fn secret(self) -> Directive {
        Directive { is_secret: true, ..self }
    }

    /// The names under which CONFIG GET knows it.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        let is_shown = !matches!(self.form, Form::FileOnly { .. });
        is_shown.then_some(self.name).into_iter().chain(self.alias)
    }

    /// Whether the server does anything with it.
    pub fn has_effect(&self) -> bool {
        !matches!(self.form, Form::Inert { .. } | Form::FileOnly { .. })
    }

    /// Puts the value that these words are into `config`. A value of several words may also come as
    /// one word with spaces, as in CONFIG SET.
    ///
    /// # Errors
    /// What is wrong with it, in Redis's words where it has any; `config` is then as it was.
    pub fn read(&self, config: &mut Config, given: &[Vec<u8>]) -> Result<(), String> {
        let split;
        let given = match given {
            [] if !matches!(self.form, Form::FileOnly { .. }) => {
                return Err(WRONG_COUNT.to_owned());
            }
            [line] if self.takes_several() => {
                split = words(line).map_err(|_| "Unbalanced quotes in configuration line")?;
                // No words at all stand for the empty value.
                if split.is_empty() { given } else { &split }
            }
            _ => given,
        };
        match (self.form, given) {
            (Form::Words { set, .. }, given) => set(config, given),
            (Form::Inert { default, kind, .. }, given) => {
                let value = kind.normal(given)?;
                let is_set = value != default.as_bytes();
                // What is forgotten leaves a mark that it was there.
                let value = if kind.is_forgotten() { Vec::new() } else { value };
                let kept = is_set.then_some(value);
                config.without_effect.put(self.name, kept);
                Ok(())
            }
            (Form::FileOnly { least, most, .. }, given) => {
                if given.len() < least || given.len() > most {
                    return Err(BAD.to_owned());
                }
                config.without_effect.put(self.name, Some(Vec::new()));
                Ok(())
            }
            (form, [value]) => read_one(form, config, value),
            _ => Err(WRONG_COUNT.to_owned()),
        }
    }

    fn takes_several(&self) -> bool {
        match self.form {
            Form::Words { .. } => true,
            Form::Inert { kind, .. } => kind.is_several(),
            _ => false,
        }
    }

    /// The value as CONFIG GET shows it.
    pub fn show(&self, config: &Config) -> Vec<u8> {
        match self.form {
            Form::YesNo { get, .. } => name_of(get(config)).into(),
            Form::Integer { get, .. } => get(config).to_string().into(),
            Form::Memory { get, .. } => get(config).to_string().into(),
            Form::Choice { get, .. } => get(config).into(),
            Form::Text { get, .. } => get(config),
            Form::Words { get, .. } => get(config).join(&b' '),
            Form::Inert { default, .. } => {
                config.without_effect.get(self.name).map_or_else(|| default.into(), <[u8]>::to_vec)
            }
            Form::FileOnly { .. } => Vec::new(),
        }
    }

    /// The value as lines of a configuration file.
    pub fn lines(&self, config: &Config) -> Vec<Vec<u8>> {
        let line = |words: &[Vec<u8>]| {
            let words = words.iter().map(|word| quoted(word));
            [vec![self.name.into()], words.collect()].concat().join(&b' ')
        };
        match self.form {
            Form::FileOnly { .. } => Vec::new(),
            Form::Memory { get, .. } => vec![line(&[with_unit(get(config)).into()])],
            Form::Words { get, per_line, .. } => match get(config) {
                words if words.is_empty() => vec![line(&[Vec::new()])],
                words if per_line > 0 => words.chunks(per_line).map(line).collect(),
                words => vec![line(&words)],
            },
            Form::Inert { kind, .. } if kind.is_several() => {
                let value = self.show(config);
                // It has been split before and is split in the same way again.
                let parts = words(&value).unwrap_or_default();
                vec![line(if parts.is_empty() { std::slice::from_ref(&value) } else { &parts })]
            }
            _ => vec![line(&[self.show(config)])],
        }
    }
}

fn read_one(form: Form, config: &mut Config, value: &[u8]) -> Result<(), String> {
    match form {
        Form::YesNo { set, .. } => set(config, yes_or_no(value)?),
        Form::Integer { least, most, set, .. } => set(config, integer(value, least, most)?),
        Form::Memory { least, most, set, .. } => set(config, form::memory(value, least, most)?),
        Form::Choice { names, set, .. } => {
            if !set(config, value) {
                return Err(one_of(&names()));
            }
        }
        Form::Text { set, .. } => set(config, value)?,
        Form::Words { .. } | Form::Inert { .. } | Form::FileOnly { .. } => {}
    }
    Ok(())
}

/// All rows.
pub fn all() -> impl Iterator<Item = &'static Directive> {
    TABLES.into_iter().flatten()
}

/// The row of a name or an alias, in any mixture of cases, and that name as the row has it.
pub fn find(name: &[u8]) -> Option<(&'static Directive, &'static str)> {
    all().find_map(|row| {
        let mut names = [Some(row.name), row.alias].into_iter().flatten();
        let found = names.find(|known| known.as_bytes().eq_ignore_ascii_case(name))?;
        Some((row, found))
    })
}

/// Whether the value of the setting of this name must not be shown.
pub fn is_secret(name: &[u8]) -> bool {
    find(name).is_some_and(|(row, _)| row.is_secret)
}

/// What the operator has to be told of the settings without effect that differ from their defaults.
pub fn warnings(config: &Config) -> Vec<String> {
    let set = all().filter(|row| config.without_effect.get(row.name).is_some());
    set.map(|row| row.warning()).collect()
}

impl Directive {
    /// What is said when it is set although it has no effect.
    pub fn warning(&self) -> String {
        match self.form {
            Form::Inert { danger, .. } | Form::FileOnly { danger, .. } if !danger.is_empty() => {
                format!("WARNING: '{}' has no effect: {danger}", self.name)
            }
            _ => format!("'{}' has no effect in this server", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// What a setting has to read to be something else than at the start.
    fn another(row: &Directive) -> Option<&'static str> {
        Some(match row.form {
            Form::YesNo { get, .. } if get(&Config::default()) => "no",
            Form::YesNo { .. } => "yes",
            Form::Integer { most, .. } if most < 20 => "3",
            Form::Integer { .. } => "21",
            Form::Memory { .. } => "7mb",
            Form::Choice { .. } => match row.name {
                "loglevel" => "warning",
                "maxmemory-policy" => "allkeys-ahe",
                "appendfsync" => "always",
                "supervised" => "auto",
                _ => "local",
            },
            Form::Text { .. } if row.name == "unixsocketperm" => "700",
            Form::Text { .. } if row.name == "notify-keyspace-events" => "AKE",
            Form::Text { .. } => "some thing",
            Form::Words { .. } => match row.name {
                "client-output-buffer-limit" => "pubsub 1mb 2kb 3",
                "latency-tracking-info-percentiles" => "1 99.95",
                _ => "1.2.3.4 -::1",
            },
            Form::Inert { default, kind, .. } => match kind {
                Inert::YesNo if default == "yes" => "no",
                Inert::YesNo => "yes",
                Inert::Integer(..) => "7",
                Inert::Memory(..) | Inert::MemoryOrPercent => "9kb",
                Inert::Choice(names) => names.iter().find(|name| **name != default)?,
                Inert::Text => "some thing",
                Inert::Words(_) => match row.name {
                    "replicaof" => "1.2.3.4 6379",
                    "oom-score-adj-values" => "1 2 3",
                    _ => "nosave now",
                },
                Inert::Forgotten(_) => return None,
            },
            Form::FileOnly { .. } => return None,
        })
    }

    #[test]
    fn names_are_there_once_and_in_lower_case() {
        let mut seen = BTreeSet::new();
        for row in all() {
            for name in [Some(row.name), row.alias].into_iter().flatten() {
                assert!(seen.insert(name), "{name} is there twice");
                assert_eq!(name, name.to_lowercase());
                assert_eq!(find(name.to_uppercase().as_bytes()).map(|found| found.1), Some(name));
            }
            assert_eq!(row.has_effect(), !row.summary.is_empty(), "{}: help", row.name);
        }
        assert!(seen.len() > 190, "{}", seen.len());
    }

    #[test]
    fn what_is_shown_and_what_is_written_is_read_back() {
        let start = Config::default();
        for row in all() {
            let mut config = start.clone();
            if let Some(value) = another(row) {
                row.read(&mut config, &[value.into()]).unwrap_or_else(|reason| {
                    panic!("{} {value}: {reason}", row.name);
                });
                assert_ne!(row.show(&config), row.show(&start), "{}", row.name);
                let mut shown = start.clone();
                row.read(&mut shown, &[row.show(&config)]).unwrap();
                assert_eq!(shown, config, "{}", row.name);
            }
            for config in [&start, &config] {
                let mut written = start.clone();
                // A path that there must be, or none: then no line is ever written.
                if row.name == "aof-path" && config.aof_path.is_none() {
                    continue;
                }
                for line in row.lines(config) {
                    let line = words(&line).unwrap();
                    row.read(&mut written, &line[1..]).unwrap();
                }
                assert_eq!(row.show(&written), row.show(config), "{}", row.name);
            }
        }
    }

    #[test]
    fn what_cannot_be_is_refused_and_changes_nothing() {
        for row in all() {
            let wrong: &[&str] = match row.form {
                Form::YesNo { .. } | Form::Inert { kind: Inert::YesNo, .. } => &["", "1", "true"],
                Form::Integer { .. } | Form::Inert { kind: Inert::Integer(..), .. } => {
                    &["", "x", "1 ", "1.5", "-3000000000", "9223372036854775808"]
                }
                Form::Memory { .. } | Form::Inert { kind: Inert::Memory(..), .. } => {
                    &["x", "-1", "1tb", "10%"]
                }
                Form::Choice { .. } | Form::Inert { kind: Inert::Choice(_), .. } => {
                    &["", "nothing"]
                }
                _ => &[],
            };
            for value in wrong {
                let mut config = Config::default();
                assert!(row.read(&mut config, &[(*value).into()]).is_err(), "{} {value}", row.name);
                assert_eq!(config, Config::default());
            }
            assert!(row.read(&mut Config::default(), &[]).is_err(), "{}", row.name);
        }
    }
}
