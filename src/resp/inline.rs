//! Inline commands: one line of words, for people and for `telnet`.
//!
//! Words are split as Redis splits them. White space separates words. `"..."` understands
//! `\n \r \t \b \a \xHH` and takes any other escaped byte as itself; `'...'` understands only
//! `\'`. A quote may open in the middle of a word, but a closing quote must be followed by white
//! space or the end of the line. Vertical tab and form feed separate words only in front of one:
//! inside a word they belong to it.
//!
//! One difference: Redis searches the line with C string functions, so a NUL byte hides the
//! newline after it and the connection stalls. Here NUL is a byte like any other.

use super::error::ProtocolError;

/// The words of a line, quotes resolved.
///
/// # Errors
/// [`ProtocolError::UnbalancedQuotes`] when a quote is not closed as it must be.
pub fn words(line: &[u8]) -> Result<Vec<Vec<u8>>, ProtocolError> {
    let mut scratch = Vec::new();
    let mut places = Vec::new();
    split(line, &mut scratch, |start, length| places.push(start..start + length))?;
    Ok(places.into_iter().map(|place| scratch[place].to_vec()).collect())
}

/// Splits a line (without its newline) and calls `word` with each word.
pub(super) fn split(
    line: &[u8],
    scratch: &mut Vec<u8>,
    mut word: impl FnMut(usize, usize),
) -> Result<(), ProtocolError> {
    let mut rest = line;
    loop {
        while let [byte, tail @ ..] = rest
            && is_space(*byte)
        {
            rest = tail;
        }
        if rest.is_empty() {
            return Ok(());
        }
        let start = scratch.len();
        rest = unquote_word(rest, scratch).ok_or(ProtocolError::UnbalancedQuotes)?;
        word(start, scratch.len() - start);
    }
}

/// Appends the first word of `rest` to `scratch` and returns what follows it; `None` when its
/// quotes do not match.
fn unquote_word<'a>(mut rest: &'a [u8], scratch: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] | [b' ' | b'\n' | b'\r' | b'\t', ..] => return Some(rest),
            [b'"', tail @ ..] => return closed(double_quoted(tail, scratch)?),
            [b'\'', tail @ ..] => return closed(single_quoted(tail, scratch)?),
            [byte, tail @ ..] => {
                scratch.push(*byte);
                rest = tail;
            }
        }
    }
}

/// What follows a closing quote must be white space or nothing.
fn closed(rest: &[u8]) -> Option<&[u8]> {
    rest.first().is_none_or(|&byte| is_space(byte)).then_some(rest)
}

fn double_quoted<'a>(mut rest: &'a [u8], scratch: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, tail) = match rest {
            [] => return None,
            [b'"', tail @ ..] => return Some(tail),
            [b'\\', b'x', high, low, tail @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                (hex(*high) << 4 | hex(*low), tail)
            }
            [b'\\', escaped, tail @ ..] => (unescape(*escaped), tail),
            [byte, tail @ ..] => (*byte, tail),
        };
        scratch.push(byte);
        rest = tail;
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], scratch: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, tail) = match rest {
            [] => return None,
            [b'\'', tail @ ..] => return Some(tail),
            [b'\\', b'\'', tail @ ..] => (b'\'', tail),
            [byte, tail @ ..] => (*byte, tail),
        };
        scratch.push(byte);
        rest = tail;
    }
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

/// The value of a byte known to be a hexadecimal digit.
fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

/// White space of the C locale, as `isspace` sees it.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}
