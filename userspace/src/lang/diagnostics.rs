//! What is wrong with a configuration, and how it is told.
//!
//! Every part of this room adds a [`Diagnostic`]; the renderer prints HAProxy's first line, which tools look for, then
//! the line of the file with a caret. All problems are collected; nothing here decides whether to stop.

use std::collections::HashSet;
use std::fmt::Write as _;

use super::source::{Sources, Span};

/// How serious a diagnostic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Shown in diagnostic mode only (`-dD`).
    Diagnostic,
    /// Something to know.
    Notice,
    /// Suspicious; fatal under `zero-warning` and `-dW`.
    Warning,
    /// Wrong: this configuration cannot be used.
    Alert,
}

/// One thing to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How serious it is.
    pub severity: Severity,
    /// The place named in the first line as `parsing [file:line]`; `None` for what concerns no line.
    pub place: Option<Span>,
    /// The message of the first line; more lines follow as they are.
    pub message: String,
    /// The place shown with a caret, when it is not all of `place`.
    pub shown: Option<Span>,
    /// Text beside the caret.
    pub label: Option<String>,
    /// A way out.
    pub hint: Option<String>,
}

/// All diagnostics of a load, each once, in the order in which they were found.
#[derive(Debug, Default)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    /// Severity, line and column, message of each.
    seen: HashSet<Said>,
}

type Said = (Severity, Option<(u32, u32)>, String);

/// How diagnostics are printed.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// The process id of the first line.
    pub pid: u32,
    /// Whether escape sequences for colours may be used (a terminal, and no `NO_COLOR`).
    pub color: bool,
    /// Whether severities below a notice are shown (`-dD`).
    pub diagnostic_mode: bool,
}

impl Diagnostic {
    /// A diagnostic about a line, without more.
    pub fn at(severity: Severity, place: Span, message: impl Into<String>) -> Self {
        Self {
            severity,
            place: Some(place),
            message: message.into(),
            shown: None,
            label: None,
            hint: None,
        }
    }

    /// A diagnostic about no line in particular.
    pub fn general(severity: Severity, message: impl Into<String>) -> Self {
        Self {
            severity,
            place: None,
            message: message.into(),
            shown: None,
            label: None,
            hint: None,
        }
    }

    /// Shows a place with a caret.
    #[must_use]
    pub fn showing(mut self, span: Span) -> Self {
        self.shown = Some(span);
        self
    }

    /// Adds a text beside the caret.
    #[must_use]
    pub fn labelled(mut self, label: Option<String>) -> Self {
        self.label = label;
        self
    }

    /// Adds a way out.
    #[must_use]
    pub fn hinted(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }
}

impl Diagnostics {
    /// Adds a diagnostic unless the same was said about the same line: `defaults` lines are read once per proxy.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        let place = diagnostic
            .shown
            .or(diagnostic.place)
            .map(|span| (span.line, span.start));
        if self
            .seen
            .insert((diagnostic.severity, place, diagnostic.message.clone()))
        {
            self.list.push(diagnostic);
        }
    }

    /// Puts them in the order of the files and lines; those about no line come last.
    pub fn sort(&mut self) {
        let place = |diagnostic: &Diagnostic| {
            let span = diagnostic.place;
            span.map_or((true, 0, 0), |span| (false, span.source.index(), span.line))
        };
        self.list.sort_by_key(place);
    }

    /// An alert about a line.
    pub fn alert(&mut self, place: Span, message: impl Into<String>) {
        self.push(Diagnostic::at(Severity::Alert, place, message));
    }

    /// A warning about a line.
    pub fn warn(&mut self, place: Span, message: impl Into<String>) {
        self.push(Diagnostic::at(Severity::Warning, place, message));
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    /// How many there are of a severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.list
            .iter()
            .filter(|diagnostic| diagnostic.severity == severity)
            .count()
    }

    /// Whether the configuration cannot be used.
    pub fn are_fatal(&self) -> bool {
        self.count(Severity::Alert) > 0
    }

    /// Prints all of them, and what HAProxy says at the end when some are fatal.
    pub fn render(&self, sources: &Sources, style: Style) -> String {
        let mut text = String::new();
        for diagnostic in &self.list {
            if diagnostic.severity > Severity::Diagnostic || style.diagnostic_mode {
                render_one(&mut text, diagnostic, sources, style);
            }
        }
        if self.are_fatal() {
            self.render_verdict(&mut text, sources, style);
        }
        text
    }

    /// The closing lines: which files have errors, and that they are fatal.
    fn render_verdict(&self, text: &mut String, sources: &Sources, style: Style) {
        for (id, file) in sources.iter() {
            let is_here = |diagnostic: &&Diagnostic| {
                diagnostic.severity == Severity::Alert
                    && diagnostic.place.is_some_and(|place| place.source == id)
            };
            if self.list.iter().any(|diagnostic| is_here(&diagnostic)) {
                let message = format!("Error(s) found in configuration file : {}", file.name);
                first_line(text, Severity::Alert, style, &message);
            }
        }
        first_line(
            text,
            Severity::Alert,
            style,
            "Fatal errors found in configuration.",
        );
    }
}

