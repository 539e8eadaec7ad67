//! What a bench found, for people (a table, a chart) and for programs (JSON).
//!
//! Input is samples in the order they were taken; output is medians and ratios of rounds. A ratio is always made of two
//! samples of the same round, so that what the machine did meanwhile touches both.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

/// One line of a bench: ours beside theirs.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    /// What was measured.
    pub(crate) name: String,
    /// The unit of `ours` and `theirs`.
    pub(crate) unit: &'static str,
    /// Median of our samples.
    pub(crate) ours: f64,
    /// Median of the samples of what we are compared with.
    pub(crate) theirs: f64,
    /// Whom we are compared with.
    pub(crate) against: String,
    /// Median of the rounds' ratios.
    pub(crate) ratio: f64,
    /// The smallest and the largest of them.
    pub(crate) spread: (f64, f64),
    /// The ratio to reach, where one is set.
    pub(crate) goal: Option<Goal>,
    /// Anything else worth a word: latencies, sizes.
    pub(crate) note: String,
}

/// Two rows of a bench target, and the ratio to reach.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Comparison {
    name: &'static str,
    ours: &'static str,
    theirs: &'static str,
    against: &'static str,
    goal: Option<Goal>,
}

impl Comparison {
    /// Row `ours` beside row `theirs`, which the table calls `against`.
    pub(crate) const fn new(
        name: &'static str,
        ours: &'static str,
        theirs: &'static str,
        against: &'static str,
    ) -> Self {
        Self {
            name,
            ours,
            theirs,
            against,
            goal: None,
        }
    }

    /// With a ratio to reach.
    pub(crate) const fn goal(self, goal: Goal) -> Self {
        Self {
            goal: Some(goal),
            ..self
        }
    }

    /// What the samples of a bench target say, by row and in the order of rounds.
    pub(crate) fn figure(
        &self,
        unit: &'static str,
        rows: &BTreeMap<String, Vec<f64>>,
    ) -> Result<Figure> {
        let row = |name: &str| {
            rows.get(name)
                .with_context(|| format!("the bench has no row '{name}'"))
        };
        let (ours, theirs) = (row(self.ours)?, row(self.theirs)?);
        let figure = Figure::of(self.name, unit, ours, theirs, self.against);
        Ok(figure.context("no samples")?.with_goal(self.goal))
    }
}

/// A ratio to reach.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Goal {
    /// Smaller is better.
    AtMost(f64),
    /// Larger is better.
    AtLeast(f64),
}

impl Goal {
    /// Whether a ratio reaches it.
    fn met(self, ratio: f64) -> bool {
        match self {
            Self::AtMost(limit) => ratio <= limit,
            Self::AtLeast(limit) => ratio >= limit,
        }
    }

    fn limit(self) -> f64 {
        match self {
            Self::AtMost(limit) | Self::AtLeast(limit) => limit,
        }
    }
}

impl Figure {
    /// Compares two series of the same rounds. `None` when either is empty.
    pub(crate) fn of(
        name: &str,
        unit: &'static str,
        ours: &[f64],
        theirs: &[f64],
        against: &str,
    ) -> Option<Self> {
        let ratios: Vec<f64> = ours
            .iter()
            .zip(theirs)
            .map(|(ours, theirs)| ours / theirs)
            .collect();
        Some(Self {
            name: name.to_owned(),
            unit,
            ours: median(ours)?,
            theirs: median(theirs)?,
            against: against.to_owned(),
            ratio: median(&ratios)?,
            spread: (
                ratios.iter().copied().fold(f64::INFINITY, f64::min),
                ratios.iter().copied().fold(0.0, f64::max),
            ),
            goal: None,
            note: String::new(),
        })
    }

    /// The same with a goal.
    pub(crate) fn with_goal(mut self, goal: Option<Goal>) -> Self {
        self.goal = goal;
        self
    }

    /// The same with a word more.
    pub(crate) fn with_note(mut self, note: String) -> Self {
        self.note = note;
        self
    }

    fn verdict(&self) -> &'static str {
        match self.goal {
            Some(goal) if goal.met(self.ratio) => "met",
            Some(_) => "missed",
            None => "",
        }
    }
}

/// The middle of some values; the mean of the two middle ones of an even number.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    Some(if sorted.len() % 2 == 1 {
        upper
    } else {
        f64::midpoint(sorted[middle - 1], upper)
    })
}

/// The table a person reads.
pub(crate) fn table(figures: &[Figure]) -> String {
    let mut text = format!(
        "\n{:<34}{:>10}{:>10}  {:<8}{:<14}{:>7}  {:<13}{:>7}  {}\n",
        "what", "ours", "theirs", "unit", "against", "ratio", "spread", "goal", "note"
    );
    for figure in figures {
        let goal = figure
            .goal
            .map_or(String::new(), |goal| format!("{:.2}", goal.limit()));
        let note = [figure.verdict(), &figure.note]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("; ");
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:<34}{:>10}{:>10}  {:<8}{:<14}{:>7.2}  {:<13}{goal:>7}  {note}",
            figure.name,
            short(figure.ours),
            short(figure.theirs),
            figure.unit,
            figure.against,
            figure.ratio,
            format!("{:.2}-{:.2}", figure.spread.0, figure.spread.1),
        );
    }
    text
}

