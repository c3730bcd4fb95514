//! All connections, as any worker may see them.
//!
//! Each connection has one [`Peer`]: what does not change while it lasts, its names, and figures
//! that its own worker keeps up, once for each turn of the connection. A figure is a word of its
//! own with one writer, so keeping it up is a plain store; the words fill two cache lines that are
//! the peer's alone, which no other worker touches unless somebody lists the clients. A list shows
//! each connection as it was at the end of its last turn, and no instant of them all together.
//!
//! The list of all peers ([`Peers`]) is behind a lock: connections enter and leave it, and commands
//! of the administrator read it. No request looks at it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::row::Row;
use crate::config::Permission;
use crate::memory::taken;
use crate::resp::Protocol;
use crate::sync::plain::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The time in which a buffer counts as used recently, as in Redis.
const RECENT: Duration = Duration::from_secs(8);

/// Bytes that an entry of the list of all peers takes: its key, its value, and its part of a node
/// that is two thirds full.
const ENTRY_BYTES: usize = 3 * (size_of::<u64>() + size_of::<usize>()) / 2;

/// A figure that one worker keeps up and all may read.
#[derive(Debug, Default)]
pub(super) struct Figure(AtomicU64);

impl Figure {
    #[inline]
    pub(super) fn get(&self) -> u64 {
        // Relaxed: a figure to be shown, which nothing is published through.
        self.0.load(Ordering::Relaxed)
    }

    #[inline]
    pub(super) fn set(&self, value: u64) {
        // Relaxed: as in `get`.
        self.0.store(value, Ordering::Relaxed);
    }
}

/// What a connection's own worker keeps up. Two cache lines, which are no other's.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Figures {
    /// When the client last did something, in milliseconds since the server's start.
    pub(super) active_ms: Figure,
    /// The selected database.
    pub(super) database: Figure,
    /// Commands queued since MULTI, and one; 0 without MULTI.
    pub(super) queued: Figure,
    /// Bytes that they take.
    pub(super) queued_bytes: Figure,
    /// Bytes received and not executed.
    pub(super) input_bytes: Figure,
    /// Bytes for which there is room behind them.
    pub(super) input_room: Figure,
    /// Bytes that were there when something was last received.
    pub(super) input_bytes_last: Figure,
    /// Bytes of arguments that have buffers of their own already.
    pub(super) argument_bytes: Figure,
    /// Bytes of replies that are not sent.
    pub(super) output_bytes: Figure,
    /// The most bytes that were to be sent at once so far.
    pub(super) output_bytes_peak: Figure,
    /// All bytes that the connection takes.
    pub(super) memory_bytes: Figure,
    /// The [`Marks`].
    pub(super) marks: Figure,
    /// The protocol of the replies, by its number.
    pub(super) protocol: Figure,
    /// The last command: the address of its row, 0 when there was none.
    pub(super) row: Figure,
    /// Channels and patterns (32 bits each) that it has subscribed to.
    pub(super) subscriptions: Figure,
    /// Shard channels that it has subscribed to.
    pub(super) shard_subscriptions: Figure,
}

/// What a connection is, beside its figures: bits of a word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks(u64);

impl Marks {
    /// It waits, with a command that it has sent.
    pub const BLOCKED: Marks = Marks(1);
    /// It is closed when its replies are sent.
    pub(super) const CLOSING: Marks = Marks(1 << 1);
    /// It is to be spared when clients have to go.
    pub(super) const NO_EVICT: Marks = Marks(1 << 2);
    /// What it does is no use of a key.
    pub(super) const NO_TOUCH: Marks = Marks(1 << 3);
    /// It is shown all commands.
    pub(super) const MONITOR: Marks = Marks(1 << 4);

    /// Whether all of `other` are set.
    pub(super) const fn contains(self, other: Marks) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Why a wait ends before its time: CLIENT UNBLOCK says how the client is to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unblocked {
    /// As if its time had come.
    AsByTime,
    /// By an error.
    WithError,
}

/// Whether a client waits in a command, and whether somebody has ended that: one word, whose
/// changes decide between the client's own worker and all who would unblock it.
#[derive(Debug, Default)]
pub(super) struct Wait(AtomicU64);

/// The states of a [`Wait`].
const WAITS_NOT: u64 = 0;
const WAITS: u64 = 1;
const ENDED: u64 = 2;
const ENDED_BY_ERROR: u64 = 3;

impl Wait {
    /// The client waits from now on, or still does. False when somebody has ended it. By its own
    /// worker alone.
    #[must_use]
    pub(super) fn goes_on(&self) -> bool {
        // Relaxed, here and below: the word is all there is; its changes have an order.
        let begun = self.0.compare_exchange(WAITS_NOT, WAITS, Ordering::Relaxed, Ordering::Relaxed);
        matches!(begun, Ok(_) | Err(WAITS))
    }

