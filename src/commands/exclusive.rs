//! Commands that are to run while nothing else does.
//!
//! An EXEC over the whole keyspace asks for it before its first command
//! ([`Context::have_all_out`]). It may have to wait until batches of other workers have made way;
//! its client has the exclusion meanwhile, and the engine stalls at the EXEC
//! ([`Awaited::Exclusion`](super::Awaited)). Once it runs it runs to its end, and gives the
//! exclusion back; what it writes must be in the log's ring before. The engine takes the exclusion
//! from a client whose batch ends in any other way, a panic gives it back, and so does the end of
//! the connection.
//!
//! Nobody may wait for a client that does not read its replies, or for the disk. So the exclusion
//! is taken only while all earlier replies of the connection are sent.

use super::admission::Admission;
use super::context::Context;
use crate::store::{Exclusion, Member};
use crate::sync::Arc;

impl Context<'_> {
    /// Has all other clients out, or says that it has to wait: the batch is then to stall for
    /// [`Awaited::Exclusion`](super::Awaited) where it is. In a replay nobody else is there.
    pub(super) fn have_all_out(&mut self) -> Admission {
        let Some(attendance) = self.attendance else {
            return Admission::Run;
        };
        let own = attendance.member();
        if self.client.ownership.is_none() {
            let exclusion = self.state.keyspace.exclusion();
            if self.out.is_empty() && exclusion.is_open(own) {
                self.client.ownership = exclusion.try_take(self.client.id);
            }
        }
        let ownership = self.client.ownership.as_mut();
        match ownership.is_some_and(|ownership| ownership.try_be_alone(own)) {
            true => Admission::Run,
            false => Admission::Wait,
        }
    }

    /// Runs `body` when all others are out, and lets them in again.
    pub(super) fn run_alone(&mut self, body: impl FnOnce(&mut Self)) {
        self.alone = true;
        self.session.begin_block();
        body(self);
        self.session.end_block();
        self.alone = self.attendance.is_none();
        self.client.give_back_exclusion();
    }
}

impl Context<'_> {
    /// Whether another client wants to be the only one: the batch is to make way.
    #[inline]
    pub(super) fn is_called_out(&self) -> bool {
        self.attendance.is_some_and(|attendance| attendance.is_called_out())
    }
}

