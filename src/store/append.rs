//! APPEND: into the room behind a value where there is some, else by a copy.

use super::Session;
use crate::record::{AppendBuffer, Birth, Claim, Key, NewValue, OwnedRecord, RecordRef, Value};
use crate::sync::spin_loop;
use crate::table::{Decision, Tag};

/// Values that APPEND makes are copied into the record up to this length; longer ones get a buffer
/// that further appends grow.
const INLINE_APPEND_BYTES: usize = 128;

/// How often an APPEND looks again for the publication of another append that is ahead of it before
/// it copies the value to a buffer of its own.
const APPEND_RETRIES: u32 = 64;

/// A value would pass 512 MiB.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ValueTooLong;

/// One APPEND, over as many looks at the key as it takes.
pub(super) struct Append<'a, 'l> {
    session: &'a Session<'l>,
    key: Key<'a>,
    tail: &'a [u8],
    /// The longest value that may come of it.
    limit: usize,
    /// The deadline that the key has and keeps.
    deadline: Option<u64>,
    /// Room taken in the value's buffer at the last look, for a record not yet published.
    claim: Option<Claim>,
    retries: u32,
}

impl<'a, 'l> Append<'a, 'l> {
    pub(super) fn new(
        session: &'a Session<'l>,
        key: Key<'a>,
        tail: &'a [u8],
        limit: usize,
    ) -> Self {
        Self { session, key, tail, limit, deadline: None, claim: None, retries: 0 }
    }

    /// The last decision was carried out.
    pub(super) fn done(self) {
        if let Some(claim) = self.claim {
            claim.keep();
        }
    }

    pub(super) fn decide(
        &mut self,
        current: Option<RecordRef<'_>>,
    ) -> Decision<Result<usize, ValueTooLong>> {
        // The last look came to nothing: give its room back before anything else.
        self.claim = None;
        self.deadline = current.and_then(RecordRef::deadline);
        let Some(record) = current else {
            return self.put_new();
        };
        if self.tail.is_empty() && (record.is_edited() || record.large().is_some()) {
            // Nothing to claim: an empty claim would not be exclusive. (A value in another form
            // takes that of an edited one, as in Redis.)
            return Decision::Keep(Ok(record.value().map_or(0, |value| value.len())));
        }
        if let Some((buffer, length)) = record.large().and_then(|large| large.appendable()) {
            if length + self.tail.len() > self.limit {
                return Decision::Keep(Err(ValueTooLong));
            }
            match buffer.claim(length, self.tail) {
                Ok(claim) => return self.put_claimed(claim),
                Err(error) if error.may_pass() && self.retries < APPEND_RETRIES => {
                    self.retries += 1;
                    spin_loop();
                    return Decision::Again;
                }
                Err(_) => {}
            }
        }
        match record.settled_value() {
            None => self.put_joined(&[]),
            Some(Value::Integer(number)) => {
                self.put_joined(itoa::Buffer::new().format(number).as_bytes())
            }
            Some(Value::Bytes(bytes)) => self.put_joined(bytes),
            Some(Value::Large(large)) => self.put_joined(large.as_slice()),
        }
    }

    fn birth(&self) -> Birth<'a> {
        self.session.birth(self.key, self.deadline)
    }

    /// A key that is not there is set as SET would.
    fn put_new(&mut self) -> Decision<Result<usize, ValueTooLong>> {
        let length = self.tail.len();
        if length > INLINE_APPEND_BYTES || length > self.limit {
            return self.put_joined(&[]);
        }
        let record = OwnedRecord::new(&self.birth(), &NewValue::Copy(self.tail));
        Decision::Put(record, Tag::Whole, Ok(length))
    }

    fn put_claimed(&mut self, claim: Claim) -> Decision<Result<usize, ValueTooLong>> {
        let length = claim.length();
        let record = OwnedRecord::appendable(&self.birth(), claim.buffer(), length);
        self.claim = Some(claim);
        Decision::Put(record, Tag::Tail(self.tail.len()), Ok(length))
    }

    fn put_joined(&mut self, head: &[u8]) -> Decision<Result<usize, ValueTooLong>> {
        let length = head.len() + self.tail.len();
        if length > self.limit {
            return Decision::Keep(Err(ValueTooLong));
        }
        let (parts, birth) = ([head, self.tail], self.birth());
        let record = if length <= INLINE_APPEND_BYTES {
            OwnedRecord::inline(&birth, &parts)
        } else {
            OwnedRecord::appendable(&birth, AppendBuffer::with_parts(&parts), length)
        };
        Decision::Put(record, Tag::Tail(self.tail.len()), Ok(length))
    }
}
