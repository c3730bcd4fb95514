//! LCS: the longest common subsequence of two values, in steps.

use super::atomic::atomically_read;
use super::context::{Context, integer, with_bytes};
use super::lcs::{Lcs, LcsError, Wanted};
use super::long::Work;
use super::refusal::Refusal;
use super::row::{Argument, ArgumentKind, Categories, Flags, Handler, Keys, Row};
use crate::resp::Args;
use crate::store::Value;
use bytes::Bytes;
use std::fmt;

/// Cells of the table that a step fills: about a quarter of a millisecond.
const STEP_CELLS: usize = 512 << 10;

pub(super) static ROWS: [Row; 1] = [Row {
    name: "lcs",
    arity: -3,
    flags: Flags::READONLY,
    categories: Categories::STRING,
    keys: Keys::pair(&["RO", "access"], &["RO", "access"]),
    group: "string",
    since: "7.0.0",
    summary: "Returns the longest common subsequence of two values",
    complexity: "O(N*M) where N and M are the lengths of the values",
    arguments: &[
        Argument::new("key1", ArgumentKind::Key),
        Argument::new("key2", ArgumentKind::Key),
        Argument::token("len", "LEN").optional(),
        Argument::token("idx", "IDX").optional(),
        Argument {
            token: Some("MINMATCHLEN"),
            ..Argument::new("min-match-len", ArgumentKind::Integer).optional()
        },
        Argument::token("withmatchlen", "WITHMATCHLEN").optional(),
    ],
    handler: Handler::Work(lcs),
    ..Row::BASE
}];

/// What the reply shows.
#[derive(Clone, Copy, Default)]
struct Options {
    length: bool,
    indexes: bool,
    match_lengths: bool,
    least: i64,
}

impl Options {
    fn parse<'a>(args: &Args<'a>) -> Result<Options, Refusal<'a>> {
        let mut options = Options::default();
        let mut index = 3;
        while index < args.len() {
            match args.get(index).to_ascii_lowercase().as_slice() {
                b"len" => options.length = true,
                b"idx" => options.indexes = true,
                b"withmatchlen" => options.match_lengths = true,
                b"minmatchlen" if index + 1 < args.len() => {
                    index += 1;
                    options.least = integer(args.get(index))?.max(0);
                }
                _ => return Err(Refusal::Syntax),
            }
            index += 1;
        }
        if options.length && options.indexes {
            return Err(Refusal::Text(
                "ERR If you want both the length and indexes, please just use IDX.",
            ));
        }
        Ok(options)
    }
}

struct Subsequence {
    /// `None` once it is finished.
    lcs: Option<Lcs>,
    options: Options,
}

impl fmt::Debug for Subsequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subsequence").finish_non_exhaustive()
    }
}

impl Work for Subsequence {
    fn step(&mut self, context: &mut Context<'_>) -> bool {
        if let Some(lcs) = &mut self.lcs
            && !lcs.step(STEP_CELLS)
        {
            return false;
        }
        let Some(answer) = self.lcs.take().map(Lcs::finish) else {
            return true;
        };
        let out = &mut *context.out;
        if self.options.length {
            out.integer(answer.length as i64);
        } else if self.options.indexes {
            let matches = answer.matches_from(self.options.least);
            out.map(2);
            out.bulk(b"matches");
            out.array(matches.clone().count());
            for it in matches {
                out.array(2 + usize::from(self.options.match_lengths));
                for start in [it.a_start, it.b_start] {
                    out.array(2);
                    out.integer(start as i64);
                    out.integer((start + it.length - 1) as i64);
                }
                if self.options.match_lengths {
                    out.integer(it.length as i64);
                }
            }
            out.bulk(b"len");
            out.integer(answer.length as i64);
        } else {
            out.bulk(&answer.subsequence);
        }
        true
    }
}

/// The value of a key, empty if it is absent.
fn read(context: &mut Context<'_>, key: &[u8]) -> Bytes {
    let key = context.state.keyspace.key(key);
    let value = context.database.get(&context.session, key, |value| match value {
        Value::Large(large) => large.to_bytes(),
        value => with_bytes(value, Bytes::copy_from_slice),
    });
    context.look_up(key, value.is_some());
    value.unwrap_or_default()
}

fn lcs<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Result<Box<dyn Work>, Refusal<'a>> {
    let [a, b] =
        atomically_read(context, |context| [1, 2].map(|index| read(context, args.get(index))));
    let options = Options::parse(args)?;
    let wanted = if options.length { Wanted::Length } else { Wanted::Alignment };
    let limit = context.state.tunables.proto_max_bulk_len_bytes.get();
    let lcs = Lcs::new(a, b, wanted, limit).map_err(|error| {
        Refusal::Text(match error {
            LcsError::TooLong => "ERR String too long for LCS",
            LcsError::OverLimit => {
                "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len"
            }
            LcsError::NoMemory => {
                "ERR Insufficient memory, failed allocating transient memory for LCS"
            }
        })
    })?;
    Ok(Box::new(Subsequence { lcs: Some(lcs), options }))
}
