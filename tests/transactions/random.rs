//! Random transactions of eight clients make a strictly serializable history.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::checker::{Anomaly, check, tell};
use super::churn;
use super::command::CLIENTS;
use super::harness::setting;
use super::history::{Step, Transaction};
use super::link::Link;
use super::rooms;
use super::shuffle;
use super::target::Target;
use super::worker::{Sabotage, Shared, Worker};

/// Databases that are used.
const DATABASES: usize = 4;

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
    let (mut shufflers, mut all_rooms) = (Vec::new(), Vec::new());
    for worker in workers {
        history.extend(worker.history);
        shufflers.push(worker.shuffler);
        all_rooms.push(worker.rooms);
    }
    let aborted = history.iter().filter(|transaction| !transaction.is_committed).count();
    let count = history.len();
    println!("seed {seed}: {count} transactions, {aborted} of them did not happen, {time:.1?}");
    shuffle::judge(shufflers);
    rooms::judge(all_rooms);
    assert_serializable(&history);
    if target.has_log() {
        let before = contents(&mut target.link());
        target.stop_and_restart();
        let after = contents(&mut target.link());
        assert!(before == after, "the log tells something else: {}", difference(&before, &after));
    }
}

/// The anomalies that are found when something is left out.
fn found_with(sabotage: Sabotage) -> Vec<Anomaly> {
    const TRANSACTIONS: u64 = 8_000;
    let target = Target::start("no");
    let shared = Shared::new();
    let mut workers: Vec<Worker<'_>> =
        (0..CLIENTS).map(|client| Worker::new(target.address(), &shared, client, 1)).collect();
    std::thread::scope(|scope| {
        for worker in &mut workers {
            worker.sabotage = Some(sabotage);
            scope.spawn(move || worker.work(TRANSACTIONS / CLIENTS as u64));
        }
    });
    let history: Vec<_> = workers.into_iter().flat_map(|worker| worker.history).collect();
    let anomalies = check(&history);
    println!("{sabotage:?}: {} anomalies", anomalies.len());
    if let Some(first) = anomalies.first() {
        println!("{}", tell(&history, first));
    }
    anomalies
}

#[test]
fn keys_that_are_not_watched_are_noticed() {
    assert!(!found_with(Sabotage::NoWatch).is_empty());
}

#[test]
fn blocks_that_are_not_one_instant_are_noticed() {
    assert!(!found_with(Sabotage::TornBlocks).is_empty());
}

#[test]
fn commands_over_several_keys_that_are_not_one_instant_are_noticed() {
    assert!(!found_with(Sabotage::TornCommands).is_empty());
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

/// All keys and their values, with their databases.
fn contents(link: &mut Link) -> BTreeMap<String, String> {
    let mut contents = BTreeMap::new();
    for database in 0..DATABASES {
        assert!(link.ask(&format!("SELECT {database}")).is_ok());
        let keys = link.ask("KEYS *").many();
        let keys: Vec<_> = keys.iter().filter_map(|key| key.text()).collect();
        for keys in keys.chunks(1_000) {
            let values = link.ask(&format!("MGET {}", keys.join(" "))).many();
            let values = values.iter().map(|value| value.text().expect("it is there").to_owned());
            let keys = keys.iter().map(|key| format!("{database}/{key}"));
            contents.extend(keys.zip(values));
        }
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
