//! Where the memory is: the figures that INFO and MEMORY show, and the MEMORY command.

use super::context::{Context, integer};
use super::help;
use super::process;
use super::refusal::Refusal;
use super::row::{Argument, ArgumentKind, Categories, Flags, Handler, Keys, Outcome, Row};
use super::state::ServerState;
use super::string::KEY;
use crate::memory::{self, Kind};
use crate::record;
use crate::resp::{Args, ReplyBuffer};
use crate::sync::allocator;
use crate::sync::epoch::limbo_bytes;

const SERVER: Row = Row { arity: 2, since: "4.0.0", ..Row::BASE };

const MEMORY: &[Row] = &[
    Row {
        name: "doctor",
        summary: "Returns what is conspicuous about the server's memory, in plain words",
        tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
        handler: Handler::Plain(doctor),
        ..SERVER
    },
    Row {
        name: "help",
        flags: Flags::LOADING.and(Flags::STALE),
        summary: help::SUMMARY,
        handler: Handler::Plain(|context, _| help::write(context, "memory", MEMORY)),
        ..SERVER
    },
    Row {
        name: "malloc-stats",
        summary: "Returns the allocator's report about itself",
        complexity: "Depends on how much memory is allocated",
        tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
        handler: Handler::Plain(malloc_stats),
        ..SERVER
    },
    Row {
        name: "purge",
        summary: "Has the allocator give the memory that it keeps back to the system",
        complexity: "Depends on how much memory is kept",
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        handler: Handler::Plain(purge),
        ..SERVER
    },
    Row {
        name: "stats",
        summary: "Returns what the server's memory is used for",
        tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
        handler: Handler::Plain(stats),
        ..SERVER
    },
    Row {
        name: "usage",
        arity: -3,
        flags: Flags::READONLY,
        keys: Keys::second(&["RO"]),
        summary: "Returns the bytes that a key and its value take",
        arguments: &[
            KEY,
            Argument {
                token: Some("SAMPLES"),
                ..Argument::new("count", ArgumentKind::Integer).optional()
            },
        ],
        handler: Handler::Plain(usage),
        ..SERVER
    },
];

pub(super) static ROWS: [Row; 1] = [Row {
    name: "memory",
    arity: -2,
    since: "4.0.0",
    categories: Categories::NONE,
    summary: "Commands about memory",
    complexity: "Depends on the subcommand",
    subcommands: MEMORY,
    ..Row::BASE
}];

/// The most bytes that the data may take; 0 for as many as there are.
pub(super) fn maxmemory_bytes(state: &ServerState) -> u64 {
    state.keyspace.eviction().settings().max_bytes()
}

/// How keys are chosen that have to go.
pub(super) fn maxmemory_policy(state: &ServerState) -> &'static str {
    state.keyspace.eviction().settings().policy().name()
}

/// The figures of one moment, in bytes unless they say otherwise. Redis's terms: the *overhead* is
/// what is not data, the *start* what an empty server takes.
pub(super) struct Figures {
    pub(super) used: u64,
    pub(super) resident: u64,
    pub(super) peak: u64,
    pub(super) overhead: u64,
    pub(super) startup: u64,
    /// Records, and the buffers of values.
    pub(super) dataset: u64,
    pub(super) arrays: u64,
    pub(super) clients: u64,
    pub(super) ring: u64,
    pub(super) log: u64,
    pub(super) eviction: u64,
    /// Retired records and arrays that some reader may still see; part of `used`.
    pub(super) limbo: u64,
    /// Flushed tables that are not yet freed; part of `used`.
    pub(super) reaping: u64,
    /// Records that are kept for the rewrite of the log; part of `used`, not of `limbo`.
    pub(super) rewrite_images: u64,
    /// Freed blocks that wait for the next records; not part of `used`.
    pub(super) pool: u64,
    pub(super) allocator: allocator::Figures,
}

