//! The settings as they are now, all of them. What a command reads on its way is in `tunables` and
//! other words; this is for CONFIG, and for whatever is asked for rarely.

use std::path::Path;

use crate::config::{Config, rewrite};
use crate::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// All settings now. A lock: only CONFIG and the like come here. CONFIG SET holds it until the new
/// values are in force, so that what is shown is what two of them at a time have left. Clones are
/// the same settings.
#[derive(Clone, Debug)]
pub struct Settings(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    now: Mutex<Config>,
    /// Held by the thread that rewrites the configuration file.
    rewriting: Mutex<()>,
}

impl Settings {
    /// As at the start.
    pub(super) fn new(config: &Config) -> Settings {
        let now = Mutex::new(config.clone());
        Settings(Arc::new(Shared { now, rewriting: Mutex::new(()) }))
    }

    /// Calls `read` with the settings.
    pub fn read<T>(&self, read: impl FnOnce(&Config) -> T) -> T {
        read(&self.lock())
    }

    /// The settings, to be changed.
    pub(super) fn lock(&self) -> MutexGuard<'_, Config> {
        // A panic leaves settings behind of which each has been checked.
        self.0.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the file say what is in force. One after the other: each begins with the text that the
    /// one before has left, and the last one writes the latest settings. Waits for the disk.
    ///
    /// # Errors
    /// Why it could not be, for the client and the operator.
    pub(super) fn rewrite(&self, path: &Path) -> Result<(), String> {
        // A panic leaves nothing behind but a file beside, which the next one replaces.
        let _alone = self.0.rewriting.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.read(Config::clone);
        rewrite::rewrite(path, &current)
    }
}
