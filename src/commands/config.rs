//! CONFIG GET and SET: the settings, one row each.

use std::borrow::Cow;

use super::context::Context;
use super::glob::{self, Case};
use super::refusal::{Refusal, c_text};
use super::row::Outcome;
use super::state::ServerState;
use crate::config::{AppendFsync, INT_MAX, Policy, TENACITY_MAX, memory_of, parse_memory};
use crate::record::parse_canonical;
use crate::resp::Args;
use crate::store::Settings;

/// A setting that can be asked for.
struct Setting {
    name: &'static str,
    /// The value in force, as text.
    show: fn(&ServerState) -> String,
    /// Understands a new value; `None` for a setting that stays as it was at the start.
    parse: Option<Parse>,
}

/// From a new value to what puts it into force, or to what is wrong with it.
type Parse = fn(&[u8]) -> Result<Change, Cow<'static, str>>;

/// Puts a value into force that has been found good.
type Change = Box<dyn FnOnce(&Context<'_>)>;

/// Every setting. Those that have one possible value as yet are here because clients and tools ask
/// for them before they do anything else.
const SETTINGS: &[Setting] = &[
    fixed("appenddirname", |_| String::new()),
    fixed("appendfilename", appendfilename),
    Setting {
        name: "appendfsync",
        show: |state| state.persistence.append_fsync().name().to_owned(),
        parse: Some(parse_append_fsync),
    },
    fixed("appendonly", |state| yes_or_no(state.config.aof_path.is_some())),
    Setting {
        name: "auto-aof-rewrite-min-size",
        show: |state| state.persistence.rewrite_min_size_bytes().to_string(),
        parse: Some(parse_rewrite_min_size),
    },
    Setting {
        name: "auto-aof-rewrite-percentage",
        show: |state| state.persistence.rewrite_percentage().to_string(),
        parse: Some(parse_rewrite_percentage),
    },
    fixed("bind", |state| state.config.bind.join(" ")),
    fixed("client-query-buffer-limit", |state| {
        state.config.client_query_buffer_limit_bytes.to_string()
    }),
    fixed("databases", |state| state.config.databases.to_string()),
    fixed("io-threads", |state| state.config.workers().to_string()),
    Setting {
        name: "lfu-decay-time",
        show: |state| eviction(state).lfu_decay_minutes().to_string(),
        parse: Some(|value| parse_eviction(value, 0, INT_MAX, Settings::set_lfu_decay_minutes)),
    },
    Setting {
        name: "lfu-log-factor",
        show: |state| eviction(state).lfu_log_factor().to_string(),
        parse: Some(|value| parse_eviction(value, 0, INT_MAX, Settings::set_lfu_log_factor)),
    },
    fixed("loglevel", |state| state.config.log_level.to_string()),
    fixed("maxclients", |state| state.config.max_clients.to_string()),
    Setting {
        name: "maxmemory",
        show: |state| eviction(state).max_bytes().to_string(),
        parse: Some(parse_max_memory),
    },
    Setting {
        name: "maxmemory-eviction-tenacity",
        show: |state| eviction(state).tenacity().to_string(),
        parse: Some(|value| parse_eviction(value, 0, TENACITY_MAX, Settings::set_tenacity)),
    },
    Setting {
        name: "maxmemory-policy",
        show: |state| eviction(state).policy().name().to_owned(),
        parse: Some(parse_policy),
    },
    Setting {
        name: "maxmemory-samples",
        show: |state| eviction(state).samples().to_string(),
        parse: Some(|value| parse_eviction(value, 1, INT_MAX, Settings::set_samples)),
    },
    fixed("port", |state| state.config.port.to_string()),
    fixed("proto-max-bulk-len", |state| state.config.proto_max_bulk_len_bytes.to_string()),
    fixed("save", |_| String::new()),
    fixed("timeout", |state| state.config.client_timeout_seconds.to_string()),
];

/// A setting that stays as it was at the start.
const fn fixed(name: &'static str, show: fn(&ServerState) -> String) -> Setting {
    Setting { name, show, parse: None }
}

fn yes_or_no(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}

/// The name of the log without its directory; Redis's default where there is no log.
fn appendfilename(state: &ServerState) -> String {
    let name = state.config.aof_path.as_ref().and_then(|path| path.file_name());
    name.map_or_else(|| "appendonly.aof".to_owned(), |name| name.to_string_lossy().into_owned())
}

fn parse_append_fsync(value: &[u8]) -> Result<Change, Cow<'static, str>> {
    let when = AppendFsync::from_name(value).ok_or_else(|| {
        format!("argument(s) must be one of the following: {}", AppendFsync::names())
    })?;
    Ok(Box::new(move |context| context.state.set_append_fsync(when)))
}

