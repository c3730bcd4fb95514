//! Exclusive mode: one client runs its commands while nobody else runs any.
//!
//! An EXEC over the whole keyspace (it flushes, swaps, counts or lists) has no set of keys that a
//! commit could compare. It asks that all others stay out instead, which is the one place where
//! clients wait for each other; who does not use such an EXEC pays one fence a batch for it.
//!
//! # Protocol
//!
//! There is one *owner's word* in the keyspace: 0, or the number of the client that has the
//! exclusion. Each thread that runs batches is a [`Member`] with a word of its own:
//!
//! ```text
//!          enter, nobody has it                    enter, somebody else has it
//! OUT ───────────────────────────▶ IN     OUT ─────────▶ IN ─────────▶ TURNED_AWAY
//!  ▲                               │                                        │
//!  └───────────── leave ───────────┘      (as OUT, but says that it came)   └──▶ IN ...
//! ```
//!
//! * *A member* sets its word to IN, then looks at the owner's word. Somebody else's: it leaves at
//!   once and tries again later. Else the batch may run. Between two commands it looks again, and
//!   leaves when it is called out, so the owner waits for one command of each member at most.
//! * *The owner* takes the owner's word by compare-and-swap, then looks at all words until none but
//!   its own member's is IN. Then it is alone, and stays so until it gives the word back: whoever
//!   comes is turned away. It looks again when woken; it never waits in a batch.
//!
//! Between setting one word and looking at the other there is a SeqCst fence on either side, so one
//! of the two sees the other: a member whose fence comes first is seen IN by the owner; a member
//! whose fence comes second sees the word taken. So a member that was seen out once cannot come in
//! unseen later. Without one of the fences both looks may come before both stores, and both go on.
//!
//! What a batch has changed is released by leaving and acquired by the owner's look; what the owner
//! has changed is released by giving the word back and acquired by the look of who enters next.
//!
//! The linearization point of all that the owner does is any instant at which it was alone.
//!
//! # Who is not a member
//!
//! Whoever changes what keys hold, or tells the log, is in: batches, and the sweep of expired keys,
//! whose removals would else stand in the log behind the owner's one entry and take away what it
//! has set there. Outside are
//!
//! * the upkeep of tables, which moves records and changes nothing that a command can see;
//! * the walk of a snapshot, which only reads, and takes what changes while it goes on from those
//!   who make the changes; a change that has its ticket already keeps it waiting by its pin, so the
//!   owner must not renew its pin before all is done;
//! * the count of keys that is sampled for INFO;
//! * the replay of a log, during which no batch of a client finds a command that it may run.
//!
//! # Fairness
//!
//! A client that sends one such EXEC after the other could have the word again before anybody is
//! woken. So no one takes it while a member is marked as turned away, unless the last owner has
//! been gone for [`PATIENCE`]: the member's client may have gone away too.

use crossbeam_utils::CachePadded;

use crate::sync::atomic::{AtomicU64, Ordering, fence};
use crate::sync::plain;
use crate::sync::planted::{self, Planted};
use crate::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::fmt;
use std::time::{Duration, Instant};

/// The owner's word when nobody has the exclusion. Clients have numbers from 1 on.
pub const NOBODY: u64 = 0;

/// Not in a batch.
const OUT: u64 = 0;
/// In a batch, or about to find out that it may not be.
const IN: u64 = 1;
/// Not in a batch, since it had to leave the last one or did not get in.
const TURNED_AWAY: u64 = 2;

/// How long the word is left to those who were turned away. Twice the time after which a stalled
/// connection looks again even if nobody wakes it.
const PATIENCE: Duration = Duration::from_millis(2);

/// The exclusion of one keyspace.
pub struct Exclusion {
    /// [`NOBODY`], or the client that has it.
    owner: CachePadded<AtomicU64>,
    /// The words of all members. A lock, for joining, leaving for good, and owners: none of them is
    /// on the way of a request.
    words: Mutex<Vec<Arc<Word>>>,
    /// Called when the word is given back or a member has made way.
    bell: OnceLock<Box<dyn Fn() + Send + Sync>>,
    started: Instant,
    /// Microseconds from the start to the last time that the word was given back.
    given_back: plain::AtomicU64,
}

/// One member's word.
struct Word(CachePadded<AtomicU64>);

impl Word {
    /// Whether the member was not in a batch at the time of this look. With the owner's fence
    /// before it, it will not get into one.
    fn is_out(&self) -> bool {
        // Acquire, with the Release of `leave` and `turn_away`: what its batches have done has
        // happened.
        let acquire = planted::ordering(Ordering::Acquire, Planted::BatchNotAcquired);
        self.0.load(acquire) != IN
    }

