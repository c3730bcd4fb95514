//! MODULE: there are no modules, and none can be loaded.

use super::context::Context;
use super::help;
use super::refusal::Refusal;
use super::row::{Argument, ArgumentKind, Flags, Handler, Outcome, Row};
use crate::resp::Args;

const LOADS: Row = Row {
    arity: -3,
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::NO_ASYNC_LOADING),
    since: "4.0.0",
    summary: "Refused: there are no modules",
    handler: Handler::Plain(refuse),
    ..Row::BASE
};

const PATH: Argument = Argument::new("path", ArgumentKind::String);

const MODULE: &[Row] = &[
    Row {
        name: "help",
        arity: 2,
        flags: Flags::LOADING.and(Flags::STALE),
        since: "5.0.0",
        summary: help::SUMMARY,
        handler: Handler::Plain(|context, _| help::write(context, "module", MODULE)),
        ..Row::BASE
    },
    Row {
        name: "list",
        arity: 2,
        flags: Flags::ADMIN.and(Flags::NOSCRIPT),
        since: "4.0.0",
        summary: "Returns the modules, which are none",
        complexity: "O(N) where N is the number of modules",
        tips: &["nondeterministic_output_order"],
        handler: Handler::Plain(list),
        ..Row::BASE
    },
    Row {
        name: "load",
        arguments: &[PATH, Argument::new("arg", ArgumentKind::String).optional().multiple()],
        ..LOADS
    },
    Row {
        name: "loadex",
        since: "7.0.0",
        arguments: &[
            PATH,
            Argument {
                token: Some("CONFIG"),
                multiple_token: true,
                parts: &[
                    Argument::new("name", ArgumentKind::String),
                    Argument::new("value", ArgumentKind::String),
                ],
                ..Argument::new("configs", ArgumentKind::Block).optional().multiple()
            },
            Argument {
                token: Some("ARGS"),
                parts: &[Argument::new("arg", ArgumentKind::String)],
                ..Argument::new("args", ArgumentKind::Block).optional().multiple()
            },
        ],
        ..LOADS
    },
    Row {
        name: "unload",
        arity: 3,
        arguments: &[Argument::new("name", ArgumentKind::String)],
        ..LOADS
    },
];

pub(super) static ROWS: [Row; 1] = [Row {
    name: "module",
    arity: -2,
    since: "4.0.0",
    summary: "Commands about modules, which there are none of",
    complexity: "Depends on the subcommand",
    subcommands: MODULE,
    ..Row::BASE
}];

fn list<'a>(context: &mut Context<'_>, _: &Args<'a>) -> Outcome<'a> {
    context.out.array(0);
    Ok(())
}

/// As a redis-server does in which modules are not enabled.
fn refuse<'a>(_: &mut Context<'_>, _: &Args<'a>) -> Outcome<'a> {
    Err(Refusal::Protected("MODULE", "module"))
}
