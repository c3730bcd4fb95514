//! Connections of one worker that wait: until the log is on the disk up to a position, for room in
//! the log, or because one client runs commands alone.
//!
//! A connection that has to wait leaves its waker and its [`Need`] here. The worker's watcher wakes
//! it when the need is met: it looks whenever something is said to have changed ([`Alarm::ring`],
//! called by the log's threads, and by workers that make way for one client), and every
//! [`LOOK_INTERVAL`] while somebody waits, since room is made without a word. A wake-up in vain is
//! harmless: the connection asks again.
//!
//! Others must not pay for workers that nobody waits at, so an alarm is *armed* only while the list
//! is not empty. Arming is followed by a look at what is waited for, and a change of that by a
//! look at the alarm; a SeqCst fence between the two steps on either side makes sure that one of
//! them sees the other. Even a lost alarm would cost no more than the interval.

use std::cell::RefCell;
use std::collections::HashMap;
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

/// Who waits at one worker.
#[derive(Debug)]
pub(super) struct Waits {
    /// By the numbers of the clients: a connection waits for one thing at a time, and asks for it
    /// again whenever it was woken for something else.
    waiting: RefCell<HashMap<u64, (Need, Waker)>>,
    alarm: Arc<Alarm>,
}

impl Waits {
    /// Nobody yet.
    pub(super) fn new(alarm: Arc<Alarm>) -> Waits {
        Waits { waiting: RefCell::default(), alarm }
    }

    /// Has the task of `cx`, which is the client's, woken when the need may be met.
    pub(super) fn enter(&self, client: u64, need: Need, cx: &Context<'_>) {
        let mut waiting = self.waiting.borrow_mut();
        waiting.insert(client, (need, cx.waker().clone()));
        if waiting.len() == 1 {
            self.alarm.arm();
        } else {
            // The watcher also wakes the log for what was changed since it last did.
            self.alarm.changed.notify_one();
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
        waiting.retain(|_, (need, waker)| {
            let met = is_met(*need);
            if met {
                waker.wake_by_ref();
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
            waits.enter(1, need, cx);
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
        waits.enter(1, need, &Context::from_waker(Waker::noop()));
        for _ in 0..3 {
            waits.changed().await;
            waits.wake(|other| other != need);
        }
        assert_eq!(waits.waiting.borrow().len(), 1);
        assert!(waits.alarm.armed.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn a_client_waits_once_however_often_it_asks() {
        let waits = Waits::new(Arc::default());
        for position in 1..100 {
            waits.enter(1, Need::Durable(position), &Context::from_waker(Waker::noop()));
            waits.enter(2, Need::Durable(5), &Context::from_waker(Waker::noop()));
        }
        assert_eq!(waits.waiting.borrow().len(), 2);
        waits.wake(|need| need == Need::Durable(99));
        assert_eq!(waits.waiting.borrow().len(), 1);
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
