//! What the server knows of one connection.

use super::long::Work;
use super::monitor::Monitoring;
use super::multi::Watches;
use super::peers::{Marks, Peer};
use super::pubsub::Subscriptions;
use super::queue::Queue;
use super::reply_mode::ReplyMode;
use super::row::Row;
use crate::resp::Protocol;
use crate::store::Ownership;
use crate::sync::Arc;

/// The state of a connection that its commands read and change.
#[derive(Debug)]
pub struct Client {
    /// The number of the connection: unique while the server runs, rising.
    pub id: u64,
    /// The connection as others see it.
    pub peer: Arc<Peer>,
    /// The name given by CLIENT SETNAME or HELLO; empty when there is none.
    pub name: Vec<u8>,
    /// Whether it has given the password, or came when there was none.
    pub is_authenticated: bool,
    /// The selected database.
    pub database: usize,
    /// The protocol of the replies.
    pub protocol: Protocol,
    /// Set when the connection is to be closed once its replies are written.
    pub close_after_reply: bool,
    /// Set when the client is to be spared when others have to go.
    pub(super) is_spared: bool,
    /// Set when its commands are no use of their keys.
    pub(super) leaves_usage: bool,
    /// What it wants to be answered.
    pub(super) reply_mode: ReplyMode,
    /// How many commands the EXEC has that it runs now.
    pub(super) executing: Option<usize>,
    /// Set when the peer is to see the connection end with the process, and not before.
    pub ends_with_server: bool,
    /// The command under way that goes on over several turns.
    pub(super) work: Option<Box<dyn Work>>,
    /// How long it has taken so far, in nanoseconds.
    pub(super) work_nanoseconds: u64,
    /// What is queued, between MULTI and EXEC.
    pub(super) queue: Option<Box<Queue>>,
    /// The keys that the next EXEC looks at first.
    pub(super) watches: Watches,
    /// The right to be the only one who runs commands, while it has or waits for it.
    pub(super) ownership: Option<Ownership>,
    /// What it listens to.
    pub(super) subscriptions: Option<Box<Subscriptions>>,
    /// Its place among the monitors.
    pub(super) monitoring: Option<Monitoring>,
}

impl Client {
    /// A new connection: database 0, RESP2, no name.
    pub fn new(id: u64, address: String) -> Client {
        Client::of(Arc::new(Peer::new(id, 0, address, String::new())))
    }

    /// The same for a connection that others see as `peer`.
    pub fn of(peer: Arc<Peer>) -> Client {
        Client {
            id: peer.id,
            peer,
            name: Vec::new(),
            is_authenticated: true,
            database: 0,
            protocol: Protocol::Resp2,
            close_after_reply: false,
            is_spared: false,
            leaves_usage: false,
            reply_mode: ReplyMode::default(),
            executing: None,
            ends_with_server: false,
            work: None,
            work_nanoseconds: 0,
            queue: None,
            watches: Watches::new(),
            ownership: None,
            subscriptions: None,
            monitoring: None,
        }
    }

    /// Bytes of the commands that wait for EXEC, about.
    pub fn queued_bytes(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.taken_bytes())
    }

    /// How many channels, patterns and channels of the shard it listens to.
    pub fn subscriptions(&self) -> [usize; 3] {
        self.subscriptions.as_ref().map_or([0; 3], |own| own.counts())
    }

    /// Whether it listens to anything.
    #[inline]
    pub fn is_listening(&self) -> bool {
        self.subscriptions.is_some()
    }

    /// Whether it is shown all commands.
    #[inline]
    pub fn is_monitor(&self) -> bool {
        self.monitoring.is_some()
    }

    /// Whether it is told what it has not asked for.
    #[inline]
    pub fn is_marked(&self) -> bool {
        self.is_listening() || self.is_monitor()
    }

    /// Ends all that it is told without having asked.
    pub(super) fn stop_listening(&mut self) {
        self.subscriptions = None;
        self.monitoring = None;
    }

    /// Gives the connection a name; the empty one takes it away.
    pub(super) fn set_name(&mut self, name: &[u8]) {
        name.clone_into(&mut self.name);
        self.peer.rename(|names| name.clone_into(&mut names.name));
    }

    /// Notes the name of the client's library.
    pub(super) fn set_library_name(&self, name: &[u8]) {
        self.peer.rename(|names| name.clone_into(&mut names.library_name));
    }

    /// Notes the version of the client's library.
    pub(super) fn set_library_version(&self, version: &[u8]) {
        self.peer.rename(|names| version.clone_into(&mut names.library_version));
    }

    /// Notes the last command.
    #[inline]
    pub(super) fn note_row(&self, row: &'static Row) {
        self.peer.note_row(row);
    }

    /// Shows others how the connection is now: some stores, once for each of its turns.
    pub fn publish(&self) {
        let figures = &self.peer.figures;
        let queued = self.executing.or(self.queue.as_ref().map(|queue| queue.len()));
        figures.database.set(self.database as u64);
        figures.queued.set(queued.map_or(0, |count| count as u64 + 1));
        figures.queued_bytes.set(self.queued_bytes() as u64);
        self.peer.note_protocol(self.protocol);
        self.peer.mark(Marks::CLOSING, self.close_after_reply);
        self.peer.mark(Marks::MONITOR, self.is_monitor());
        let [channels, patterns, shard_channels] = self.subscriptions();
        self.peer.set_subscriptions(channels, patterns, shard_channels);
        self.peer.mark(Marks::NO_EVICT, self.is_spared);
        self.peer.mark(Marks::NO_TOUCH, self.leaves_usage);
    }

    /// Whether replies to the client were taken back since the last call, so that there may be
    /// fewer than commands.
    pub fn take_muted(&mut self) -> bool {
        self.reply_mode.take_muted()
    }

    /// Whether the client wants no reply at all.
    pub fn wants_silence(&self) -> bool {
        self.reply_mode.is_off()
    }

    /// Whether it has the other clients out, or is about to.
    pub fn keeps_others_out(&self) -> bool {
        self.ownership.is_some()
    }

    /// Lets the other clients run commands again, if this one had them out.
    pub fn give_back_exclusion(&mut self) {
        self.ownership = None;
    }
}
