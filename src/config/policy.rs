//! What `maxmemory-policy` may be: whom to choose among, and by what.

/// The most of `maxmemory-eviction-tenacity`: evict until there is room, however long it takes.
pub const TENACITY_MAX: u64 = 100;

/// Among which keys victims are chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// Among all.
    AllKeys,
    /// Among those with a deadline.
    Volatile,
}

/// By what victims are chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Score {
    /// The one that was used the longest time ago.
    Lru,
    /// The one that was used the least.
    Lfu,
    /// Any one.
    Random,
    /// The one with the nearest deadline.
    Ttl,
    /// The one of which the fewest hits are to be expected.
    Ahe,
}

/// What is done when the memory is used up: Redis's `maxmemory-policy`, and two of our own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Policy {
    /// Commands that may take memory are refused.
    #[default]
    NoEviction,
    /// Keys go.
    Evict(Scope, Score),
}

impl Policy {
    /// Their names, in the order in which Redis lists its own. A policy's number is its place here.
    const NAMES: [(&str, Policy); 10] = [
        ("volatile-lru", Policy::Evict(Scope::Volatile, Score::Lru)),
        ("volatile-lfu", Policy::Evict(Scope::Volatile, Score::Lfu)),
        ("volatile-random", Policy::Evict(Scope::Volatile, Score::Random)),
        ("volatile-ttl", Policy::Evict(Scope::Volatile, Score::Ttl)),
        ("allkeys-lru", Policy::Evict(Scope::AllKeys, Score::Lru)),
        ("allkeys-lfu", Policy::Evict(Scope::AllKeys, Score::Lfu)),
        ("allkeys-random", Policy::Evict(Scope::AllKeys, Score::Random)),
        ("noeviction", Policy::NoEviction),
        ("volatile-ahe", Policy::Evict(Scope::Volatile, Score::Ahe)),
        ("allkeys-ahe", Policy::Evict(Scope::AllKeys, Score::Ahe)),
    ];

    /// All of them.
    pub fn all() -> impl Iterator<Item = Policy> {
        Policy::NAMES.iter().map(|(_, policy)| *policy)
    }

    /// The name.
    pub fn name(self) -> &'static str {
        let row = Policy::NAMES.iter().find(|(_, policy)| *policy == self);
        row.map_or("noeviction", |(name, _)| name)
    }

    /// The one of this name, in any mixture of cases.
    pub fn from_name(name: &[u8]) -> Option<Policy> {
        let row =
            Policy::NAMES.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name));
        row.map(|(_, policy)| *policy)
    }

    /// The names, as a message lists them.
    pub fn names() -> String {
        Policy::NAMES.map(|(name, _)| name).join(", ")
    }

    /// By what victims are chosen, if any are.
    pub fn score(self) -> Option<Score> {
        match self {
            Policy::NoEviction => None,
            Policy::Evict(_, score) => Some(score),
        }
    }

    /// Its number, for a word that keeps it.
    pub fn number(self) -> u64 {
        Policy::NAMES.iter().position(|(_, policy)| *policy == self).unwrap_or(0) as u64
    }

    /// The one of a number; `noeviction` if there is none.
    pub fn of_number(number: u64) -> Policy {
        Policy::NAMES.get(number as usize).map_or(Policy::NoEviction, |(_, policy)| *policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_goes_by_its_name_and_its_number() {
        assert_eq!(Policy::all().count(), 10);
        for policy in Policy::all() {
            assert_eq!(Policy::from_name(policy.name().to_uppercase().as_bytes()), Some(policy));
            assert_eq!(Policy::of_number(policy.number()), policy);
        }
        assert_eq!(Policy::from_name(b"lru"), None);
    }
}
