//! Does again what a log tells.
//!
//! Two threads share the work. One finds the commands in the file, a [`Chunk`] at a time; the
//! other, the *replayer*, runs them through an [`Engine`] of its own, which nothing is asked of and
//! for which no key expires. Chunks go round between them, so neither waits for memory and both are
//! bounded.
//!
//! Any command that is refused ends the replay: the log was then written by something else, and
//! what follows it cannot be trusted.

use std::error::Error as StdError;
use std::fmt;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use log::info;

use crate::aof::{self, Chunk, End, Place, Reader, Step};
use crate::commands::{Client, Engine, Position, Progress, ServerState};
use crate::error::Error;
use crate::resp::ReplyBuffer;
use crate::sync::Arc;
use crate::sync::mpsc::{self, Receiver, Sender, SyncSender};
use crate::sync::plain::{AtomicBool, Ordering};

/// Chunks that go round: one is read, one is run, one waits.
const CHUNKS: usize = 3;

/// The time between two messages about the progress.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

const READER_THREAD: &str = "log-reader";

/// Starts a thread of this name.
///
/// # Errors
/// [`Error::Thread`].
pub(super) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(body);
    spawned.map(drop).map_err(|source| Error::Thread { name: name.to_owned(), source })
}

/// What the reading thread hands over.
enum Message {
    Chunk(Chunk),
    End(End),
    Failed(aof::Error),
}

/// Does again what the log tells; says how it ends, or `None` when it was stopped.
///
/// # Errors
/// What is wrong with the log.
pub(super) fn replay(
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

/// So many bytes in millions.
pub(super) fn megabytes(bytes: u64) -> f64 {
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

    fn replies(bytes: &[u8]) -> ReplyBuffer {
        let mut replies = ReplyBuffer::new();
        replies.raw(bytes);
        replies
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
