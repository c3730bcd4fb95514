//! Six threads that move money between a few accounts in transactions, count in place, and read all
//! accounts at one instant, while keys come and go and the segment migrates.

use crate::support::{Model, add, get, keyspace, migrations, remove, set};
use ferrum_kv::store::{Keyspace, Local, NewValue};
use ferrum_kv::sync::planted::Planted;

const THREADS: usize = 6;
const ROUNDS: usize = 4;
const ACCOUNTS: usize = 4;
/// What an account has at first.
const FIRST: i64 = 100;

fn account(number: usize) -> String {
    format!("account:{}", number % ACCOUNTS)
}

/// Runs `body` in a transaction until it succeeds, with an accessor of numbers.
fn atomically<R>(
    keyspace: &Keyspace,
    local: &Local,
    body: impl Fn(&dyn Fn(&str, Option<i64>) -> i64) -> R,
) -> R {
    let mut session = local.pin();
    loop {
        session.begin();
        let result = body(&|name, new| {
            let (database, key) = (keyspace.database(0), keyspace.key(name.as_bytes()));
            let old = database.get(&session, key, |value| value.to_vec()).map_or(0, |value| {
                std::str::from_utf8(&value).expect("text").parse().expect("digits")
            });
            if let Some(new) = new {
                let text = new.to_string();
                database.set(&session, key, NewValue::Copy(text.as_bytes()));
            }
            old
        });
        if session.commit() {
            return result;
        }
    }
}

fn total(keyspace: &Keyspace, local: &Local) -> i64 {
    atomically(keyspace, local, |number| {
        (0..ACCOUNTS).map(|account_of| number(&account(account_of), None)).sum()
    })
}

fn work(number: usize, keyspace: &Keyspace, local: &Local) {
    for round in 0..ROUNDS {
        let (from, to) = (account(number + round), account(number * 2 + round + 1));
        if from != to {
            atomically(keyspace, local, |number| {
                let (left, right) = (number(&from, None), number(&to, None));
                number(&from, Some(left - 1));
                number(&to, Some(right + 1));
            });
        }
        // In place, and each in another's way.
        add(keyspace, local, &from, 1);
        add(keyspace, local, "added", 1);
        add(keyspace, local, &from, -1);
        let filler = format!("filler:{number}:{}", round % 2);
        set(keyspace, local, &filler, b"x");
        if round % 2 == 1 {
            assert!(remove(keyspace, local, &filler), "a filler was lost");
        }
        let total = total(keyspace, local);
        let most = ACCOUNTS as i64 * FIRST + THREADS as i64;
        assert!((ACCOUNTS as i64 * FIRST..=most).contains(&total), "{total} was never so");
        // All of a group, or none of it.
        let value = (number * ROUNDS + round) as i64;
        atomically(keyspace, local, |number| {
            for name in ["one", "two", "three"] {
                number(name, Some(value));
            }
        });
        let group = atomically(keyspace, local, |number| {
            ["one", "two", "three"].map(|name| number(name, None))
        });
        assert!(group.iter().all(|value| *value == group[0]), "half of a group: {group:?}");
    }
}

const BANK: Model = Model(bank);

fn bank() {
    let keyspace = keyspace();
    let local = keyspace.join();
    for number in 0..ACCOUNTS {
        set(&keyspace, &local, &account(number), FIRST.to_string().as_bytes());
    }
    let threads: Vec<_> = (0..THREADS)
        .map(|number| {
            let keyspace = keyspace.clone();
            shuttle::thread::spawn(move || work(number, &keyspace, &keyspace.join()))
        })
        .collect();
    for thread in threads {
        thread.join().expect("a thread of the schedule");
    }
    assert_eq!(total(&keyspace, &local), ACCOUNTS as i64 * FIRST, "money was lost");
    let added = get(&keyspace, &local, "added").expect("present");
    assert_eq!(added, (THREADS * ROUNDS).to_string().into_bytes(), "an INCR was lost");
    assert!(migrations(&keyspace, &local) > 1, "the segment must migrate");
}

#[test]
fn money_moves_and_stays() {
    BANK.holds();
}

#[test]
#[should_panic]
fn a_status_that_is_read_before_the_word_is_seen() {
    BANK.breaks_under(Planted::StatusBeforeWord);
}

#[test]
#[should_panic]
fn a_commit_that_does_not_stop_a_counter_is_seen() {
    BANK.breaks_under(Planted::CommitWithoutFreeze);
}

#[test]
#[should_panic]
fn an_intent_that_is_moved_is_seen() {
    BANK.breaks_under(Planted::IntentFrozen);
}
