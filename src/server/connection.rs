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
//! - when it is to wait for a moment (its replies so far are sent);
//! - when the log has no room for what it is about to change, when another client has all out, or
//!   when it waits to have them out itself.
//!
//! What others have for the client (module `commands::post`) is sent between rounds, when every
//! complete command has been answered, and while a command waits that has answered nothing yet.
//! What it tells of must be on the disk too.
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

mod executing;

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::BufMut;
use log::{debug, warn};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use self::executing::REPLIES_SOFT_LIMIT_BYTES;
use super::clients::{Order, Place, Presence};
use super::desk::Desk;
use super::doze::{self, Doze, Woken};
use super::load::Share;
use super::sending::{SLICES_MAX, TURN_BYTES_MAX, fill_slices};
use super::socket::Socket;
use super::stages::{Running, Stage, Then, Turn, Unsent};
use super::waits::{Need, Ticket};
use super::worker::Worker;
use crate::commands::{Awaited, Client, Marks, OutputClass, Rest};
use crate::memory::{Counted, Kind, taken};
use crate::resp::{Decoder, ReplyBuffer};
use crate::sync::Arc;

/// Replies, in bytes, to which no limit of a client's output applies: Redis does not count its
/// first buffer of this size.
const UNLIMITED_BYTES: usize = 16 * 1024;

/// Rounds without waiting before the other connections of the worker get their turn.
const ROUNDS_MAX: usize = 8;

/// An unfinished command of up to so many bytes is set aside while its connection waits, and the
/// desk goes back. Redis's read size: a client that stops in mid-command costs no more than there.
const ASIDE_MAX_BYTES: usize = 16 * 1024;

/// Reads still done when the server stops. What had arrived by then fits the socket's receive
/// buffer, on Linux at most 6 MiB unless tuned: about a hundred desks.
const FINISHING_READS_MAX: usize = 100;

/// Bytes that a connection takes beside what it knows of: its task, its place in the event loop,
/// what it shares with its worker. Measured as the allocator's growth with a thousand idle clients,
/// 1,656 bytes each.
const TASK_BYTES: usize = 960;

