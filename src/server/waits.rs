//! Connections of one worker that wait: until the log is on the disk up to a position, for room in
//! the log, or because one client runs commands alone.
//!
//! A connection that has to wait leaves its waker and its [`Need`] here until the need is met or it
//! ends. The worker's watcher wakes it when the need is met: it looks whenever something is said to
//! have changed ([`Alarm::ring`], called by the log's threads, and by workers that make way for one
//! client), and every [`LOOK_INTERVAL`] while somebody waits, since room is made without a word. A
//! wake-up in vain is harmless: the connection asks again.
//!
//! Others must not pay for workers that nobody waits at, so an alarm is *armed* only while the list
//! is not empty. Arming is followed by a look at what is waited for, and a change of that by a
//! look at the alarm; a SeqCst fence between the two steps on either side makes sure that one of
//! them sees the other. Even a lost alarm would cost no more than the interval.

use std::cell::{Cell, RefCell};
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use crate::commands::Awaited;
use crate::sync::Arc;
use crate::sync::atomic::fence;
use crate::sync::plain::{AtomicBool, Ordering};

/// The time between two looks while somebody waits; the timer's grain.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// What a batch of this client waits for.
    Execution(u64, Awaited),
    /// That everything below this position is on the disk.
    Durable(u64),
}

/// How a worker is told of changes.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    armed: AtomicBool,
    changed: Notify,
}

impl Alarm {
    /// Something that is waited for has changed. May be called by any thread, and never waits.
    pub(super) fn ring(&self) {
        // Against `arm`: forbids the look at the alarm to come before the change.
        fence(Ordering::SeqCst);
        // Relaxed: ordered by the fence.
        if self.armed.load(Ordering::Relaxed) {
            self.changed.notify_one();
        }
    }

    fn arm(&self) {
        self.armed.store(true, Ordering::Relaxed);
        // Against `ring`: forbids the watcher's look to come before the alarm is armed.
        fence(Ordering::SeqCst);
        self.changed.notify_one();
    }

    fn disarm(&self) {
        // Relaxed: an alarm rung meanwhile makes the watcher look once in vain.
        self.armed.store(false, Ordering::Relaxed);
    }
}

/// A connection's place among those that wait, once it has waited. It has one at most: what it
/// waits for may change.
#[derive(Debug, Default)]
pub(super) struct Ticket(u64);

/// A connection that waits.
#[derive(Debug)]
struct Waiting {
    ticket: u64,
    need: Need,
    waker: Waker,
}

/// Who waits at one worker.
#[derive(Debug)]
pub(super) struct Waits {
    /// By rising tickets.
    waiting: RefCell<Vec<Waiting>>,
    /// The last ticket that was given out. 64 bits do not run out.
    last: Cell<u64>,
    alarm: Arc<Alarm>,
}

impl Waits {
    /// Nobody yet.
    pub(super) fn new(alarm: Arc<Alarm>) -> Waits {
        Waits { waiting: RefCell::default(), last: Cell::new(0), alarm }
    }

    /// Has the task of `cx` woken when the need may be met. Whoever waits already, and was woken
    /// for something else, keeps the place.
    pub(super) fn enter(&self, ticket: &mut Ticket, need: Need, cx: &Context<'_>) {
        let mut waiting = self.waiting.borrow_mut();
        match waiting.binary_search_by_key(&ticket.0, |known| known.ticket) {
            Ok(place) => {
                waiting[place].need = need;
                waiting[place].waker.clone_from(cx.waker());
            }
            Err(_) => {
                self.last.set(self.last.get() + 1);
                ticket.0 = self.last.get();
                waiting.push(Waiting { ticket: ticket.0, need, waker: cx.waker().clone() });
            }
        }
        if waiting.len() == 1 {
            self.alarm.arm();
        } else {
            // The watcher also wakes the log for what was changed since it last did.
            self.alarm.changed.notify_one();
        }
    }

    /// Forgets a connection that ends, if it waits.
    pub(super) fn leave(&self, ticket: &Ticket) {
        let mut waiting = self.waiting.borrow_mut();
        if let Ok(place) = waiting.binary_search_by_key(&ticket.0, |known| known.ticket) {
            waiting.remove(place);
            if waiting.is_empty() {
                self.alarm.disarm();
            }
        }
    }

    /// Waits until it is time to look.
    pub(super) async fn changed(&self) {
        let changed = self.alarm.changed.notified();
        if self.waiting.borrow().is_empty() {
            changed.await;
        } else {
            // Either way it is time.
            let _ = timeout(LOOK_INTERVAL, changed).await;
        }
    }

    /// Wakes those whose needs are met.
    pub(super) fn wake(&self, is_met: impl Fn(Need) -> bool) {
        let mut waiting = self.waiting.borrow_mut();
        waiting.retain(|one| {
            let met = is_met(one.need);
            if met {
                one.waker.wake_by_ref();
            }
            !met
        });
        if waiting.is_empty() {
            self.alarm.disarm();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::task::Poll;

    /// Enters a need and is done when woken for it.
    async fn wait(waits: &Waits, need: Need) {
        let mut entered = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut entered, true) {
                return Poll::Ready(());
            }
            waits.enter(&mut Ticket::default(), need, cx);
            Poll::Pending
        })
        .await;
    }

    #[tokio::test]
    async fn who_waits_is_woken_when_the_need_is_met() {
        let waits = Waits::new(Arc::default());
        let watcher = async {
            waits.changed().await;
            waits.wake(|need| need == Need::Durable(5));
        };
        tokio::join!(wait(&waits, Need::Durable(5)), watcher);
        assert!(waits.waiting.borrow().is_empty());
        assert!(!waits.alarm.armed.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn who_waits_for_something_else_is_left_alone() {
        let waits = Waits::new(Arc::default());
        let need = Need::Execution(1, Awaited::Room);
        let (mut ticket, cx) = (Ticket::default(), Context::from_waker(Waker::noop()));
        waits.enter(&mut ticket, need, &cx);
        for _ in 0..3 {
            waits.changed().await;
            waits.wake(|other| other != need);
        }
        assert_eq!(waits.waiting.borrow().len(), 1);
        assert!(waits.alarm.armed.load(Ordering::Relaxed));
    }

    #[test]
    fn a_connection_has_one_place_until_it_ends() {
        let waits = Waits::new(Arc::default());
        let cx = Context::from_waker(Waker::noop());
        let (mut first, mut second) = (Ticket::default(), Ticket::default());
        for position in 0..3 {
            waits.enter(&mut first, Need::Durable(position), &cx);
            waits.enter(&mut second, Need::Durable(10), &cx);
        }
        let needs = || waits.waiting.borrow().iter().map(|one| one.need).collect::<Vec<_>>();
        assert_eq!(needs(), [Need::Durable(2), Need::Durable(10)]);
        waits.wake(|need| need == Need::Durable(2));
        waits.enter(&mut first, Need::Durable(3), &cx);
        assert_eq!(needs(), [Need::Durable(10), Need::Durable(3)]);
        waits.leave(&second);
        waits.leave(&Ticket::default());
        assert_eq!(needs(), [Need::Durable(3)]);
        waits.leave(&first);
        assert!(!waits.alarm.armed.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn an_alarm_is_silent_while_nobody_waits() {
        let alarm = Arc::new(Alarm::default());
        let waits = Waits::new(alarm.clone());
        alarm.ring();
        let silence = timeout(Duration::from_millis(5), waits.changed()).await;
        assert!(silence.is_err());
    }
}
