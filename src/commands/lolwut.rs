//! LOLWUT: a picture and the version, for those who wonder what the server does all day.
//!
//! The picture is the history of a row of cells, each line made from the one above by one of the
//! 256 elementary rules; iron (element 26) chooses the rule unless `VERSION n` does.

use super::context::{Context, integer};
use super::row::{Argument, ArgumentKind, Flags, Handler, Outcome, Row};
use super::state::COMPATIBLE_VERSION;
use crate::resp::Args;

pub(super) static ROWS: [Row; 1] = [Row {
    name: "lolwut",
    arity: -1,
    flags: Flags::READONLY.and(Flags::FAST),
    since: "5.0.0",
    summary: "Shows a picture and the version",
    arguments: &[Argument {
        token: Some("VERSION"),
        ..Argument::new("version", ArgumentKind::Integer).optional()
    }],
    handler: Handler::Plain(lolwut),
    ..Row::BASE
}];

/// The number of iron in the table of elements. From one cell this rule grows nested triangles.
const IRON: u8 = 26;

const COLUMNS: usize = 63;
const LINES: usize = 16;

fn lolwut<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    let has_version = args.len() >= 3 && args.get(1).eq_ignore_ascii_case(b"version");
    let rule = if has_version { integer(args.get(2))?.rem_euclid(256) as u8 } else { IRON };
    let mut text = picture(rule);
    text.push_str(&format!(
        "\nFerrumKV {}, which speaks like Redis ver. {COMPATIBLE_VERSION}\n",
        env!("CARGO_PKG_VERSION")
    ));
    context.out.verbatim("txt", text.as_bytes());
    Ok(())
}

fn picture(rule: u8) -> String {
    let mut cells = [false; COLUMNS];
    cells[COLUMNS / 2] = true;
    let mut text = String::new();
    for _ in 0..LINES {
        let line: String = cells.iter().map(|alive| if *alive { '#' } else { ' ' }).collect();
        text.push_str(line.trim_end());
        text.push('\n');
        let old = cells;
        let at =
            |index: Option<usize>| index.and_then(|index| old.get(index)).is_some_and(|it| *it);
        for (index, cell) in cells.iter_mut().enumerate() {
            let neighbours = [at(index.checked_sub(1)), old[index], at(Some(index + 1))];
            let number = neighbours.iter().fold(0, |sum, alive| sum * 2 + u8::from(*alive));
            *cell = rule >> number & 1 == 1;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_90_draws_the_triangle_of_sierpinski() {
        let picture = picture(90);
        let counts: Vec<_> = picture.lines().map(|line| line.matches('#').count()).collect();
        assert_eq!(counts, [1, 2, 2, 4, 2, 4, 4, 8, 2, 4, 4, 8, 4, 8, 8, 16]);
    }
}
