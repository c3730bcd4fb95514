//! CONFIG: the settings, as the rows of the directives describe them.

use super::context::Context;
use super::effects::bring_into_force;
use super::glob::{self, Case};
use super::listening::{self, Relistening};
use super::long::Work;
use super::refusal::Refusal;
use super::row::Outcome;
use crate::config::Config;
use crate::config::directives::{self, Change, Directive};
use crate::resp::Args;
use crate::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// CONFIG GET pattern [pattern ...]: each matching setting once. As in Redis, a setting asked for
/// by its plain name is returned under the name as it was written.
pub(super) fn get<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    let mut found: Vec<(&[u8], Vec<u8>)> = Vec::new();
    context.state.settings.read(|config| {
        for (row, name) in directives::all().flat_map(|row| row.names().map(move |it| (row, it))) {
            let name = name.as_bytes();
            let mut patterns = args.iter().skip(2);
            if let Some(pattern) = patterns.find(|pattern| fits(pattern, name)) {
                let is_name = pattern.eq_ignore_ascii_case(name);
                found.push((if is_name { pattern } else { name }, row.show(config)));
            }
        }
    });
    context.out.map(found.len());
    for (name, value) in found {
        context.out.bulk(name);
        context.out.bulk(&value);
    }
    Ok(())
}

/// Whether a word asks for the setting of this name: what is no pattern is a name to the letter.
fn fits(word: &[u8], name: &[u8]) -> bool {
    match word.iter().any(|byte| b"*?[".contains(byte)) {
        true => glob::matches(word, name, Case::Insensitive),
        false => word.eq_ignore_ascii_case(name),
    }
}

/// CONFIG RESETSTAT.
pub(super) fn reset_statistics<'a>(context: &mut Context<'_>, _: &Args<'a>) -> Outcome<'a> {
    context.state.reset_stats();
    context.out.ok();
    Ok(())
}

/// CONFIG SET name value [name value ...]: all of them or none. As in Redis the names are looked at
/// before the values, and a bad value's setting goes by its own name, whatever was written.
pub(super) fn begin_set<'a>(
    context: &mut Context<'_>,
    args: &Args<'a>,
) -> Result<Box<dyn Work>, Refusal<'a>> {
    if !args.len().is_multiple_of(2) {
        return Err(Refusal::Syntax);
    }
    let words: Vec<&[u8]> = args.iter().skip(2).collect();
    if listening::is_concerned(&words) {
        return Ok(Box::new(Relistening::new(&words)));
    }
    set(context, &words, || ())?;
    context.out.ok();
    Ok(Box::new(Done))
}

/// A CONFIG SET that is done.
#[derive(Debug)]
struct Done;

impl Work for Done {
    fn step(&mut self, _: &mut Context<'_>) -> bool {
        true
    }
}

/// A setting, the name by which it was asked for, and its new value.
type Wanted<'a> = (&'static Directive, &'static str, &'a [u8]);

/// The settings as they are, and as these names and values would have them.
pub(super) fn preview<'a>(
    context: &Context<'_>,
    words: &[&'a [u8]],
) -> Result<(Config, Config), Refusal<'a>> {
    let current = context.state.settings.read(Config::clone);
    let (_, new) = check(context, &current, words)?;
    Ok((current, new))
}

/// Puts these names and values into force, all of them or none; calls `accompany` at the same time.
pub(super) fn set<'a>(
    context: &mut Context<'_>,
    words: &[&'a [u8]],
    accompany: impl FnOnce(),
) -> Result<(), Refusal<'a>> {
    let mut current = context.state.settings.lock();
    let (wanted, new) = check(context, &current, words)?;
    let names: Vec<_> = wanted.iter().map(|(row, ..)| row.name).collect();
    bring_into_force(context, &names, &current, &new)
        .map_err(|(name, reason)| Refusal::Setting(name.as_bytes(), reason.into()))?;
    accompany();
    for (row, ..) in &wanted {
        let is_new = row.show(&new) != row.show(&current);
        if is_new && !row.has_effect() && new.without_effect.get(row.name).is_some() {
            log::warn!("{}", row.warning());
        }
    }
    *current = new;
    drop(current);
    context.follow_settings();
    Ok(())
}

