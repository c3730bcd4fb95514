//! The style that matters, as tests over the source itself: the floors of the house, where `unsafe`
//! and atomics may stand, widths and lengths, leftovers, and a word of prose atop every file.
//!
//! Each rule is a function from a file to its violations, and each is shown a bad sample.

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// The floors, lowest first. A module names only modules of lower floors.
const FLOORS: [&[&str]; 8] = [
    &["sync", "error"],
    &["stats", "resp", "memory"],
    &["record", "ring", "config"],
    &["table"],
    &["store"],
    &["aof"],
    &["commands"],
    &["server"],
];

/// Where `unsafe` may stand: folders and files.
const UNSAFE_PLACES: [&str; 5] =
    ["src/sync/", "src/record/", "src/ring/", "src/table/", "src/store/generation.rs"];

/// Where atomics, model checkers and epochs may be named.
const SYNC_PLACE: &str = "src/sync/";

const COLUMNS_MAX: usize = 100;

/// Lines of code in one file, tests, comments and blank lines apart.
const CODE_LINES_MAX: usize = 420;

/// Lines of one function, from its name to its end.
const FUNCTION_LINES_MAX: usize = 90;

/// A Rust file.
struct Source {
    /// From the top of the repository, with slashes.
    path: String,
    /// As it is.
    text: String,
    /// Without comments, the contents of strings, and tests.
    code: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Source {
        let code = match is_test_file(path) {
            true => String::new(),
            false => without_tests(&without_comments_and_strings(text)),
        };
        Source { path: path.to_owned(), text: text.to_owned(), code }
    }

    /// A violation at a line, counted from 0.
    fn at(&self, line: usize, what: &str) -> String {
        format!("{}:{}: {what}", self.path, line + 1)
    }
}

fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

/// The text with every comment, string and character literal blanked; lines stay where they are.
fn without_comments_and_strings(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = at + literal_or_comment(&text[at..], at.checked_sub(1).map(|i| bytes[i]));
        if end > at {
            code.extend(text[at..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            at = end;
        } else {
            let next = text[at..].chars().next().expect("not at the end");
            code.push(next);
            at += next.len_utf8();
        }
    }
    code
}

/// The length of the comment or literal that `rest` begins with; 0 when it begins with neither.
fn literal_or_comment(rest: &str, before: Option<u8>) -> usize {
    let until = |start: usize, end: &str| {
        rest[start..].find(end).map_or(rest.len(), |place| start + place + end.len())
    };
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return until(2, "*/");
    }
    let in_a_word = before.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let raw = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r')).filter(|_| !in_a_word);
    if let Some(quoted) = raw {
        let hashes = quoted.len() - quoted.trim_start_matches('#').len();
        if quoted[hashes..].starts_with('"') {
            let start = rest.len() - quoted.len() + hashes + 1;
            return until(start, &format!("\"{}", "#".repeat(hashes)));
        }
    }
    if rest.starts_with('"') {
        return quoted_length(rest, b'"');
    }
    if rest.starts_with("'\\") {
        return quoted_length(rest, b'\'');
    }
    // A lifetime has no quote after its first letter.
    let mut chars = rest.chars();
    match (chars.next(), chars.next(), chars.next()) {
        (Some('\''), Some(inner), Some('\'')) => 2 + inner.len_utf8(),
        _ => 0,
    }
}

