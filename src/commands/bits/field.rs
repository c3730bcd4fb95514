//! The numbers BITFIELD reads and writes, and what it does when one does not fit. Pure functions.

/// Where a number is and how it is written: 1 to 64 bits in two's complement, or 1 to 63 bits
/// without a sign.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Field {
    /// Whether the highest bit is a sign.
    pub(super) signed: bool,
    /// Its width.
    pub(super) bits: u32,
    /// Its first bit, which is its highest.
    pub(super) offset: usize,
}

/// What becomes of a number that does not fit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Overflow {
    /// Its low bits are taken.
    Wrap,
    /// The nearest that fits is taken.
    Saturate,
    /// Nothing is written.
    Fail,
}

/// What to do with a field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Action {
    /// Answers its number.
    Get,
    /// Writes a number; answers the old one.
    Set(i64, Overflow),
    /// Adds to the number; answers the sum.
    Add(i64, Overflow),
}

/// One operation of BITFIELD.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Operation {
    pub(super) field: Field,
    pub(super) action: Action,
}

impl Operation {
    /// Whether it may change the value.
    pub(super) fn writes(&self) -> bool {
        self.action != Action::Get
    }

    /// Does it to `bytes`, which must reach to the end of the field if it writes; returns its
    /// answer, nothing if the number did not fit and [`Overflow::Fail`] was asked for.
    pub(super) fn run(&self, bytes: &mut [u8]) -> Option<i64> {
        let field = self.field;
        let old = field.read(bytes);
        match self.action {
            Action::Get => Some(old),
            Action::Set(number, overflow) => {
                field.write(bytes, field.sum(number, 0, overflow)?);
                Some(old)
            }
            Action::Add(amount, overflow) => {
                let sum = field.sum(old, amount, overflow)?;
                field.write(bytes, sum);
                Some(sum)
            }
        }
    }
}

/// Bytes that 64 bits may be part of, rounded up to a word.
const WINDOW_BYTES: usize = 16;
const WINDOW_BITS: u32 = WINDOW_BYTES as u32 * 8;

impl Field {
    /// The first byte that it touches.
    pub(super) fn start(self) -> usize {
        self.offset / 8
    }

    /// Bytes a value must have for the whole field to be in it.
    pub(super) fn end(self) -> usize {
        (self.offset + self.bits as usize).div_ceil(8)
    }

    /// Its number; past the end of `bytes` all bits are zeros.
    pub(super) fn read(self, bytes: &[u8]) -> i64 {
        self.wrapped((self.window(bytes) >> self.shift()) as i64)
    }

    /// Writes the low bits of `number`.
    fn write(self, bytes: &mut [u8], number: i64) {
        let kept = self.window(bytes) & !(self.mask() << self.shift());
        let window = kept | (number as u128 & self.mask()) << self.shift();
        let (start, end) = (self.offset / 8, self.end());
        bytes[start..end].copy_from_slice(&window.to_be_bytes()[..end - start]);
    }

    /// The bytes from that of the first bit on, highest first.
    fn window(self, bytes: &[u8]) -> u128 {
        let mut window = [0; WINDOW_BYTES];
        let rest = bytes.get(self.offset / 8..).unwrap_or_default();
        let length = rest.len().min(WINDOW_BYTES);
        window[..length].copy_from_slice(&rest[..length]);
        u128::from_be_bytes(window)
    }

    /// Bits of the window after the field.
    fn shift(self) -> u32 {
        WINDOW_BITS - (self.offset % 8) as u32 - self.bits
    }

    fn mask(self) -> u128 {
        (1 << self.bits) - 1
    }

    /// `number` and `amount` together as `overflow` wants it; nothing when that is to fail.
    fn sum(self, number: i64, amount: i64, overflow: Overflow) -> Option<i64> {
        let misfit = match self.signed {
            true => self.misfit(number, amount),
            false => self.misfit_unsigned(number, amount),
        };
        match (misfit, overflow) {
            (None, _) => Some(number.wrapping_add(amount)),
            (Some(_), Overflow::Wrap) => Some(self.wrapped(number.wrapping_add(amount))),
            (Some(nearest), Overflow::Saturate) => Some(nearest),
            (Some(_), Overflow::Fail) => None,
        }
    }

    /// The nearest number that fits, when the sum does not.
    fn misfit(self, number: i64, amount: i64) -> Option<i64> {
        let highest = i64::MAX >> (u64::BITS - self.bits);
        let lowest = -highest - 1;
        if self.bits == u64::BITS {
            let saturated = number.saturating_add(amount);
            return number.checked_add(amount).is_none().then_some(saturated);
        }
        // The room wraps for a number far below the lowest, which so counts as too high: what
        // Redis does, and SET i8 with the lowest number of all saturates to 127.
        if number > highest || amount > highest.wrapping_sub(number) {
            return Some(highest);
        }
        (number < lowest || amount < lowest.wrapping_sub(number)).then_some(lowest)
    }