/// What these names and values ask for, and the settings as they would then be.
fn check<'a>(
    context: &Context<'_>,
    current: &Config,
    words: &[&'a [u8]],
) -> Result<(Vec<Wanted<'a>>, Config), Refusal<'a>> {
    let mut wanted: Vec<Wanted<'a>> = Vec::new();
    for pair in words.chunks_exact(2) {
        let (given, value) = (pair[0], pair[1]);
        let found = directives::find(given).filter(|(row, _)| row.names().next().is_some());
        let (row, name) = found.ok_or(Refusal::UnknownSetting(given))?;
        let refuse = |reason: &'static str| Err(Refusal::Setting(given, reason.into()));
        match row.change {
            Change::AtStart => return refuse("can't set immutable config"),
            Change::Protected
                if !context.client.peer.is_permitted(current.enable_protected_configs) =>
            {
                return refuse("can't set protected config");
            }
            _ if wanted.iter().any(|(_, other, _)| *other == name) => {
                return refuse("duplicate parameter");
            }
            _ => wanted.push((row, name, value)),
        }
    }
    let mut new = current.clone();
    for (row, name, value) in &wanted {
        let refuse = |reason: String| Refusal::Setting(name.as_bytes(), reason.into());
        row.read(&mut new, &[value.to_vec()]).map_err(refuse)?;
        let is_new = row.show(&new) != row.show(current);
        if is_new && row.change == Change::Protected && row.has_effect() {
            return Err(refuse(AT_START.to_owned()));
        }
    }
    Ok((wanted, new))
}

/// Why a setting that redis-server may change at any time stays as it is.
const AT_START: &str = "this server can change it at its start only: use the configuration file";

/// CONFIG REWRITE: has the configuration file say what is in force. Another thread writes it and
/// waits for the disk, since a batch must not while it keeps memory from being given back.
pub(super) fn begin_rewrite<'a>(
    context: &mut Context<'_>,
    _: &Args<'a>,
) -> Result<Box<dyn Work>, Refusal<'a>> {
    let settings = context.state.settings.clone();
    let Some(path) = settings.read(|config| config.config_file.clone()) else {
        return Err(Refusal::Text("ERR The server is running without a config file"));
    };
    let (sender, ended) = channel();
    let body = move || {
        // Nobody waits for it only when the client has gone.
        let _ = sender.send(settings.rewrite(&path));
    };
    let thread = std::thread::Builder::new().name("config-rewrite".to_owned()).spawn(body);
    match thread {
        Ok(_) => Ok(Box::new(Rewriting(ended))),
        Err(_) => Err(Refusal::Text("ERR Rewriting config file: no thread can be started")),
    }
}

/// A configuration file that is being written.
#[derive(Debug)]
struct Rewriting(Receiver<Result<(), String>>);

/// How long a step waits for it.
const STEP: Duration = Duration::from_micros(250);

impl Work for Rewriting {
    fn step(&mut self, context: &mut Context<'_>) -> bool {
        let ended = match self.0.recv_timeout(STEP) {
            Ok(ended) => ended,
            Err(RecvTimeoutError::Timeout) => return false,
            Err(RecvTimeoutError::Disconnected) => Err("the thread ended unexpectedly".to_owned()),
        };
        match ended {
            Ok(()) => {
                log::info!("CONFIG REWRITE executed with success.");
                context.out.ok();
            }
            Err(reason) => {
                log::warn!("CONFIG REWRITE failed: {reason}");
                context.counts.errors += 1;
                context.out.error_bytes(format!("ERR Rewriting config file: {reason}").as_bytes());
            }
        }
        true
    }
}
