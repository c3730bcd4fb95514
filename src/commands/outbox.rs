//! What a command tells others, on its way out: messages, events of keys, lines for monitors.
//!
//! It is gathered while the command runs and sent when it is done, in the order in which it was
//! gathered; what an EXEC tells is sent when all of it has taken effect. A run of a transaction
//! that was lost has told nothing (module `atomic`), but for keys that were found past their
//! deadline meanwhile: those have gone whatever became of the transaction.
//!
//! Sending posts parcels and never waits (module `post`). The client itself may be among those who
//! are told. As in Redis it then reads messages and events before the reply to the command that
//! caused them, but after that to an EXEC (whose reply is not to be torn apart), and lines after.

use bytes::Bytes;

use super::client::Client;
use super::context::Context;
use super::notify::Event;
use super::post::{Letter, Parcel, Post};
use super::pubsub::{Delivery, Kind, Registry};
use crate::config::EventClasses;
use crate::resp::ReplyBuffer;
use crate::store::Witnessed;
use crate::sync::Arc;

/// Something that is to be told.
pub(super) enum Outgoing {
    /// A message that was published: to whom is known already.
    Published(Vec<Delivery>),
    /// Something has happened to a key.
    Event(Event),
    /// A command for the monitors.
    Line(Vec<Delivery>),
}

impl Context<'_> {
    /// Has messages delivered: at once, if nothing says that they have to wait.
    pub(super) fn deliver(&mut self, deliveries: Vec<Delivery>) {
        match self.needs_care || self.alone || self.session.in_transaction() {
            true => self.outbox.push(Outgoing::Published(deliveries)),
            false => send(&self.state.post, deliveries, log_position(self.state)),
        }
    }

    /// Gathers what the store has witnessed.
    pub(super) fn gather_witnessed(&mut self) {
        for witnessed in self.session.take_witnessed() {
            self.outbox.push(Outgoing::Event(Event::of(witnessed)));
        }
    }

    /// Tells everything. What the client itself is told goes to `before` if it is no line, and
    /// behind its replies if there is no such place.
    pub(super) fn tell(&mut self, mut before: Option<&mut ReplyBuffer>) {
        self.gather_witnessed();
        if self.outbox.is_empty() {
            return;
        }
        // Now, since a transaction has its place in the log when it has taken effect.
        let told_of = log_position(self.state);
        for outgoing in std::mem::take(&mut self.outbox) {
            let (is_line, mut deliveries) = match outgoing {
                Outgoing::Published(deliveries) => (false, deliveries),
                Outgoing::Line(deliveries) => (true, deliveries),
                Outgoing::Event(event) => {
                    let channels = &self.state.channels;
                    (false, address_event(channels, self.notifies, &event))
                }
            };
            let own = self.client.id;
            for delivery in &mut deliveries {
                if delivery.worker != self.worker || !delivery.clients.contains(&own) {
                    continue;
                }
                delivery.clients.retain(|client| *client != own);
                match before.as_deref_mut() {
                    _ if is_line => delivery.message.write(self.client, self.out),
                    Some(before) => delivery.message.write(self.client, before),
                    None => self.push(|client, out| delivery.message.write(client, out)),
                }
            }
            // A line is no news of the keys.
            send(&self.state.post, deliveries, if is_line { 0 } else { told_of });
        }
    }

    /// Writes something to the client that comes whether it wants replies or not.
    pub(super) fn push(&mut self, write: impl FnOnce(&mut Client, &mut ReplyBuffer)) {
        let mut mode = self.client.reply_mode;
        mode.push(self.out, |out| write(self.client, out));
        self.client.reply_mode = mode;
    }

    /// Takes back what a lost run of a transaction would have told, which is what came after the
    /// first `kept`.
    pub(super) fn untell(&mut self, kept: usize) {
        self.gather_witnessed();
        let late = self.outbox.split_off(kept);
        let certain = |it: &Outgoing| matches!(it, Outgoing::Event(event) if event.is_certain);
        self.outbox.extend(late.into_iter().filter(certain));
    }
}

/// Tells what the store has witnessed when no client had a part in it.
#[cold]
pub(super) fn tell_witnessed(state: &super::ServerState, witnessed: Vec<Witnessed>) {
    let classes = state.notify_keyspace_events();
    let exposed = log_position(state);
    for event in witnessed.into_iter().map(Event::of) {
        send(&state.post, address_event(&state.channels, classes, &event), exposed);
    }
}

/// The position of the log that what is told now must not precede; 0 if there is none.
fn log_position(state: &super::ServerState) -> u64 {
    let strict = state.keyspace.log().filter(|log| log.is_strict());
    strict.map_or(0, |log| log.ring().tail())
}

fn send(post: &Post, deliveries: Vec<Delivery>, exposed: u64) {
    for Delivery { worker, clients, message } in deliveries {
        if !clients.is_empty() {
            post.send(worker, Parcel::Deliver(Arc::from(clients), Letter { message, exposed }));
        }
    }
}

/// The messages that tell of an event: one by the key, one by the event, as far as wanted.
fn address_event(channels: &Arc<Registry>, classes: EventClasses, event: &Event) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    if !classes.contains(event.class) || channels.is_silent() {
        return deliveries;
    }
    if classes.contains(EventClasses::BY_KEY) {
        let mut channel = format!("__keyspace@{}__:", event.database).into_bytes();
        channel.extend_from_slice(&event.key);
        let payload = || Bytes::from_static(event.name.as_bytes());
        deliveries.extend(channels.address(Kind::Channel, &channel, payload));
    }
    if classes.contains(EventClasses::BY_EVENT) {
        let channel = format!("__keyevent@{}__:{}", event.database, event.name);
        let payload = || Bytes::copy_from_slice(&event.key);
        deliveries.extend(channels.address(Kind::Channel, channel.as_bytes(), payload));
    }
    deliveries
}