    /// The client waits no longer. Says whether somebody has ended it. By its own worker alone.
    pub(super) fn end(&self) -> Option<Unblocked> {
        match self.0.swap(WAITS_NOT, Ordering::Relaxed) {
            ENDED => Some(Unblocked::AsByTime),
            ENDED_BY_ERROR => Some(Unblocked::WithError),
            _ => None,
        }
    }

    /// Ends the wait. False when there is none, or somebody was first.
    #[must_use]
    pub(super) fn unblock(&self, how: Unblocked) -> bool {
        let ended = match how {
            Unblocked::AsByTime => ENDED,
            Unblocked::WithError => ENDED_BY_ERROR,
        };
        self.0.compare_exchange(WAITS, ended, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Whether somebody has ended it, which the client's worker has not noticed yet.
    fn is_ended(&self) -> bool {
        matches!(self.0.load(Ordering::Relaxed), ENDED | ENDED_BY_ERROR)
    }
}

/// How a client has named itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// Of the connection; empty when there is none.
    pub(super) name: Vec<u8>,
    /// Of the client's library; empty when there is none.
    pub(super) library_name: Vec<u8>,
    /// The library's version; empty when there is none.
    pub(super) library_version: Vec<u8>,
}

/// One connection, as any worker may see it.
#[derive(Debug)]
pub struct Peer {
    /// The number of the connection.
    pub id: u64,
    /// The worker that has it.
    pub worker: usize,
    /// The client's address, as text.
    pub address: Box<str>,
    /// The address it has connected to, as text.
    pub local_address: Box<str>,
    /// The number of the socket's descriptor.
    pub descriptor: i32,
    /// Whether it came over a Unix socket.
    pub is_unix: bool,
    /// When it came.
    connected: Instant,
    /// Set by commands of the client alone, and read by those who list it; no request waits here.
    names: Mutex<Names>,
    /// Set once by whoever has it closed.
    killed: AtomicBool,
    /// Whether it waits in a command.
    pub(super) wait: Wait,
    pub(super) figures: Figures,
}

/// Whether an address is one of this machine: of the loopback interface, or a Unix socket's path.
fn is_of_this_machine(address: &str) -> bool {
    let tcp = address.parse::<SocketAddr>();
    tcp.map_or(address.starts_with('/'), |tcp| tcp.ip().to_canonical().is_loopback())
}

impl Peer {
    /// Whether the client may use what is permitted to such clients.
    pub(super) fn is_permitted(&self, permission: Permission) -> bool {
        match permission {
            Permission::No => false,
            Permission::Yes => true,
            Permission::Local => is_of_this_machine(&self.address),
        }
    }

    /// A client that has just come.
    pub fn new(id: u64, worker: usize, address: String, local_address: String) -> Peer {
        Peer {
            id,
            worker,
            address: address.into(),
            local_address: local_address.into(),
            descriptor: -1,
            is_unix: false,
            connected: Instant::now(),
            names: Mutex::default(),
            killed: AtomicBool::new(false),
            wait: Wait::default(),
            figures: Figures::default(),
        }
    }

    /// The path of the Unix socket that the client came over, without the 0 that is its port.
    pub(super) fn socket_file(&self) -> &str {
        self.address.strip_suffix(":0").unwrap_or(&self.address)
    }

    /// Seconds since it came.
    pub(super) fn age_seconds(&self) -> u64 {
        self.connected.elapsed().as_secs()
    }

    /// What it is called.
    pub(super) fn names(&self) -> Names {
        self.lock_names().clone()
    }

    /// Changes what it is called.
    pub(super) fn rename(&self, change: impl FnOnce(&mut Names)) {
        change(&mut self.lock_names());
    }

    fn lock_names(&self) -> MutexGuard<'_, Names> {
        // Names are whole whatever has panicked.
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client did something, so many milliseconds after the server's start. By its worker
    /// alone, as all that follow.
    #[inline]
    pub fn touch(&self, now_ms: u64) {
        self.figures.active_ms.set(now_ms);
    }

    /// When it last did something, in milliseconds since the server's start.
    pub fn active_ms(&self) -> u64 {
        self.figures.active_ms.get()
    }

    /// Something was received: so many bytes are there, and room for so many more.
    #[inline]
    pub fn note_input(&self, bytes: usize, room: usize) {
        self.figures.input_bytes.set(bytes as u64);
        self.figures.input_bytes_last.set(bytes as u64);
        self.figures.input_room.set(room as u64);
    }

    /// So many bytes are to be sent now.
    #[inline]
    pub fn note_output(&self, bytes: usize) {
        let peak = self.figures.output_bytes_peak.get();
        self.figures.output_bytes_peak.set(peak.max(bytes as u64));
    }

