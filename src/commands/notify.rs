//! Events of keys, for those who listen: `notify-keyspace-events`.
//!
//! A handler says what it has done to a key when it has done it ([`Context::notify`]); what happens
//! to keys by the way (they expire, are evicted, come into being) the store witnesses. Both are
//! told when the command is done (module `outbox`), in order.
//!
//! While nothing is to be told a batch reads one word, and each change one field.

use super::context::Context;
use super::outbox::Outgoing;
use super::state::ServerState;
use crate::config::EventClasses;
use crate::store::{Key, What, Witnessed};

/// Something that has happened to a key.
pub(super) struct Event {
    /// What kind of thing.
    pub(super) class: EventClasses,
    /// Redis's word for it.
    pub(super) name: &'static str,
    /// The key's database.
    pub(super) database: usize,
    /// The key.
    pub(super) key: Box<[u8]>,
    /// Whether it has happened whatever becomes of the transaction that is under way.
    pub(super) is_certain: bool,
}

impl Event {
    pub(super) fn of(witnessed: Witnessed) -> Event {
        let (class, name) = match witnessed.what {
            What::Expired => (EventClasses::EXPIRED, "expired"),
            What::Evicted => (EventClasses::EVICTED, "evicted"),
            What::New => (EventClasses::NEW, "new"),
        };
        let Witnessed { database, key, is_certain, .. } = witnessed;
        Event { class, name, database, key, is_certain }
    }
}

impl Context<'_> {
    /// Goes by the settings as they are now, from the next command on: they were changed by this
    /// one.
    pub(super) fn follow_settings(&mut self) {
        self.notifies = self.state.notify_keyspace_events();
        self.session.follow_witness(&self.state.keyspace);
        self.needs_care |= !self.notifies.is_empty();
    }

    /// Says that something has happened to a key of the selected database.
    #[inline]
    pub(super) fn notify(&mut self, class: EventClasses, name: &'static str, key: Key<'_>) {
        if self.notifies.contains(class) {
            self.note_event(class, name, self.client.database, key);
        }
    }

    /// The same of any database.
    pub(super) fn notify_in(
        &mut self,
        database: usize,
        class: EventClasses,
        name: &'static str,
        key: Key<'_>,
    ) {
        if self.notifies.contains(class) {
            self.note_event(class, name, database, key);
        }
    }

    #[cold]
    fn note_event(
        &mut self,
        class: EventClasses,
        name: &'static str,
        database: usize,
        key: Key<'_>,
    ) {
        self.gather_witnessed();
        let event = Event { class, name, database, key: key.bytes.into(), is_certain: false };
        self.outbox.push(Outgoing::Event(event));
    }

    /// A key was asked for, before anything was done to it.
    #[cold]
    fn note_miss(&mut self, key: Key<'_>) {
        // What is gathered from here on is of the same command.
        let from = self.outbox.len();
        self.note_event(EventClasses::MISS, "keymiss", self.client.database, key);
        let is_new = |event: &Event| event.name == "new" && *event.key == *key.bytes;
        let is_its_making = |it: &Outgoing| matches!(it, Outgoing::Event(event) if is_new(event));
        let last = self.outbox.len() - 1;
        if last > from && is_its_making(&self.outbox[last - 1]) {
            self.outbox.swap(last - 1, last);
        }
    }

    /// Notes whether a reading command found a key.
    #[inline]
    pub(super) fn look_up(&mut self, key: Key<'_>, found: bool) {
        self.counts.look_up(found);
        if !found && self.notifies.contains(EventClasses::MISS) {
            self.note_miss(key);
        }
    }
}

impl ServerState {
    /// What is told of keys now.
    pub fn notify_keyspace_events(&self) -> EventClasses {
        EventClasses::of_bits(self.tunables.notify_keyspace_events.get())
    }

    /// Has these events told from now on: by the batches that begin after this.
    pub fn set_notify_keyspace_events(&self, classes: EventClasses) {
        let is_told = classes.meets(EventClasses::BY_KEY.and(EventClasses::BY_EVENT));
        let asked = |class: EventClasses| is_told && classes.contains(class);
        self.keyspace.witness(&[
            (What::Expired, asked(EventClasses::EXPIRED)),
            (What::Evicted, asked(EventClasses::EVICTED)),
            (What::New, asked(EventClasses::NEW)),
        ]);
        self.tunables.notify_keyspace_events.set(classes.bits());
    }
}
