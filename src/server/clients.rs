//! The connections of one worker, as the worker sees them.
//!
//! Each connection shares one [`Presence`] with its worker: what the worker wants it to do, and how
//! others see it (its peer), which says when it was last active. The worker walks the presences on
//! its tick, so that an idle timeout or a shutdown needs no timer and no channel per connection.
//! But for the peer all of it stays on the worker's thread.
//!
//! What others have for a client (module `commands::post`) waits in its presence until the
//! connection writes it. How much may wait there, and of replies that the socket does not take, is
//! bounded by `client-output-buffer-limit`: who is over the hard limit, or over the soft one for
//! too long, is dropped. That is looked at with every message, and once a second on the tick.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::rc::Rc;
use std::task::{Context, Waker};

use crate::commands::{Letter, OutputClass, OutputLimits, Peer};
use crate::sync::Arc;

/// What a worker tells a connection to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Serve the client.
    Serve,
    /// Answer what the client has sent so far, then close.
    Finish,
    /// Close now.
    Drop,
}

/// What a connection and its worker share.
pub(super) struct Presence {
    peer: Arc<Peer>,
    order: Cell<Order>,
    /// Messages that are to be written between replies.
    mail: RefCell<VecDeque<Letter>>,
    /// Bytes of all of them, about.
    mail_bytes: Cell<usize>,
    /// Bytes of replies that the socket has not taken.
    unsent_bytes: Cell<usize>,
    /// Which limits hold for what waits.
    class: Cell<OutputClass>,
    /// The time, on the worker's clock, since which more waits than the soft limit allows.
    over_since: Cell<Option<u64>>,
    /// Whether its client waits for it, and not it for its client.
    has_work: Cell<bool>,
    /// Whether the connection is dropped because too much waits.
    has_overflowed: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl fmt::Debug for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presence").field("order", &self.order).finish_non_exhaustive()
    }
}

/// Room for messages that a presence keeps: enough for the usual trickle.
const MAIL_KEPT: usize = 16;

impl Presence {
    /// The connection as others see it.
    pub(super) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// What the connection is to do.
    pub(super) fn order(&self) -> Order {
        self.order.get()
    }

    /// To be called by the connection whenever it is about to wait: a later order wakes it.
    pub(super) fn waits(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        // A task's waker stays the same, so this clones once in a connection's life.
        if !waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }

    /// The next message that has come.
    pub(super) fn next_mail(&self) -> Option<Letter> {
        let mut mail = self.mail.borrow_mut();
        let letter = mail.pop_front()?;
        self.mail_bytes.set(self.mail_bytes.get().saturating_sub(letter.message.bytes()));
        if mail.is_empty() {
            // A burst leaves no room behind.
            mail.shrink_to(MAIL_KEPT);
        }
        Some(letter)
    }

    /// Whether there are any.
    pub(super) fn has_mail(&self) -> bool {
        !self.mail.borrow().is_empty()
    }

    /// Bytes of all of them, about.
    pub(super) fn mail_bytes(&self) -> usize {
        self.mail_bytes.get()
    }

    /// The connection ends its turn: what it is, and how many bytes of its replies are not sent.
    /// `has_work` says that it has something of its client's to do, and waits for anything but the
    /// client.
    pub(super) fn note(&self, class: OutputClass, unsent_bytes: usize, has_work: bool) {
        self.class.set(class);
        self.unsent_bytes.set(unsent_bytes);
        self.has_work.set(has_work);
    }

    /// Whether the connection is to be dropped because too much waited for its client.
    pub(super) fn has_overflowed(&self) -> bool {
        self.has_overflowed.get()
    }

    /// Bytes of what waits to be sent.
    fn waiting_bytes(&self) -> u64 {
        (self.mail_bytes.get() + self.unsent_bytes.get()) as u64
    }

