//! Carrying a commit out: installing its intents and deciding.

use super::super::journal::BlockJournal;
use super::super::slot::{Word, tag_of};
use super::super::write::Seat;
use super::super::{Place, Table};
use super::spot::Spot;
use super::{COMMITTED, Commit, Entry, Expected, LOOKS_PER_YIELD, READY, TICKET_SHIFT};
use crate::record::{Key, OwnedRecord, RecordRef};
use crate::ring;
use crate::sync::epoch::Guard;
use crate::sync::planted::{self, Planted};
use crate::sync::{Arc, spin_loop};

/// The owner at work: a panic fails the commit, so that nothing is done for it afterwards.
struct Owner<'c>(&'c Commit);

impl Drop for Owner<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.0.fail();
        }
    }
}

impl Commit {
    /// Waits a little for the decision.
    pub(super) fn await_decision(&self) -> bool {
        for look in 1..=self.patience {
            if self.status().is_decided() {
                return true;
            }
            if look % LOOKS_PER_YIELD == 0 {
                std::thread::yield_now();
            }
            spin_loop();
        }
        self.status().is_decided()
    }

    /// Helps migrations along and makes room for new keys while no intent stands: a migration that
    /// is begun or helped later meets the commit's own intents, and aborts it.
    fn prepare(&self, guard: &Guard<'_>) {
        let same = |a: &Entry, b: &Entry| {
            std::ptr::eq(a.table(), b.table()) && a.table().is_same_segment(a.hash, b.hash)
        };
        for run in self.entries.chunk_by(same) {
            let table = run[0].table();
            let _ = table.place(run[0].hash, guard, &mut false);
            if run.len() > 1 {
                let new = run.iter().filter(|entry| table.has_no_slot(entry.key(), guard));
                table.make_room_for(run[0].hash, new.count(), guard);
            }
        }
    }

    /// Installs all intents and leaves the commit undecided. False if it was decided meanwhile.
    pub(in crate::table) fn install_all(self: &Arc<Self>, guard: &Guard<'_>) -> bool {
        let _owner = Owner(self);
        self.prepare(guard);
        (0..self.entries.len()).all(|index| self.install(index, guard).is_some())
    }

    /// [`carry_out`](Commit::carry_out) by the owner, who leaves no intent behind.
    pub(in crate::table) fn carry_out_own(self: &Arc<Self>, guard: &Guard<'_>) {
        let _owner = Owner(self);
        if !self.was_open {
            self.prepare(guard);
        }
        if !self.carry_out(guard, true) {
            self.finish_all(guard);
        }
    }

    /// Carries the commit out, or finds it decided; then finishes what it has met of it. True if it
    /// has met all of it.
    pub(super) fn carry_out(self: &Arc<Self>, guard: &Guard<'_>, is_own: bool) -> bool {
        let mut spots = Vec::with_capacity(self.entries.len());
        for index in 0..self.entries.len() {
            match self.install(index, guard) {
                Some(spot) => spots.push(spot),
                None => break,
            }
        }
        let complete = spots.len() == self.entries.len();
        if complete {
            self.decide(is_own);
        }
        for spot in &spots {
            // Else somebody has finished it: nothing but that changes an intent's word.
            if spot.array.slot(spot.index).load() == spot.word {
                spot.finish(guard);
            }
        }
        complete
    }

    /// All intents stand: takes the ticket and decides, if nobody else does.
    fn decide(&self, is_own: bool) {
        let journal = self.entries.first().and_then(|entry| entry.table().journal());
        let mut parts = self.entries.iter().filter_map(Entry::part).peekable();
        if planted::is(Planted::TicketAfterDecision) {
            let committed = self.change(READY, COMMITTED | 1 << TICKET_SHIFT);
            let entry = journal.and_then(|journal| journal.enter_block(&mut parts));
            entry.into_iter().filter(|_| committed).for_each(ring::Entry::commit);
            return;
        }
        let entry = match parts.peek() {
            Some(_) => journal.and_then(|journal| journal.enter_block(&mut parts)),
            None => None,
        };
        let ticket = entry.as_ref().map_or(0, ring::Entry::ticket);
        let committed = self.change(READY, COMMITTED | ticket << TICKET_SHIFT);
        match entry {
            Some(entry) if committed => {
                entry.commit();
                // The owner tells the log in its own time, with what else it has changed.
                journal.filter(|_| !is_own).into_iter().for_each(BlockJournal::wake);
            }
            // Void.
            _ => {}
        }
    }