/// The length of a literal with escapes, its quotes included.
fn quoted_length(rest: &str, quote: u8) -> usize {
    let mut escaped = false;
    for (place, byte) in rest.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            byte if byte == quote => return place + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The code with each `#[cfg(test)] mod … { … }` blanked.
fn without_tests(code: &str) -> String {
    let mut result = String::with_capacity(code.len());
    let mut lines = code.lines().peekable();
    while let Some(line) = lines.next() {
        let is_test_module = line.trim() == "#[cfg(test)]"
            && lines.peek().is_some_and(|next| next.trim_start().starts_with("mod "));
        if !is_test_module {
            result.push_str(line);
            result.push('\n');
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        let end = format!("{}}}", " ".repeat(indent));
        let is_block = lines.peek().is_some_and(|next| next.ends_with('{'));
        result.push('\n');
        for skipped in lines.by_ref() {
            result.push('\n');
            if !is_block || skipped == end {
                break;
            }
        }
    }
    result
}

/// The words of a line of code: identifiers and keywords.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// The module of the first level that a file belongs to.
fn module_of(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("src/")?;
    let first = inside.split('/').next()?;
    Some(first.strip_suffix(".rs").unwrap_or(first))
}

fn floor_of(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

/// Modules of the first level that the code names, each with its line: after `crate::`, also in
/// braces.
fn named_modules(code: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (place, start) in code.match_indices("crate::") {
        let line = code[..place].matches('\n').count();
        let rest = &code[place + start.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            found.extend(words(rest).next().map(|name| (line, name)));
            continue;
        };
        let (mut depth, mut begins) = (0, true);
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' => begins = depth == 0,
                c if c.is_alphabetic() && begins && depth == 0 => {
                    found.extend(words(&group[at..]).next().map(|name| (line, name)));
                    begins = false;
                }
                _ => {}
            }
        }
    }
    found
}

fn floors(source: &Source) -> Vec<String> {
    let Some(module) = module_of(&source.path).filter(|name| !["lib", "main"].contains(name))
    else {
        return Vec::new();
    };
    let Some(floor) = floor_of(module) else {
        return vec![source.at(0, &format!("module {module} is on no floor"))];
    };
    let mut violations = Vec::new();
    for (line, name) in named_modules(&source.code) {
        let is_lower = floor_of(name).is_some_and(|other| other < floor);
        if name != module && !is_lower {
            violations.push(source.at(line, &format!("{module} (floor {floor}) names {name}")));
        }
    }
    // The way around: `super::` beyond the module's own top.
    let depth = source.path.matches('/').count() - usize::from(source.path.ends_with("/mod.rs"));
    let way_out = "super::".repeat(depth.max(1));
    for (line, text) in source.code.lines().enumerate() {
        if text.contains(&way_out) {
            violations.push(source.at(line, "super:: leads out of the module"));
        }
    }
    violations
}

fn unsafe_code(source: &Source) -> Vec<String> {
    let allowed = UNSAFE_PLACES.iter().any(|place| source.path.starts_with(place));
    if allowed {
        return Vec::new();
    }
    let code = without_comments_and_strings(&source.text);
    let is_unsafe = |line: &str| words(line).any(|word| ["unsafe", "unsafe_code"].contains(&word));
    let lines = code.lines().enumerate().filter(|(_, line)| is_unsafe(line));
    lines.map(|(line, _)| source.at(line, "unsafe code")).collect()
}

fn sync_names(source: &Source) -> Vec<String> {
    if source.path.starts_with(SYNC_PLACE) {
        return Vec::new();
    }
    let names = ["std::sync", "core::sync", "loom::", "shuttle::", "crossbeam_epoch"];
    let mut violations = Vec::new();
    for (line, text) in source.code.lines().enumerate() {
        for name in names.iter().filter(|name| text.contains(*name)) {
            violations.push(source.at(line, &format!("{name} outside {SYNC_PLACE}")));
        }
    }
    // Grouped: use std::{..., sync::...}.
    for (place, start) in source.code.match_indices("std::{") {
        let group = &source.code[place + start.len()..];
        let group = &group[..group.find(';').unwrap_or(group.len())];
        if words(group).any(|word| word == "sync") {
            let line = source.code[..place].matches('\n').count();
            violations.push(source.at(line, &format!("std::sync outside {SYNC_PLACE}")));
        }
    }
    violations
}

fn width(source: &Source) -> Vec<String> {
    let lines = source.text.lines().enumerate();
    let wide = lines.filter(|(_, line)| line.chars().count() > COLUMNS_MAX);
    wide.map(|(line, _)| source.at(line, &format!("wider than {COLUMNS_MAX} columns"))).collect()
}

fn leftovers(source: &Source) -> Vec<String> {
    // In two parts, so that this file does not find itself.
    let marks = [
        concat!("to", "do!"),
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
        concat!("db", "g!("),
        concat!("unimple", "mented!"),
        concat!("allow(dead", "_code)"),
        concat!("allow(unus", "ed"),
    ];
    let mut violations = Vec::new();
    for (line, text) in source.text.lines().enumerate() {
        for mark in marks.iter().filter(|mark| text.contains(*mark)) {
            violations.push(source.at(line, &format!("left over: {mark}")));
        }
    }
    violations
}

fn file_length(source: &Source) -> Vec<String> {
    let count = source.code.lines().filter(|line| !line.trim().is_empty()).count();
    match count > CODE_LINES_MAX {
        true => vec![source.at(0, &format!("{count} lines of code, {CODE_LINES_MAX} at most"))],
        false => Vec::new(),
    }
}

fn function_length(source: &Source) -> Vec<String> {
    let lines: Vec<_> = source.code.lines().collect();
    let mut violations = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        if !words(line).any(|word| word == "fn") {
            continue;
        }
        // The source is formatted: a function ends with a brace as far in as its beginning.
        let indent = line.len() - line.trim_start().len();
        let end = format!("{}}}", " ".repeat(indent));
        let length = lines[start..].iter().position(|line| *line == end).map_or(1, |at| at + 1);
        let has_body = lines[start..].iter().find(|line| line.ends_with(['{', ';', '}']));
        if has_body.is_some_and(|line| line.ends_with('{')) && length > FUNCTION_LINES_MAX {
            violations.push(source.at(start, &format!("a function of {length} lines")));
        }
    }
    violations
}

