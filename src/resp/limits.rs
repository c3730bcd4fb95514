//! Bounds on what one client may ask for.

use super::batch::MAX_SPAN;

/// The highest limit on a command's length, so that 32 bits
/// reach every argument.
const MAX_COMMAND: usize = 1 << 31;
/// Bounds on what one client may ask for. Values beyond what the decoder can address (2 GiB) are
/// lowered to that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest bulk argument, in bytes (`proto-max-bulk-len`).
    pub max_bulk_len: usize,
    /// Most arguments of one command, its name included.
    pub max_args: usize,
    /// Longest inline command and longest header line, in bytes without its line end.
    pub max_inline: usize,
    /// Longest command in all, in bytes as sent (`client-query-buffer-limit`). Unlike Redis,
    /// large arguments count too: this bounds a connection's memory.
    pub max_command: usize,
}

impl Default for Limits {
    /// Redis's defaults: 512 MiB, [`Limits::MAX_ARGS`], 64 KiB, 1 GiB.
    fn default() -> Self {
        Self {
            max_bulk_len: 512 << 20,
            max_args: Self::MAX_ARGS,
            max_inline: 64 * 1024,
            max_command: 1 << 30,
        }
    }
}

impl Limits {
    /// The most arguments of a command, as in Redis: what a C `int` holds. Nothing grows by the
    /// count alone, so what really bounds them is the length of a command.
    pub const MAX_ARGS: usize = i32::MAX as usize;

    /// The most arguments of a client that has not given the password, as in Redis: enough for any
    /// HELLO.
    pub const STRANGER_MAX_ARGS: usize = 10;

    /// The longest argument of one, in bytes, as in Redis.
    pub const STRANGER_MAX_BULK_LEN: usize = 16 * 1024;

    /// The limits for a client that has not given the password.
    pub(super) fn for_stranger(self) -> Self {
        Self {
            max_args: self.max_args.min(Self::STRANGER_MAX_ARGS),
            max_bulk_len: self.max_bulk_len.min(Self::STRANGER_MAX_BULK_LEN),
            ..self
        }
    }

    /// The same limits, lowered to what the decoder can address.
    pub(super) fn addressable(self) -> Self {
        Self {
            max_bulk_len: self.max_bulk_len.min(MAX_SPAN),
            max_command: self.max_command.min(MAX_COMMAND),
            ..self
        }
    }
}
