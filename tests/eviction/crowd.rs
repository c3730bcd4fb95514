//! Groups of keys, of which some go and some stay.

use super::harness::{Client, encode};
use super::target::Questions;

/// Bytes of a value: so many that what a table takes for each key hardly matters.
pub(crate) const VALUE_BYTES: usize = 1_000;

/// Keys of one name, numbered from 0, all alike.
#[derive(Clone, Copy)]
pub(crate) struct Crowd {
    pub(crate) name: &'static str,
    pub(crate) count: u64,
    /// Seconds until they expire, if they do.
    pub(crate) seconds_left: Option<u64>,
}

impl Crowd {
    pub(crate) const fn new(name: &'static str, count: u64) -> Crowd {
        Crowd { name, count, seconds_left: None }
    }

    pub(crate) const fn expiring(name: &'static str, count: u64, seconds_left: u64) -> Crowd {
        Crowd { name, count, seconds_left: Some(seconds_left) }
    }

    pub(crate) fn key(&self, number: u64) -> String {
        format!("{}:{number}", self.name)
    }

    /// A SET of one of them.
    pub(crate) fn set_one(&self, number: u64) -> Vec<u8> {
        let (key, value) = (self.key(number), vec![b'v'; VALUE_BYTES]);
        match self.seconds_left {
            None => encode(&[b"SET".as_slice(), key.as_bytes(), &value]),
            Some(seconds) => {
                let seconds = seconds.to_string();
                let words = [b"SET".as_slice(), key.as_bytes(), &value, b"EX", seconds.as_bytes()];
                encode(&words)
            }
        }
    }

    /// Sets all of them.
    pub(crate) fn fill(&self, client: &mut Client) {
        client.all(&self.commands(|number| self.set_one(number)), b"+OK");
    }

    /// Reads all of them.
    pub(crate) fn read(&self, client: &mut Client) {
        let get = |number| encode(&[b"GET".as_slice(), self.key(number).as_bytes()]);
        client.all(&self.commands(get), b"$");
    }

    fn commands(&self, command: impl FnMut(u64) -> Vec<u8>) -> Vec<Vec<u8>> {
        (0..self.count).map(command).collect()
    }

    /// How many of them are there, in thousandths. Looking does not use them.
    pub(crate) fn present(&self, client: &mut Client) -> u64 {
        const AT_ONCE: usize = 100;
        let keys: Vec<_> = (0..self.count).map(|number| self.key(number)).collect();
        let mut present = 0;
        for keys in keys.chunks(AT_ONCE) {
            let words: Vec<_> =
                std::iter::once("EXISTS").chain(keys.iter().map(String::as_str)).collect();
            let reply = String::from_utf8(client.call(&words)).expect("a number");
            present += reply[1..].trim().parse::<u64>().expect("a number");
        }
        present * 1_000 / self.count
    }
}
