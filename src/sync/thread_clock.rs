//! The clock of the processor time that one thread uses. Any thread may read it, so whoever wants
//! to know how busy another one is does not make it pay for that.

use std::time::Duration;

/// The clock of one thread.
#[derive(Clone, Copy, Debug)]
pub struct ThreadClock(libc::clockid_t);

impl ThreadClock {
    /// That of this thread; none where the system has no such clocks.
    #[cfg(all(target_os = "linux", not(miri)))]
    pub fn own() -> Option<ThreadClock> {
        let mut clock = 0;
        // SAFETY: the thread is the one that asks, so it is there; the place may be written to.
        let code = unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &raw mut clock) };
        (code == 0).then_some(ThreadClock(clock))
    }

    /// That of this thread; none where the system has no such clocks.
    #[cfg(not(all(target_os = "linux", not(miri))))]
    pub fn own() -> Option<ThreadClock> {
        None
    }

    /// What the thread has used so far; none when it has ended. A system call of some 0.2 µs.
    pub fn read(self) -> Option<Duration> {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the place may be written to. A clock that is not there any more is an error, not
        // a fault: its number names a thread, it is no address.
        let code = unsafe { libc::clock_gettime(self.0, &raw mut time) };
        let (seconds, nanoseconds) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
        (code == 0).then_some(Duration::new(seconds.ok()?, nanoseconds.ok()?))
    }
}

#[cfg(all(test, target_os = "linux", not(miri)))]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::thread;

    #[test]
    fn another_thread_reads_how_busy_this_one_was() {
        let clock = ThreadClock::own().expect("there is one");
        let before = clock.read().expect("the thread is there");
        let mut number = 1_u64;
        while clock.read().expect("the thread is there") < before + Duration::from_millis(5) {
            number = std::hint::black_box(number.wrapping_mul(3));
        }
        let read = thread::spawn(move || clock.read()).join().expect("no panic");
        assert!(read.expect("the thread is there") >= before + Duration::from_millis(5));
    }

    #[test]
    fn a_thread_that_sleeps_uses_nothing_and_one_that_has_ended_has_no_clock() {
        let (own, owns) = mpsc::channel();
        let (end, ends) = mpsc::channel::<()>();
        let sleeper = thread::spawn(move || {
            own.send(ThreadClock::own()).expect("somebody listens");
            let _ = ends.recv();
        });
        let clock = owns.recv().expect("it was sent").expect("there is one");
        thread::sleep(Duration::from_millis(50));
        assert!(clock.read().expect("the thread is there") < Duration::from_millis(25));
        drop(end);
        sleeper.join().expect("no panic");
        assert_eq!(clock.read(), None);
    }
}
