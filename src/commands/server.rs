//! Commands about the server: COMMAND, CONFIG and BGREWRITEAOF.

use super::row::{Argument, ArgumentKind, Categories, Flags, Handler, Row};
use super::{acl, bgrewriteaof, command_info, config, docs, help, key_arguments};

/// COMMAND and its subcommands.
const COMMAND_BASE: Row = Row {
    flags: Flags::LOADING.and(Flags::STALE),
    categories: Categories::CONNECTION,
    since: "2.8.13",
    ..Row::BASE
};

/// For replies about all commands, whose order means nothing.
const UNORDERED: &[&str] = &["nondeterministic_output_order"];

const COMMAND_NAMES: &[Argument] =
    &[Argument::new("command-name", ArgumentKind::String).optional().multiple()];

pub(super) static ROWS: [Row; 4] = [
    Row {
        name: "acl",
        arity: -2,
        since: "6.0.0",
        summary: "Commands about users and what they may do",
        complexity: "Depends on the subcommand",
        subcommands: acl::SUBCOMMANDS,
        ..Row::BASE
    },
    Row {
        name: "bgrewriteaof",
        flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::NO_ASYNC_LOADING),
        summary: "Rewrites the log in the background",
        handler: Handler::Plain(bgrewriteaof::bgrewriteaof),
        ..Row::BASE
    },
    Row {
        name: "command",
        arity: -1,
        summary: "Describes all commands",
        complexity: "O(N) where N is the number of commands",
        tips: UNORDERED,
        subcommands: COMMAND,
        handler: Handler::Plain(command_info::all),
        ..COMMAND_BASE
    },
    Row {
        name: "config",
        arity: -2,
        since: "2.0.0",
        summary: "Commands about the settings of the server",
        complexity: "Depends on the subcommand",
        subcommands: CONFIG,
        ..Row::BASE
    },
];

const COMMAND: &[Row] = &[
    Row {
        name: "count",
        arity: 2,
        summary: "Returns the number of commands",
        handler: Handler::Plain(command_info::count),
        ..COMMAND_BASE
    },
    Row {
        name: "docs",
        arity: -2,
        since: "7.0.0",
        summary: "Returns the documentation of commands, of all if none is named",
        complexity: "O(N) where N is the number of commands named",
        tips: UNORDERED,
        arguments: COMMAND_NAMES,
        handler: Handler::Plain(docs::docs),
        ..COMMAND_BASE
    },
    Row {
        name: "getkeys",
        arity: -4,
        summary: "Returns the keys in a command",
        complexity: "O(N) where N is the number of arguments of the command",
        handler: Handler::Plain(key_arguments::getkeys),
        ..COMMAND_BASE
    },
    Row {
        name: "getkeysandflags",
        arity: -4,
        since: "7.0.0",
        summary: "Returns the keys in a command and how it uses them",
        complexity: "O(N) where N is the number of arguments of the command",
        handler: Handler::Plain(key_arguments::getkeysandflags),
        ..COMMAND_BASE
    },
    Row {
        name: "help",
        arity: 2,
        since: "5.0.0",
        summary: help::SUMMARY,
        handler: Handler::Plain(|context, _| help::write(context, "command", COMMAND)),
        ..COMMAND_BASE
    },
    Row {
        name: "info",
        arity: -2,
        summary: "Describes commands, all if none is named",
        complexity: "O(N) where N is the number of commands named",
        history: &[("7.0.0", "The names may be left out.")],
        tips: UNORDERED,
        arguments: COMMAND_NAMES,
        handler: Handler::Plain(command_info::info),
        ..COMMAND_BASE
    },
    Row {
        name: "list",
        arity: -2,
        since: "7.0.0",
        summary: "Returns the names of all commands",
        complexity: "O(N) where N is the number of commands",
        tips: UNORDERED,
        arguments: &[Argument {
            token: Some("FILTERBY"),
            parts: &[
                filter("module-name", ArgumentKind::String, "MODULE"),
                filter("category", ArgumentKind::String, "ACLCAT"),
                filter("pattern", ArgumentKind::Pattern, "PATTERN"),
            ],
            ..Argument::new("filterby", ArgumentKind::OneOf).optional()
        }],
        handler: Handler::Plain(command_info::list),
        ..COMMAND_BASE
    },
];

const fn filter(name: &'static str, kind: ArgumentKind, token: &'static str) -> Argument {
    Argument { token: Some(token), ..Argument::new(name, kind) }
}

const CONFIG: &[Row] = &[
    Row {
        name: "get",
        arity: -3,
        flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
        since: "2.0.0",
        summary: "Returns the settings whose names match one of the patterns",
        complexity: "O(N) where N is the number of patterns",
        history: &[("7.0.0", "Takes several patterns.")],
        arguments: &[Argument {
            parts: &[Argument::new("parameter", ArgumentKind::String)],
            ..Argument::new("parameter", ArgumentKind::Block).multiple()
        }],
        handler: Handler::Plain(config::get),
        ..Row::BASE
    },
    Row {
        name: "help",
        arity: 2,
        flags: Flags::LOADING.and(Flags::STALE),
        since: "5.0.0",
        summary: help::SUMMARY,
        handler: Handler::Plain(|context, _| help::write(context, "config", CONFIG)),
        ..Row::BASE
    },
    Row {
        name: "resetstat",
        arity: 2,
        flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
        since: "2.0.0",
        summary: "Begins the statistics that INFO shows at nothing again",
        handler: Handler::Plain(config::reset_statistics),
        ..Row::BASE
    },
    Row {
        name: "rewrite",
        arity: 2,
        flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
        since: "2.8.0",
        summary: "Has the configuration file say what is in force",
        handler: Handler::Work(config::begin_rewrite),
        ..Row::BASE
    },
    Row {
        name: "set",
        arity: -4,
        flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
        since: "2.0.0",
        summary: "Puts new values of settings into force, all of them or none",
        complexity: "O(N) where N is the number of settings",
        history: &[("7.0.0", "Takes several settings.")],
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        arguments: &[Argument {
            parts: &[
                Argument::new("parameter", ArgumentKind::String),
                Argument::new("value", ArgumentKind::String),
            ],
            ..Argument::new("parameter_value", ArgumentKind::Block).multiple()
        }],
        handler: Handler::Work(config::begin_set),
        ..Row::BASE
    },
];
