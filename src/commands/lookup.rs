//! From a command's name to its row.
//!
//! A name of at most 15 letters and underscores is packed into two words with its length in the
//! last byte and its capitals lowered, all eight bytes of a word at once. Two names are the same
//! command exactly when their words are equal, so a look-up is a multiplication, a load and two
//! comparisons; no byte loop and no general hash. The table is open-addressed, half empty or more,
//! and built at compile time; a name that comes twice, is too long or has anything else would fail
//! the build.
//!
//! Lowering the capitals makes another byte of an underscore, and that byte of itself. Names with
//! underscores are therefore stored with theirs as they were, which no lowered name has: to find
//! one takes a second look, after the first has found nothing.

use super::row::{Flags, Row};
use super::table::FAMILIES;

/// Slots of the table: at least twice the commands (checked when it is built).
const SLOTS: usize = 256;

/// The longest name that can be packed.
const NAME_MAX: usize = 15;

/// Spreads the words over the slots: 2^64 divided by the golden ratio, made odd.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

static TABLE: [Slot; SLOTS] = build();

/// The row of the command called `name`, in any mixture of cases.
#[inline(always)]
pub(super) fn command(name: &[u8]) -> Option<&'static Row> {
    let packed = pack(name)?;
    find(packed).or_else(|| with_underscores(name, packed))
}

/// Whether the command called `name`, in any mixture of cases, can stand in a log: those that
/// change keys, and SELECT, MULTI and EXEC.
pub fn is_logged(name: &[u8]) -> bool {
    let others = ["select", "multi", "exec"];
    command(name).is_some_and(|row| row.flags.contains(Flags::WRITE) || others.contains(&row.name))
}

#[inline(always)]
fn find(packed: Packed) -> Option<&'static Row> {
    let mut index = packed.slot();
    loop {
        let slot = &TABLE[index];
        if slot.packed.low == packed.low && slot.packed.high == packed.high {
            return slot.row;
        }
        // Ends: an empty slot is among those that follow, for the table is never full.
        slot.row?;
        index = (index + 1) % SLOTS;
    }
}

#[cold]
fn with_underscores(name: &[u8], packed: Packed) -> Option<&'static Row> {
    if !name.contains(&b'_') {
        return None;
    }
    find(packed.with_underscores_of(name))
}

/// The subcommand of `container` called `name`, in any mixture of cases.
pub(super) fn subcommand(container: &Row, name: &[u8]) -> Option<&'static Row> {
    let mut rows = container.subcommands.iter();
    rows.find(|row| row.name.as_bytes().eq_ignore_ascii_case(name))
}

/// A name in two words; see the module.
#[derive(Clone, Copy)]
struct Packed {
    low: u64,
    high: u64,
}

impl Packed {
    const fn slot(self) -> usize {
        let mixed = (self.low ^ self.high.rotate_left(29)).wrapping_mul(SPREAD);
        (mixed >> (u64::BITS - SLOTS.trailing_zeros())) as usize
    }

    /// The words of `name`, given the lowered ones, with its underscores as they were.
    const fn with_underscores_of(self, name: &[u8]) -> Packed {
        let Packed { mut low, mut high } = self;
        let mut index = 0;
        while index < name.len() {
            let lowered = 0x20 << (8 * (index % 8));
            match name[index] {
                b'_' if index < 8 => low &= !lowered,
                b'_' => high &= !lowered,
                _ => {}
            }
            index += 1;
        }
        Packed { low, high }
    }
}

/// An empty slot has no row and the words of no name (a length of 0).
#[derive(Clone, Copy)]
struct Slot {
    packed: Packed,
    row: Option<&'static Row>,
}

/// The words of a name, or nothing when it is empty or too long to be one.
#[inline(always)]
const fn pack(name: &[u8]) -> Option<Packed> {
    let length = name.len();
    if length == 0 || length > NAME_MAX {
        return None;
    }
    let (low, high) = match (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        (Some(first), Some(last)) => {
            // The two may overlap: what the first word has is shifted out of the second.
            let rest = match length {
                8 => 0,
                _ => u64::from_le_bytes(*last) >> (8 * (16 - length)),
            };
            (u64::from_le_bytes(*first), rest)
        }
        _ => (up_to_seven(name), 0),
    };
    // The last byte is free for the length: NAME_MAX is 15.
    Some(Packed { low: fold(low), high: fold(high) & !(0xff << 56) | (length as u64) << 56 })
}

/// One to seven bytes as a little-endian word, read in two pieces that may overlap.
#[inline]
const fn up_to_seven(name: &[u8]) -> u64 {
    let length = name.len();
    if let (Some(first), Some(last)) = (name.first_chunk::<4>(), name.last_chunk::<4>()) {
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        return first as u64 | (last as u64) << (8 * (length - 4));
    }
    if let (Some(first), Some(last)) = (name.first_chunk::<2>(), name.last_chunk::<2>()) {
        let (first, last) = (u16::from_le_bytes(*first), u16::from_le_bytes(*last));
        return first as u64 | (last as u64) << (8 * (length - 2));
    }
    name[0] as u64
}