    fn deliver(&self, letter: Letter, limits: &OutputLimits, now_ms: u64) {
        if self.order.get() == Order::Drop {
            return;
        }
        self.mail_bytes.set(self.mail_bytes.get() + letter.message.bytes());
        self.mail.borrow_mut().push_back(letter);
        self.wake();
        self.keep_within(limits, now_ms);
    }

    /// Drops the connection if too much waits, or has waited for too long.
    fn keep_within(&self, limits: &OutputLimits, now_ms: u64) {
        let limit = limits.get(self.class.get());
        let waiting_bytes = self.waiting_bytes();
        let is_over = |bytes: u64| bytes > 0 && waiting_bytes > bytes;
        let mut is_too_much = is_over(limit.hard_bytes);
        if is_over(limit.soft_bytes) {
            let since = self.over_since.get().unwrap_or(now_ms);
            self.over_since.set(Some(since));
            let most = limit.soft_seconds.saturating_mul(1_000);
            is_too_much |= now_ms.saturating_sub(since) > most;
        } else {
            self.over_since.set(None);
        }
        if is_too_much && self.order.get() != Order::Drop {
            self.has_overflowed.set(true);
            self.mail.take();
            self.mail_bytes.set(0);
            self.give_order(Order::Drop);
        }
    }

    fn give_order(&self, order: Order) {
        self.order.set(order);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }
}

/// The connections of one worker.
#[derive(Debug, Default)]
pub(super) struct Clients {
    places: Vec<Option<Rc<Presence>>>,
    free: Vec<usize>,
    /// The places of clients by their numbers.
    by_id: HashMap<u64, usize>,
    /// Where the next look for idle clients begins.
    next_look: usize,
    /// Where the next look for clients that do not take what is sent to them begins.
    next_limited: usize,
}

/// The place of a connection among the [`Clients`].
#[derive(Debug)]
pub(super) struct Place {
    index: usize,
    id: u64,
}

impl Place {
    /// The client's number.
    pub(super) fn client(&self) -> u64 {
        self.id
    }
}

impl Clients {
    /// Enters a connection.
    pub(super) fn enter(&mut self, peer: Arc<Peer>) -> (Place, Rc<Presence>) {
        let id = peer.id;
        let presence = Rc::new(Presence {
            peer,
            order: Cell::new(Order::Serve),
            mail: RefCell::default(),
            mail_bytes: Cell::new(0),
            unsent_bytes: Cell::new(0),
            class: Cell::default(),
            over_since: Cell::new(None),
            has_work: Cell::new(false),
            has_overflowed: Cell::new(false),
            waker: RefCell::new(None),
        });
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        self.places[index] = Some(Rc::clone(&presence));
        self.by_id.insert(id, index);
        (Place { index, id }, presence)
    }

    /// Forgets a connection.
    pub(super) fn leave(&mut self, place: Place) {
        self.places[place.index] = None;
        self.free.push(place.index);
        self.by_id.remove(&place.id);
    }

    /// Delivers a message to those of these clients that are here and take what is sent to them.
    pub(super) fn deliver(
        &self,
        clients: &[u64],
        letter: &Letter,
        limits: &OutputLimits,
        now_ms: u64,
    ) {
        for presence in clients.iter().filter_map(|id| self.find(*id)) {
            presence.deliver(letter.clone(), limits, now_ms);
        }
    }

    /// Drops those for whom too much waits, among the next `count` places.
    pub(super) fn keep_within(&mut self, limits: &OutputLimits, now_ms: u64, count: usize) {
        for _ in 0..count.min(self.places.len()) {
            self.next_limited = (self.next_limited + 1) % self.places.len();
            if let Some(presence) = &self.places[self.next_limited]
                && presence.waiting_bytes() > 0
            {
                presence.keep_within(limits, now_ms);
            }
        }
    }

    /// Drops the connection of a client, if it is here.
    pub(super) fn close(&self, client: u64) {
        if let Some(presence) = self.find(client) {
            presence.give_order(Order::Drop);
        }
    }

