//! The log on disk: RESP commands in the order in which they took effect, in one plain file that
//! redis-server accepts.
//!
//! * `format` knows one command in a buffer; [`Reader`] goes through a file, a [`Chunk`] at a time,
//!   and tells a torn end from corruption.
//! * [`open()`] is the start of a server: it resolves a manifest of Redis's, takes the [`Lock`],
//!   creates the file where there is none. [`claim`] is for a log that is turned on later.
//! * [`cut`] takes a torn end off and keeps it beside the file.
//! * `manifest` reads Redis's list of parts and joins them into one plain file.
//! * [`check()`] is the operator's view: what a log holds and whether it is whole.
//! * [`writer`] takes entries out of the ring and brings them to the disk.
//! * [`rewrite()`] writes the log anew: every key once, and what came meanwhile.
//! * [`Error`] has one variant per failure, worded for the operator.
//!
//! # The format
//!
//! ```text
//! log        = { annotation | command }
//! annotation = "#" bytes without NUL and newline, newline        at most 1,024 bytes
//! command    = "*" count CR LF, count times: "$" length CR LF bytes CR LF
//! ```
//!
//! Numbers are plain decimals: no sign, no leading zero. A command has 1 to 2^31 - 1 arguments of
//! at most 512 MiB, 2 GiB in all. The commands between MULTI and EXEC are one unit: all of them or
//! none. The log begins in database 0; SELECT changes it.
//!
//! # Torn or corrupt
//!
//! A log is *torn* when its bytes are the beginning of a valid log that goes on: it ends inside a
//! command, inside an annotation, or inside a block that MULTI has begun. That is what a process or
//! a machine leaves that died while it wrote, and to cut the unfinished part off loses nothing that
//! was ever whole. NUL bytes from some place to the end count as torn as well, wherever they begin:
//! a file system that had given the file its length before its contents leaves them in a power cut.
//!
//! Everything else is *corrupt*: a byte that no valid log has in its place. To be on the safe side,
//! so is an unfinished last command whose bytes hold whole commands: the length or the count in
//! front of them is damaged more probably than someone stored a piece of a log as a value. So is a
//! name that is not one of a command that changes keys: damage can make EXEC something else.
//!
//! There are no checksums, so damage inside an argument (a bit of a value) cannot be seen, nor can
//! damage that makes one valid command another, and a damaged header of the very last command looks
//! like a torn end. A damaged length can make an argument swallow a header that follows, so the
//! fault may be found one command behind the damage.

mod check;
mod chunk;
mod durable;
mod error;
mod format;
mod lock;
mod manifest;
mod open;
mod reader;
mod repair;
mod rewrite;
#[cfg(test)]
mod tests;
pub mod writer;

pub use check::{Checked, Contents, Fix, Verdict, check, examine};
pub use chunk::{Chunk, Place};
pub use error::{Corrupt, Error, Reason};
pub use lock::Lock;
pub use manifest::Joined;
pub use open::{Opened, claim, open};
pub use reader::{End, Known, Reader, Step, Torn, TornPart};
pub use repair::{Cut, cut};
pub use rewrite::{Rewritten, rewrite};
