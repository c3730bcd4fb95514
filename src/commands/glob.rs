//! Glob patterns as Redis reads them: `*`, `?`, `[abc]`, `[a-z]`, `[^a]` and `\` before a character
//! that stands for itself. ASCII letters match in either case.
//!
//! After a mismatch only the last `*` is tried again, one byte further on. That is enough, since an
//! earlier one could not make the rest match any sooner, and bounds the work by the product of the
//! lengths whatever the pattern.

/// Whether `pattern` matches all of `text`.
pub(super) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut pattern, mut text) = (pattern, text);
    // What follows the last star, and the text it has been tried on.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        if let [b'*', rest @ ..] = pattern {
            pattern = rest;
            retry = Some((rest, text));
            continue;
        }
        match (one(pattern, text.first().copied()), text) {
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

fn one(pattern: &[u8], byte: Option<u8>) -> Step<'_> {
    let Some(byte) = byte else {
        return if pattern.is_empty() { Step::End } else { Step::Mismatch };
    };
    let byte = byte.to_ascii_lowercase();
    let (fits, rest) = match pattern {
        [] => return Step::Mismatch,
        [b'?', rest @ ..] => (true, rest),
        [b'[', rest @ ..] => class(rest, byte),
        [b'\\', literal, rest @ ..] | [literal, rest @ ..] => {
            (literal.to_ascii_lowercase() == byte, rest)
        }
    };
    if fits { Step::Match(rest) } else { Step::Mismatch }
}

/// Whether `byte` (in lower case) is in the class whose inside `pattern` starts with, and what
/// follows the class. A class without an end reaches to the end of the pattern.
fn class(pattern: &[u8], byte: u8) -> (bool, &[u8]) {
    let (negated, mut rest) = match pattern {
        [b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut found = false;
    loop {
        let (low, high);
        (low, high, rest) = match rest {
            [] => break,
            [b']', after @ ..] => {
                rest = after;
                break;
            }
            [b'\\', literal, after @ ..] => (literal, literal, after),
            [low, b'-', high, after @ ..] => (low, high, after),
            [literal, after @ ..] => (literal, literal, after),
        };
        let (low, high) = (low.to_ascii_lowercase(), high.to_ascii_lowercase());
        found |= (low.min(high)..=low.max(high)).contains(&byte);
    }
    (found != negated, rest)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_as_in_redis() {
        let cases = [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything", true),
            ("**", "x", true),
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*c", "abcd", false),
            ("*b*b*", "abab", true),
            ("*b*b*", "aba", false),
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h[ae]llo", "hallo", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-c]llo", "hbllo", true),
            ("h[c-a]llo", "hbllo", true),
            ("h[a-c]llo", "hdllo", false),
            ("h[\\]]llo", "h]llo", true),
            ("a\\*c", "a*c", true),
            ("a\\*c", "abc", false),
            ("a\\", "a\\", true),
            ("MAX*", "maxclients", true),
            ("[A-Z]x", "bX", true),
            ("[a", "a", true),
            ("?", "", false),
        ];
        for (pattern, text, expected) in cases {
            let found = matches(pattern.as_bytes(), text.as_bytes());
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
        assert!(matches(&pattern, &text));
        assert!(!matches(&failing, &text));
    }
}
