//! Generations: what a database points at, and how an old one goes.
//!
//! A generation is a table. It is made at the first use of its database, published by
//! compare-and-swap, and replaced by an empty one by FLUSHDB's, which is the flush's linearization
//! point. The tables that follow one another in a slot have the numbers `slot`, `slot + databases`
//! and so on, so that a log can tell what came after a flush from what only came late. A generation
//! is freed after a grace period. Freeing millions of records takes seconds, so the epoch callback
//! only hands the generation to the *reaper*, a thread that does nothing else.
#![allow(unsafe_code)]

use super::Session;
use crate::memory::{Reaping, Remains};
use crate::sync::Arc;
use crate::sync::atomic::{AtomicPtr, Ordering};
use crate::sync::epoch::{Collector, Guard};
use crate::sync::planted::{self, Planted};
use crate::table::{BlockJournal, Table, TableOptions};
use std::ptr::null_mut;

/// The databases.
pub(super) struct Generations {
    /// Which slot each database has; replaced as a whole by SWAPDB.
    order: AtomicPtr<Order>,
    slots: Box<[AtomicPtr<Table>]>,
    options: TableOptions,
    collector: Collector,
    /// Where the tables' commits over several keys are told.
    journal: Option<Arc<dyn BlockJournal>>,
    reaper: Reaper,
}

