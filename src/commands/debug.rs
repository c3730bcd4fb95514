//! DEBUG: what tests and those who look into a server ask for.
//!
//! It is allowed only where `enable-debug-command` says so, since it can stop the server for as
//! long as the client likes, or fill its memory. As in Redis it is one command: its subcommands are
//! in no table of their own. Those that take time are works (`debug_sleep`, `debug_populate`), all
//! others answer at once.

use super::context::{Context, with_bytes};
use super::debug_reload::Reloading;
use super::long::Work;
use super::refusal::Refusal;
use super::row::{Flags, Handler, Outcome, Row};
use super::{debug_populate, debug_protocol, debug_sleep, payload};
use crate::resp::Args;
use crate::store::{Encoding, Entry, Value};

pub(super) static ROWS: [Row; 1] = [Row {
    name: "debug",
    arity: -2,
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    summary: "Commands for tests, where the settings allow them",
    complexity: "Depends on the subcommand",
    handler: Handler::Work(debug),
    ..Row::BASE
}];

const HELP: &[&str] = &[
    "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CHANGE-REPL-ID",
    "    Gives the history of the data another name.",
    "ERROR <string>",
    "    Answers with this error.",
    "HELP",
    "    Describes the subcommands.",
    "LOADAOF",
    "    Loads the log again, in the place of the data.",
    "LOG <message>",
    "    Writes a message to the log of the server.",
    "OBJECT <key>",
    "    Shows how a key is kept.",
    "POPULATE <count> [<prefix>] [<size>]",
    "    Makes keys key:0, key:1 and so on, those that are not there; with values of this size.",
    "PROTOCOL <type>",
    "    Answers with a value of this type: string, integer, double, bignum, null, array, set,",
    "    map, attrib, push, verbatim, true, false.",
    "RELOAD",
    "    The same: the log is always as new as the data.",
    "SET-ACTIVE-EXPIRE <0|1>",
    "    Ends the search for keys past their deadline, or begins it again.",
    "SLEEP <seconds>",
    "    Answers after this time; no other command runs meanwhile.",
];

/// What a subcommand does that is done at once.
#[derive(Debug)]
struct Done;

impl Work for Done {
    fn step(&mut self, _: &mut Context<'_>) -> bool {
        true
    }
}

/// Whether this is DEBUG, and the client may not use it.
pub(super) fn is_barred(context: &Context<'_>, row: &Row) -> bool {
    let permission = context.state.config.enable_debug_command;
    std::ptr::eq(row, &ROWS[0]) && !context.client.peer.is_permitted(permission)
}

/// Refuses DEBUG to those who may not use it; other commands are let by. True if it did. As in
/// Redis this comes before all that concerns the client, be it a stranger or one that is to wait.
#[cold]
pub(super) fn refuse(context: &mut Context<'_>, row: &'static Row) -> bool {
    if !is_barred(context, row) {
        return false;
    }
    context.setbacks.reject(row);
    if let Some(queue) = &mut context.client.queue {
        queue.break_off();
    }
    context.refuse(&Refusal::Protected("DEBUG", "debug"));
    true
}

fn debug<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Result<Box<dyn Work>, Refusal<'a>> {
    match (args.get(1).to_ascii_lowercase().as_slice(), args.len()) {
        (b"sleep", 3) => return Ok(Box::new(debug_sleep::begin(args.get(2)))),
        (b"populate", 3..=5) => return Ok(Box::new(debug_populate::begin(context, args)?)),
        (b"protocol", 3) => debug_protocol::reply(context, args.get(2))?,
        (b"object", 3) => object(context, args)?,
        (b"error", 3) => return Err(Refusal::Echo(args.get(2))),
        (b"log", 3) => {
            log::warn!("DEBUG LOG: {}", args.get(2).escape_ascii());
            context.out.ok();
        }
        (b"set-active-expire", 3) => {
            let is_on = args.get(2) != b"0";
            context.state.tunables.active_expire.set(is_on.into());
            context.out.ok();
        }
        (b"change-repl-id", 2) => {
            context.state.replication_id.change();
            context.out.ok();
        }
        (b"loadaof" | b"reload", 2) => return Ok(Box::new(Reloading::default())),
        (b"help", 2) => {
            context.out.array(HELP.len());
            HELP.iter().for_each(|line| context.out.simple(line));
        }
        _ => return Err(Refusal::DebugSubcommand(args.get(1))),
    }
    Ok(Box::new(Done))
}

/// DEBUG OBJECT key.
fn object<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    let now = context.session.seconds();
    let key = context.state.keyspace.key(args.get(2));
    let described = context.database.peek(&context.session, key, |entry| describe(entry, now));
    context.out.simple(&described.ok_or(Refusal::NoSuchKey)?);
    Ok(())
}

/// What is in a payload of DUMP besides the value: its type, a version, a checksum.
const PAYLOAD_EXTRA_BYTES: usize = 1 + 2 + 8;

fn describe(entry: Entry<'_>, now_seconds: u64) -> String {
    let (address, payload) = match entry.value() {
        Value::Integer(number) => (std::ptr::null(), payload::encode_integer(number)),
        value => with_bytes(value, |bytes| (bytes.as_ptr(), payload::encode(bytes))),
    };
    let encoding = match entry.encoding() {
        Encoding::Int => "int",
        Encoding::Embedded => "embstr",
        Encoding::Raw => "raw",
    };
    let idle_seconds = entry.idle_seconds(now_seconds);
    // 24 bits, as in Redis.
    let used = now_seconds.saturating_sub(idle_seconds) & 0xff_ffff;
    format!(
        "Value at:{address:p} refcount:1 encoding:{encoding} serializedlength:{} lru:{used} \
         lru_seconds_idle:{idle_seconds}",
        payload.len().saturating_sub(PAYLOAD_EXTRA_BYTES)
    )
}
