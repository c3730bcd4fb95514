//! A replay on a server, ours or Redis, over one connection and in exact order.
//!
//! A server is bounded by bytes, so first a `maxmemory` is looked for at which it holds the wanted
//! number of keys while a stream of new ones comes in. The number is watched in the second half
//! of the replay too; when its mean is off by more than a hundredth, the bound is corrected and
//! the replay begins anew, twice at most. The closest one counts.
//!
//! One request is in flight at a time, since a SET depends on the answer to its GET; but the SET
//! travels together with the next GET, so a miss costs no round trip more.
//!
//! Redis tells idle times in whole seconds, and a replay takes a minute: its LRU is coarser here
//! than over days.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::cache::{Cache, Ending, Outcome, replay};
use crate::trace::Trace;

/// The data of a full cache, about, where the length of values allows: buffers of the server, some
/// tens of kilobytes, should not weigh much.
const DATA_BYTES: usize = 1 << 20;
const VALUE_BYTES_MIN: usize = 16;
const VALUE_BYTES_MAX: usize = 4096;

/// New keys that come in, for each key that the server is to hold, when a bound is tried.
const FILL_PER_OBJECT: usize = 3;
/// SETs sent at once in a fill: few, so that they need no large buffers.
const FILL_BATCH: usize = 16;
const FILLS_MAX: usize = 8;
/// A bound is good when the number of keys is off by this share.
const FILL_TOLERANCE: f64 = 0.003;

const REPLAYS_MAX: usize = 3;
const REPLAY_TOLERANCE: f64 = 0.01;

/// How often the number of keys is read in the second half of a replay.
const SIZES_READ: usize = 500;

/// How long to wait at most for memory to be freed, and between two looks at it.
const READINGS_MAX: usize = 200;
const READING_INTERVAL: Duration = Duration::from_millis(20);

/// The lifetime of keys under policies that evict only keys with a deadline: beyond any replay.
const DEADLINE_SECONDS: &str = "1000000";

/// How to replay.
pub(crate) struct Plan<'a> {
    /// As in `maxmemory-policy`.
    pub(crate) policy: &'a str,
    pub(crate) address: &'a str,
    pub(crate) value_bytes: Option<usize>,
}

/// Replays a trace at a mean number of keys as near to the wanted one as can be had.
pub(crate) fn measure(plan: &Plan, trace: &Trace, objects: usize) -> Result<Outcome> {
    let length = (DATA_BYTES / objects).clamp(VALUE_BYTES_MIN, VALUE_BYTES_MAX);
    let mut live = Live {
        server: Server::connect(plan.address)?,
        value: vec![b'v'; plan.value_bytes.unwrap_or(length)],
        has_deadlines: plan.policy.starts_with("volatile-"),
        waiting: None,
        requests: 0,
        half: trace.requests.len() / 2,
        sizes: Vec::new(),
    };
    let fill = (FILL_PER_OBJECT * objects).min(trace.distinct);
    let mut bound = live.find_bound(plan.policy, objects, fill)?;
    let mut closest: Option<(f64, Outcome)> = None;
    for _ in 0..REPLAYS_MAX {
        live.clear(bound.bytes)?;
        let outcome = replay(&trace.requests, &mut live);
        let missing = objects as f64 - outcome.ending.objects.unwrap_or(0.0);
        if closest.as_ref().is_none_or(|(least, _)| missing.abs() < *least) {
            closest = Some((missing.abs(), outcome));
        }
        if missing.abs() <= (REPLAY_TOLERANCE * objects as f64).max(1.0) {
            break;
        }
        bound.correct(missing);
    }
    live.server.ask(&["CONFIG", "SET", "maxmemory", "0"])?;
    live.server.ask(&["FLUSHALL"])?;
    closest.map(|(_, outcome)| outcome).ok_or_else(|| Error::other("nothing was replayed"))
}

/// A `maxmemory`.
struct Bound {
    bytes: u64,
    bytes_per_key: f64,
}

