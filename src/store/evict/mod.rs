//! Keys go when the memory is used up.

mod policy;
mod settings;

pub use policy::{Policy, Scope, Score};
pub use settings::{EvictionOptions, Settings, TENACITY_MAX};

/// How the keyspace is kept within its bounds; one, shared by all threads.
#[derive(Debug)]
pub struct Eviction {
    settings: Settings,
}

impl Eviction {
    pub(super) fn new(options: EvictionOptions) -> Self {
        Self { settings: Settings::new(options) }
    }

    /// The settings in force.
    #[inline]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}
