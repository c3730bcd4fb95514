//! COMMAND, COMMAND COUNT, INFO and LIST: the rows as clients and proxies read them.

use super::context::Context;
use super::glob::{self, Case};
use super::refusal::Refusal;
use super::row::{Keys, Outcome, Row};
use super::{lookup, table};
use crate::resp::{Args, ReplyBuffer};

/// COMMAND.
pub(super) fn all<'a>(context: &mut Context<'_>, _: &Args<'a>) -> Outcome<'a> {
    context.out.array(table::count());
    for row in table::rows() {
        write_row(context.out, None, row);
    }
    Ok(())
}

/// COMMAND COUNT.
pub(super) fn count<'a>(context: &mut Context<'_>, _: &Args<'a>) -> Outcome<'a> {
    context.out.integer(table::count() as i64);
    Ok(())
}

/// COMMAND INFO [name ...].
pub(super) fn info<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    if args.len() == 2 {
        return all(context, args);
    }
    context.out.array(args.len() - 2);
    for name in args.iter().skip(2) {
        match by_full_name(name) {
            Some((container, row)) => write_row(context.out, container, row),
            None => context.out.null(),
        }
    }
    Ok(())
}

/// COMMAND LIST [FILTERBY (MODULE name | ACLCAT category | PATTERN pattern)]. Subcommands are
/// listed too, by their full names.
pub(super) fn list<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    let filter = filter(args)?;
    let mut names = Vec::new();
    for row in table::rows() {
        names.extend(filter.admits(row, row.name).then(|| row.name.to_owned()));
        for subcommand in row.subcommands {
            let name = full_name(Some(row), subcommand);
            names.extend(filter.admits(subcommand, &name).then_some(name));
        }
    }
    context.out.array(names.len());
    names.iter().for_each(|name| context.out.bulk(name.as_bytes()));
    Ok(())
}

/// Which commands to list.
enum Filter<'a> {
    All,
    /// Those of a module: there are no modules.
    Module,
    Category(&'a [u8]),
    Pattern(&'a [u8]),
}

fn filter<'a>(args: &Args<'a>) -> Result<Filter<'a>, Refusal<'a>> {
    match args.len() {
        2 => return Ok(Filter::All),
        5 if args.get(2).eq_ignore_ascii_case(b"filterby") => {}
        _ => return Err(Refusal::Syntax),
    }
    match args.get(3).to_ascii_lowercase().as_slice() {
        b"module" => Ok(Filter::Module),
        b"aclcat" => Ok(Filter::Category(args.get(4))),
        b"pattern" => Ok(Filter::Pattern(args.get(4))),
        _ => Err(Refusal::Syntax),
    }
}

impl Filter<'_> {
    fn admits(&self, row: &Row, full_name: &str) -> bool {
        match self {
            Filter::All => true,
            Filter::Module => false,
            Filter::Category(wanted) => row
                .all_categories()
                .names()
                .any(|name| name.as_bytes()[1..].eq_ignore_ascii_case(wanted)),
            Filter::Pattern(pattern) => {
                glob::matches(pattern, full_name.as_bytes(), Case::Insensitive)
            }
        }
    }
}

/// The command called `name`, or the subcommand called `container|name`, with its container.
pub(super) fn by_full_name(name: &[u8]) -> Option<(Option<&'static Row>, &'static Row)> {
    match name.iter().position(|&byte| byte == b'|') {
        None => lookup::command(name).map(|row| (None, row)),
        Some(bar) => {
            let container = lookup::command(&name[..bar])?;
            let row = lookup::subcommand(container, &name[bar + 1..])?;
            Some((Some(container), row))
        }
    }
}

/// The name of a command, `container|name` for a subcommand.
pub(super) fn full_name(container: Option<&Row>, row: &Row) -> String {
    match container {
        Some(container) => format!("{}|{}", container.name, row.name),
        None => row.name.to_owned(),
    }
}

/// Writes what COMMAND says of one command.
fn write_row(out: &mut ReplyBuffer, container: Option<&Row>, row: &Row) {
    out.array(10);
    out.bulk(full_name(container, row).as_bytes());
    out.integer(row.arity.into());
    write_names(out, row.flags.names());
    let (first, last, step) = match row.keys {
        None => (0, 0, 0),
        Some(keys) if keys.until_last => (keys.first as i64, -1, keys.step as i64),
        Some(keys) => {
            // There are two when the second is used in a way of its own.
            let last = keys.position(usize::from(keys.rest.is_some()));
            (keys.first as i64, last as i64, keys.step as i64)
        }
    };
    out.integer(first);
    out.integer(last);
    out.integer(step);
    write_names(out, row.all_categories().names());
    out.set(row.tips.len());
    row.tips.iter().for_each(|tip| out.bulk(tip.as_bytes()));
    match row.keys {
        None => out.set(0),
        Some(keys) => write_keys(out, keys),
    }
    // Redis sends the list as an array, but its absence as an empty set.
    match row.subcommands.len() {
        0 => out.set(0),
        some => out.array(some),
    }
    for subcommand in row.subcommands {
        write_row(out, Some(row), subcommand);
    }
}

/// Writes a set of status replies.
pub(super) fn write_names(
    out: &mut ReplyBuffer,
    names: impl Iterator<Item = &'static str> + Clone,
) {
    out.set(names.clone().count());
    names.for_each(|name| out.simple(name));
}

/// Writes the key specifications: one, or one for the first key and one for those after it.
fn write_keys(out: &mut ReplyBuffer, keys: Keys) {
    let Some(rest) = keys.rest.filter(|_| !keys.is_pair_of_one_use()) else {
        out.set(1);
        return write_keys_of_one_use(out, keys);
    };
    out.set(2);
    let one = Keys { rest: None, ..keys };
    write_keys_of_one_use(out, Keys { until_last: false, ..one });
    write_keys_of_one_use(out, Keys { first: keys.position(1), access: rest, ..one });
}

/// Writes a key specification: where the keys begin and how to find the rest.
fn write_keys_of_one_use(out: &mut ReplyBuffer, keys: Keys) {
    out.map(3 + usize::from(keys.notes.is_some()));
    if let Some(notes) = keys.notes {
        out.bulk(b"notes");
        out.bulk(notes.as_bytes());
    }
    out.bulk(b"flags");
    write_names(out, keys.access.iter().copied());
    out.bulk(b"begin_search");
    out.map(2);
    out.bulk(b"type");
    out.bulk(b"index");
    out.bulk(b"spec");
    out.map(1);
    out.bulk(b"index");
    out.integer(keys.first as i64);
    out.bulk(b"find_keys");
    out.map(2);
    out.bulk(b"type");
    out.bulk(b"range");
    out.bulk(b"spec");
    out.map(3);
    out.bulk(b"lastkey");
    // Counted from the first; the last argument is -1.
    out.integer(if keys.until_last { -1 } else { keys.is_pair_of_one_use().into() });
    out.bulk(b"keystep");
    out.integer(keys.step as i64);
    out.bulk(b"limit");
    out.integer(0);
}