    /// Makes sure that an intent of the commit stands in the slot of key number `index`; `None` if
    /// the commit is decided.
    pub(super) fn install<'g>(
        self: &Arc<Self>,
        index: usize,
        guard: &'g Guard<'_>,
    ) -> Option<Spot<'g>> {
        let entry = &self.entries[index];
        // SAFETY: held during 'g, as for `Entry::table`.
        let table: &'g Table = unsafe { &*entry.table };
        let key = entry.key();
        // Migrations are helped before: see `prepare`.
        let mut helped = true;
        // Each turn follows a step of another thread, or of a migration.
        loop {
            let early = planted::is(Planted::StatusBeforeWord).then(|| self.status());
            let Seat { place, index: at, word, record } = table.seek(key, guard, &mut helped);
            if let Some(intent) = record.and_then(RecordRef::intent) {
                let spot = Spot { table, array: place.array, index: at, word };
                if !std::ptr::eq(Commit::of(intent), &raw const **self) {
                    spot.settle(guard);
                    continue;
                }
                return self.settle_counter(entry, Word::kept(intent.before())).then_some(spot);
            }
            if !entry.expected.is_met(word, record) {
                let _ = self.fail();
            }
            // After the word was loaded: see "Word, status, exchange".
            if early.unwrap_or_else(|| self.status()).is_decided() {
                return None;
            }
            if let Some(spot) = self.exchange(index, key, table, place, at, word, guard) {
                let stands = self.settle_counter(entry, word);
                // Late, or found wanting.
                if self.status().is_decided() {
                    spot.finish(guard);
                    return None;
                }
                return stands.then_some(spot);
            }
        }
    }

    /// Puts a new intent in the place of a slot's word.
    #[expect(clippy::too_many_arguments, reason = "the parts of one place")]
    fn exchange<'g>(
        self: &Arc<Self>,
        index: usize,
        key: Key<'_>,
        table: &'g Table,
        place: Place<'g>,
        at: usize,
        word: Word,
        guard: &'g Guard<'_>,
    ) -> Option<Spot<'g>> {
        let claims = word.is_empty();
        if claims && !place.array.admit(place.before) {
            table.make_room(key.hash, place, guard);
            return None;
        }
        let pointer = self.intent(index, word).into_raw();
        let intent = Word::live(pointer, tag_of(key.hash), false);
        if place.array.slot(at).publish(word, intent).is_err() {
            if claims {
                place.array.retract();
            }
            // SAFETY: not published: still ours alone.
            drop(unsafe { OwnedRecord::from_raw(pointer) });
            return None;
        }
        Some(Spot { table, array: place.array, index: at, word: intent })
    }

    /// Stops the counter that an intent has replaced, and fails the commit if it is not as
    /// expected. False if it failed.
    fn settle_counter(&self, entry: &Entry, before: Word) -> bool {
        // SAFETY: a word that an intent keeps holds a record that is retired after the intent is.
        let record = unsafe { before.record() };
        let Some(counter) = record.and_then(RecordRef::counter) else {
            return true;
        };
        let number = match planted::is(Planted::CommitWithoutFreeze) {
            true => counter.get(),
            false => counter.freeze(),
        };
        match entry.expected {
            Expected::Present { number: Some(expected), .. } if expected != number => {
                let _ = self.fail();
                false
            }
            _ => true,
        }
    }

    /// Finishes the intents of a decided commit that are still there.
    pub(in crate::table) fn finish_all(&self, guard: &Guard<'_>) {
        for entry in &self.entries {
            // SAFETY: as in `install`.
            let table = unsafe { &*entry.table };
            let Seat { place, index, word, record } = table.seek(entry.key(), guard, &mut true);
            let intent = record.and_then(RecordRef::intent);
            if intent.is_some_and(|intent| std::ptr::eq(Commit::of(intent), self)) {
                Spot { table, array: place.array, index, word }.finish(guard);
            }
        }
    }
}
