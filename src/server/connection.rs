//! One client: receive, execute, send, and again.
//!
//! A connection is always in one [`Stage`]. It goes round Receive, Execute, Send as long as the
//! socket has something for it, and hands the worker on
//!
//! - when it has to wait for the socket (its [`Presence`] holds its waker then, so that the worker
//!   can call it off);
//! - after [`ROUNDS_MAX`] rounds, or about [`TURN_BYTES_MAX`] bytes, that never waited;
//! - when the engine interrupts a long command or a long batch, after its replies so far are sent;
//! - when its replies tell of what the log does not have on the disk yet and must have: they are
//!   not sent before. It waits once for all replies of a round. If the disk fails meanwhile they
//!   are never sent: the log's refusal takes the place of each;
//! - when the log has no room for what it is about to change, when another client has all out, or
//!   when it waits to have them out itself.
//!
//! What others have for the client (module `commands::post`) is sent between rounds, when every
//! complete command has been answered.
//!
//! Everything that was decoded is executed, and everything executed is sent, before more is
//! received. So a client that does not read its replies is not read from either, and what it can
//! make the server hold is bounded: one input buffer, and replies up to the engine's soft limit
//! plus one reply. It also follows that at the end of the stream every complete command has been
//! answered already.
//!
//! At pipeline depth 1 a request costs one `recv` and one `send`: the event loop reports the
//! socket readable once, a `recv` that does not fill the buffer shows that nothing is left, and the
//! reply is written without asking whether the socket is writable.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::BufMut;
use log::{debug, error};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::clients::{Order, Place, Presence};
use super::desk::Desk;
use super::load::Share;
use super::waits::Need;
use super::worker::Worker;
use crate::commands::{Awaited, Client, Position, Progress};
use crate::memory::{Counted, Kind, taken};
use crate::resp::{Decoder, ProtocolError, ReplyBuffer};

/// Commands decoded into one batch: enough for any usual pipeline, and few enough that the spans
/// of their arguments stay in the first-level cache with the input.
const BATCH_COMMANDS_MAX: usize = 1024;

/// Batches executed before their replies are sent. One `recv` of the shortest commands
/// makes about five; a buffer that has grown for a giant command could hold thousands.
const BATCHES_MAX: usize = 8;

/// Replies, in bytes, after which no further batch is begun before they are sent.
const REPLIES_SOFT_LIMIT_BYTES: usize = crate::commands::OUTPUT_SOFT_LIMIT;

/// Rounds without waiting before the other connections of the worker get their turn.
const ROUNDS_MAX: usize = 8;

/// Bytes received and sent without waiting before the other connections get their turn. The kernel
/// copies so many in about 0.2 ms; only large values come near.
const TURN_BYTES_MAX: usize = 1 << 20;

/// An unfinished command of up to so many bytes is set aside while its connection waits, and the
/// desk goes back. Redis's read size: a client that stops in mid-command costs no more than there.
const ASIDE_MAX_BYTES: usize = 16 * 1024;

/// Pieces of one vectored write; a reply with more large values takes several writes.
const SLICES_MAX: usize = 64;

/// Reads still done when the server stops. What had arrived by then fits the socket's receive
/// buffer, on Linux at most 6 MiB unless tuned: about a hundred desks.
const FINISHING_READS_MAX: usize = 100;

/// Bytes that a connection takes beside what it knows of: its task, its place in the event loop,
/// what it shares with its worker. Measured as the allocator's growth with a thousand idle clients,
/// 1,656 bytes each.
const TASK_BYTES: usize = 960;

/// What a connection does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Wait for bytes.
    Receive,
    /// Decode and execute what has been received.
    Execute,
    /// Wait until the replies may be sent, then send them.
    Await(Then),
    /// Send the replies, then go on.
    Send(Then),
}

/// What follows when all replies are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// Every complete command is answered.
    Receive,
    /// There is more to execute; the other connections come first.
    Execute,
    /// There is more to execute when this has come.
    Stall(Awaited),
    /// This was the last reply.
    Close,
}

/// How a turn ended, if not by waiting for the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Yield,
    Close,
}

/// A batch that is decoded and not fully executed.
#[derive(Clone, Copy, Debug)]
struct Running {
    at: Position,
    /// Bytes of the input to drop when the batch is done.
    consumed: usize,
    /// Whether the input holds more to decode.
    more: bool,
}

