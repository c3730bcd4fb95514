//! CLIENT LIST and CLIENT INFO: a line for each connection.
//!
//! The fields are those of Redis 7.0, in its order, and the names of the client's library, which
//! 7.2 puts at the end. Where this server is built differently a field says what comes nearest:
//! `qbuf` and `qbuf-free` are the input buffer while the connection has one, `obl` are the bytes of
//! replies that wait to be sent; what goes beyond Redis's buffer of 16 KiB counts as a list (`oll`,
//! `omem`), of pieces of that size.
//!
//! A list of many is a work of steps: 10,000 lines take some 10 ms.

use std::io::Write;
use std::vec::IntoIter;

use super::context::Context;
use super::long::Work;
use super::lookup;
use super::peers::{Marks, Peer};
use super::refusal::Refusal;
use super::row::{Outcome, Row};
use super::table::rows;
use crate::record::parse_canonical;
use crate::resp::Args;
use crate::sync::Arc;

/// Lines written at a step: about a quarter of a millisecond.
const STEP_LINES: usize = 200;

/// Redis's reply buffer of a client.
const REPLY_BUFFER_BYTES: u64 = 16 * 1024;

/// The only user there is.
pub(super) const USER: &[u8] = b"default";

/// What clients are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientType {
    Normal,
    /// There is none.
    Replica,
    /// There is none.
    Master,
    PubSub,
}

impl ClientType {
    /// The type of this name, in any mixture of cases.
    pub(super) fn named<'a>(name: &'a [u8]) -> Result<ClientType, Refusal<'a>> {
        let found = match name.to_ascii_lowercase().as_slice() {
            b"normal" => ClientType::Normal,
            b"slave" | b"replica" => ClientType::Replica,
            b"master" => ClientType::Master,
            b"pubsub" => ClientType::PubSub,
            _ => return Err(Refusal::ClientType(name)),
        };
        Ok(found)
    }

    pub(super) fn of(peer: &Peer) -> ClientType {
        if peer.is_subscriber() { ClientType::PubSub } else { ClientType::Normal }
    }
}

/// A CLIENT LIST under way.
#[derive(Debug)]
struct Listing {
    peers: IntoIter<Arc<Peer>>,
    text: Vec<u8>,
}

impl Work for Listing {
    fn step(&mut self, context: &mut Context<'_>) -> bool {
        context.client.publish();
        let now_ms = context.state.uptime_ms();
        for peer in self.peers.by_ref().take(STEP_LINES) {
            write_line(&mut self.text, &peer, now_ms);
        }
        let is_done = self.peers.len() == 0;
        if is_done {
            context.out.verbatim("txt", &self.text);
        }
        is_done
    }
}

/// CLIENT LIST.
pub(super) fn list<'a>(
    context: &mut Context<'_>,
    args: &Args<'a>,
) -> Result<Box<dyn Work>, Refusal<'a>> {
    note_arguments(context, args);
    let peers = &context.state.peers;
    let option = (args.len() > 3).then(|| args.get(2).to_ascii_lowercase());
    let peers = match option.as_deref() {
        None if args.len() == 2 => peers.list(),
        Some(b"type") if args.len() == 4 => {
            let wanted = ClientType::named(args.get(3))?;
            let mut all = peers.list();
            all.retain(|peer| ClientType::of(peer) == wanted);
            all
        }
        Some(b"id") => {
            let ids = args
                .iter()
                .skip(3)
                .map(|text| parse_canonical(text).ok_or(Refusal::Text("ERR Invalid client ID")));
            let ids = ids.collect::<Result<Vec<i64>, _>>()?;
            let found = ids.into_iter().filter_map(|id| u64::try_from(id).ok());
            found.filter_map(|id| peers.find(id)).collect()
        }
        _ => return Err(Refusal::Syntax),
    };
    Ok(Box::new(Listing { peers: peers.into_iter(), text: Vec::new() }))
}

/// CLIENT INFO.
pub(super) fn info<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    note_arguments(context, args);
    context.client.publish();
    let mut text = Vec::new();
    write_line(&mut text, &context.client.peer, context.state.uptime_ms());
    context.out.verbatim("txt", &text);
    Ok(())
}

