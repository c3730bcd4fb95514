//! Times to expire, as commands give them.

use super::context::integer;
use super::refusal::Refusal;

/// How an argument says when a key expires.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Unit {
    /// Seconds, else milliseconds.
    pub(super) seconds: bool,
    /// Since 1970, else from now on.
    pub(super) absolute: bool,
}

impl Unit {
    /// Seconds from now on: EX, EXPIRE.
    pub(super) const EX: Unit = Unit { seconds: true, absolute: false };
    /// Milliseconds from now on: PX, PEXPIRE.
    pub(super) const PX: Unit = Unit { seconds: false, absolute: false };
    /// Unix time in seconds: EXAT, EXPIREAT.
    pub(super) const EXAT: Unit = Unit { seconds: true, absolute: true };
    /// Unix time in milliseconds: PXAT, PEXPIREAT.
    pub(super) const PXAT: Unit = Unit { seconds: false, absolute: true };

    /// The Unix time in milliseconds that `amount` means at the time `now`, if 64 bits hold it.
    pub(super) fn resolve(self, amount: i64, now: u64) -> Option<i64> {
        let millis = if self.seconds { amount.checked_mul(1000)? } else { amount };
        if self.absolute { Some(millis) } else { millis.checked_add(now.cast_signed()) }
    }

    /// The deadline that an option of SET or GETEX gives: positive, as Redis has it. `command` is
    /// the name in the refusal.
    pub(super) fn deadline<'a>(
        self,
        amount: &'a [u8],
        now: u64,
        command: &'static str,
    ) -> Result<u64, Refusal<'a>> {
        let amount = integer(amount)?;
        let resolved = if amount <= 0 { None } else { self.resolve(amount, now) };
        let resolved = resolved.and_then(|millis| u64::try_from(millis).ok());
        resolved.ok_or(Refusal::ExpireTime(command))
    }
}