/// Replies that are written and not sent.
#[derive(Clone, Copy, Debug, Default)]
struct Unsent {
    /// How many, as far as they are whole.
    whole: usize,
    /// Whether there may also be a part of one.
    has_part: bool,
}

impl Unsent {
    /// Adds the replies of a batch of so many commands that was executed from `at` on.
    fn add(&mut self, at: Position, progress: Progress, commands: usize) {
        let end = match progress {
            Progress::Done => Position { command: commands, ..Position::default() },
            Progress::Flush(next) | Progress::Stall(next, _) => next,
            // The last reply, and no saying how many came before.
            Progress::Close => Position { is_begun: true, ..at },
        };
        self.whole += end.command - at.command;
        self.has_part |= at.is_begun || end.is_begun;
    }
}

/// One client's connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    client: Client,
    decoder: Decoder,
    stage: Stage,
    running: Option<Running>,
    /// The replies may be sent when the log is on the disk up to this position.
    exposed: u64,
    /// The replies that are not sent yet.
    unsent: Unsent,
    desk: Option<Box<Desk>>,
    /// The start of an unfinished command, while there is no desk.
    aside: Vec<u8>,
    /// Bytes received and sent in this turn.
    turn_bytes: usize,
    /// Reads left, once the server stops.
    finishing: Option<usize>,
    presence: Rc<Presence>,
    /// `None` only while being dropped.
    place: Option<Place>,
    worker: Rc<Worker>,
    /// What it takes beside its desk.
    counted: Counted,
    _share: Share,
}

impl Connection {
    /// Enters the connection among the worker's clients, until it is dropped.
    pub(super) fn new(
        worker: Rc<Worker>,
        stream: TcpStream,
        client: Client,
        share: Share,
    ) -> Connection {
        let (place, presence) = worker.enter(client.id);
        let mut connection = Connection {
            stream,
            client,
            decoder: Decoder::new(worker.limits()),
            stage: Stage::Receive,
            running: None,
            exposed: 0,
            unsent: Unsent::default(),
            desk: None,
            aside: Vec::new(),
            turn_bytes: 0,
            finishing: None,
            presence,
            place: Some(place),
            worker,
            counted: Counted::new(Kind::Clients),
            _share: share,
        };
        connection.count();
        connection
    }

    /// Counts what the connection takes beside its desk: itself, what is set aside, the command
    /// that is on its way in, what is queued.
    fn count(&mut self) {
        let own = TASK_BYTES + taken(size_of::<Connection>()) + taken(self.aside.capacity());
        self.counted.set(own + self.decoder.room() + self.client.queued_bytes());
    }

    /// Serves the client until either side closes.
    pub(super) async fn serve(mut self) {
        while poll_fn(|cx| self.poll_turn(cx)).await == Turn::Yield {
            // Behind the other connections, and behind what the event loop finds.
            tokio::task::yield_now().await;
        }
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        match self.presence.order() {
            Order::Serve => {}
            Order::Drop => return Poll::Ready(Turn::Close),
            Order::Finish => {
                if self.finishing.is_none() {
                    // Let the event loop look at the socket once more before the last reads.
                    self.finishing = Some(FINISHING_READS_MAX);
                    return Poll::Ready(Turn::Yield);
                }
            }
        }
        self.turn_bytes = 0;
        let mut desk = self.sit_down();
        let turn = self.work(cx, &mut desk);
        self.get_up(desk);
        if turn.is_pending() {
            self.presence.waits(cx);
        }
        turn
    }

