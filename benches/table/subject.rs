//! What a map must offer to be measured, and the operations.

use crate::keys::{Key, VALUE};

/// Operations of one batch: the server's window.
pub(crate) const BATCH: usize = 16;

/// How operations are issued.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Each by itself.
    Single,
    /// [`BATCH`] at a time.
    Batched,
}

impl Mode {
    pub(crate) fn label(self, name: &str) -> String {
        match self {
            Mode::Single => name.to_owned(),
            Mode::Batched => format!("{name} batched"),
        }
    }
}

/// A concurrent map.
pub(crate) trait Subject: Sync + Sized {
    const NAME: &'static str;
    /// The modes that make a difference, the first being used to load the map.
    const MODES: &'static [Mode];
    /// What a thread keeps between operations.
    type Thread;

    fn new() -> Self;
    /// A map whose growth is not to be measured.
    fn new_to_load() -> Self {
        Self::new()
    }
    fn join(&self) -> Self::Thread;
    /// Ends what a load has left unfinished.
    fn settle(&self, _thread: &Self::Thread) {}
    /// Does one operation per key, and returns something made of all results.
    fn run<O: Operation>(&self, thread: &Self::Thread, mode: Mode, keys: &[Key]) -> u64;
}

/// A map at the moment of an operation.
pub(crate) trait View {
    /// A digest of the value, if there is one.
    fn get(&self, key: &Key) -> Option<u64>;
    /// Sets a key that is probably present.
    fn set(&self, key: &Key, value: &[u8]);
    /// Sets a key that is probably absent.
    fn insert(&self, key: &Key, value: &[u8]);
    /// Adds 1 to a counter, which begins at 0.
    fn add(&self, key: &Key) -> i64;
}

/// What the other maps store: 16 bytes, because a box is never null.
pub(crate) enum Item<C> {
    Bytes(Box<[u8]>),
    Counter(C),
}

/// Touches a value at both ends.
pub(crate) fn digest(value: &[u8]) -> u64 {
    value.first().zip(value.last()).map_or(0, |(&first, &last)| u64::from(first ^ last))
}

/// An operation. `index` is its number among those of a run.
pub(crate) trait Operation {
    fn apply(view: &impl View, key: &Key, index: usize) -> u64;
}

pub(crate) struct Get;
pub(crate) struct Set;
pub(crate) struct Insert;
pub(crate) struct Add;
/// Nine reads, then a write.
pub(crate) struct Mixed;

impl Operation for Get {
    #[inline(always)]
    fn apply(view: &impl View, key: &Key, _index: usize) -> u64 {
        view.get(key).unwrap_or(1)
    }
}

impl Operation for Set {
    #[inline(always)]
    fn apply(view: &impl View, key: &Key, _index: usize) -> u64 {
        view.set(key, VALUE);
        0
    }
}

impl Operation for Insert {
    #[inline(always)]
    fn apply(view: &impl View, key: &Key, _index: usize) -> u64 {
        view.insert(key, VALUE);
        0
    }
}

impl Operation for Add {
    #[inline(always)]
    fn apply(view: &impl View, key: &Key, _index: usize) -> u64 {
        view.add(key) as u64
    }
}

impl Operation for Mixed {
    #[inline(always)]
    fn apply(view: &impl View, key: &Key, index: usize) -> u64 {
        if index % 10 == 9 { Set::apply(view, key, index) } else { Get::apply(view, key, index) }
    }
}

/// Applies an operation to each key, the first being number `start`.
#[inline(always)]
pub(crate) fn each<O: Operation>(view: &impl View, keys: &[Key], start: usize) -> u64 {
    keys.iter()
        .enumerate()
        .fold(0, |sum, (index, key)| sum.wrapping_add(O::apply(view, key, start + index)))
}
