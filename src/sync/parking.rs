//! One thread that sleeps until another one has something for it.
//!
//! A wake-up that comes before the sleep is kept and ends it at once, so none is lost; several in a
//! row count as one.

use std::time::Duration;

#[cfg(not(any(loom, shuttle)))]
mod real {
    use super::Duration;

    pub(super) struct Sleeper(crossbeam_utils::sync::Parker);

    #[derive(Clone)]
    pub(super) struct Waker(crossbeam_utils::sync::Unparker);

    pub(super) fn pair() -> (Sleeper, Waker) {
        let parker = crossbeam_utils::sync::Parker::new();
        let waker = Waker(parker.unparker().clone());
        (Sleeper(parker), waker)
    }

    impl Sleeper {
        pub(super) fn sleep(&self, timeout: Option<Duration>) {
            match timeout {
                Some(timeout) => self.0.park_timeout(timeout),
                None => self.0.park(),
            }
        }
    }

    impl Waker {
        pub(super) fn wake(&self) {
            self.0.unpark();
        }
    }
}

#[cfg(any(loom, shuttle))]
mod model {
    use super::Duration;
    #[cfg(loom)]
    use loom::sync::{Condvar, Mutex};
    #[cfg(shuttle)]
    use shuttle::sync::{Condvar, Mutex};
    use std::sync::Arc;

    /// Shared by a standard pointer: the checkers' own cannot be dropped when a model has failed.
    #[derive(Clone)]
    struct Token(Arc<(Mutex<bool>, Condvar)>);

    pub(super) struct Sleeper(Token);

    #[derive(Clone)]
    pub(super) struct Waker(Token);

    pub(super) fn pair() -> (Sleeper, Waker) {
        let token = Token(Arc::new((Mutex::new(false), Condvar::new())));
        (Sleeper(token.clone()), Waker(token))
    }

    impl Sleeper {
        /// Models know no time: a sleep with a timeout ends by a wake-up too, so that one that is
        /// lost shows as a deadlock.
        pub(super) fn sleep(&self, _timeout: Option<Duration>) {
            let (mutex, condition) = &*self.0.0;
            let mut woken = mutex.lock().unwrap();
            while !*woken {
                woken = condition.wait(woken).unwrap();
            }
            *woken = false;
        }
    }

    impl Waker {
        pub(super) fn wake(&self) {
            let (mutex, condition) = &*self.0.0;
            *mutex.lock().unwrap() = true;
            condition.notify_one();
        }
    }
}

#[cfg(any(loom, shuttle))]
use model as used;
#[cfg(not(any(loom, shuttle)))]
use real as used;

/// The right to sleep; one thread has it.
pub struct Sleeper(used::Sleeper);

/// What ends the sleep.
#[derive(Clone)]
pub struct Waker(used::Waker);

/// A sleeper and its waker.
pub fn pair() -> (Sleeper, Waker) {
    let (sleeper, waker) = used::pair();
    (Sleeper(sleeper), Waker(waker))
}

impl Sleeper {
    /// Sleeps until woken, or until the time is up.
    pub fn sleep(&self, timeout: Option<Duration>) {
        self.0.sleep(timeout);
    }
}

impl Waker {
    /// Ends the sleep, or the next one.
    pub fn wake(&self) {
        self.0.wake();
    }
}
