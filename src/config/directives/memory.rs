//! How much memory the data may take, and what goes when it is used up.

use super::general::put;
use super::{Directive, Form};
use crate::config::{INT_MAX, Policy, TENACITY_MAX};

const TOPIC: &str = "Memory";

pub(super) const ROWS: &[Directive] = &[
    Directive::new(
        "maxmemory",
        Form::Memory {
            least: 0,
            most: u64::MAX,
            get: |config| config.max_memory_bytes,
            set: |config, bytes| config.max_memory_bytes = bytes,
        },
    )
    .help(
        TOPIC,
        "BYTES",
        "Most memory that the data may take; 0 means any amount [default: 0]",
    ),
    Directive::new(
        "maxmemory-policy",
        Form::Choice {
            names: Policy::names,
            get: |config| config.max_memory_policy.name(),
            set: |config, name| put(&mut config.max_memory_policy, Policy::from_name(name)),
        },
    )
    .help(
        TOPIC,
        "POLICY",
        "What to do when it is used up: noeviction, or allkeys- or volatile- \
        with lru, lfu, ahe or random, or volatile-ttl [default: noeviction]",
    ),
    Directive::new(
        "maxmemory-samples",
        Form::Integer {
            least: 1,
            most: INT_MAX as i64,
            get: |config| config.max_memory_samples as i64,
            set: |config, number| config.max_memory_samples = number as u64,
        },
    )
    .help(TOPIC, "N", "Keys to look at for each one that is evicted [default: 5]"),
    Directive::new(
        "maxmemory-eviction-tenacity",
        Form::Integer {
            least: 0,
            most: TENACITY_MAX as i64,
            get: |config| config.max_memory_eviction_tenacity as i64,
            set: |config, number| config.max_memory_eviction_tenacity = number as u64,
        },
    )
    .help(
        TOPIC,
        "N",
        "How long a request may wait for an eviction: 0 is not at all, 10 half a \
        millisecond, 100 until there is room [default: 10]",
    ),
    Directive::new(
        "lfu-log-factor",
        Form::Integer {
            least: 0,
            most: INT_MAX as i64,
            get: |config| config.lfu_log_factor as i64,
            set: |config, number| config.lfu_log_factor = number as u64,
        },
    )
    .help(TOPIC, "N", "How slowly the counter of the lfu policies rises [default: 10]"),
    Directive::new(
        "lfu-decay-time",
        Form::Integer {
            least: 0,
            most: INT_MAX as i64,
            get: |config| config.lfu_decay_time_minutes as i64,
            set: |config, number| config.lfu_decay_time_minutes = number as u64,
        },
    )
    .help(TOPIC, "MINUTES", "Minutes after which it falls by one; 0 means never [default: 1]"),
];
