//! A hundred accounts, money that only moves, and everybody who looks sees all of it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use super::churn;
use super::harness::{Random, setting};
use super::link::{Arguments, Link, Reply, line};
use super::target::Target;

const ACCOUNTS: u64 = 100;
const BALANCE: i64 = 1_000;

/// Those from here on are moved by who has locked them: a lock keeps only those out who ask for it.
const LOCKED: u64 = 50;

fn account(number: u64) -> String {
    format!("account:{number}")
}

fn lock(number: u64) -> String {
    format!("lock:{number}")
}

fn all_accounts() -> Vec<String> {
    (0..ACCOUNTS).map(account).collect()
}

/// How a client moves money.
type Transfer = fn(&mut Link, &mut Random, &str) -> bool;

/// Two different accounts of a range, and an amount.
fn choose(random: &mut Random, first: u64) -> ([u64; 2], i64) {
    let from = random.below(LOCKED);
    let to = (from + 1 + random.below(LOCKED - 1)) % LOCKED;
    ([first + from, first + to], 1 + random.below(20) as i64)
}

/// WATCH, GET, MULTI, SET, EXEC. False if it has to be done again.
fn by_watch(link: &mut Link, random: &mut Random, _: &str) -> bool {
    let (numbers, amount) = choose(random, 0);
    let [from, to] = numbers.map(account);
    assert!(link.ask(&format!("WATCH {from} {to}")).is_ok());
    let [one, other] = [&from, &to].map(|key| link.ask(&format!("GET {key}")).value());
    let block = [
        line("MULTI"),
        line(&format!("SET {from} {}", one - amount)),
        line(&format!("SET {to} {}", other + amount)),
        line("EXEC"),
    ];
    match &link.run_all(&block)[3] {
        Reply::Nil => false,
        Reply::Many(replies) => {
            assert!(replies.iter().all(Reply::is_ok));
            true
        }
        other => panic!("{other:?}"),
    }
}

/// INCRBY and DECRBY within EXEC.
fn by_increments(link: &mut Link, random: &mut Random, _: &str) -> bool {
    let (numbers, amount) = choose(random, 0);
    let [from, to] = numbers.map(account);
    let block = [
        line("MULTI"),
        line(&format!("DECRBY {from} {amount}")),
        line(&format!("INCRBY {to} {amount}")),
        line("EXEC"),
    ];
    link.run_all(&block).remove(3).many().iter().all(|reply| matches!(reply, Reply::Number(_)))
}

/// MSETNX of two locks, MGET, MSET, DEL of the locks. False if somebody else has one of them.
fn by_locks(link: &mut Link, random: &mut Random, owner: &str) -> bool {
    let (numbers, amount) = choose(random, LOCKED);
    let ([from, to], [one, other]) = (numbers.map(account), numbers.map(lock));
    if link.ask(&format!("MSETNX {one} {owner} {other} {owner}")).number() == 0 {
        return false;
    }
    let owners = link.ask(&format!("MGET {one} {other}")).many();
    assert!(owners.iter().all(|found| found.text() == Some(owner)), "{owner}: {owners:?}");
    let balances = link.ask(&format!("MGET {from} {to}")).many();
    let (one_has, other_has) = (balances[0].value() - amount, balances[1].value() + amount);
    assert!(link.ask(&format!("MSET {from} {one_has} {to} {other_has}")).is_ok());
    assert_eq!(link.ask(&format!("DEL {one} {other}")), Reply::Number(2));
    true
}

fn transfer(address: SocketAddr, how: Transfer, number: usize, transfers: u64) -> (u64, u64) {
    let mut link = Link::open(address);
    let seed = setting("FERRUM_TRANSACTIONS_SEED", 1) * 1_000 + number as u64;
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let owner = format!("owner{number}");
    let (mut done, mut again) = (0, 0);
    while done < transfers {
        match how(&mut link, &mut random, &owner) {
            true => done += 1,
            false => again += 1,
        }
    }
    (done, again)
}

/// The balances of all accounts, read at once.
fn balances(link: &mut Link, by_exec: bool) -> Vec<i64> {
    let replies = if by_exec {
        let mut block: Vec<Arguments> = vec![line("MULTI")];
        block.extend(all_accounts().into_iter().map(|key| vec!["GET".to_owned(), key]));
        block.push(line("EXEC"));
        link.run_all(&block).pop().expect("of EXEC").many()
    } else {
        link.ask(&format!("MGET {}", all_accounts().join(" "))).many()
    };
    replies.iter().map(Reply::value).collect()
}

fn assert_complete(balances: &[i64]) {
    let sum: i64 = balances.iter().sum();
    assert_eq!(sum, ACCOUNTS as i64 * BALANCE, "money was made or lost: {balances:?}");
    let unlocked: i64 = balances[..LOCKED as usize].iter().sum();
    assert_eq!(unlocked, LOCKED as i64 * BALANCE, "money went to the wrong half");
}

/// Looks at all accounts until told to stop; returns how often.
fn look(address: SocketAddr, by_exec: bool, stop: &AtomicBool) -> u64 {
    let mut link = Link::open(address);
    let mut looks = 0;
    while !stop.load(Ordering::Relaxed) {
        assert_complete(&balances(&mut link, by_exec));
        looks += 1;
    }
    looks
}

#[test]
fn whoever_looks_at_the_bank_sees_all_the_money() {
    let mut target = Target::start("everysec");
    let address = target.address();
    let pairs: Vec<_> = all_accounts().iter().map(|key| format!("{key} {BALANCE}")).collect();
    assert!(target.link().ask(&format!("MSET {}", pairs.join(" "))).is_ok());
    let transfers = setting("FERRUM_TRANSACTIONS", 20_000) / 12;
    let ways: [(&str, Transfer); 3] =
        [("WATCH", by_watch), ("INCRBY", by_increments), ("locks", by_locks)];
    churn::meanwhile(address, || {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let stop = &stop;
            let looking =
                [false, true].map(|by_exec| scope.spawn(move || look(address, by_exec, stop)));
            let working: Vec<_> = (0..6)
                .map(|number| {
                    let how = ways[number % 3].1;
                    scope.spawn(move || transfer(address, how, number, transfers))
                })
                .collect();
            // Those who look stop also if one of the others fails.
            let results: Vec<_> = working.into_iter().map(|worker| worker.join()).collect();
            stop.store(true, Ordering::Relaxed);
            for (number, result) in results.into_iter().enumerate() {
                let (done, again) = result.expect("no panic");
                println!("{}: {done} transfers, {again} to be done again", ways[number % 3].0);
            }
            let looks = looking.map(|worker| worker.join().expect("no panic"));
            println!("looked {} times by MGET, {} times by EXEC", looks[0], looks[1]);
            assert!(looks.iter().all(|count| *count > 0));
        });
    });
    let before = balances(&mut target.link(), false);
    assert_complete(&before);
    if target.has_log() {
        target.stop_and_restart();
        assert_eq!(balances(&mut target.link(), true), before, "the log tells something else");
    }
}
