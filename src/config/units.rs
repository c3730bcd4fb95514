//! Amounts of memory as Redis writes them: `100`, `64kb`, `1gb`.

/// The units, as Redis has them: `k` is a thousand, `kb` is 1,024, and so on; case does not matter.
const UNITS: [(&str, u64); 8] = [
    ("", 1),
    ("b", 1),
    ("k", 1_000),
    ("kb", 1 << 10),
    ("m", 1_000_000),
    ("mb", 1 << 20),
    ("g", 1_000_000_000),
    ("gb", 1 << 30),
];

/// Reads an amount of memory and returns it in bytes.
///
/// # Errors
/// What is wrong with the text: no number, an unknown unit, or more than this machine can address.
pub fn parse_memory(text: &str) -> Result<usize, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number
        .parse()
        .map_err(|_| "expected an amount of memory such as 1048576, 64kb or 1gb".to_owned())?;
    let (_, bytes) = UNITS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit))
        .ok_or_else(|| format!("'{unit}' is not a unit of memory: use k, kb, m, mb, g or gb"))?;
    number
        .checked_mul(*bytes)
        .and_then(|total| usize::try_from(total).ok())
        .ok_or_else(|| "more memory than can be addressed".to_owned())
}

/// The digits that Redis reads of an amount of memory at most.
const DIGITS_MAX: usize = 127;

/// Reads an amount of memory as CONFIG SET does in Redis, where no digits are none and more than 64
/// bits are the most that they hold; nothing if it is none. (Redis lets a product with its unit
/// wrap around, which cannot be what anybody wants.)
pub fn memory_of(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, unit) = text.split_at(digits);
    let known = |name: &str| name.as_bytes().eq_ignore_ascii_case(unit);
    let (_, bytes) = UNITS.iter().find(|(name, _)| known(name))?;
    let add = |sum: u64, digit: &u8| sum.saturating_mul(10).saturating_add((digit - b'0').into());
    (digits <= DIGITS_MAX).then(|| number.iter().fold(0, add).saturating_mul(*bytes))
}

#[cfg(test)]
mod tests {
    use super::{memory_of, parse_memory};

    #[test]
    fn a_setting_is_read_as_leniently_as_redis_does() {
        assert_eq!(memory_of(b"100mb"), Some(100 << 20));
        assert_eq!(memory_of(b"1K"), Some(1000));
        assert_eq!(memory_of(b""), Some(0));
        assert_eq!(memory_of(b"Kb"), Some(0));
        assert_eq!(memory_of(b"18446744073709551616"), Some(u64::MAX));
        assert_eq!(memory_of(b"99999999999gb"), Some(u64::MAX));
        for text in ["1x", "-1", "+1", " 1", "1 mb", "10%", "1.5mb", "0x10", &"0".repeat(128)] {
            assert_eq!(memory_of(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn units_are_redis_units() {
        assert_eq!(parse_memory("123"), Ok(123));
        assert_eq!(parse_memory("2k"), Ok(2_000));
        assert_eq!(parse_memory("2KB"), Ok(2_048));
        assert_eq!(parse_memory("512mb"), Ok(512 << 20));
        assert_eq!(parse_memory("1Gb"), Ok(1 << 30));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "kb", "-1", "1.5mb", "1tb", "99999999999gb", "1 mb"] {
            assert!(parse_memory(text).is_err(), "{text}");
        }
    }
}
