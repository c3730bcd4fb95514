//! Commands that do the same to each of their keys: MGET, MSET, DEL, EXISTS and their like.
//!
//! With one key they are like any other command. With several they are one transaction, and with
//! any number they run in one go, as in Redis: who sends a million keys holds the worker while they
//! are handled, and the memory of the reply.

use super::atomic::{atomically, atomically_read};
use super::context::Context;
use super::row::{KeyLoop, Keys, Outcome};
use super::windows::WINDOW_KEYS;
use crate::resp::Args;
use crate::store::Key;

/// Runs the command. `hashes` are those of all its keys, which have been brought near, or none.
pub(super) fn run<'a>(
    context: &mut Context<'_>,
    keys: Keys,
    key_loop: &KeyLoop,
    only_reads: bool,
    args: &Args<'a>,
    hashes: &[u64],
) -> Outcome<'a> {
    let count = keys.count(args.len());
    let each = Each { keys, key_loop, args, count };
    match count {
        0 | 1 => each.run(context, hashes),
        _ if only_reads => atomically_read(context, |context| each.run(context, hashes)),
        _ => atomically(context, |context| each.run(context, hashes)),
    }
}

/// A command under way.
struct Each<'l, 'a> {
    keys: Keys,
    key_loop: &'l KeyLoop,
    args: &'l Args<'a>,
    count: usize,
}

impl<'a> Each<'_, 'a> {
    fn run(&self, context: &mut Context<'_>, hashes: &[u64]) -> Outcome<'a> {
        (self.key_loop.begin)(context, self.args, self.count)?;
        let total = match hashes.is_empty() {
            true => self.run_windows(context),
            false => self.run_some(context, 0, hashes),
        };
        (self.key_loop.end)(context, total);
        Ok(())
    }

    /// Handles all keys, a window of them at a time, which it hashes and brings near.
    fn run_windows(&self, context: &mut Context<'_>) -> i64 {
        let mut total = 0;
        let mut hashes = [0; WINDOW_KEYS];
        for first in (0..self.count).step_by(WINDOW_KEYS) {
            let numbers = first..self.count.min(first + WINDOW_KEYS);
            let hashes = &mut hashes[..numbers.len()];
            for (number, hash) in numbers.zip(hashes.iter_mut()) {
                let bytes = self.args.get(self.keys.position(number));
                *hash = context.state.keyspace.key(bytes).hash;
            }
            context.database.prefetch(&context.session, hashes);
            total += self.run_some(context, first, hashes);
        }
        total
    }

    /// Handles the keys from number `first` on, as many as there are hashes.
    fn run_some(&self, context: &mut Context<'_>, first: usize, hashes: &[u64]) -> i64 {
        let mut total = 0;
        for (number, &hash) in hashes.iter().enumerate() {
            let index = self.keys.position(first + number);
            let key = Key { bytes: self.args.get(index), hash };
            total += (self.key_loop.each)(context, self.args, index, key);
            context.session.renew();
        }
        total
    }
}
