//! Where the server listens and who may come.

use super::{Change, Directive, Form};
use crate::config::{INT_MAX, Secret, path_bytes, path_of};

const TOPIC: &str = "Network";

/// The addresses that Redis takes at most.
const ADDRESSES_MAX: usize = 16;

pub(super) const ROWS: &[Directive] = &[
    Directive::new(
        "bind",
        Form::Words {
            get: |config| config.bind.iter().map(|host| host.clone().into()).collect(),
            set: |config, words| {
                let is_none = matches!(words, [word] if word.is_empty());
                let words = if is_none { &[] } else { words };
                if words.len() > ADDRESSES_MAX {
                    return Err("Too many bind addresses specified.".to_owned());
                }
                let hosts = words.iter().map(|word| String::from_utf8(word.clone()));
                config.bind = hosts.collect::<Result<_, _>>().map_err(|_| NOT_TEXT)?;
                Ok(())
            },
            per_line: 0,
        },
    )
    .help(
        TOPIC,
        "HOST...",
        "Addresses to listen at; '*' is all of IPv4, '::*' all of IPv6, '-' \
        in front allows one to be missing [default: 127.0.0.1]",
    ),
    Directive::new(
        "port",
        Form::Integer {
            least: 0,
            most: u16::MAX as i64,
            get: |config| config.port.into(),
            set: |config, number| config.port = number as u16,
        },
    )
    .help(TOPIC, "N", "Port to listen at; 0 lets the system choose one [default: 6380]"),
    Directive::new(
        "unixsocket",
        Form::Text {
            get: |config| path_bytes(config.unix_socket.as_deref()),
            set: |config, value| {
                config.unix_socket = path_of(value);
                Ok(())
            },
        },
    )
    .change(Change::AtStart)
    .help(TOPIC, "FILE", "Unix socket to listen at [default: none]"),
    Directive::new(
        "unixsocketperm",
        Form::Text {
            get: |config| format!("{:o}", config.unix_socket_mode.unwrap_or(0)).into(),
            set: |config, value| {
                let text = std::str::from_utf8(value).ok();
                let number = text.and_then(|text| i64::from_str_radix(text, 8).ok());
                let number = number.ok_or("argument couldn't be parsed as an octal number")?;
                let mode = u32::try_from(number).ok().filter(|mode| *mode <= MODE_MAX);
                let mode = mode.ok_or("argument must be between 0 and 777 inclusive")?;
                config.unix_socket_mode = (mode > 0).then_some(mode);
                Ok(())
            },
        },
    )
    .change(Change::AtStart)
    .help(TOPIC, "MODE", "Mode of the Unix socket, such as 700 [default: by the umask]"),
    Directive::new(
        "tcp-backlog",
        Form::Integer {
            least: 0,
            most: INT_MAX as i64,
            get: |config| config.tcp_backlog.into(),
            set: |config, number| config.tcp_backlog = number as u32,
        },
    )
    .change(Change::AtStart)
    .help(TOPIC, "N", "Connections that wait to be accepted [default: 511]"),
    Directive::new(
        "tcp-keepalive",
        Form::Integer {
            least: 0,
            most: INT_MAX as i64,
            get: |config| config.tcp_keepalive_seconds.into(),
            set: |config, number| config.tcp_keepalive_seconds = number as u32,
        },
    )
    .help(
        TOPIC,
        "SECONDS",
        "Ask after so much silence whether a client is still there; 0 means \
        never [default: 300]",
    ),
    Directive::new(
        "protected-mode",
        Form::YesNo {
            get: |config| config.protected_mode,
            set: |config, yes| config.protected_mode = yes,
        },
    )
    .help(TOPIC, "YES|NO", "Without a password serve this machine only [default: yes]"),
    Directive::new(
        "requirepass",
        Form::Text {
            get: |config| config.require_pass.0.clone(),
            set: |config, value| {
                config.require_pass = Secret(value.to_vec());
                Ok(())
            },
        },
    )
    .secret()
    .help(TOPIC, "PASSWORD", "Serve only clients that give this password [default: none]"),
];

/// All that a mode can say, 0777.
const MODE_MAX: u32 = 0o777;

const NOT_TEXT: &str = "a name or an address is expected";
