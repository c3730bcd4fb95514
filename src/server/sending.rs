//! The replies of a connection on their way out: how they are handed to the socket.

use std::io::IoSlice;

use crate::resp::ReplyBuffer;

/// Bytes received and sent without waiting before the other connections get their turn. The kernel
/// copies so many in about 0.2 ms; only large values come near.
pub(super) const TURN_BYTES_MAX: usize = 1 << 20;

/// Pieces of one vectored write; a reply with more large values takes several writes.
pub(super) const SLICES_MAX: usize = 64;

/// Fills `slices` with the first replies, at most about a turn's worth of bytes: a single write of
/// a large value could copy as much as the socket's buffer takes and the client reads meanwhile.
/// Returns how many it filled.
pub(super) fn fill_slices<'a>(replies: &'a ReplyBuffer, slices: &mut [IoSlice<'a>]) -> usize {
    let mut filled = 0;
    let mut bytes = 0;
    for (slice, chunk) in slices.iter_mut().zip(replies.chunks()) {
        if bytes >= TURN_BYTES_MAX {
            break;
        }
        let chunk = &chunk[..chunk.len().min(TURN_BYTES_MAX)];
        *slice = IoSlice::new(chunk);
        filled += 1;
        bytes += chunk.len();
        if chunk.len() == TURN_BYTES_MAX {
            break;
        }
    }
    filled
}
