//! Commands over many keys.
//!
//! Up to [`WINDOW_MAX_KEYS`](super::engine::WINDOW_MAX_KEYS) keys run in one go, with the hashes of
//! the window. More run in pieces that end after [`PIECE_KEYS`] keys, after [`PIECE_BYTES`] of
//! arguments or when the replies pass the soft limit, whichever is first; so a command of a million
//! keys holds neither its worker nor memory. Every piece hashes and prefetches its own keys, a
//! window at a time. What a piece must know of the one before it is in the [`Position`].
//!
//! A command that walks the whole keyspace or computes for long is a [`Work`] of many steps, which
//! the connection keeps between its turns.

use super::context::Context;
use super::engine::{self, OUTPUT_SOFT_LIMIT, Position, WINDOW_KEYS};
use super::row::{BeginWork, Handler, KeyLoop, Keys, Outcome, Row};
use crate::resp::Args;
use crate::store::Key;
use std::fmt;

/// Keys in a piece. At 0.5 µs for a key, as measured for MSET into a growing table, a quarter of a
/// millisecond.
const PIECE_KEYS: usize = 512;

/// Bytes of arguments in a piece, as far as whole windows go: copying them takes about 0.1 ms.
const PIECE_BYTES: usize = 1024 * 1024;

/// A command under way.
pub(super) trait Work: fmt::Debug {
    /// Does a part of it that takes about a quarter of a millisecond. True when the reply has been
    /// written and nothing is left.
    fn step(&mut self, context: &mut Context<'_>) -> bool;
}

/// Runs a command whose keys, all of them, have these hashes.
pub(super) fn run_short<'a>(
    context: &mut Context<'_>,
    row: &Row,
    key_loop: &KeyLoop,
    args: &Args<'a>,
    hashes: &[u64],
) -> Outcome<'a> {
    let Some(keys) = row.keys else { return Ok(()) };
    let count = keys.count(args.len());
    (key_loop.begin)(context, args, count)?;
    let mut total = 0;
    for (number, &hash) in hashes[..count].iter().enumerate() {
        total += one(context, key_loop, args, keys.position(number), hash);
    }
    (key_loop.end)(context, total);
    Ok(())
}

/// Runs the next piece of a long command; returns where to go on: in the same command, or at the
/// start of the next one.
pub(super) fn run(context: &mut Context<'_>, args: &Args<'_>, at: Position) -> Position {
    let next = Position::at(at.command + 1);
    if let Some(Row { handler: Handler::Work(begin), .. }) = engine::find(args) {
        return if work(context, args, *begin, at) { next } else { Position { key: 1, ..at } };
    }
    let Some((key_loop, keys)) = engine::find(args).and_then(parts) else {
        return next;
    };
    let count = keys.count(args.len());
    if at.key == 0 {
        context.counts.commands += 1;
        if let Err(refusal) = (key_loop.begin)(context, args, count) {
            context.refuse(&refusal);
            return next;
        }
    }
    let mut piece = Piece { at, bytes: 0 };
    let until = count.min(at.key + PIECE_KEYS);
    while piece.at.key < until && piece.bytes < PIECE_BYTES {
        let window = until.min(piece.at.key + WINDOW_KEYS);
        piece.run_window(context, key_loop, keys, args, window);
        if context.out.len() >= OUTPUT_SOFT_LIMIT {
            break;
        }
    }
    if piece.at.key < count {
        return piece.at;
    }
    (key_loop.end)(context, piece.at.total);
    next
}

/// Begins a work, or goes on with it. True when it is done.
fn work<'a>(context: &mut Context<'_>, args: &Args<'a>, begin: BeginWork, at: Position) -> bool {
    if at.key == 0 {
        context.counts.commands += 1;
        match begin(context, args) {
            Ok(work) => context.client.work = Some(work),
            Err(refusal) => {
                context.refuse(&refusal);
                return true;
            }
        }
    }
    let Some(mut work) = context.client.work.take() else {
        return true;
    };
    let done = work.step(context);
    if !done {
        context.client.work = Some(work);
    }
    done
}

fn parts(row: &'static Row) -> Option<(&'static KeyLoop, Keys)> {
    match row.handler {
        Handler::EachKey(key_loop) => row.keys.map(|keys| (key_loop, keys)),
        _ => None,
    }
}

/// A piece under way.
struct Piece {
    at: Position,
    bytes: usize,
}

impl Piece {
    /// Handles the keys up to number `until`, at most a window of them, or fewer when the replies
    /// pass the soft limit.
    fn run_window(
        &mut self,
        context: &mut Context<'_>,
        key_loop: &KeyLoop,
        keys: Keys,
        args: &Args<'_>,
        until: usize,
    ) {
        let mut hashes = [0; WINDOW_KEYS];
        let numbers = self.at.key..until;
        for (number, slot) in numbers.clone().zip(&mut hashes) {
            let bytes = args.get(keys.position(number));
            *slot = context.state.keyspace.key(bytes).hash;
        }
        context.database.prefetch(&context.session, &hashes[..numbers.len()]);
        for (number, &hash) in numbers.zip(&hashes) {
            let position = keys.position(number);
            let end = args.len().min(position + keys.step);
            self.at.total += one(context, key_loop, args, position, hash);
            self.at.key += 1;
            self.bytes += (position..end).map(|index| args.get(index).len()).sum::<usize>();
            if context.out.len() >= OUTPUT_SOFT_LIMIT {
                return;
            }
        }
    }
}

/// Handles one key.
#[inline]
fn one(
    context: &mut Context<'_>,
    key_loop: &KeyLoop,
    args: &Args<'_>,
    index: usize,
    hash: u64,
) -> i64 {
    let added = (key_loop.each)(context, args, index, Key { bytes: args.get(index), hash });
    context.session.renew();
    added
}