/// Whether a client that waits for the exclusion should ask again.
pub(super) fn is_at_hand(exclusion: &Arc<Exclusion>, own: &Member, client: u64) -> bool {
    match exclusion.is_of(client) {
        true => exclusion.is_quiet(own),
        false => exclusion.is_open(own),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::client::Client;
    use crate::commands::context::Counts;
    use crate::commands::engine::Engine;
    use crate::commands::persistence::Stage;
    use crate::commands::progress::{Awaited, Position, Progress};
    use crate::commands::setbacks::Setbacks;
    use crate::commands::state::ServerState;
    use crate::commands::timing::Timing;
    use crate::config::{Config, EventClasses};
    use crate::resp::{Batch, Decoder, Limits, ReplyBuffer};
    use crate::store::{Evictor, Local};
    use crate::sync::plain::{AtomicBool, Ordering};

    fn server() -> Arc<ServerState> {
        Arc::new(ServerState::new(Config::default(), 2))
    }

    /// Asks once for the exclusion, in a batch of its own, as an EXEC does.
    fn ask(
        state: &ServerState,
        local: &Local,
        client: &mut Client,
        out: &mut ReplyBuffer,
    ) -> Admission {
        let attendance = local.enter_batch(client.id).expect("nobody else has it");
        let mut context = Context {
            state,
            database: state.keyspace.database(0),
            session: local.pin(),
            attendance: Some(&attendance),
            client,
            out,
            spare_queue: &mut None,
            alone: false,
            stage: Stage::Open,
            evictor: &mut Evictor::default(),
            is_bounded: false,
            is_out_of_memory: false,
            counts: Counts::default(),
            worker: 0,
            notifies: EventClasses::default(),
            outbox: Vec::new(),
            needs_care: false,
            setbacks: Setbacks::default(),
            timing: Timing::begin(state, state.command_stats.worker(1)),
        };
        context.have_all_out()
    }

    fn pings(count: usize) -> (Batch, Vec<u8>) {
        let input = b"PING\r\n".repeat(count);
        let mut batch = Batch::new();
        let decoder = &mut Decoder::new(Limits::default());
        let decoded = decoder.decode(&input, &mut batch, usize::MAX).expect("well formed");
        assert_eq!(decoded.consumed, input.len());
        (batch, input)
    }

    #[test]
    fn batches_of_others_stall_until_the_exclusion_is_given_back() {
        let state = server();
        let local = state.keyspace.join();
        let mut engine = Engine::new(Arc::clone(&state), 0);
        let mut alone = Client::new(1, String::new());
        let mut other = Client::new(2, String::new());
        let (batch, input) = pings(1);
        let mut out = ReplyBuffer::new();
        assert_eq!(ask(&state, &local, &mut alone, &mut out), Admission::Run);
        let at = Position::default();
        let stalled = Progress::Stall(at, Awaited::Turn);
        assert_eq!(engine.execute(&mut other, &batch, &input, at, &mut out), stalled);
        assert!(out.is_empty() && !engine.is_met(2, Awaited::Turn));
        alone.give_back_exclusion();
        assert!(engine.is_met(2, Awaited::Turn));
        assert_eq!(engine.execute(&mut other, &batch, &input, at, &mut out), Progress::Done);
    }

    #[test]
    fn the_exclusion_is_not_taken_before_the_replies_are_sent() {
        let state = server();
        let local = state.keyspace.join();
        let mut client = Client::new(1, String::new());
        let mut out = ReplyBuffer::new();
        out.simple("OK");
        assert_eq!(ask(&state, &local, &mut client, &mut out), Admission::Wait);
        assert!(state.keyspace.exclusion().is_free());
        out.clear();
        assert_eq!(ask(&state, &local, &mut client, &mut out), Admission::Run);
    }

    #[test]
    fn a_client_waits_with_the_exclusion_until_the_batches_of_others_end() {
        let state = server();
        let (local, busy) = (state.keyspace.join(), state.keyspace.join());
        let engine = Engine::new(Arc::clone(&state), 0);
        let mut client = Client::new(1, String::new());
        let mut out = ReplyBuffer::new();
        let batch = busy.enter_batch(2).expect("nobody has it");
        assert_eq!(ask(&state, &local, &mut client, &mut out), Admission::Wait);
        assert!(batch.is_called_out() && !engine.is_met(1, Awaited::Exclusion));
        drop(batch);
        assert!(engine.is_met(1, Awaited::Exclusion));
        assert_eq!(ask(&state, &local, &mut client, &mut out), Admission::Run);
        // The end of the connection.
        drop(client);
        assert!(state.keyspace.exclusion().is_free());
    }

    #[test]
    fn a_batch_that_does_not_wait_for_the_exclusion_gives_it_back() {
        let state = server();
        let mut engine = Engine::new(Arc::clone(&state), 0);
        let mut client = Client::new(1, String::new());
        client.ownership = state.keyspace.exclusion().try_take(1);
        let (batch, input) = pings(1);
        let mut out = ReplyBuffer::new();
        let progress = engine.execute(&mut client, &batch, &input, Position::default(), &mut out);
        assert_eq!(progress, Progress::Done);
        assert!(state.keyspace.exclusion().is_free());
    }

    #[test]
    fn a_long_batch_makes_way_between_two_commands() {
        let state = server();
        let (batch, input) = pings(1_000);
        let (stop, has_stalled) = (AtomicBool::new(false), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let (state, batch, input) = (&state, &batch, &input);
            let (stop, has_stalled) = (&stop, &has_stalled);
            scope.spawn(move || {
                let mut engine = Engine::new(Arc::clone(state), 0);
                let mut client = Client::new(2, String::new());
                let mut at = Position::default();
                while !stop.load(Ordering::Relaxed) {
                    let mut out = ReplyBuffer::new();
                    at = match engine.execute(&mut client, batch, input, at, &mut out) {
                        Progress::Stall(next, awaited) => {
                            assert_eq!(awaited, Awaited::Turn);
                            if next != at {
                                has_stalled.store(true, Ordering::Relaxed);
                            }
                            std::thread::yield_now();
                            next
                        }
                        Progress::Flush(next) => next,
                        Progress::Done | Progress::Close => Position::default(),
                    };
                }
            });
            let local = state.keyspace.join();
            let mut client = Client::new(1, String::new());
            while !has_stalled.load(Ordering::Relaxed) {
                let mut out = ReplyBuffer::new();
                while ask(state, &local, &mut client, &mut out) == Admission::Wait {
                    std::thread::yield_now();
                }
                client.give_back_exclusion();
            }
            stop.store(true, Ordering::Relaxed);
        });
    }
}
