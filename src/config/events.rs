//! `notify-keyspace-events`: which events of keys are told, in Redis's letters.

use std::fmt;

/// A set of classes of events, and of the ways in which they are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventClasses(u32);

impl EventClasses {
    /// To those who listen to a key.
    pub const BY_KEY: EventClasses = EventClasses(1);
    /// To those who listen to an event.
    pub const BY_EVENT: EventClasses = EventClasses(1 << 1);
    /// Whatever the type of the key: DEL, EXPIRE, RENAME and so on.
    pub const GENERIC: EventClasses = EventClasses(1 << 2);
    /// Strings.
    pub const STRING: EventClasses = EventClasses(1 << 3);
    /// Lists, which are not served here; like the next ones it can be set and shown.
    const LIST: EventClasses = EventClasses(1 << 4);
    const SET: EventClasses = EventClasses(1 << 5);
    const HASH: EventClasses = EventClasses(1 << 6);
    const SORTED_SET: EventClasses = EventClasses(1 << 7);
    /// Keys that were removed because their deadline had passed.
    pub const EXPIRED: EventClasses = EventClasses(1 << 8);
    /// Keys that were removed for their memory.
    pub const EVICTED: EventClasses = EventClasses(1 << 9);
    const STREAM: EventClasses = EventClasses(1 << 10);
    const MODULE: EventClasses = EventClasses(1 << 11);
    /// Keys that were asked for and are not there.
    pub const MISS: EventClasses = EventClasses(1 << 12);
    /// Keys that have come into being.
    pub const NEW: EventClasses = EventClasses(1 << 13);

    /// The letters that are shown as `A` when all are there, in the order in which they are shown.
    const MOST: [(char, EventClasses); 10] = [
        ('g', EventClasses::GENERIC),
        ('$', EventClasses::STRING),
        ('l', EventClasses::LIST),
        ('s', EventClasses::SET),
        ('h', EventClasses::HASH),
        ('z', EventClasses::SORTED_SET),
        ('x', EventClasses::EXPIRED),
        ('e', EventClasses::EVICTED),
        ('t', EventClasses::STREAM),
        ('d', EventClasses::MODULE),
    ];

    /// The others. (Redis 7.0 does not show the first beside an `A`, and so loses it when it
    /// rewrites its configuration file.)
    const OTHERS: [(char, EventClasses); 4] = [
        ('n', EventClasses::NEW),
        ('K', EventClasses::BY_KEY),
        ('E', EventClasses::BY_EVENT),
        ('m', EventClasses::MISS),
    ];

    /// The classes of these letters; none if one of them is unknown.
    pub fn parse(text: &[u8]) -> Option<EventClasses> {
        let mut classes = EventClasses::default();
        for &letter in text {
            let one = match char::from(letter) {
                'A' => EventClasses::most(),
                letter => {
                    let mut all = EventClasses::MOST.iter().chain(&EventClasses::OTHERS);
                    all.find(|(own, _)| *own == letter)?.1
                }
            };
            classes = classes.and(one);
        }
        Some(classes)
    }

    /// Both sets together.
    pub const fn and(self, other: EventClasses) -> EventClasses {
        EventClasses(self.0 | other.0)
    }

    /// Whether every class of `other` is here.
    #[inline]
    pub const fn contains(self, other: EventClasses) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether a class is in both sets.
    pub const fn meets(self, other: EventClasses) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether nothing is told.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// As a number, for an atomic word.
    pub const fn bits(self) -> u64 {
        self.0 as u64
    }

    /// The set that is this number.
    pub const fn of_bits(bits: u64) -> EventClasses {
        EventClasses(bits as u32)
    }

    fn most() -> EventClasses {
        let all = EventClasses::MOST.iter();
        all.fold(EventClasses::default(), |all, (_, class)| all.and(*class))
    }
}

/// As CONFIG GET shows it.
impl fmt::Display for EventClasses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_most = self.contains(EventClasses::most());
        let is_shown = |class: EventClasses| self.contains(class);
        let mut shown = String::new();
        if has_most {
            shown.push('A');
        }
        let most = EventClasses::MOST.iter().filter(|_| !has_most);
        shown.extend(
            most.chain(&EventClasses::OTHERS)
                .filter(|(_, class)| is_shown(*class))
                .map(|(c, _)| *c),
        );
        f.write_str(&shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from redis-server 7.0.15, but for `n` beside `A`.
    #[test]
    fn letters_are_read_and_shown_as_redis_does() {
        for (given, shown) in [
            ("", ""),
            ("A", "A"),
            ("KA", "AK"),
            ("KEA", "AKE"),
            ("g$lshzxetd", "A"),
            ("g$lshzxet", "g$lshzxet"),
            ("Km", "Km"),
            ("KEAmn", "AnKEm"),
            ("AKEn", "AnKE"),
            ("Kn", "nK"),
            ("gn", "gn"),
            ("Elg", "glE"),
            ("nE", "nE"),
            ("mA", "Am"),
            ("EKxg", "gxKE"),
            ("g$lshzxetdKn", "AnK"),
        ] {
            let classes = EventClasses::parse(given.as_bytes()).expect("known letters");
            assert_eq!(classes.to_string(), shown, "{given}");
            assert_eq!(EventClasses::of_bits(classes.bits()), classes);
        }
        assert_eq!(EventClasses::parse(b"KQ"), None);
    }
}
