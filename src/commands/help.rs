//! HELP of container commands, from the rows of their subcommands.

use std::fmt::Write;

use super::context::Context;
use super::row::{Argument, ArgumentKind, Outcome, Row};

/// The summary of every HELP subcommand.
pub(super) const SUMMARY: &str = "Describes the subcommands";

/// Writes the help of `container`.
pub(super) fn write<'a>(
    context: &mut Context<'_>,
    container: &str,
    subcommands: &[Row],
) -> Outcome<'a> {
    let out = &mut *context.out;
    let container = container.to_uppercase();
    out.array(1 + 2 * subcommands.len());
    out.simple(&format!("{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    for row in subcommands {
        let mut usage = row.name.to_uppercase();
        for argument in row.arguments {
            usage.push(' ');
            add_usage(&mut usage, argument);
        }
        out.simple(&usage);
        out.simple(&format!("    {}.", row.summary));
    }
    Ok(())
}

/// Adds how an argument is written: `<name>`, `TOKEN <name>`, `(A | B)`, `[<optional>]`,
/// `<repeated> [<repeated> ...]`.
fn add_usage(usage: &mut String, argument: &Argument) {
    let mut once = String::new();
    if let Some(token) = argument.token {
        once.push_str(token);
    }
    if argument.kind != ArgumentKind::PureToken {
        if !once.is_empty() {
            once.push(' ');
        }
        add_value(&mut once, argument);
    }
    if argument.multiple {
        once = format!("{once} [{once} ...]");
    }
    // A string takes whatever is written to it.
    let _ = match argument.optional {
        true => write!(usage, "[{once}]"),
        false => write!(usage, "{once}"),
    };
}

fn add_value(usage: &mut String, argument: &Argument) {
    let (separator, open, close) = match argument.kind {
        ArgumentKind::OneOf => (" | ", "(", ")"),
        ArgumentKind::Block => (" ", "", ""),
        _ => {
            let _ = write!(usage, "<{}>", argument.name);
            return;
        }
    };
    usage.push_str(open);
    for (number, part) in argument.parts.iter().enumerate() {
        if number > 0 {
            usage.push_str(separator);
        }
        add_usage(usage, part);
    }
    usage.push_str(close);
}
