//! What the process tells those who supervise it: that it is ready, what it does, that it stops.
//!
//! Systemd is told by datagrams to the socket that it names in NOTIFY_SOCKET (`Type=notify`), as by
//! redis-server. Upstart is told by a stop of the whole process (SIGSTOP), which it ends by SIGCONT
//! when it has noted that the process is ready.

use log::{info, warn};
use rustix::process::{Signal, getpid, kill_process};
use sd_notify::NotifyState;

use crate::config::Supervised;

/// Who is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Supervisor {
    /// Nobody.
    Nobody,
    /// Systemd.
    Systemd,
    /// Upstart.
    Upstart,
}

/// Where systemd leaves the name of its socket.
const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";

/// Where Upstart leaves the name of the job.
const UPSTART_JOB: &str = "UPSTART_JOB";

impl Supervisor {
    /// The one that the setting means, if it has left its sign in the environment.
    pub(super) fn new(setting: Supervised) -> Supervisor {
        let supervisor = Supervisor::choose(setting, |name| std::env::var_os(name).is_some());
        match supervisor {
            Ok(Supervisor::Nobody) => {}
            Ok(Supervisor::Systemd) => info!("Supervised by systemd, which is told of the start"),
            Ok(Supervisor::Upstart) => info!("Supervised by upstart: stopping to say so"),
            Err(missing) => warn!("{missing} is not set: there is no supervisor to be told"),
        }
        supervisor.unwrap_or(Supervisor::Nobody)
    }

    /// The same, given which variables there are; the one that is missing if it should be there.
    fn choose(
        setting: Supervised,
        is_there: impl Fn(&str) -> bool,
    ) -> Result<Supervisor, &'static str> {
        let all = [(UPSTART_JOB, Supervisor::Upstart), (NOTIFY_SOCKET, Supervisor::Systemd)];
        let wanted = match setting {
            Supervised::No => return Ok(Supervisor::Nobody),
            Supervised::Auto => {
                let found = all.into_iter().find(|(name, _)| is_there(name));
                return Ok(found.map_or(Supervisor::Nobody, |(_, supervisor)| supervisor));
            }
            Supervised::Upstart => all[0],
            Supervised::Systemd => all[1],
        };
        if is_there(wanted.0) { Ok(wanted.1) } else { Err(wanted.0) }
    }

    /// Says that all commands are served, in these words.
    pub(super) fn ready(self, text: &str) {
        match self {
            Supervisor::Nobody => {}
            Supervisor::Systemd => notify(&[NotifyState::Ready, NotifyState::Status(text)]),
            Supervisor::Upstart => {
                if let Err(error) = kill_process(getpid(), Signal::STOP) {
                    warn!("cannot tell upstart that the server is ready: {error}");
                }
            }
        }
    }

    /// Says what the server does.
    pub(super) fn say(self, text: &str) {
        if self == Supervisor::Systemd {
            notify(&[NotifyState::Status(text)]);
        }
    }

    /// Says that the server is about to end.
    pub(super) fn stopping(self) {
        if self == Supervisor::Systemd {
            let text = "Answering what was received and writing the log";
            notify(&[NotifyState::Stopping, NotifyState::Status(text)]);
        }
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!("cannot tell systemd: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_supervises_is_found_by_the_signs_left_in_the_environment() {
        let nothing = |_: &str| false;
        assert_eq!(Supervisor::choose(Supervised::No, |_| true), Ok(Supervisor::Nobody));
        assert_eq!(Supervisor::choose(Supervised::Auto, nothing), Ok(Supervisor::Nobody));
        assert_eq!(Supervisor::choose(Supervised::Systemd, nothing), Err("NOTIFY_SOCKET"));
        assert_eq!(Supervisor::choose(Supervised::Upstart, nothing), Err("UPSTART_JOB"));
        for (name, setting, expected) in [
            ("NOTIFY_SOCKET", Supervised::Systemd, Supervisor::Systemd),
            ("UPSTART_JOB", Supervised::Upstart, Supervisor::Upstart),
        ] {
            let only = |other: &str| other == name;
            assert_eq!(Supervisor::choose(setting, only), Ok(expected));
            assert_eq!(Supervisor::choose(Supervised::Auto, only), Ok(expected));
        }
    }
}
