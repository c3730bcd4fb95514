//! The wire: bytes to commands, replies to bytes.
//!
//! A connection owns one [`Decoder`], one [`Batch`] and one [`ReplyBuffer`] and goes round:
//!
//! 1. read the socket into its input buffer;
//! 2. [`Decoder::decode`] finds every complete command of the input and notes in the batch where
//!    its arguments lie: nothing is copied;
//! 3. execute the batch (arguments are slices of the same input), encoding the replies;
//! 4. clear the batch, drop the consumed bytes from the front of the input, write the replies.
//!
//! Three things keep this cheap and bounded. The decoder remembers how far it has looked into an
//! unfinished command, so a command that arrives byte by byte costs time linear in its length. A
//! bulk argument of [`LARGE_ARG`] bytes or more leaves the input for a buffer of its own, which
//! the connection fills straight from the socket and which becomes the value without another
//! copy. And whatever a client announces costs no memory before the bytes arrive: the [`Limits`]
//! bound the rest.
//!
//! The decoder and its contract are in `decode`, the quoting rules of inline commands in
//! `inline`, the argument store in `batch`, large arguments in `large`, replies in `encode` and
//! `output`.

mod batch;
mod decode;
mod encode;
mod error;
mod header;
mod inline;
mod large;
mod limits;
mod output;
#[cfg(test)]
mod tests;

pub use batch::{Args, Batch};
pub use decode::{Decoded, Decoder};
pub use encode::Protocol;
pub use error::ProtocolError;
pub use inline::words;
pub use large::{LARGE_ARG, LargeArg};
pub use limits::Limits;
pub use output::{Chunks, Mark, ReplyBuffer};
