//! Clients that write until the server is gone, and remember what they were told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::harness::{PATIENCE, Random, encode};
use super::history::Script;

/// Most steps that are sent before their replies are read.
const PIPELINE_MAX: u64 = 24;

/// What one client knows at the end.
pub(crate) struct Told {
    pub(crate) script: Script,
    /// The last step with a reply.
    pub(crate) acknowledged: u64,
    /// The last step that was sent.
    pub(crate) sent: u64,
    /// Counters of others, read before a step was sent: the step, whose, and how far it was.
    pub(crate) witnessed: Vec<(u64, usize, u64)>,
    /// Replies that no step can have, with the step.
    pub(crate) surprises: Vec<String>,
}

/// A connection that ends when the server does.
struct Link {
    writer: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Link {
    fn open(address: SocketAddr) -> Option<Link> {
        let writer = TcpStream::connect(address).ok()?;
        writer.set_nodelay(true).ok()?;
        writer.set_read_timeout(Some(PATIENCE)).ok()?;
        let reader = BufReader::new(writer.try_clone().ok()?);
        Some(Link { writer, reader })
    }

    fn send(&mut self, requests: &[u8]) -> Option<()> {
        self.writer.write_all(requests).ok()
    }

    /// A reply of one line, or of one bulk string, without its type for the latter; none when the
    /// server is gone.
    fn reply(&mut self) -> Option<String> {
        let mut line = String::new();
        self.reader.read_line(&mut line).ok()?;
        let line = line.strip_suffix("\r\n")?;
        let length = line.strip_prefix('$').and_then(|length| length.parse::<usize>().ok());
        let Some(length) = length else { return Some(line.to_owned()) };
        let mut value = vec![0; length + 2];
        self.reader.read_exact(&mut value).ok()?;
        value.truncate(length);
        String::from_utf8(value).ok()
    }
}

/// Works as client number `client` of `scripts` until the server is gone.
pub(crate) fn work(address: SocketAddr, scripts: &[Script], client: usize, seed: u64) -> Told {
    let script = scripts[client].clone();
    let mut told =
        Told { script, acknowledged: 0, sent: 0, witnessed: Vec::new(), surprises: Vec::new() };
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    if let Some(mut link) = Link::open(address) {
        while batch(&mut link, scripts, client, &mut told, &mut random).is_some() {}
    }
    told
}

/// Reads the counter of another client and then sends a few steps; none when the server is gone.
fn batch(
    link: &mut Link,
    scripts: &[Script],
    client: usize,
    told: &mut Told,
    random: &mut Random,
) -> Option<()> {
    if random.below(3) == 0 {
        let other = random.below(scripts.len() as u64) as usize;
        if other != client {
            link.send(&encode(&["GET", &scripts[other].counter()]))?;
            if let Ok(count) = link.reply()?.parse() {
                told.witnessed.push((told.sent, other, count));
            }
        }
    }
    let count = 1 + random.below(PIPELINE_MAX);
    let steps = told.sent + 1..=told.sent + count;
    let requests: Vec<u8> =
        steps.clone().flat_map(|step| encode(&told.script.command(step))).collect();
    // Before they are sent: a part of them may arrive although sending fails.
    told.sent += count;
    link.send(&requests)?;
    for step in steps {
        let reply = link.reply()?;
        if reply.starts_with('-') {
            told.surprises.push(format!("step {step}: {reply}"));
        }
        told.acknowledged = step;
    }
    Some(())
}