    /// At the end of a turn: what is received and not executed and the room behind it, what is in
    /// arguments of their own, what is not sent, and all that the connection takes.
    pub fn note_rest(&self, rest: Rest) {
        self.figures.input_bytes.set(rest.input_bytes as u64);
        self.figures.input_room.set(rest.input_room as u64);
        self.figures.argument_bytes.set(rest.argument_bytes as u64);
        self.figures.output_bytes.set(rest.output_bytes as u64);
        self.figures.memory_bytes.set(rest.memory_bytes as u64);
    }

    /// Sets or takes away a mark.
    pub fn mark(&self, mark: Marks, is_set: bool) {
        let marks = self.figures.marks.get();
        let marks = if is_set { marks | mark.0 } else { marks & !mark.0 };
        self.figures.marks.set(marks);
    }

    pub(super) fn marks(&self) -> Marks {
        Marks(self.figures.marks.get())
    }

    /// What it has subscribed to now: channels, patterns, shard channels.
    pub fn set_subscriptions(&self, channels: usize, patterns: usize, shard_channels: usize) {
        // Nobody has 2^32 subscriptions, at some 100 bytes each.
        self.figures.subscriptions.set((channels as u64) << 32 | patterns as u64);
        self.figures.shard_subscriptions.set(shard_channels as u64);
    }

    /// Whether it is shown all commands.
    pub fn set_monitor(&self, is_monitor: bool) {
        self.mark(Marks::MONITOR, is_monitor);
    }

    /// Whether it has subscribed to anything.
    pub(super) fn is_subscriber(&self) -> bool {
        self.figures.subscriptions.get() != 0 || self.figures.shard_subscriptions.get() != 0
    }

    /// Whether it may be silent for as long as it likes: it has good reason to be.
    pub fn may_be_silent(&self) -> bool {
        let marks = self.marks();
        self.is_subscriber() || marks.contains(Marks::MONITOR) || marks.contains(Marks::BLOCKED)
    }

    pub(super) fn note_row(&self, row: &'static Row) {
        self.figures.row.set(std::ptr::from_ref(row).addr() as u64);
    }

    pub(super) fn note_protocol(&self, protocol: Protocol) {
        let number = match protocol {
            Protocol::Resp2 => 2,
            Protocol::Resp3 => 3,
        };
        self.figures.protocol.set(number);
    }

    /// Condemns the connection: from now on it is on no list, and its worker closes it at its next
    /// turn. False when somebody else was first.
    #[must_use]
    pub(super) fn kill(&self) -> bool {
        // Relaxed: only one may succeed; the worker is told by a parcel besides.
        !self.killed.swap(true, Ordering::Relaxed)
    }

    /// Whether somebody has condemned it.
    #[inline]
    pub fn is_killed(&self) -> bool {
        // Relaxed: seen a turn later it is as if the order had come then.
        self.killed.load(Ordering::Relaxed)
    }

    /// Whether somebody has ended its wait, and it has to be told.
    pub fn is_unblocked(&self) -> bool {
        self.wait.is_ended()
    }

    /// Bytes that the peer itself takes, its names apart.
    pub fn bytes(&self) -> usize {
        let counts = 2 * size_of::<usize>();
        let texts = taken(self.address.len()) + taken(self.local_address.len());
        taken(size_of::<Peer>() + counts) + texts + ENTRY_BYTES
    }
}

/// What is left of a connection's work at the end of a turn, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rest {
    /// Received and not executed.
    pub input_bytes: usize,
    /// Room behind it.
    pub input_room: usize,
    /// Arguments in buffers of their own.
    pub argument_bytes: usize,
    /// Replies and messages that are not sent.
    pub output_bytes: usize,
    /// All that the connection takes.
    pub memory_bytes: usize,
}

/// Figures of all connections together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientFigures {
    /// Connections.
    pub clients: u64,
    /// Those that have subscribed to something.
    pub pubsub: u64,
    /// Those that are shown all commands.
    pub monitors: u64,
    /// Those that wait with a command that they have sent.
    pub blocked: u64,
    /// The most bytes that one of them had sent at once, of those heard lately.
    pub input_bytes_max: u64,
    /// The most bytes that wait to be sent to one of them.
    pub output_bytes_max: u64,
    /// What they take together.
    pub memory_bytes: u64,
}

/// All connections.
#[derive(Default)]
pub struct Peers {
    /// By number, in the order in which they came. A lock, for no request takes it.
    all: Mutex<BTreeMap<u64, Arc<Peer>>>,
}

impl Peers {
    /// Enters a connection.
    pub fn enter(&self, peer: Arc<Peer>) {
        self.lock().insert(peer.id, peer);
    }

