//! The server: sockets, threads, start and stop.
//!
//! ```text
//!  main thread                         worker threads, one per core
//!  ┌──────────────────────┐  arrivals  ┌─────────────────────────────────────────────┐
//!  │ acceptor    signals  │ ─────────▶ │ event loop ─ engine ─ desks ─ connections…  │
//!  └──────────────────────┘            └─────────────────────────────────────────────┘
//! ```
//!
//! The main thread accepts connections and waits for signals (`acceptor`, `signals`). Each
//! connection goes to the worker with the fewest (`load`) and stays there: a `worker` is a thread
//! with its own event loop and its own engine, and runs its connections (`connection`) as tasks
//! that never leave it. Buffers belong to the worker and are lent to whichever connection has
//! its turn (`desk`). The worker reaches its connections through `clients`.
//!
//! To stop, the main thread closes the listening socket and the channels to the workers. Each
//! worker then answers what its clients have already sent, closes, and ends; when all have ended,
//! [`run`] returns.

mod acceptor;
mod clients;
mod connection;
mod desk;
mod load;
mod open_files;
mod panics;
mod signals;
mod worker;

use std::net::{SocketAddr, TcpListener};
use std::thread;

use log::{info, warn};
use tokio::runtime::{Builder, LocalOptions, LocalRuntime, Runtime};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use self::acceptor::{Acceptor, Seat};
use self::load::Load;
use self::signals::Signals;
use self::worker::Arrival;
use crate::commands::ServerState;
use crate::config::Config;
use crate::error::Error;
use crate::sync::Arc;

pub use self::panics::log_panics;

/// What the binary knows about how it was built.
#[derive(Clone, Copy, Debug)]
pub struct Build {
    /// The memory allocator.
    pub allocator: &'static str,
}

/// Runs a server on this thread until SIGINT or SIGTERM, then stops it gracefully.
///
/// # Errors
/// What kept it from starting or ended it before its time. [`Error::Interrupted`] when a second
/// signal came while it was stopping: the caller should then end the process at once.
pub fn run(mut config: Config, build: Build) -> Result<(), Error> {
    let workers = config.workers();
    let listener = acceptor::listen(config.address.resolve()?)?;
    let address = local_address(&listener, &config)?;
    config.address.port = address.port();
    config.max_clients = open_files::fit_clients(config.max_clients, workers)?;
    info!(
        "FerrumKV {} on {address}: {workers} workers, allocator {}",
        env!("CARGO_PKG_VERSION"),
        build.allocator
    );
    info!("PID: {}", std::process::id());

    let clients_max = config.max_clients;
    let runtime = main_runtime()?;
    // One stripe of counters beyond the workers', for the acceptor.
    let state = Arc::new(ServerState::new(config, workers + 1));
    let crew = Crew::start(&state, workers)?;
    let stats = Arc::clone(state.stats.worker(workers));
    let result = runtime.block_on(async {
        let signals = Signals::new()?;
        let acceptor =
            Acceptor::new(listener, crew.seats, clients_max, stats).map_err(|source| {
                let name = MAIN_THREAD.to_owned();
                Error::EventLoop { name, source }
            })?;
        serve(acceptor, signals, crew.ended, workers).await
    });
    // The process is about to end: freeing millions of keys one by one would only delay it.
    std::mem::forget(state);
    result
}

const MAIN_THREAD: &str = "main";

fn local_address(listener: &TcpListener, config: &Config) -> Result<SocketAddr, Error> {
    listener
        .local_addr()
        .map_err(|source| Error::Resolve { address: config.address.to_string(), source })
}

fn main_runtime() -> Result<Runtime, Error> {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.map_err(|source| Error::EventLoop { name: MAIN_THREAD.to_owned(), source })
}

/// Accepts connections until a signal comes, then waits for the workers to end.
async fn serve(
    mut acceptor: Acceptor,
    mut signals: Signals,
    mut ended: UnboundedReceiver<usize>,
    workers: usize,
) -> Result<(), Error> {
    info!("Ready to accept connections");
    let signal = loop {
        tokio::select! {
            biased;
            signal = signals.stop() => break signal,
            index = ended.recv() => {
                let name = worker_name(index.unwrap_or_default());
                return Err(Error::WorkerDied { name });
            }
            () = acceptor.accept() => {}
        }
    };
    info!("Received {signal}: no new connections, answering what was received...");
    drop(acceptor);
    for _ in 0..workers {
        tokio::select! {
            biased;
            signal = signals.stop() => {
                warn!("Received {signal} again: stopping at once");
                return Err(Error::Interrupted);
            }
            _ = ended.recv() => {}
        }
    }
    info!("All clients are served, bye bye...");
    Ok(())
}

/// The workers, from outside.
struct Crew {
    seats: Vec<Seat>,
    /// The numbers of the workers that have ended.
    ended: UnboundedReceiver<usize>,
}

impl Crew {
    fn start(state: &Arc<ServerState>, workers: usize) -> Result<Crew, Error> {
        let (end, ended) = unbounded_channel();
        let seats = (0..workers)
            .map(|index| start_worker(state, index, end.clone()))
            .collect::<Result<_, _>>()?;
        Ok(Crew { seats, ended })
    }
}

/// Starts a worker's thread and waits until its event loop exists.
fn start_worker(
    state: &Arc<ServerState>,
    index: usize,
    end: UnboundedSender<usize>,
) -> Result<Seat, Error> {
    let name = worker_name(index);
    let (arrivals, receiver) = unbounded_channel::<Arrival>();
    let (ready, when_ready) = crate::sync::mpsc::channel();
    let state = Arc::clone(state);
    let body = move || {
        let _end = End { index, end };
        let runtime = match worker_runtime() {
            Ok(runtime) => runtime,
            Err(error) => {
                let _ = ready.send(Err(error));
                return;
            }
        };
        // The main thread waits for this message; it is gone only if the process ends.
        let _ = ready.send(Ok(()));
        worker::run(state, index, &runtime, receiver);
    };
    let thread = thread::Builder::new().name(name.clone()).spawn(body);
    if let Err(source) = thread {
        return Err(Error::Thread { name, source });
    }
    match when_ready.recv() {
        Ok(Ok(())) => Ok(Seat { load: Load::default(), arrivals }),
        Ok(Err(source)) => Err(Error::EventLoop { name, source }),
        Err(_) => Err(Error::WorkerDied { name }),
    }
}

fn worker_runtime() -> std::io::Result<LocalRuntime> {
    Builder::new_current_thread().enable_all().build_local(LocalOptions::default())
}

fn worker_name(index: usize) -> String {
    format!("worker-{index}")
}

/// Tells the main thread that a worker has ended, in whatever way.
struct End {
    index: usize,
    end: UnboundedSender<usize>,
}

impl Drop for End {
    fn drop(&mut self) {
        // Nobody listens only when the main thread has ended first.
        let _ = self.end.send(self.index);
    }
}
