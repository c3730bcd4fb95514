//! INFO: the state of the server in Redis's fields, one function for each section.

mod command_figures;
mod data;
mod memory_use;
mod persistence;
mod server;
mod stats;

use std::fmt::Write;

use super::context::Context;
use super::row::{Argument, ArgumentKind, Categories, Flags, Handler, Outcome, Row};
use crate::resp::Args;

pub(super) static ROWS: [Row; 1] = [Row {
    name: "info",
    arity: -1,
    flags: Flags::LOADING.and(Flags::STALE),
    categories: Categories::DANGEROUS,
    summary: "Returns the state of the server and its statistics",
    history: &[("7.0.0", "Takes several sections.")],
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    arguments: &[Argument::new("section", ArgumentKind::String).optional().multiple()],
    handler: Handler::Plain(info),
    ..Row::BASE
}];

/// A section: its title, which names it in any case, and its fields.
struct Section {
    title: &'static str,
    /// Whether it is shown when none is asked for.
    by_default: bool,
    add: fn(&mut Fields<'_>, &Context<'_>),
}

impl Section {
    const fn new(title: &'static str, add: fn(&mut Fields<'_>, &Context<'_>)) -> Section {
        Section { title, by_default: true, add }
    }

    /// One that is shown when it is asked for, or everything.
    const fn on_request(title: &'static str, add: fn(&mut Fields<'_>, &Context<'_>)) -> Section {
        Section { by_default: false, ..Section::new(title, add) }
    }
}

/// All sections, in the order they are shown whatever the order they are asked for: Redis's, and
/// one of our own.
const SECTIONS: &[Section] = &[
    Section::new("Server", server::server),
    Section::new("Clients", server::clients),
    Section::new("Memory", memory_use::memory_use),
    Section::new("Persistence", persistence::persistence),
    Section::new("Stats", stats::stats),
    Section::new("Replication", server::replication),
    Section::new("CPU", server::processor),
    // There are none.
    Section::new("Modules", |_, _| ()),
    Section::on_request("Commandstats", command_figures::calls),
    Section::new("Errorstats", command_figures::errors),
    Section::on_request("Latencystats", command_figures::percentiles),
    Section::new("Cluster", |fields, _| fields.add("cluster_enabled", 0)),
    Section::new("Keyspace", data::keyspace),
    Section::new("Ferrum", data::ferrum),
];

/// Names that stand for all sections.
const ALL: [&[u8]; 2] = [b"all", b"everything"];

/// The handler.
fn info<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    let is_any = |words: &[&[u8]]| {
        let mut asked = args.iter().skip(1);
        asked.any(|word| words.iter().any(|name| word.eq_ignore_ascii_case(name)))
    };
    let (all, default) = (is_any(&ALL), args.len() == 1 || is_any(&[b"default"]));
    let is_shown = |section: &&Section| {
        all || default && section.by_default || is_any(&[section.title.as_bytes()])
    };
    let mut text = String::new();
    for section in SECTIONS.iter().filter(is_shown) {
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        let mut fields = Fields { text: &mut text };
        fields.line(format_args!("# {}", section.title));
        (section.add)(&mut fields, context);
    }
    context.out.verbatim("txt", text.as_bytes());
    Ok(())
}

/// The text under way.
struct Fields<'t> {
    text: &'t mut String,
}

impl Fields<'_> {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // A string takes whatever is written to it.
        let _ = write!(self.text, "{line}\r\n");
    }

    fn add(&mut self, name: &str, value: impl std::fmt::Display) {
        self.line(format_args!("{name}:{value}"));
    }

    /// Adds several fields that are always the same.
    fn add_all(&mut self, lines: &[&str]) {
        lines.iter().for_each(|line| self.line(format_args!("{line}")));
    }

    /// Adds a number of bytes, and once more for people.
    fn add_bytes(&mut self, name: &str, bytes: u64) {
        self.add(name, bytes);
        self.line(format_args!("{name}_human:{}", human(bytes)));
    }
}

/// A number of bytes in the largest unit that keeps it above one, as Redis writes it.
fn human(bytes: u64) -> String {
    let units = [(40, 'T'), (30, 'G'), (20, 'M'), (10, 'K')];
    match units.into_iter().find(|(shift, _)| bytes >> shift > 0) {
        Some((shift, unit)) => format!("{:.2}{unit}", bytes as f64 / (1_u64 << shift) as f64),
        None => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn bytes_for_people() {
        assert_eq!(human(0), "0B");
        assert_eq!(human(1023), "1023B");
        assert_eq!(human(992_056), "968.80K");
        assert_eq!(human(7_512_064), "7.16M");
        assert_eq!(human(25_276_063_744), "23.54G");
    }
}
