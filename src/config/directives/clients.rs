//! What clients may do and hold.

use super::form::memory;
use super::{Directive, Form};
use crate::config::{INT_MAX, OutputLimit};

const TOPIC: &str = "Clients";

/// The least that the two buffer limits can be (Redis's own bound for both), in bytes.
const BUFFER_LIMIT_MIN_BYTES: u64 = 1 << 20;

/// The most that one argument can be: what a record holds, and Redis's default, in bytes.
const BULK_LEN_MAX_BYTES: u64 = 512 << 20;

/// The most clients that can be asked for (Redis: an unsigned 32-bit number).
const CLIENTS_MAX: i64 = u32::MAX as i64;

pub(super) const ROWS: &[Directive] = &[
    Directive::new(
        "maxclients",
        Form::Integer {
            least: 1,
            most: CLIENTS_MAX,
            get: |config| config.max_clients as i64,
            set: |config, number| config.max_clients = number as usize,
        },
    )
    .help(TOPIC, "N", "Most clients connected at once [default: 10000]"),
    Directive::new(
        "timeout",
        Form::Integer {
            least: 0,
            most: INT_MAX as i64,
            get: |config| config.client_timeout_seconds as i64,
            set: |config, number| config.client_timeout_seconds = number as u64,
        },
    )
    .help(
        TOPIC,
        "SECONDS",
        "Disconnect a client that was silent for so long; 0 means never (also \
        called --client-timeout) [default: 0]",
    ),
    Directive::new(
        "client-query-buffer-limit",
        Form::Memory {
            least: BUFFER_LIMIT_MIN_BYTES,
            most: i64::MAX as u64,
            get: |config| config.client_query_buffer_limit_bytes as u64,
            set: |config, bytes| config.client_query_buffer_limit_bytes = bytes as usize,
        },
    )
    .help(TOPIC, "BYTES", "Longest unfinished command, at least 1mb [default: 1gb]"),
    Directive::new(
        "proto-max-bulk-len",
        Form::Memory {
            least: BUFFER_LIMIT_MIN_BYTES,
            most: BULK_LEN_MAX_BYTES,
            get: |config| config.proto_max_bulk_len_bytes as u64,
            set: |config, bytes| config.proto_max_bulk_len_bytes = bytes as usize,
        },
    )
    .help(
        TOPIC,
        "BYTES",
        "Longest argument of a command and longest value, 1mb to 512mb \
        [default: 512mb]",
    ),
    Directive::new(
        "client-output-buffer-limit",
        Form::Words {
            get: |config| {
                let limits = CLASSES.iter().zip(config.client_output_buffer_limits);
                limits.flat_map(|(names, limit)| words_of(names[0], limit)).collect()
            },
            set: |config, words| {
                config.client_output_buffer_limits =
                    limits(config.client_output_buffer_limits, words)?;
                Ok(())
            },
            per_line: WORDS_OF_A_LIMIT,
        },
    )
    .help(
        TOPIC,
        "CLASS HARD SOFT SECONDS",
        "Replies that may wait for a client of the class \
        normal, replica or pubsub [default: normal 0 0 0 replica 256mb 64mb 60 pubsub 32mb 8mb \
        60]",
    ),
];

const WORDS_OF_A_LIMIT: usize = 4;

/// The classes of clients in the order of the limits; the first name is the one that is shown.
const CLASSES: [&[&str]; 3] = [&["normal"], &["slave", "replica"], &["pubsub"]];

fn words_of(class: &str, limit: OutputLimit) -> [Vec<u8>; WORDS_OF_A_LIMIT] {
    let number = |number: u64| number.to_string().into_bytes();
    [class.into(), number(limit.hard_bytes), number(limit.soft_bytes), number(limit.soft_seconds)]
}

/// The limits with those of `words` in place; the last one of a class counts.
fn limits(mut limits: [OutputLimit; 3], words: &[Vec<u8>]) -> Result<[OutputLimit; 3], String> {
    if words == [Vec::new()] {
        // As in Redis: nothing is changed.
        return Ok(limits);
    }
    if words.is_empty() || !words.len().is_multiple_of(WORDS_OF_A_LIMIT) {
        return Err("Wrong number of arguments in buffer limit configuration.".to_owned());
    }
    for limit in words.chunks_exact(WORDS_OF_A_LIMIT) {
        let is_it = |name: &&str| name.as_bytes().eq_ignore_ascii_case(&limit[0]);
        let class = CLASSES.iter().position(|names| names.iter().any(is_it));
        let class = class.ok_or("Invalid client class specified in buffer limit configuration.")?;
        limits[class] = one_limit(limit).ok_or(WRONG_LIMIT)?;
    }
    Ok(limits)
}

const WRONG_LIMIT: &str = "Error in hard, soft or soft_seconds setting in buffer limit \
                           configuration.";

fn one_limit(words: &[Vec<u8>]) -> Option<OutputLimit> {
    let seconds = std::str::from_utf8(&words[3]).ok()?.parse().ok()?;
    Some(OutputLimit {
        hard_bytes: memory(&words[1], 0, u64::MAX).ok()?,
        soft_bytes: memory(&words[2], 0, u64::MAX).ok()?,
        soft_seconds: seconds,
    })
}
