//! Numbers drawn with letters: a column for each, with a label beneath, written downwards.

use std::cmp::Ordering;

/// A number to draw.
pub(super) struct Column {
    pub(super) value: u64,
    pub(super) label: String,
}

/// Lines of the drawing.
const LINES: usize = 4;

/// The tops of columns: three heights within a line.
const TOPS: [char; 3] = ['_', 'o', '#'];

/// Draws the columns, at most `width` side by side, the rest below.
pub(super) fn draw(columns: &[Column], width: usize) -> String {
    let low = columns.iter().map(|column| column.value).min().unwrap_or(0);
    let high = columns.iter().map(|column| column.value).max().unwrap_or(0);
    let height = |value: u64| {
        let steps = (LINES * TOPS.len()) as u64;
        let step = u128::from(value - low) * u128::from(steps) / u128::from((high - low).max(1));
        step.min(u128::from(steps - 1)) as usize
    };
    let mut text = String::new();
    for (number, part) in columns.chunks(width).enumerate() {
        if number > 0 {
            text.push('\n');
        }
        for line in (0..LINES).rev() {
            for column in part {
                let step = height(column.value);
                text.push(match (step / TOPS.len()).cmp(&line) {
                    Ordering::Less => ' ',
                    Ordering::Equal => TOPS[step % TOPS.len()],
                    Ordering::Greater => '|',
                });
            }
            text.push('\n');
        }
        text.extend(part.iter().map(|_| ' '));
        text.push('\n');
        let longest = part.iter().map(|column| column.label.len()).max().unwrap_or(0);
        for place in 0..longest {
            let letter = |column: &Column| column.label.chars().nth(place).unwrap_or(' ');
            text.extend(part.iter().map(letter));
            text.push('\n');
        }
    }
    text
}