    /// Forgets a connection.
    pub fn leave(&self, id: u64) {
        self.lock().remove(&id);
    }

    /// Those that are there, the oldest first.
    pub(super) fn list(&self) -> Vec<Arc<Peer>> {
        self.lock().values().filter(|peer| !peer.is_killed()).cloned().collect()
    }

    /// The one of this number.
    pub(super) fn find(&self, id: u64) -> Option<Arc<Peer>> {
        self.lock().get(&id).filter(|peer| !peer.is_killed()).cloned()
    }

    /// Figures of all together, `now_ms` after the server's start.
    pub fn figures(&self, now_ms: u64) -> ClientFigures {
        let mut sum = ClientFigures::default();
        for peer in self.lock().values() {
            let (figures, marks) = (&peer.figures, peer.marks());
            sum.clients += 1;
            sum.pubsub += u64::from(peer.is_subscriber());
            sum.monitors += u64::from(marks.contains(Marks::MONITOR));
            sum.blocked += u64::from(marks.contains(Marks::BLOCKED));
            if u128::from(now_ms.saturating_sub(peer.active_ms())) <= RECENT.as_millis() {
                let input = figures.input_bytes_last.get() + figures.argument_bytes.get();
                sum.input_bytes_max = sum.input_bytes_max.max(input);
            }
            sum.output_bytes_max = sum.output_bytes_max.max(figures.output_bytes.get());
            sum.memory_bytes += figures.memory_bytes.get();
        }
        sum
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Peer>>> {
        // An insertion or removal that panicked (for want of memory) has left a whole map.
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peers").field("count", &self.lock().len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(id: u64) -> Arc<Peer> {
        Arc::new(Peer::new(id, 0, format!("127.0.0.1:{id}"), String::new()))
    }

    #[test]
    fn who_was_killed_is_killed_once_and_on_no_list() {
        let peers = Peers::default();
        peers.enter(peer(1));
        peers.enter(peer(2));
        let first = peers.find(1).unwrap();
        assert!(first.kill());
        assert!(!first.kill());
        assert!(peers.find(1).is_none());
        let ids: Vec<_> = peers.list().iter().map(|peer| peer.id).collect();
        assert_eq!(ids, [2]);
        peers.leave(2);
        assert!(peers.list().is_empty());
    }

    #[test]
    fn a_wait_is_ended_once_and_only_while_there_is_one() {
        let wait = Wait::default();
        assert!(!wait.unblock(Unblocked::WithError));
        assert!(wait.goes_on() && wait.goes_on() && !wait.is_ended());
        assert!(wait.unblock(Unblocked::WithError) && !wait.unblock(Unblocked::AsByTime));
        assert!(wait.is_ended() && !wait.goes_on());
        assert_eq!((wait.end(), wait.end()), (Some(Unblocked::WithError), None));
        assert!(wait.goes_on());
        assert_eq!(wait.end(), None);
        assert!(!wait.unblock(Unblocked::AsByTime));
    }

    #[test]
    fn figures_are_those_of_all_that_are_there() {
        let peers = Peers::default();
        let (reader, other) = (peer(1), peer(2));
        reader.set_subscriptions(2, 1, 0);
        reader.touch(10_000);
        reader.note_input(300, 0);
        other.touch(1_000);
        other.note_input(9_000, 0);
        other.set_monitor(true);
        other.mark(Marks::BLOCKED, true);
        peers.enter(reader);
        peers.enter(other);
        let figures = peers.figures(10_100);
        assert_eq!((figures.clients, figures.pubsub), (2, 1));
        assert_eq!((figures.monitors, figures.blocked), (1, 1));
        assert_eq!(figures.input_bytes_max, 300, "the other one was silent for long");
    }

    #[test]
    fn marks_come_and_go_alone() {
        let peer = peer(1);
        peer.mark(Marks::BLOCKED, true);
        peer.mark(Marks::NO_EVICT, true);
        peer.mark(Marks::BLOCKED, false);
        assert_eq!(peer.marks(), Marks::NO_EVICT);
        assert!(!peer.may_be_silent());
        peer.set_monitor(true);
        assert!(peer.may_be_silent());
    }

    #[test]
    fn who_is_on_this_machine_is_of_this_machine() {
        for peer in ["127.0.0.1:1", "127.1.2.3:65535", "[::1]:7", "[::ffff:127.0.0.1]:7", "/s:0"] {
            assert!(is_of_this_machine(peer), "{peer}");
        }
        for peer in ["10.0.0.1:1", "[fe80::1]:7", "[::ffff:10.0.0.1]:7"] {
            assert!(!is_of_this_machine(peer), "{peer}");
        }
    }
}
