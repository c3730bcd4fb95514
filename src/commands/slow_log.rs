//! The slow log: the last commands that took long, newest first.
//!
//! Behind a lock that only slow commands and SLOWLOG take. An entry is small whatever the command
//! was: of its arguments the first few are kept, of a long one the beginning. Secrets are not.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::client::Client;
use super::redact::shown_arguments;
use crate::resp::Args;
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// The most arguments of an entry (Redis's number).
const ARGUMENTS_MAX: usize = 32;

/// The most bytes of an argument (Redis's number).
const ARGUMENT_MAX_BYTES: usize = 128;

/// The log.
#[derive(Debug, Default)]
pub(super) struct SlowLog(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    newest_first: VecDeque<Entry>,
    next_id: u64,
}

/// A command that took long.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Rising, never used again.
    pub(super) id: u64,
    /// When it ended, in seconds of Unix time.
    pub(super) unix_seconds: u64,
    /// How long it took.
    pub(super) took: Duration,
    /// What it was, shortened.
    pub(super) arguments: Vec<Vec<u8>>,
    /// The client's address.
    pub(super) peer: String,
    /// The client's name.
    pub(super) name: Vec<u8>,
}

impl SlowLog {
    /// Enters a command that took so long. The log is then cut to `length_max` entries.
    pub(super) fn add(&self, client: &Client, args: &Args<'_>, took: Duration, length_max: u64) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let arguments = shortened(args);
        let (peer, name) = (client.peer.address.to_string(), client.name.clone());
        let mut entries = self.entries();
        let id = entries.next_id;
        entries.next_id += 1;
        let unix_seconds = now.as_secs();
        entries.newest_first.push_front(Entry { id, unix_seconds, took, arguments, peer, name });
        let length_max = usize::try_from(length_max).unwrap_or(usize::MAX);
        entries.newest_first.truncate(length_max);
    }

    /// The newest entries, at most `count`.
    pub(super) fn newest(&self, count: usize) -> Vec<Entry> {
        self.entries().newest_first.iter().take(count).cloned().collect()
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.entries().newest_first.len()
    }

    /// Forgets all entries.
    pub(super) fn reset(&self) {
        self.entries().newest_first.clear();
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        // A panic leaves whole entries behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The arguments of a command as an entry has them.
fn shortened(args: &Args<'_>) -> Vec<Vec<u8>> {
    let count = args.len();
    // The last place says how many more there are.
    let kept = if count > ARGUMENTS_MAX { ARGUMENTS_MAX - 1 } else { count };
    let mut shown: Vec<_> = shown_arguments(args).take(kept).map(shortened_argument).collect();
    if kept < count {
        shown.push(format!("... ({} more arguments)", count - kept).into_bytes());
    }
    shown
}

fn shortened_argument(bytes: &[u8]) -> Vec<u8> {
    match bytes.split_at_checked(ARGUMENT_MAX_BYTES) {
        Some((beginning, rest)) if !rest.is_empty() => {
            let more = format!("... ({} more bytes)", rest.len());
            [beginning, more.as_bytes()].concat()
        }
        _ => bytes.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::{Batch, Decoder, Limits};

    /// The arguments of an inline command, as an entry has them.
    fn entry(line: &str) -> Vec<String> {
        let input = format!("{line}\r\n").into_bytes();
        let mut batch = Batch::new();
        let decoded = Decoder::new(Limits::default()).decode(&input, &mut batch, 1);
        assert!(decoded.is_ok() && batch.len() == 1);
        let args = batch.args(0, &input);
        let text = |bytes| String::from_utf8(bytes).expect("text");
        shortened(&args).into_iter().map(text).collect()
    }

    #[test]
    fn long_commands_are_shortened_as_in_redis() {
        let long = format!("SET k {}", "x".repeat(200));
        assert_eq!(entry(&long)[2], format!("{}... (72 more bytes)", "x".repeat(128)));
        assert_eq!(entry(&format!("SET k {}", "x".repeat(128)))[2].len(), 128);
        let many = format!("MGET{}", " k".repeat(80));
        let shown = entry(&many);
        assert_eq!(shown.len(), 32);
        assert_eq!(shown[31], "... (50 more arguments)");
        assert_eq!(entry(&format!("MGET{}", " k".repeat(31))).len(), 32);
    }

    #[test]
    fn secrets_are_not_kept() {
        for (line, shown) in [
            ("AUTH a", "AUTH (redacted)"),
            ("auth a b", "auth (redacted) (redacted)"),
            ("hello 3 auth a b setname c", "hello 3 auth (redacted) (redacted) setname c"),
            ("HELLO 3 SETNAME auth", "HELLO 3 SETNAME auth"),
            ("config set hz 10 requirepass a", "config set hz 10 requirepass (redacted)"),
            ("CONFIG SET MasterAuth a hz 9", "CONFIG SET MasterAuth (redacted) hz 9"),
            ("CONFIG SET hz 9 masteruser a", "CONFIG SET hz 9 masteruser (redacted)"),
            ("acl setuser a >b", "acl setuser (redacted) (redacted)"),
            ("set auth a", "set auth a"),
        ] {
            assert_eq!(entry(line).join(" "), shown);
        }
    }
}
