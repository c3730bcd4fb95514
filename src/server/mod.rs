//! The server: sockets, threads, start and stop.
//!
//! ```text
//!  main thread                         worker threads, one per core
//!  ┌──────────────────────┐  arrivals  ┌─────────────────────────────────────────────┐
//!  │ acceptor    signals  │ ─────────▶ │ event loop ─ engine ─ desks ─ connections…  │
//!  └──────────────────────┘            └─────────────────────────────────────────────┘
//! ```
//!
//! The main thread listens, accepts connections and waits for signals (`listen`, `acceptor`,
//! `signals`); CONFIG SET can have it listen elsewhere (`relisten`). Each connection, over TCP or a
//! Unix socket (`socket`), goes to the worker with the fewest (`load`) and stays there: a `worker`
//! is a thread with its own event loop and its own engine, and runs its connections (`connection`)
//! as tasks that never leave it. Buffers belong to the worker and are lent to whichever connection
//! has its turn (`desk`). The worker reaches its connections through `clients`.
//!
//! Where there is a log it is loaded by threads of their own, while the workers answer that the
//! server is loading (`loading`). Connections whose replies or changes have to wait for the log's
//! writer, or for a client that runs commands alone, do so in `waits`.
//!
//! What happens before is in [`startup`].
//!
//! A server stops at a signal, or when a client has sent SHUTDOWN; whoever supervises the process
//! is told of its start and its end (`supervision`). To stop, the main thread closes the listening
//! sockets and the channels to the workers. Each worker then answers what its clients have already
//! sent, closes, and ends; when all have ended, the log is brought to the disk, and [`run`]
//! returns. A connection that only waits for a moment (`doze`) is closed.

mod acceptor;
mod clients;
mod connection;
mod desk;
mod doze;
mod listen;
mod load;
mod loading;
mod log_switch;
mod panics;
mod ping;
mod relisten;
mod reloader;
mod replay;
mod rewriter;
mod sending;
mod signals;
mod socket;
mod stages;
pub mod startup;
mod supervision;
mod waits;
mod worker;

use std::thread;
use std::time::Duration;

use log::{error, info, warn};
use tokio::runtime::{Builder, LocalOptions, LocalRuntime, Runtime};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use self::acceptor::{Acceptor, Seat};
use self::listen::Listeners;
use self::load::Load;
use self::loading::{Loaded, Loader};
use self::relisten::Request;
use self::signals::Signals;
use self::startup::PidFile;
use self::supervision::Supervisor;
use self::waits::Alarm;
use self::worker::{Arrival, Inbox};
use crate::aof::Lock;
use crate::commands::{self, Carrier, Parcel, ServerState};
use crate::config::Config;
use crate::error::Error;
use crate::sync::Arc;
use crate::sync::plain::{AtomicBool, Ordering};

pub use self::panics::log_panics;
pub use self::ping::{Answer, ping};

/// What the binary knows about how it was built.
#[derive(Clone, Copy, Debug)]
pub struct Build {
    /// The memory allocator.
    pub allocator: &'static str,
}

