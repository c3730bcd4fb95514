//! Words as they stand in a configuration file.

/// The word as it is if it can stand for itself, else in quotes with what needs it escaped, as
/// Redis writes it.
pub fn quoted(word: &[u8]) -> Vec<u8> {
    let is_plain = |&byte: &u8| byte.is_ascii_graphic() && !b"\"'\\#".contains(&byte);
    if !word.is_empty() && word.iter().all(is_plain) {
        return word.to_vec();
    }
    let mut text = vec![b'"'];
    for &byte in word {
        match byte {
            b'"' | b'\\' => text.extend([b'\\', byte]),
            b'\n' => text.extend(b"\\n"),
            b'\r' => text.extend(b"\\r"),
            b'\t' => text.extend(b"\\t"),
            0x07 => text.extend(b"\\a"),
            0x08 => text.extend(b"\\b"),
            b' '..=b'~' => text.push(byte),
            _ => text.extend(format!("\\x{byte:02x}").bytes()),
        }
    }
    text.push(b'"');
    text
}

#[cfg(test)]
mod tests {
    use super::quoted;
    use crate::resp::words;
    use proptest::prelude::*;

    #[test]
    fn words_are_quoted_when_they_must_be() {
        assert_eq!(quoted(b"plain-1.2/x"), b"plain-1.2/x");
        assert_eq!(quoted(b""), b"\"\"");
        assert_eq!(quoted(b"a b\"\\\n\x01\xff"), br#""a b\"\\\n\x01\xff""#);
        assert_eq!(quoted(b"#no-comment"), b"\"#no-comment\"");
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        })]
        #[test]
        fn a_quoted_word_is_read_back(word in prop::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(words(&quoted(&word)).unwrap(), vec![word]);
        }
    }
}
