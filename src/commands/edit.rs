//! Values changed in part, and the parts that two indexes mean: SETRANGE, GETRANGE, bitmaps.

use std::ops::Range;

use super::context::with_bytes;
use crate::store::{Change, Entry};

/// A change of the bytes of a key in a range; if they were fewer than up to its end, zeros come
/// first. `edit` is given all bytes and changes only those of the range. The key keeps its
/// deadline.
pub(super) fn edit<'v, R>(
    entry: Option<Entry<'_>>,
    range: Range<usize>,
    edit: impl FnOnce(&mut [u8]) -> R,
) -> Change<'v, R> {
    let mut bytes = match entry {
        Some(entry) => with_bytes(entry.settled(), |bytes| grown(bytes, range.end)),
        None => vec![0; range.end],
    };
    let result = edit(&mut bytes);
    let deadline = entry.and_then(Entry::deadline);
    Change::Edit { bytes: bytes.into(), from: range.start, count: range.len(), deadline, result }
}

/// A copy of `bytes`, with zeros up to `length` if they are fewer.
pub(super) fn grown(bytes: &[u8], length: usize) -> Vec<u8> {
    if length <= bytes.len() {
        return bytes.to_vec();
    }
    // Zeros fresh from the system cost nothing until they are read.
    let mut copy = vec![0; length];
    copy[..bytes.len()].copy_from_slice(bytes);
    copy
}

/// The elements from number `start` to number `end` of `total`, both included; a negative number
/// counts from the end.
pub(super) fn span(start: i64, end: i64, total: usize) -> Range<usize> {
    let total = total as i64;
    let place = |number: i64| if number < 0 { (number + total).max(0) } else { number };
    let (start, end) = (place(start), place(end).min(total - 1));
    if start > end { 0..0 } else { start as usize..end as usize + 1 }
}

/// Whether both indexes count from the end and are in the wrong order. GETRANGE and BITCOUNT find
/// nothing then, also where both lie before the first element, which [`span`] takes for the first.
pub(super) fn is_reversed(start: i64, end: i64) -> bool {
    start < 0 && end < 0 && start > end
}
