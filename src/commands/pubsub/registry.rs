//! Who listens to what: the subscriptions of all clients of all workers.
//!
//! # What PUBLISH promises
//!
//! A subscription is in force when its name has been entered here, which is before its confirmation
//! is written. So whoever was told that a subscription is confirmed, and publishes then, reaches
//! it; a PUBLISH that runs beside a SUBSCRIBE is either before it or after it, as the lock has it.
//! The number that PUBLISH replies is that of the subscriptions at that instant. Messages of one
//! publisher to one subscriber come in the order in which they were published: all go the same way.
//!
//! Once an UNSUBSCRIBE is confirmed nothing comes any more: a message that is under way then is
//! dropped where it would be written, since the client's own list has no such name. Each
//! subscription has a number higher than those before it, and each message the highest there was
//! when it was published: who has left and come again does not get what was meant for the first
//! time.
//!
//! # When nobody listens
//!
//! `count` is the number of subscriptions. PUBLISH and the events of keys look at it first and go
//! no further while it is 0: one load, no lock. It rises under the lock before the confirmation is
//! sent. A client that has received the confirmation has received it through the kernel, and so
//! has the worker that then reads the client's PUBLISH: between the two lie the kernel's own locks
//! on both sockets, so the rise is seen. Nothing is read by way of the count: whoever finds it
//! above 0 takes the lock.

use std::collections::HashMap;

use super::message::Published;
use crate::commands::glob::{self, Case};
use crate::commands::post::Message;
use crate::memory::{self, taken};
use crate::sync::plain::{AtomicU64, Ordering};
use crate::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// What a subscription is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A channel of this name.
    Channel,
    /// All channels whose names match this pattern.
    Pattern,
    /// A channel of a shard. There is but one shard here: a second set of names.
    Shard,
}

impl Kind {
    /// All of them, in the order of their numbers.
    pub(super) const ALL: [Kind; 3] = [Kind::Channel, Kind::Pattern, Kind::Shard];
}

/// A name that is subscribed to, shared by all who know it.
pub(super) type Name = Arc<[u8]>;

/// Where a client is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listener {
    /// Its worker.
    pub(crate) worker: usize,
    /// Its number.
    pub(crate) client: u64,
}

/// A message for some clients of one worker.
pub(crate) struct Delivery {
    /// The worker.
    pub(crate) worker: usize,
    /// The clients.
    pub(crate) clients: Vec<u64>,
    /// What they get.
    pub(crate) message: Arc<dyn Message>,
}

/// All subscriptions.
#[derive(Debug, Default)]
pub struct Registry {
    count: AtomicU64,
    /// A lock, for those who listen and those who talk to them; never taken while nobody listens.
    /// What is done under it is a few steps for each listener or name.
    lists: RwLock<Lists>,
}

/// The listeners of each name.
type Names = HashMap<Name, Vec<Listener>>;

#[derive(Debug, Default)]
struct Lists {
    /// By kind.
    names: [Names; 3],
    /// The number of the last subscription.
    last: u64,
}

/// What a name takes beside its bytes, here and in the lists of clients, about.
const NAME_BYTES: usize = 96;

/// What a subscription takes in the list of its name and in that of its client, about.
const SUBSCRIPTION_BYTES: usize = 64;

impl Registry {
    /// Whether there is no subscription at all.
    #[inline]
    pub fn is_silent(&self) -> bool {
        // Relaxed: see above.
        self.count.load(Ordering::Relaxed) == 0
    }

    /// How many names of a kind are subscribed to.
    pub fn names_count(&self, kind: Kind) -> usize {
        self.read().names[kind as usize].len()
    }

    /// The names of a kind that are subscribed to.
    pub(super) fn names(&self, kind: Kind) -> Vec<Name> {
        self.read().names[kind as usize].keys().cloned().collect()
    }

    /// How many clients listen to a name.
    pub(super) fn listeners_count(&self, kind: Kind, name: &[u8]) -> usize {
        self.read().names[kind as usize].get(name).map_or(0, Vec::len)
    }

    /// Enters a subscription that there is not yet; returns the shared name and the number of the
    /// subscription.
    pub(super) fn enter(&self, kind: Kind, name: &[u8], listener: Listener) -> (Name, u64) {
        let mut lists = self.write();
        lists.last += 1;
        let number = lists.last;
        let names = &mut lists.names[kind as usize];
        let shared = match names.get_key_value(name) {
            Some((shared, _)) => Arc::clone(shared),
            None => {
                memory::count(memory::Kind::Clients, name_bytes(name));
                Name::from(name)
            }
        };
        names.entry(Arc::clone(&shared)).or_default().push(listener);
        memory::count(memory::Kind::Clients, SUBSCRIPTION_BYTES as i64);
        // Relaxed, here and below: see above.
        self.count.fetch_add(1, Ordering::Relaxed);
        (shared, number)
    }

