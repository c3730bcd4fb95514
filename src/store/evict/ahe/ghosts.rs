//! What is remembered of keys that were evicted: eight bytes each, for about as many as
//! memory holds.
//!
//! ```text
//! 0      24      29  31         32            64
//! | clock | class | - | occupied | fingerprint |
//! ```
//!
//! A key's hash names a cache line of eight ghosts and a fingerprint. A new ghost takes an empty
//! place of its line or that of the oldest, which tells that a key of such a class was not used
//! for such a time. A key that comes back takes its ghost away.
//!
//! Ghosts are loaded and stored Relaxed and never compared and swapped: of two threads that change
//! a place at once one is overwritten, and a ghost may be found by two. Each costs the model one
//! count among thousands. The place is one word, so nobody sees half a ghost.
//!
//! There are not many more than keys: a key whose ghost is still there counts neither as used nor
//! as lost, and what is known of its class waits for it.
//!
//! Tables are made in four sizes an octave, when they are first needed, and then stay, so that
//! threads that use one need no permission; as many of its lines are used as the keys ask for.

use super::class::CLASSES;
use crate::memory::{Kind, count};
use crate::record::Usage;
use crate::sync::plain::{AtomicU64, AtomicUsize, Ordering};
use crate::sync::{OnceLock, prefetch_read};

/// Ghosts of a cache line.
const LINE: usize = 8;
/// Sizes of tables, up to 2^31 lines.
const SIZES: usize = 31 * 4 + 1;
const LINES_MAX: u64 = 1 << 31;

const CLOCK_MASK: u64 = (1 << 24) - 1;
const CLASS_SHIFT: u32 = 24;
const CLASS_MASK: u64 = CLASSES as u64 - 1;
const OCCUPIED: u64 = 1 << 31;
const FINGERPRINT_MASK: u64 = !0 << 32;

const _: () = assert!(CLASSES.is_power_of_two() && (CLASS_MASK << CLASS_SHIFT) < OCCUPIED);

/// Eight ghosts that are found with one access to memory.
#[repr(align(64))]
struct Line([AtomicU64; LINE]);

const _: () = assert!(size_of::<Line>() == 64);

/// What was known of an evicted key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ghost {
    /// Its class.
    pub(super) class: usize,
    /// When it was last used, in ticks modulo 2^24.
    pub(super) clock: u32,
}

impl Ghost {
    fn of(word: u64) -> Self {
        Self {
            class: (word >> CLASS_SHIFT & CLASS_MASK) as usize,
            clock: (word & CLOCK_MASK) as u32,
        }
    }

    fn word(self, fingerprint: u64) -> u64 {
        let class = (self.class as u64 & CLASS_MASK) << CLASS_SHIFT;
        fingerprint | OCCUPIED | class | u64::from(self.clock) & CLOCK_MASK
    }
}

/// The number of the smallest table that has so many lines (one or more), and its lines.
fn size_of_table(lines: u64) -> (usize, u64) {
    let step = 1 << lines.ilog2().saturating_sub(2);
    let made = lines.div_ceil(step) * step;
    // The next power of two belongs to the next octave.
    let octave = made.ilog2();
    let quarter = ((made - (1 << octave)) * 4) >> octave;
    (octave as usize * 4 + quarter as usize, made)
}

/// The ghosts.
pub(super) struct Ghosts {
    tables: [OnceLock<Box<[Line]>>; SIZES],
    /// Which table is in use, and how many of its lines.
    current: AtomicUsize,
    lines: AtomicU64,
}

/// The bits of a place that a ghost keeps, the occupied bit among them.
#[inline]
fn identity(place: u64) -> u64 {
    place & FINGERPRINT_MASK | OCCUPIED
}

impl Ghosts {
    /// No ghosts, and no room for any.
    pub(super) fn new() -> Self {
        Self {
            tables: [const { OnceLock::new() }; SIZES],
            current: AtomicUsize::new(0),
            lines: AtomicU64::new(0),
        }
    }

    /// Makes room for the ghosts of `keys` keys. A number that is a little outside of what there is
    /// room for changes nothing: it is an estimate, and a new table begins empty.
    pub(super) fn resize(&self, keys: u64) {
        // Relaxed: the table itself is published by its OnceLock; a number of lines that is not of
        // this table finds no ghosts, or none of that key.
        let room = self.room();
        if keys <= room + room / 8 && keys >= room - room / 4 {
            return;
        }
        let lines = keys.div_ceil(LINE as u64).clamp(1, LINES_MAX);
        let (size, made) = size_of_table(lines);
        let empty = || Line([const { AtomicU64::new(0) }; LINE]);
        let table = self.tables[size].get_or_init(|| {
            count(Kind::Eviction, (made * size_of::<Line>() as u64) as i64);
            (0..made).map(|_| empty()).collect()
        });
        // What an earlier use has left in it is too old to tell anything.
        for place in table.iter().flat_map(|line| &line.0) {
            place.store(0, Ordering::Relaxed);
        }
        self.current.store(size, Ordering::Relaxed);
        self.lines.store(lines, Ordering::Relaxed);
    }

    /// The line of a key.
    #[inline]
    fn line(&self, place: u64) -> Option<&Line> {
        // Relaxed: see `resize`.
        let lines = self.lines.load(Ordering::Relaxed);
        let table = self.tables.get(self.current.load(Ordering::Relaxed))?.get()?;
        // The lower half of the place as a fraction.
        table.get((((place & !FINGERPRINT_MASK) * lines) >> 32) as usize)
    }

    /// Asks for the line of a key.
    #[inline]
    pub(super) fn bring(&self, place: u64) {
        if let Some(line) = self.line(place) {
            prefetch_read(line);
        }
    }

