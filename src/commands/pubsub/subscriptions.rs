//! The subscriptions of one client.

use std::collections::BTreeMap;
use std::fmt;

use super::registry::{Kind, Listener, Name, Registry};
use crate::sync::Arc;

/// What a client listens to. When the client goes, its subscriptions end.
pub(crate) struct Subscriptions {
    registry: Arc<Registry>,
    listener: Listener,
    /// By kind: the names, each with the number of the subscription.
    names: [BTreeMap<Name, u64>; 3],
}

impl Subscriptions {
    /// Of a client that listens to nothing yet.
    pub(super) fn new(registry: &Arc<Registry>, listener: Listener) -> Subscriptions {
        Subscriptions { registry: Arc::clone(registry), listener, names: Default::default() }
    }

    /// Subscribes, unless it is so already.
    pub(super) fn enter(&mut self, kind: Kind, name: &[u8]) {
        let names = &mut self.names[kind as usize];
        if !names.contains_key(name) {
            let (name, number) = self.registry.enter(kind, name, self.listener);
            names.insert(name, number);
        }
    }

    /// Ends a subscription, if there is one.
    pub(super) fn leave(&mut self, kind: Kind, name: &[u8]) {
        if self.names[kind as usize].remove(name).is_some() {
            self.registry.leave(kind, name, self.listener);
        }
    }

    /// The names of one kind.
    pub(super) fn names(&self, kind: Kind) -> impl Iterator<Item = &Name> {
        self.names[kind as usize].keys()
    }

    /// How many there are of each kind.
    pub(crate) fn counts(&self) -> [usize; 3] {
        [0, 1, 2].map(|kind: usize| self.names[kind].len())
    }

    /// Whether a message for those who listen to this name is for this client: it listens, and did
    /// so when the last subscription before the message had this number.
    pub(super) fn wants(&self, kind: Kind, name: &[u8], number: u64) -> bool {
        self.names[kind as usize].get(name).is_some_and(|since| *since <= number)
    }
}

impl Drop for Subscriptions {
    fn drop(&mut self) {
        for kind in Kind::ALL {
            for name in self.names[kind as usize].keys() {
                self.registry.leave(kind, name, self.listener);
            }
        }
    }
}

impl fmt::Debug for Subscriptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriptions").field("counts", &self.counts()).finish_non_exhaustive()
    }
}
