//! The process as a whole.

use super::{Change, Directive, Form};
use crate::config::{INT_MAX, IO_THREADS_MAX, Permission, Supervised, path_bytes, path_of};

const TOPIC: &str = "General";

/// The bounds of `hz`, beyond which Redis puts the nearest of them into force.
const HZ_MIN: i64 = 1;
const HZ_MAX: i64 = 500;

pub(super) const ROWS: &[Directive] = &[
    Directive::new(
        "dir",
        Form::Text {
            get: |config| path_bytes(Some(&config.dir)),
            set: |config, value| {
                let path = path_of(value).ok_or("the name of a folder is expected")?;
                config.dir = path;
                Ok(())
            },
        },
    )
    .change(Change::Protected)
    .help(
        TOPIC,
        "FOLDER",
        "Working folder, where relative paths begin [default: the current one]",
    ),
    Directive::new(
        "daemonize",
        Form::YesNo { get: |config| config.daemonize, set: |config, yes| config.daemonize = yes },
    )
    .change(Change::AtStart)
    .help(TOPIC, "YES|NO", "Run in the background [default: no]"),
    Directive::new(
        "pidfile",
        Form::Text {
            get: |config| path_bytes(config.pid_file.as_deref()),
            set: |config, value| {
                config.pid_file = path_of(value);
                Ok(())
            },
        },
    )
    .change(Change::AtStart)
    .help(
        TOPIC,
        "FILE",
        "Write the process's number there [default in the background: \
        /var/run/ferrum-kv.pid]",
    ),
    Directive::new(
        "logfile",
        Form::Text {
            get: |config| path_bytes(config.log_file.as_deref()),
            set: |config, value| {
                config.log_file = path_of(value);
                Ok(())
            },
        },
    )
    .change(Change::AtStart)
    .help(TOPIC, "FILE", "Append messages to this file [default: standard error]"),
    Directive::new(
        "loglevel",
        Form::Choice {
            // As in Redis; the names that are usual elsewhere are understood too.
            names: || "debug, verbose, notice, warning".to_owned(),
            get: |config| config.log_level.name(),
            set: |config, name| {
                let level = std::str::from_utf8(name).ok().and_then(|name| name.parse().ok());
                put(&mut config.log_level, level)
            },
        },
    )
    .help(
        TOPIC,
        "LEVEL",
        "What to log: debug, verbose, notice or warning (also trace, info, \
        error); the environment variable RUST_LOG overrides it [default: notice]",
    ),
    Directive::new(
        "supervised",
        Form::Choice {
            names: || SUPERVISED.map(|(name, _)| name).join(", "),
            get: |config| name_in(&SUPERVISED, config.supervised),
            set: |config, name| put(&mut config.supervised, value_in(&SUPERVISED, name)),
        },
    )
    .change(Change::AtStart)
    .help(
        TOPIC,
        "WHO",
        "Tell systemd or upstart when ready: upstart, systemd, auto or no \
        [default: no]",
    ),
    Directive::new(
        "databases",
        Form::Integer {
            least: 1,
            most: INT_MAX as i64,
            get: |config| config.databases as i64,
            set: |config, number| config.databases = number as usize,
        },
    )
    .change(Change::AtStart)
    .help(TOPIC, "N", "Number of databases [default: 16]"),
    Directive::new(
        "io-threads",
        Form::Integer {
            least: 0,
            most: IO_THREADS_MAX as i64,
            get: |config| config.io_threads as i64,
            set: |config, number| config.io_threads = number as usize,
        },
    )
    .change(Change::AtStart)
    .help(TOPIC, "N", "Worker threads, at most 128; 0 means one per core [default: 0]"),
    Directive::new(
        "hz",
        Form::Integer {
            least: 0,
            most: INT_MAX as i64,
            get: |config| config.hz.into(),
            set: |config, number| config.hz = number.clamp(HZ_MIN, HZ_MAX) as u32,
        },
    )
    .help(TOPIC, "N", "How often a second upkeep is done, 1 to 500 [default: 10]"),
    Directive::new(
        "active-expire-effort",
        Form::Integer {
            least: 1,
            most: 10,
            get: |config| config.active_expire_effort.into(),
            set: |config, number| config.active_expire_effort = number as u32,
        },
    )
    .help(
        TOPIC,
        "N",
        "Share of a worker's time for keys past their deadline, 1 to 10 \
        [default: 1]",
    ),
    Directive::new(
        "enable-debug-command",
        Form::Choice {
            names: permissions,
            get: |config| name_in(&PERMISSIONS, config.enable_debug_command),
            set: |config, name| put(&mut config.enable_debug_command, value_in(&PERMISSIONS, name)),
        },
    )
    .change(Change::AtStart)
    .help(TOPIC, "WHO", "Who may use DEBUG: no, yes or local [default: no]"),
    Directive::new(
        "enable-protected-configs",
        Form::Choice {
            names: permissions,
            get: |config| name_in(&PERMISSIONS, config.enable_protected_configs),
            set: |config, name| {
                put(&mut config.enable_protected_configs, value_in(&PERMISSIONS, name))
            },
        },
    )
    .change(Change::AtStart)
    .help(TOPIC, "WHO", "Who may change protected settings: no, yes or local [default: no]"),
];

const SUPERVISED: [(&str, Supervised); 4] = [
    ("upstart", Supervised::Upstart),
    ("systemd", Supervised::Systemd),
    ("auto", Supervised::Auto),
    ("no", Supervised::No),
];

const PERMISSIONS: [(&str, Permission); 3] =
    [("no", Permission::No), ("yes", Permission::Yes), ("local", Permission::Local)];

fn permissions() -> String {
    PERMISSIONS.map(|(name, _)| name).join(", ")
}

/// The name of a value.
fn name_in<T: PartialEq>(names: &[(&'static str, T)], value: T) -> &'static str {
    names.iter().find(|(_, known)| *known == value).map_or("", |(name, _)| name)
}

/// The value of a name.
fn value_in<T: Copy>(names: &[(&'static str, T)], name: &[u8]) -> Option<T> {
    let row = names.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name));
    row.map(|(_, value)| *value)
}

/// Puts a value there, if there is one; tells whether there was.
pub(super) fn put<T>(target: &mut T, value: Option<T>) -> bool {
    let is_there = value.is_some();
    if let Some(value) = value {
        *target = value;
    }
    is_there
}
