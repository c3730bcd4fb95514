//! The start of a server that has a log: what the log tells is done again, then its writer starts.
//!
//! Two threads share the work while the workers already answer `-LOADING`. One finds the commands
//! in the file, a [`Chunk`] at a time; the other, the *replayer*, runs them through an [`Engine`]
//! of its own, which nothing is asked of and for which no key expires. Chunks go round between
//! them, so neither waits for memory and both are bounded.
//!
//! Any command that is refused ends the start: the log was then written by something else, and what
//! follows it cannot be trusted. A torn end is cut off once everything before it is done.
//!
//! When all is loaded the replayer starts the writer, tells the workers' alarms to listen to it,
//! and opens the gate for all commands. From that moment keys expire as usual.

use std::error::Error as StdError;
use std::fmt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use log::{info, warn};
use tokio::sync::oneshot;

use super::rewriter;
use super::waits::Alarm;
use crate::aof::writer::{LogHandle, LogOptions, Places};
use crate::aof::{self, Chunk, End, Lock, Opened, Place, Reader, Step, Torn};
use crate::commands::{Client, Engine, Position, Progress, ServerState};
use crate::error::Error;
use crate::resp::ReplyBuffer;
use crate::sync::Arc;
use crate::sync::mpsc::{self, Receiver, Sender, SyncSender};
use crate::sync::plain::{AtomicBool, Ordering};

/// Chunks that go round: one is read, one is run, one waits.
const CHUNKS: usize = 3;

/// The least slots of the ring: 1 MiB, which stays in a core's second-level cache. Half of it is
/// what a slow disk lets pile up; at a million changes a second it is 8 ms of them, four times what
/// the writer sleeps.
const RING_SLOTS_MIN: usize = 1 << 14;

/// Slots that a worker may take after it has asked for room: a window has 64 commands, of which
/// each takes four at most, and four more if its key was past its deadline. (A command of many keys
/// takes one for them all, and asks again for each that is past its deadline.) Eight times that,
/// since attempts that come to nothing take theirs too.
const WORKER_SLOTS: usize = 8 * 64 * (4 + 4);

/// The time between two messages about the progress.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

const READER_THREAD: &str = "log-reader";
const REPLAY_THREAD: &str = "log-replay";

/// How the loading has ended, if not by a failure.
#[derive(Debug)]
pub(super) enum Loaded {
    /// The log is loaded and written on; it stays locked as long as this is kept.
    Ready(Lock),
    /// The loading was stopped.
    Stopped,
}

/// The loading, from outside.
#[derive(Debug)]
pub(super) struct Loader {
    outcome: oneshot::Receiver<Result<Loaded, Error>>,
}

impl Loader {
    /// Starts to load a log. `alarms` are rung whenever the log changes, once it is written. The
    /// loading ends soon after `stop` is set, and so does what rewrites the log later.
    ///
    /// # Errors
    /// [`Error::Thread`].
    pub(super) fn start(
        state: Arc<ServerState>,
        opened: Opened,
        alarms: Vec<Arc<Alarm>>,
        stop: Arc<AtomicBool>,
    ) -> Result<Loader, Error> {
        // Before anybody is connected who could ask.
        state.persistence.loading.set_total(opened.reader.size());
        let (done, outcome) = oneshot::channel();
        let body = move || {
            // Nobody listens only when the server has ended first.
            let _ = done.send(load(&state, opened, alarms, &stop));
        };
        spawn(REPLAY_THREAD, body)?;
        Ok(Loader { outcome })
    }

