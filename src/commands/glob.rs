//! Glob patterns as Redis reads them: `*`, `?`, `[abc]`, `[a-z]`, `[^a]` and `\` before a character
//! that stands for itself. Source: the behaviour of Redis 7.0's KEYS and CONFIG GET, whose corner
//! cases are kept:
//!
//! * an empty text fits only the empty pattern and the pattern `*`, so not `**`;
//! * a class without an end reaches to the end of the pattern, and an empty class fits nothing;
//! * the ends of a range may come in either order, and are compared as signed bytes: 0x80 to 0xff
//!   lie below 0;
//! * where case does not matter, a range is put in order before its ends become lower case, and a
//!   character after `\` in a class matches exactly.
//!
//! After a mismatch only the last `*` is tried again, one byte further on. That is enough, since an
//! earlier one could not make the rest match any sooner, and bounds the work by the product of the
//! lengths whatever the pattern.

/// Whether ASCII letters match only themselves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    /// They do: keys.
    Sensitive,
    /// They match in either case: names of settings and commands.
    Insensitive,
}

impl Case {
    fn fold(self, byte: u8) -> u8 {
        match self {
            Case::Sensitive => byte,
            Case::Insensitive => byte.to_ascii_lowercase(),
        }
    }
}

/// Whether `pattern` matches all of `text`.
pub(super) fn matches(pattern: &[u8], text: &[u8], case: Case) -> bool {
    pattern == b"*" || matches_channel(pattern, text, case)
}

/// The same for names of channels, of which `*` leaves out the empty one.
pub(super) fn matches_channel(pattern: &[u8], text: &[u8], case: Case) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut pattern, mut text) = (pattern, text);
    // What follows the last star, and the text it has been tried on.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        if let [b'*', rest @ ..] = pattern {
            if rest.is_empty() {
                return true;
            }
            pattern = rest;
            retry = Some((rest, text));
            continue;
        }
        match (one(pattern, text.first().copied(), case), text) {
            (Step::End, []) => return true,
            (Step::Match(rest), [_, after @ ..]) => {
                pattern = rest;
                text = after;
            }
            _ => match retry {
                Some((after_star, [_, later @ ..])) => {
                    pattern = after_star;
                    text = later;
                    retry = Some((after_star, later));
                }
                _ => return false,
            },
        }
    }
}

/// What the first element of a pattern says of one byte.
enum Step<'p> {
    /// The pattern is at its end.
    End,
    /// The byte fits; the rest of the pattern.
    Match(&'p [u8]),
    /// The byte does not fit, or there is none.
    Mismatch,
}

fn one(pattern: &[u8], byte: Option<u8>, case: Case) -> Step<'_> {
    let Some(byte) = byte else {
        return if pattern.is_empty() { Step::End } else { Step::Mismatch };
    };
    let (fits, rest) = match pattern {
        [] => return Step::Mismatch,
        [b'?', rest @ ..] => (true, rest),
        [b'[', rest @ ..] => class(rest, byte, case),
        [b'\\', literal, rest @ ..] | [literal, rest @ ..] => {
            (case.fold(*literal) == case.fold(byte), rest)
        }
    };
    if fits { Step::Match(rest) } else { Step::Mismatch }
}

