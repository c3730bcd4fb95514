//! DEBUG SLEEP: a server that hangs for a while.
//!
//! In Redis the only thread sleeps. Here the client has all others out and waits by a timer: none
//! of their commands runs until its time has come, while no thread is kept from anything else (the
//! log is written, a signal stops the server).

use std::thread;
use std::time::{Duration, Instant};

use super::admission::Admission;
use super::context::Context;
use super::long::Work;
use super::progress::Awaited;

/// Longer than anybody sleeps; a timer cannot count much further.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// A client that keeps all others out.
#[derive(Debug)]
pub(super) struct Sleeping {
    time: Duration,
    /// When it ends, once the others are out.
    until: Option<Instant>,
    /// Whether it sleeps where it is.
    in_place: bool,
}

/// Begins to sleep for so many seconds; what is no number is none, as in Redis.
pub(super) fn begin(seconds: &[u8]) -> Sleeping {
    let seconds = std::str::from_utf8(seconds).ok().and_then(|text| text.parse().ok());
    let time = Duration::try_from_secs_f64(seconds.unwrap_or(0.0)).unwrap_or_default();
    Sleeping { time: time.min(LONGEST), until: None, in_place: false }
}

impl Work for Sleeping {
    fn step(&mut self, context: &mut Context<'_>) -> bool {
        if self.in_place {
            // With the epoch pinned: memory that is given back meanwhile waits. The others are out,
            // so there is little of it.
            thread::sleep(self.time);
            context.out.ok();
            return true;
        }
        if self.until.is_none() && context.have_all_out() != Admission::Run {
            return false;
        }
        let until = *self.until.get_or_insert_with(|| Instant::now() + self.time);
        let is_over = Instant::now() >= until;
        if is_over {
            context.out.ok();
        }
        is_over
    }

    fn awaits(&self) -> Option<Awaited> {
        Some(self.until.map_or(Awaited::Exclusion, Awaited::Moment))
    }

    fn hurry(&mut self) {
        self.in_place = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_of_seconds_is_no_time() {
        for text in ["", "x", "-1", "nan", "inf", "1e400"] {
            assert_eq!(begin(text.as_bytes()).time, Duration::ZERO, "{text}");
        }
        assert_eq!(begin(b"0.25").time, Duration::from_millis(250));
        assert_eq!(begin(b"1e15").time, LONGEST);
    }
}
