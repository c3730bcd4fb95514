//! Planted bugs: what proves that the models can fail.
//!
//! A model that has never been red says nothing. So each protocol has a place where a test may
//! break it on purpose: a hook asks [`is`] whether its fault is planted and then leaves out the
//! step, or weakens the ordering, that the protocol depends on. The tests in `loom-tests` plant one
//! fault at a time and expect the model to fail.
//!
//! Outside model checkers [`is`] is a constant `false` and the hooks compile to nothing.

use super::Ordering;

/// A deliberate fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Planted {
    /// A slot is marked MOVED before its record stands in the next array.
    FinishBeforeCopy,
    /// A copy takes the named absence of its key for some other key's slot.
    NamelessAbsence,
    /// A key is changed in the next array while its slot in the old one still shows its record.
    MutateBeforeMoved,
    /// A copy that meets FROZEN or MOVED goes on probing.
    CopyPastFrozen,
    /// An EMPTY slot is left unfrozen by a migration.
    EmptyNotFrozen,
    /// A probe takes a MOVED tag match for its own key and does not look further.
    StopAtMovedTag,
    /// A record is retired before the compare-and-swap that unlinks it.
    RetireBeforeUnlink,
    /// A counter is not frozen before its record is replaced.
    CounterNotFrozen,
    /// A lost claim of an EMPTY slot is taken for a success.
    LostClaimIgnored,
    /// A slot's compare-and-swap does not release what it publishes.
    RelaxedPublish,
    /// An array becomes the root without releasing the copies in it.
    RelaxedPromote,
    /// A chunk is marked done without releasing its copies.
    RelaxedDone,
    /// A migration is published without releasing its target.
    RelaxedBegin,
    /// A chunk is marked done before its slots are final.
    DoneBeforeMoved,
    /// An array is retired while it is still the root.
    RetireArrayBeforeSwap,
    /// Room in an append buffer is claimed by a load and a store.
    ClaimNotExclusive,
    /// A claim whose record was not published is not given back.
    ClaimNotGivenBack,
    /// A counter is changed by a load and a store.
    CounterNotExclusive,
    /// A commit takes its place in the log after it is decided.
    TicketAfterDecision,
    /// A commit does not stop the counters that it replaces.
    CommitWithoutFreeze,
    /// Whether a commit is decided is asked before the slot's word is loaded.
    StatusBeforeWord,
    /// A commit that has failed copies a counter without stopping it.
    RollBackWithoutFreeze,
    /// An absence is not told from another one of the same key.
    AbsenceWithoutName,
    /// A transaction's commit leaves out the keys that it only read.
    ReadsNotInstalled,
    /// A walk for a snapshot takes what a commit after its ticket has come to.
    WalkTakesNew,
    /// Keys that were looked at are not compared with what they are in the end.
    LooksNotCompared,
    /// A look at an intent is compared by its word.
    IntentCompared,
    /// An intent is frozen and moved like any other record.
    IntentFrozen,
    /// A key past its deadline is removed without another look at it.
    ExpireWithoutLook,
    /// A removal takes its place in the log after it has taken place.
    RemovalTicketLate,
    /// A victim is removed without another look at it.
    EvictWithoutLook,
    /// A walk over a migrating segment looks at the next array before this one.
    WalkNextFirst,
    /// SWAPDB frees the old order at once.
    SwapWithoutGrace,
    /// SWAPDB puts the new order in place by a store.
    SwapNotExclusive,
    /// SWAPDB does not release the new order.
    RelaxedSwap,
    /// FLUSH frees the old generation at once.
    FlushWithoutGrace,
    /// FLUSH takes the generation by a load and a store.
    FlushBySeparateSteps,
    /// A record is put on the pile of kept ones without releasing it.
    RelaxedKeep,
    /// A snapshot does not wait for changes that have earlier tickets.
    SnapshotWithoutFirstGrace,
    /// A snapshot does not wait for images that are on their way.
    SnapshotWithoutSecondGrace,
    /// A snapshot takes its ticket before it is armed.
    SnapshotArmedLate,
    /// A logged counter is changed in place in both directions.
    CounterTurns,
    /// A counter that a snapshot needs is changed in place.
    AddToImage,
    /// Whether a snapshot needs a record is asked after the record has left its slot.
    ImageJudgedLate,
    /// How far a snapshot's walk is, is read in the order in which it was written.
    WalkedHashFirst,
    /// A change takes its ticket before it reads what it builds on.
    TicketBeforeRead,
    /// A change takes its ticket after it has taken place.
    TicketAfterChange,
    /// What replaces a key past its deadline is logged as a change of the key.
    ExpiredBuiltUpon,
    /// The position that a reply exposes is taken before what it shows is read.
    ExposedEarly,
    /// A session is renewed in a block of the log.
    BlockRenewed,
    /// An entry of the ring is published without releasing its payload.
    RelaxedEntry,
    /// The consumer looks at an entry's state without acquiring its payload.
    RelaxedTake,
    /// The consumer gives slots back without releasing its reads of them.
    RelaxedRelease,
    /// A producer writes to its slots without acquiring that the consumer is done with them.
    RelaxedRoom,
    /// A producer writes to its slots without asking whether they are free.
    RoomNotAwaited,
    /// A producer that waits for its slots does not wake the consumer.
    RoomWithoutWake,
    /// A place in the ring is taken by a load and a store.
    TicketNotExclusive,
    /// A ticket is taken without acquiring what was done before earlier ones.
    RelaxedTicket,
    /// An entry that came to nothing is not published as void.
    VoidNotPublished,
    /// An entry that came to nothing does not wake the consumer.
    VoidWithoutWake,
    /// The consumer sleeps without another look after it has said so.
    SleepWithoutLook,
    /// The consumer sleeps without a fence between saying so and the other look.
    SleepWithoutFence,
    /// A producer looks whether the consumer sleeps without a fence after its publication.
    WakeWithoutFence,
    /// A batch looks whether somebody has the exclusion before it says that it is in.
    LookBeforeWord,
    /// A batch looks whether somebody has the exclusion without a fence after it has said so.
    BatchWithoutFence,
    /// Who takes the exclusion looks at the batches without a fence in between.
    OwnerWithoutFence,
    /// A batch leaves without releasing its changes.
    RelaxedLeave,
    /// A batch that is turned away does not release the changes of those before it.
    RelaxedTurnAway,
    /// The exclusion is given back without releasing the changes made in it.
    RelaxedGiveBack,
    /// A batch begins without acquiring what was done under the exclusion.
    OwnerNotAcquired,
    /// Who has the exclusion finds a batch out without acquiring its changes.
    BatchNotAcquired,
}

#[cfg(any(loom, shuttle))]
thread_local! {
    /// The fault planted in the models that this thread runs. Model checkers run all threads of a
    /// model on the thread that started it, so tests that run side by side do not disturb another.
    static PLANTED: std::cell::Cell<Option<Planted>> = const { std::cell::Cell::new(None) };
}

/// Plants a fault, or none, in the models that this thread runs from now on.
#[cfg(any(loom, shuttle))]
pub fn plant(fault: Option<Planted>) {
    PLANTED.set(fault);
}

/// Whether a fault is planted.
#[cfg(any(loom, shuttle))]
pub fn is(fault: Planted) -> bool {
    PLANTED.get() == Some(fault)
}

/// Whether a fault is planted: never outside model checkers.
#[cfg(not(any(loom, shuttle)))]
#[inline(always)]
pub const fn is(_: Planted) -> bool {
    false
}

/// The ordering that the protocol needs, or none if its absence is planted.
#[inline(always)]
pub fn ordering(needed: Ordering, weakened_by: Planted) -> Ordering {
    if is(weakened_by) { Ordering::Relaxed } else { needed }
}
