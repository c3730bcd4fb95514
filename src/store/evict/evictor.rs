//! One thread's means of making room.

use super::Eviction;
use super::gauge::{self, Allowance, Bounds};
use super::moment::Moment;
use super::pool::Kept;
use super::round::{Hunt, Outcome, Round};
use crate::config::{Policy, Scope, Score};
use crate::store::{Keyspace, Session};
use std::time::{Duration, Instant};

/// Whether there is room for more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Room {
    /// There is.
    Enough,
    /// Not yet: the time was up, but there are keys that may go.
    Short,
    /// Not yet: the log takes no more removals for now, or too much of what has gone waits for
    /// readers.
    Blocked,
    /// There is none, and no key may go.
    None,
}

/// What was evicted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Evicted {
    /// Keys.
    pub keys: u64,
    /// Bytes that they took.
    pub bytes: u64,
    /// Time that it took.
    pub time: Duration,
}

/// How an attempt to evict one key ended.
enum Turn {
    /// A key has gone.
    Gone,
    /// None was found where it looked, or another thread was faster.
    Missed,
    /// The log takes no more.
    Stopped,
    /// There is no key that may go.
    Nothing,
}

/// Victims after which the whole is summed again and the time is looked at.
pub(super) const ROUND: i64 = 16;

/// Rounds after which the keys of the databases are counted again.
const WEIGHED_ROUNDS: u32 = 16;

/// The part of the bound that is freed beyond it, so that not every command has to ask, and its
/// greatest size: some hundred small keys.
const SLACK_SHARE: u64 = 4096;
const SLACK_MAX: u64 = 16 << 10;

/// The part of the bound that is kept free in the background, and its greatest size.
const HEADROOM_SHARE: u64 = 512;
const HEADROOM_MAX: u64 = 1 << 20;

/// Dead slots in percent, on average, from which on segments are cleaned before their time: a
/// little more than the half of what each may have.
const DEAD_PERCENT_MAX: f64 = 18.0;

/// Looks that the average is of.
const DEAD_MEAN_OF: f64 = 16.0;

/// Time between two searches for segments to clean that have found none.
const CLEAN_INTERVAL: Duration = Duration::from_millis(10);

/// Times that a thread waits in a row, about a millisecond each, because too much waits for
/// readers: longer than the system stops a thread, as a rule. Then it goes on.
const WAITS_MAX: u32 = 256;

/// Rounds in which nothing was found, although there is something, after which a request gives up.
const MISSES_MAX: u32 = 64;

/// A thread's candidates and its allowance.
#[derive(Debug)]
pub struct Evictor {
    dice: fastrand::Rng,
    /// The best candidates that were left.
    kept: Vec<Kept>,
    /// The policy that they are of.
    policy: Policy,
    allowance: Allowance,
    /// How many keys of each database may go, where there are any.
    weights: Vec<(usize, u64)>,
    /// Where the search for rare keys goes on.
    search: u64,
    rounds: u32,
    /// Bytes of the last victims, on average.
    mean_bytes: i64,
    /// How many keys there is room for.
    capacity: u64,
    /// How much of the claimed slots is dead in the segments it has looked at, a moving mean.
    dead_percent: f64,
    /// When it has last found no segment to clean.
    cleaned: Option<Instant>,
    /// How often it has waited in a row for what waits for readers.
    waits: u32,
    evicted: Evicted,
}

impl Default for Evictor {
    fn default() -> Self {
        Self {
            dice: fastrand::Rng::new(),
            kept: Vec::new(),
            policy: Policy::NoEviction,
            allowance: Allowance::default(),
            weights: Vec::new(),
            search: 0,
            rounds: 0,
            mean_bytes: 0,
            capacity: 0,
            dead_percent: 0.0,
            cleaned: None,
            waits: 0,
            evicted: Evicted::default(),
        }
    }
}

impl Evictor {
    /// An evictor whose choices can be repeated.
    pub fn with_seed(seed: u64) -> Self {
        Self { dice: fastrand::Rng::with_seed(seed), ..Self::default() }
    }

