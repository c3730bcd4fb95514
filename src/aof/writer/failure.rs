//! The time in which the disk fails: when to try again, and what the operator and the clients are
//! told.

use super::error::plain_text;
use super::shared::Shared;
use log::{error, info, warn};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// Between the failure and the first new try; doubled with each, up to the longest.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Between two messages to the operator about the same failure.
const MESSAGE_INTERVAL: Duration = Duration::from_secs(60);

/// What clients are told, before the operating system's words.
const REFUSAL: &str = "MISCONF Errors writing to the AOF file: ";

/// Whose failure it is.
pub(super) struct On<'w> {
    pub(super) path: &'w Path,
    pub(super) shared: &'w Shared,
}

/// The disk fails.
#[derive(Debug)]
pub(super) struct Failure {
    text: String,
    since: Instant,
    next_try: Instant,
    pause: Duration,
    /// When the operator was told.
    told: Instant,
}

impl Failure {
    fn new(text: String, now: Instant) -> Self {
        Self { text, since: now, next_try: now + PAUSE_MIN, pause: PAUSE_MIN, told: now }
    }

    /// Refuses writes from now on, or still.
    pub(super) fn note(failure: &mut Option<Failure>, cause: &io::Error, on: &On<'_>) {
        let (text, now) = (plain_text(cause), Instant::now());
        let is_news = match failure {
            None => {
                *failure = Some(Failure::new(text.clone(), now));
                true
            }
            Some(failure) => failure.note_again(&text, now),
        };
        if is_news {
            error!(
                "cannot write the log {}: {text}. Commands that change keys are refused until it \
                 can be written again, which is tried each second: {}",
                on.path.display(),
                advice(cause)
            );
            on.shared.set_refusal(Some(format!("{REFUSAL}{text}").into()));
            on.shared.announce();
        }
    }

    /// Notes that a try has failed; whether the operator is to be told.
    fn note_again(&mut self, text: &str, now: Instant) -> bool {
        self.pause = (2 * self.pause).min(PAUSE_MAX);
        self.next_try = now + self.pause;
        let is_other = self.text != text;
        if is_other {
            text.clone_into(&mut self.text);
        }
        let is_news = is_other || now.duration_since(self.told) >= MESSAGE_INTERVAL;
        if is_news {
            self.told = now;
        }
        is_news
    }

    /// Takes writes again.
    pub(super) fn end(failure: &mut Option<Failure>, on: &On<'_>) {
        if let Some(failure) = failure.take() {
            let seconds = failure.since.elapsed().as_secs_f64();
            let path = on.path.display();
            info!("the log {path} is written again, after {seconds:.1} s; nothing of it is lost");
            on.shared.set_refusal(None);
            on.shared.announce();
        }
    }

    /// Takes writes again, since the log is turned off.
    pub(super) fn give_up(failure: &mut Option<Failure>, on: &On<'_>) {
        if let Some(failure) = failure.take() {
            let path = on.path.display();
            warn!(
                "the log {path} is turned off while it cannot be written ({}): it lacks the last \
                 changes",
                failure.text
            );
            on.shared.set_refusal(None);
        }
    }

    pub(super) fn next_try(&self) -> Instant {
        self.next_try
    }

    /// The operating system's words.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

fn advice(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::WriteZero => {
            "free space on its disk"
        }
        io::ErrorKind::ReadOnlyFilesystem => "its disk has become read-only, see the kernel's log",
        io::ErrorKind::FileTooLarge => "the file may not grow further, see the limits (ulimit -f)",
        _ => "check its disk, see the kernel's log",
    }
}

/// Refuses writes for good when the thread that writes the log ends by a panic.
pub(super) struct Watch<'w>(pub(super) &'w Shared);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            error!("the thread that writes the log has failed: restart the server");
            let text = format!("{REFUSAL}the thread that writes it has failed");
            self.0.set_refusal(Some(text.into()));
            self.0.announce();
        }
    }
}