/// Runs a server on this thread until SIGINT, SIGTERM or SHUTDOWN, then stops it gracefully.
///
/// # Errors
/// What kept it from starting or ended it before its time. [`Error::Interrupted`] when a second
/// signal came while it was stopping: the caller should then end the process at once.
pub fn run(mut config: Config, build: Build) -> Result<(), Error> {
    let workers = config.workers();
    let listeners = Listeners::open(&config)?;
    config.port = listeners.port;
    config.max_clients = commands::fit_clients(config.max_clients, workers)?;
    info!(
        "FerrumKV {} on {}: {workers} workers, allocator {}",
        env!("CARGO_PKG_VERSION"),
        listeners.first(),
        build.allocator
    );
    listeners.log_others();
    info!("PID: {}", std::process::id());

    let opened =
        config.log_path().map(|path| crate::aof::open(path, commands::is_logged)).transpose();
    let opened = opened.map_err(Error::log)?;
    // Not before the address and the log are its own: another server may have the same file.
    let _pid_file = PidFile::write(&config);
    let runtime = main_runtime()?;
    // One stripe of counters beyond the workers', for the acceptor.
    let state = Arc::new(ServerState::new(config, workers + 1));
    let stop = Arc::new(AtomicBool::new(false));
    let alarms: Vec<Arc<Alarm>> = (0..workers).map(|_| Arc::default()).collect();
    let requests = relisten::requests(&state.listening);
    let crew = Crew::start(&state, &alarms)?;
    let rung = alarms.clone();
    let bell = move || rung.iter().for_each(|alarm| alarm.ring());
    state.keyspace.exclusion().on_change(Box::new(bell));
    let path = opened.as_ref().map(|opened| opened.path.clone());
    log_switch::install(&state, path, alarms.clone(), Arc::clone(&stop));
    let loader =
        opened.map(|opened| Loader::start(Arc::clone(&state), opened, alarms, Arc::clone(&stop)));
    let loader = loader.transpose()?;
    let stats = Arc::clone(state.stats.worker(workers));
    let asked = Arc::new(Notify::new());
    let ask = Arc::clone(&asked);
    state.shutdown.on_ask(Box::new(move || ask.notify_one()));
    let result = runtime.block_on(async {
        let signals = Signals::new()?;
        let acceptor =
            Acceptor::new(listeners, crew.seats, Arc::clone(&state), stats).map_err(|source| {
                let name = MAIN_THREAD.to_owned();
                Error::EventLoop { name, source }
            })?;
        let supervisor = Supervisor::new(state.config.supervised);
        let (state, ended) = (&state, crew.ended);
        let server = Running { state, signals, asked, supervisor, ended, workers, loader, stop };
        server.serve(acceptor, requests).await
    });
    // The process is about to end: freeing millions of keys one by one would only delay it.
    std::mem::forget(state);
    result
}

const MAIN_THREAD: &str = "main";

fn main_runtime() -> Result<Runtime, Error> {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.map_err(|source| Error::EventLoop { name: MAIN_THREAD.to_owned(), source })
}

/// How long a stopping server waits for the disk of the log.
const DISK_PATIENCE: Duration = Duration::from_secs(30);

/// A server from its start to its end, as the main thread sees it.
struct Running<'s> {
    state: &'s Arc<ServerState>,
    signals: Signals,
    /// Told when a client wants the server to stop.
    asked: Arc<Notify>,
    supervisor: Supervisor,
    ended: UnboundedReceiver<usize>,
    workers: usize,
    /// The log's, as long as it loads.
    loader: Option<Loader>,
    /// Tells the threads that load and rewrite the log to end.
    stop: Arc<AtomicBool>,
}

impl Running<'_> {
    /// Accepts connections until a signal comes, then waits for the workers and the log to end.
    async fn serve(
        mut self,
        acceptor: Acceptor,
        requests: UnboundedReceiver<Request>,
    ) -> Result<(), Error> {
        // Kept to the end: it tells other servers to keep off the log.
        let mut _lock = None;
        let result = self.serve_until_signal(acceptor, requests, &mut _lock).await;
        match result {
            Ok(()) => self.stop_log().await?,
            // A second signal has come already, or nothing was changed.
            Err(Error::Interrupted | Error::Log(_)) => {}
            // What was acknowledged is brought to the disk in any case.
            Err(_) => self.stop_log().await.unwrap_or_else(|error| error!("{error}")),
        }
        if result.is_ok() {
            info!("FerrumKV is now ready to exit, bye bye...");
        }
        result
    }

    /// Says that all commands are served, in Redis's words.
    fn say_ready(&self) {
        const READY: &str = "Ready to accept connections";
        info!("{READY}");
        self.supervisor.ready(READY);
        if let Some(path) = &self.state.config.unix_socket {
            info!("The server is now ready to accept connections at {}", path.display());
        }
    }

    async fn serve_until_signal(
        &mut self,
        mut acceptor: Acceptor,
        mut requests: UnboundedReceiver<Request>,
        lock: &mut Option<Lock>,
    ) -> Result<(), Error> {
        match self.loader {
            Some(_) => self.supervisor.say("Loading the append only file"),
            None => self.say_ready(),
        }
        loop {
            tokio::select! {
                biased;
                signal = self.signals.stop() => {
                    info!("Received {signal} scheduling shutdown...");
                    break;
                }
                // The command has said who wants it.
                () = self.asked.notified() => break,
                index = self.ended.recv() => {
                    let name = worker_name(index.unwrap_or_default());
                    return Err(Error::WorkerDied { name });
                }
                loaded = loaded(&mut self.loader) => {
                    self.loader = None;
                    if let Loaded::Ready(taken) = loaded? {
                        *lock = Some(taken);
                        self.say_ready();
                    }
                }
                Some(request) = requests.recv() => acceptor.serve(request),
                () = acceptor.accept() => {}
            }
        }
        info!("No new connections, answering what was received...");
        self.supervisor.stopping();
        // Who wishes that it listened elsewhere is told that nobody hears it.
        drop((acceptor, requests));
        // Relaxed: a word to threads that look at it now and then.
        self.stop.store(true, Ordering::Relaxed);
        if let Some(loader) = &mut self.loader {
            tokio::select! {
                biased;
                signal = self.signals.stop() => return Err(interrupted(signal)),
                loaded = loader.finish() => if let Loaded::Ready(taken) = loaded? {
                    *lock = Some(taken);
                },
            }
        }
        for _ in 0..self.workers {
            tokio::select! {
                biased;
                signal = self.signals.stop() => return Err(interrupted(signal)),
                _ = self.ended.recv() => {}
            }
        }
        Ok(())
    }

    /// Has the log written and synced, and waits for one that was just turned on. No worker is left
    /// to change anything.
    async fn stop_log(&mut self) -> Result<(), Error> {
        let stopped = stop_on_a_thread(Arc::clone(self.state))?;
        tokio::select! {
            biased;
            signal = self.signals.stop() => Err(interrupted(signal)),
            stopped = stopped => {
                let died = |_| Err(Error::WorkerDied { name: LOG_STOPPER.to_owned() });
                stopped.unwrap_or_else(died)
            }
        }
    }
}

