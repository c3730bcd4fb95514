//! One thread's means of making room.

use super::Eviction;
use super::ahe;
use super::gauge::{self, Allowance, Bounds};
use super::moment::Moment;
use super::policy::{Policy, Scope, Score};
use super::pool::{Candidate, POOL_MAX, Pool};
use crate::record::{Key, RecordRef};
use crate::store::{Keyspace, Session};
use crate::table::{SAMPLE_MAX, Sample};
use std::time::{Duration, Instant};

/// Whether there is room for more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Room {
    /// There is.
    Enough,
    /// Not yet: the time was up, but there are keys that may go.
    Short,
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

/// Victims after which the whole is summed again, the time is looked at, and the weights of the
/// databases are.
const ROUND: u32 = 16;

/// Slots that one search looks at, when keys that may go are rare.
const SEARCH_SLOTS: usize = 4096;

/// The part of the bound that is freed beyond it, so that not every command has to ask, and its
/// greatest size: some hundred small keys.
const SLACK_SHARE: u64 = 4096;
const SLACK_MAX: u64 = 16 << 10;

/// The part of the bound that is kept free in the background, and its greatest size.
const HEADROOM_SHARE: u64 = 512;
const HEADROOM_MAX: u64 = 1 << 20;

/// Rounds in which nothing was found, although there is something, after which a request gives up.
const MISSES_MAX: u32 = 64;

/// Keys that AHE looks at in one run of slots, whatever `maxmemory-samples` says.
const AHE_RUN: usize = 8;

/// Keys that AHE carries over to the next victim.
const AHE_CARRIED: usize = 8;

/// A thread's candidates and its allowance.
#[derive(Debug)]
pub struct Evictor {
    dice: fastrand::Rng,
    pool: Pool,
    /// The policy that the pool is of.
    policy: Policy,
    allowance: Allowance,
    /// How many keys of each database may go, where there are any.
    weights: Vec<(usize, u64)>,
    /// Where the search for rare keys goes on.
    search: u64,
    turns: u32,
    /// How many keys there is room for.
    capacity: u64,
    evicted: Evicted,
}

