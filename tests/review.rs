//! Review.
use ferrum_kv::store::{Change, Keyspace, KeyspaceOptions, NewValue, TableOptions};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

fn small() -> Keyspace {
    let table = TableOptions { segment_bits: 1, first_slots: 64 };
    Keyspace::new(KeyspaceOptions { databases: 2, table, ..KeyspaceOptions::default() })
}

/// Loses four attempts over `lock` (absent) and `busy`.
fn lose(keyspace: &Keyspace, session: &mut ferrum_kv::store::Session<'_>) {
    let db = keyspace.database(0);
    let other = keyspace.join();
    let (lock, busy, out) = (keyspace.key(b"lock"), keyspace.key(b"busy"), keyspace.key(b"out"));
    for _ in 0..4 {
        session.begin();
        assert!(!db.contains(session, lock));
        db.contains(session, busy);
        db.set(&other.pin(), busy, NewValue::Copy(b"x"));
        db.set(session, out, NewValue::Copy(b"1"));
        assert!(!session.commit());
    }
}

#[test]
fn own_protection_is_no_change() {
    let keyspace = small();
    let local = keyspace.join();
    let db = keyspace.database(0);
    let mut session = local.pin();
    let watched = db.watch(&session, keyspace.key(b"lock"));
    lose(&keyspace, &mut session);
    session.begin();
    assert!(session.is_unchanged(&keyspace, &watched), "nobody has touched it");
}

#[test]
fn a_reader_of_others_is_no_change() {
    let keyspace = small();
    let (local, second) = (keyspace.join(), keyspace.join());
    let db = keyspace.database(0);
    let mut session = local.pin();
    let mut mine = second.pin();
    let watched = db.watch(&mine, keyspace.key(b"lock"));
    lose(&keyspace, &mut session);
    session.begin();
    mine.begin();
    assert!(mine.is_unchanged(&keyspace, &watched), "nobody has touched it");
}

#[test]
fn a_reader_that_is_done_is_no_change() {
    let keyspace = small();
    let (local, second) = (keyspace.join(), keyspace.join());
    let db = keyspace.database(0);
    let mut session = local.pin();
    let mut mine = second.pin();
    let watched = db.watch(&mine, keyspace.key(b"lock"));
    lose(&keyspace, &mut session);
    session.begin();
    assert!(!db.contains(&session, keyspace.key(b"lock")));
    db.set(&session, keyspace.key(b"out"), NewValue::Copy(b"1"));
    assert!(session.commit());
    mine.begin();
    assert!(mine.is_unchanged(&keyspace, &watched), "nobody has touched it");
}

fn ends(run: impl FnOnce() + Send + 'static) {
    let (done, wait) = channel();
    thread::spawn(move || {
        run();
        let _ = done.send(());
    });
    assert!(wait.recv_timeout(Duration::from_secs(3)).is_ok(), "it goes on for ever");
}

#[test]
fn watch_of_an_expired_key_ends_while_the_log_has_no_room() {
    ends(|| {
        let keyspace = small();
        let _consumer = keyspace.start_log(64);
        let local = keyspace.join();
        let db = keyspace.database(0);
        let key = keyspace.key(b"over");
        db.change(&local.pin(), key, |_| Change::Put {
            value: NewValue::Copy(b"v"),
            deadline: Some(1),
            result: (),
        });
        while keyspace.log().unwrap().has_room() {
            db.set(&local.pin(), keyspace.key(b"fill"), NewValue::Copy(b"v"));
        }
        eprintln!("full");
        let _ = db.watch(&local.pin(), key);
    });
}

#[test]
fn blocks_of_reads_end_while_the_log_has_no_room() {
    ends(|| {
        let keyspace = small();
        let _consumer = keyspace.start_log(64);
        let local = keyspace.join();
        for _ in 0..100 {
            let session = local.pin();
            session.begin_block();
            let _ = keyspace.database(0).len(&session);
            session.end_block();
        }
    });
}

#[test]
fn many_expired_keys() {
    for count in [5_000_usize, 20_000, 50_000] {
        let keyspace = Keyspace::new(KeyspaceOptions::default());
        let local = keyspace.join();
        let db = keyspace.database(0);
        let names: Vec<_> = (0..count).map(|n| format!("key{n}")).collect();
        for name in &names {
            db.change(&local.pin(), keyspace.key(name.as_bytes()), |_| Change::Put {
                value: NewValue::Copy(b"v"),
                deadline: Some(1),
                result: (),
            });
        }
        let start = std::time::Instant::now();
        let mut session = local.pin();
        loop {
            session.begin();
            for name in &names {
                assert!(!db.remove(&session, keyspace.key(name.as_bytes())));
            }
            if session.commit() {
                break;
            }
        }
        eprintln!("EXPIRED {count} {:?}", start.elapsed());
    }
}

#[test]
fn big_patience() {
    let keyspace = Keyspace::new(KeyspaceOptions::default());
    let (local, other) = (keyspace.join(), keyspace.join());
    let db = keyspace.database(0);
    let mut session = local.pin();
    for count in [1_000_usize, 10_000] {
        let names: Vec<_> = (0..count).map(|n| format!("key{n}")).collect();
        for round in 0..20 {
            session.begin();
            if round >= 4 {
                // As if the owner were not running.
                let start = std::time::Instant::now();
                db.set(&other.pin(), keyspace.key(b"key0"), NewValue::Copy(b"x"));
                if round == 4 || round == 12 || round == 19 {
                    eprintln!("PATIENCE {count} round {round} {:?}", start.elapsed());
                }
            }
            for name in &names {
                db.contains(&session, keyspace.key(name.as_bytes()));
            }
            db.set(&other.pin(), keyspace.key(b"key1"), NewValue::Copy(b"x"));
            db.set(&session, keyspace.key(b"out"), NewValue::Copy(b"1"));
            assert!(!session.commit());
        }
        session.abandon();
    }
}