impl Severity {
    const fn tag(self) -> &'static str {
        match self {
            Self::Diagnostic => "[DIAG]    ",
            Self::Notice => "[NOTICE]  ",
            Self::Warning => "[WARNING] ",
            Self::Alert => "[ALERT]   ",
        }
    }

    const fn color(self) -> &'static str {
        match self {
            Self::Diagnostic | Self::Notice => "\x1b[36m",
            Self::Warning => "\x1b[33m",
            Self::Alert => "\x1b[31m",
        }
    }
}

fn render_one(text: &mut String, diagnostic: &Diagnostic, sources: &Sources, style: Style) {
    let message = match diagnostic.place {
        Some(place) => {
            let file = &sources.file(place.source).name;
            format!("parsing [{file}:{}] : {}", place.line, diagnostic.message)
        }
        None => diagnostic.message.clone(),
    };
    first_line(text, diagnostic.severity, style, &message);
    if let Some(span) = diagnostic.shown {
        render_snippet(text, diagnostic, span, sources, style);
    } else if let Some(hint) = &diagnostic.hint {
        let _ = writeln!(text, "        = hint: {hint}");
    }
}

fn first_line(text: &mut String, severity: Severity, style: Style, message: &str) {
    let (on, off) = if style.color {
        (severity.color(), RESET)
    } else {
        ("", "")
    };
    let _ = writeln!(
        text,
        "{on}{}{off} ({}) : config : {message}",
        severity.tag(),
        style.pid
    );
}

/// The line, a caret under the span, and the hint.
fn render_snippet(
    text: &mut String,
    diagnostic: &Diagnostic,
    span: Span,
    sources: &Sources,
    style: Style,
) {
    let (on, off) = if style.color {
        (diagnostic.severity.color(), RESET)
    } else {
        ("", "")
    };
    let line = Excerpt::new(sources.file(span.source).line(span.line), span);
    let label = diagnostic
        .label
        .as_deref()
        .map(|label| format!(" {label}"))
        .unwrap_or_default();
    let _ = writeln!(text, "{:>5} | {}", span.line, line.text);
    let _ = writeln!(
        text,
        "      | {}{on}{}{label}{off}",
        line.margin, line.carets
    );
    if let Some(hint) = &diagnostic.hint {
        let _ = writeln!(text, "      = hint: {hint}");
    }
}

/// The part of a line that is shown: printable, and cut when the line is long.
struct Excerpt {
    text: String,
    margin: String,
    carets: String,
}

impl Excerpt {
    fn new(line: &[u8], span: Span) -> Self {
        let start = (span.start as usize).min(line.len());
        let end = (span.end as usize).clamp(start, line.len());
        let from = start.saturating_sub(WIDEST / 2);
        let to = end.min(start + WIDEST).max((from + WIDEST).min(line.len()));
        let before = printable(&line[from..start]);
        let inside = printable(&line[start..end.min(to)]);
        let after = printable(&line[end.min(to)..to]);
        let left = if from > 0 { "…" } else { "" };
        let right = if to < line.len() { "…" } else { "" };
        let margin = left
            .chars()
            .map(|_| ' ')
            .chain(before.chars().map(blank))
            .collect();
        Self {
            text: format!("{left}{before}{inside}{after}{right}")
                .trim_end()
                .to_owned(),
            margin,
            carets: "^".repeat(inside.chars().count().max(1)),
        }
    }
}

/// What stands under a character so that the caret comes out below its word.
fn blank(character: char) -> char {
    if character == '\t' { '\t' } else { ' ' }
}

