//! Two servers that are sent the same steps, and whose replies are compared.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::grammar::{Request, Step};
use super::harness::{Client, encode};
use super::rules::{Rule, agree, rule_of, sorted, strings};

/// Commands sent before their replies are read.
pub(crate) const BATCH: usize = 200;

/// Longer than the deadlines of a few milliseconds.
const PAUSE: Duration = Duration::from_millis(20);

/// Steps of one iteration with SCAN; twelve keys need far fewer, even one at a time.
const SCAN_STEPS_MAX: usize = 10_000;

/// What stands for the reply of a server that closed the connection.
const NO_REPLY: &[u8] = b"(the connection is broken)";

/// Where both listen.
#[derive(Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) redis: SocketAddr,
    pub(crate) ours: SocketAddr,
}

/// Two replies that do not agree.
pub(crate) struct Difference {
    /// The step, counted from the first of those that ran.
    pub(crate) at: usize,
    pub(crate) redis: Vec<u8>,
    pub(crate) ours: Vec<u8>,
}

/// A connection to each, in the same state.
pub(crate) struct Pair {
    redis: Client,
    ours: Client,
    /// Of redis-server, to restore serialized values in a database that no command selects.
    scratch: Client,
    /// The longest time that a batch took: what both servers can be apart.
    skew: Duration,
    /// What redis-server answered to DUMP.
    pub(crate) payloads: Vec<Vec<u8>>,
}

impl Pair {
    /// New connections in this protocol, to servers without keys.
    pub(crate) fn new(addresses: Addresses, protocol: u32) -> Pair {
        let connect = |address| {
            let mut client = Client::connect(address);
            client.call(&["HELLO", &protocol.to_string()]);
            assert_eq!(client.ask("FLUSHALL"), "+OK\r\n");
            client
        };
        let (redis, ours) = (connect(addresses.redis), connect(addresses.ours));
        let mut scratch = Client::connect(addresses.redis);
        assert_eq!(scratch.ask("SELECT 9"), "+OK\r\n");
        Pair { redis, ours, scratch, skew: Duration::from_millis(5), payloads: Vec::new() }
    }

    /// Executes the steps up to the first difference.
    pub(crate) fn run(&mut self, steps: &[Step]) -> Option<Difference> {
        let mut waiting: Vec<&Request> = Vec::new();
        for (at, step) in steps.iter().enumerate() {
            let rule = match step {
                Step::Command(request) => Some(rule_of(request)),
                Step::Pause => None,
            };
            let is_alone =
                matches!(rule, None | Some(Rule::AnyKey | Rule::WholeScan | Rule::IdleTime));
            if is_alone || waiting.len() == BATCH {
                let found = self.batch(&waiting);
                if let Some(difference) = found {
                    return Some(difference.moved_by(at - waiting.len()));
                }
                waiting.clear();
            }
            let difference = match step {
                Step::Command(request) if rule == Some(Rule::AnyKey) => self.any_key(request),
                Step::Command(request) if rule == Some(Rule::IdleTime) => self.idle_time(request),
                Step::Command(request) if rule == Some(Rule::WholeScan) => self.whole_scan(request),
                Step::Command(request) => {
                    waiting.push(request);
                    None
                }
                Step::Pause => {
                    std::thread::sleep(PAUSE);
                    None
                }
            };
            if let Some(difference) = difference {
                return Some(difference.moved_by(at));
            }
        }
        let start = steps.len() - waiting.len();
        self.batch(&waiting).map(|difference| difference.moved_by(start))
    }

    /// Sends all these to both at once, and compares.
    fn batch(&mut self, requests: &[&Request]) -> Option<Difference> {
        let began = Instant::now();
        let bytes: Vec<u8> = requests.iter().flat_map(|request| encode(request)).collect();
        let (expected, replies) = self.exchange_both(&bytes, requests.len());
        self.skew = self.skew.max(began.elapsed());
        for (at, request) in requests.iter().enumerate() {
            let (redis, ours) = (expected[at].clone(), replies[at].clone());
            let rule = rule_of(request);
            let is_dump = rule == Rule::SameValue && redis.first() == Some(&b'$');
            let agrees = match is_dump {
                _ if redis == NO_REPLY => false,
                true => self.same_value(&redis, &ours),
                false => agree(rule, &redis, &ours, self.skew),
            };
            if !agrees {
                return Some(Difference { at, redis, ours });
            }
        }
        None
    }

    fn both(&mut self, request: &[Vec<u8>]) -> (Vec<u8>, Vec<u8>) {
        let (mut redis, mut ours) = self.exchange_both(&encode(request), 1);
        (redis.remove(0), ours.remove(0))
    }

