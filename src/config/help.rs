//! What the command line says of itself: help, version, and what shells and `man` need. All of it
//! is made from the directives' rows.

use clap::{Arg, Command, Subcommand};
use clap_complete::Shell;

use super::cli::Task;
use super::directives;

/// The subcommands.
pub(super) const TASKS: [&str; 4] = ["check", "ping", "completions", "man"];

/// The option for host and port in one, which is no directive.
pub(super) const ADDRESS: &str = "addr";

const ABOUT: &str = "A Redis-compatible in-memory key-value server. Every directive of redis.conf \
                     is an option too; the main ones:";

/// The command line as clap knows it. Only its subcommands are parsed by clap, the options are read
/// as redis-server reads them.
pub(super) fn command() -> Command {
    let mut command = Command::new("ferrum-kv")
        .version(env!("CARGO_PKG_VERSION"))
        .max_term_width(100)
        .disable_help_subcommand(true)
        .override_usage("ferrum-kv [FILE] [--directive VALUE...]...\n       ferrum-kv <COMMAND>")
        .arg(Arg::new("FILE").help(
            "Configuration file in the format of redis.conf; - is standard \
            input",
        ))
        .arg(option("config", "FILE", "The same as an option", "Options"))
        .arg(option(
            ADDRESS,
            "HOST:PORT",
            "Where to listen, as bind and port say \
            [default: 127.0.0.1:6380]",
            "Options",
        ));
    for row in directives::all().filter(|row| !row.summary.is_empty()) {
        command = command.arg(option(row.name, row.value, row.summary, row.topic));
    }
    // What the subcommands say of themselves as a whole is not what the program is.
    Task::augment_subcommands(command).about(ABOUT)
}

fn option(
    name: &'static str,
    value: &'static str,
    summary: &'static str,
    topic: &'static str,
) -> Arg {
    Arg::new(name).long(name).value_name(value).help(summary).help_heading(topic)
}

/// The help.
pub(super) fn text() -> String {
    command().render_help().to_string()
}

/// The version, on a line.
pub(super) fn version() -> String {
    command().render_version()
}

/// What a shell needs to complete a command line.
pub(super) fn completions(shell: Shell) -> Vec<u8> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command(), "ferrum-kv", &mut text);
    text
}

/// The manual page.
pub(super) fn manual() -> Vec<u8> {
    let mut text = Vec::new();
    // A vector takes everything.
    let _ = clap_mangen::Man::new(command()).render(&mut text);
    text
}