    fn was_turned_away(&self) -> bool {
        // Relaxed: a matter of fairness only.
        self.0.load(Ordering::Relaxed) == TURNED_AWAY
    }

    /// Says IN. Only its member does.
    fn enter(&self) {
        // Relaxed: ordered by the member's fence.
        self.0.store(IN, Ordering::Relaxed);
    }

    /// Says OUT after a batch.
    fn leave(&self) {
        // Release, with the Acquire of `is_out`.
        self.0.store(OUT, planted::ordering(Ordering::Release, Planted::RelaxedLeave));
    }

    /// Takes IN back, before anything was done.
    fn turn_away(&self, now: u64) {
        // Release, with the Acquire of `is_out`: who finds this word instead of an earlier OUT must
        // have seen the batches before.
        self.0.store(now, planted::ordering(Ordering::Release, Planted::RelaxedTurnAway));
    }
}

impl Default for Exclusion {
    fn default() -> Self {
        Exclusion {
            owner: CachePadded::new(AtomicU64::new(NOBODY)),
            words: Mutex::default(),
            bell: OnceLock::new(),
            started: Instant::now(),
            given_back: plain::AtomicU64::new(0),
        }
    }
}

impl Exclusion {
    /// Makes the calling thread a member.
    pub fn join(self: &Arc<Self>) -> Member {
        let word = Arc::new(Word(CachePadded::new(AtomicU64::new(OUT))));
        self.words().push(Arc::clone(&word));
        Member { exclusion: Arc::clone(self), word }
    }

    /// Has `bell` called, by any thread, whenever somebody who waits should look again. The first
    /// one stays.
    pub fn on_change(&self, bell: Box<dyn Fn() + Send + Sync>) {
        // Only tests set a second one.
        let _ = self.bell.set(bell);
    }

    /// Takes the word for a client, if nobody has it.
    pub fn try_take(self: &Arc<Self>, client: u64) -> Option<Ownership> {
        debug_assert_ne!(client, NOBODY, "clients have numbers from 1 on");
        // Acquire, with the Release of the last owner, which may not have met this thread.
        self.owner.compare_exchange(NOBODY, client, Ordering::Acquire, Ordering::Relaxed).ok()?;
        if !planted::is(Planted::OwnerWithoutFence) {
            // Against `Member::enter`: forbids the look at the members' words to come before the
            // owner's word is taken.
            fence(Ordering::SeqCst);
        }
        Some(Ownership { exclusion: Arc::clone(self), client, is_alone: false })
    }

    /// Whether nobody has the word.
    pub fn is_free(&self) -> bool {
        // Relaxed: who acts on it looks again.
        self.owner.load(Ordering::Relaxed) == NOBODY
    }

    /// Whether the client has the word.
    pub fn is_of(&self, client: u64) -> bool {
        // Relaxed: a client's word is written by its own thread.
        self.owner.load(Ordering::Relaxed) == client
    }

    /// Whether a client of `own` may take the word: it is free, and others had their turn since.
    pub fn is_open(&self, own: &Member) -> bool {
        if !self.is_free() {
            return false;
        }
        let given_back = self.given_back.load(Ordering::Relaxed);
        let since = self.started.elapsed().saturating_sub(Duration::from_micros(given_back));
        since >= PATIENCE || !self.others(own).iter().any(|word| word.was_turned_away())
    }

    /// Whether no member but `own` was in a batch at the time of this look.
    pub fn is_quiet(&self, own: &Member) -> bool {
        self.others(own).iter().all(|word| word.is_out())
    }

    /// The words of all members but one. A copy, so that nothing is waited for under the lock.
    fn others(&self, own: &Member) -> Vec<Arc<Word>> {
        // A member that joins after this has seen, by way of the lock, the word taken.
        self.words().iter().filter(|word| !Arc::ptr_eq(word, &own.word)).cloned().collect()
    }

    fn words(&self) -> MutexGuard<'_, Vec<Arc<Word>>> {
        // A panic cannot leave the list half changed.
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cold]
    fn ring(&self) {
        if let Some(bell) = self.bell.get() {
            bell();
        }
    }
}

/// A thread that runs batches.
pub struct Member {
    exclusion: Arc<Exclusion>,
    word: Arc<Word>,
}

