//! A round of victims, under one pin.
//!
//! The samples of all victims of a round are taken together, so that the memory brings near at the
//! same time what they will look at: with millions of keys an eviction is little else than waiting
//! for memory. Then one victim is chosen after the other: its sample is offered to the pool, the
//! best of the pool goes.

use super::moment::Moment;
use super::pool::{Candidate, Kept, POOL_MAX, Pool};
use super::{ahe, random};
use crate::config::Score;
use crate::record::{Key, RecordRef};
use crate::store::{Keyspace, Session};
use crate::table::{SAMPLE_MAX, Sample};

/// Slots that one search looks at, when keys that may go are rare.
const SEARCH_SLOTS: usize = 4096;

/// Victims whose samples are taken in one run of slots: a place costs more than a key.
const SHARED: usize = 4;

/// Keys that AHE looks at in one run of slots, whatever `maxmemory-samples` says.
const AHE_RUN: usize = 8;

/// Candidates that AHE carries over to the next victim.
const AHE_CARRIED: usize = 8;

/// What is the same for all candidates.
pub(super) struct Hunt<'h, 'l> {
    pub(super) keyspace: &'h Keyspace,
    pub(super) session: &'h Session<'l>,
    pub(super) moment: Moment<'h>,
    pub(super) only_expiring: bool,
}

/// What has become of a round.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outcome {
    /// Keys evicted.
    pub(super) keys: u64,
    /// Bytes that they took.
    pub(super) bytes: u64,
    /// Keys removed because their deadline had passed.
    pub(super) expired: u64,
}

pub(super) struct Round<'r, 'h, 'l> {
    hunt: &'r Hunt<'h, 'l>,
    dice: &'r mut fastrand::Rng,
    pool: Pool<'r>,
    /// The database that is sampled.
    database: usize,
    /// Records of all victims' samples, so many for each.
    samples: Vec<RecordRef<'r>>,
    per_victim: usize,
    /// For AHE: keys that were inserted lately, some for each victim, and where each one's end.
    newcomers: Vec<(u16, u64)>,
    newcomers_ends: Vec<usize>,
    outcome: Outcome,
}

impl<'r, 'h, 'l> Round<'r, 'h, 'l> {
    /// Begins with the candidates that earlier rounds have left.
    pub(super) fn new(hunt: &'r Hunt<'h, 'l>, dice: &'r mut fastrand::Rng, kept: &[Kept]) -> Self {
        let mut round = Self {
            hunt,
            dice,
            pool: Pool::new(),
            database: 0,
            samples: Vec::new(),
            per_victim: 1,
            newcomers: Vec::new(),
            newcomers_ends: Vec::new(),
            outcome: Outcome::default(),
        };
        for known in kept {
            if let Some(record) = round.look_up(known.database, known.hash, u64::MAX)
                && record.version() == known.version
            {
                round.offer(known.database, record);
            }
        }
        round
    }

    /// Takes a sample for each of so many victims. `search` is where an earlier one has found
    /// nothing so far, 0 if it has; returns where the next is to go on.
    pub(super) fn sample(&mut self, database: usize, victims: usize, search: u64) -> u64 {
        let Hunt { keyspace, session, moment, only_expiring } = self.hunt;
        self.database = database;
        let count = match moment.by {
            Score::Ahe => AHE_RUN,
            // Any will do.
            Score::Random => 1,
            _ => keyspace.eviction().settings().samples() as usize,
        };
        let (runs, shared) = (victims.div_ceil(SHARED), victims.min(SHARED));
        self.per_victim = count.clamp(1, SAMPLE_MAX / SHARED);
        let count = self.per_victim * shared;
        let sample = Sample { count, only_expiring: *only_expiring, slots_max: SEARCH_SLOTS };
        let mut places = [0; super::evictor::ROUND as usize];
        places.iter_mut().for_each(|place| *place = self.dice.u64(..));
        if search > 0 {
            // The last: where its search ends is what is returned.
            places[runs - 1] = search;
        }
        let database = keyspace.database(database);
        let Some(table) = database.current(session) else {
            return 0;
        };
        self.samples.reserve(runs * count);
        let next = table.sample(sample, &places[..runs], &session.guard, &mut self.samples);
        if moment.by == Score::Ahe {
            self.gather_newcomers(victims);
        }
        // Where keys that may go are rare, the search goes on where this one has ended. The last
        // bit says which array of a migrating segment is looked at: all may be in one.
        if self.samples.is_empty() { next | self.dice.u64(..2) } else { 0 }
    }

