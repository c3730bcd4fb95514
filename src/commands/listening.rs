//! Where the server listens, as CONFIG SET of `port` and `bind` changes it.
//!
//! The listening sockets belong to the main thread, the settings to all. So that the two agree at
//! any time, one client at a time may change them: it has the [`Claim`]. It asks for sockets that
//! stand ready beside those there are ([`ListenWish`]), which is done elsewhere, since a name may
//! take seconds to be resolved; only when it has them are the settings changed, together with the
//! others of the same CONFIG SET, and in the same step the sockets are handed over, which cannot
//! fail ([`Opened::take_over`]). A command that ends before has changed nothing: the sockets are
//! closed with it.

use std::fmt;
use std::time::{Duration, Instant};

use super::config;
use super::context::Context;
use super::long::Work;
use super::lookup;
use super::progress::Awaited;
use super::refusal::Refusal;
use crate::config::{Config, Secret};
use crate::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use crate::sync::plain::{AtomicBool, Ordering};
use crate::sync::{Arc, OnceLock};

/// Sockets that listen and that nobody accepts at yet. Dropping them closes them.
pub trait Opened: fmt::Debug + Send {
    /// Has the server accept at these and close those it has had. Says when it has.
    fn take_over(self: Box<Self>, done: Sender<()>);
}

/// The wish for sockets.
#[derive(Debug)]
pub struct ListenWish {
    /// The addresses, as `bind` has them.
    pub bind: Vec<String>,
    /// The port; 0 for no sockets at all.
    pub port: u16,
    outcome: Sender<Outcome>,
    /// Last, and kept when the command ends before: the next one shall not find an address taken
    /// that has been opened in vain.
    _claim: Arc<Claim>,
}

/// What becomes of a wish.
type Outcome = Option<Box<dyn Opened>>;

impl ListenWish {
    /// Fulfils the wish; none when an address cannot be had, which the log tells.
    pub fn end(self, opened: Option<Box<dyn Opened>>) {
        // The client may have gone: then they are closed here.
        let _ = self.outcome.send(opened);
    }
}

/// Takes wishes to whoever can fulfil them.
pub(super) type Opener = Box<dyn Fn(ListenWish) + Send + Sync>;

/// The way from CONFIG SET to the thread that has the listening sockets.
#[derive(Default)]
pub struct Listening {
    opener: OnceLock<Opener>,
    is_claimed: Arc<AtomicBool>,
}

impl Listening {
    /// Says whom to ask; to be called once.
    pub fn on_wish(&self, opener: Opener) {
        // A second call would be a bug without consequence: the first opener stays.
        let _ = self.opener.set(opener);
    }

    /// Claims the right to change where the server listens; none while another client has it.
    fn claim(&self) -> Option<Arc<Claim>> {
        // Acquire: after what the one before has done (Release in `drop`).
        let was_claimed = self.is_claimed.swap(true, Ordering::Acquire);
        (!was_claimed).then(|| Arc::new(Claim(Arc::clone(&self.is_claimed))))
    }

    /// Asks for the sockets of these settings. Nothing comes where nobody can fulfil wishes, or
    /// not any more.
    fn ask(&self, config: &Config, claim: &Arc<Claim>) -> Receiver<Outcome> {
        let (outcome, opened) = channel();
        if let Some(opener) = self.opener.get() {
            let (bind, port, _claim) = (config.bind.clone(), config.port, Arc::clone(claim));
            opener(ListenWish { bind, port, outcome, _claim });
        }
        opened
    }
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listening").finish_non_exhaustive()
    }
}

/// The right of one client, and of those who open sockets for it.
#[derive(Debug)]
struct Claim(Arc<AtomicBool>);

impl Drop for Claim {
    fn drop(&mut self) {
        // Release: with the Acquire of the next claim.
        self.0.store(false, Ordering::Release);
    }
}

/// How long a step waits for what comes soon as a rule.
const STEP: Duration = Duration::from_micros(250);

/// So many steps follow each other: to listen takes less than a millisecond as a rule.
const EAGER_STEPS: u32 = 4;

/// Between two looks after them.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// How many steps EXEC waits for another client's change: 100 ms. It keeps its worker from
/// everything else, perhaps from that very client.
const PATIENCE_STEPS: u32 = 400;

/// Whether a CONFIG SET with these names and values is about where the server listens.
pub(super) fn is_concerned(words: &[&[u8]]) -> bool {
    let mut names = words.iter().step_by(2);
    let is = |name: &[u8], known: &str| name.eq_ignore_ascii_case(known.as_bytes());
    names.any(|name| is(name, "port") || is(name, "bind"))
}

/// A CONFIG SET that changes where the server listens.
#[derive(Debug)]
pub(super) struct Relistening {
    /// Names and values, of which some may be passwords.
    words: Vec<Secret>,
    stage: Stage,
    /// Steps in which nothing has come.
    vain_steps: u32,
    /// Whether all steps follow at once.
    in_block: bool,
}

#[derive(Debug)]
enum Stage {
    /// Another client may have the claim.
    Claim,
    /// The sockets are being opened.
    Open {
        outcome: Receiver<Outcome>,
        /// The setting to blame if they cannot be.
        blamed: &'static str,
        /// Last: given back when there are no sockets left that nobody wants.
        _claim: Arc<Claim>,
    },
    /// The settings are changed, the sockets about to be.
    TakeOver(Receiver<()>),
}

/// How a step ends.
enum Next {
    /// With a look at what has come, later.
    Wait,
    /// In another stage.
    Go(Stage),
    /// With the reply.
    Done,
}