/// Sets in every byte the bit that tells small letters from capitals. Only a capital or a small
/// letter becomes that small letter, so names of nothing but letters stay distinct from all others.
/// No byte stays an underscore.
#[inline]
const fn fold(word: u64) -> u64 {
    word | 0x2020_2020_2020_2020
}

/// Whether a name has nothing but small letters and underscores, which [`fold`] relies on.
const fn is_allowed(name: &[u8]) -> bool {
    let mut index = 0;
    while index < name.len() {
        if !name[index].is_ascii_lowercase() && name[index] != b'_' {
            return false;
        }
        index += 1;
    }
    true
}

const fn build() -> [Slot; SLOTS] {
    let empty = Slot { packed: Packed { low: 0, high: 0 }, row: None };
    let mut table = [empty; SLOTS];
    let mut count = 0;
    let mut family = 0;
    while family < FAMILIES.len() {
        let mut number = 0;
        while number < FAMILIES[family].len() {
            let row = &FAMILIES[family][number];
            let name = row.name.as_bytes();
            assert!(is_allowed(name), "a name of something else than small letters");
            let Some(packed) = pack(name) else {
                panic!("a name that is empty or longer than NAME_MAX");
            };
            let packed = packed.with_underscores_of(name);
            let mut index = packed.slot();
            while table[index].row.is_some() {
                let other = table[index].packed;
                assert!(other.low != packed.low || other.high != packed.high, "a name twice");
                index = (index + 1) % SLOTS;
            }
            table[index] = Slot { packed, row: Some(row) };
            count += 1;
            number += 1;
        }
        family += 1;
    }
    assert!(count * 2 <= SLOTS, "the table is too full: double SLOTS");
    table
}

#[cfg(test)]
mod tests {
    use super::super::table::rows;
    use super::*;

    #[test]
    fn a_log_holds_what_changes_keys_the_choice_of_a_database_and_blocks() {
        for name in [
            "SET",
            "del",
            "PEXPIREAT",
            "SWAPDB",
            "FLUSHDB",
            "INCRBY",
            "SELECT",
            "SETRANGE",
            "MULTI",
            "exec",
        ] {
            assert!(is_logged(name.as_bytes()), "{name}");
        }
        for name in ["GET", "CONFIG", "SHUTDOWN", "PING", "LPUSH", "WATCH", "DISCARD", ""] {
            assert!(!is_logged(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn every_command_is_found_in_any_case() {
        for row in rows() {
            let upper = row.name.to_uppercase();
            let mixed: String = (row.name.chars().enumerate())
                .map(|(i, c)| if i % 2 == 0 { c } else { c.to_ascii_uppercase() })
                .collect();
            for name in [row.name, &upper, &mixed] {
                let found = command(name.as_bytes()).expect(name);
                assert!(std::ptr::eq(found, row), "{name}");
            }
        }
    }

    #[test]
    fn near_misses_are_not_found() {
        let names: [&[u8]; 17] = [
            b"bitfield\x7fro",
            b"bitfield?ro",
            b"bitfield_r\x7f",
            b"_",
            b"get_",
            b"",
            b"ge",
            b"gett",
            b"get\0",
            b"\0get",
            b"g\x05t",
            b"get ",
            b"GE\xd4",
            b"\x07et",
            b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            b"client|id",
            b"ge\x14",
        ];
        for name in names {
            assert!(command(name).is_none(), "{name:?}");
        }
    }

    #[test]
    fn packing_keeps_every_letter_of_every_length() {
        let name: Vec<u8> = (b'A'..=b'O').collect();
        for length in 1..=NAME_MAX {
            let packed = pack(&name[..length]).expect("short enough");
            let mut bytes = packed.low.to_le_bytes().to_vec();
            bytes.extend(packed.high.to_le_bytes());
            assert_eq!(bytes[..length], name[..length].to_ascii_lowercase());
            assert!(bytes[length..15].iter().all(|&byte| byte == b' '));
            assert_eq!(usize::from(bytes[15]), length);
        }
        assert!(pack(&[b'a'; NAME_MAX + 1]).is_none());
    }

    #[test]
    fn folding_makes_letters_of_nothing_but_letters() {
        for byte in 0..=u8::MAX {
            let [folded, ..] = fold(u64::from_le_bytes([byte; 8])).to_le_bytes();
            assert_eq!(folded.is_ascii_lowercase(), byte.is_ascii_alphabetic());
            assert_ne!(folded, b'_');
        }
    }
}
