//! How much may wait to be sent to a client: `client-output-buffer-limit`.

use super::client::Client;
use super::tunables::Tunable;
use crate::config::OutputLimit;

/// The kinds of clients that have limits of their own, in the order of the setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutputClass {
    /// Clients that get replies.
    #[default]
    Normal,
    /// Replicas, of which there are none: the limit can be set and shown.
    Replica,
    /// Clients that are told what they have not asked for: those who listen to channels, and
    /// monitors (which in Redis are normal clients, so without a limit unless one is set; but one
    /// that does not read would take all memory).
    PubSub,
}

impl OutputClass {
    /// What a client is now.
    pub fn of(client: &Client) -> OutputClass {
        match client.is_marked() {
            true => OutputClass::PubSub,
            false => OutputClass::Normal,
        }
    }
}

/// The limits in force.
#[derive(Debug)]
pub struct OutputLimits([Words; 3]);

#[derive(Debug)]
struct Words {
    hard_bytes: Tunable,
    soft_bytes: Tunable,
    soft_seconds: Tunable,
}

impl OutputLimits {
    /// At first these.
    pub fn new(limits: &[OutputLimit; 3]) -> OutputLimits {
        OutputLimits(limits.map(|limit| Words {
            hard_bytes: Tunable::new(limit.hard_bytes),
            soft_bytes: Tunable::new(limit.soft_bytes),
            soft_seconds: Tunable::new(limit.soft_seconds),
        }))
    }

    /// The limits of one class.
    pub fn get(&self, class: OutputClass) -> OutputLimit {
        let words = &self.0[class as usize];
        OutputLimit {
            hard_bytes: words.hard_bytes.get(),
            soft_bytes: words.soft_bytes.get(),
            soft_seconds: words.soft_seconds.get(),
        }
    }

    /// The limits of all classes.
    pub fn all(&self) -> [OutputLimit; 3] {
        [OutputClass::Normal, OutputClass::Replica, OutputClass::PubSub].map(|it| self.get(it))
    }

    /// Puts others into force. (Who reads them meanwhile may find some of each for a moment.)
    pub fn set(&self, limits: &[OutputLimit; 3]) {
        for (words, limit) in self.0.iter().zip(limits) {
            words.hard_bytes.set(limit.hard_bytes);
            words.soft_bytes.set(limit.soft_bytes);
            words.soft_seconds.set(limit.soft_seconds);
        }
    }
}
