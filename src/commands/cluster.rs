//! CLUSTER, READONLY, READWRITE, ASKING: the server is no part of a cluster, and says so to each.

use super::context::Context;
use super::refusal::Refusal;
use super::row::{Categories, Flags, Handler, Outcome, Row};
use crate::resp::Args;

const CLUSTER_BASE: Row = Row {
    group: "cluster",
    since: "3.0.0",
    summary: SUMMARY,
    handler: Handler::Plain(refuse),
    ..Row::BASE
};

const SUMMARY: &str = "Refused: the server is no part of a cluster";

/// What a connection says before it asks for keys.
const OF_A_CONNECTION: Row = Row {
    flags: Flags::LOADING.and(Flags::STALE).and(Flags::FAST),
    categories: Categories::CONNECTION,
    ..CLUSTER_BASE
};

pub(super) static ROWS: [Row; 4] = [
    Row {
        name: "cluster",
        arity: -2,
        summary: "Commands about a cluster, which the server is no part of",
        complexity: "Depends on the subcommand",
        subcommands: CLUSTER,
        handler: Handler::Container,
        ..CLUSTER_BASE
    },
    Row { name: "readonly", ..OF_A_CONNECTION },
    Row { name: "readwrite", ..OF_A_CONNECTION },
    Row { name: "asking", flags: Flags::FAST, ..OF_A_CONNECTION },
];

/// Changes the cluster.
const CHANGES: Flags = Flags::ADMIN.and(Flags::STALE).and(Flags::NO_ASYNC_LOADING);

/// A subcommand that asks about the cluster: its reply would differ from node to node.
const fn asks(name: &'static str, arity: i32, since: &'static str) -> Row {
    Row { tips: &["nondeterministic_output"], ..computes(name, arity, since) }
}

/// A subcommand whose reply does not depend on the node.
const fn computes(name: &'static str, arity: i32, since: &'static str) -> Row {
    Row { name, arity, since, flags: Flags::STALE, ..CLUSTER_BASE }
}

/// A subcommand that asks about nodes, for those who run the cluster.
const fn inspects(name: &'static str, since: &'static str) -> Row {
    Row { flags: Flags::ADMIN.and(Flags::STALE), ..asks(name, 3, since) }
}

/// A subcommand that changes the cluster.
const fn changes(name: &'static str, arity: i32, since: &'static str) -> Row {
    Row { name, arity, since, flags: CHANGES, ..CLUSTER_BASE }
}

const CLUSTER: &[Row] = &[
    changes("addslots", -3, "3.0.0"),
    changes("addslotsrange", -4, "7.0.0"),
    Row { tips: &["nondeterministic_output"], ..changes("bumpepoch", 2, "3.0.0") },
    inspects("count-failure-reports", "3.0.0"),
    computes("countkeysinslot", 3, "3.0.0"),
    changes("delslots", -3, "3.0.0"),
    changes("delslotsrange", -4, "7.0.0"),
    changes("failover", -2, "3.0.0"),
    changes("flushslots", 2, "3.0.0"),
    changes("forget", 3, "3.0.0"),
    asks("getkeysinslot", 4, "3.0.0"),
    Row { flags: Flags::LOADING.and(Flags::STALE), ..computes("help", 2, "5.0.0") },
    asks("info", 2, "3.0.0"),
    computes("keyslot", 3, "3.0.0"),
    asks("links", 2, "7.0.0"),
    changes("meet", -4, "3.0.0"),
    computes("myid", 2, "3.0.0"),
    asks("nodes", 2, "3.0.0"),
    inspects("replicas", "5.0.0"),
    changes("replicate", 3, "3.0.0"),
    Row {
        flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::STALE),
        ..changes("reset", -2, "3.0.0")
    },
    changes("saveconfig", 2, "3.0.0"),
    changes("set-config-epoch", 3, "3.0.0"),
    changes("setslot", -4, "3.0.0"),
    asks("shards", 2, "7.0.0"),
    inspects("slaves", "3.0.0"),
    asks("slots", 2, "3.0.0"),
];

fn refuse<'a>(_: &mut Context<'_>, _: &Args<'a>) -> Outcome<'a> {
    Err(Refusal::Text("ERR This instance has cluster support disabled"))
}