impl Default for Evictor {
    fn default() -> Self {
        Self {
            dice: fastrand::Rng::new(),
            pool: Pool::default(),
            policy: Policy::NoEviction,
            allowance: Allowance::default(),
            weights: Vec::new(),
            search: 0,
            turns: 0,
            capacity: 0,
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
    /// that size, so it is to be called while not pinned.
    #[inline]
    pub fn tell_capacity(&mut self, eviction: &Eviction) {
        let capacity = std::mem::take(&mut self.capacity);
        if capacity > 0 && eviction.settings().policy().score() == Some(Score::Ahe) {
            eviction.ahe.set_capacity(capacity);
        }
    }

    /// Makes room for a command that may take memory. Not within a transaction.
    #[inline]
    pub fn make_room(&mut self, keyspace: &Keyspace, session: &mut Session<'_>) -> Room {
        let settings = keyspace.eviction().settings();
        let bounds = Bounds::of(settings);
        if bounds == Bounds::default() || self.allowance.is_left(bounds) {
            return Room::Enough;
        }
        self.free(keyspace, session, bounds, 0, settings.patience())
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
        if bounds == Bounds::default() || settings.policy() == Policy::NoEviction {
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
        let mut excess = excess(keyspace, session, bounds, headroom);
        if excess <= 0 {
            if let Policy::Evict(scope, _) = policy {
                self.weigh(keyspace, session, scope);
            }
            self.allowance.renew(bounds, excess.unsigned_abs(), threads);
            return Room::Enough;
        }
        let Policy::Evict(scope, by) = policy else {
            return Room::None;
        };
        if policy != self.policy {
            self.policy = policy;
            self.pool.clear();
            self.weights.clear();
        }
        let start = Instant::now();
        let slack = (bounds.bytes / SLACK_SHARE).min(SLACK_MAX).cast_signed();
        let mut misses = 0;
        let room = loop {
            match self.turns(keyspace, session, scope, by, excess + slack, bounds.keys > 0) {
                Turn::Gone => {}
                Turn::Missed => misses += 1,
                Turn::Stopped => break Room::Short,
                Turn::Nothing => break Room::None,
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
        keyspace.eviction().ahe.learn_if_due(session.now());
        room
    }

    /// A round of victims: until this thread has freed so many bytes, or (of a bound of keys) one
    /// is gone.
    fn turns(
        &mut self,
        keyspace: &Keyspace,
        session: &mut Session<'_>,
        scope: Scope,
        by: Score,
        excess: i64,
        is_one: bool,
    ) -> Turn {
        let before = gauge::thread_bytes();
        let mut found = false;
        for _ in 0..ROUND {
            session.renew();
            match self.turn(keyspace, session, scope, by) {
                Turn::Gone => found = true,
                Turn::Missed => {}
                end => return end,
            }
            if is_one || before - gauge::thread_bytes() >= excess {
                break;
            }
        }
        if found { Turn::Gone } else { Turn::Missed }
    }

    /// Evicts one key.
    fn turn(
        &mut self,
        keyspace: &Keyspace,
        session: &Session<'_>,
        scope: Scope,
        by: Score,
    ) -> Turn {
        if !session.may_expire() {
            return Turn::Stopped;
        }
        let Some(database) = self.choose_database(keyspace, session, scope) else {
            return Turn::Nothing;
        };
        let hunt = Hunt {
            keyspace,
            session,
            moment: Moment::new(keyspace.eviction(), by, session.seconds(), session.now()),
            only_expiring: scope == Scope::Volatile,
        };
        let expired = self.sample(&hunt, database);
        if by == Score::Ahe {
            self.recall(&hunt);
        }
        let evicted = self.evict_best(&hunt);
        match by {
            Score::Ahe => self.pool.keep(AHE_CARRIED),
            Score::Random => self.pool.clear(),
            _ => {}
        }
        if evicted || expired {
            return Turn::Gone;
        }
        // The weights may be old.
        self.weights.clear();
        Turn::Missed
    }

    /// Chooses a database as often as it has keys that may go; `None` if no one has any.
    fn choose_database(
        &mut self,
        keyspace: &Keyspace,
        session: &Session<'_>,
        scope: Scope,
    ) -> Option<usize> {
        if self.weights.is_empty() || self.turns.is_multiple_of(4 * ROUND) {
            self.weigh(keyspace, session, scope);
        }
        self.turns = self.turns.wrapping_add(1);
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

    /// Offers some keys in adjacent slots. True if one of them was past its deadline and has gone.
    fn sample(&mut self, hunt: &Hunt<'_, '_>, index: usize) -> bool {
        let Hunt { keyspace, session, moment, only_expiring } = hunt;
        let database = keyspace.database(index);
        let Some(table) = database.current(session) else {
            return false;
        };
        let count = match moment.by {
            Score::Ahe => AHE_RUN,
            _ => keyspace.eviction().settings().samples() as usize,
        };
        let from = if self.search > 0 { self.search } else { self.dice.u64(..) };
        let (only_expiring, slots_max) = (*only_expiring, SEARCH_SLOTS);
        let sample = Sample { from, count, only_expiring, slots_max };
        let mut records = Vec::with_capacity(count.min(SAMPLE_MAX));
        let next = table.sample(sample, &session.guard, &mut records);
        // Where keys that may go are rare, the search goes on where this one has ended. The last
        // bit says which array of a migrating segment is looked at: all may be in one.
        self.search = if records.is_empty() { next | self.dice.u64(..2) } else { 0 };
        let mut expired = false;
        for record in records {
            if session.is_over(record) {
                expired |= database.expire(session, key_of(record));
            } else {
                self.offer(moment, index, record);
            }
        }
        expired
    }

    fn offer(&mut self, moment: &Moment<'_>, database: usize, record: RecordRef<'_>) {
        let score = moment.score(record, &mut self.dice);
        let (hash, version) = (record.hash(), record.version());
        self.pool.offer(Candidate { score, database, hash, version });
    }

    /// Offers again, as they are now, the candidates that were carried over, and keys that were
    /// inserted lately.
    fn recall(&mut self, hunt: &Hunt<'_, '_>) {
        let Hunt { keyspace, session, moment, only_expiring } = hunt;
        let mut wanted = Vec::with_capacity(2 * AHE_CARRIED);
        moment.ahe.recent(&mut wanted);
        let newcomers = wanted.len();
        // A database beyond 2^16 has its newcomers under another number, where they are not found.
        let carried = self.pool.all().iter().map(|known| (known.database as u16, known.hash));
        wanted.extend(carried);
        self.pool.clear();
        let hashes: Vec<u64> = wanted.iter().map(|(_, hash)| *hash).collect();
        if let [(only, _)] = self.weights[..] {
            keyspace.database(only).prefetch(session, &hashes);
        }
        for (number, (index, hash)) in wanted.into_iter().enumerate() {
            let index = usize::from(index);
            if index >= keyspace.databases() {
                continue;
            }
            let mask = if number < newcomers { ahe::KEPT_BITS } else { u64::MAX };
            let table = keyspace.database(index).current(session);
            let record = table.and_then(|table| table.find_hash(hash, mask, &session.guard));
            let may_go = |record: &RecordRef<'_>| !only_expiring || record.has_deadline();
            if let Some(record) = record.filter(may_go) {
                self.offer(moment, index, record);
            }
        }
    }

    /// Evicts the best candidate that is still there.
    fn evict_best(&mut self, hunt: &Hunt<'_, '_>) -> bool {
        let Hunt { keyspace, session, moment, only_expiring } = hunt;
        // Each turn drops a candidate or puts it back where it belongs now.
        for _ in 0..=2 * POOL_MAX {
            let Some(best) = self.pool.pop() else {
                return false;
            };
            let database = keyspace.database(best.database);
            let table = database.current(session);
            let found = table.and_then(|it| it.find_hash(best.hash, u64::MAX, &session.guard));
            let Some(record) = found.filter(|record| record.version() == best.version) else {
                continue;
            };
            if *only_expiring && !record.has_deadline() {
                continue;
            }
            let score = match moment.by {
                Score::Random => best.score,
                _ => moment.score(record, &mut self.dice),
            };
            if score < best.score && self.pool.best_score().is_some_and(|next| score < next) {
                // It was used since.
                self.pool.offer(Candidate { score, ..best });
                continue;
            }
            let (usage, bytes) = (record.usage(), record.taken_size());
            let value = moment.ahe.value(usage, None);
            if database.evict(session, record) {
                self.evicted.keys += 1;
                self.evicted.bytes += bytes as u64;
                session.note_evicted(best.database, best.hash, usage, value);
                return true;
            }
        }
        false
    }
}

/// What is the same for all candidates for a victim.
struct Hunt<'h, 'l> {
    keyspace: &'h Keyspace,
    session: &'h Session<'l>,
    moment: Moment<'h>,
    only_expiring: bool,
}

fn key_of(record: RecordRef<'_>) -> Key<'_> {
    Key { bytes: record.key(), hash: record.hash() }
}

/// How far the keyspace is over a bound, in bytes or keys; not positive if it is not.
fn excess(keyspace: &Keyspace, session: &Session<'_>, bounds: Bounds, headroom: u64) -> i64 {
    let over = |used: u64, bound: u64| match bound {
        0 => i64::MIN,
        bound => used.cast_signed() - bound.saturating_sub(headroom).cast_signed(),
    };
    let keys = if bounds.keys > 0 { gauge::keys(keyspace, session) } else { 0 };
    over(gauge::used_bytes(keyspace), bounds.bytes).max(over(keys, bounds.keys))
}
