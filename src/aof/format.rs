//! One item of a log in a buffer: a command or an annotation.
//!
//! [`item`] reads from a place that begins an item. The buffer may end anywhere: as long as what
//! there is could be the beginning of a valid item, it is unfinished; the first byte that could not
//! is the fault. So whether a log is torn or corrupt is decided here, byte by byte.

use memchr::memchr2;

use super::error::Reason;
use crate::resp::{Batch, Limits};

/// The longest argument, in bytes: Redis's default limit, and the most that a record holds.
pub(super) const ARGUMENT_MAX_BYTES: usize = 512 << 20;

/// The most arguments of a command, its name included: what a client may send, here and to Redis.
pub(super) const ARGUMENTS_MAX: usize = Limits::MAX_ARGS;

/// The longest command, in bytes: what the spans of a batch surely reach.
const COMMAND_MAX_BYTES: usize = 1 << 31;

/// The longest annotation with its newline, in bytes: the longest that Redis writes.
const ANNOTATION_MAX_BYTES: usize = 1024;

/// A whole item, or the beginning of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// A command that ends before this place.
    Command(usize),
    /// An annotation that ends before this place.
    Annotation(usize),
    /// The buffer ends inside the item, and must be at least so long to show more of it.
    Unfinished(usize),
}

/// A byte that cannot be where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Its place in the buffer.
    pub(super) at: usize,
    /// What is wrong with it.
    pub(super) reason: Reason,
}

/// Reads the item at `start`, which is inside the buffer, and adds the arguments of a command to
/// the batch. The caller makes a command of them when the item is whole, and abandons them when it
/// is not.
#[inline]
pub(super) fn item(input: &[u8], start: usize, batch: &mut Batch) -> Result<Item, Fault> {
    match input[start] {
        b'*' => command(input, start, batch),
        b'#' => annotation(input, start),
        _ => Err(Fault { at: start, reason: Reason::NotACommand }),
    }
}

#[inline]
fn command(input: &[u8], start: usize, batch: &mut Batch) -> Result<Item, Fault> {
    let Some((count, mut at)) = number(input, start + 1, 1, ARGUMENTS_MAX, Reason::Count)? else {
        return Ok(Item::Unfinished(input.len() + 1));
    };
    for _ in 0..count {
        match input.get(at) {
            Some(b'$') => {}
            Some(_) => return Err(Fault { at, reason: Reason::NotAnArgument }),
            None => return Ok(Item::Unfinished(at + 1)),
        }
        let header = number(input, at + 1, 0, ARGUMENT_MAX_BYTES, Reason::Length)?;
        let Some((length, payload)) = header else {
            return Ok(Item::Unfinished(input.len() + 1));
        };
        let end = payload + length;
        if end - start > COMMAND_MAX_BYTES - 2 {
            return Err(Fault { at, reason: Reason::CommandTooLong });
        }
        match input.get(end..).unwrap_or_default() {
            [b'\r', b'\n', ..] => {}
            [] | [b'\r'] => return Ok(Item::Unfinished(end + 2)),
            [b'\r', ..] => return Err(Fault { at: end + 1, reason: Reason::ArgumentEnd }),
            _ => return Err(Fault { at: end, reason: Reason::ArgumentEnd }),
        }
        batch.push_argument(payload, length);
        at = end + 2;
    }
    Ok(Item::Command(at))
}

/// Reads the number at `start` and the end of its line; `None` when the buffer ends before.
#[inline(always)]
fn number(
    input: &[u8],
    start: usize,
    least: usize,
    most: usize,
    reason: Reason,
) -> Result<Option<(usize, usize)>, Fault> {
    let mut value = 0;
    let mut at = start;
    loop {
        let Some(&byte) = input.get(at) else { return Ok(None) };
        let digit = usize::from(byte.wrapping_sub(b'0'));
        if digit > 9 {
            if byte == b'\r' && at > start {
                break;
            }
            return Err(Fault { at, reason });
        }
        if at > start && value == 0 {
            return Err(Fault { at, reason });
        }
        // The most is far below what overflows.
        value = value * 10 + digit;
        if value < least || value > most {
            return Err(Fault { at, reason });
        }
        at += 1;
    }
    match input.get(at + 1) {
        Some(b'\n') => Ok(Some((value, at + 2))),
        Some(_) => Err(Fault { at: at + 1, reason }),
        None => Ok(None),
    }
}

fn annotation(input: &[u8], start: usize) -> Result<Item, Fault> {
    let line = &input[start..input.len().min(start + ANNOTATION_MAX_BYTES)];
    match memchr2(b'\n', 0, line) {
        Some(length) if line[length] == b'\n' => Ok(Item::Annotation(start + length + 1)),
        Some(length) => Err(Fault { at: start + length, reason: Reason::Annotation }),
        None if line.len() == ANNOTATION_MAX_BYTES => {
            Err(Fault { at: start + ANNOTATION_MAX_BYTES - 1, reason: Reason::Annotation })
        }
        None => Ok(Item::Unfinished(input.len() + 1)),
    }
}
