//! SIGKILL under MSET and EXEC load: after the restart no half of one is there.
//!
//! Each client writes rising numbers to all keys of a group of its own, so the keys of a group are
//! always equal. A group is in two databases, if its client uses blocks.

use std::net::SocketAddr;
use std::time::Duration;

use super::harness::{Random, setting};
use super::link::{Arguments, Link, line};
use super::target::Target;

const CLIENTS: u64 = 6;
const KEYS: u64 = 5;

/// Kills per policy in a plain run.
const KILLS: u64 = 5;

/// Most writes that are sent before their replies are read.
const PIPELINE_MAX: u64 = 8;

/// What a client knows in the end.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    acknowledged: u64,
    sent: u64,
}

fn key(client: u64, number: u64) -> String {
    format!("group:{client}:{number}")
}

/// Commands that write `value` to the group of a client, at once; the last one says that it is
/// done.
fn write(client: u64, value: u64) -> Vec<Arguments> {
    let keys = (0..KEYS).map(|number| key(client, number));
    let values: Vec<_> = keys.map(|key| format!("{key} {value}")).collect();
    // An odd client's group is in database 0 only.
    let mset = line(&format!("MSET {}", values.join(" ")));
    if client % 2 == 1 {
        return vec![mset];
    }
    let mut block = vec![line("MULTI")];
    if value.is_multiple_of(2) {
        block.extend(values.iter().map(|pair| line(&format!("SET {pair}"))));
    } else {
        block.push(mset.clone());
    }
    block.extend([line("SELECT 1"), mset, line("SELECT 0"), line("EXEC")]);
    block
}

/// Writes until the server is gone.
fn work(address: SocketAddr, client: u64, from: u64, seed: u64) -> Told {
    let mut told = Told { acknowledged: from, sent: from };
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let Some(mut link) = Link::try_open(address) else { return told };
    loop {
        let until = told.sent + 1 + random.below(PIPELINE_MAX);
        let commands: Vec<_> =
            (told.sent + 1..=until).flat_map(|value| write(client, value)).collect();
        // Before they are sent: a part of them may arrive although sending fails.
        told.sent = until;
        let Some(replies) = link.try_run(&commands) else { return told };
        assert!(!replies.iter().any(|reply| reply.is_error()), "{replies:?}");
        told.acknowledged = until;
    }
}

/// The value of a client's group in a database; 0 if it is not there.
fn value(link: &mut Link, client: u64, database: u64) -> u64 {
    assert!(link.ask(&format!("SELECT {database}")).is_ok());
    let keys: Vec<_> = (0..KEYS).map(|number| key(client, number)).collect();
    let values = link.ask(&format!("MGET {}", keys.join(" "))).many();
    let values: Vec<_> = values.iter().map(|value| value.value() as u64).collect();
    let is_whole = values.iter().all(|value| *value == values[0]);
    assert!(is_whole, "half of a write is there: client {client}, database {database}: {values:?}");
    values[0]
}

fn kills(policy: &'static str, with_rewrites: bool) {
    let mut target = Target::start(policy);
    if !target.has_log() {
        println!("left out: a server that runs already is not killed");
        return;
    }
    let seed = setting("FERRUM_TRANSACTIONS_SEED", 1);
    let mut recovered = [0; CLIENTS as usize];
    for round in 0..setting("FERRUM_TRANSACTIONS_KILLS", KILLS) {
        let mut random = Random(((seed << 20) + round).wrapping_mul(0x2545_F491_4F6C_DD1D) | 1);
        let address = target.address();
        let told: Vec<Told> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..CLIENTS)
                .map(|client| {
                    let from = recovered[client as usize];
                    let seed = (seed + round) * 1_000 + client;
                    scope.spawn(move || work(address, client, from, seed))
                })
                .collect();
            if with_rewrites {
                let reply = target.link().ask("BGREWRITEAOF");
                assert!(!reply.is_error(), "{reply:?}");
            }
            std::thread::sleep(Duration::from_millis(20 + random.below(230)));
            target.kill();
            workers.into_iter().map(|worker| worker.join().expect("no panic")).collect()
        });
        target.restart();
        let mut link = target.link();
        for (client, told) in (0..CLIENTS).zip(&told) {
            let now = value(&mut link, client, 0);
            if client % 2 == 0 {
                let other = value(&mut link, client, 1);
                assert_eq!(now, other, "half of a block is there: client {client}");
            }
            let first =
                if policy == "always" { told.acknowledged } else { recovered[client as usize] };
            let is_right = (first..=told.sent).contains(&now);
            assert!(is_right, "{policy}, client {client}: {now} is recovered, {told:?}");
            recovered[client as usize] = now;
        }
        let done: u64 = told.iter().map(|told| told.acknowledged).sum();
        assert!(done > 0, "no client was answered in round {round}");
    }
    println!("{policy}: recovered up to {recovered:?}");
}

#[test]
fn a_kill_leaves_no_half_of_a_transaction_under_always() {
    kills("always", false);
}

#[test]
fn a_kill_leaves_no_half_of_a_transaction_under_everysec() {
    kills("everysec", false);
}

#[test]
fn a_kill_leaves_no_half_of_a_transaction_under_no() {
    kills("no", false);
}

#[test]
fn a_kill_during_a_rewrite_leaves_no_half_of_a_transaction() {
    kills("always", true);
    kills("everysec", true);
}
