//! Histories made by hand: each known anomaly is found, and none where there is none.

use super::checker::{Anomaly, Before, check, name_of, tell};
use super::history::{ABSENT, Step, Transaction, Version};

const X: u32 = 1;
const Y: u32 = 2;

fn read(key: u32, version: Version) -> Step {
    Step::Read { key, version }
}

fn list(key: u32, elements: &[Version]) -> Step {
    Step::List { key, elements: elements.into() }
}

fn append(key: u32, element: Version) -> Step {
    Step::Append { key, element }
}

/// A write that was told what it replaced.
fn replace(key: u32, after: Version, version: Version) -> Step {
    Step::Write { key, version, after, is_told: true }
}

/// A write of the only writer of its key.
fn write(key: u32, after: Version, version: Version) -> Step {
    Step::Write { key, version, after, is_told: false }
}

/// Transactions that all overlap in time.
fn together(all: &[&[Step]]) -> Vec<Transaction> {
    at_times(&all.iter().map(|steps| (0, 100, *steps)).collect::<Vec<_>>())
}

/// Transactions with their beginnings and ends.
fn at_times(all: &[(u64, u64, &[Step])]) -> Vec<Transaction> {
    let numbered = all.iter().enumerate();
    let transaction =
        |(client, (began, ended, steps)): (usize, &(u64, u64, &[Step]))| Transaction {
            client,
            began: *began,
            ended: *ended,
            is_committed: true,
            steps: steps.to_vec(),
        };
    numbered.map(transaction).collect()
}

/// The name of the only cycle in a history that has nothing else wrong.
fn only_cycle(history: &[Transaction]) -> &'static str {
    let anomalies = check(history);
    let told: Vec<_> = anomalies.iter().map(|anomaly| tell(history, anomaly)).collect();
    match &anomalies[..] {
        [Anomaly::Cycle(edges)] => name_of(edges),
        _ => panic!("{told:?}"),
    }
}

fn assert_clean(history: &[Transaction]) {
    let anomalies = check(history);
    let told: Vec<_> = anomalies.iter().map(|anomaly| tell(history, anomaly)).collect();
    assert!(told.is_empty(), "{told:?}");
}

#[test]
fn a_serial_history_is_clean() {
    assert_clean(&at_times(&[
        (0, 1, &[append(X, 1), append(X, 2), list(X, &[1, 2])]),
        (2, 3, &[list(X, &[1, 2]), append(X, 3), replace(Y, ABSENT, 7), read(Y, 7)]),
        (4, 5, &[replace(Y, 7, 8), list(X, &[1, 2, 3])]),
        (6, 7, &[read(Y, 8), replace(Y, 8, 9), replace(Y, 9, 10)]),
        (8, 9, &[read(Y, 10), list(X, &[1, 2, 3])]),
    ]));
}

#[test]
fn what_overlaps_may_take_either_order() {
    assert_clean(&at_times(&[
        (0, 10, &[append(X, 1), append(Y, 2)]),
        (5, 6, &[list(X, &[]), list(Y, &[])]),
        (7, 8, &[list(X, &[1]), list(Y, &[2])]),
    ]));
}

#[test]
fn a_transaction_that_did_not_happen_counts_for_nothing() {
    let mut history = at_times(&[
        (0, 1, &[replace(X, ABSENT, 1)]),
        (2, 3, &[read(X, 1), replace(X, 1, 2)]),
        (4, 5, &[replace(X, 1, 3)]),
    ]);
    history[1].is_committed = false;
    assert_clean(&history);
}

#[test]
fn a_dirty_write_is_found() {
    let history = together(&[
        &[append(X, 1), append(Y, 3)],
        &[append(X, 2), append(Y, 4)],
        &[list(X, &[1, 2])],
        &[list(Y, &[4, 3])],
    ]);
    assert_eq!(only_cycle(&history), "G0, dirty write");
}

#[test]
fn an_aborted_read_is_found() {
    let mut history = together(&[&[append(X, 1)], &[list(X, &[1])]]);
    history[0].is_committed = false;
    assert_eq!(check(&history), [Anomaly::AbortedRead { reader: 1, writer: 0, key: X }]);
}

#[test]
fn an_intermediate_read_is_found() {
    let history = together(&[&[append(X, 1), append(X, 2)], &[list(X, &[1])]]);
    let expected = Anomaly::IntermediateRead { reader: 1, writer: 0, key: X };
    assert!(check(&history).contains(&expected));
    let history = together(&[&[replace(X, ABSENT, 1), replace(X, 1, 2)], &[read(X, 1)]]);
    assert!(check(&history).contains(&expected));
}

