//! Random transactions of eight clients make a strictly serializable history.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::checker::{check, tell};
use super::churn;
use super::command::CLIENTS;
use super::harness::setting;
use super::history::{Step, Transaction};
use super::link::Link;
use super::shuffle;
use super::target::Target;
use super::worker::{Shared, Worker};

/// Anomalies that are told in full.
const TOLD_MAX: usize = 5;

#[test]
fn random_transactions_are_strictly_serializable() {
    let transactions = setting("FERRUM_TRANSACTIONS", 20_000);
    let seed = setting("FERRUM_TRANSACTIONS_SEED", 1);
    let mut target = Target::start("everysec");
    let address = target.address();
    shuffle::prepare(&mut target.link());
    let shared = Shared::new();
    let mut workers: Vec<Worker<'_>> =
        (0..CLIENTS).map(|client| Worker::new(address, &shared, client, seed)).collect();
    let started = Instant::now();
    churn::meanwhile(address, || {
        std::thread::scope(|scope| {
            for worker in &mut workers {
                scope.spawn(move || worker.work(transactions.div_ceil(CLIENTS as u64)));
            }
        });
    });
    let time = started.elapsed();
    let mut last = Worker::new(address, &shared, CLIENTS, seed);
    let histories = workers.iter().map(|worker| &worker.history[..]);
    last.read_all(keys_of(histories));
    workers.push(last);
    let mut history = Vec::new();
    let mut shufflers = Vec::new();
    for worker in workers {
        history.extend(worker.history);
        shufflers.push(worker.shuffler);
    }
    let aborted = history.iter().filter(|transaction| !transaction.is_committed).count();
    let count = history.len();
    println!("seed {seed}: {count} transactions, {aborted} of them did not happen, {time:.1?}");
    shuffle::judge(shufflers);
    assert_serializable(&history);
    if target.has_log() {
        let before = contents(&mut target.link());
        target.stop_and_restart();
        let after = contents(&mut target.link());
        assert!(before == after, "the log tells something else: {}", difference(&before, &after));
    }
}

fn assert_serializable(history: &[Transaction]) {
    let started = Instant::now();
    let anomalies = check(history);
    println!("checked in {:.1?}: {} anomalies", started.elapsed(), anomalies.len());
    for anomaly in anomalies.iter().take(TOLD_MAX) {
        println!("{}", tell(history, anomaly));
    }
    assert!(anomalies.is_empty(), "{} anomalies, see above", anomalies.len());
}

/// All keys that were used, but those that change with each look.
fn keys_of<'h>(histories: impl Iterator<Item = &'h [Transaction]>) -> Vec<u32> {
    let steps = histories.flatten().flat_map(|transaction| &transaction.steps);
    let key = |step: &Step| match step {
        Step::Read { key, .. }
        | Step::List { key, .. }
        | Step::Append { key, .. }
        | Step::Write { key, .. } => *key,
    };
    steps.map(key).collect::<BTreeSet<_>>().into_iter().collect()
}

/// All keys and their values.
fn contents(link: &mut Link) -> BTreeMap<String, String> {
    let keys = link.ask("KEYS *").many();
    let keys: Vec<_> = keys.iter().filter_map(|key| key.text()).map(str::to_owned).collect();
    let mut contents = BTreeMap::new();
    for keys in keys.chunks(1_000) {
        let values = link.ask(&format!("MGET {}", keys.join(" "))).many();
        let values = values.iter().map(|value| value.text().expect("it is there").to_owned());
        contents.extend(keys.iter().cloned().zip(values));
    }
    contents
}

fn difference(one: &BTreeMap<String, String>, other: &BTreeMap<String, String>) -> String {
    let keys: BTreeSet<_> = one.keys().chain(other.keys()).collect();
    let differ = keys.into_iter().filter(|key| one.get(*key) != other.get(*key));
    let told =
        differ.take(10).map(|key| format!("{key}: {:?}, {:?}", one.get(key), other.get(key)));
    told.collect::<Vec<_>>().join("; ")
}