impl Member {
    /// Enters a batch of a client, or of [`NOBODY`] for what the server does by itself. `None` when
    /// another client has the exclusion; the bell rings when it may be tried again. To be called
    /// before the thread pins. A member is in one batch at a time.
    #[inline]
    pub fn enter(&self, client: u64) -> Option<Attendance<'_>> {
        // Relaxed: its own word.
        let before = self.word.0.load(Ordering::Relaxed);
        let early = planted::is(Planted::LookBeforeWord).then(|| self.owner());
        self.word.enter();
        if !planted::is(Planted::BatchWithoutFence) {
            // Against `Exclusion::try_take`: forbids the look at the owner's word to come before
            // the member's own is set.
            fence(Ordering::SeqCst);
        }
        let owner = early.unwrap_or_else(|| self.owner());
        if owner == NOBODY || owner == client {
            return Some(Attendance { member: self, client });
        }
        self.word.turn_away(if client == NOBODY { before } else { TURNED_AWAY });
        self.exclusion.ring();
        None
    }

    #[inline]
    fn owner(&self) -> u64 {
        // Acquire, with the Release of the owner that gave the word back.
        let acquire = planted::ordering(Ordering::Acquire, Planted::OwnerNotAcquired);
        self.exclusion.owner.load(acquire)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.exclusion.words().retain(|word| !Arc::ptr_eq(word, &self.word));
    }
}

/// A member's presence in a batch. Dropping it is leaving, also by a panic.
pub struct Attendance<'m> {
    member: &'m Member,
    client: u64,
}

impl Attendance<'_> {
    /// Whether another client wants to be alone: the batch ends after the command that it is at.
    #[inline]
    pub fn is_called_out(&self) -> bool {
        // Relaxed: nothing is done but to leave, and the owner waits for that.
        let owner = self.member.exclusion.owner.load(Ordering::Relaxed);
        owner != NOBODY && owner != self.client
    }

    /// The member that attends.
    pub fn member(&self) -> &Member {
        self.member
    }
}

impl Drop for Attendance<'_> {
    #[inline]
    fn drop(&mut self) {
        let called_out = self.is_called_out();
        if called_out {
            // Only clients are to have their turn before the next owner.
            self.member.word.turn_away(if self.client == NOBODY { OUT } else { TURNED_AWAY });
            // An owner that came too late to be seen here looks again after a while.
            self.member.exclusion.ring();
        } else {
            self.member.word.leave();
        }
    }
}

/// The owner's word in the hands of a client. Dropping it gives it back, also by a panic and when
/// the client is gone.
pub struct Ownership {
    exclusion: Arc<Exclusion>,
    client: u64,
    is_alone: bool,
}

impl Ownership {
    /// Looks whether nobody else is in a batch any more. Once it is so it stays so.
    #[must_use]
    pub fn try_be_alone(&mut self, own: &Member) -> bool {
        self.is_alone = self.is_alone || self.exclusion.is_quiet(own);
        self.is_alone
    }

    /// Whether it was found that nobody else is in a batch.
    pub fn is_alone(&self) -> bool {
        self.is_alone
    }
}

impl Drop for Ownership {
    fn drop(&mut self) {
        let exclusion = &self.exclusion;
        let now = u64::try_from(exclusion.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        // Relaxed: a matter of fairness only.
        exclusion.given_back.store(now, Ordering::Relaxed);
        // Release, with the Acquire of who enters or takes the word next.
        let release = planted::ordering(Ordering::Release, Planted::RelaxedGiveBack);
        exclusion.owner.store(NOBODY, release);
        exclusion.ring();
    }
}

impl fmt::Debug for Exclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exclusion").finish_non_exhaustive()
    }
}

