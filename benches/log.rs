//! The log: processor time of its two threads for each change, and what a change costs the thread
//! that makes it.
//!
//! Keys are set at full speed into a log in the target folder, under each policy that does not make
//! replies wait. The time of a thread is the kernel's (`/proc/self/task/*/schedstat`), so the
//! figure of the flusher holds everything: taking out, making commands, writing, napping, waking.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ferrum_kv::aof::writer::{LogHandle, LogOptions, Places};
use ferrum_kv::config::AppendFsync;
use ferrum_kv::store::{Keyspace, KeyspaceOptions, NewValue};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Keys that are set over and over.
const KEYS: u64 = 100_000;

/// Changes between two looks at the room, as many as a pipeline brings.
const BATCH: u64 = 16;

fn main() {
    let changes = if std::env::args().any(|word| word == "--test") { 50_000 } else { 3_000_000 };
    println!("policy    changes/s      value   flusher ns   syncer ns   maker ns   bytes/change");
    for policy in [AppendFsync::No, AppendFsync::EverySecond] {
        for value in [1, 50, 150, 1000] {
            run(policy, value, changes, None);
        }
        // As much as a server does: the flusher naps and wakes between.
        run(policy, 50, changes / 3, Some(300_000));
        run(policy, 50, changes / 30, Some(30_000));
    }
}

/// Sets keys, at most `rate` a second; prints what it has cost.
fn run(policy: AppendFsync, value: usize, changes: u64, rate: Option<u64>) {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench.aof");
    std::fs::write(&path, b"").expect("a file in the target folder");
    let keyspace = Keyspace::new(KeyspaceOptions::default());
    let places = Places::new(keyspace.databases() as u64);
    let options = LogOptions { path: path.clone(), length: 0, policy, places };
    let log = LogHandle::start(options, keyspace.start_log(1 << 15)).expect("the log starts");
    let value = vec![b'v'; value];
    let begin = Instant::now();
    let before = thread_nanoseconds("log");
    make(&keyspace, &value, changes, rate);
    let maker = thread_nanoseconds("log") - before;
    let elapsed = begin.elapsed();
    until_written(&log, &path);
    let (flusher, syncer) =
        (thread_nanoseconds("ferrum-aof"), thread_nanoseconds("ferrum-aof-sync"));
    log.stop(Duration::from_secs(60)).expect("the log stops");
    let bytes = std::fs::metadata(&path).expect("the log").len();
    let each = |nanoseconds: u64| nanoseconds as f64 / changes as f64;
    println!(
        "{:9} {:10.0} {:9} B {:12.1} {:11.1} {:10.1} {:14.1}",
        policy.name(),
        changes as f64 / elapsed.as_secs_f64(),
        value.len(),
        each(flusher),
        each(syncer),
        each(maker),
        each(bytes),
    );
    let _ = std::fs::remove_file(&path);
}

fn make(keyspace: &Keyspace, value: &[u8], changes: u64, rate: Option<u64>) {
    let local = keyspace.join();
    let log = keyspace.log().expect("changes are logged");
    let begin = Instant::now();
    for batch in 0..changes / BATCH {
        while !log.has_room() {
            std::thread::sleep(Duration::from_micros(50));
        }
        if let Some(rate) = rate {
            let due = Duration::from_nanos(batch * BATCH * 1_000_000_000 / rate);
            std::thread::sleep(due.saturating_sub(begin.elapsed()));
        }
        let session = local.pin();
        for number in batch * BATCH..(batch + 1) * BATCH {
            let name = format!("key:{:012}", number * 7919 % KEYS);
            let key = keyspace.key(name.as_bytes());
            keyspace.database(0).set(&session, key, NewValue::Copy(value));
        }
    }
}

/// Waits until the file has grown to what the log says it will.
fn until_written(log: &LogHandle, path: &Path) {
    let mut length = u64::MAX;
    loop {
        std::thread::sleep(Duration::from_millis(20));
        let now = std::fs::metadata(path).expect("the log").len();
        if now == length && log.status().buffered_bytes == 0 {
            return;
        }
        length = now;
    }
}

/// Processor time of the thread of this name since its start.
fn thread_nanoseconds(name: &str) -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").expect("a kernel with /proc");
    tasks
        .filter_map(Result::ok)
        .filter(|task| {
            let its = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
            its.trim() == name || (name == "log" && its.starts_with("log-"))
        })
        .filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok())
        .filter_map(|line| line.split(' ').next()?.parse::<u64>().ok())
        .sum()
}