const LOG_STOPPER: &str = "log-stopper";

/// Waits for the end of the loading, for ever where nothing loads.
async fn loaded(loader: &mut Option<Loader>) -> Result<Loaded, Error> {
    match loader {
        Some(loader) => loader.finish().await,
        None => std::future::pending().await,
    }
}

/// Stops the log without keeping this thread from signals.
fn stop_on_a_thread(
    state: Arc<ServerState>,
) -> Result<oneshot::Receiver<Result<(), Error>>, Error> {
    let (done, stopped) = oneshot::channel();
    let body = move || {
        let is_whole = log_switch::await_whole(&state);
        let handle = state.persistence.handle();
        let stopped = handle.map_or(Ok(()), |handle| handle.stop(DISK_PATIENCE));
        // Nobody listens only after a second signal.
        let _ = done.send(is_whole.and(stopped).map_err(Error::log));
    };
    let name = LOG_STOPPER.to_owned();
    match thread::Builder::new().name(name.clone()).spawn(body) {
        Ok(_) => Ok(stopped),
        Err(source) => Err(Error::Thread { name, source }),
    }
}

fn interrupted(signal: &str) -> Error {
    warn!("Received {signal} again: stopping at once");
    Error::Interrupted
}

/// The workers, from outside.
struct Crew {
    seats: Vec<Seat>,
    /// The numbers of the workers that have ended.
    ended: UnboundedReceiver<usize>,
}

impl Crew {
    /// Starts a worker for each alarm.
    fn start(state: &Arc<ServerState>, alarms: &[Arc<Alarm>]) -> Result<Crew, Error> {
        let (end, ended) = unbounded_channel();
        let mut carriers: Vec<Carrier> = Vec::new();
        let mut boxes = Vec::new();
        for _ in alarms {
            let (sender, parcels) = unbounded_channel();
            // Nobody takes it only when the worker has ended.
            carriers.push(Box::new(move |parcel| drop(sender.send(parcel))));
            boxes.push(parcels);
        }
        state.post.open(carriers);
        let seats = (alarms.iter().zip(boxes).enumerate())
            .map(|(index, (alarm, parcels))| {
                start_worker(state, index, parcels, Arc::clone(alarm), end.clone())
            })
            .collect::<Result<_, _>>()?;
        Ok(Crew { seats, ended })
    }
}

/// Starts a worker's thread and waits until its event loop exists.
fn start_worker(
    state: &Arc<ServerState>,
    index: usize,
    parcels: UnboundedReceiver<Parcel>,
    alarm: Arc<Alarm>,
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
        let inbox = Inbox { arrivals: receiver, parcels };
        worker::run(state, index, &runtime, inbox, alarm);
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