    /// Sends to both at the same time, so that their clocks show nearly the same.
    fn exchange_both(&mut self, bytes: &[u8], count: usize) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
        let (redis, ours) = (&mut self.redis, &mut self.ours);
        std::thread::scope(|scope| {
            let redis = scope.spawn(move || exchange(redis, bytes, count));
            let ours = exchange(ours, bytes, count);
            (redis.join().expect("an exchange does not panic"), ours)
        })
    }

    /// Whether redis-server restores both serialized values to the same.
    fn same_value(&mut self, redis: &[u8], ours: &[u8]) -> bool {
        let (redis_payload, our_payload) = (strings(redis), strings(ours));
        if let [payload] = redis_payload[..] {
            self.payloads.push(payload.to_vec());
        }
        let mut restored = |payload: &[&[u8]]| {
            let payload = payload.first()?;
            let restore = [b"RESTORE", &b"scratch"[..], b"0", payload, b"REPLACE"];
            let is_restored = self.scratch.call(&restore) == b"+OK\r\n";
            is_restored.then(|| self.scratch.call(&["GETDEL", "scratch"]))
        };
        redis == ours || restored(&redis_payload) == restored(&our_payload)
    }

    fn idle_time(&mut self, request: &Request) -> Option<Difference> {
        /// What redis-server answers to OBJECT REFCOUNT for the small integers that it shares.
        const SHARED: &[u8] = b":2147483647\r\n";
        let (redis, ours) = self.both(request);
        let is_shared = |pair: &mut Pair| {
            let count = [&b"OBJECT"[..], b"REFCOUNT", &request[2]];
            exchange(&mut pair.redis, &encode(&count), 1) == [SHARED]
        };
        let agrees = agree(Rule::IdleTime, &redis, &ours, self.skew)
            || agree(Rule::AnyInteger, &redis, &ours, self.skew) && is_shared(self);
        (!agrees).then_some(Difference { at: 0, redis, ours })
    }

    fn any_key(&mut self, request: &Request) -> Option<Difference> {
        let (redis, ours) = self.both(request);
        let agrees = match (&strings(&redis)[..], &strings(&ours)[..]) {
            ([one], [other]) => [one, other].into_iter().all(|key| {
                let (in_redis, in_ours) = self.both(&[b"EXISTS".to_vec(), key.to_vec()]);
                in_redis == b":1\r\n" && in_ours == b":1\r\n"
            }),
            _ => redis == ours,
        };
        (!agrees).then_some(Difference { at: 0, redis, ours })
    }

    fn whole_scan(&mut self, request: &Request) -> Option<Difference> {
        let (redis, ours) = self.both(request);
        let is_array = |reply: &[u8]| reply.first() == Some(&b'*');
        if !is_array(&redis) || !is_array(&ours) {
            return (redis != ours).then_some(Difference { at: 0, redis, ours });
        }
        if request[1] != b"0" {
            // From the middle of another iteration: each server has its own.
            return None;
        }
        let redis = scan_on(&mut self.redis, request, redis);
        let ours = scan_on(&mut self.ours, request, ours);
        (redis != ours).then_some(Difference { at: 0, redis, ours })
    }
}

impl Difference {
    fn moved_by(self, steps: usize) -> Difference {
        Difference { at: self.at + steps, ..self }
    }
}

/// Sends these commands; returns as many replies. Where the connection breaks, [`NO_REPLY`] stands
/// for each that is missing.
fn exchange(client: &mut Client, bytes: &[u8], count: usize) -> Vec<Vec<u8>> {
    let mut replies = Vec::new();
    // The client panics at a broken connection; nobody uses it further.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        client.send_while(bytes, |client| {
            for _ in 0..count {
                replies.push(client.reply());
            }
        });
    }));
    replies.resize(count, NO_REPLY.to_vec());
    replies
}

/// Follows the cursor to its end; returns all keys, sorted, each once, as one text.
fn scan_on(client: &mut Client, request: &Request, first: Vec<u8>) -> Vec<u8> {
    let mut request = request.clone();
    let mut reply = first;
    let mut keys = Vec::new();
    for _ in 0..SCAN_STEPS_MAX {
        let strings = strings(&reply);
        let Some((cursor, found)) = strings.split_first() else {
            return reply;
        };
        keys.extend(found.iter().map(|key| key.to_vec()));
        if *cursor == b"0" {
            let mut keys = sorted(keys.iter().map(Vec::as_slice).collect());
            keys.dedup();
            return keys.join(&b" "[..]);
        }
        request[1] = cursor.to_vec();
        reply = exchange(client, &encode(&request), 1).remove(0);
    }
    b"(an iteration without an end)".to_vec()
}
