//! DEBUG POPULATE: many keys at once, for tests of a full server.
//!
//! The keys are made in steps, between which the worker serves its other clients. Unlike in Redis
//! they are logged as all changes are: what a client can read is in the log.

use super::admission;
use super::context::Context;
use super::long::Work;
use super::progress::Awaited;
use super::refusal::Refusal;
use crate::record::parse_canonical;
use crate::resp::Args;
use crate::store::NewValue;

/// Keys of one step: about 0.1 ms, and fewer log entries than a window of commands may make.
const STEP_KEYS: u64 = 256;

/// Bytes of values after which a step ends, so that large values do not make it long.
const STEP_BYTES: usize = 256 * 1024;

/// Keys on their way.
#[derive(Debug)]
pub(super) struct Populating {
    /// The number of the next one.
    next: u64,
    count: u64,
    prefix: Vec<u8>,
    /// The size of the values in bytes; their texts' own when 0.
    size: usize,
    /// Whether the log had no room.
    is_blocked: bool,
    in_block: bool,
}

/// `DEBUG POPULATE count [prefix] [size]`.
pub(super) fn begin<'a>(context: &Context<'_>, args: &Args<'a>) -> Result<Populating, Refusal<'a>> {
    let positive = |index| {
        let number = parse_canonical(args.get(index)).and_then(|number| u64::try_from(number).ok());
        number.ok_or(Refusal::Text("ERR value is out of range, must be positive"))
    };
    let count = positive(2)?;
    let prefix = if args.len() > 3 { args.get(3) } else { b"key" };
    let size = if args.len() > 4 { positive(4)? } else { 0 };
    let size = usize::try_from(size).ok().filter(|&size| size <= context.value_limit());
    let size = size.ok_or(Refusal::ValueTooLong)?;
    let prefix = prefix.to_vec();
    Ok(Populating { next: 0, count, prefix, size, is_blocked: false, in_block: false })
}

impl Populating {
    /// Makes the next key, unless it is there; returns the bytes of its value.
    fn make_next(&mut self, context: &Context<'_>, value: &mut Vec<u8>) -> usize {
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(self.next).as_bytes();
        let name = [&self.prefix, &b":"[..], digits].concat();
        value.clear();
        value.extend_from_slice(b"value:");
        value.extend_from_slice(digits);
        if self.size > 0 {
            // Cut off or filled up with NULs.
            value.resize(self.size, 0);
        }
        let key = context.state.keyspace.key(&name);
        context.database.set_if_absent(&context.session, key, NewValue::Copy(value));
        self.next += 1;
        value.len()
    }
}

impl Work for Populating {
    fn step(&mut self, context: &mut Context<'_>) -> bool {
        if self.in_block {
            // One EXEC of so many changes would not fit into the log's ring.
            context.refuse(&Refusal::Text("ERR DEBUG POPULATE is not possible inside MULTI"));
            return true;
        }
        if context.state.persistence.is_loading() {
            context.refuse(&Refusal::Loading);
            return true;
        }
        if let Some(text) = context.state.persistence.refusal() {
            context.refuse(&Refusal::Log(text));
            return true;
        }
        self.is_blocked = !admission::has_room(context.state);
        if self.is_blocked {
            return false;
        }
        let end = self.count.min(self.next.saturating_add(STEP_KEYS));
        let (mut value, mut bytes) = (Vec::new(), 0);
        while self.next < end && bytes < STEP_BYTES {
            bytes += self.make_next(context, &mut value);
            context.session.renew();
        }
        let is_done = self.next >= self.count;
        if is_done {
            context.out.ok();
        }
        is_done
    }

    fn awaits(&self) -> Option<Awaited> {
        self.is_blocked.then_some(Awaited::Room)
    }

    fn hurry(&mut self) {
        self.in_block = true;
    }
}
