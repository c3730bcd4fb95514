//! When the data was saved, and the time: LASTSAVE, SAVE, BGSAVE, TIME.
//!
//! There are no RDB files. What is to outlive the process is in the append only file, which
//! BGREWRITEAOF makes smaller; SAVE and BGSAVE say so instead of claiming a backup that is not
//! there.

use std::time::{SystemTime, UNIX_EPOCH};

use super::context::Context;
use super::refusal::Refusal;
use super::row::{Argument, Categories, Flags, Handler, Outcome, Row};
use crate::resp::Args;

/// What is asked of the clock. The answer differs from call to call.
const ASKS: Row = Row {
    flags: Flags::LOADING.and(Flags::STALE).and(Flags::FAST),
    tips: &["nondeterministic_output"],
    ..Row::BASE
};

const SAVES: Flags = Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::NO_ASYNC_LOADING);

pub(super) static ROWS: [Row; 4] = [
    Row {
        name: "time",
        since: "2.6.0",
        summary: "Returns the seconds since 1970, and the microseconds beyond them",
        handler: Handler::Plain(time),
        ..ASKS
    },
    Row {
        name: "lastsave",
        categories: Categories::ADMIN.and(Categories::DANGEROUS),
        summary: "Returns when the log was last rewritten, or else when the server was started",
        handler: Handler::Plain(lastsave),
        ..ASKS
    },
    Row {
        name: "save",
        flags: SAVES.and(Flags::NO_MULTI),
        summary: "Refused: there are no RDB files",
        handler: Handler::Plain(|_, _| Err(NO_RDB)),
        ..Row::BASE
    },
    Row {
        name: "bgsave",
        arity: -1,
        flags: SAVES,
        summary: "Refused: there are no RDB files",
        history: &[("3.2.2", "Takes `SCHEDULE`.")],
        arguments: &[Argument::word("schedule", "SCHEDULE", "3.2.2").optional()],
        handler: Handler::Plain(bgsave),
        ..Row::BASE
    },
];

const NO_RDB: Refusal<'static> = Refusal::Text(
    "ERR There are no RDB files: the data is kept in the append only file, which BGREWRITEAOF \
     rewrites",
);

fn time<'a>(context: &mut Context<'_>, _: &Args<'a>) -> Outcome<'a> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    context.out.array(2);
    context.out.bulk_integer(now.as_secs().cast_signed());
    context.out.bulk_integer(now.subsec_micros().into());
    Ok(())
}

fn lastsave<'a>(context: &mut Context<'_>, _: &Args<'a>) -> Outcome<'a> {
    let saved = context.state.persistence.saved_unix_seconds();
    context.out.integer(saved.cast_signed());
    Ok(())
}

fn bgsave<'a>(_: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    match args.len() {
        1 => Err(NO_RDB),
        2 if args.get(1).eq_ignore_ascii_case(b"schedule") => Err(NO_RDB),
        _ => Err(Refusal::Syntax),
    }
}
