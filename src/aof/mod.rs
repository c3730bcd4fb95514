//! The log on disk: RESP commands in the order in which they took effect, in one plain file that
//! redis-server accepts.
//!
//! * [`writer`] takes entries out of the ring and brings them to the disk.

pub mod writer;
