//! Clients that write as much as they can, and one that watches the memory.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::harness::{Client, Random, encode};
use super::target::{Questions, Target};

const WRITERS: u64 = 4;

/// Commands that a writer sends at once: some 64 KiB of them.
const BATCH_COMMANDS: u64 = 8;

/// The least and the most bytes of a value, as powers of two.
const VALUE_BITS: (u64, u64) = (4, 16);

/// Between two looks at the memory.
const PAUSE: Duration = Duration::from_millis(5);

/// What the writers send.
#[derive(Clone, Copy)]
pub(crate) enum Mix {
    /// SETs of keys that were never there.
    New,
    /// SETs of keys drawn from so many.
    Sets(u64),
    /// APPEND, SETRANGE, INCR and SET of keys drawn from so many.
    Changes(u64),
}

/// What was seen at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) used_bytes: u64,
    /// Of these, what is not held against the bound: the log's buffers, and what a flush has taken
    /// away that is not free yet, and what a rewrite of the log has kept for its file.
    pub(crate) beside_bytes: u64,
    pub(crate) keys: u64,
    /// Of these, what waits for readers, as far as the server tells.
    pub(crate) limbo_bytes: u64,
    /// Bytes the writers had sent.
    pub(crate) sent_bytes: u64,
}

impl Sample {
    /// What is held against the bound. (The figures are not of one instant.)
    pub(crate) fn counted_bytes(&self) -> u64 {
        self.used_bytes.saturating_sub(self.beside_bytes)
    }
}

/// A value of a size whose logarithm is evenly spread.
fn value(random: &mut Random) -> Vec<u8> {
    let bits = VALUE_BITS.0 + random.below(VALUE_BITS.1 - VALUE_BITS.0);
    let length = (1 << bits) + random.below((1 << bits) + 1);
    vec![b'v'; length as usize]
}

fn command(mix: Mix, writer: u64, serial: u64, random: &mut Random) -> Vec<u8> {
    let key = match mix {
        Mix::New => format!("new:{writer}:{serial}"),
        Mix::Sets(keys) | Mix::Changes(keys) => format!("key:{}", random.below(keys)),
    };
    let what = if matches!(mix, Mix::Changes(_)) { random.below(6) } else { 0 };
    match what {
        1 | 2 => encode(&[b"APPEND".as_slice(), key.as_bytes(), &value(random)]),
        3 => {
            let offset = random.below(1 << VALUE_BITS.1).to_string();
            encode(&["SETRANGE", &key, &offset, "a few bytes"])
        }
        4 => encode(&["INCR", &format!("counter:{key}")]),
        5 => encode(&["DEL", &key]),
        _ => encode(&[b"SET".as_slice(), key.as_bytes(), &value(random)]),
    }
}

/// Runs the writers until they have sent so many bytes; `between` runs again and again meanwhile,
/// with a look at the memory after each time.
pub(crate) fn write(
    target: &Target,
    mix: Mix,
    bytes: u64,
    mut between: impl FnMut(&mut Client, &Sample) + Send,
) -> Vec<Sample> {
    let (sent, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let mut samples = Vec::new();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let sent = &sent;
                scope.spawn(move || {
                    let mut client = target.connect();
                    let mut random = Random(writer + 1);
                    let mut serial = 0;
                    // Relaxed, here and below: a figure, nothing is published through it.
                    while sent.load(Ordering::Relaxed) < bytes {
                        let commands: Vec<_> = (serial..serial + BATCH_COMMANDS)
                            .map(|serial| command(mix, writer, serial, &mut random))
                            .collect();
                        serial += BATCH_COMMANDS;
                        for reply in client.replies(&commands) {
                            assert!(!reply.starts_with(b"-"), "{}", reply.escape_ascii());
                        }
                        let total: usize = commands.iter().map(Vec::len).sum();
                        sent.fetch_add(total as u64, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let watcher = {
            let (sent, is_over) = (&sent, &is_over);
            scope.spawn(move || {
                let mut client = target.connect();
                let mut samples = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    let sample = look(&mut client, sent.load(Ordering::Relaxed));
                    between(&mut client, &sample);
                    samples.push(sample);
                    std::thread::sleep(PAUSE);
                }
                samples
            })
        };
        // A writer that has failed must not leave the watcher waiting.
        let ended: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
        is_over.store(true, Ordering::Relaxed);
        samples = watcher.join().expect("the watcher");
        assert!(ended.iter().all(Result::is_ok), "a writer failed");
    });
    samples
}

pub(crate) fn look(client: &mut Client, sent_bytes: u64) -> Sample {
    let text = client.ask("INFO");
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(|value| value.trim().parse::<u64>().expect("a number"))
    };
    // The first is Redis's, the second ours.
    let beside = ["mem_not_counted_for_evict", "mem_reaping", "mem_rewrite_images"];
    Sample {
        used_bytes: field("used_memory").expect("used_memory"),
        beside_bytes: beside.iter().filter_map(|name| field(name)).sum(),
        limbo_bytes: field("mem_limbo").unwrap_or(0),
        keys: client.keys(),
        sent_bytes,
    }
}
