//! Accepting, and handing connections to workers.
//!
//! The acceptor runs on the main thread, beside the signals, and sleeps unless a client connects,
//! or wishes that the server listened elsewhere (`relisten`). It gives each connection to the
//! worker that has the fewest, once and for all; from then on the connection never leaves that
//! worker's thread.
//!
//! Two kinds of clients are told why and sent away: those beyond `maxclients`, and, in protected
//! mode, those from other machines while there is no password.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::mem;
use std::net::{self, SocketAddr, TcpStream};
use std::task::{Context, Poll};
use std::time::Duration;

use log::{debug, info, warn};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc::UnboundedSender;

use super::listen::{Listeners, SocketFile};
use super::load::Load;
use super::relisten::{self, Request};
use super::socket::Accepted;
use super::worker::Arrival;
use crate::commands::{Occasional, ServerState};
use crate::stats::WorkerStats;
use crate::sync::Arc;

/// Rest after the system could not give us a connection (no descriptors, no memory): what is
/// short comes back when clients leave, not by asking again at once.
const REST: Duration = Duration::from_millis(100);

/// How often such failures are logged at most.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(1);

/// How often the system asks whether a silent peer is still there, a third of `tcp-keepalive`
/// apart, before it gives the peer up; Redis's figures.
const KEEPALIVE_PROBES: u32 = 3;

/// What a client is told when there are too many.
const TOO_MANY_CLIENTS: &[u8] = b"-ERR max number of clients reached\r\n";

/// What a client of another machine is told in protected mode. Redis's text: it says what to do.
const PROTECTED: &[u8] = b"-DENIED Redis is running in protected mode because protected mode is \
    enabled and no password is set for the default user. In this mode connections are only \
    accepted from the loopback interface. If you want to connect from external computers to Redis \
    you may adopt one of the following solutions: 1) Just disable protected mode sending the \
    command 'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis from \
    the same host the server is running, however MAKE SURE Redis is not publicly accessible from \
    internet if you do so. Use CONFIG REWRITE to make this change permanent. 2) Alternatively you \
    can just disable the protected mode by editing the Redis configuration file, and setting the \
    protected mode option to 'no', and then restarting the server. 3) If you started the server \
    manually just for testing, restart it with the '--protected-mode no' option. 4) Setup a an \
    authentication password for the default user. NOTE: You only need to do one of the above \
    things in order for the server to start accepting connections from the outside.\r\n";

/// A worker, as the acceptor sees it.
#[derive(Debug)]
pub(super) struct Seat {
    /// How many connections it has.
    pub(super) load: Load,
    /// Where to hand it connections. Never longer than `maxclients`, since what waits in it counts.
    pub(super) arrivals: UnboundedSender<Arrival>,
}

/// A listening socket that the event loop watches.
#[derive(Debug)]
enum Door {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// A connection that was accepted, and whose it is.
#[derive(Debug)]
struct Visitor {
    stream: Accepted,
    /// The address as clients are shown it.
    peer: String,
    /// Whether it comes from this machine.
    is_local: bool,
}

/// Accepts connections. Dropping it closes the listening sockets and, with the seats, tells the
/// workers that no more connections come.
#[derive(Debug)]
pub(super) struct Acceptor {
    doors: Vec<Door>,
    /// The door to look at first, so that a busy one does not keep the others shut.
    next: usize,
    seats: Vec<Seat>,
    state: Arc<ServerState>,
    stats: Arc<WorkerStats>,
    complaint: Occasional,
}

impl Acceptor {
    /// Accepts at `listeners` for the workers at `seats`, counting in `stats`. Must be called
    /// within a runtime.
    ///
    /// # Errors
    /// What the event loop says when it cannot watch a socket.
    pub(super) fn new(
        listeners: Listeners,
        seats: Vec<Seat>,
        state: Arc<ServerState>,
        stats: Arc<WorkerStats>,
    ) -> io::Result<Acceptor> {
        let mut doors = Vec::new();
        for listener in listeners.tcp {
            doors.push(Door::Tcp(TcpListener::from_std(listener)?));
        }
        if let Some(unix) = listeners.unix {
            doors.push(Door::Unix(UnixListener::from_std(unix.listener)?, unix.file));
        }
        let complaint = Occasional::new(COMPLAINT_INTERVAL);
        Ok(Acceptor { doors, next: 0, seats, state, stats, complaint })
    }

