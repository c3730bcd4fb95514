//! A picture of the means: one bar for each policy, over all cells and over the large ones.

use std::fmt::Write;

use crate::report::{BOUND, LARGE_OBJECTS, Results};

/// All lengths are in units of the picture.
const WIDTH: f64 = 760.0;
const MARGIN: f64 = 16.0;
const NAMES_WIDTH: f64 = 130.0;
const VALUES_WIDTH: f64 = 44.0;
const BAR_HEIGHT: f64 = 16.0;
const BAR_STEP: f64 = 22.0;
const TITLE_HEIGHT: f64 = 34.0;
const FONT_HEIGHT: f64 = 12.0;

/// Ours, the bound, and the others.
const COLOURS: [&str; 3] = ["#c2410c", "#d4d4d8", "#64748b"];

/// Draws the means over real traces; nothing when there are none.
pub(crate) fn svg(results: &Results) -> String {
    let mut drawing = Drawing { text: String::new(), y: MARGIN };
    for objects_min in [0, LARGE_OBJECTS] {
        let (cells, means) = results.means(objects_min);
        if cells == 0 {
            continue;
        }
        let title = match objects_min {
            0 => format!("Hit ratio in %, mean of all {cells} cells"),
            _ => format!(
                "Hit ratio in %, mean of the {cells} cells of {objects_min} objects or more"
            ),
        };
        let bars = results.policies.iter().map(String::as_str).zip(means);
        let mut bars: Vec<_> = bars.filter_map(|(name, mean)| Some((name, mean?))).collect();
        bars.sort_by(|a, b| b.1.total_cmp(&a.1));
        drawing.panel(&title, &bars);
    }
    drawing.finish()
}

struct Drawing {
    text: String,
    /// Where the next thing begins.
    y: f64,
}

impl Drawing {
    fn panel(&mut self, title: &str, bars: &[(&str, f64)]) {
        let y = self.y + TITLE_HEIGHT / 2.0;
        self.label(MARGIN, y, "start", "bold", title);
        self.y += TITLE_HEIGHT;
        let longest = bars.iter().map(|bar| bar.1).fold(1.0, f64::max);
        let scale = (WIDTH - 2.0 * MARGIN - NAMES_WIDTH - VALUES_WIDTH) / longest;
        let left = MARGIN + NAMES_WIDTH;
        for &(name, percent) in bars {
            let colour = match name {
                BOUND => COLOURS[1],
                _ if name.contains("-ahe") => COLOURS[0],
                _ => COLOURS[2],
            };
            let (y, width) = (self.y, percent * scale);
            let base = y + BAR_HEIGHT - 4.0;
            self.element(format_args!(
                "<rect x=\"{left}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{BAR_HEIGHT}\" \
                 rx=\"2\" fill=\"{colour}\"/>"
            ));
            self.label(left - 8.0, base, "end", "normal", name);
            self.label(left + width + 6.0, base, "start", "normal", &format!("{percent:.2}"));
            self.y += BAR_STEP;
        }
        self.y += MARGIN / 2.0;
    }

    fn label(&mut self, x: f64, y: f64, anchor: &str, weight: &str, label: &str) {
        let label = label.replace('&', "&amp;").replace('<', "&lt;");
        self.element(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" \
             font-weight=\"{weight}\">{label}</text>"
        ));
    }

    fn element(&mut self, element: std::fmt::Arguments) {
        writeln!(self.text, "{element}").expect("a string takes everything");
    }

    fn finish(self) -> String {
        let (height, body) = (self.y + MARGIN / 2.0, self.text);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
             font-family=\"sans-serif\" font-size=\"{FONT_HEIGHT}\" fill=\"#27272a\">\n\
             <rect width=\"{WIDTH}\" height=\"{height}\" rx=\"8\" fill=\"#ffffff\"/>\n\
             {body}</svg>\n"
        )
    }
}