    fn work(&mut self, cx: &mut Context<'_>, desk: &mut Desk) -> Poll<Turn> {
        let mut rounds = 0;
        loop {
            match self.stage {
                Stage::Receive => {
                    if rounds == ROUNDS_MAX || self.turn_bytes >= TURN_BYTES_MAX {
                        return Poll::Ready(Turn::Yield);
                    }
                    rounds += 1;
                    if self.presence.has_mail() {
                        for message in self.presence.take_mail() {
                            message.write(&mut self.client, &mut desk.replies);
                        }
                        self.stage = Stage::Send(Then::Receive);
                        continue;
                    }
                    match self.poll_receive(cx, desk) {
                        Poll::Ready(true) => self.stage = Stage::Execute,
                        Poll::Ready(false) => return Poll::Ready(Turn::Close),
                        Poll::Pending if self.finishing.is_some() => {
                            return Poll::Ready(Turn::Close);
                        }
                        Poll::Pending => return Poll::Pending,
                    }
                }
                Stage::Execute => self.stage = Stage::Await(self.execute(desk)),
                Stage::Await(then) => {
                    if self.worker.must_wait(self.exposed) {
                        if let Some(text) = self.worker.refusal() {
                            if self.unsent.has_part {
                                return Poll::Ready(Turn::Close);
                            }
                            self.withhold(&text, &mut desk.replies);
                            continue;
                        }
                        self.worker.waits().enter(Need::Durable(self.exposed), cx);
                        return Poll::Pending;
                    }
                    self.exposed = 0;
                    self.unsent = Unsent::default();
                    self.stage = Stage::Send(then);
                }
                Stage::Send(then) => {
                    match ready!(self.poll_send(cx, &mut desk.replies)) {
                        Ok(true) => {}
                        Ok(false) => return Poll::Ready(Turn::Yield),
                        Err(error) => {
                            debug!("client {}: cannot send: {error}", self.client.id);
                            return Poll::Ready(Turn::Close);
                        }
                    }
                    match then {
                        Then::Receive => self.stage = Stage::Receive,
                        Then::Execute => {
                            self.stage = Stage::Execute;
                            return Poll::Ready(Turn::Yield);
                        }
                        Then::Stall(awaited) => {
                            self.stage = Stage::Execute;
                            let client = self.client.id;
                            self.worker.waits().enter(Need::Execution(client, awaited), cx);
                            return Poll::Pending;
                        }
                        Then::Close => return Poll::Ready(Turn::Close),
                    }
                }
            }
        }
    }