/// The client in one line, as CLIENT LIST shows it.
pub(super) fn line(context: &Context<'_>) -> String {
    context.client.publish();
    let mut text = Vec::new();
    write_line(&mut text, &context.client.peer, context.state.uptime_ms());
    String::from_utf8_lossy(text.trim_ascii_end()).into_owned()
}

/// Notes this command as the client's last one and the bytes of its arguments, which are usually
/// noted at the end of a turn.
fn note_arguments(context: &mut Context<'_>, args: &Args<'_>) {
    // As in Redis, the last command of a client that runs EXEC is EXEC.
    if context.client.executing.is_none()
        && let Some(row) = lookup::command(args.name())
        && let Some(row) = lookup::subcommand(row, args.get(1))
    {
        context.client.note_row(row);
    }
    let bytes: usize = args.iter().map(<[u8]>::len).sum();
    context.client.peer.figures.argument_bytes.set(bytes as u64);
}

/// Writes the line of one connection.
fn write_line(text: &mut Vec<u8>, peer: &Peer, now_ms: u64) {
    let figures = &peer.figures;
    let names = peer.names();
    let subscriptions = figures.subscriptions.get();
    let queued = figures.queued.get().cast_signed() - 1;
    let waiting = figures.output_bytes.get();
    let (buffered, listed) = match waiting {
        0..=REPLY_BUFFER_BYTES => (waiting, 0),
        _ => (0, waiting),
    };
    // A vector takes whatever is written to it.
    let _ = write!(
        text,
        "id={} addr={} laddr={} fd={} name=",
        peer.id, peer.address, peer.local_address, peer.descriptor
    );
    text.extend_from_slice(&names.name);
    let idle_seconds = now_ms.saturating_sub(peer.active_ms()) / 1_000;
    let _ = write!(
        text,
        " age={} idle={idle_seconds} flags={} db={} sub={} psub={} ssub={} multi={queued}",
        peer.age_seconds(),
        letters(peer),
        figures.database.get(),
        subscriptions >> 32,
        subscriptions & u64::from(u32::MAX),
        figures.shard_subscriptions.get(),
    );
    let _ = write!(
        text,
        " qbuf={} qbuf-free={} argv-mem={} multi-mem={} rbs={REPLY_BUFFER_BYTES} rbp={}",
        figures.input_bytes.get(),
        figures.input_room.get(),
        figures.argument_bytes.get(),
        figures.queued_bytes.get(),
        figures.output_bytes_peak.get().min(REPLY_BUFFER_BYTES),
    );
    let _ = write!(
        text,
        " obl={buffered} oll={} omem={listed} tot-mem={} events={} cmd={}",
        listed.div_ceil(REPLY_BUFFER_BYTES),
        figures.memory_bytes.get(),
        if waiting == 0 { "r" } else { "rw" },
        command_name(figures.row.get()),
    );
    text.extend_from_slice(b" user=");
    text.extend_from_slice(USER);
    let _ = write!(text, " redir=-1 resp={} lib-name=", figures.protocol.get());
    text.extend_from_slice(&names.library_name);
    text.extend_from_slice(b" lib-ver=");
    text.extend_from_slice(&names.library_version);
    text.push(b'\n');
}

/// The letters of a connection's state, in Redis's order.
fn letters(peer: &Peer) -> String {
    let marks = peer.marks();
    let set = [
        (marks.contains(Marks::MONITOR), 'O'),
        (peer.is_subscriber(), 'P'),
        (peer.figures.queued.get() > 0, 'x'),
        (marks.contains(Marks::BLOCKED), 'b'),
        (marks.contains(Marks::CLOSING), 'c'),
        (peer.is_unix, 'U'),
        (marks.contains(Marks::NO_EVICT), 'e'),
        (marks.contains(Marks::NO_TOUCH), 'T'),
    ];
    let letters: String = set.iter().filter(|(is_set, _)| *is_set).map(|(_, c)| c).collect();
    if letters.is_empty() { "N".to_owned() } else { letters }
}

/// The full name of the command whose row is at this address.
fn command_name(address: u64) -> String {
    let is_it = |row: &&Row| std::ptr::from_ref::<Row>(row).addr() as u64 == address;
    for row in rows() {
        if is_it(&row) {
            return row.name.to_owned();
        }
        if let Some(subcommand) = row.subcommands.iter().find(is_it) {
            return format!("{}|{}", row.name, subcommand.name);
        }
    }
    "NULL".to_owned()
}