    /// Waits for the end of the loading. May be cancelled while it waits.
    ///
    /// # Errors
    /// What is wrong with the log, or kept its writer from starting.
    pub(super) async fn finish(&mut self) -> Result<Loaded, Error> {
        let died = |_| Err(Error::WorkerDied { name: REPLAY_THREAD.to_owned() });
        (&mut self.outcome).await.unwrap_or_else(died)
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(body);
    spawned.map(drop).map_err(|source| Error::Thread { name: name.to_owned(), source })
}

/// Loads the log, and starts its writer.
fn load(
    state: &Arc<ServerState>,
    opened: Opened,
    alarms: Vec<Arc<Alarm>>,
    stop: &Arc<AtomicBool>,
) -> Result<Loaded, Error> {
    let Opened { path, lock, reader, .. } = opened;
    let size = reader.size();
    if size > 0 {
        info!("Loading the log {} ({:.1} MB)", path.display(), megabytes(size));
    }
    let Some(end) = replay(state, reader, stop)? else {
        return Ok(Loaded::Stopped);
    };
    let length = match end {
        End::Clean => size,
        End::Torn(torn) => cut(&path, torn)?,
    };
    let consumer = state.keyspace.start_log(ring_slots(state.config.workers()));
    let places = places(state);
    let policy = state.config.append_fsync;
    let rewritten_path = path.clone();
    let options = LogOptions { path, length, policy, places };
    let handle = LogHandle::start(options, consumer).map_err(Error::log)?;
    rewriter::start(Arc::clone(state), rewritten_path, Arc::clone(stop))?;
    for alarm in alarms {
        handle.on_progress(Box::new(move || alarm.ring()));
    }
    state.begin_log(handle);
    Ok(Loaded::Ready(lock))
}

/// The size of a ring for so many workers: the half of it that is kept for those who have asked for
/// room (see [`crate::ring`]) holds what all of them may take.
fn ring_slots(workers: usize) -> usize {
    (2 * workers * WORKER_SLOTS).next_power_of_two().max(RING_SLOTS_MIN)
}

/// Which database belongs to which place of the keyspace, after all that was loaded.
fn places(state: &ServerState) -> Places {
    let local = state.keyspace.join();
    let session = local.pin();
    Places::in_order(state.keyspace.places(&session))
}

/// Cuts a torn end off; returns where the log ends then.
fn cut(path: &Path, torn: Torn) -> Result<u64, Error> {
    let cut = aof::cut(path, torn.offset).map_err(Error::log)?;
    let kept = cut.kept.unwrap_or_default();
    warn!(
        "The log {} ended unfinished: {} bytes after offset {} were cut off and are kept in {}",
        path.display(),
        cut.bytes,
        torn.offset,
        kept.display()
    );
    Ok(torn.offset)
}

/// What the reading thread hands over.
enum Message {
    Chunk(Chunk),
    End(End),
    Failed(aof::Error),
}

/// Does again what the log tells. `None` when it was stopped.
fn replay(
    state: &Arc<ServerState>,
    reader: Reader,
    stop: &AtomicBool,
) -> Result<Option<End>, Error> {
    let (full, incoming) = mpsc::sync_channel(CHUNKS);
    let (back, free) = mpsc::channel();
    for _ in 0..CHUNKS {
        // The receiver is at hand.
        let _ = back.send(Chunk::new());
    }
    let path = reader.path().to_owned();
    spawn(READER_THREAD, move || read(reader, &free, &full))?;
    let mut replayer = Replayer::new(state, path);
    let end = replayer.run_all(&incoming, &back, stop)?;
    if end.is_some() {
        replayer.report_end();
    }
    Ok(end)
}

/// Reads the log to its end, or until nobody wants more of it.
fn read(mut reader: Reader, free: &Receiver<Chunk>, full: &SyncSender<Message>) {
    while let Ok(mut chunk) = free.recv() {
        let message = match reader.read(&mut chunk) {
            Ok(Step::Commands) => Message::Chunk(chunk),
            Ok(Step::End(end)) => Message::End(end),
            Err(error) => Message::Failed(error),
        };
        let is_last = !matches!(message, Message::Chunk(_));
        if full.send(message).is_err() || is_last {
            return;
        }
    }
}

/// The thread that runs the commands of the log.
struct Replayer<'s> {
    state: &'s ServerState,
    path: PathBuf,
    engine: Engine,
    /// The log as a client: it selects databases.
    client: Client,
    replies: ReplyBuffer,
    commands: u64,
    started: Instant,
    reported: Instant,
}

