//! Keys go when the memory is used up.
//!
//! Before a command that may take memory (its row says so), and in the background, a thread's
//! [`Evictor`] looks whether the keyspace is over its bounds (module `gauge`), and if so lets keys
//! go until it is not: for a limited time in a request, since nobody should wait long for others'
//! memory. A policy is a scope (all keys, or those with a deadline) and a score; each score has a
//! module of its own. Victims are found by sampling (`Table::sample`), the best of earlier samples
//! are remembered (module `pool`).
//!
//! A victim is removed as by DEL, by `Table::update_told`, and only if the very record that was
//! judged still stands. So an eviction is linearized, logged and counted like any other removal,
//! and one that meets a change of the key does nothing. An increment in place between the judgement
//! and the removal is not noticed: it has taken place before the key went.
//!
//! What is known of the use of a key is in its record's access word (`record::Usage`), written by
//! those who use it (module `tracking`).

mod ahe;
mod evictor;
mod gauge;
mod lfu;
mod lru;
mod moment;
mod pool;
mod random;
mod round;
mod settings;
mod tracking;
mod ttl;

pub use crate::config::{Policy, Scope, Score};
pub(super) use ahe::Lane;
pub use ahe::{Ahe, AheReport};
pub use evictor::{Evicted, Evictor, Room};
pub use settings::{EvictionOptions, Settings, TENACITY_MAX};
pub(super) use tracking::Tracking;

/// How the keyspace is kept within its bounds; one, shared by all threads.
#[derive(Debug)]
pub struct Eviction {
    settings: Settings,
    ahe: Ahe,
}

impl Eviction {
    pub(super) fn new(options: EvictionOptions) -> Self {
        Self { settings: Settings::new(options), ahe: Ahe::new() }
    }

    /// The settings in force.
    #[inline]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What AHE has learned.
    pub fn ahe(&self) -> &Ahe {
        &self.ahe
    }
}

/// A key's place among the ghosts of all databases.
fn place_of(database: usize, hash: u64) -> u64 {
    // An odd constant with bits everywhere: the golden ratio.
    hash ^ (database as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