/// Whether `byte` is in the class whose inside `pattern` starts with, and what follows the class.
fn class(pattern: &[u8], byte: u8, case: Case) -> (bool, &[u8]) {
    let (negated, mut rest) = match pattern {
        [b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut found = false;
    loop {
        let fits;
        (fits, rest) = match rest {
            [] => break,
            [b'\\', literal, after @ ..] => (*literal == byte, after),
            [b']', after @ ..] => {
                rest = after;
                break;
            }
            [low, b'-', high, after @ ..] => (in_range(*low, *high, byte, case), after),
            [literal, after @ ..] => (case.fold(*literal) == case.fold(byte), after),
        };
        found |= fits;
    }
    (found != negated, rest)
}

fn in_range(one_end: u8, other_end: u8, byte: u8, case: Case) -> bool {
    let (one_end, other_end) = (one_end.cast_signed(), other_end.cast_signed());
    let (low, high) = (one_end.min(other_end), one_end.max(other_end));
    let folded = |signed: i8| case.fold(signed.cast_unsigned()).cast_signed();
    (folded(low)..=folded(high)).contains(&folded(byte.cast_signed()))
}

#[cfg(test)]
mod tests {
    use super::{Case, matches};

    #[test]
    fn patterns_match_as_in_redis() {
        let cases: [(&[u8], &[u8], bool); 62] = [
            (b"", b"", true),
            (b"", b"a", false),
            (b"*", b"", true),
            (b"**", b"", false),
            (b"?", b"", false),
            (b"[^a]", b"", false),
            (b"[]", b"", false),
            (b"\\", b"", false),
            (b"*", b"anything", true),
            (b"**", b"x", true),
            (b"***", b"x", true),
            (b"x**", b"x", true),
            (b"a*c", b"abc", true),
            (b"a*c", b"ac", true),
            (b"a*c", b"abcd", false),
            (b"*b*b*", b"abab", true),
            (b"*b*b*", b"aba", false),
            (b"*ab", b"aab", true),
            (b"*\0", b"a\0", true),
            (b"h?llo", b"hello", true),
            (b"h?llo", b"hllo", false),
            (b"h[ae]llo", b"hallo", true),
            (b"h[ae]llo", b"hillo", false),
            (b"h[^e]llo", b"hallo", true),
            (b"h[^e]llo", b"hello", false),
            (b"h[a-c]llo", b"hbllo", true),
            (b"h[c-a]llo", b"hbllo", true),
            (b"h[a-c]llo", b"hdllo", false),
            (b"h[\\]]llo", b"h]llo", true),
            (b"a\\*c", b"a*c", true),
            (b"a\\*c", b"abc", false),
            (b"a\\", b"a\\", true),
            (b"a\\", b"a", false),
            (b"MAX", b"max", false),
            (b"[A-Z]x", b"bx", false),
            (b"[A-Z]x", b"Bx", true),
            // Classes without an end, without contents, with odd contents.
            (b"[", b"[", false),
            (b"[", b"a", false),
            (b"[a", b"a", true),
            (b"[ab", b"b", true),
            (b"[a", b"ab", false),
            (b"[^", b"a", true),
            (b"[^", b"ab", false),
            (b"[^a", b"a", false),
            (b"[]", b"a", false),
            (b"[]a]", b"a]", false),
            (b"[^]", b"a", true),
            (b"[^]", b"^", true),
            (b"[\\", b"\\", true),
            (b"[\\]", b"]", true),
            (b"[\\]", b"\\", false),
            (b"[a-", b"-", true),
            (b"[a-]", b"-", false),
            (b"[a-]", b"^", true),
            (b"[a-]", b"_", true),
            (b"[\\a-c]", b"b", false),
            (b"[\\a-c]", b"-", true),
            (b"[-a]", b"-", true),
            (b"[--b]", b"a", true),
            // Bytes from 0x80 on lie below 0.
            (b"[a-\xff]", b"\0", true),
            (b"[a-\xff]", b"b", false),
            (b"[\x80-\xff]", b"\x90", true),
        ];
        for (pattern, text, expected) in cases {
            let found = matches(pattern, text, Case::Sensitive);
            let (pattern, text) = (pattern.escape_ascii(), text.escape_ascii());
            assert_eq!(found, expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn letters_match_in_either_case_when_asked() {
        let cases = [
            ("MAX*", "maxclients", true),
            ("max*", "MAXCLIENTS", true),
            ("\\Max", "max", true),
            ("[A-Z]x", "bX", true),
            ("[M]ax", "max", true),
            ("[\\M]ax", "max", false),
            ("[\\m]ax", "max", true),
            ("[m-M]ax", "max", true),
            ("[L-n]ax", "max", true),
            ("[Z-a]ax", "max", false),
            ("max", "mix", false),
        ];
        for (pattern, text, expected) in cases {
            let found = matches(pattern.as_bytes(), text.as_bytes(), Case::Insensitive);
            assert_eq!(found, expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let pattern = b"a*".repeat(50);
        let mut text = vec![b'a'; 5_000];
        text.push(b'b');
        let mut failing = pattern.clone();
        failing.push(b'c');
        assert!(matches(&pattern, &text, Case::Sensitive));
        assert!(!matches(&failing, &text, Case::Sensitive));
    }
}