#[test]
fn circular_reading_is_found() {
    let history = together(&[&[append(X, 1), list(Y, &[2])], &[append(Y, 2), list(X, &[1])]]);
    assert_eq!(only_cycle(&history), "G1c, circular reading");
}

#[test]
fn read_skew_is_found() {
    // Two keys are written at once, and only one of them is seen.
    let history =
        together(&[&[write(X, ABSENT, 1), write(Y, ABSENT, 2)], &[read(X, 1), read(Y, ABSENT)]]);
    assert_eq!(only_cycle(&history), "G-single, read skew or lost update");
}

#[test]
fn a_lost_update_is_found() {
    let history = together(&[
        &[replace(X, ABSENT, 1)],
        &[read(X, 1), replace(X, 1, 2)],
        &[read(X, 1), replace(X, 1, 3)],
    ]);
    assert_eq!(only_cycle(&history), "G2, write skew");
    // Of two increments that were told the same sum.
    let history = together(&[&[replace(X, ABSENT, 1)], &[replace(X, ABSENT, 1)]]);
    let twice = Anomaly::WrittenTwice { first: 0, second: 1, key: X, version: 1 };
    assert!(check(&history).contains(&twice));
    // Of an element that is not there later.
    let history =
        at_times(&[(0, 1, &[append(X, 1)]), (2, 3, &[append(X, 2)]), (4, 5, &[list(X, &[2])])]);
    let lost = Anomaly::Lost { writer: 0, reader: 2, key: X, version: 1 };
    assert!(check(&history).contains(&lost));
}

#[test]
fn write_skew_is_found() {
    let history = together(&[
        &[read(X, ABSENT), replace(Y, ABSENT, 2)],
        &[read(Y, ABSENT), replace(X, ABSENT, 1)],
    ]);
    assert_eq!(only_cycle(&history), "G2, write skew");
}

#[test]
fn a_long_fork_is_found() {
    let history = together(&[
        &[write(X, ABSENT, 1)],
        &[write(Y, ABSENT, 2)],
        &[read(X, 1), read(Y, ABSENT)],
        &[read(X, ABSENT), read(Y, 2)],
    ]);
    assert_eq!(only_cycle(&history), "G2, write skew");
}

#[test]
fn a_stale_read_is_found() {
    let history = at_times(&[(0, 1, &[write(X, ABSENT, 1)]), (2, 3, &[read(X, ABSENT)])]);
    assert_eq!(only_cycle(&history), "against the order of time");
    // Also where others come between.
    let history = at_times(&[
        (0, 1, &[write(X, ABSENT, 1)]),
        (2, 10, &[read(Y, ABSENT)]),
        (3, 4, &[read(Y, ABSENT)]),
        (5, 6, &[read(Y, ABSENT)]),
        (7, 8, &[read(X, ABSENT)]),
    ]);
    assert_eq!(only_cycle(&history), "against the order of time");
}

#[test]
fn lists_that_contradict_each_other_are_found() {
    let history =
        together(&[&[append(X, 1)], &[append(X, 2)], &[list(X, &[1, 2])], &[list(X, &[2])]]);
    let expected = Anomaly::Contradiction { reader: 3, other: 2, key: X };
    assert!(check(&history).contains(&expected));
}

#[test]
fn a_version_of_nobody_is_found() {
    let expected = Anomaly::Garbage { reader: 0, key: X, version: 9 };
    assert_eq!(check(&together(&[&[read(X, 9)]])), std::slice::from_ref(&expected));
    assert_eq!(check(&together(&[&[list(X, &[9])]])), [expected]);
}

#[test]
fn a_transaction_that_does_not_see_its_own_writes_is_found() {
    let expected = [Anomaly::Internal { transaction: 0, key: X }];
    assert_eq!(check(&together(&[&[replace(X, ABSENT, 1), read(X, ABSENT)]])), expected);
    assert_eq!(check(&together(&[&[append(X, 1), list(X, &[])]])), expected);
    assert_eq!(check(&together(&[&[replace(X, ABSENT, 1), replace(X, ABSENT, 2)]])), expected);
}

#[test]
fn a_cycle_names_what_its_edges_are() {
    let history =
        together(&[&[write(X, ABSENT, 1), write(Y, ABSENT, 2)], &[read(X, 1), read(Y, ABSENT)]]);
    let edges = vec![(0, 1, Before::Read(X)), (1, 0, Before::Replaced(Y))];
    assert_eq!(check(&history), [Anomaly::Cycle(edges)]);
}