impl Figures {
    pub(super) fn new(state: &ServerState) -> Self {
        // One close after the other: what is left of `used` without the log is to mean something.
        let (used, log) = (memory::used_bytes(), memory::bytes(Kind::Log));
        let (limbo, rewrite_images) = (limbo_bytes(), state.keyspace.image_bytes());
        let dataset = memory::bytes(Kind::Records) + memory::bytes(Kind::Buffers);
        // The tables are made at their first use; the ring is there from the start.
        let startup = memory::bytes(Kind::Ring);
        Self {
            used,
            resident: process::resident_bytes(),
            peak: state.note_used_bytes(used),
            overhead: used.saturating_sub(dataset),
            startup,
            dataset,
            arrays: memory::bytes(Kind::Arrays),
            clients: memory::bytes(Kind::Clients),
            ring: startup,
            log,
            eviction: memory::bytes(Kind::Eviction),
            limbo,
            reaping: memory::reaping_bytes(),
            rewrite_images,
            pool: record::idle_bytes(),
            allocator: allocator::figures(),
        }
    }

    /// What is used beyond the start.
    fn net(&self) -> u64 {
        self.used.saturating_sub(self.startup)
    }

    /// The data's part in what is used beyond the start.
    pub(super) fn dataset_percent(&self) -> f64 {
        100.0 * self.dataset as f64 / self.net().max(1) as f64
    }

    /// What is used now, as part of the peak.
    pub(super) fn peak_percent(&self) -> f64 {
        100.0 * ratio(self.used, self.peak)
    }

    /// Where memory is lost between what was asked for and what the process takes: the name that
    /// INFO has for it, and the figure that should be no greater than the other.
    pub(super) fn losses(&self) -> [(&'static str, u64, u64); 3] {
        let allocator::Figures { allocated_bytes, active_bytes, resident_bytes } = self.allocator;
        [
            ("allocator_frag", active_bytes, allocated_bytes),
            ("allocator_rss", resident_bytes, active_bytes),
            ("rss_overhead", self.resident, resident_bytes),
        ]
    }
}

/// How much one figure is of another; of nothing, nothing.
pub(super) fn ratio(figure: u64, of: u64) -> f64 {
    figure as f64 / of.max(1) as f64
}

/// How much a figure is above another; below zero if it is not.
pub(super) fn difference(figure: u64, other: u64) -> i64 {
    figure.wrapping_sub(other).cast_signed()
}

/// SAMPLES is taken for the sake of those who give it: a string has no parts to sample.
fn usage<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    let mut index = 3;
    while index < args.len() {
        if !args.get(index).eq_ignore_ascii_case(b"samples") || index + 1 == args.len() {
            return Err(Refusal::Syntax);
        }
        if integer(args.get(index + 1))? < 0 {
            return Err(Refusal::Syntax);
        }
        index += 2;
    }
    let key = context.state.keyspace.key(args.get(2));
    match context.database.peek(&context.session, key, |entry| entry.allocated_bytes()) {
        Some(bytes) => context.out.integer(bytes as i64),
        None => context.out.null(),
    }
    Ok(())
}

fn purge<'a>(context: &mut Context<'_>, _: &Args<'a>) -> Outcome<'a> {
    if !allocator::purge() {
        return Err(Refusal::Text("ERR Error purging dirty pages"));
    }
    context.out.ok();
    Ok(())
}

fn malloc_stats<'a>(context: &mut Context<'_>, _: &Args<'a>) -> Outcome<'a> {
    context.out.verbatim("txt", allocator::report().as_bytes());
    Ok(())
}