fn prose(source: &Source) -> Vec<String> {
    match source.text.starts_with("//!") {
        true => Vec::new(),
        false => vec![source.at(0, "does not begin with //! and what the file is for")],
    }
}

/// All Rust files under these folders.
fn sources(folders: &[&str]) -> Vec<Source> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    let mut waiting: Vec<PathBuf> = folders.iter().map(|folder| top.join(folder)).collect();
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).expect("a folder of the repository");
            waiting.extend(entries.map(|entry| entry.expect("an entry").path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("a source file");
            let inside = path.strip_prefix(top).expect("in the repository");
            sources.push(Source::new(&inside.to_string_lossy().replace('\\', "/"), &text));
        }
    }
    sources
}

/// Applies a rule to all files of these folders.
fn check(folders: &[&str], rule: fn(&Source) -> Vec<String>) {
    let sources = sources(folders);
    assert!(sources.iter().any(|source| source.path.starts_with(folders[0])), "nothing to check");
    let mut report = String::new();
    for violation in sources.iter().flat_map(rule) {
        writeln!(report, "{violation}").expect("a string takes everything");
    }
    assert!(report.is_empty(), "\n{report}");
}

const PRODUCT: [&str; 1] = ["src"];
const EVERYTHING: [&str; 4] = ["src", "tests", "benches", "loom-tests"];

#[test]
fn modules_name_only_lower_floors() {
    check(&PRODUCT, floors);
}

#[test]
fn unsafe_stands_only_on_its_floors() {
    check(&PRODUCT, unsafe_code);
}

#[test]
fn only_the_sync_floor_names_atomics_model_checkers_and_epochs() {
    check(&PRODUCT, sync_names);
}

#[test]
fn no_line_is_too_wide() {
    check(&EVERYTHING, width);
}

#[test]
fn nothing_is_left_over() {
    check(&EVERYTHING, leftovers);
}

#[test]
fn files_are_short() {
    check(&PRODUCT, file_length);
}

#[test]
fn functions_are_short() {
    check(&PRODUCT, function_length);
}

#[test]
fn every_file_says_what_it_is_for() {
    check(&EVERYTHING, prose);
}

/// The number of violations of a rule in a sample.
fn count(rule: fn(&Source) -> Vec<String>, path: &str, text: &str) -> usize {
    rule(&Source::new(path, text)).len()
}

#[test]
fn the_rule_of_floors_sees_every_way_to_name_a_module() {
    for (path, code) in [
        ("src/table/mod.rs", "use crate::store::Keyspace;"),
        ("src/table/mod.rs", "use crate::{\n    record::Key,\n    store::Keyspace,\n};"),
        ("src/record/pool.rs", "fn f() { crate::server::run(); }"),
        ("src/resp/mod.rs", "use crate::config::Config;"),
        ("src/sync/mod.rs", "use crate::error::Error;"),
        ("src/store/mod.rs", "use super::server::run;"),
        ("src/store/hash.rs", "use super::super::server::run;"),
        ("src/stats.rs", "use super::store::Keyspace;"),
        ("src/cellar.rs", ""),
    ] {
        assert_eq!(count(floors, path, code), 1, "{path}: {code}");
    }
    for (path, code) in [
        ("src/store/mod.rs", "use crate::{record::{Key, server}, table::Table};"),
        ("src/store/hash.rs", "use super::Keyspace;\nuse crate::store::Local;"),
        ("src/table/mod.rs", "// crate::store\nconst A: &str = \"crate::store\";"),
        ("src/table/mod.rs", "#[cfg(test)]\nmod tests {\n    use crate::store::Keyspace;\n}\n"),
        ("src/server/worker.rs", "use crate::commands::Engine;\nuse crate::stats::WorkerStats;"),
        ("src/main.rs", "use ferrum_kv::server;"),
    ] {
        assert_eq!(count(floors, path, code), 0, "{path}: {code}");
    }
}

