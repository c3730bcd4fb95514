//! The results as a table and as JSON.

use std::fmt::Write;

use crate::cache::Outcome;
use crate::pattern;
use crate::trace::Trace;

/// Caches of real traces, as shares of the distinct keys in percent.
const SHARES_PERCENT: [f64; 3] = [0.1, 1.0, 10.0];

/// Smaller caches of real traces are left out.
const OBJECTS_MIN: usize = 50;

/// From here on a cell is in the second mean.
pub(crate) const LARGE_OBJECTS: usize = 1_000;

/// The bound, which is no policy.
pub(crate) const BOUND: &str = "belady";

/// A trace at a cache size.
pub(crate) struct Cell<'t> {
    pub(crate) trace: &'t Trace,
    pub(crate) objects: usize,
    /// The share of the distinct keys, if the size was chosen by it.
    share_percent: Option<f64>,
}

impl<'t> Cell<'t> {
    /// The cells of a trace: at the wanted sizes, or at the usual ones.
    pub(crate) fn all_of(trace: &'t Trace, sizes: &[usize]) -> Vec<Self> {
        let at = |&objects: &usize| Cell { trace, objects, share_percent: None };
        if !sizes.is_empty() {
            return sizes.iter().map(at).collect();
        }
        if !trace.is_real {
            return pattern::SIZES.iter().map(at).collect();
        }
        let by_share = |share: f64| {
            let objects = (trace.distinct as f64 * share / 100.0).round() as usize;
            Cell { trace, objects, share_percent: Some(share) }
        };
        let cells = SHARES_PERCENT.into_iter().map(by_share);
        cells.filter(|cell| cell.objects >= OBJECTS_MIN).collect()
    }

    pub(crate) fn name(&self) -> String {
        match self.share_percent {
            Some(share) => format!("{}@{share}%", self.trace.name),
            None => format!("{}@{}", self.trace.name, self.objects),
        }
    }
}

/// All hit ratios.
pub(crate) struct Results {
    pub(crate) policies: Vec<String>,
    rows: Vec<Row>,
}

struct Row {
    name: String,
    objects: usize,
    is_real: bool,
    outcomes: Vec<Option<Outcome>>,
}

impl Results {
    /// From the outcomes of each cell under each policy.
    pub(crate) fn new(
        policies: Vec<String>,
        cells: &[Cell],
        outcomes: Vec<Vec<Option<Outcome>>>,
    ) -> Self {
        let row = |(cell, outcomes): (&Cell, _)| Row {
            name: cell.name(),
            objects: cell.objects,
            is_real: cell.trace.is_real,
            outcomes,
        };
        Self { policies, rows: cells.iter().zip(outcomes).map(row).collect() }
    }

    /// The number of cells of real traces with so many objects or more, and each policy's mean hit
    /// ratio over them, in percent; none where a cell is missing.
    pub(crate) fn means(&self, objects_min: usize) -> (usize, Vec<Option<f64>>) {
        let is_in = |row: &&Row| row.is_real && row.objects >= objects_min;
        let rows: Vec<_> = self.rows.iter().filter(is_in).collect();
        let mean = |column: usize| {
            let ratios = rows.iter().map(|row| row.ratio_percent(column));
            let sum: f64 = ratios.sum::<Option<f64>>()?;
            (!rows.is_empty()).then(|| sum / rows.len() as f64)
        };
        (rows.len(), (0..self.policies.len()).map(mean).collect())
    }

    /// Hit ratios in percent; the best policy of each row is bold.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!("| cell | objects | {} |\n", self.policies.join(" | "));
        text += &format!("|---|---:|{}\n", "---:|".repeat(self.policies.len()));
        for row in &self.rows {
            let ratios = (0..self.policies.len()).map(|column| row.ratio_percent(column)).collect();
            self.write_row(&mut text, &row.name, row.objects.to_string(), ratios);
        }
        let (all, means) = self.means(0);
        if all > 0 {
            self.write_row(
                &mut text,
                &format!("mean of the {all} cells of traces"),
                "".into(),
                means,
            );
        }
        let (large, means) = self.means(LARGE_OBJECTS);
        if large > 0 {
            let name = format!("mean of the {large} of {LARGE_OBJECTS} objects or more");
            self.write_row(&mut text, &name, "".into(), means);
        }
        text
    }

    fn write_row(&self, text: &mut String, name: &str, objects: String, ratios: Vec<Option<f64>>) {
        let real = ratios.iter().zip(&self.policies).filter(|(_, policy)| *policy != BOUND);
        let printed: Vec<_> = real.filter_map(|(ratio, _)| *ratio).map(hundredths).collect();
        // Where all are equal none is best.
        let best = printed.iter().max().filter(|best| printed.iter().any(|other| other != *best));
        *text += &format!("| {name} | {objects} |");
        for (ratio, policy) in ratios.into_iter().zip(&self.policies) {
            *text += &match ratio {
                None => " – |".to_owned(),
                Some(ratio) if Some(&hundredths(ratio)) == best && policy != BOUND => {
                    format!(" **{ratio:.2}** |")
                }
                Some(ratio) => format!(" {ratio:.2} |"),
            };
        }
        text.push('\n');
    }

    /// An array with an object for each replay.
    pub(crate) fn json(&self) -> String {
        let mut replays = Vec::new();
        for row in &self.rows {
            for (outcome, policy) in row.outcomes.iter().zip(&self.policies) {
                replays.extend(outcome.as_ref().map(|outcome| row.json(policy, outcome)));
            }
        }
        format!("[\n  {}\n]\n", replays.join(",\n  "))
    }
}

impl Row {
    fn ratio_percent(&self, column: usize) -> Option<f64> {
        self.outcomes[column].as_ref().map(Outcome::hit_ratio_percent)
    }

    fn json(&self, policy: &str, outcome: &Outcome) -> String {
        let optional =
            |number: Option<f64>| number.map_or("null".to_owned(), |n| format!("{n:.4}"));
        let mut text = String::new();
        let fields = [
            ("cell", quoted(&self.name)),
            ("objects", self.objects.to_string()),
            ("policy", quoted(policy)),
            ("requests", outcome.requests.to_string()),
            ("hits", outcome.hits.to_string()),
            ("hit_ratio_percent", format!("{:.4}", outcome.hit_ratio_percent())),
            ("seconds", format!("{:.3}", outcome.seconds)),
            ("objects_held", optional(outcome.ending.objects)),
            ("alpha", optional(outcome.ending.alpha)),
        ];
        for (place, (name, value)) in fields.iter().enumerate() {
            let separator = if place == 0 { "{" } else { ", " };
            write!(text, "{separator}{name:?}: {value}").expect("a string takes everything");
        }
        text + "}"
    }
}

/// As printed.
fn hundredths(percent: f64) -> i64 {
    (percent * 100.0).round() as i64
}

/// A string of JSON.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted += &format!("\\u{:04x}", c as u32),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}