/// One client's connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Socket,
    client: Client,
    decoder: Decoder,
    stage: Stage,
    running: Option<Running>,
    /// What the batch waits for.
    stalled: Option<Awaited>,
    /// The replies may be sent when the log is on the disk up to this position.
    exposed: u64,
    /// The replies that are not sent yet.
    unsent: Unsent,
    desk: Option<Box<Desk>>,
    /// The start of an unfinished command, while there is no desk.
    aside: Vec<u8>,
    /// Bytes received and sent in this turn.
    turn_bytes: usize,
    /// A wait for a moment.
    doze: Doze,
    /// Reads left, once the server stops.
    finishing: Option<usize>,
    /// Its place among those that wait.
    ticket: Ticket,
    /// Whether it is shown as blocked.
    is_blocked: bool,
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
        stream: Socket,
        client: Client,
        share: Share,
    ) -> Connection {
        let (place, presence) = worker.enter(Arc::clone(&client.peer));
        let mut connection = Connection {
            stream,
            client,
            decoder: Decoder::new(worker.limits()),
            stage: Stage::Receive,
            running: None,
            stalled: None,
            exposed: 0,
            unsent: Unsent::default(),
            desk: None,
            aside: Vec::new(),
            turn_bytes: 0,
            doze: Doze::default(),
            finishing: None,
            ticket: Ticket::default(),
            is_blocked: false,
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
        let own = TASK_BYTES + taken(size_of::<Connection>()) + self.client.peer.bytes();
        let input = taken(self.aside.capacity()) + self.decoder.room();
        self.counted.set(own + input + self.client.queued_bytes());
    }

    /// Serves the client until either side closes.
    pub(super) async fn serve(mut self) {
        while poll_fn(|cx| self.poll_turn(cx)).await == Turn::Yield {
            // Behind the other connections, and behind what the event loop finds.
            tokio::task::yield_now().await;
        }
        if self.client.ends_with_server {
            doze::leave_open(&self.stream);
        }
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        if self.client.peer.is_killed() {
            return Poll::Ready(Turn::Close);
        }
        match self.presence.order() {
            Order::Serve => {}
            Order::Drop => {
                if self.presence.has_overflowed() {
                    self.say_overflowed();
                }
                return Poll::Ready(Turn::Close);
            }
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
        let has_work = !matches!(self.stage, Stage::Receive | Stage::Send(_));
        self.presence.note(OutputClass::of(&self.client), desk.replies.len(), has_work);
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
                        self.write_mail(&mut desk.replies);
                        self.stage = Stage::Await(Then::Receive);
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
                // What others have for it comes while a command waits that has not begun.
                Stage::Execute if self.may_take_mail() => {
                    self.stalled = None;
                    self.write_mail(&mut desk.replies);
                    self.stage = Stage::Await(Then::Execute);
                }
                Stage::Execute => {
                    self.stalled = None;
                    self.stage = Stage::Await(self.execute(desk));
                    if desk.replies.len() > UNLIMITED_BYTES && self.is_over_limit(desk) {
                        self.say_overflowed();
                        return Poll::Ready(Turn::Close);
                    }
                }
                Stage::Await(then) => {
                    if self.worker.must_wait(self.exposed) {
                        if let Some(text) = self.worker.refusal() {
                            if self.unsent.has_part {
                                return Poll::Ready(Turn::Close);
                            }
                            self.withhold(&text, &mut desk.replies);
                            continue;
                        }
                        self.wait(Need::Durable(self.exposed), cx);
                        return Poll::Pending;
                    }
                    self.exposed = 0;
                    self.unsent = Unsent::default();
                    if !matches!(then, Then::Stall(_) | Then::Doze) {
                        // Before its reply is there, which others may act on.
                        self.mark_blocked(false);
                    }
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
                    if let Some(turn) = self.go_on(then, cx) {
                        return turn;
                    }
                }
                Stage::Doze if self.finishing.is_some() => return Poll::Ready(Turn::Close),
                Stage::Doze if self.client.peer.is_unblocked() => self.stage = Stage::Execute,
                Stage::Doze if self.may_take_mail() => {
                    self.write_mail(&mut desk.replies);
                    self.stage = Stage::Await(Then::Doze);
                }
                Stage::Doze => match ready!(self.doze.poll(&self.stream, cx)) {
                    Woken::ByTime => self.stage = Stage::Execute,
                    Woken::ByDeparture => return Poll::Ready(Turn::Close),
                },
            }
        }
    }

    /// Goes on when all replies are sent. Says how the turn ends, if it does.
    fn go_on(&mut self, then: Then, cx: &mut Context<'_>) -> Option<Poll<Turn>> {
        match then {
            Then::Receive => self.stage = Stage::Receive,
            Then::Execute => {
                self.stage = Stage::Execute;
                return Some(Poll::Ready(Turn::Yield));
            }
            Then::Doze => self.stage = Stage::Doze,
            // It could be long, and nothing of it has been done.
            Then::Stall(Awaited::Pause | Awaited::Look(_)) if self.finishing.is_some() => {
                return Some(Poll::Ready(Turn::Close));
            }
            Then::Stall(Awaited::Moment(moment)) => {
                self.doze.begin(moment);
                self.stage = Stage::Doze;
            }
            Then::Stall(awaited) => return Some(self.stall(awaited, cx)),
            Then::Close => return Some(Poll::Ready(Turn::Close)),
        }
        None
    }

    /// Whether there is mail for a client whose batch waits, all replies sent and none begun. What
    /// waits for a moment has answered nothing yet. Who has the others out is not to be waited for:
    /// it may not read.
    fn may_take_mail(&self) -> bool {
        let is_begun = self.running.is_some_and(|running| running.at.is_begun);
        let waits = self.stage == Stage::Doze || self.stalled.is_some() && !is_begun;
        waits && !self.client.keeps_others_out() && self.presence.has_mail()
    }

    /// Waits for what the batch waits for. Who goes meanwhile is let go of in a pause, which may be
    /// long: nothing has been done yet.
    fn stall(&mut self, awaited: Awaited, cx: &mut Context<'_>) -> Poll<Turn> {
        self.stage = Stage::Execute;
        self.stalled = Some(awaited);
        self.wait(Need::Execution(self.client.id, awaited), cx);
        if awaited == Awaited::Pause && doze::poll_departure(&self.stream, cx).is_ready() {
            return Poll::Ready(Turn::Close);
        }
        Poll::Pending
    }

    fn wait(&mut self, need: Need, cx: &Context<'_>) {
        self.worker.waits().enter(&mut self.ticket, need, cx);
    }

    /// Writes what others have for the client, as much as is sent at once.
    fn write_mail(&mut self, replies: &mut ReplyBuffer) {
        while replies.len() < REPLIES_SOFT_LIMIT_BYTES
            && let Some(letter) = self.presence.next_mail()
        {
            self.exposed = self.exposed.max(letter.exposed);
            letter.message.write(&mut self.client, replies);
        }
    }

    /// Whether the replies are more than may wait for the client at all.
    fn is_over_limit(&self, desk: &Desk) -> bool {
        let hard_bytes = self.worker.output_limit(OutputClass::of(&self.client)).hard_bytes;
        hard_bytes > 0 && desk.replies.len() as u64 > hard_bytes
    }

    /// Notes that the client is disconnected because too much waits for it.
    fn say_overflowed(&self) {
        self.worker.stats().output_limit_disconnections.add(1);
        let (id, address) = (self.client.id, &self.client.peer.address);
        warn!(
            "Client id={id} addr={address} scheduled to be closed ASAP for overcoming of output \
             buffer limits."
        );
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
                let peer = self.presence.peer();
                peer.touch(self.worker.now_ms());
                peer.note_input(desk.input.pending().len(), desk.input.room());
                Poll::Ready(true)
            }
            Err(error) => {
                debug!("client {}: cannot receive: {error}", self.client.id);
                Poll::Ready(false)
            }
        }
    }

    /// Sends until no reply is left (true) or the turn's bytes are used up (false).
    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        replies: &mut ReplyBuffer,
    ) -> Poll<io::Result<bool>> {
        self.presence.peer().note_output(replies.len());
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
            self.presence.peer().touch(self.worker.now_ms());
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

    /// Shows whether the client waits in a command or a pause.
    fn mark_blocked(&mut self, is_blocked: bool) {
        if self.is_blocked != is_blocked {
            self.is_blocked = is_blocked;
            self.client.peer.mark(Marks::BLOCKED, is_blocked);
        }
    }

    /// Gives the desk back, unless there is unfinished work on it.
    fn get_up(&mut self, mut desk: Box<Desk>) {
        self.client.publish();
        self.mark_blocked(self.stalled == Some(Awaited::Pause) || self.stage == Stage::Doze);
        let input_bytes = desk.input.pending().len();
        // What waits in the mail is as good as a reply that waits.
        let mail_bytes = self.presence.mail_bytes();
        if self.stage != Stage::Receive || input_bytes > ASIDE_MAX_BYTES {
            desk.count();
            self.count();
            self.client.peer.note_rest(Rest {
                input_bytes,
                input_room: desk.input.room(),
                argument_bytes: self.decoder.room() + desk.batch.owned_bytes(),
                output_bytes: desk.replies.len() + mail_bytes,
                memory_bytes: self.counted.bytes() + desk.bytes() + mail_bytes,
            });
            self.desk = Some(desk);
            return;
        }
        if input_bytes > 0 {
            self.aside = desk.input.pending().to_vec();
        }
        self.count();
        self.client.peer.note_rest(Rest {
            input_bytes: self.aside.len(),
            input_room: 0,
            argument_bytes: self.decoder.room(),
            output_bytes: mail_bytes,
            memory_bytes: self.counted.bytes() + mail_bytes,
        });
        self.worker.give_back_desk(desk);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.worker.waits().leave(&self.ticket);
        if let Some(place) = self.place.take() {
            self.worker.leave(place);
        }
    }
}
