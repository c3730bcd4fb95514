//! SIGKILL at random moments under load, a restart, and a comparison with what the clients know.

use std::time::Duration;

use super::harness::{LogFile, Random, Server, State, dump, setting, wait_until};
use super::history::{Keys, Script, number};
use super::load::{Told, work};

const CLIENTS: usize = 5;

/// Kills per policy in a plain run.
const ROUNDS: u64 = 10;

/// The keys of one client in a recovered server.
fn keys_of(script: &Script, state: &State) -> Keys {
    let texts = state.iter().map(|((_, key), (value, _))| {
        (String::from_utf8(key.clone()).expect("keys of text"), value.clone())
    });
    texts.filter(|(key, _)| script.owns(key)).collect()
}

/// How far the counter of a client has come.
fn count(keys: &Keys, script: &Script) -> u64 {
    keys.get(&script.counter()).map_or(0, |value| number(value))
}

/// Compares what was recovered with what the clients were told.
fn judge(policy: &str, all_told: &[Told], state: &State) {
    let recovered: Vec<_> = all_told.iter().map(|told| keys_of(&told.script, state)).collect();
    let counts: Vec<_> =
        all_told.iter().zip(&recovered).map(|(told, keys)| count(keys, &told.script)).collect();
    for (client, (told, keys)) in all_told.iter().zip(&recovered).enumerate() {
        assert!(told.surprises.is_empty(), "{policy}, client {client}: {:?}", told.surprises);
        let first = if policy == "always" { told.acknowledged } else { 0 };
        let steps = first..=told.sent;
        let step = told.script.step_of(keys, steps.clone()).unwrap_or_else(|| {
            let anywhere = told.script.step_of(keys, 0..=told.sent);
            panic!(
                "{policy}, client {client}: recovered state is of no step in {steps:?} (of step \
                 {anywhere:?} of all): {keys:?}"
            )
        });
        for (before, other, seen) in &told.witnessed {
            // Under `always` also what was only read is durable.
            assert!(
                (step <= *before && policy != "always") || counts[*other] >= *seen,
                "{policy}: client {client} is recovered up to step {step}; before step {} it read \
                 {seen} from client {other}, which is recovered up to {}",
                before + 1,
                counts[*other]
            );
        }
    }
}

/// Kills and restarts on one log, round after round; what an earlier round left must stay.
fn kill_rounds(policy: &str, with_rewrites: bool) {
    let mut log = LogFile::new();
    let seed = setting("FERRUM_CRASH_SEED", 1);
    let mut server = Server::with(&log.flags(policy));
    let mut known = State::new();
    for round in seed..seed + setting("FERRUM_CRASH_ROUNDS", ROUNDS) {
        let scripts: Vec<_> = (0..CLIENTS).map(|client| Script::new(round, client)).collect();
        let mut random = Random(round.wrapping_mul(0x2545_F491_4F6C_DD1D) | 1);
        let address = server.address;
        let all_told: Vec<Told> = std::thread::scope(|scope| {
            let scripts = &scripts;
            let workers: Vec<_> = (0..CLIENTS)
                .map(|client| {
                    let seed = round * 1_000 + client as u64;
                    scope.spawn(move || work(address, scripts, client, seed))
                })
                .collect();
            if with_rewrites {
                let reply = server.connect().ask("BGREWRITEAOF");
                assert!(reply.starts_with('+'), "{reply}");
            }
            std::thread::sleep(Duration::from_millis(20 + random.below(230)));
            server.kill();
            workers.into_iter().map(|worker| worker.join().expect("no panic")).collect()
        });
        server = Server::with(&log.flags(policy));
        let state = dump(&mut server.connect(), 1);
        judge(policy, &all_told, &state);
        let lost = known.iter().find(|(key, entry)| state.get(*key) != Some(*entry));
        assert!(lost.is_none(), "{policy}, round {round}: of an earlier round: {lost:?}");
        let done: u64 = all_told.iter().map(|told| told.acknowledged).sum();
        assert!(done > 0, "no client was answered in round {round}");
        known = state;
        if (round - seed) % ROUNDS == ROUNDS - 1 {
            // A log that has grown for hundreds of rounds would take all the time to load.
            drop(server);
            log = LogFile::new();
            server = Server::with(&log.flags(policy));
            known = State::new();
        }
    }
}

#[test]
fn under_always_every_acknowledged_write_survives_a_kill() {
    kill_rounds("always", false);
}

#[test]
fn under_everysec_a_kill_leaves_a_prefix_of_what_was_done() {
    kill_rounds("everysec", false);
}

#[test]
fn under_no_a_kill_leaves_a_prefix_of_what_was_done() {
    kill_rounds("no", false);
}

#[test]
fn a_kill_during_a_rewrite_loses_nothing() {
    kill_rounds("always", true);
    kill_rounds("everysec", true);
}

#[test]
fn under_everysec_what_is_older_than_two_seconds_survives() {
    let log = LogFile::new();
    let mut server = Server::with(&log.flags("everysec"));
    let mut client = server.connect();
    for key in 0..100 {
        client.set(&format!("k{key}"), b"v");
    }
    std::thread::sleep(Duration::from_secs(2));
    server.kill();
    let server = Server::with(&log.flags("everysec"));
    assert_eq!(server.connect().ask("DBSIZE"), ":100\r\n");
}

#[test]
fn a_kill_while_loading_changes_nothing() {
    let log = LogFile::new();
    let mut server = Server::with(&log.flags("no"));
    let mut client = server.connect();
    let requests: Vec<u8> = (0..300_000)
        .flat_map(|number| super::harness::encode(&["SET", &format!("k{number}"), "value"]))
        .collect();
    client.send_while(&requests, |client| client.expect(&b"+OK\r\n".repeat(300_000)));
    wait_until("all is written", || server.info("aof_current_size") == log.len() as u64);
    drop(client);
    server.signal("TERM");
    server.wait();
    let before = log.bytes();
    for pause in [0, 5, 20, 50, 100] {
        let mut server = Server::launch(&log.flags("no"), &[]);
        std::thread::sleep(Duration::from_millis(pause));
        server.kill();
        assert!(log.bytes() == before, "killed {pause} ms after the start");
    }
    assert_eq!(Server::with(&log.flags("no")).connect().ask("DBSIZE"), ":300000\r\n");
}