    /// Receives once. False means that nothing will come any more.
    fn poll_receive(&mut self, cx: &mut Context<'_>, desk: &mut Desk) -> Poll<bool> {
        if let Some(reads) = &mut self.finishing {
            if *reads == 0 {
                return Poll::Ready(false);
            }
            *reads -= 1;
        }
        let received = match self.decoder.large() {
            Some(mut large) => {
                // At most one turn's worth, however large the value and the socket's buffer.
                let mut buffer = large.buffer().limit(TURN_BYTES_MAX);
                let read = pin!(self.stream.read_buf(&mut buffer));
                ready!(read.poll(cx))
            }
            None => {
                let mut buffer = ReadBuf::new(desk.input.spare());
                let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer));
                let count = buffer.filled().len();
                desk.input.received(count);
                read.map(|()| count)
            }
        };
        match received {
            Ok(0) => Poll::Ready(false),
            Ok(count) => {
                self.turn_bytes += count;
                self.worker.stats().net_input_bytes.add(count as u64);
                self.worker.stats().reads.add(1);
                self.presence.touch(self.worker.now());
                Poll::Ready(true)
            }
            Err(error) => {
                debug!("client {}: cannot receive: {error}", self.client.id);
                Poll::Ready(false)
            }
        }
    }

    /// Decodes and executes what the input holds.
    fn execute(&mut self, desk: &mut Desk) -> Then {
        for _ in 0..BATCHES_MAX {
            let mut running = match self.running.take() {
                Some(running) => running,
                None => match self.decode(desk) {
                    Ok(running) => running,
                    Err(error) => return self.refuse(error, &mut desk.replies),
                },
            };
            let progress = self.execute_batch(running.at, desk);
            self.unsent.add(running.at, progress, desk.batch.len());
            match progress {
                Progress::Done => {
                    let has_owned = desk.batch.has_owned();
                    desk.batch.clear();
                    if has_owned {
                        // Buffers that were counted here have become values, counted there.
                        self.count();
                    }
                    desk.input.consume(running.consumed);
                }
                Progress::Flush(at) => {
                    running.at = at;
                    self.running = Some(running);
                    return Then::Execute;
                }
                Progress::Stall(at, awaited) => {
                    running.at = at;
                    self.running = Some(running);
                    return Then::Stall(awaited);
                }
                Progress::Close => return Then::Close,
            }
            if !running.more {
                return Then::Receive;
            }
            if desk.replies.len() >= REPLIES_SOFT_LIMIT_BYTES {
                break;
            }
        }
        Then::Execute
    }

    fn decode(&mut self, desk: &mut Desk) -> Result<Running, ProtocolError> {
        let input = desk.input.pending();
        let decoded = self.decoder.decode(input, &mut desk.batch, BATCH_COMMANDS_MAX)?;
        desk.input.drop_tail(decoded.moved);
        Ok(Running { at: Position::default(), consumed: decoded.consumed, more: decoded.more })
    }

    /// Runs the engine. A panic in a command costs this connection, and nothing else.
    fn execute_batch(&mut self, at: Position, desk: &mut Desk) -> Progress {
        if desk.batch.is_empty() {
            return Progress::Done;
        }
        let mut engine = self.worker.engine();
        let input = desk.input.pending();
        let result = catch_unwind(AssertUnwindSafe(|| {
            engine.execute(&mut self.client, &desk.batch, input, at, &mut desk.replies)
        }));
        self.exposed = self.exposed.max(engine.take_exposed());
        match result {
            Ok(progress) => progress,
            Err(_logged) => {
                let first = desk.batch.args(at.command, input).name();
                error!(
                    "client {}: a command failed by a panic, closing the connection; the batch \
                     begins with '{}' ({} commands)",
                    self.client.id,
                    first.escape_ascii(),
                    desk.batch.len() - at.command,
                );
                *desk = Desk::new();
                self.client.give_back_exclusion();
                // What it has changed before is written although it waits for nothing.
                engine.wake_log();
                Progress::Close
            }
        }
    }

    /// Puts the log's refusal in the place of all replies: what they tell of cannot be kept now.
    fn withhold(&mut self, text: &str, replies: &mut ReplyBuffer) {
        replies.clear();
        for _ in 0..self.unsent.whole {
            replies.error(text);
        }
        self.worker.stats().error_replies.add(self.unsent.whole as u64);
        self.exposed = 0;
    }

    /// Answers a stream that cannot be followed any further.
    fn refuse(&self, error: ProtocolError, replies: &mut ReplyBuffer) -> Then {
        debug!("client {}: protocol error: {error}", self.client.id);
        self.worker.stats().error_replies.add(1);
        error.reply(replies);
        Then::Close
    }

    /// Sends until no reply is left (true) or the turn's bytes are used up (false).
    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        replies: &mut ReplyBuffer,
    ) -> Poll<io::Result<bool>> {
        while !replies.is_empty() {
            if self.turn_bytes >= TURN_BYTES_MAX {
                return Poll::Ready(Ok(false));
            }
            let stream = Pin::new(&mut self.stream);
            let sent = match replies.is_single() {
                Some(bytes) => ready!(stream.poll_write(cx, bytes))?,
                None => {
                    let mut slices = [IoSlice::new(&[]); SLICES_MAX];
                    let filled = fill_slices(replies, &mut slices);
                    ready!(stream.poll_write_vectored(cx, &slices[..filled]))?
                }
            };
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            replies.advance(sent);
            self.turn_bytes += sent;
            self.worker.stats().net_output_bytes.add(sent as u64);
            self.worker.stats().writes.add(1);
            self.presence.touch(self.worker.now());
        }
        Poll::Ready(Ok(true))
    }

    /// The desk kept from the last turn, or one of the worker's.
    fn sit_down(&mut self) -> Box<Desk> {
        if let Some(desk) = self.desk.take() {
            return desk;
        }
        let mut desk = self.worker.take_desk();
        desk.replies.protocol = self.client.protocol;
        if !self.aside.is_empty() {
            desk.input.restore(&self.aside);
            self.aside = Vec::new();
        }
        desk
    }

    /// Gives the desk back, unless there is unfinished work on it.
    fn get_up(&mut self, mut desk: Box<Desk>) {
        let pending = desk.input.pending();
        if self.stage != Stage::Receive || pending.len() > ASIDE_MAX_BYTES {
            desk.count();
            self.desk = Some(desk);
            return self.count();
        }
        if !pending.is_empty() {
            self.aside = pending.to_vec();
        }
        self.count();
        self.worker.give_back_desk(desk);
    }
}

/// Fills `slices` with the first replies, at most about a turn's worth of bytes: a single write of
/// a large value could copy as much as the socket's buffer takes and the client reads meanwhile.
/// Returns how many it filled.
fn fill_slices<'a>(replies: &'a ReplyBuffer, slices: &mut [IoSlice<'a>]) -> usize {
    let mut filled = 0;
    let mut bytes = 0;
    for (slice, chunk) in slices.iter_mut().zip(replies.chunks()) {
        if bytes >= TURN_BYTES_MAX {
            break;
        }
        let chunk = &chunk[..chunk.len().min(TURN_BYTES_MAX)];
        *slice = IoSlice::new(chunk);
        filled += 1;
        bytes += chunk.len();
        if chunk.len() == TURN_BYTES_MAX {
            break;
        }
    }
    filled
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            self.worker.leave(place);
        }
    }
}