    /// Waits for a connection and places it. May be cancelled while it waits.
    pub(super) async fn accept(&mut self) {
        match poll_fn(|cx| self.poll_doors(cx)).await {
            Ok(visitor) => self.place(visitor),
            Err(error) if is_passing(&error) => {}
            Err(error) => {
                if self.complaint.is_due() {
                    warn!("Accepting client connection: {error}");
                }
                tokio::time::sleep(REST).await;
            }
        }
    }

    /// Accepts at the first door where somebody waits.
    fn poll_doors(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Visitor>> {
        let keepalive_seconds = self.state.tunables.tcp_keepalive_seconds.get();
        for step in 0..self.doors.len() {
            let index = (self.next + step) % self.doors.len();
            if let Poll::Ready(accepted) = self.doors[index].poll_accept(cx, keepalive_seconds) {
                self.next = index + 1;
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    }

    /// Does what is asked for about where to accept.
    pub(super) fn serve(&mut self, request: Request) {
        match request {
            Request::Open(wish, requests) => {
                let old = self.doors.iter().filter_map(Door::another_handle).collect();
                relisten::open(wish, old, self.state.config.tcp_backlog, requests);
            }
            Request::TakeOver(listeners, done) => {
                self.replace_tcp(listeners);
                // Nobody waits for it only when the client has gone.
                let _ = done.send(());
            }
        }
    }

    /// Accepts at these addresses from now on. Who has connected to the others by now is let in.
    fn replace_tcp(&mut self, listeners: Vec<TcpListener>) {
        for address in listeners.iter().filter_map(|listener| listener.local_addr().ok()) {
            info!("Listening on {address} from now on");
        }
        if listeners.is_empty() {
            info!("Not listening over TCP from now on");
        }
        let doors = listeners.into_iter().map(Door::Tcp).collect();
        for door in mem::replace(&mut self.doors, doors) {
            match door {
                Door::Unix(..) => self.doors.push(door),
                Door::Tcp(listener) => self.let_last_in(listener),
            }
        }
        self.next = 0;
    }

    /// Closes a door behind those who stand there.
    fn let_last_in(&self, listener: TcpListener) {
        let keepalive_seconds = self.state.tunables.tcp_keepalive_seconds.get();
        let Ok(listener) = listener.into_std() else { return };
        // No more stood there at the beginning. That the next one is nobody ends it as a rule.
        for _ in 0..=self.state.config.tcp_backlog {
            let Ok((stream, peer)) = listener.accept() else { return };
            let visitor = stream
                .set_nonblocking(true)
                .and_then(|()| Visitor::over_tcp(stream, peer, keepalive_seconds));
            // One that failed has gone already.
            visitor.into_iter().for_each(|visitor| self.place(visitor));
        }
    }

    /// Hands a connection to the least loaded worker, or refuses it.
    fn place(&self, visitor: Visitor) {
        let Visitor { stream, peer, is_local } = visitor;
        let clients: usize = self.seats.iter().map(|seat| seat.load.get()).sum();
        if clients as u64 >= self.state.tunables.max_clients.get() {
            self.stats.connections_rejected.add(1);
            debug!("a client at {peer} refused: {clients} clients are connected");
            return stream.say(TOO_MANY_CLIENTS);
        }
        if !is_local && self.is_protected() {
            self.stats.connections_received.add(1);
            self.stats.connections_rejected.add(1);
            debug!("a client at {peer} refused: the server is in protected mode");
            return stream.say(PROTECTED);
        }
        if let Some(seat) = self.seats.iter().min_by_key(|seat| seat.load.get()) {
            let share = seat.load.share();
            let arrival = Arrival { stream, peer, share };
            // Fails only when the worker has died; the main thread learns that by itself.
            let _ = seat.arrivals.send(arrival);
        }
    }

    /// Whether only this machine may connect.
    fn is_protected(&self) -> bool {
        self.state.tunables.protected_mode.get() != 0 && !self.state.access.is_required()
    }
}

impl Door {
    /// The same socket once more, if it is one of TCP and a descriptor is left.
    fn another_handle(&self) -> Option<net::TcpListener> {
        match self {
            Door::Tcp(listener) => SockRef::from(listener).try_clone().ok().map(Into::into),
            Door::Unix(..) => None,
        }
    }

    fn poll_accept(
        &self,
        cx: &mut Context<'_>,
        keepalive_seconds: u64,
    ) -> Poll<io::Result<Visitor>> {
        match self {
            Door::Tcp(listener) => listener.poll_accept(cx).map(|accepted| {
                let (stream, peer) = accepted?;
                Visitor::over_tcp(stream.into_std()?, peer, keepalive_seconds)
            }),
            Door::Unix(listener, file) => listener.poll_accept(cx).map(|accepted| {
                let stream = Accepted::Unix(accepted?.0.into_std()?);
                // As Redis shows it: the client's end has no name of its own.
                Ok(Visitor { stream, peer: format!("{file}:0"), is_local: true })
            }),
        }
    }
}

impl Visitor {
    fn over_tcp(
        stream: TcpStream,
        peer: SocketAddr,
        keepalive_seconds: u64,
    ) -> io::Result<Visitor> {
        stream.set_nodelay(true).map_err(gone)?;
        if keepalive_seconds > 0 {
            let seconds = |count: u64| Duration::from_secs(count.max(1));
            let keepalive = TcpKeepalive::new()
                .with_time(seconds(keepalive_seconds))
                .with_interval(seconds(keepalive_seconds / u64::from(KEEPALIVE_PROBES)))
                .with_retries(KEEPALIVE_PROBES);
            SockRef::from(&stream).set_tcp_keepalive(&keepalive).map_err(gone)?;
        }
        let is_local = peer.ip().to_canonical().is_loopback();
        Ok(Visitor { stream: Accepted::Tcp(stream), peer: peer.to_string(), is_local })
    }
}

/// An error of one connection, whose client may have left already.
fn gone(error: io::Error) -> io::Error {
    io::Error::new(ErrorKind::ConnectionReset, error)
}

/// Whether the error is about one connection, and the next may be fine.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::io::Read;
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    fn acceptor(
        workers: usize,
        max_clients: usize,
    ) -> (Acceptor, SocketAddr, Vec<UnboundedReceiver<Arrival>>) {
        let config = Config { port: 0, max_clients, ..Config::default() };
        let listeners = Listeners::open(&config).unwrap();
        let address = listeners.tcp[0].local_addr().unwrap();
        let (seats, receivers) = (0..workers)
            .map(|_| {
                let (arrivals, receiver) = unbounded_channel();
                let load = Load::default();
                (Seat { load, arrivals }, receiver)
            })
            .unzip();
        let state = Arc::new(ServerState::new(config, 1));
        let stats = Arc::new(WorkerStats::default());
        let acceptor = Acceptor::new(listeners, seats, state, stats).unwrap();
        (acceptor, address, receivers)
    }

    #[tokio::test]
    async fn connections_spread_evenly_before_the_workers_take_them() {
        let (mut acceptor, address, _receivers) = acceptor(3, 100);
        for _ in 0..9 {
            let _client = TcpStream::connect(address).unwrap();
            acceptor.accept().await;
        }
        let loads: Vec<_> = acceptor.seats.iter().map(|seat| seat.load.get()).collect();
        assert_eq!(loads, [3, 3, 3]);
    }

    #[tokio::test]
    async fn one_client_too_many_is_told_so() {
        let (mut acceptor, address, mut receivers) = acceptor(1, 1);
        let _first = TcpStream::connect(address).unwrap();
        acceptor.accept().await;
        let mut second = TcpStream::connect(address).unwrap();
        acceptor.accept().await;
        let mut answer = Vec::new();
        second.read_to_end(&mut answer).unwrap();
        assert_eq!(answer, TOO_MANY_CLIENTS);
        assert_eq!(acceptor.stats.connections_rejected.get(), 1);

        drop(receivers[0].try_recv().unwrap());
        let freed = acceptor.seats[0].load.get();
        assert_eq!(freed, 0, "a closed connection makes room");
    }
}
