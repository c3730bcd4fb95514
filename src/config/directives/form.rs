//! What the value of a directive may look like: how it is read, how it is shown, and the words of
//! Redis for what is wrong with it.

use crate::config::{Config, memory_of};

/// Takes a value out of the settings.
pub type Get<T> = fn(&Config) -> T;
/// Puts a value into them.
pub type Set<T> = fn(&mut Config, T);
/// Lists names.
pub type Names = fn() -> String;
/// Puts the value of a name into them, if there is one.
pub type Pick = fn(&mut Config, &[u8]) -> bool;
/// Reads a value into them, or says what is wrong with it.
pub type Read<T> = fn(&mut Config, &T) -> Result<(), String>;
/// Words as they are kept, or what is wrong with them.
pub type Normal = fn(&[Vec<u8>]) -> Result<Vec<u8>, String>;

/// The form of a directive's value, and where in [`Config`] it is kept.
#[derive(Clone, Copy)]
pub enum Form {
    /// `yes` or `no`.
    YesNo {
        /// The value.
        get: Get<bool>,
        /// Puts another one there.
        set: Set<bool>,
    },
    /// A whole number within bounds, both included.
    Integer {
        /// The least.
        least: i64,
        /// The most.
        most: i64,
        /// The value.
        get: Get<i64>,
        /// Puts another one there.
        set: Set<i64>,
    },
    /// An amount of memory within bounds, both included.
    Memory {
        /// The least.
        least: u64,
        /// The most.
        most: u64,
        /// The value in bytes.
        get: Get<u64>,
        /// Puts another one there.
        set: Set<u64>,
    },
    /// One of some names.
    Choice {
        /// The names, as a message lists them.
        names: Names,
        /// The name of the value.
        get: Get<&'static str>,
        /// Puts the value of this name there, in any mixture of cases; false if there is none.
        set: Pick,
    },
    /// One word of any bytes.
    Text {
        /// The value.
        get: Get<Vec<u8>>,
        /// Puts another one there, or says what is wrong with it.
        set: Read<[u8]>,
    },
    /// Several words.
    Words {
        /// The value; no words if it is empty.
        get: Get<Vec<Vec<u8>>>,
        /// Puts others there, or says what is wrong with them.
        set: Read<[Vec<u8>]>,
        /// How many of them stand in one line of a file; 0 for all.
        per_line: usize,
    },
    /// The setting of something that this server does not have: it is kept and shown, that is all.
    Inert {
        /// What redis-server begins with.
        default: &'static str,
        /// What it may be.
        kind: Inert,
        /// What the operator has to know if it is set; empty for what merely has no effect.
        danger: &'static str,
    },
    /// Stands in files only, once for each thing it is about, for something that this server does
    /// not have.
    FileOnly {
        /// The words that it needs at least.
        least: usize,
        /// The words that it takes at most.
        most: usize,
        /// What the operator has to know if it is there.
        danger: &'static str,
    },
}

/// The form of a value without effect.
#[derive(Clone, Copy)]
pub enum Inert {
    /// `yes` or `no`.
    YesNo,
    /// A whole number within bounds.
    Integer(i64, i64),
    /// An amount of memory within bounds.
    Memory(u64, u64),
    /// An amount of memory or a percentage of another.
    MemoryOrPercent,
    /// One of these names.
    Choice(&'static [&'static str]),
    /// One word.
    Text,
    /// Words, of which something may be wrong.
    Words(Normal),
    /// Words that are looked at and forgotten: the value is shown as an empty one.
    Forgotten(Normal),
}

/// What Redis says of a directive with too few or too many words.
pub(super) const WRONG_COUNT: &str = "wrong number of arguments";

/// What Redis says of a directive that it does not know, or that it does not count the words of.
pub(in crate::config) const BAD: &str = "Bad directive or wrong number of arguments";

/// `yes` or `no`, in any mixture of cases.
pub(super) fn yes_or_no(value: &[u8]) -> Result<bool, String> {
    if value.eq_ignore_ascii_case(b"yes") {
        Ok(true)
    } else if value.eq_ignore_ascii_case(b"no") {
        Ok(false)
    } else {
        Err("argument must be 'yes' or 'no'".to_owned())
    }
}