fn parse_rewrite_percentage(value: &[u8]) -> Result<Change, Cow<'static, str>> {
    let percent = number_within(value, 0, INT_MAX)?;
    Ok(Box::new(move |context| context.state.persistence.set_rewrite_percentage(percent)))
}

fn parse_rewrite_min_size(value: &[u8]) -> Result<Change, Cow<'static, str>> {
    let text = std::str::from_utf8(value).ok();
    let bytes = text.and_then(|text| parse_memory(text).ok());
    let bytes = bytes.ok_or("argument must be a memory value")? as u64;
    Ok(Box::new(move |context| context.state.persistence.set_rewrite_min_size_bytes(bytes)))
}

/// The settings of eviction in force.
fn eviction(state: &ServerState) -> &Settings {
    state.keyspace.eviction().settings()
}

fn parse_eviction(
    value: &[u8],
    least: u64,
    most: u64,
    set: fn(&Settings, u64),
) -> Result<Change, Cow<'static, str>> {
    let number = number_within(value, least, most)?;
    Ok(Box::new(move |context| set(eviction(context.state), number)))
}

fn parse_policy(value: &[u8]) -> Result<Change, Cow<'static, str>> {
    let policy = Policy::from_name(value)
        .ok_or_else(|| format!("argument(s) must be one of the following: {}", Policy::names()))?;
    Ok(Box::new(move |context| eviction(context.state).set_policy(policy)))
}

fn parse_max_memory(value: &[u8]) -> Result<Change, Cow<'static, str>> {
    let bytes = memory_of(c_text(value)).ok_or("argument must be a memory value")?;
    Ok(Box::new(move |context| {
        let settings = eviction(context.state);
        let is_new = settings.max_bytes() != bytes;
        settings.set_max_bytes(bytes);
        if is_new && bytes > 0 {
            warn_if_used_up(context, bytes);
        }
    }))
}

/// Says in Redis's words that a new `maxmemory` is less than the data takes already.
fn warn_if_used_up(context: &Context<'_>, max_bytes: u64) {
    let used_bytes = context.state.keyspace.report(&context.session).used_bytes;
    if max_bytes < used_bytes {
        log::warn!(
            "WARNING: the new maxmemory value set via CONFIG SET ({max_bytes}) is smaller than the \
             current memory usage ({used_bytes}). This will result in key eviction and/or the \
             inability to accept new write commands depending on the maxmemory-policy."
        );
    }
}

/// The whole number that a value is.
fn number_within(value: &[u8], least: u64, most: u64) -> Result<u64, Cow<'static, str>> {
    let number = parse_canonical(value).ok_or("argument couldn't be parsed into an integer")?;
    let number = u64::try_from(number).ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("argument must be between {least} and {most} inclusive").into())
}

/// CONFIG GET pattern [pattern ...]: each matching setting once. As in Redis, a setting asked for
/// by its plain name is returned under the name as it was written.
pub(super) fn get<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    let found: Vec<_> = (SETTINGS.iter())
        .filter_map(|setting| {
            let mut patterns = args.iter().skip(2);
            let name = setting.name.as_bytes();
            let pattern = patterns.find(|it| glob::matches(it, name, Case::Insensitive))?;
            let is_name = pattern.eq_ignore_ascii_case(name);
            Some((if is_name { pattern } else { name }, setting))
        })
        .collect();
    context.out.map(found.len());
    for (name, setting) in found {
        context.out.bulk(name);
        context.out.bulk((setting.show)(context.state).as_bytes());
    }
    Ok(())
}

/// CONFIG SET name value [name value ...]: all of them or none. As in Redis the names are looked at
/// before the values, and a bad value's setting goes by its own name, whatever was written.
pub(super) fn set<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    if !args.len().is_multiple_of(2) {
        return Err(Refusal::Syntax);
    }
    let mut wanted: Vec<(&'a [u8], &Setting, Parse, &'a [u8])> = Vec::new();
    for index in (2..args.len()).step_by(2) {
        let name = args.get(index);
        let is_it = |setting: &&Setting| setting.name.as_bytes().eq_ignore_ascii_case(name);
        let setting = SETTINGS.iter().find(is_it).ok_or(Refusal::UnknownSetting(name))?;
        let refuse = |reason: &'static str| Refusal::Setting(name, reason.into());
        let parse = setting.parse.ok_or_else(|| refuse("can't set immutable config"))?;
        if wanted.iter().any(|(_, other, ..)| other.name == setting.name) {
            return Err(refuse("duplicate parameter"));
        }
        wanted.push((name, setting, parse, args.get(index + 1)));
    }
    let mut changes: Vec<Change> = Vec::new();
    for (_, setting, parse, value) in wanted {
        let name = setting.name.as_bytes();
        changes.push(parse(value).map_err(|reason| Refusal::Setting(name, reason))?);
    }
    for change in changes {
        change(context);
    }
    context.out.ok();
    Ok(())
}