    /// Tells AHE how many keys there is room for, as this thread has seen it; AHE makes tables of
    /// that size, so it is to be called while not pinned. (The first time fewer are told: those
    /// tables, and the names that evicted keys leave for a while, will take their part.)
    #[inline]
    pub fn tell_capacity(&mut self, eviction: &Eviction) {
        let capacity = std::mem::take(&mut self.capacity);
        if capacity > 0 {
            match eviction.settings().policy().score() {
                Some(Score::Ahe) if eviction.settings().is_bounded() => {
                    let is_first =
                        eviction.settings().max_keys() == 0 && !eviction.ahe.has_ghosts();
                    eviction.ahe.set_capacity(if is_first { capacity / 4 * 3 } else { capacity });
                }
                Some(Score::Ahe | Score::Lru) => eviction.ahe.set_clock_capacity(capacity),
                _ => {}
            }
        }
    }

    /// Notes how many keys there are, where nothing bounds them.
    pub fn note_keys(&mut self, keys: u64) {
        self.capacity = keys;
    }

    /// Makes room for a command that may take memory. Not within a transaction.
    #[inline]
    pub fn make_room(&mut self, keyspace: &Keyspace, session: &mut Session<'_>) -> Room {
        let settings = keyspace.eviction().settings();
        let bounds = Bounds::of(settings);
        if bounds == Bounds::default() || self.allowance.is_left(bounds) {
            return Room::Enough;
        }
        match self.free(keyspace, session, bounds, 0, settings.patience()) {
            Room::Enough if self.must_wait(keyspace, session, bounds) => Room::Blocked,
            room => room,
        }
    }

    /// Whether the thread is to wait because too much waits for readers. It frees some if it can.
    fn must_wait(
        &mut self,
        keyspace: &Keyspace,
        session: &mut Session<'_>,
        bounds: Bounds,
    ) -> bool {
        if gauge::is_held_back(keyspace, bounds.bytes) {
            session.renew();
            session.guard.collect();
        }
        let is_held_back = gauge::is_held_back(keyspace, bounds.bytes);
        self.waits = if is_held_back { self.waits.saturating_add(1) } else { 0 };
        if is_held_back {
            // To be asked again by the next command.
            self.allowance.end();
        }
        is_held_back && self.waits <= WAITS_MAX
    }

    /// Makes a little more room than commands need, for so long at most.
    pub fn make_headroom(
        &mut self,
        keyspace: &Keyspace,
        session: &mut Session<'_>,
        patience: Duration,
    ) -> Room {
        let settings = keyspace.eviction().settings();
        let bounds = Bounds::of(settings);
        if bounds == Bounds::default() {
            return Room::Enough;
        }
        let headroom = (bounds.bytes / HEADROOM_SHARE).min(HEADROOM_MAX);
        self.free(keyspace, session, bounds, headroom, Some(patience))
    }

    /// What was evicted since the last call.
    pub fn take_evicted(&mut self) -> Evicted {
        std::mem::take(&mut self.evicted)
    }

