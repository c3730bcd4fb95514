//! Header lines (`*3`, `$12`) and where lines end.
//!
//! The usual header is short, plain and complete, and [`quick`] reads it. Everything else goes
//! the thorough way, through [`multibulk`] and [`bulk`], which decide as Redis does: canonical
//! decimals only (no sign but a minus, no leading zero, no `-0`, no space, nothing outside a
//! signed 64-bit integer), and a line ends with a carriage return and any one byte after it.

use memchr::memchr;

use super::error::ProtocolError;

/// The number of a header line, and the position after the line.
type Header = (usize, usize);

/// Digits the quick way reads at most, so that its value cannot overflow.
const QUICK_DIGITS: usize = 9;

/// Reads the number that starts at `at` and the two bytes that end its line: the value and the
/// position after the line. `None` is no verdict; it sends the caller the thorough way: the line
/// is unfinished, negative, unusually long or wrong.
#[inline(always)]
pub(super) fn quick(input: &[u8], at: usize) -> Option<Header> {
    let line = input.get(at..)?;
    let mut value = usize::from(digit(*line.first()?)?);
    let mut length = 1;
    loop {
        let byte = *line.get(length)?;
        if byte == b'\r' {
            // As in Redis, the byte after the carriage return must be there but may be any.
            return (length + 2 <= line.len()).then_some((value, at + length + 2));
        }
        if value == 0 || length == QUICK_DIGITS {
            return None;
        }
        value = value * 10 + usize::from(digit(byte)?);
        length += 1;
    }
}

/// Reads the whole first line of an array; `None` when it is unfinished. A negative count is an
/// empty array.
#[cold]
pub(super) fn multibulk(
    command: &[u8],
    scanned: &mut usize,
    max_line: usize,
) -> Result<Option<Header>, ProtocolError> {
    let end =
        find(command, b'\r', 0, *scanned, max_line).ok_or(ProtocolError::MultibulkCountTooLong)?;
    *scanned = end;
    if end + 1 >= command.len() {
        return Ok(None);
    }
    canonical(&command[1..end])
        .and_then(|count| usize::try_from(count.max(0)).ok())
        .map(|count| Some((count, end + 2)))
        .ok_or(ProtocolError::InvalidMultibulkLength)
}

/// Reads the whole header line of the argument at `at`; `None` when it is unfinished.
#[cold]
pub(super) fn bulk(
    command: &[u8],
    at: usize,
    scanned: &mut usize,
    max_line: usize,
) -> Result<Option<Header>, ProtocolError> {
    let end =
        find(command, b'\r', at, *scanned, max_line).ok_or(ProtocolError::BulkCountTooLong)?;
    *scanned = end;
    if end + 1 >= command.len() {
        return Ok(None);
    }
    // The line may be empty: then this byte is its carriage return.
    if command[at] != b'$' {
        return Err(ProtocolError::ExpectedDollar(command[at]));
    }
    canonical(&command[at + 1..end])
        .and_then(|length| usize::try_from(length).ok())
        .map(|length| Some((length, end + 2)))
        .ok_or(ProtocolError::InvalidBulkLength)
}

/// The position of `byte` in a line that begins at `at` and is known not to hold it before
/// `scanned`; the end of the input when it has not arrived; `None` when the line is too long.
pub(super) fn find(
    input: &[u8],
    byte: u8,
    at: usize,
    scanned: usize,
    max_line: usize,
) -> Option<usize> {
    let stop = input.len().min(at.saturating_add(max_line).saturating_add(1));
    let from = scanned.max(at).min(stop);
    match memchr(byte, &input[from..stop]) {
        Some(offset) => Some(from + offset),
        None if input.len().saturating_sub(at) > max_line => None,
        None => Some(input.len()),
    }
}

/// Reads a whole canonical decimal.
fn canonical(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [] => return None,
        [b'0', ..] if negative || digits.len() > 1 => return None,
        _ => {}
    }
    // Downwards, because the negative range is the larger one.
    let mut value: i64 = 0;
    for &byte in digits {
        value = value.checked_mul(10)?.checked_sub(i64::from(digit(byte)?))?;
    }
    if negative { Some(value) } else { value.checked_neg() }
}

#[inline(always)]
fn digit(byte: u8) -> Option<u8> {
    let value = byte.wrapping_sub(b'0');
    (value <= 9).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_decimals_span_the_signed_64_bit_range() {
        for value in [0, 1, 9, 10, -1, -10, 1_048_576, i64::MAX, i64::MIN] {
            assert_eq!(canonical(value.to_string().as_bytes()), Some(value));
        }
        let wrong =
            ["", "-", "+1", "01", "-0", "-01", "00", " 1", "1 ", "1a", "9223372036854775808"];
        for text in wrong {
            assert_eq!(canonical(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(canonical(b"-9223372036854775809"), None);
    }

    #[test]
    fn the_quick_way_agrees_with_the_thorough_one_or_passes() {
        for value in (0..2000).chain([99_999, 999_999_999, 1_000_000_000, i64::MAX]) {
            let text = format!("${value}\r\nrest");
            let quick = quick(text.as_bytes(), 1);
            let expected = (value < 1_000_000_000).then(|| (value as usize, text.len() - 4));
            assert_eq!(quick, expected);
        }
        for text in ["", "\r\n", "1", "12\r", "01\r\n", "-1\r\n", "1x\r\n", "x\r\n"] {
            assert_eq!(quick(text.as_bytes(), 0), None, "{text:?}");
        }
        assert_eq!(quick(b"1", 5), None);
    }

    #[test]
    fn a_line_end_is_searched_only_where_it_may_be() {
        assert_eq!(find(b"ab\rcd", b'\r', 0, 0, 10), Some(2));
        assert_eq!(find(b"ab\rcd", b'\r', 0, 3, 10), Some(5), "not before `scanned`");
        assert_eq!(find(b"ab\rcd", b'\r', 3, 0, 10), Some(5), "not before `at`");
        assert_eq!(find(b"ab\rcd", b'\r', 0, 0, 2), Some(2));
        assert_eq!(find(b"ab\rcd", b'\r', 0, 0, 1), None, "not beyond the longest line");
        assert_eq!(find(b"ab", b'\r', 9, 0, 1), Some(2), "not beyond the input");
    }
}