    /// Gives the connection of a client a turn, if it is here.
    pub(super) fn wake(&self, client: u64) {
        if let Some(presence) = self.find(client) {
            presence.wake();
        }
    }

    fn find(&self, client: u64) -> Option<&Presence> {
        self.places[*self.by_id.get(&client)?].as_deref()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Gives one order to all.
    pub(super) fn order_all(&self, order: Order) {
        for presence in self.places.iter().flatten() {
            presence.give_order(order);
        }
    }

    /// Drops the connections that were not active since `oldest_ms` among the next `count` places,
    /// but for those that may be silent. Returns how many it dropped.
    pub(super) fn drop_idle(&mut self, oldest_ms: u64, count: usize) -> usize {
        let mut dropped = 0;
        for _ in 0..count.min(self.places.len()) {
            self.next_look = (self.next_look + 1) % self.places.len();
            if let Some(presence) = &self.places[self.next_look]
                && presence.peer.active_ms() < oldest_ms
                && !presence.peer.may_be_silent()
                && !presence.has_work.get()
                && presence.order.get() != Order::Drop
                // Who listens may be silent for ever.
                && presence.class.get() != OutputClass::PubSub
            {
                presence.give_order(Order::Drop);
                dropped += 1;
            }
        }
        dropped
    }

    /// How many places there are, empty ones included.
    pub(super) fn places(&self) -> usize {
        self.places.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Enters a connection that was active at this time.
    fn enter(clients: &mut Clients, id: u64, active_ms: u64) -> (Place, Rc<Presence>) {
        let peer = Arc::new(Peer::new(id, 0, String::new(), String::new()));
        peer.touch(active_ms);
        clients.enter(peer)
    }

    #[test]
    fn places_are_used_again() {
        let mut clients = Clients::default();
        let (first, _) = enter(&mut clients, 1, 0);
        let (_second, _) = enter(&mut clients, 2, 0);
        clients.leave(first);
        assert_eq!(clients.len(), 1);
        let (_third, _) = enter(&mut clients, 3, 0);
        assert_eq!((clients.len(), clients.places()), (2, 2));
    }

    #[test]
    fn only_the_idle_are_dropped_and_each_look_goes_on_where_the_last_ended() {
        let mut clients = Clients::default();
        let presences: Vec<_> = (0..6).map(|time| enter(&mut clients, time, time).1).collect();
        let dropped = clients.drop_idle(3, 3) + clients.drop_idle(3, 3);
        assert_eq!(dropped, 3);
        let orders: Vec<_> = presences.iter().map(|p| p.order()).collect();
        assert_eq!(orders[..3], [Order::Drop; 3]);
        assert_eq!(orders[3..], [Order::Serve; 3]);
        presences[3].peer().touch(9);
        assert_eq!(clients.drop_idle(4, 6), 0);
    }

    #[test]
    fn who_has_subscribed_may_be_silent() {
        let mut clients = Clients::default();
        let (_place, subscriber) = enter(&mut clients, 1, 0);
        subscriber.peer().set_subscriptions(0, 1, 0);
        assert_eq!(clients.drop_idle(10, 1), 0);
        subscriber.peer().set_subscriptions(0, 0, 0);
        assert_eq!(clients.drop_idle(10, 1), 1);
    }

    #[test]
    fn who_waits_for_the_server_may_be_silent() {
        let mut clients = Clients::default();
        let (_place, presence) = enter(&mut clients, 1, 0);
        presence.note(OutputClass::default(), 0, true);
        assert_eq!(clients.drop_idle(10, 1), 0);
        presence.note(OutputClass::default(), 0, false);
        assert_eq!(clients.drop_idle(10, 1), 1);
    }

    #[test]
    fn looking_among_nobody_is_harmless() {
        assert_eq!(Clients::default().drop_idle(1, 100), 0);
    }
}