    fn gather_newcomers(&mut self, victims: usize) {
        let Hunt { keyspace, session, moment, .. } = self.hunt;
        for _ in 0..victims {
            moment.ahe.recent(&mut self.newcomers);
            self.newcomers_ends.push(self.newcomers.len());
        }
        let database = keyspace.database(self.database);
        let hashes: Vec<u64> = self.newcomers.iter().map(|(_, hash)| *hash).collect();
        // As many at a time as a core can have under way, or little more.
        hashes.chunks(32).for_each(|hashes| database.prefetch(session, hashes));
    }

    /// Evicts one key, if it finds one that may go. What has met its deadline goes instead of one
    /// that lives.
    pub(super) fn turn(&mut self, victim: usize) {
        let expired = self.outcome.expired;
        self.offer_sample(victim);
        if self.outcome.expired > expired {
            return;
        }
        let by = self.hunt.moment.by;
        if victim < self.newcomers_ends.len() {
            self.offer_newcomers(victim);
        }
        self.evict_best();
        match by {
            Score::Ahe => {
                self.pool.keep(AHE_CARRIED);
                let moment = &self.hunt.moment;
                self.pool.score_again(|record| moment.score(record));
            }
            Score::Random => self.pool.clear(),
            _ => {}
        }
    }

    /// Ends the round, and keeps the candidates that are left.
    pub(super) fn end(self, kept: &mut Vec<Kept>) -> Outcome {
        kept.clear();
        kept.extend(self.pool.kept());
        self.outcome
    }

    fn offer_sample(&mut self, victim: usize) {
        let Hunt { keyspace, session, .. } = self.hunt;
        let start = victim * self.per_victim;
        for index in start..self.samples.len().min(start + self.per_victim) {
            let record = self.samples[index];
            if session.is_over(record) {
                let key = Key { bytes: record.key(), hash: record.hash() };
                let expired = keyspace.database(self.database).expire(session, key);
                self.outcome.expired += u64::from(expired);
            } else {
                self.offer(self.database, record);
            }
        }
    }

    fn offer_newcomers(&mut self, victim: usize) {
        let start = victim.checked_sub(1).map_or(0, |before| self.newcomers_ends[before]);
        for index in start..self.newcomers_ends[victim] {
            let (database, hash) = self.newcomers[index];
            if let Some(record) = self.look_up(usize::from(database), hash, ahe::KEPT_BITS) {
                self.offer(usize::from(database), record);
            }
        }
    }

    /// The record of a key that may go, by those bits of its hash.
    fn look_up(&self, database: usize, hash: u64, mask: u64) -> Option<RecordRef<'r>> {
        let Hunt { keyspace, session, only_expiring, .. } = self.hunt;
        if database >= keyspace.databases() {
            return None;
        }
        let table = keyspace.database(database).current(session)?;
        let found = table.find_hash(hash, mask, &session.guard);
        found.filter(|record| !only_expiring || record.has_deadline())
    }

    fn offer(&mut self, database: usize, record: RecordRef<'r>) {
        let score = match self.hunt.moment.by {
            Score::Random => random::score(self.dice),
            _ => self.hunt.moment.score(record),
        };
        self.pool.offer(Candidate { score, database, record });
    }

    /// Evicts the best candidate that is still there.
    fn evict_best(&mut self) {
        let Hunt { keyspace, session, moment, .. } = self.hunt;
        // Each turn drops a candidate or puts it back where it belongs now.
        for _ in 0..=2 * POOL_MAX {
            let Some(best) = self.pool.pop() else { return };
            let record = best.record;
            let score = match moment.by {
                Score::Random => best.score,
                _ => moment.score(record),
            };
            if score < best.score && self.pool.best_score().is_some_and(|next| score < next) {
                // It was used since.
                self.pool.offer(Candidate { score, ..best });
                continue;
            }
            let (usage, bytes) = (record.usage(), record.taken_size());
            let value = moment.ahe.value(usage, None);
            session.bring_ghost(best.database, record.hash());
            if keyspace.database(best.database).evict(session, record) {
                self.outcome.keys += 1;
                self.outcome.bytes += bytes as u64;
                session.note_evicted(best.database, record.hash(), usage, value);
                return;
            }
        }
    }
}
