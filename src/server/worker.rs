//! A worker: one thread, one event loop, one engine, its share of the connections.
//!
//! All that belongs to a worker stays on its thread, in cells without locks; a request never
//! crosses to another thread. Connections and the word to stop come from outside through one
//! channel, parcels for its clients through another. On a tick, ten times a second, the worker does
//! what no request pays for: the engine's maintenance and the search for idle clients.

use std::cell::{Cell, RefCell, RefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use log::{debug, error, warn};
use tokio::runtime::LocalRuntime;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::yield_now;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::clients::{Clients, Order, Place, Presence};
use super::connection::Connection;
use super::desk::{Desk, DeskPool};
use super::load::Share;
use super::socket::{Accepted, Socket};
use super::waits::{Alarm, Need, Waits};
use crate::commands::{Client, Engine, OutputClass, Parcel, Peer, ServerState};
use crate::config::OutputLimit;
use crate::resp::Limits;
use crate::stats::WorkerStats;
use crate::sync::Arc;

/// Time between two ticks. Also the grain of the idle timeout; Redis's `hz 10`.
const TICK: Duration = Duration::from_millis(1_000 / TICKS_PER_SECOND);
const TICKS_PER_SECOND: u64 = 10;

/// At each tick a tenth of the connections are looked at for the idle timeout, but at least so
/// many: each once a second, as in Redis.
const IDLE_LOOKS_MIN: usize = 64;

/// Parcels that are handed out in one go: at some 50 ns a client, well under a millisecond but for
/// messages to thousands.
const PARCELS_MAX: usize = 256;

/// How long a stopping worker waits for clients that do not take their replies.
const GRACE: Duration = Duration::from_secs(5);

/// The longest inline command, in bytes (Redis's limit).
const INLINE_MAX_BYTES: usize = 64 * 1024;

/// A new connection on its way to its worker.
#[derive(Debug)]
pub(super) struct Arrival {
    /// The socket.
    pub(super) stream: Accepted,
    /// The client's address.
    pub(super) peer: String,
    /// Its part of the worker's load.
    pub(super) share: Share,
}

/// What comes to a worker from outside.
#[derive(Debug)]
pub(super) struct Inbox {
    /// New connections.
    pub(super) arrivals: UnboundedReceiver<Arrival>,
    /// Parcels for clients of its own.
    pub(super) parcels: UnboundedReceiver<Parcel>,
}

/// One worker, as its connections see it.
#[derive(Debug)]
pub(super) struct Worker {
    state: Arc<ServerState>,
    /// Its number.
    index: usize,
    stats: Arc<WorkerStats>,
    engine: RefCell<Engine>,
    desks: RefCell<DeskPool>,
    clients: RefCell<Clients>,
    /// Connections that wait for the log or for their turn.
    waits: Waits,
    /// The worker's clock, as of the last tick: milliseconds since the server's start.
    now_ms: Cell<u64>,
    /// Told when the last connection has left.
    emptied: Notify,
}

/// Runs worker `index` on this thread until `arrivals` ends, then answers what its clients have
/// sent and returns. `alarm` tells of changes that connections wait for.
pub(super) fn run(
    state: Arc<ServerState>,
    index: usize,
    runtime: &LocalRuntime,
    inbox: Inbox,
    alarm: Arc<Alarm>,
) {
    let engine = Engine::new(Arc::clone(&state), index);
    // The watcher does it.
    engine.defer_wakes();
    let worker = Rc::new(Worker {
        stats: Arc::clone(state.stats.worker(index)),
        engine: RefCell::new(engine),
        desks: RefCell::default(),
        clients: RefCell::default(),
        waits: Waits::new(alarm),
        now_ms: Cell::new(state.uptime_ms()),
        emptied: Notify::new(),
        index,
        state,
    });
    runtime.block_on(async {
        tokio::task::spawn_local(Rc::clone(&worker).watch());
        worker.serve(inbox).await;
        worker.finish().await;
    });
}

impl Worker {
    /// Takes in connections and ticks, until no more connections can come.
    async fn serve(self: &Rc<Worker>, mut inbox: Inbox) {
        let mut ticks = interval(TICK);
        // After a delay go on at the usual pace: ticks that were missed need no making up.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sweep = None;
        loop {
            let sweep_due = pause(sweep.unwrap_or(TICK));
            tokio::select! {
                arrival = inbox.arrivals.recv() => match arrival {
                    Some(arrival) => self.admit(arrival),
                    None => return,
                },
                Some(parcel) = inbox.parcels.recv() => {
                    self.hand_out(parcel);
                    // Those that came with it, before the connections have their turn: each then
                    // writes all it has got at once.
                    for _ in 0..PARCELS_MAX {
                        let Ok(parcel) = inbox.parcels.try_recv() else { break };
                        self.hand_out(parcel);
                    }
                }
                _ = ticks.tick() => {
                    self.tick();
                    sweep = sweep.or(Some(Duration::ZERO));
                }
                () = sweep_due, if sweep.is_some() => {
                    // What is left to evict is more urgent than the next tick.
                    let evicts = self.evict().then_some(Duration::ZERO);
                    sweep = evicts.or(self.sweep());
                }
            }
        }
    }

    fn admit(self: &Rc<Worker>, arrival: Arrival) {
        let Arrival { stream, peer, share } = arrival;
        self.stats.connections_received.add(1);
        // Fails only when the event loop is out of memory or watches.
        let stream = match stream.watch() {
            Ok(stream) => stream,
            Err(error) => {
                warn!("cannot watch the connection of {peer}: {error}");
                return;
            }
        };
        let id = self.state.next_client_id();
        debug!("client {id}: connected from {peer}");
        let mut peer = Peer::new(id, self.index, peer, stream.local_name());
        peer.descriptor = stream.descriptor();
        peer.is_unix = matches!(stream, Socket::Unix(_));
        let mut client = Client::of(Arc::new(peer));
        client.forget_authentication(&self.state);
        let connection = Connection::new(Rc::clone(self), stream, client, share);
        tokio::task::spawn_local(connection.serve());
    }

    fn hand_out(&self, parcel: Parcel) {
        let clients = self.clients.borrow();
        match parcel {
            Parcel::Deliver(to, letter) => {
                let limits = &self.state.tunables.client_output_buffer_limits;
                clients.deliver(&to, &letter, limits, self.now_ms());
            }
            Parcel::Close(client) => clients.close(client),
            Parcel::Wake(client) => clients.wake(client),
        }
    }

    fn tick(&self) {
        self.now_ms.set(self.state.uptime_ms());
        // A bug in maintenance must not end the worker and its connections.
        if catch_unwind(AssertUnwindSafe(|| self.engine().idle())).is_err() {
            error!("the maintenance of a worker failed by a panic");
        }
        self.keep_within_limits();
        let timeout_seconds = self.state.tunables.client_timeout_seconds.get();
        if timeout_seconds > 0 {
            self.drop_idle(timeout_seconds.saturating_mul(1_000));
        }
    }

    /// A slice of active expiry; returns how long until the next one, if one is due before the next
    /// tick.
    fn sweep(&self) -> Option<Duration> {
        // As in `tick`.
        catch_unwind(AssertUnwindSafe(|| self.engine().sweep())).unwrap_or_else(|_| {
            error!("the active expiry of a worker failed by a panic");
            None
        })
    }

    /// A slice of eviction; true if more is to go.
    fn evict(&self) -> bool {
        // As in `tick`.
        catch_unwind(AssertUnwindSafe(|| self.engine().evict())).unwrap_or_else(|_| {
            error!("the eviction of a worker failed by a panic");
            false
        })
    }

    /// Looks at a tenth of the connections, so at each once a second, for those that do not take
    /// what is sent to them.
    fn keep_within_limits(&self) {
        let mut clients = self.clients.borrow_mut();
        let looks = clients.places().div_ceil(TICKS_PER_SECOND as usize);
        let limits = &self.state.tunables.client_output_buffer_limits;
        clients.keep_within(limits, self.now_ms(), looks.max(IDLE_LOOKS_MIN));
    }

    /// How much may wait for clients of a class.
    pub(super) fn output_limit(&self, class: OutputClass) -> OutputLimit {
        self.state.tunables.client_output_buffer_limits.get(class)
    }

    fn drop_idle(&self, timeout_ms: u64) {
        let Some(oldest_ms) = self.now_ms().checked_sub(timeout_ms) else {
            return;
        };
        let mut clients = self.clients.borrow_mut();
        let looks = clients.places().div_ceil(TICKS_PER_SECOND as usize);
        let dropped = clients.drop_idle(oldest_ms, looks.max(IDLE_LOOKS_MIN));
        if dropped > 0 {
            debug!("{dropped} idle clients disconnected");
        }
    }

    /// Wakes the connections that wait, for ever.
    async fn watch(self: Rc<Worker>) {
        let persistence = &self.state.persistence;
        loop {
            self.waits.changed().await;
            // It has its turn behind all connections that were ready with the first that waits:
            // their changes are written and synced together.
            let engine = self.engine();
            engine.wake_log();
            self.waits.wake(|need| match need {
                Need::Execution(client, awaited) => engine.is_met(client, awaited),
                Need::Durable(position) => {
                    persistence.is_refusing() || !persistence.must_wait(position)
                }
            });
        }
    }

    /// Lets every connection answer what it has received, and waits for them.
    async fn finish(&self) {
        self.clients.borrow().order_all(Order::Finish);
        if timeout(GRACE, self.emptied()).await.is_err() {
            let left = self.clients.borrow().len();
            warn!("{left} clients did not take their replies in time and are dropped");
        }
    }

    async fn emptied(&self) {
        while self.clients.borrow().len() > 0 {
            self.emptied.notified().await;
        }
    }

    /// Enters a connection among the clients; it is active now.
    pub(super) fn enter(&self, peer: Arc<Peer>) -> (Place, Rc<Presence>) {
        self.stats.connected_clients.add(1);
        peer.touch(self.now_ms());
        self.state.peers.enter(Arc::clone(&peer));
        self.clients.borrow_mut().enter(peer)
    }

    /// Forgets a connection.
    pub(super) fn leave(&self, place: Place) {
        self.stats.connected_clients.sub(1);
        self.state.peers.leave(place.client());
        let mut clients = self.clients.borrow_mut();
        clients.leave(place);
        if clients.len() == 0 {
            self.emptied.notify_one();
        }
    }

    pub(super) fn engine(&self) -> RefMut<'_, Engine> {
        self.engine.borrow_mut()
    }

    pub(super) fn waits(&self) -> &Waits {
        &self.waits
    }

    /// Whether replies that tell of changes below this position of the log must wait.
    pub(super) fn must_wait(&self, position: u64) -> bool {
        position > 0 && self.state.persistence.must_wait(position)
    }

    /// Why the log takes no changes now, as an error reply.
    pub(super) fn refusal(&self) -> Option<Arc<str>> {
        self.state.persistence.refusal()
    }

    pub(super) fn take_desk(&self) -> Box<Desk> {
        self.desks.borrow_mut().take()
    }

    pub(super) fn give_back_desk(&self, desk: Box<Desk>) {
        self.desks.borrow_mut().give_back(desk);
    }

    pub(super) fn stats(&self) -> &WorkerStats {
        &self.stats
    }

    /// What its clients may ask for now.
    pub(super) fn limits(&self) -> Limits {
        let tunables = &self.state.tunables;
        Limits {
            max_bulk_len: tunables.proto_max_bulk_len_bytes.get() as usize,
            max_args: Limits::MAX_ARGS,
            max_inline: INLINE_MAX_BYTES,
            max_command: tunables.client_query_buffer_limit_bytes.get() as usize,
        }
    }

    /// What all workers share.
    pub(super) fn state(&self) -> &ServerState {
        &self.state
    }

    /// The time of the last tick, in milliseconds since the server's start.
    pub(super) fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }
}

/// Lets requests come first for so long; with no time given, those that are waiting now. (The
/// timer's grain is a millisecond: it makes one of any shorter time.)
async fn pause(time: Duration) {
    if time.is_zero() {
        // The first looks at the sockets, the second runs the connections that have work now.
        yield_now().await;
        yield_now().await;
    } else {
        sleep(time).await;
    }
}
