//! Listening, accepting, and handing connections to workers.
//!
//! The acceptor runs on the main thread, beside the signals, and sleeps unless a client
//! connects. It gives each connection to the worker that has the fewest, once and for all; from
//! then on the connection never leaves that worker's thread.

use std::io::{self, ErrorKind, Write};
use std::net::{SocketAddr, TcpListener as StdTcpListener, TcpStream};
use std::time::Duration;

use log::{debug, warn};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedSender;

use super::load::Load;
use super::worker::Arrival;
use crate::commands::ServerState;
use crate::error::Error;
use crate::stats::WorkerStats;
use crate::sync::Arc;

/// Connections the system keeps for us until they are accepted (Redis's `tcp-backlog`).
const BACKLOG: i32 = 511;

/// Rest after the system could not give us a connection (no descriptors, no memory): what is
/// short comes back when clients leave, not by asking again at once.
const REST: Duration = Duration::from_millis(100);

/// Silence after which the system asks whether the peer is still there (Redis's `tcp-keepalive`),
/// and how often it asks, a third of that apart, before it gives the peer up.
const KEEPALIVE: Duration = Duration::from_secs(300);
const KEEPALIVE_PROBES: u32 = 3;

/// What a client is told when there are too many.
const TOO_MANY_CLIENTS: &[u8] = b"-ERR max number of clients reached\r\n";

/// Opens the listening socket.
///
/// # Errors
/// [`Error::Listen`] when the address is in use, not one of this machine, or not permitted.
pub(super) fn listen(address: SocketAddr) -> Result<StdTcpListener, Error> {
    let open = || -> io::Result<StdTcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // So that a restart need not wait for the last connections of the old process to fade.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    open().map_err(|source| Error::Listen { address, source })
}

/// A worker, as the acceptor sees it.
#[derive(Debug)]
pub(super) struct Seat {
    /// How many connections it has.
    pub(super) load: Load,
    /// Where to hand it connections. Never longer than `maxclients`, since what waits in it counts.
    pub(super) arrivals: UnboundedSender<Arrival>,
}

/// Accepts connections. Dropping it closes the listening socket and, with the seats, tells the
/// workers that no more connections come.
#[derive(Debug)]
pub(super) struct Acceptor {
    listener: TcpListener,
    seats: Vec<Seat>,
    state: Arc<ServerState>,
    stats: Arc<WorkerStats>,
}

impl Acceptor {
    /// Accepts on `listener` for the workers at `seats`. Must be called within a runtime.
    ///
    /// # Errors
    /// What the event loop says when it cannot watch the socket.
    pub(super) fn new(
        listener: StdTcpListener,
        seats: Vec<Seat>,
        state: Arc<ServerState>,
        stats: Arc<WorkerStats>,
    ) -> io::Result<Acceptor> {
        Ok(Acceptor { listener: TcpListener::from_std(listener)?, seats, state, stats })
    }

    /// Waits for a connection and places it. May be cancelled while it waits.
    pub(super) async fn accept(&mut self) {
        match self.listener.accept().await {
            Ok((stream, peer)) => {
                self.place(stream.into_std(), peer);
            }
            Err(error) if is_passing(&error) => {}
            Err(error) => {
                warn!("cannot accept connections: {error}");
                tokio::time::sleep(REST).await;
            }
        }
    }

    /// Hands a connection to the least loaded worker, or refuses it.
    fn place(&self, stream: io::Result<TcpStream>, peer: SocketAddr) {
        let stream = match stream.and_then(prepare) {
            Ok(stream) => stream,
            Err(error) => {
                debug!("a client at {peer} is gone already: {error}");
                return;
            }
        };
        let clients: usize = self.seats.iter().map(|seat| seat.load.get()).sum();
        if clients as u64 >= self.state.tunables.max_clients.get() {
            self.stats.connections_rejected.add(1);
            debug!("a client at {peer} refused: {clients} clients are connected");
            // The socket of a new connection takes this at once, or the client is gone.
            let _ = (&stream).write(TOO_MANY_CLIENTS);
            return;
        }
        if let Some(seat) = self.seats.iter().min_by_key(|seat| seat.load.get()) {
            let share = seat.load.share();
            let arrival = Arrival { stream, peer, share };
            // Fails only when the worker has died; the main thread learns that by itself.
            let _ = seat.arrivals.send(arrival);
        }
    }
}

/// Whether the error is about one connection, and the next may be fine.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted
    )
}

fn prepare(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(KEEPALIVE / KEEPALIVE_PROBES)
        .with_retries(KEEPALIVE_PROBES);
    SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::io::Read;
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    fn acceptor(
        workers: usize,
        clients_max: usize,
    ) -> (Acceptor, SocketAddr, Vec<UnboundedReceiver<Arrival>>) {
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let (seats, receivers) = (0..workers)
            .map(|_| {
                let (arrivals, receiver) = unbounded_channel();
                let load = Load::default();
                (Seat { load, arrivals }, receiver)
            })
            .unzip();
        let stats = Arc::new(WorkerStats::default());
        let config = Config { max_clients: clients_max, ..Config::default() };
        let state = Arc::new(ServerState::new(config, 1));
        let acceptor = Acceptor::new(listener, seats, state, stats).unwrap();
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

    #[test]
    fn an_address_in_use_is_an_error() {
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let error = listen(address).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot listen on {address}: address in use"));
    }
}
