//! CONFIG GET and SET: the settings, one row each.

use std::borrow::Cow;

use super::context::Context;
use super::glob::{self, Case};
use super::refusal::Refusal;
use super::row::Outcome;
use super::state::ServerState;
use crate::config::{AppendFsync, parse_memory};
use crate::record::parse_canonical;
use crate::resp::Args;

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
type Change = Box<dyn FnOnce(&ServerState)>;

/// The most percent by which the log may grow (Redis: an int).
const PERCENT_MAX: i64 = i32::MAX as i64;

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
    fixed("bind", |state| state.config.address.host.clone()),
    fixed("client-query-buffer-limit", |state| {
        state.config.client_query_buffer_limit_bytes.to_string()
    }),
    fixed("databases", |state| state.config.databases.to_string()),
    fixed("io-threads", |state| state.config.workers().to_string()),
    fixed("loglevel", |state| state.config.log_level.to_string()),
    fixed("maxclients", |state| state.config.max_clients.to_string()),
    fixed("maxmemory", |_| "0".to_owned()),
    fixed("maxmemory-policy", |_| "noeviction".to_owned()),
    fixed("port", |state| state.config.address.port.to_string()),
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
    Ok(Box::new(move |state| state.set_append_fsync(when)))
}

fn parse_rewrite_percentage(value: &[u8]) -> Result<Change, Cow<'static, str>> {
    let percent = parse_canonical(value).ok_or("argument couldn't be parsed into an integer")?;
    let percent = u64::try_from(percent).ok().filter(|_| percent <= PERCENT_MAX);
    let percent =
        percent.ok_or_else(|| format!("argument must be between 0 and {PERCENT_MAX} inclusive"))?;
    Ok(Box::new(move |state| state.persistence.set_rewrite_percentage(percent)))
}

fn parse_rewrite_min_size(value: &[u8]) -> Result<Change, Cow<'static, str>> {
    let text = std::str::from_utf8(value).ok();
    let bytes = text.and_then(|text| parse_memory(text).ok());
    let bytes = bytes.ok_or("argument must be a memory value")? as u64;
    Ok(Box::new(move |state| state.persistence.set_rewrite_min_size_bytes(bytes)))
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
/// before the values.
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
    for (name, _, parse, value) in wanted {
        changes.push(parse(value).map_err(|reason| Refusal::Setting(name, reason))?);
    }
    for change in changes {
        change(context.state);
    }
    context.out.ok();
    Ok(())
}
