//! What happens to keys by the way, for whoever wants to be told: they expire when they are found
//! past their deadline, they are evicted, they come into being.
//!
//! [`Keyspace::witness`] says what is wanted. Each pin takes that word along; while it is 0 nothing
//! is noted. What is noted is kept with the thread until it is taken, which is to be soon: a thread
//! that notes [`KEPT_MAX`] of them without anybody taking them forgets the further ones.

use super::{Key, Keyspace, Local, Session};
use crate::sync::plain::Ordering;

/// The most that a thread keeps: far beyond what a command, or a slice of the sweep, comes to but
/// for a command of as many keys, which is over 100 MB of it.
const KEPT_MAX: usize = 1 << 24;

/// What has happened to a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// It was removed because its deadline had passed.
    Expired,
    /// It was removed for its memory.
    Evicted,
    /// It was not there before.
    New,
}

/// Something that has happened to a key.
#[derive(Clone, Debug)]
pub struct Witnessed {
    /// What.
    pub what: What,
    /// The number of its database.
    pub database: usize,
    /// The key.
    pub key: Box<[u8]>,
    /// Whether it has happened already; else it does when the transaction under way commits.
    pub is_certain: bool,
}

impl Keyspace {
    /// Says what is noted from the next pins on.
    pub fn witness(&self, wanted: &[(What, bool)]) {
        let bits = wanted.iter().filter(|(_, is_wanted)| *is_wanted);
        let bits = bits.fold(0, |bits, (what, _)| bits | 1 << *what as u64);
        // Relaxed: a pin that has not seen it yet was a little earlier.
        self.witness.store(bits, Ordering::Relaxed);
    }
}

impl Local {
    /// What this thread has witnessed since the last call.
    pub fn take_witnessed(&self) -> Vec<Witnessed> {
        self.witnessed.take()
    }
}

impl Session<'_> {
    /// Notes from now on what is wanted now.
    pub fn follow_witness(&mut self, keyspace: &Keyspace) {
        // Relaxed: as in a pin.
        self.witness = keyspace.witness.load(Ordering::Relaxed);
    }

    /// What the thread has witnessed since the last call.
    pub fn take_witnessed(&self) -> Vec<Witnessed> {
        match self.witness {
            0 => Vec::new(),
            _ => self.local.take_witnessed(),
        }
    }

    /// Whether anything is wanted.
    #[inline]
    pub(super) fn is_witness(&self) -> bool {
        self.witness != 0
    }

    /// Notes what has happened to a key, if that is wanted.
    #[cold]
    pub(super) fn bear_witness(&self, what: What, database: usize, key: Key<'_>, is_certain: bool) {
        let mut kept = self.local.witnessed.borrow_mut();
        if self.witness & 1 << what as u64 != 0 && kept.len() < KEPT_MAX {
            kept.push(Witnessed { what, database, key: key.bytes.into(), is_certain });
        }
    }
}