    /// Evicts until `headroom` bytes are free, if that much is not.
    #[cold]
    fn free(
        &mut self,
        keyspace: &Keyspace,
        session: &mut Session<'_>,
        bounds: Bounds,
        headroom: u64,
        patience: Option<Duration>,
    ) -> Room {
        let threads = keyspace.threads();
        let policy = keyspace.eviction().settings().policy();
        // As it is now: what goes from here on, victims included, is no reason for more to go. And
        // nobody is refused for it.
        let reserve = match policy {
            Policy::Evict(..) => gauge::limbo_reserve(bounds.bytes),
            Policy::NoEviction => 0,
        };
        let (wanted, headroom) = (headroom, headroom + reserve);
        let mut excess = excess(keyspace, session, bounds, headroom);
        if excess <= 0 {
            if let Policy::Evict(scope, _) = policy {
                self.weigh(keyspace, session, scope);
            }
            self.allowance.renew(bounds, excess.unsigned_abs(), threads);
            return Room::Enough;
        }
        self.allowance.end();
        let Policy::Evict(scope, by) = policy else {
            return self.free_names(keyspace, session, bounds, headroom, patience);
        };
        if policy != self.policy {
            self.policy = policy;
            self.kept.clear();
            self.weights.clear();
        }
        let start = Instant::now();
        let slack = (bounds.bytes / SLACK_SHARE).min(SLACK_MAX).cast_signed();
        let mut misses = 0;
        let room = loop {
            match self.round(keyspace, session, scope, by, excess + slack, bounds.keys > 0) {
                Turn::Gone => {}
                Turn::Missed => misses += 1,
                Turn::Stopped => break Room::Blocked,
                Turn::Nothing if excess <= reserve.cast_signed() => break Room::Enough,
                Turn::Nothing => {
                    break self.free_names(keyspace, session, bounds, wanted, patience);
                }
            }
            excess = self::excess(keyspace, session, bounds, headroom);
            if excess + slack <= 0 {
                self.allowance.renew(bounds, excess.unsigned_abs(), threads);
                break Room::Enough;
            }
            if misses > MISSES_MAX || patience.is_some_and(|patience| start.elapsed() >= patience) {
                break if excess <= 0 { Room::Enough } else { Room::Short };
            }
        };
        self.evicted.time += start.elapsed();
        if by == Score::Ahe {
            keyspace.eviction().ahe.learn_if_due(session.now());
        }
        room
    }

    /// Frees what the names of absent keys take, when no key may go.
    fn free_names(
        &mut self,
        keyspace: &Keyspace,
        session: &Session<'_>,
        bounds: Bounds,
        headroom: u64,
        patience: Option<Duration>,
    ) -> Room {
        let start = Instant::now();
        // Each turn cleans some segments, of which there is a fixed number.
        while self.clean(keyspace, session) {
            if excess(keyspace, session, bounds, headroom) <= 0 {
                return Room::Enough;
            }
            if patience.is_some_and(|patience| start.elapsed() >= patience) {
                break;
            }
        }
        Room::None
    }

    /// A round of victims, until this thread has freed so many bytes, or (for a bound of keys) one
    /// is gone.
    fn round(
        &mut self,
        keyspace: &Keyspace,
        session: &mut Session<'_>,
        scope: Scope,
        by: Score,
        excess: i64,
        is_one: bool,
    ) -> Turn {
        if !session.may_expire() {
            return Turn::Stopped;
        }
        session.renew();
        let session = &*session;
        let Some(database) = self.choose_database(keyspace, session, scope) else {
            return Turn::Nothing;
        };
        let expected = excess / self.mean_bytes.max(1) + 1;
        let victims = if is_one { 1 } else { expected.clamp(1, ROUND) as usize };
        self.clean_one(keyspace, session, database);
        let hunt = Hunt {
            keyspace,
            session,
            moment: Moment::new(keyspace.eviction(), by, session.seconds(), session.now()),
            only_expiring: scope == Scope::Volatile,
        };
        let mut round = Round::new(&hunt, &mut self.dice, &self.kept);
        self.search = round.sample(database, victims, self.search);
        let before = gauge::thread_bytes();
        for victim in 0..victims {
            // Asked between victims only: in models there is one.
            let is_enough = || before - gauge::thread_bytes() >= excess;
            if victim > 0 && (is_enough() || !session.may_expire()) {
                break;
            }
            round.turn(victim);
        }
        let Outcome { keys, bytes, expired } = round.end(&mut self.kept);
        self.evicted.keys += keys;
        self.evicted.bytes += bytes;
        if let Some(mean) = bytes.checked_div(keys) {
            self.mean_bytes = mean.cast_signed();
        }
        if keys > 0 || expired > 0 {
            return Turn::Gone;
        }
        // The weights may be old.
        self.weights.clear();
        Turn::Missed
    }