/// A field of MEMORY STATS.
enum Field {
    Number(&'static str, u64),
    Signed(&'static str, i64),
    Ratio(&'static str, f64),
}

impl Field {
    fn write(&self, out: &mut ReplyBuffer) {
        match *self {
            Field::Number(name, value) => {
                out.bulk(name.as_bytes());
                out.integer(value.cast_signed());
            }
            Field::Signed(name, value) => {
                out.bulk(name.as_bytes());
                out.integer(value);
            }
            Field::Ratio(name, value) => {
                out.bulk(name.as_bytes());
                out.double(value);
            }
        }
    }
}

fn stats<'a>(context: &mut Context<'_>, _: &Args<'a>) -> Outcome<'a> {
    let state = context.state;
    let figures = Figures::new(state);
    let mut databases = Vec::new();
    let mut keys = 0;
    for index in 0..state.keyspace.databases() {
        let own = state.keyspace.database(index).len(&context.session);
        if own > 0 {
            databases.push((index, state.keyspace.array_bytes(index, &context.session)));
        }
        keys += own;
    }
    let before = [
        Field::Number("peak.allocated", figures.peak),
        Field::Number("total.allocated", figures.used),
        Field::Number("startup.allocated", figures.startup),
        Field::Number("replication.backlog", 0),
        Field::Number("clients.slaves", 0),
        Field::Number("clients.normal", figures.clients),
        Field::Number("cluster.links", 0),
        Field::Number("aof.buffer", figures.log),
        Field::Number("lua.caches", 0),
        Field::Number("functions.caches", 0),
    ];
    let mut after = vec![
        Field::Number("overhead.total", figures.overhead),
        Field::Number("keys.count", keys),
        Field::Number("keys.bytes-per-key", figures.net().checked_div(keys).unwrap_or(0)),
        Field::Number("dataset.bytes", figures.dataset),
        Field::Ratio("dataset.percentage", figures.dataset_percent()),
        Field::Ratio("peak.percentage", figures.peak_percent()),
        Field::Number("allocator.allocated", figures.allocator.allocated_bytes),
        Field::Number("allocator.active", figures.allocator.active_bytes),
        Field::Number("allocator.resident", figures.allocator.resident_bytes),
    ];
    let [fragmentation, allocator_resident, resident] = figures.losses();
    for ((_, more, less), ratio_name, bytes_name) in [
        (fragmentation, "allocator-fragmentation.ratio", "allocator-fragmentation.bytes"),
        (allocator_resident, "allocator-rss.ratio", "allocator-rss.bytes"),
        (resident, "rss-overhead.ratio", "rss-overhead.bytes"),
    ] {
        after.push(Field::Ratio(ratio_name, ratio(more, less)));
        after.push(Field::Signed(bytes_name, difference(more, less)));
    }
    after.push(Field::Ratio("fragmentation", ratio(figures.resident, figures.used)));
    after.push(Field::Signed("fragmentation.bytes", difference(figures.resident, figures.used)));

    let out = &mut *context.out;
    out.map(before.len() + databases.len() + after.len());
    before.iter().for_each(|field| field.write(out));
    for (index, array_bytes) in databases {
        out.bulk(format!("db.{index}").as_bytes());
        // Deadlines are in the records, slots in the arrays.
        out.map(3);
        Field::Number("overhead.hashtable.main", array_bytes).write(out);
        Field::Number("overhead.hashtable.expires", 0).write(out);
        Field::Number("overhead.hashtable.slot-to-keys", 0).write(out);
    }
    after.iter().for_each(|field| field.write(out));
    Ok(())
}

/// Below so many used bytes nothing is worth a remark (Redis's bound).
const EMPTY_BYTES: u64 = 5 << 20;

/// Losses below so many bytes are not worth a remark (Redis's bound).
const LOSS_BYTES: i64 = 10 << 20;

/// Bytes of a client that are much, on average (Redis's bound).
const CLIENT_BYTES: u64 = 200 << 10;

fn doctor<'a>(context: &mut Context<'_>, _: &Args<'a>) -> Outcome<'a> {
    let figures = Figures::new(context.state);
    let clients = context.state.stats.total(|worker| &worker.connected_clients);
    context.out.verbatim("txt", diagnosis(&figures, clients).as_bytes());
    Ok(())
}

/// What is conspicuous, in the order and with the bounds of Redis as far as it has them.
fn diagnosis(figures: &Figures, clients: u64) -> String {
    if figures.used < EMPTY_BYTES {
        return "This server holds next to no data: there is nothing to say about its memory.\n"
            .to_owned();
    }
    let [fragmentation, allocator_resident, resident] =
        figures.losses().map(|(_, more, less)| (ratio(more, less), difference(more, less)));
    let is_lost = |(ratio, bytes): (f64, i64)| ratio > 1.1 && bytes > LOSS_BYTES;
    let limbo_and_reaping = figures.limbo + figures.reaping + figures.rewrite_images;
    let remarks = [
        (
            ratio(figures.peak, figures.used) > 1.5,
            "Peak memory: the server has once used more than one and a half times as much as now. \
             The allocator may keep a part of that, which the next data will fill; MEMORY PURGE \
             gives back what it can.",
        ),
        (
            is_lost(fragmentation),
            "Fragmentation: of the memory that the allocator uses a good part lies in holes \
             between the values. It is filled again by values of like sizes.",
        ),
        (
            is_lost(allocator_resident),
            "Kept pages: the allocator keeps pages that hold nothing. They go back to the system \
             by and by, or at once with MEMORY PURGE.",
        ),
        (
            is_lost(resident),
            "Other memory: the process takes much memory that the allocator knows nothing of, \
             such as stacks and code.",
        ),
        (
            clients > 0 && figures.clients / clients.max(1) > CLIENT_BYTES,
            "Clients: their buffers are large, on average. Some send long commands, queue much \
             between MULTI and EXEC, or do not read their replies.",
        ),
        (
            limbo_and_reaping > figures.used / 4,
            "Waiting memory: more than a quarter of the used memory holds no data any more and \
             waits to be freed, after a flush, for a long reader, or for the rewrite of the log.",
        ),
    ];
    let mut text = String::new();
    for (_, remark) in remarks.iter().filter(|(is_so, _)| *is_so) {
        text += &format!(" * {remark}\n\n");
    }
    match text.is_empty() {
        true => "There is nothing conspicuous about this server's memory.\n".to_owned(),
        false => format!("This is conspicuous about the server's memory:\n\n{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> Figures {
        let mebibytes = 100 << 20;
        Figures {
            used: mebibytes,
            resident: mebibytes,
            peak: mebibytes,
            overhead: 0,
            startup: 0,
            dataset: mebibytes,
            arrays: 0,
            clients: 0,
            ring: 0,
            log: 0,
            eviction: 0,
            limbo: 0,
            reaping: 0,
            rewrite_images: 0,
            pool: 0,
            allocator: allocator::Figures {
                allocated_bytes: mebibytes,
                active_bytes: mebibytes,
                resident_bytes: mebibytes,
            },
        }
    }

    #[test]
    fn the_doctor_says_what_it_finds_and_nothing_else() {
        let sick = |change: &dyn Fn(&mut Figures)| {
            let mut figures = figures();
            change(&mut figures);
            diagnosis(&figures, 10)
        };
        assert!(sick(&|_| {}).starts_with("There is nothing"));
        assert!(sick(&|figures| figures.used = 1000).starts_with("This server holds next to no"));
        for (change, title) in [
            (&|figures: &mut Figures| figures.peak *= 2, "Peak memory:"),
            (&|figures| figures.allocator.allocated_bytes /= 2, "Fragmentation:"),
            (&|figures| figures.resident *= 2, "Other memory:"),
            (&|figures| figures.clients = 10 << 20, "Clients:"),
            (&|figures| figures.reaping = 30 << 20, "Waiting memory:"),
        ] as [(&dyn Fn(&mut Figures), &str); 5]
        {
            let text = sick(change);
            assert!(text.contains(title) && text.matches(" * ").count() == 1, "{text}");
        }
    }

    #[test]
    fn parts_and_differences_of_figures() {
        assert_eq!(ratio(1, 0), 1.0);
        assert_eq!((difference(3, 5), difference(5, 3)), (-2, 2));
        assert_eq!(figures().dataset_percent(), 100.0);
    }
}
