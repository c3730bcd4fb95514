//! The pieces of one vectored write.

use std::io::IoSlice;

use crate::resp::ReplyBuffer;

/// Fills `slices` with the first replies, at most about `bytes_max` bytes: a single write of
/// a large value could copy as much as the socket's buffer takes and the client reads meanwhile.
/// Returns how many it filled.
pub(super) fn fill_slices<'a>(
    replies: &'a ReplyBuffer,
    slices: &mut [IoSlice<'a>],
    bytes_max: usize,
) -> usize {
    let mut filled = 0;
    let mut bytes = 0;
    for (slice, chunk) in slices.iter_mut().zip(replies.chunks()) {
        if bytes >= bytes_max {
            break;
        }
        let chunk = &chunk[..chunk.len().min(bytes_max)];
        *slice = IoSlice::new(chunk);
        filled += 1;
        bytes += chunk.len();
        if chunk.len() == bytes_max {
            break;
        }
    }
    filled
}
