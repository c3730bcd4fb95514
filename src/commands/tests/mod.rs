//! The engine, driven by encoded bytes.

mod authentication;
mod batches;
mod bits;
mod clients;
mod docs;
mod many_keys;
mod memory;
mod messages;
mod persistence;
mod recorded;
mod server_info;
mod statistics;
mod transactions;

use super::context::{Context, Counts};
use super::persistence::Stage;
use super::setbacks::Setbacks;
use super::timing::Timing;
use super::{Awaited, Client, Engine, Position, Progress, ServerState};
use crate::config::{Config, EventClasses};
use crate::resp::{Batch, Decoder, Limits, ReplyBuffer};
use crate::store::Evictor;
use crate::sync::Arc;

/// A server with one worker, and what its replies went through.
struct Server {
    state: Arc<ServerState>,
    engine: Engine,
}

/// One connection to it.
struct Connection {
    client: Client,
    decoder: Decoder,
    /// How often the engine stopped for a flush.
    flushes: usize,
    /// The most replies in memory at once, in bytes.
    peak: usize,
}

impl Server {
    fn new() -> Server {
        Server::with(Config::default())
    }

    fn with(config: Config) -> Server {
        let state = Arc::new(ServerState::new(config, 1));
        Server { engine: Engine::new(state.clone(), 0), state }
    }

    fn connect(&self) -> Connection {
        Connection {
            client: Client::new(7, "127.0.0.1:1".to_owned()),
            decoder: Decoder::new(Limits::default()),
            flushes: 0,
            peak: 0,
        }
    }

    /// Runs whole commands, given as sent, in one batch; returns their replies.
    fn run(&mut self, connection: &mut Connection, input: &[u8]) -> Vec<u8> {
        let mut batch = Batch::new();
        let decoded =
            (connection.decoder).decode(input, &mut batch, usize::MAX).expect("well formed");
        assert_eq!(decoded.consumed, input.len(), "whole commands");
        let mut out = ReplyBuffer::new();
        let mut replies = Vec::new();
        let mut at = Position::default();
        loop {
            let client = &mut connection.client;
            let progress = self.engine.execute(client, &batch, input, at, &mut out);
            connection.peak = connection.peak.max(out.len());
            out.chunks().for_each(|chunk| replies.extend_from_slice(chunk));
            let has_sent = !out.is_empty();
            out.clear();
            match progress {
                Progress::Flush(next) => {
                    assert_ne!(next, at, "no progress");
                    connection.flushes += 1;
                    at = next;
                }
                // Who wants to be alone waits until what came before is sent.
                Progress::Stall(next, Awaited::Exclusion) if has_sent => at = next,
                Progress::Stall(..) => panic!("there is nothing to wait for"),
                Progress::Done | Progress::Close => return replies,
            }
        }
    }

    /// Runs one command of these arguments.
    fn command(&mut self, connection: &mut Connection, arguments: &[&[u8]]) -> Vec<u8> {
        self.run(connection, &encode(arguments))
    }

    /// Runs an inline command; returns the reply as text.
    fn line(&mut self, connection: &mut Connection, line: &str) -> String {
        let reply = self.run(connection, format!("{line}\r\n").as_bytes());
        String::from_utf8(reply).expect("text")
    }
}

/// Calls `body` with the context of a new server and connection.
pub(super) fn with_context(body: impl FnOnce(&mut Context<'_>)) {
    let state = ServerState::new(Config::default(), 1);
    let local = state.keyspace.join();
    let mut client = Client::new(1, "127.0.0.1:1".to_owned());
    let (mut out, mut spare_queue) = (ReplyBuffer::new(), None);
    body(&mut Context {
        state: &state,
        database: state.keyspace.database(0),
        session: local.pin(),
        attendance: None,
        client: &mut client,
        out: &mut out,
        spare_queue: &mut spare_queue,
        stage: Stage::Open,
        alone: false,
        evictor: &mut Evictor::default(),
        is_bounded: false,
        is_out_of_memory: false,
        counts: Counts::default(),
        worker: 0,
        notifies: EventClasses::default(),
        outbox: Vec::new(),
        needs_care: false,
        setbacks: Setbacks::default(),
        timing: Timing::begin(&state, state.command_stats.worker(0)),
    });
}

/// A command as an array of bulk strings.
fn encode(arguments: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        bytes.extend(format!("${}\r\n", argument.len()).bytes());
        bytes.extend_from_slice(argument);
        bytes.extend(b"\r\n");
    }
    bytes
}