    /// [`misfit`](Field::misfit) without a sign. A negative number to set counts as its bits.
    fn misfit_unsigned(self, number: i64, amount: i64) -> Option<i64> {
        let highest = self.mask() as i64;
        let sum = i128::from(number as u64) + i128::from(amount);
        if sum > i128::from(highest) {
            return Some(highest);
        }
        (sum < 0).then_some(0)
    }

    /// The number that the low bits stand for.
    fn wrapped(self, number: i64) -> i64 {
        let unused = u64::BITS - self.bits;
        let high = (number as u64) << unused;
        if self.signed { high as i64 >> unused } else { (high >> unused) as i64 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const fn field(signed: bool, bits: u32, offset: usize) -> Field {
        Field { signed, bits, offset }
    }

    fn any_field() -> impl Strategy<Value = Field> {
        (any::<bool>(), 1..=64u32, 0..200usize).prop_map(|(signed, bits, offset)| {
            field(signed, if signed { bits } else { bits.min(63) }, offset)
        })
    }

    fn config() -> ProptestConfig {
        ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
    }

    /// The lowest and the highest number of a field.
    fn bounds(field: Field) -> (i128, i128) {
        match field.signed {
            true => (-(1 << (field.bits - 1)), (1 << (field.bits - 1)) - 1),
            false => (0, (1 << field.bits) - 1),
        }
    }

    #[test]
    fn numbers_that_do_not_fit_are_wrapped_saturated_or_refused() {
        let byte = field(true, 8, 0);
        for (number, amount, wrapped, saturated) in
            [(127, 1, -128, 127), (-128, -1, 127, -128), (300, 0, 44, 127), (-300, 0, -44, -128)]
        {
            assert_eq!(byte.sum(number, amount, Overflow::Wrap), Some(wrapped));
            assert_eq!(byte.sum(number, amount, Overflow::Saturate), Some(saturated));
            assert_eq!(byte.sum(number, amount, Overflow::Fail), None);
        }
        let byte = field(false, 8, 0);
        for (number, amount, wrapped, saturated) in
            [(255, 1, 0, 255), (0, -1, 255, 0), (-2, 0, 254, 255), (256, 0, 0, 255)]
        {
            assert_eq!(byte.sum(number, amount, Overflow::Wrap), Some(wrapped));
            assert_eq!(byte.sum(number, amount, Overflow::Saturate), Some(saturated));
            assert_eq!(byte.sum(number, amount, Overflow::Fail), None);
        }
        assert_eq!(field(true, 64, 0).sum(i64::MAX, 1, Overflow::Wrap), Some(i64::MIN));
        assert_eq!(field(true, 64, 0).sum(i64::MIN, -1, Overflow::Saturate), Some(i64::MIN));
        assert_eq!(field(true, 8, 0).sum(i64::MIN, 0, Overflow::Saturate), Some(127));
    }

    proptest! {
        #![proptest_config(config())]

        #[test]
        fn a_field_is_its_bits_and_no_others(
            mut bytes in vec(any::<u8>(), 40),
            field in any_field(),
            number: i64,
        ) {
            let bit = |bytes: &[u8], place: usize| bytes[place / 8] << (place % 8) & 0x80 != 0;
            let before = bytes.clone();
            field.write(&mut bytes, number);
            let (start, end) = (field.offset, field.offset + field.bits as usize);
            for place in 0..bytes.len() * 8 {
                let expected = match (start..end).contains(&place) {
                    true => number >> (end - 1 - place) & 1 == 1,
                    false => bit(&before, place),
                };
                prop_assert_eq!(bit(&bytes, place), expected, "{}", place);
            }
            prop_assert_eq!(field.read(&bytes), field.wrapped(number));
            prop_assert_eq!(field.end(), end.div_ceil(8));
        }

        #[test]
        fn what_is_past_the_end_reads_as_zeros(
            bytes in vec(any::<u8>(), 0..20),
            field in any_field(),
        ) {
            let mut longer = bytes.clone();
            longer.resize(40, 0);
            prop_assert_eq!(field.read(&bytes), field.read(&longer));
        }

        #[test]
        fn sums_are_those_of_wide_numbers(field in any_field(), seed: i64, amount: i64) {
            let number = field.wrapped(seed);
            let (lowest, highest) = bounds(field);
            let sum = i128::from(number) + i128::from(amount);
            let fits = (lowest..=highest).contains(&sum);
            prop_assert_eq!(field.sum(number, amount, Overflow::Fail).is_some(), fits);
            let saturated = sum.clamp(lowest, highest) as i64;
            prop_assert_eq!(field.sum(number, amount, Overflow::Saturate), Some(saturated));
            let wrapped = field.wrapped(sum as i64);
            prop_assert_eq!(field.sum(number, amount, Overflow::Wrap), Some(wrapped));
        }
    }
}
