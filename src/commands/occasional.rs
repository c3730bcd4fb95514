//! Messages about what may happen a thousand times a second.

use std::time::{Duration, Instant};

use crate::sync::{Mutex, PoisonError};

/// Tells when something is to be said again. Behind a lock, for it is asked only when there is
/// something to say, and never on the way of a command that is well.
#[derive(Debug)]
pub struct Occasional {
    every: Duration,
    last: Mutex<Option<Instant>>,
}

impl Occasional {
    /// At most once in this time.
    pub fn new(every: Duration) -> Occasional {
        Occasional { every, last: Mutex::new(None) }
    }

    /// Whether it is to be said now.
    pub fn is_due(&self) -> bool {
        // A time is there as a whole or not at all.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.is_none_or(|last| last.elapsed() >= self.every);
        if is_due {
            *last = Some(Instant::now());
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_due_at_first_and_after_its_time() {
        let hourly = Occasional::new(Duration::from_secs(3600));
        assert_eq!([hourly.is_due(), hourly.is_due(), hourly.is_due()], [true, false, false]);
        let always = Occasional::new(Duration::ZERO);
        assert_eq!([always.is_due(), always.is_due()], [true, true]);
    }
}