impl<'s> Replayer<'s> {
    fn new(state: &'s Arc<ServerState>, path: PathBuf) -> Replayer<'s> {
        Replayer {
            state,
            path,
            engine: Engine::for_replay(Arc::clone(state)),
            client: Client::new(0, "log".to_owned()),
            replies: ReplyBuffer::new(),
            commands: 0,
            started: Instant::now(),
            reported: Instant::now(),
        }
    }

    /// Runs all chunks; returns how the log ends, or `None` when it was stopped before.
    fn run_all(
        &mut self,
        incoming: &Receiver<Message>,
        back: &Sender<Chunk>,
        stop: &AtomicBool,
    ) -> Result<Option<End>, Error> {
        loop {
            let chunk = match incoming.recv() {
                Ok(Message::Chunk(chunk)) => chunk,
                Ok(Message::End(end)) => return Ok(Some(end)),
                Ok(Message::Failed(error)) => return Err(Error::log(error)),
                Err(_) => return Err(Error::WorkerDied { name: READER_THREAD.to_owned() }),
            };
            if !self.run(&chunk, stop)? {
                return Ok(None);
            }
            self.commands += chunk.len() as u64;
            self.state.persistence.loading.set_loaded(chunk.end());
            // The reader has ended when it needs no more.
            let _ = back.send(chunk);
            self.engine.idle();
            self.report();
        }
    }

    /// Runs the commands of a chunk. False when it was stopped.
    fn run(&mut self, chunk: &Chunk, stop: &AtomicBool) -> Result<bool, Error> {
        let (batch, input) = (chunk.batch(), chunk.input());
        let mut at = Position::default();
        loop {
            // Relaxed: a word to look at now and then.
            if stop.load(Ordering::Relaxed) {
                return Ok(false);
            }
            let begun = at.command;
            let errors = self.engine.stats().error_replies.get();
            let client = &mut self.client;
            let progress = self.engine.execute(client, batch, input, at, &mut self.replies);
            if self.engine.stats().error_replies.get() != errors {
                let (index, text) = first_error(&self.replies);
                return Err(self.refused(chunk.place(begun + index), text));
            }
            self.replies.clear();
            match progress {
                Progress::Done => return Ok(true),
                Progress::Flush(next) | Progress::Stall(next, _) => at = next,
                Progress::Close => {
                    let text = "it closes a connection".to_owned();
                    return Err(self.refused(chunk.place(begun), text));
                }
            }
        }
    }

    fn refused(&self, place: Place, reply: String) -> Error {
        Error::log(ReplayError { path: self.path.clone(), place, reply })
    }

    fn report(&mut self) {
        if self.reported.elapsed() < REPORT_INTERVAL {
            return;
        }
        self.reported = Instant::now();
        let loading = &self.state.persistence.loading;
        info!(
            "Loading the log: {:.0} %, {} keys, {:.1} MB/s",
            loading.percent(),
            self.engine.keys(),
            self.pace(megabytes(loading.loaded_bytes())),
        );
    }

    fn report_end(&self) {
        if self.commands == 0 {
            return;
        }
        let loaded_bytes = self.state.persistence.loading.loaded_bytes();
        info!(
            "Loaded the log: {} commands, {} keys in {:.3} s ({:.1} MB/s, {:.2} million commands a \
             second)",
            self.commands,
            self.engine.keys(),
            self.started.elapsed().as_secs_f64(),
            self.pace(megabytes(loaded_bytes)),
            self.pace(self.commands as f64 / 1e6),
        );
    }

    /// So much in a second.
    fn pace(&self, amount: f64) -> f64 {
        // The time is above zero once anything has been done.
        amount / self.started.elapsed().as_secs_f64().max(1e-9)
    }
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// The number of the first error among replies of the first protocol, and its text.
fn first_error(replies: &ReplyBuffer) -> (usize, String) {
    let bytes: Vec<u8> = replies.chunks().flatten().copied().collect();
    let mut rest = &bytes[..];
    let mut index = 0;
    while let Some(line) = next_line(rest) {
        if let Some(text) = line.strip_prefix(b"-") {
            return (index, String::from_utf8_lossy(text).into_owned());
        }
        let Some(length) = reply_length(rest) else { break };
        rest = &rest[length..];
        index += 1;
    }
    // The engine has counted an error that is not there to be seen.
    (0, "an error".to_owned())
}

/// What precedes the first line end.
fn next_line(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    Some(&bytes[..end])
}

/// The length of the first reply.
fn reply_length(bytes: &[u8]) -> Option<usize> {
    // One reply is wanted; each array asks for its items as well.
    let (mut wanted, mut at) = (1_usize, 0);
    while wanted > 0 {
        wanted -= 1;
        let line = next_line(bytes.get(at..)?)?;
        at += line.len() + 2;
        let (kind, number) = line.split_first()?;
        let number = || std::str::from_utf8(number).ok()?.parse::<i64>().ok();
        match kind {
            b'$' => at += usize::try_from(number()?).map_or(0, |length| length + 2),
            b'*' => wanted += usize::try_from(number()?).unwrap_or(0),
            _ => {}
        }
    }
    (at <= bytes.len()).then_some(at)
}

/// A command of the log that the server refuses.
#[derive(Debug)]
struct ReplayError {
    path: PathBuf,
    place: Place,
    /// What a client would have been told.
    reply: String,
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { offset, command } = self.place;
        write!(
            f,
            "the log {} cannot be replayed: command {command} at byte {offset} is refused: {}",
            self.path.display(),
            self.reply
        )
    }
}

impl StdError for ReplayError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::IO_THREADS_MAX;

    fn replies(bytes: &[u8]) -> ReplyBuffer {
        let mut replies = ReplyBuffer::new();
        replies.raw(bytes);
        replies
    }

    #[test]
    fn the_kept_half_of_the_ring_holds_what_all_workers_may_take() {
        assert_eq!(ring_slots(1), RING_SLOTS_MIN);
        for workers in 1..=IO_THREADS_MAX {
            let slots = ring_slots(workers);
            assert!(slots.is_power_of_two() && slots / 2 >= workers * WORKER_SLOTS, "{workers}");
        }
    }

    #[test]
    fn the_first_error_is_found_among_replies() {
        let mixed =
            b"+OK\r\n$3\r\n-a\n\r\n:1\r\n*2\r\n$-1\r\n*1\r\n:2\r\n-ERR no\r\n-ERR later\r\n";
        assert_eq!(first_error(&replies(mixed)), (4, "ERR no".to_owned()));
    }

    #[test]
    fn replies_without_an_error_end_the_search() {
        assert_eq!(first_error(&replies(b"+OK\r\n$5\r\nab")).0, 0);
    }
}