impl Bound {
    /// Makes room for so many keys more, or less.
    fn correct(&mut self, keys: f64) {
        self.bytes = self.bytes.saturating_add_signed((keys * self.bytes_per_key) as i64).max(1);
    }
}

/// A cache that is a server.
struct Live {
    server: Server,
    value: Vec<u8>,
    has_deadlines: bool,
    /// The key whose SET goes out with the next GET.
    waiting: Option<u64>,
    /// Since the cache was cleared.
    requests: usize,
    /// The number of requests after which the number of keys is watched.
    half: usize,
    /// The numbers of keys that were seen.
    sizes: Vec<u64>,
}

impl Live {
    /// Looks for a bound at which the server holds so many keys while `fill` keys come in.
    fn find_bound(&mut self, policy: &str, objects: usize, fill: usize) -> Result<Bound> {
        self.server.ask(&["CONFIG", "SET", "maxmemory-policy", policy])?;
        self.clear(0)?;
        let empty = self.server.used_bytes()?;
        self.fill(objects)?;
        let full = self.server.used_bytes()?;
        let bytes_per_key = full.saturating_sub(empty) as f64 / objects as f64;
        let mut bound = Bound { bytes: full, bytes_per_key };
        for _ in 0..FILLS_MAX {
            self.clear(bound.bytes)?;
            self.fill(fill)?;
            let missing = objects as f64 - self.server.number(&["DBSIZE"])? as f64;
            if missing.abs() <= (FILL_TOLERANCE * objects as f64).max(0.5) {
                break;
            }
            bound.correct(missing);
        }
        Ok(bound)
    }

    /// Removes all keys and sets the bound; 0 means none.
    fn clear(&mut self, bytes: u64) -> Result<()> {
        self.server.ask(&["FLUSHALL"])?;
        self.server.ask(&["CONFIG", "SET", "maxmemory", &bytes.to_string()])?;
        (self.waiting, self.requests) = (None, 0);
        self.sizes.clear();
        Ok(())
    }

    /// Sets the keys from 0, which replace one another if there are too many.
    fn fill(&mut self, keys: usize) -> Result<()> {
        for begin in (0..keys).step_by(FILL_BATCH) {
            let end = (begin + FILL_BATCH).min(keys);
            for key in begin..end {
                self.add_set(key as u64);
            }
            self.server.send()?;
            for _ in begin..end {
                self.server.receive()?;
            }
        }
        Ok(())
    }

    fn add_set(&mut self, key: u64) {
        let name = name(key);
        let mut parts = vec![b"SET", name.as_slice(), &self.value];
        if self.has_deadlines {
            parts.extend([b"EX", DEADLINE_SECONDS.as_bytes()]);
        }
        self.server.add(&parts);
    }

    fn try_request(&mut self, key: u64) -> Result<bool> {
        let set = self.waiting.take();
        if let Some(missed) = set {
            self.add_set(missed);
        }
        self.server.add(&[b"GET", &name(key)]);
        self.server.send()?;
        if set.is_some() {
            self.server.receive()?;
        }
        let is_hit = self.server.receive()? != Reply::Null;
        if !is_hit {
            self.waiting = Some(key);
        }
        self.requests += 1;
        let every = self.half.div_ceil(SIZES_READ).max(1);
        if self.requests > self.half && self.requests.is_multiple_of(every) {
            self.sizes.push(self.server.number(&["DBSIZE"])?);
        }
        Ok(is_hit)
    }

    fn try_finish(&mut self) -> Result<Ending> {
        if let Some(key) = self.waiting.take() {
            self.add_set(key);
            self.server.send()?;
            self.server.receive()?;
        }
        let mean = self.sizes.iter().sum::<u64>() as f64 / self.sizes.len().max(1) as f64;
        let alpha = self.server.field("ahe_alpha")?.and_then(|text| text.parse().ok());
        Ok(Ending { alpha, objects: Some(mean) })
    }
}