impl fmt::Debug for Ownership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ownership { client, is_alone, .. } = self;
        f.debug_struct("Ownership")
            .field("client", client)
            .field("is_alone", is_alone)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::plain::AtomicBool;
    use std::thread;

    /// Two numbers that every batch raises together, not in one step.
    #[derive(Default)]
    struct Pair([plain::AtomicU64; 2]);

    impl Pair {
        fn raise(&self) {
            for number in &self.0 {
                // Relaxed, and not one step: whoever comes between is seen.
                number.store(number.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                std::hint::spin_loop();
            }
        }

        fn values(&self) -> [u64; 2] {
            [0, 1].map(|index| self.0[index].load(Ordering::Relaxed))
        }
    }

    #[test]
    fn an_owner_that_is_alone_sees_no_batch_half_done() {
        const MEMBERS: usize = 4;
        const TURNS: u64 = 500;
        let exclusion = Arc::new(Exclusion::default());
        // One pair a member: batches of different members go on at the same time.
        let pairs: [Pair; MEMBERS] = Default::default();
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for (number, pair) in pairs.iter().enumerate() {
                let member = exclusion.join();
                let stop = &stop;
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let Some(attendance) = member.enter(100 + number as u64) else {
                            thread::yield_now();
                            continue;
                        };
                        for _ in 0..50 {
                            pair.raise();
                            if attendance.is_called_out() {
                                break;
                            }
                        }
                    }
                });
            }
            let own = exclusion.join();
            let mut total = 0;
            for _ in 0..TURNS {
                let mut ownership = exclusion.try_take(1).expect("nobody else takes it");
                while !ownership.try_be_alone(&own) {
                    thread::yield_now();
                }
                let before = pairs.each_ref().map(Pair::values);
                thread::yield_now();
                let after = pairs.each_ref().map(Pair::values);
                assert_eq!(before, after, "a batch ran meanwhile");
                assert!(before.iter().all(|[first, second]| first == second), "{before:?}");
                total = before.iter().map(|[first, _]| first).sum();
                // The owner's own changes, in nobody's way.
                pairs.iter().for_each(Pair::raise);
                drop(ownership);
                thread::yield_now();
            }
            stop.store(true, Ordering::Relaxed);
            assert!(total > TURNS * MEMBERS as u64, "batches got their turns, too");
        });
    }

    #[test]
    fn one_client_has_it_and_the_others_are_turned_away() {
        let exclusion = Arc::new(Exclusion::default());
        let (own, other) = (exclusion.join(), exclusion.join());
        let mut ownership = exclusion.try_take(1).expect("it is free");
        assert!(exclusion.try_take(2).is_none());
        assert!(own.enter(2).is_none() && other.enter(3).is_none());
        assert!(own.enter(NOBODY).is_none());
        assert!(ownership.try_be_alone(&own));
        assert!(own.enter(1).is_some_and(|attendance| !attendance.is_called_out()));
        drop(ownership);
        assert!(exclusion.is_free());
        assert!(other.enter(3).is_some());
    }

    #[test]
    fn an_owner_waits_for_who_was_in_before() {
        let exclusion = Arc::new(Exclusion::default());
        let (own, other) = (exclusion.join(), exclusion.join());
        let batch = other.enter(2).expect("it is free");
        let mut ownership = exclusion.try_take(1).expect("it is free");
        assert!(!ownership.try_be_alone(&own));
        assert!(batch.is_called_out());
        drop(batch);
        assert!(ownership.try_be_alone(&own) && ownership.is_alone());
    }

    #[test]
    fn who_was_turned_away_comes_before_the_next_owner() {
        let exclusion = Arc::new(Exclusion::default());
        let (own, other) = (exclusion.join(), exclusion.join());
        let ownership = exclusion.try_take(1).expect("it is free");
        assert!(other.enter(2).is_none());
        drop(ownership);
        let came_back = thread::scope(|_| {
            // Unless this thread was held up for longer than the patience.
            let is_open = exclusion.is_open(&own);
            let since = exclusion.started.elapsed();
            let given_back = exclusion.given_back.load(Ordering::Relaxed);
            assert!(!is_open || since >= Duration::from_micros(given_back) + PATIENCE);
            other.enter(2).is_some()
        });
        assert!(came_back && exclusion.is_open(&own));
    }

    #[test]
    fn nobody_waits_for_long_for_a_client_that_does_not_come_back() {
        let exclusion = Arc::new(Exclusion::default());
        let (own, other) = (exclusion.join(), exclusion.join());
        drop(exclusion.try_take(1).map(|ownership| (other.enter(2).is_none(), ownership)));
        thread::sleep(PATIENCE);
        assert!(exclusion.is_open(&own));
    }

    #[test]
    fn a_batch_that_panics_has_left() {
        let exclusion = Arc::new(Exclusion::default());
        let (own, other) = (exclusion.join(), exclusion.join());
        let batch = std::panic::AssertUnwindSafe(|| {
            let _attendance = other.enter(2);
            panic!("a command that fails");
        });
        assert!(std::panic::catch_unwind(batch).is_err());
        assert!(exclusion.is_quiet(&own));
    }

    #[test]
    fn the_bell_rings_for_those_who_wait() {
        let exclusion = Arc::new(Exclusion::default());
        let rung = Arc::new(plain::AtomicU64::new(0));
        let counted = rung.clone();
        exclusion.on_change(Box::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        }));
        let rings = || rung.swap(0, Ordering::Relaxed);
        let member = exclusion.join();
        drop(member.enter(2));
        assert_eq!(rings(), 0, "nobody waits");
        let batch = member.enter(2);
        let ownership = exclusion.try_take(1);
        drop(batch);
        assert_eq!(rings(), 1, "the owner waits for the batch");
        drop(ownership);
        assert_eq!(rings(), 1, "others wait for the owner");
    }
}