/// The name of a yes or no.
pub(super) fn name_of(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

/// A whole number as Redis reads it: no sign but `-`, no leading zeros.
pub(super) fn integer(value: &[u8], least: i64, most: i64) -> Result<i64, String> {
    let text = std::str::from_utf8(value).ok();
    let number = text.and_then(|text| text.parse::<i64>().ok());
    let canonical = number.filter(|number| number.to_string().as_bytes() == value);
    let number = canonical.ok_or("argument couldn't be parsed into an integer")?;
    within(number, least, most)?;
    Ok(number)
}

/// An amount of memory, in bytes.
pub(super) fn memory(value: &[u8], least: u64, most: u64) -> Result<u64, String> {
    // Redis reads it as a C string.
    let end = value.iter().position(|&byte| byte == 0).unwrap_or(value.len());
    let bytes = memory_of(&value[..end]).ok_or("argument must be a memory value")?;
    within(bytes, least, most)?;
    Ok(bytes)
}

fn within<N: PartialOrd + std::fmt::Display>(number: N, least: N, most: N) -> Result<(), String> {
    match least <= number && number <= most {
        true => Ok(()),
        false => Err(format!("argument must be between {least} and {most} inclusive")),
    }
}

/// What Redis says of a name that is none of the known ones.
pub(super) fn one_of(names: &str) -> String {
    format!("argument(s) must be one of the following: {names}")
}

impl Inert {
    /// The value as it is kept, or what is wrong with it.
    pub(super) fn normal(self, words: &[Vec<u8>]) -> Result<Vec<u8>, String> {
        if let Inert::Words(normal) | Inert::Forgotten(normal) = self {
            return normal(words);
        }
        let [value] = words else {
            return Err(WRONG_COUNT.to_owned());
        };
        match self {
            Inert::YesNo => Ok(name_of(yes_or_no(value)?).into()),
            Inert::Integer(least, most) => Ok(integer(value, least, most)?.to_string().into()),
            Inert::Memory(least, most) => Ok(memory(value, least, most)?.to_string().into()),
            Inert::MemoryOrPercent => memory_or_percent(value),
            Inert::Choice(names) => {
                let found = names.iter().find(|name| name.as_bytes().eq_ignore_ascii_case(value));
                let name = found.ok_or_else(|| one_of(&names.join(", ")))?;
                Ok(name.as_bytes().to_vec())
            }
            Inert::Text | Inert::Words(_) | Inert::Forgotten(_) => Ok(value.clone()),
        }
    }

    /// Whether a value given as one word is a line of words.
    pub(super) fn is_several(self) -> bool {
        matches!(self, Inert::Words(_) | Inert::Forgotten(_))
    }

    /// Whether the value is not kept.
    pub(super) fn is_forgotten(self) -> bool {
        matches!(self, Inert::Forgotten(_))
    }
}

fn memory_or_percent(value: &[u8]) -> Result<Vec<u8>, String> {
    const WRONG: &str = "argument must be a memory or percent value";
    // What Redis says of more bytes than it can count, too: for it a percentage is below 0.
    const TOO_MUCH: &str = "percentage argument must be less or equal to 100";
    if let Some(number) = value.strip_suffix(b"%") {
        let percent = integer(number, 0, i64::MAX).map_err(|_| WRONG)?;
        return match percent <= 100 {
            true => Ok(format!("{percent}%").into_bytes()),
            false => Err(TOO_MUCH.to_owned()),
        };
    }
    let bytes = memory_of(value).ok_or(WRONG)?;
    match bytes <= i64::MAX as u64 {
        true => Ok(bytes.to_string().into_bytes()),
        false => Err(TOO_MUCH.to_owned()),
    }
}

/// An amount of memory as it stands in a file: in the largest unit that fits.
pub(super) fn with_unit(bytes: u64) -> String {
    let units = [(30, "gb"), (20, "mb"), (10, "kb")];
    let fitting = units.iter().find(|(shift, _)| bytes > 0 && bytes.is_multiple_of(1 << shift));
    fitting.map_or(bytes.to_string(), |(shift, unit)| format!("{}{unit}", bytes >> shift))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_redis_reads_them() {
        assert_eq!(integer(b"-5", -10, 10), Ok(-5));
        for text in ["", "+5", "05", "-0", "5 ", "0x5", "5.0", "99999999999999999999"] {
            let reason = integer(text.as_bytes(), -10, 10).unwrap_err();
            assert_eq!(reason, "argument couldn't be parsed into an integer", "{text}");
        }
        let reason = integer(b"11", -10, 10).unwrap_err();
        assert_eq!(reason, "argument must be between -10 and 10 inclusive");
    }

    #[test]
    fn memory_is_written_in_the_unit_that_fits() {
        for (bytes, text) in
            [(0, "0"), (1, "1"), (1 << 20, "1mb"), (3 << 30, "3gb"), (1536, "1536"), (2048, "2kb")]
        {
            assert_eq!(with_unit(bytes), text);
            assert_eq!(memory(text.as_bytes(), 0, u64::MAX), Ok(bytes));
        }
    }

    #[test]
    fn an_amount_may_be_a_percentage_where_it_says_so() {
        let read = |text: &str| Inert::MemoryOrPercent.normal(&[text.into()]);
        assert_eq!(read("5%").as_deref(), Ok(&b"5%"[..]));
        assert_eq!(read("1kb").as_deref(), Ok(&b"1024"[..]));
        assert_eq!(read("100%").as_deref(), Ok(&b"100%"[..]));
        for text in ["101%", "9223372036854775808", "99999999999gb"] {
            assert!(read(text).unwrap_err().starts_with("percentage argument"), "{text}");
        }
        assert!(read("x%").is_err() && read("-1").is_err());
    }
}