    /// The ghost of a key.
    #[inline]
    pub(super) fn find(&self, place: u64) -> Option<Ghost> {
        let line = self.line(place)?;
        // Relaxed, here and below: see the module.
        let mut words = line.0.iter().map(|word| word.load(Ordering::Relaxed));
        words.find(|word| identity(*word) == identity(place) && *word != 0).map(Ghost::of)
    }

    /// The ghost of a key, which is gone then.
    #[inline]
    pub(super) fn take(&self, place: u64) -> Option<Ghost> {
        for word in &self.line(place)?.0 {
            let ghost = word.load(Ordering::Relaxed);
            if identity(ghost) == identity(place) && ghost & OCCUPIED != 0 {
                word.store(0, Ordering::Relaxed);
                return Some(Ghost::of(ghost));
            }
        }
        None
    }

    /// Leaves the ghost of a key; returns the one that had to go for it at `now`.
    pub(super) fn leave(&self, place: u64, ghost: Ghost, now: u32) -> Option<Ghost> {
        let line = self.line(place)?;
        let (mut chosen, mut oldest) = (&line.0[0], None);
        for word in &line.0 {
            let found = word.load(Ordering::Relaxed);
            if found & OCCUPIED == 0 || identity(found) == identity(place) {
                (chosen, oldest) = (word, None);
                break;
            }
            let age = Usage::age_between(now, Ghost::of(found).clock);
            if oldest.is_none_or(|(greatest, _)| age > greatest) {
                (chosen, oldest) = (word, Some((age, found)));
            }
        }
        chosen.store(ghost.word(place & FINGERPRINT_MASK), Ordering::Relaxed);
        oldest.map(|(_, word)| Ghost::of(word))
    }

    /// How many ghosts there is room for.
    pub(super) fn room(&self) -> u64 {
        // Relaxed: a figure.
        self.lines.load(Ordering::Relaxed) * LINE as u64
    }

    /// Memory of all tables in bytes.
    pub(super) fn memory_bytes(&self) -> u64 {
        let made = self.tables.iter().filter_map(OnceLock::get);
        made.map(|table| size_of_val::<[Line]>(table) as u64).sum()
    }
}

impl Drop for Ghosts {
    fn drop(&mut self) {
        count(Kind::Eviction, -(self.memory_bytes() as i64));
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::{Ghost, Ghosts};
    use crate::sync::plain::Ordering;

    fn place(fingerprint: u64) -> u64 {
        fingerprint << 32
    }

    #[test]
    fn a_ghost_is_found_until_it_is_taken() {
        let ghosts = Ghosts::new();
        let ghost = Ghost { class: 31, clock: 0xff_ffff };
        assert_eq!(ghosts.leave(place(7), ghost, 3), None);
        assert_eq!(ghosts.find(place(7)), None);
        ghosts.resize(100);
        assert_eq!(ghosts.room(), 104);
        assert_eq!(ghosts.leave(place(7), ghost, 3), None);
        assert_eq!(ghosts.find(place(7)), Some(ghost));
        assert_eq!(ghosts.find(place(8)), None);
        assert_eq!(ghosts.find(place(0)), None);
        assert_eq!(ghosts.take(place(7)), Some(ghost));
        assert_eq!(ghosts.take(place(7)), None);
    }

    #[test]
    fn the_oldest_of_a_line_goes_first() {
        let ghosts = Ghosts::new();
        ghosts.resize(8);
        // Before and after the clock's wrap: 5 is the oldest.
        for (fingerprint, clock) in [3, 0xff_fff0, 1, 0xff_ffe0, 2, 4, 5, 6].into_iter().enumerate()
        {
            let ghost = Ghost { class: fingerprint, clock };
            assert_eq!(ghosts.leave(place(fingerprint as u64 + 1), ghost, 10), None);
        }
        let new = Ghost { class: 20, clock: 10 };
        let gone = ghosts.leave(place(99), new, 10);
        assert_eq!(gone, Some(Ghost { class: 3, clock: 0xff_ffe0 }));
        let again = Ghost { class: 21, clock: 11 };
        assert_eq!(ghosts.leave(place(99), again, 11), None);
        assert_eq!(ghosts.find(place(99)), Some(again));
    }

    #[test]
    fn an_estimate_that_moves_a_little_keeps_the_ghosts() {
        let ghosts = Ghosts::new();
        ghosts.resize(1000);
        ghosts.leave(place(1), Ghost { class: 1, clock: 1 }, 1);
        for keys in [1030, 750, 1024, 1125] {
            ghosts.resize(keys);
            assert!(ghosts.find(place(1)).is_some(), "{keys}");
        }
        ghosts.resize(1200);
        assert_eq!(ghosts.room(), 1200);
        assert_eq!(ghosts.find(place(1)), None);
        ghosts.leave(place(1), Ghost { class: 1, clock: 1 }, 1);
        ghosts.resize(800);
        assert_eq!(ghosts.room(), 800);
        assert_eq!(ghosts.find(place(1)), None);
        assert_eq!(ghosts.memory_bytes(), 8 * (1024 + 1280 + 896));
    }

    #[test]
    fn every_line_is_used() {
        let ghosts = Ghosts::new();
        ghosts.resize(1000);
        for key in 0..20_000u64 {
            let hash = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            ghosts.leave(hash ^ hash >> 32, Ghost { class: 1, clock: 0 }, 0);
        }
        let table = ghosts.tables[7 * 4].get().expect("of 128 lines");
        let full = |line: &&super::Line| line.0.iter().all(|word| word.load(Ordering::Relaxed) > 0);
        assert_eq!(table.iter().filter(full).count(), 125);
        assert!(table[..125].iter().all(|line| full(&line)));
    }
}
