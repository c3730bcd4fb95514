//! The settings as they are now, all of them. What a command reads on its way is in `tunables` and
//! other words; this is for CONFIG, and for whatever is asked for rarely.

use crate::config::Config;
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// All settings now. A lock: only CONFIG and the like come here. CONFIG SET holds it until the new
/// values are in force, so that what is shown is what two of them at a time have left.
#[derive(Debug)]
pub struct Settings(Mutex<Config>);

impl Settings {
    /// As at the start.
    pub(super) fn new(config: &Config) -> Settings {
        Settings(Mutex::new(config.clone()))
    }

    /// Calls `read` with the settings.
    pub fn read<T>(&self, read: impl FnOnce(&Config) -> T) -> T {
        read(&self.lock())
    }

    /// The settings, to be changed.
    pub(super) fn lock(&self) -> MutexGuard<'_, Config> {
        // A panic leaves settings behind of which each has been checked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