#[test]
fn the_rule_of_unsafe_sees_blocks_and_permissions() {
    let block = "fn f() {\n    unsafe { g() }\n}\n";
    for text in
        [block, "#![allow(unsafe_code)]", "#[cfg(test)]\nmod tests {\n    unsafe fn f();\n}"]
    {
        assert_eq!(count(unsafe_code, "src/server/mod.rs", text), 1, "{text}");
        assert_eq!(count(unsafe_code, "src/store/mod.rs", text), 1, "{text}");
        assert_eq!(count(unsafe_code, "src/table/mod.rs", text), 0, "{text}");
        assert_eq!(count(unsafe_code, "src/store/generation.rs", text), 0, "{text}");
    }
    assert_eq!(count(unsafe_code, "src/main.rs", "// unsafe\nlet not_unsafe = \"unsafe\";"), 0);
}

#[test]
fn the_rule_of_sync_sees_grouped_names_too() {
    for text in [
        "use std::sync::atomic::AtomicU64;",
        "use std::sync::Mutex;",
        "use std::{io, sync::Arc};",
        "let x = core::sync::atomic::fence(order);",
        "use loom::thread;",
        "shuttle::check_random(f, 9);",
        "use crossbeam_epoch::Guard;",
    ] {
        assert_eq!(count(sync_names, "src/stats.rs", text), 1, "{text}");
        assert_eq!(count(sync_names, "src/sync/mod.rs", text), 0, "{text}");
    }
    let fine = "use crate::sync::Arc;\n#[cfg(not(loom))]\nuse tokio::sync::Notify;\n";
    assert_eq!(count(sync_names, "src/stats.rs", fine), 0);
}

#[test]
fn the_rules_of_size_see_what_is_too_large() {
    let wide = "x".repeat(COLUMNS_MAX + 1);
    assert_eq!(count(width, "src/lib.rs", &wide), 1);
    assert_eq!(count(width, "src/lib.rs", &"ä".repeat(COLUMNS_MAX)), 0);

    let long = "let x = 1;\n".repeat(CODE_LINES_MAX + 1);
    assert_eq!(count(file_length, "src/lib.rs", &long), 1);
    let commented = "// x\n\n".repeat(CODE_LINES_MAX + 1);
    assert_eq!(count(file_length, "src/lib.rs", &commented), 0);
    let tests = format!("#[cfg(test)]\nmod tests {{\n{long}}}\n");
    assert_eq!(count(file_length, "src/lib.rs", &tests), 0);

    let body = "        let x = 1;\n".repeat(FUNCTION_LINES_MAX);
    let function = format!("impl X {{\n    fn f() {{\n{body}    }}\n    fn g() {{\n    }}\n}}\n");
    assert_eq!(count(function_length, "src/lib.rs", &function), 1);
    let several = "    fn f() {\n        g();\n    }\n".repeat(FUNCTION_LINES_MAX);
    assert_eq!(count(function_length, "src/lib.rs", &several), 0);
}

#[test]
fn the_rules_of_leftovers_and_prose_see_what_is_missing() {
    for mark in [concat!("to", "do!()"), concat!("// FIX", "ME"), concat!("db", "g!(x)")] {
        assert_eq!(count(leftovers, "src/lib.rs", &format!("    {mark}\n")), 1, "{mark}");
    }
    assert_eq!(count(leftovers, "src/lib.rs", "fn mastodon() {}"), 0);
    assert_eq!(count(prose, "src/lib.rs", "use std::io;\n"), 1);
    assert_eq!(count(prose, "src/lib.rs", "//! What it is for.\n"), 0);
}

#[test]
fn comments_and_literals_are_told_from_code() {
    let text = r##"a /* b */ c // d
let e = "f\" g"; let h = r#"i " j"#; let k = 'l'; let m = '\''; fn n<'o>(p: &'o str) {}
let q = br"r"; let s = b"t"; let over = 1;"##;
    let code = without_comments_and_strings(text);
    let left: Vec<_> = words(&code).collect();
    let expected = "a c let e let h let k let m fn n o p o str let q let s b let over 1";
    assert_eq!(left.join(" "), expected);
    assert_eq!(code.lines().count(), text.lines().count());
}