impl Generations {
    pub(super) fn new(
        count: usize,
        options: TableOptions,
        collector: Collector,
        journal: Option<Arc<dyn BlockJournal>>,
    ) -> Self {
        let slots = (0..count).map(|_| AtomicPtr::new(null_mut())).collect();
        let order = AtomicPtr::new(Order::boxed((0..count).collect(), vec![0; count], 0));
        Self { order, slots, options, collector, journal, reaper: Reaper::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The shape of the tables.
    pub(super) fn options(&self) -> TableOptions {
        self.options
    }

    /// The number of a database's slot.
    #[inline]
    fn place(&self, index: usize, _guard: &Guard<'_>) -> usize {
        // A lone database is not swapped: models need not follow the pointer.
        if self.slots.len() == 1 {
            return 0;
        }
        // Acquire, with the release in `swap`: the order is whole.
        let order = self.order.load(Ordering::Acquire);
        // SAFETY: loaded under the pin; replaced orders are freed after a grace period.
        unsafe { &*order }.slots()[index]
    }

    /// Notes that a reply shows which database has which slot. To be called after that was looked
    /// up: the order may be a later one by now, never an earlier one.
    #[inline]
    pub(super) fn expose_order(&self, session: &Session<'_>) {
        if session.strict && self.slots.len() > 1 {
            // Acquire: as in `place`.
            let order = self.order.load(Ordering::Acquire);
            // SAFETY: as in `place`.
            session.expose(unsafe { &*order }.position);
        }
    }

    /// How often a database was exchanged with another.
    pub(super) fn swaps(&self, index: usize, _guard: &Guard<'_>) -> u64 {
        // Acquire: as in `place`.
        let order = self.order.load(Ordering::Acquire);
        // SAFETY: as in `place`.
        unsafe { &*order }.swaps[index]
    }

    /// The slot of a database.
    #[inline]
    fn slot(&self, index: usize, guard: &Guard<'_>) -> &AtomicPtr<Table> {
        &self.slots[self.place(index, guard)]
    }

    /// Exchanges two databases at one instant.
    pub(super) fn swap(&self, one: usize, other: usize, session: &Session<'_>) {
        let guard = &session.guard;
        loop {
            // Acquire: as in `slot`.
            let old = self.order.load(Ordering::Acquire);
            // SAFETY: as in `slot`.
            let mut slots = unsafe { &*old }.slots().to_vec();
            slots.swap(one, other);
            // SAFETY: as in `slot`.
            let mut swaps = unsafe { &*old }.swaps.clone();
            [one, other].into_iter().for_each(|index| swaps[index] += 1);
            // Between the load and the exchange; void if the exchange is lost.
            let entry = session.enter_swap(one, other);
            let new =
                Order::boxed(slots, swaps, entry.as_ref().map_or(0, |entry| entry.ticket() + 1));
            // Release: whoever loads the pointer sees the order whole. Relaxed: the loser reads it
            // again.
            let release = planted::ordering(Ordering::Release, Planted::RelaxedSwap);
            let won = if planted::is(Planted::SwapNotExclusive) {
                self.order.store(new, release);
                true
            } else {
                self.order.compare_exchange(old, new, release, Ordering::Relaxed).is_ok()
            };
            if !won {
                // Made above and never shared.
                Replaced(new).free();
                continue;
            }
            if let Some(entry) = entry {
                entry.commit();
            }
            let old = Replaced(old);
            if planted::is(Planted::SwapWithoutGrace) {
                return old.free();
            }
            // SAFETY: unlinked by the exchange that this thread has won, so retired once.
            unsafe { guard.defer(0, move || old.free()) };
            return;
        }
    }

    /// The present generation of a database, if it was ever written to.
    #[inline]
    pub(super) fn current<'g>(&self, index: usize, guard: &'g Guard<'_>) -> Option<&'g Table> {
        // Acquire, with the release in `obtain`: the table is whole.
        let table = self.slot(index, guard).load(Ordering::Acquire);
        // SAFETY: loaded under the pin; unlinked generations are freed after a grace period.
        unsafe { table.as_ref() }
    }

    /// The present generation, made if there is none.
    #[inline]
    pub(super) fn obtain<'g>(&self, index: usize, guard: &'g Guard<'_>) -> &'g Table {
        loop {
            match self.current(index, guard) {
                Some(table) => return table,
                None => self.create(index, guard),
            }
        }
    }

    #[cold]
    fn create(&self, index: usize, guard: &Guard<'_>) {
        let place = self.place(index, guard);
        let table = self.boxed(place as u64);
        // Release: whoever loads the pointer sees the table whole.
        let won = self.slots[place].compare_exchange(
            null_mut(),
            table,
            Ordering::Release,
            Ordering::Relaxed,
        );
        if won.is_err() {
            // SAFETY: made here and never shared.
            drop(unsafe { Box::from_raw(table) });
        }
    }

    /// An empty table, to be published.
    fn boxed(&self, number: u64) -> *mut Table {
        let (collector, journal) = (self.collector.clone(), self.journal.clone());
        let table = Table::numbered(number, self.options, collector, journal);
        Box::into_raw(Box::new(table))
    }

    /// For each slot the database it belongs to and the number of its table.
    pub(super) fn places(&self, guard: &Guard<'_>) -> Vec<(u64, u64)> {
        let mut places = vec![(0, 0); self.len()];
        for database in 0..self.len() {
            let place = self.place(database, guard);
            let table = self.current(database, guard).map_or(place as u64, Table::number);
            places[place] = (database as u64, table);
        }
        places
    }

    /// The present table of the slot that a table of this number has or had.
    pub(super) fn in_place_of<'g>(&self, number: u64, _guard: &'g Guard<'_>) -> Option<&'g Table> {
        let slot = &self.slots[(number % self.len() as u64) as usize];
        // Acquire: as in `current`.
        let table = slot.load(Ordering::Acquire);
        // SAFETY: as in `current`.
        unsafe { table.as_ref() }
    }

    /// Empties a database.
    pub(super) fn flush(&self, index: usize, session: &Session<'_>) {
        let guard = &session.guard;
        loop {
            let slot = self.slot(index, guard);
            // Acquire: whoever made the table did so before us.
            let old = slot.load(Ordering::Acquire);
            // SAFETY: as in `current`.
            let Some(table) = (unsafe { old.as_ref() }) else {
                return;
            };
            let new = self.boxed(table.number() + self.len() as u64);
            // Between the load and the exchange; void if the exchange is lost.
            let entry = session.enter_flush(table.number());
            // AcqRel: release the new table; acquire all that was done in the old one.
            let won = if planted::is(Planted::FlushBySeparateSteps) {
                slot.store(new, Ordering::Release);
                true
            } else {
                slot.compare_exchange(old, new, Ordering::AcqRel, Ordering::Relaxed).is_ok()
            };
            if !won {
                // SAFETY: made above and never shared.
                drop(unsafe { Box::from_raw(new) });
                continue;
            }
            if let Some(entry) = entry {
                entry.commit();
            }
            self.unlink(old, session);
            return;
        }
    }

    /// Puts the tables of `other` in the place of those that are here, database by database, under
    /// the same numbers: for the log nothing has happened. For those who watch a key everything
    /// has, as after an exchange of databases. Nobody is in the databases meanwhile, nor has a
    /// snapshot of them; `other`, of the same collector, is left empty.
    pub(super) fn adopt(&self, other: &mut Generations, session: &Session<'_>) {
        for index in 0..self.len() {
            let place = self.place(index, &session.guard);
            // Acquire: as in `current`.
            let old = self.slots[place].load(Ordering::Acquire);
            // SAFETY: as in `current`.
            let number = unsafe { old.as_ref() }.map_or(place as u64, Table::number);
            let new = match other.take(index, &session.guard) {
                Some(mut table) => {
                    table.take_over(number, self.journal.clone());
                    Box::into_raw(table)
                }
                None if old.is_null() => continue,
                None => self.boxed(number),
            };
            // AcqRel: as in `flush`. An exchange, not a compare-and-swap: nobody else is there.
            let old = self.slots[place].swap(new, Ordering::AcqRel);
            if !old.is_null() {
                self.unlink(old, session);
            }
        }
        self.break_watches(session);
    }

    /// Takes the table of a database out, which nobody has seen.
    fn take(&mut self, index: usize, guard: &Guard<'_>) -> Option<Box<Table>> {
        let place = self.place(index, guard);
        let table = self.slots[place].swap(null_mut(), Ordering::AcqRel);
        // SAFETY: made by Box::into_raw, and whoever has used it before borrowed `self` for that.
        (!table.is_null()).then(|| unsafe { Box::from_raw(table) })
    }

    /// Counts every database as exchanged, without an exchange. Nobody else does meanwhile.
    fn break_watches(&self, session: &Session<'_>) {
        // Acquire: as in `place`.
        let old = self.order.load(Ordering::Acquire);
        // SAFETY: as in `place`.
        let order = unsafe { &*old };
        let swaps = order.swaps.iter().map(|swaps| swaps + 1).collect();
        let new = Order::boxed(order.slots().to_vec(), swaps, order.position);
        // Release: as in `swap`.
        self.order.store(new, Ordering::Release);
        let old = Replaced(old);
        // SAFETY: unlinked by the store; no one else replaces orders meanwhile.
        unsafe { session.guard.defer(0, move || old.free()) };
    }

    /// Lets a table go that this thread has unlinked.
    fn unlink(&self, table: *mut Table, session: &Session<'_>) {
        // SAFETY: as in `current`; nobody has retired it yet.
        let remains = self.remains(unsafe { &*table }, &session.guard);
        let reaping = Reaping::announce(remains);
        let old = KeptTable(Unlinked(table, self.reaper.handle(), reaping));
        match session.log.filter(|log| log.images.is_armed()) {
            Some(log) => log.images.keep_table(old),
            None if planted::is(Planted::FlushWithoutGrace) => old.0.reap(),
            None => old.retire(&session.guard),
        }
    }
}

impl Generations {
    /// What a table that was just unlinked holds: its arrays, and its keys' part of all records,
    /// as if these were alike in all databases. (With one database in use they are its own.)
    #[cfg(not(any(loom, shuttle)))]
    fn remains(&self, table: &Table, guard: &Guard<'_>) -> Remains {
        use crate::memory::{Kind, bytes, reaping};
        let keys = table.len();
        let others = self.slots.iter().filter_map(|slot| {
            // Acquire: as in `current`.
            let table = slot.load(Ordering::Acquire);
            // SAFETY: as in `current`.
            unsafe { table.as_ref() }.map(Table::len)
        });
        let all_keys = keys + others.sum::<u64>();
        let data_bytes = (bytes(Kind::Records) + bytes(Kind::Buffers))
            .saturating_sub(reaping().data_bytes)
            .saturating_sub(crate::sync::epoch::limbo_bytes());
        let part = u128::from(data_bytes) * u128::from(keys) / u128::from(all_keys.max(1));
        // No more than `data_bytes`.
        Remains { data_bytes: part as u64, array_bytes: table.array_bytes(guard), keys }
    }

    /// Models have no memory to speak of.
    #[cfg(any(loom, shuttle))]
    fn remains(&self, _table: &Table, _guard: &Guard<'_>) -> Remains {
        Remains::default()
    }
}

/// A table that was unlinked and is not yet retired.
pub(super) struct KeptTable(Unlinked);

impl KeptTable {
    pub(super) fn table(&self) -> &Table {
        // SAFETY: not retired while `self` lives.
        unsafe { &*self.0.0 }
    }

    /// Frees it once nobody who may have seen it is pinned.
    pub(super) fn retire(self, guard: &Guard<'_>) {
        let old = self.0;
        // SAFETY: the exchange has taken the generation from everybody who pins later, and gave it
        // to this value alone.
        unsafe { guard.defer(0, move || old.reap()) };
    }
}

impl Drop for Generations {
    fn drop(&mut self) {
        #[cfg(any(loom, shuttle))]
        if std::thread::panicking() {
            return;
        }
        // Relaxed: nobody else is left.
        Replaced(self.order.load(Ordering::Relaxed)).free();
        for slot in &self.slots {
            // Relaxed: as above.
            let table = slot.load(Ordering::Relaxed);
            if !table.is_null() {
                // SAFETY: made by Box::into_raw, and nobody else is left.
                drop(unsafe { Box::from_raw(table) });
            }
        }
    }
}

/// Which slot each database has. Never changes; SWAPDB makes another.
struct Order {
    slots: Vec<usize>,
    /// How often each database was exchanged with another.
    swaps: Vec<u64>,
    /// The position of the log past the SWAPDB that has made it; 0 if it was not logged.
    position: u64,
    /// Model checkers only: a freed order is poisoned and kept, so that touching it is caught.
    #[cfg(any(loom, shuttle))]
    freed: crate::sync::AtomicBool,
    /// Loom only: fails if the order is found without having been published.
    #[cfg(loom)]
    made: crate::sync::WatchedCell<()>,
}

impl Order {
    /// To be published, and freed by [`Replaced::free`].
    fn boxed(slots: Vec<usize>, swaps: Vec<u64>, position: u64) -> *mut Self {
        #[cfg(any(loom, shuttle))]
        crate::sync::graveyard::born();
        Box::into_raw(Box::new(Self {
            slots,
            swaps,
            position,
            #[cfg(any(loom, shuttle))]
            freed: crate::sync::AtomicBool::new(false),
            #[cfg(loom)]
            made: {
                let made = crate::sync::WatchedCell::new(());
                made.with_mut(|_| ());
                made
            },
        }))
    }

    #[inline]
    fn slots(&self) -> &[usize] {
        #[cfg(any(loom, shuttle))]
        assert!(
            !self.freed.load(crate::sync::Ordering::SeqCst),
            "use after free: an order was touched after its grace period"
        );
        #[cfg(loom)]
        self.made.with(|_| ());
        &self.slots
    }
}

/// An order that nobody can reach any more.
struct Replaced(*mut Order);

// SAFETY: an order is Send; the pointer is the only one left.
unsafe impl Send for Replaced {}

impl Replaced {
    /// Frees it. A model only poisons it.
    fn free(self) {
        // SAFETY: made by `Order::boxed`, unreachable, and taken once.
        let order = unsafe { Box::from_raw(self.0) };
        #[cfg(any(loom, shuttle))]
        {
            let freed = order.freed.swap(true, crate::sync::Ordering::SeqCst);
            assert!(!freed, "an order was freed twice");
            crate::sync::graveyard::bury(move || drop(order));
        }
        #[cfg(not(any(loom, shuttle)))]
        drop(order);
    }
}

/// A generation that nobody can reach any more.
struct Unlinked(*mut Table, ReaperHandle, Reaping);

// SAFETY: a table is Send; the pointer is the only one left.
unsafe impl Send for Unlinked {}

impl Unlinked {
    fn reap(self) {
        let Self(table, reaper, reaping) = self;
        // SAFETY: made by Box::into_raw, unreachable, and taken once.
        let mut table = unsafe { Box::from_raw(table) };
        table.announced(reaping);
        reaper.free(table);
    }
}

#[cfg(not(any(loom, shuttle)))]
mod reaper {
    use super::Table;
    use crate::sync::mpsc::{Sender, channel};

    /// The thread that frees generations; it ends when the last handle goes.
    pub(in crate::store) struct Reaper(Option<Sender<Box<Table>>>);

    #[derive(Clone)]
    pub(in crate::store) struct ReaperHandle(Option<Sender<Box<Table>>>);

    impl Reaper {
        pub(in crate::store) fn new() -> Self {
            let (sender, receiver) = channel::<Box<Table>>();
            let thread = std::thread::Builder::new()
                .name("ferrum-reaper".into())
                .spawn(move || receiver.into_iter().for_each(drop));
            // Without a thread generations are freed where they are unlinked: slower, not wrong.
            Self(thread.is_ok().then_some(sender))
        }

        pub(in crate::store) fn handle(&self) -> ReaperHandle {
            ReaperHandle(self.0.clone())
        }
    }

    impl ReaperHandle {
        pub(in crate::store) fn free(&self, table: Box<Table>) {
            if let Some(sender) = &self.0 {
                // A closed channel gives the table back, which drops it here.
                let _ = sender.send(table);
            }
        }
    }
}

#[cfg(any(loom, shuttle))]
mod reaper {
    use super::Table;

    /// Models free at once.
    pub(in crate::store) struct Reaper;
    pub(in crate::store) struct ReaperHandle;

    impl Reaper {
        pub(in crate::store) fn new() -> Self {
            Self
        }

        pub(in crate::store) fn handle(&self) -> ReaperHandle {
            ReaperHandle
        }
    }

    impl ReaperHandle {
        pub(in crate::store) fn free(&self, table: Box<Table>) {
            table.free();
        }
    }
}

use reaper::{Reaper, ReaperHandle};