/// Text that cannot move a terminal's cursor.
fn printable(bytes: &[u8]) -> String {
    let is_safe = |character: char| character == '\t' || !character.is_control();
    String::from_utf8_lossy(bytes)
        .chars()
        .map(|character| {
            if is_safe(character) {
                character
            } else {
                char::REPLACEMENT_CHARACTER
            }
        })
        .collect()
}

const RESET: &str = "\x1b[0m";
/// Bytes of a line that are shown.
const WIDEST: usize = 160;

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Style = Style {
        pid: 812,
        color: false,
        diagnostic_mode: false,
    };

    fn sources(text: &str) -> (Sources, Span) {
        let mut sources = Sources::default();
        let source = sources.add("conf/web.cfg", text);
        (
            sources,
            Span {
                source,
                line: 1,
                start: 4,
                end: 10,
            },
        )
    }

    #[test]
    fn an_alert_shows_first_line_caret_label_and_verdict() {
        let (sources, span) = sources("    blance roundrobin\n");
        let mut diagnostics = Diagnostics::default();
        diagnostics.push(
            Diagnostic::at(
                Severity::Alert,
                span,
                "unknown keyword 'blance' in 'backend' section",
            )
            .showing(span)
            .labelled(Some("did you mean `balance`?".to_owned())),
        );
        insta::assert_snapshot!(diagnostics.render(&sources, PLAIN), @r"
        [ALERT]    (812) : config : parsing [conf/web.cfg:1] : unknown keyword 'blance' in 'backend' section
            1 |     blance roundrobin
              |     ^^^^^^ did you mean `balance`?
        [ALERT]    (812) : config : Error(s) found in configuration file : conf/web.cfg
        [ALERT]    (812) : config : Fatal errors found in configuration.
        ");
    }

    #[test]
    fn tabs_keep_the_caret_below_its_word_and_control_bytes_do_not_reach_the_terminal() {
        let (sources, span) = sources("\t\t\x1b[2\tblance\n");
        let span = Span {
            start: 6,
            end: 12,
            ..span
        };
        let mut diagnostics = Diagnostics::default();
        diagnostics.push(Diagnostic::at(Severity::Warning, span, "odd").showing(span));
        let text = diagnostics.render(&sources, PLAIN);
        assert!(text.contains("\t\t\u{fffd}[2\tblance"), "{text:?}");
        assert!(text.contains("| \t\t   \t^^^^^^\n"), "{text:?}");
        assert!(!diagnostics.are_fatal());
    }

    #[test]
    fn the_same_words_about_the_same_line_are_said_once() {
        let (_, span) = sources("");
        let mut diagnostics = Diagnostics::default();
        diagnostics.warn(span, "again");
        diagnostics.warn(span, "again");
        diagnostics.warn(Span { line: 2, ..span }, "again");
        assert_eq!(diagnostics.count(Severity::Warning), 2);
    }

    #[test]
    fn diagnostics_of_the_lowest_severity_need_diagnostic_mode() {
        let (sources, span) = sources("x\n");
        let mut diagnostics = Diagnostics::default();
        diagnostics.push(Diagnostic::at(Severity::Diagnostic, span, "odd"));
        assert_eq!(diagnostics.render(&sources, PLAIN), "");
        let shown = diagnostics.render(
            &sources,
            Style {
                diagnostic_mode: true,
                ..PLAIN
            },
        );
        assert_eq!(
            shown,
            "[DIAG]     (812) : config : parsing [conf/web.cfg:1] : odd\n"
        );
    }

    #[test]
    fn a_long_line_is_cut_around_the_caret() {
        let line = format!("{}WRONG{}", "a ".repeat(400), " b".repeat(400));
        let (sources, span) = sources(&line);
        let span = Span {
            start: 800,
            end: 805,
            ..span
        };
        let mut diagnostics = Diagnostics::default();
        diagnostics.push(Diagnostic::at(Severity::Alert, span, "odd").showing(span));
        let text = diagnostics.render(&sources, PLAIN);
        let lines: Vec<_> = text.lines().collect();
        let column = lines[2]
            .chars()
            .position(|character| character == '^')
            .expect("a caret");
        assert_eq!(
            lines[1].chars().skip(column).take(5).collect::<String>(),
            "WRONG"
        );
        assert!(lines[1].chars().count() < 200);
    }
}