    /// Looks at a random segment, and cleans it if many names of absent keys are in the way in all
    /// of them. Segments are cleaned by themselves when a third is dead, each in its time, so that
    /// a sixth is dead at a time. When many keys go at once, all segments would get there at the
    /// same time, and until then hardly any memory would come back.
    fn clean_one(&mut self, keyspace: &Keyspace, session: &Session<'_>, database: usize) {
        let database = keyspace.database(database);
        let Some(table) = database.current(session) else { return };
        let place = self.dice.u64(..);
        let dead = table.dead_percent(place, &session.guard);
        self.dead_percent += (dead as f64 - self.dead_percent) / DEAD_MEAN_OF;
        if self.dead_percent > DEAD_PERCENT_MAX && dead as f64 >= self.dead_percent {
            table.clean_at(place, &session.guard);
        }
    }

    /// Cleans segments of names of absent keys, when nothing else is left to give memory back; at
    /// most so often, since it looks at all of them. True if it has cleaned any.
    fn clean(&mut self, keyspace: &Keyspace, session: &Session<'_>) -> bool {
        let is_due = self.cleaned.is_none_or(|then| then.elapsed() >= CLEAN_INTERVAL);
        if !is_due {
            return false;
        }
        let databases = (0..keyspace.databases()).map(|index| keyspace.database(index));
        let cleaned = databases.map(|database| database.clean(session)).sum::<usize>();
        self.cleaned = (cleaned == 0).then(Instant::now);
        cleaned > 0
    }

    /// Chooses a database as often as it has keys that may go; `None` if no one has any.
    fn choose_database(
        &mut self,
        keyspace: &Keyspace,
        session: &Session<'_>,
        scope: Scope,
    ) -> Option<usize> {
        if self.weights.is_empty() || self.rounds.is_multiple_of(WEIGHED_ROUNDS) {
            self.weigh(keyspace, session, scope);
        }
        self.rounds = self.rounds.wrapping_add(1);
        if let [(only, _)] = self.weights[..] {
            return Some(only);
        }
        let all: u64 = self.weights.iter().map(|(_, keys)| keys).sum();
        let mut chosen = if all == 0 { 0 } else { self.dice.u64(..all) };
        let found = self.weights.iter().find(|(_, keys)| {
            let is_it = chosen < *keys;
            chosen = chosen.saturating_sub(*keys);
            is_it
        });
        found.map(|(index, _)| *index)
    }

    /// Counts the keys that may go, and notes how many of them there will be room for, judged by
    /// what those take that there are.
    fn weigh(&mut self, keyspace: &Keyspace, session: &Session<'_>, scope: Scope) {
        let weights = (0..keyspace.databases()).map(|index| {
            let database = keyspace.database(index);
            let keys = match scope {
                Scope::AllKeys => database.len(session),
                Scope::Volatile => database.expiring(session),
            };
            (index, keys)
        });
        self.weights.clear();
        self.weights.extend(weights.filter(|(_, keys)| *keys > 0));
        let keys: u64 = self.weights.iter().map(|(_, keys)| keys).sum();
        let bounds = Bounds::of(keyspace.eviction().settings());
        self.capacity = gauge::capacity(keyspace, bounds, keys);
    }
}

/// How far the keyspace is over a bound, in bytes or keys; not positive if it is not.
fn excess(keyspace: &Keyspace, session: &Session<'_>, bounds: Bounds, headroom: u64) -> i64 {
    let over = |used: u64, bound: u64| match bound {
        0 => i64::MIN,
        bound => used.cast_signed().saturating_sub(i64::try_from(bound).unwrap_or(i64::MAX)),
    };
    let keys = if bounds.keys > 0 { gauge::keys(keyspace, session) } else { 0 };
    let bytes = over(gauge::used_bytes(keyspace), bounds.bytes);
    bytes.saturating_add(headroom.cast_signed()).max(over(keys, bounds.keys))
}
