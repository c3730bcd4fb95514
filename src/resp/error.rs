//! What can be wrong with a request stream. Each of these ends the connection.

use std::fmt;

use super::ReplyBuffer;

/// Why a stream of requests cannot be followed any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// No carriage return within the longest header line after `*`.
    MultibulkCountTooLong,
    /// The count after `*` is no canonical decimal, or above [`Limits::max_args`].
    ///
    /// [`Limits::max_args`]: super::Limits::max_args
    InvalidMultibulkLength,
    /// No carriage return within the longest header line where `$` is expected.
    BulkCountTooLong,
    /// An argument begins with this byte instead of `$`.
    ExpectedDollar(u8),
    /// A client that has not given the password announces more arguments than
    /// [`Limits::STRANGER_MAX_ARGS`].
    ///
    /// [`Limits::STRANGER_MAX_ARGS`]: super::Limits::STRANGER_MAX_ARGS
    UnauthenticatedMultibulkLength,
    /// It announces an argument longer than [`Limits::STRANGER_MAX_BULK_LEN`].
    ///
    /// [`Limits::STRANGER_MAX_BULK_LEN`]: super::Limits::STRANGER_MAX_BULK_LEN
    UnauthenticatedBulkLength,
    /// The length after `$` is no canonical decimal, negative, or above
    /// [`Limits::max_bulk_len`].
    ///
    /// [`Limits::max_bulk_len`]: super::Limits::max_bulk_len
    InvalidBulkLength,
    /// No newline within the longest inline command.
    InlineTooLong,
    /// The quotes of an inline command do not match.
    UnbalancedQuotes,
    /// One command is longer than [`Limits::max_command`]. As Redis does when a query buffer
    /// passes its limit, the connection is closed without a reply.
    ///
    /// [`Limits::max_command`]: super::Limits::max_command
    CommandTooLong,
    /// The allocator refused the buffer of a large argument.
    OutOfMemory,
}

impl ProtocolError {
    /// Encodes the error reply to send before closing: Redis's text to the byte, nothing for
    /// [`ProtocolError::CommandTooLong`].
    pub fn reply(self, out: &mut ReplyBuffer) {
        match self {
            Self::CommandTooLong => {}
            Self::OutOfMemory => out.error("ERR Out of memory"),
            Self::ExpectedDollar(byte) => {
                // The byte goes out as it came, printable or not; `error_bytes` blanks CR and LF.
                let mut text = *b"ERR Protocol error: expected '$', got '?'";
                let place = text.len() - 2;
                text[place] = byte;
                out.error_bytes(&text);
            }
            other => out.error_bytes(format!("ERR Protocol error: {other}").as_bytes()),
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::MultibulkCountTooLong => "too big mbulk count string",
            Self::InvalidMultibulkLength => "invalid multibulk length",
            Self::BulkCountTooLong => "too big bulk count string",
            Self::ExpectedDollar(byte) => {
                return write!(out, "expected '$', got '{}'", byte.escape_ascii());
            }
            Self::UnauthenticatedMultibulkLength => "unauthenticated multibulk length",
            Self::UnauthenticatedBulkLength => "unauthenticated bulk length",
            Self::InvalidBulkLength => "invalid bulk length",
            Self::InlineTooLong => "too big inline request",
            Self::UnbalancedQuotes => "unbalanced quotes in request",
            Self::CommandTooLong => "command exceeds the query buffer limit",
            Self::OutOfMemory => "out of memory for a bulk argument",
        })
    }
}

impl std::error::Error for ProtocolError {}
