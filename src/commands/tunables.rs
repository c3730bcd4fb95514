//! Settings that may change while the server runs and that are read on the way of commands and
//! connections: one atomic word each. CONFIG SET writes them, after the settings as a whole have
//! been found good.

use super::output_limits::OutputLimits;
use crate::config::{Config, EventClasses};
use crate::sync::plain::{AtomicU64, Ordering};

/// One number that any thread may change and all may read.
#[derive(Debug)]
pub struct Tunable(AtomicU64);

impl Tunable {
    /// At first `value`.
    pub fn new(value: u64) -> Tunable {
        Tunable(AtomicU64::new(value))
    }

    /// The value now.
    #[inline]
    pub fn get(&self) -> u64 {
        // Relaxed: a number by itself; whoever reads the old one was a little earlier.
        self.0.load(Ordering::Relaxed)
    }

    /// Puts another value into force.
    pub fn set(&self, value: u64) {
        // Relaxed: as in `get`.
        self.0.store(value, Ordering::Relaxed);
    }
}

/// The settings that may change, in the units of [`Config`]'s fields of the same names. (Those of
/// eviction and of the log have places of their own.)
#[derive(Debug)]
#[expect(missing_docs, reason = "they are described in `Config`")]
pub struct Tunables {
    pub max_clients: Tunable,
    pub client_timeout_seconds: Tunable,
    pub active_expire_effort: Tunable,
    /// Whether keys past their deadline are searched for at all, 0 or 1. No setting: for DEBUG.
    pub active_expire: Tunable,
    pub hz: Tunable,
    pub proto_max_bulk_len_bytes: Tunable,
    pub client_query_buffer_limit_bytes: Tunable,
    pub tcp_keepalive_seconds: Tunable,
    /// 0 or 1.
    pub protected_mode: Tunable,
    /// As an `i64` in two's complement.
    pub slowlog_log_slower_than_us: Tunable,
    pub slowlog_max_len: Tunable,
    pub latency_monitor_threshold_ms: Tunable,
    /// 0 or 1.
    pub latency_tracking: Tunable,
    pub client_output_buffer_limits: OutputLimits,
    /// The bits of [`EventClasses`]. To be changed by
    /// [`set_notify_keyspace_events`](super::ServerState::set_notify_keyspace_events).
    pub notify_keyspace_events: Tunable,
}

impl Tunables {
    /// As at the start.
    pub fn new(config: &Config) -> Tunables {
        let number = |value: usize| Tunable::new(value as u64);
        Tunables {
            max_clients: number(config.max_clients),
            client_timeout_seconds: Tunable::new(config.client_timeout_seconds),
            active_expire_effort: Tunable::new(config.active_expire_effort.into()),
            active_expire: Tunable::new(1),
            hz: Tunable::new(config.hz.into()),
            proto_max_bulk_len_bytes: number(config.proto_max_bulk_len_bytes),
            client_query_buffer_limit_bytes: number(config.client_query_buffer_limit_bytes),
            tcp_keepalive_seconds: Tunable::new(config.tcp_keepalive_seconds.into()),
            protected_mode: Tunable::new(config.protected_mode.into()),
            slowlog_log_slower_than_us: Tunable::new(
                config.slowlog_log_slower_than_us.cast_unsigned(),
            ),
            slowlog_max_len: Tunable::new(config.slowlog_max_len),
            latency_monitor_threshold_ms: Tunable::new(config.latency_monitor_threshold_ms),
            latency_tracking: Tunable::new(config.latency_tracking.into()),
            client_output_buffer_limits: OutputLimits::new(&config.client_output_buffer_limits),
            notify_keyspace_events: Tunable::new(EventClasses::default().bits()),
        }
    }

    /// Follows other settings.
    pub(super) fn follow(&self, config: &Config) {
        self.client_timeout_seconds.set(config.client_timeout_seconds);
        self.active_expire_effort.set(config.active_expire_effort.into());
        self.hz.set(config.hz.into());
        self.proto_max_bulk_len_bytes.set(config.proto_max_bulk_len_bytes as u64);
        self.client_query_buffer_limit_bytes.set(config.client_query_buffer_limit_bytes as u64);
        self.tcp_keepalive_seconds.set(config.tcp_keepalive_seconds.into());
        self.protected_mode.set(config.protected_mode.into());
        self.slowlog_log_slower_than_us.set(config.slowlog_log_slower_than_us.cast_unsigned());
        self.slowlog_max_len.set(config.slowlog_max_len);
        self.latency_monitor_threshold_ms.set(config.latency_monitor_threshold_ms);
        self.latency_tracking.set(config.latency_tracking.into());
    }
}