impl Cache for Live {
    // A replay with failures has no figure, so it ends.
    fn request(&mut self, key: u64) -> bool {
        self.try_request(key).expect("the server answers each request")
    }

    fn finish(&mut self) -> Ending {
        self.try_finish().expect("the server tells its state")
    }
}

/// A key's name: all are equally long.
fn name(key: u64) -> Vec<u8> {
    format!("key:{key:012}").into_bytes()
}

/// A connection.
struct Server {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
    /// What is to be sent.
    output: Vec<u8>,
}

#[derive(Debug, PartialEq)]
enum Reply {
    Null,
    Number(i64),
    Text(Vec<u8>),
}

impl Server {
    fn connect(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { reader: BufReader::new(stream.try_clone()?), stream, output: Vec::new() })
    }

    /// Adds a command to what is to be sent.
    fn add(&mut self, parts: &[&[u8]]) {
        let mut head = |kind: char, length: usize| {
            write!(self.output, "{kind}{length}\r\n").expect("a vector takes everything");
        };
        head('*', parts.len());
        for part in parts {
            write!(self.output, "${}\r\n", part.len()).expect("a vector takes everything");
            self.output.extend_from_slice(part);
            self.output.extend_from_slice(b"\r\n");
        }
    }

    fn send(&mut self) -> Result<()> {
        self.stream.write_all(&self.output)?;
        self.output.clear();
        Ok(())
    }

    fn receive(&mut self) -> Result<Reply> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line)?;
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        let Some(kind) = text.chars().next() else {
            return Err(ErrorKind::UnexpectedEof.into());
        };
        let rest = &text[kind.len_utf8()..];
        let number = || rest.parse::<i64>().map_err(|_| Error::other(format!("not RESP: {text}")));
        match kind {
            '+' => Ok(Reply::Text(rest.as_bytes().to_vec())),
            ':' => Ok(Reply::Number(number()?)),
            '$' => match usize::try_from(number()?) {
                Err(_) => Ok(Reply::Null),
                Ok(length) => {
                    let mut bytes = vec![0; length + 2];
                    self.reader.read_exact(&mut bytes)?;
                    bytes.truncate(length);
                    Ok(Reply::Text(bytes))
                }
            },
            '-' => Err(Error::other(format!("the server says {rest}"))),
            _ => Err(Error::other(format!("a reply that was not asked for: {text}"))),
        }
    }

    fn ask(&mut self, parts: &[&str]) -> Result<Reply> {
        let parts: Vec<_> = parts.iter().map(|part| part.as_bytes()).collect();
        self.add(&parts);
        self.send()?;
        self.receive()
    }

    fn number(&mut self, parts: &[&str]) -> Result<u64> {
        match self.ask(parts)? {
            Reply::Number(number) if number >= 0 => Ok(number as u64),
            other => Err(Error::other(format!("{parts:?} gives {other:?}"))),
        }
    }

    /// The server's memory, once it falls no more: what a FLUSHALL has removed may be freed later.
    fn used_bytes(&mut self) -> Result<u64> {
        let mut last = u64::MAX;
        for _ in 0..READINGS_MAX {
            let text = self.field("used_memory")?;
            let used = text.and_then(|text| text.parse().ok());
            let used = used.ok_or_else(|| Error::other("the server tells no used_memory"))?;
            if used >= last {
                return Ok(last);
            }
            last = used;
            std::thread::sleep(READING_INTERVAL);
        }
        Ok(last)
    }

    /// A field of INFO memory.
    fn field(&mut self, name: &str) -> Result<Option<String>> {
        let Reply::Text(bytes) = self.ask(&["INFO", "memory"])? else {
            return Ok(None);
        };
        let text = String::from_utf8_lossy(&bytes);
        let mut fields = text.lines().filter_map(|line| line.split_once(':'));
        Ok(fields.find(|field| field.0 == name).map(|field| field.1.to_owned()))
    }
}