impl Relistening {
    pub(super) fn new(words: &[&[u8]]) -> Relistening {
        let words = words.iter().map(|word| Secret(word.to_vec())).collect();
        Relistening { words, stage: Stage::Claim, vain_steps: 0, in_block: false }
    }
}

/// Claims the right and asks for sockets, if others are needed.
fn begin<'w>(
    context: &mut Context<'_>,
    words: &[&'w [u8]],
    gives_up: bool,
) -> Result<Next, Refusal<'w>> {
    let Some(claim) = context.state.listening.claim() else {
        let busy = "another client is changing where the server listens";
        return if gives_up { Err(refusal("port", busy)) } else { Ok(Next::Wait) };
    };
    let (old, new) = config::preview(context, words)?;
    // As in Redis, the addresses are looked at anew when they are the same; a port is not.
    let is_to_blame = |name: &&&[u8]| match name.to_ascii_lowercase().as_slice() {
        b"port" => old.port != new.port,
        name => name == b"bind",
    };
    let Some(first) = words.iter().step_by(2).find(is_to_blame) else {
        config::set(context, words, || ())?;
        return Ok(Next::Done);
    };
    let blamed = if first.eq_ignore_ascii_case(b"port") { "port" } else { "bind" };
    let outcome = context.state.listening.ask(&new, &claim);
    Ok(Next::Go(Stage::Open { outcome, blamed, _claim: claim }))
}

/// The refusal of a CONFIG SET for one of its settings.
fn refusal<'w>(name: &'static str, reason: &'static str) -> Refusal<'w> {
    Refusal::Setting(name.as_bytes(), reason.into())
}

/// Why there are no sockets, in Redis's words.
fn cannot_listen<'w>(blamed: &'static str) -> Refusal<'w> {
    match blamed {
        "port" => refusal(blamed, "Unable to listen on this port. Check server logs."),
        _ => refusal(blamed, "Failed to bind to specified addresses."),
    }
}

impl Stage {
    fn step<'w>(
        &self,
        context: &mut Context<'_>,
        words: &[&'w [u8]],
        gives_up: bool,
    ) -> Result<Next, Refusal<'w>> {
        match self {
            Stage::Claim => begin(context, words, gives_up),
            Stage::Open { outcome, blamed, .. } => match outcome.recv_timeout(STEP) {
                Ok(Some(opened)) => {
                    let (done, taken) = channel();
                    // Within the change, so that two of them reach the main thread in order.
                    config::set(context, words, || opened.take_over(done))?;
                    Ok(Next::Go(Stage::TakeOver(taken)))
                }
                Err(RecvTimeoutError::Timeout) => Ok(Next::Wait),
                Ok(None) | Err(RecvTimeoutError::Disconnected) => Err(cannot_listen(blamed)),
            },
            Stage::TakeOver(done) => match done.recv_timeout(STEP) {
                Err(RecvTimeoutError::Timeout) => Ok(Next::Wait),
                // A server that stops listens nowhere.
                Ok(()) | Err(RecvTimeoutError::Disconnected) => Ok(Next::Done),
            },
        }
    }
}

impl Work for Relistening {
    fn step(&mut self, context: &mut Context<'_>) -> bool {
        let words: Vec<&[u8]> = self.words.iter().map(|word| word.0.as_slice()).collect();
        let gives_up = self.in_block && self.vain_steps >= PATIENCE_STEPS;
        match self.stage.step(context, &words, gives_up) {
            Ok(Next::Wait) => {
                self.vain_steps += 1;
                if self.in_block && matches!(self.stage, Stage::Claim) {
                    std::thread::sleep(STEP);
                }
                false
            }
            Ok(Next::Go(stage)) => {
                self.stage = stage;
                self.vain_steps = 0;
                false
            }
            Ok(Next::Done) => {
                context.out.ok();
                true
            }
            Err(refusal) => {
                let row = lookup::command(b"config");
                match row.and_then(|row| lookup::subcommand(row, b"set")) {
                    Some(row) => context.fail(row, &refusal),
                    None => context.refuse(&refusal),
                }
                true
            }
        }
    }

    fn awaits(&self) -> Option<Awaited> {
        let is_eager = !matches!(self.stage, Stage::Claim) && self.vain_steps < EAGER_STEPS;
        (!is_eager).then(|| Awaited::Look(Instant::now() + LOOK_INTERVAL))
    }

    fn hurry(&mut self) {
        self.in_block = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Mutex;

    #[test]
    fn the_right_is_one_clients_until_its_wish_has_ended() {
        let wishes: Arc<Mutex<Vec<ListenWish>>> = Arc::default();
        let listening = Listening::default();
        let open = Arc::clone(&wishes);
        listening.on_wish(Box::new(move |wish| open.lock().unwrap().push(wish)));
        let claim = listening.claim().unwrap();
        assert!(listening.claim().is_none());
        let outcome = listening.ask(&Config::default(), &claim);
        // The client goes, and somebody is still opening sockets for it.
        drop((outcome, claim));
        assert!(listening.claim().is_none());
        wishes.lock().unwrap().pop().unwrap().end(None);
        assert!(listening.claim().is_some());
    }

    #[test]
    fn settings_about_sockets_are_known_by_their_names() {
        let concerned = |words: &[&str]| {
            is_concerned(&words.iter().map(|word| word.as_bytes()).collect::<Vec<_>>())
        };
        assert!(concerned(&["hz", "1", "PORT", "1"]) && concerned(&["bind", "*"]));
        assert!(!concerned(&["hz", "port"]) && !concerned(&["tls-port", "bind"]));
    }
}
