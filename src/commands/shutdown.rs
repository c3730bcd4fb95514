//! SHUTDOWN: a client's wish that the server stops.
//!
//! The server then stops as it does at SIGTERM: what clients have sent by then is answered, and
//! everything that was acknowledged is on the disk when the process ends. The connection that has
//! asked stays open until then, without a reply, so that its client sees the end of the process as
//! the end of the connection, as with redis-server.

use std::fmt;

use super::context::Context;
use super::persistence::Persistence;
use super::refusal::Refusal;
use super::row::{Argument, ArgumentKind, Flags, Handler, Outcome, Row};
use crate::resp::Args;
use crate::sync::OnceLock;

pub(super) static ROWS: [Row; 1] = [Row {
    name: "shutdown",
    arity: -1,
    flags: Flags::ADMIN
        .and(Flags::NOSCRIPT)
        .and(Flags::LOADING)
        .and(Flags::STALE)
        .and(Flags::NO_MULTI)
        .and(Flags::ALLOW_BUSY),
    summary: "Stops the server, when everything acknowledged is on the disk",
    complexity: "O(N) where N is the number of changes that are not on the disk yet",
    history: &[("7.0.0", "Takes `NOW`, `FORCE` and `ABORT`.")],
    arguments: &[
        Argument {
            parts: &[Argument::token("nosave", "NOSAVE"), Argument::token("save", "SAVE")],
            ..Argument::new("nosave_save", ArgumentKind::OneOf).optional()
        },
        Argument::word("now", "NOW", "7.0.0").optional(),
        Argument::word("force", "FORCE", "7.0.0").optional(),
        Argument::word("abort", "ABORT", "7.0.0").optional(),
    ],
    handler: Handler::Plain(shutdown),
    ..Row::BASE
}];

/// What rings when a client wants the server to stop.
type Bell = Box<dyn Fn() + Send + Sync>;

/// The way from SHUTDOWN to the thread that can stop the server.
#[derive(Default)]
pub struct Shutdown {
    bell: OnceLock<Bell>,
}

impl Shutdown {
    /// Says whom to tell; may be called once. It may be rung several times, by any worker.
    pub fn on_ask(&self, bell: Bell) {
        // A second call would be a bug without consequence: the first bell stays.
        let _ = self.bell.set(bell);
    }

    fn ask(&self) {
        if let Some(bell) = self.bell.get() {
            bell();
        }
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shutdown").finish_non_exhaustive()
    }
}

/// What was asked for. NOW changes nothing: there are no replicas to wait for.
#[derive(Clone, Copy, Debug, Default)]
struct Options {
    saves: bool,
    forces: bool,
    aborts: bool,
}

fn options<'a>(args: &Args<'a>) -> Result<Options, Refusal<'a>> {
    let (mut options, mut saves_not, mut is_now) = (Options::default(), false, false);
    for word in args.iter().skip(1) {
        match word.to_ascii_lowercase().as_slice() {
            b"nosave" => saves_not = true,
            b"save" => options.saves = true,
            b"now" => is_now = true,
            b"force" => options.forces = true,
            b"abort" => options.aborts = true,
            _ => return Err(Refusal::Syntax),
        }
    }
    let others = saves_not || options.saves || is_now || options.forces;
    if saves_not && options.saves || options.aborts && others {
        return Err(Refusal::Syntax);
    }
    Ok(options)
}

fn shutdown<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    let Options { saves, forces, aborts } = options(args)?;
    if aborts {
        // Without replicas there is nothing between the wish and the stop.
        return Err(Refusal::Text("ERR No shutdown in progress."));
    }
    let persistence = &context.state.persistence;
    if let Some(why) = obstacle(saves, persistence.refusal().as_deref(), state(persistence)) {
        if !forces {
            log::warn!("SHUTDOWN is refused (FORCE would do it nevertheless): {why}");
            return Err(Refusal::Text("ERR Errors trying to SHUTDOWN. Check logs."));
        }
        log::warn!("SHUTDOWN FORCE in spite of this: {why}");
    }
    log::info!("User requested shutdown... (client {})", context.client.id);
    context.close_after_reply();
    context.client.ends_with_server = true;
    context.state.shutdown.ask();
    Ok(())
}

/// What there is to stop with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Log {
    Off,
    /// It was turned on and has not got its name.
    Beginning,
    On,
}

fn state(persistence: &Persistence) -> Log {
    match persistence.is_on() {
        false => Log::Off,
        true if persistence.is_whole() || persistence.is_loading() => Log::On,
        true => Log::Beginning,
    }
}

/// What would be lost by a stop that is meant to lose nothing.
fn obstacle(saves: bool, refusal: Option<&str>, log: Log) -> Option<String> {
    match (refusal, log) {
        (Some(text), _) => Some(format!("the log cannot be written: {text}")),
        // Redis's words.
        (None, Log::Beginning) => Some("Writing initial AOF, can't exit.".to_owned()),
        (None, Log::Off) if saves => {
            Some("there is no append only file that SAVE could save to".to_owned())
        }
        (None, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_that_loses_nothing_meets_no_obstacle() {
        assert_eq!(obstacle(false, None, Log::Off), None);
        assert_eq!(obstacle(true, None, Log::On), None);
        assert!(obstacle(true, None, Log::Off).is_some());
        assert!(obstacle(false, None, Log::Beginning).is_some());
        assert!(obstacle(false, Some("MISCONF full"), Log::On).is_some());
    }
}