/// Writes the figures as JSON, with the command that made them.
pub(crate) fn write_json(path: &Path, command: &str, figures: &[Figure]) -> Result<()> {
    #[derive(Serialize)]
    struct Record<'a> {
        command: &'a str,
        figures: &'a [Figure],
    }
    let text = serde_json::to_string_pretty(&Record { command, figures })?;
    write(path, &text)
}

/// Writes a bar chart of the ratios: 1.0 is what we are compared with, the tick of a bar its goal.
pub(crate) fn write_chart(path: &Path, command: &str, figures: &[Figure]) -> Result<()> {
    write(path, &chart("ratio, smaller is better", command, figures))
}

/// The same where more is better.
pub(crate) fn write_rate_chart(path: &Path, command: &str, figures: &[Figure]) -> Result<()> {
    write(path, &chart("ratio, larger is better", command, figures))
}

fn chart(what: &str, command: &str, figures: &[Figure]) -> String {
    let largest = figures
        .iter()
        .map(|figure| figure.ratio)
        .fold(1.0, f64::max);
    let scale = BAR_WIDTH / largest;
    let height = figures.len() * ROW_HEIGHT + 2 * ROW_HEIGHT;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>\n\
         <text x=\"8\" y=\"16\" font-weight=\"bold\">{what} ({})</text>\n",
        escape(command)
    );
    for (row, figure) in figures.iter().enumerate() {
        let top = (row + 1) * ROW_HEIGHT;
        let colour = match figure.verdict() {
            "met" => "#2e7d32",
            "missed" => "#c62828",
            _ => "#607d8b",
        };
        let _ = writeln!(
            svg,
            "<text x=\"8\" y=\"{}\">{} / {}</text>\
             <rect x=\"{BAR_LEFT}\" y=\"{}\" width=\"{:.1}\" height=\"14\" fill=\"{colour}\"/>\
             <text x=\"{:.1}\" y=\"{}\">{:.2}</text>",
            top + 12,
            escape(&figure.name),
            escape(&figure.against),
            top,
            figure.ratio * scale,
            BAR_LEFT + figure.ratio * scale + 6.0,
            top + 12,
            figure.ratio,
        );
        if let Some(goal) = figure.goal {
            let at = BAR_LEFT + goal.limit() * scale;
            let _ = writeln!(
                svg,
                "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{}\" y2=\"{}\" stroke=\"black\" stroke-width=\"2\"/>",
                top - 2,
                top + 16
            );
        }
    }
    let one = BAR_LEFT + scale;
    let _ = writeln!(
        svg,
        "<line x1=\"{one:.1}\" x2=\"{one:.1}\" y1=\"{ROW_HEIGHT}\" y2=\"{}\" stroke=\"#999\" stroke-dasharray=\"4\"/>\n</svg>",
        height - ROW_HEIGHT
    );
    svg
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// A number with as many digits as mean something.
fn short(value: f64) -> String {
    if value >= 100.0 {
        format!("{value:.0}")
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

const WIDTH: usize = 900;
const ROW_HEIGHT: usize = 24;
const BAR_LEFT: f64 = 360.0;
const BAR_WIDTH: f64 = 460.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_of_any_order() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn ratios_are_made_of_samples_of_one_round() {
        // The machine was twice as slow in the second round; the ratio is not.
        let figure = Figure::of("x", "µs", &[8.0, 16.0, 8.0], &[10.0, 20.0, 10.0], "them")
            .expect("there are samples")
            .with_goal(Some(Goal::AtMost(0.9)));
        assert!((figure.ratio - 0.8).abs() < 1e-9, "{figure:?}");
        assert_eq!(figure.verdict(), "met");
        let missed = figure.clone().with_goal(Some(Goal::AtMost(0.7)));
        assert_eq!(missed.verdict(), "missed");
        let more = figure.clone().with_goal(Some(Goal::AtLeast(0.7)));
        assert_eq!(more.verdict(), "met");
        assert!(table(&[figure, missed]).contains("0.80-0.80"));
    }

    #[test]
    fn a_chart_is_well_formed_whatever_it_is_named() {
        let figure = Figure::of("a <b> & c", "ns", &[1.0], &[2.0], "d").expect("samples");
        let svg = chart("ratio", "bench", &[figure]);
        assert!(svg.contains("a &lt;b&gt; &amp; c") && svg.trim_end().ends_with("</svg>"));
    }
}
