//! COMMAND DOCS: the rows as people read them, and as redis-cli makes hints of them.

use super::command_info::{by_full_name, full_name, write_names};
use super::context::Context;
use super::row::{Argument, ArgumentKind, Outcome, Row};
use super::table;
use crate::resp::{Args, ReplyBuffer};

/// COMMAND DOCS [name ...]. Unknown names are left out.
pub(super) fn docs<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    let out = &mut *context.out;
    if args.len() == 2 {
        out.map(table::count());
        table::rows().for_each(|row| write_docs(out, None, row));
        return Ok(());
    }
    let found: Vec<_> = args.iter().skip(2).filter_map(by_full_name).collect();
    out.map(found.len());
    for (container, row) in found {
        write_docs(out, container, row);
    }
    Ok(())
}

fn write_docs(out: &mut ReplyBuffer, container: Option<&Row>, row: &Row) {
    out.bulk(full_name(container, row).as_bytes());
    let lists = [row.history.is_empty(), row.arguments.is_empty(), row.subcommands.is_empty()];
    let deprecation = if row.deprecated.is_some() { 3 } else { 0 };
    out.map(4 + deprecation + lists.iter().filter(|empty| !*empty).count());
    write_field(out, "summary", row.summary);
    write_field(out, "since", row.since);
    write_field(out, "group", row.group);
    write_field(out, "complexity", row.complexity);
    if let Some((since, instead)) = row.deprecated {
        out.bulk(b"doc_flags");
        write_names(out, std::iter::once("deprecated"));
        write_field(out, "deprecated_since", since);
        write_field(out, "replaced_by", instead);
    }
    if !row.history.is_empty() {
        out.bulk(b"history");
        out.set(row.history.len());
        for (version, change) in row.history {
            out.array(2);
            out.bulk(version.as_bytes());
            out.bulk(change.as_bytes());
        }
    }
    if !row.arguments.is_empty() {
        out.bulk(b"arguments");
        write_arguments(out, row.arguments);
    }
    if !row.subcommands.is_empty() {
        out.bulk(b"subcommands");
        out.map(row.subcommands.len());
        row.subcommands.iter().for_each(|subcommand| write_docs(out, Some(row), subcommand));
    }
}

fn write_field(out: &mut ReplyBuffer, name: &str, value: &str) {
    out.bulk(name.as_bytes());
    out.bulk(value.as_bytes());
}

fn write_arguments(out: &mut ReplyBuffer, arguments: &[Argument]) {
    out.array(arguments.len());
    arguments.iter().for_each(|argument| write_argument(out, argument));
}

fn write_argument(out: &mut ReplyBuffer, argument: &Argument) {
    let is_key = argument.kind == ArgumentKind::Key;
    let properties = [
        (argument.optional, "optional"),
        (argument.multiple, "multiple"),
        (argument.multiple_token, "multiple_token"),
    ];
    let has_properties = properties.iter().any(|(has, _)| *has);
    let properties = properties.into_iter().filter(|(has, _)| *has).map(|(_, name)| name);
    let fields = [
        is_key,
        argument.token.is_some(),
        argument.since.is_some(),
        has_properties,
        !argument.parts.is_empty(),
    ];
    out.map(2 + fields.iter().filter(|present| **present).count());
    write_field(out, "name", argument.name);
    write_field(out, "type", argument.kind.name());
    if is_key {
        out.bulk(b"key_spec_index");
        out.integer(argument.key_spec as i64);
    }
    if let Some(token) = argument.token {
        write_field(out, "token", token);
    }
    if let Some(since) = argument.since {
        write_field(out, "since", since);
    }
    if has_properties {
        out.bulk(b"flags");
        write_names(out, properties);
    }
    if !argument.parts.is_empty() {
        out.bulk(b"arguments");
        write_arguments(out, argument.parts);
    }
}
