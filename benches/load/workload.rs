//! What the clients send.

use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::ValueEnum;

use crate::client::Client;

/// Keys of one MSET or MGET.
const MANY: usize = 10;

const VALUE: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";

/// Prepared requests; clients take one after another.
const REQUESTS: usize = 1024;

/// The key that all clients of `watch` and `counters` want.
const CONTENDED: &[u8] = b"contended";

/// A kind of traffic.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Workload {
    /// SET of one key.
    Set,
    /// GET of one key.
    Get,
    /// MSET of ten keys.
    Mset,
    /// MGET of ten keys.
    Mget,
    /// MULTI, INCR, EXPIRE, EXEC: what limits the rate of something.
    Limiter,
    /// WATCH and GET; then MULTI, SET of one more, EXEC. Again until it succeeds.
    Watch,
    /// MULTI, two INCRs of the same key, EXEC.
    Counters,
}

/// What one client did.
#[derive(Default)]
pub(crate) struct Outcome {
    /// Commands, or transactions that succeeded.
    pub(crate) done: u64,
    /// EXECs that were answered with nothing.
    pub(crate) aborts: u64,
    /// From the first byte sent to the last reply: of each write, or of each transaction with all
    /// its attempts.
    pub(crate) times: Vec<Duration>,
}

/// A request of several commands, and how many replies it has.
pub(crate) struct Request {
    bytes: Vec<u8>,
    replies: usize,
    /// What counts as done with it.
    operations: u64,
}

impl Workload {
    /// Requests of `pipeline` operations each, on keys drawn anew each time.
    pub(crate) fn requests(self, pipeline: usize, keys: usize) -> Rc<[Request]> {
        // The same keys in each run.
        let mut random = fastrand::Rng::with_seed(1);
        (0..REQUESTS)
            .map(|_| {
                let mut request =
                    Request { bytes: Vec::new(), replies: 0, operations: pipeline as u64 };
                for _ in 0..pipeline {
                    self.append(&mut request, || random.usize(..keys));
                }
                request
            })
            .collect()
    }

    /// One operation more.
    fn append(self, request: &mut Request, mut number: impl FnMut() -> usize) {
        // As the script fills them; counters are keys of their own.
        let mut key = || format!("key:{:012}", number());
        match self {
            Workload::Set => request.command(&[b"SET", key().as_bytes(), VALUE]),
            Workload::Get => request.command(&[b"GET", key().as_bytes()]),
            Workload::Mset | Workload::Mget => {
                let keys: Vec<String> = (0..MANY).map(|_| key()).collect();
                let mut words: Vec<&[u8]> = Vec::with_capacity(2 * MANY + 1);
                let sets = matches!(self, Workload::Mset);
                words.push(if sets { b"MSET" } else { b"MGET" });
                for key in &keys {
                    words.push(key.as_bytes());
                    words.extend(sets.then_some(&VALUE[..]));
                }
                request.command(&words);
            }
            Workload::Limiter => {
                let key = format!("calls:{:010}", number());
                request.command(&[b"MULTI"]);
                request.command(&[b"INCR", key.as_bytes()]);
                request.command(&[b"EXPIRE", key.as_bytes(), b"60"]);
                request.command(&[b"EXEC"]);
            }
            Workload::Counters => {
                request.command(&[b"MULTI"]);
                request.command(&[b"INCR", CONTENDED]);
                request.command(&[b"INCR", CONTENDED]);
                request.command(&[b"EXEC"]);
            }
            // What it sends depends on what it reads.
            Workload::Watch => {}
        }
    }

    /// Drives one client until the time is over.
    pub(crate) async fn run(
        self,
        mut client: Client,
        requests: &[Request],
        end: Instant,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let mut next = fastrand::usize(..requests.len());
        loop {
            let begin = Instant::now();
            if begin >= end {
                return outcome;
            }
            if let Workload::Watch = self {
                outcome.aborts += add_watched(&mut client).await;
                outcome.done += 1;
            } else {
                let request = &requests[next];
                client.ask(&request.bytes, request.replies).await;
                outcome.done += request.operations;
                next = (next + 1) % requests.len();
            }
            outcome.times.push(begin.elapsed());
        }
    }
}

impl Request {
    fn command(&mut self, words: &[&[u8]]) {
        self.bytes.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
        for word in words {
            self.bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            self.bytes.extend_from_slice(word);
            self.bytes.extend_from_slice(b"\r\n");
        }
        self.replies += 1;
    }
}

/// Adds one to the key as clients do that do not know INCR; returns the attempts that failed.
async fn add_watched(client: &mut Client) -> u64 {
    let mut look = Request { bytes: Vec::new(), replies: 0, operations: 1 };
    look.command(&[b"WATCH", CONTENDED]);
    look.command(&[b"GET", CONTENDED]);
    for aborts in 0.. {
        let replies = client.ask(&look.bytes, look.replies).await;
        let value = replies.split(|&byte| byte == b'\n').nth(2).unwrap_or_default();
        let value: u64 = match std::str::from_utf8(value).unwrap_or_default().trim_end() {
            "" => 0, // there is no such key yet
            digits => digits.parse().expect("a number"),
        };
        let mut change = Request { bytes: Vec::new(), replies: 0, operations: 1 };
        change.command(&[b"MULTI"]);
        change.command(&[b"SET", CONTENDED, (value + 1).to_string().as_bytes()]);
        change.command(&[b"EXEC"]);
        let replies = client.ask(&change.bytes, change.replies).await;
        if replies.ends_with(b"+OK\r\n") {
            return aborts;
        }
        assert!(replies.ends_with(b"-1\r\n"), "{:?}", String::from_utf8_lossy(replies));
    }
    unreachable!("it goes on until it succeeds")
}