    /// Ends a subscription that there is.
    pub(super) fn leave(&self, kind: Kind, name: &[u8], listener: Listener) {
        let mut lists = self.write();
        let names = &mut lists.names[kind as usize];
        let Some(listeners) = names.get_mut(name) else { return };
        let Some(place) = listeners.iter().position(|it| *it == listener) else { return };
        listeners.swap_remove(place);
        if listeners.is_empty() {
            names.remove(name);
            memory::count(memory::Kind::Clients, -name_bytes(name));
        }
        memory::count(memory::Kind::Clients, -(SUBSCRIPTION_BYTES as i64));
        self.count.fetch_sub(1, Ordering::Relaxed);
    }

    /// What is to be delivered when this is published; none when nobody listens. The message for
    /// the channel comes before those for patterns.
    pub(crate) fn address(
        &self,
        kind: Kind,
        channel: &[u8],
        payload: impl FnOnce() -> bytes::Bytes,
    ) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        if self.is_silent() {
            return deliveries;
        }
        let lists = self.read();
        let direct = lists.names[kind as usize].get_key_value(channel);
        let patterns = lists.names[Kind::Pattern as usize].iter().filter(|(pattern, _)| {
            kind == Kind::Channel && glob::matches_channel(pattern, channel, Case::Sensitive)
        });
        let mut content = None;
        let mut payload = Some(payload);
        let direct = direct.into_iter().map(|it| (kind, it));
        for (kind, (name, listeners)) in direct.chain(patterns.map(|it| (Kind::Pattern, it))) {
            let content = content.get_or_insert_with(|| {
                let payload = payload.take().map(|payload| payload()).unwrap_or_default();
                super::message::Content::new(channel, payload)
            });
            let (name, content) = (Arc::clone(name), Arc::clone(content));
            let message = Published { kind, name, content, number: lists.last };
            divide(listeners, Arc::new(message), &mut deliveries);
        }
        deliveries
    }

    fn read(&self) -> RwLockReadGuard<'_, Lists> {
        // A panic cannot leave the lists half changed.
        self.lists.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Lists> {
        // As in `read`.
        self.lists.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds the deliveries of one message, one for each worker.
pub(crate) fn divide(
    listeners: &[Listener],
    message: Arc<dyn Message>,
    deliveries: &mut Vec<Delivery>,
) {
    let first = deliveries.len();
    for listener in listeners {
        let own = deliveries[first..].iter_mut().find(|it| it.worker == listener.worker);
        match own {
            Some(delivery) => delivery.clients.push(listener.client),
            None => deliveries.push(Delivery {
                worker: listener.worker,
                clients: vec![listener.client],
                message: Arc::clone(&message),
            }),
        }
    }
}

fn name_bytes(name: &[u8]) -> i64 {
    (taken(name.len()) + NAME_BYTES) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Listener = Listener { worker: 0, client: 1 };
    const TWO: Listener = Listener { worker: 1, client: 2 };

    fn receivers(registry: &Registry, kind: Kind, channel: &[u8]) -> Vec<(usize, Vec<u64>)> {
        let deliveries = registry.address(kind, channel, bytes::Bytes::new);
        deliveries.into_iter().map(|it| (it.worker, it.clients)).collect()
    }

    #[test]
    fn a_message_reaches_the_channel_first_and_then_the_patterns() {
        let registry = Registry::default();
        registry.enter(Kind::Pattern, b"a*", TWO);
        registry.enter(Kind::Channel, b"abc", ONE);
        registry.enter(Kind::Channel, b"abc", TWO);
        registry.enter(Kind::Shard, b"abc", ONE);
        assert_eq!(receivers(&registry, Kind::Channel, b"b"), []);
        let all = [(0, vec![1]), (1, vec![2]), (1, vec![2])];
        assert_eq!(receivers(&registry, Kind::Channel, b"abc"), all);
        assert_eq!(receivers(&registry, Kind::Shard, b"abc"), [(0, vec![1])]);
    }

    #[test]
    fn nobody_is_left_when_all_have_gone() {
        let registry = Registry::default();
        assert!(registry.is_silent());
        registry.enter(Kind::Channel, b"a", ONE);
        registry.enter(Kind::Channel, b"a", TWO);
        registry.leave(Kind::Channel, b"a", ONE);
        // Not there: nothing happens.
        registry.leave(Kind::Channel, b"a", ONE);
        registry.leave(Kind::Pattern, b"a", TWO);
        assert!(!registry.is_silent());
        assert_eq!(registry.listeners_count(Kind::Channel, b"a"), 1);
        registry.leave(Kind::Channel, b"a", TWO);
        assert!(registry.is_silent());
        assert_eq!(registry.names_count(Kind::Channel), 0);
    }

    #[test]
    fn each_subscription_has_a_number_above_those_of_messages_before_it() {
        let registry = Registry::default();
        let (_, first) = registry.enter(Kind::Channel, b"a", ONE);
        let (_, second) = registry.enter(Kind::Channel, b"b", ONE);
        assert!(first < second);
    }
}
