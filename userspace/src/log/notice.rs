//! What the daemon tells the person who runs it: ALERT, WARNING and NOTICE lines on standard error, in HAProxy's form.
//!
//! Lines of the start are also kept for `show startup-logs`. `-q` silences all but alerts of the start. Traffic is not logged
//! here but through [`super::Logger`].

use std::fmt::Display;
use std::io::Write as _;

use parking_lot::Mutex;

/// How serious a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeLevel {
    /// The process, or a backend, cannot do its work.
    Alert,
    /// Something needs attention.
    Warning,
    /// For information.
    Notice,
}

impl NoticeLevel {
    const fn label(self) -> &'static str {
        match self {
            Self::Alert => "[ALERT]   ",
            Self::Warning => "[WARNING] ",
            Self::Notice => "[NOTICE]  ",
        }
    }
}

/// Something an operator must repair.
pub fn alert(message: impl Display) {
    emit(NoticeLevel::Alert, &message);
}

/// Something an operator should look at.
pub fn warning(message: impl Display) {
    emit(NoticeLevel::Warning, &message);
}

/// Something worth knowing.
pub fn notice(message: impl Display) {
    emit(NoticeLevel::Notice, &message);
}

/// A line as it would be written.
pub fn shown(level: NoticeLevel, message: impl Display) -> String {
    line(level, std::process::id(), &message)
}

/// Keeps lines that were printed some other way for `show startup-logs`.
pub fn keep(lines: &str) {
    let mut settings = SETTINGS.lock();
    if settings.starting && settings.kept.len() + lines.len() <= MOST_KEPT {
        settings.kept.push_str(lines);
    }
}

/// Writes one line; a standard error that cannot be written to is ignored.
pub fn emit(level: NoticeLevel, message: &dyn Display) {
    let line = line(level, std::process::id(), message);
    let mut settings = SETTINGS.lock();
    if settings.starting && settings.kept.len() + line.len() <= MOST_KEPT {
        settings.kept.push_str(&line);
    }
    let quiet = settings.quiet;
    drop(settings);
    if !quiet {
        let _nobody_to_tell = std::io::stderr().lock().write_all(line.as_bytes());
    }
}

/// `-q`: nothing is written from now on. Also set when the process goes to the background.
pub fn set_quiet(quiet: bool) {
    SETTINGS.lock().quiet = quiet;
}

/// The start is over: later lines are not kept for `show startup-logs`.
pub fn end_of_start() {
    SETTINGS.lock().starting = false;
}

/// The lines of the start, each ended by a newline.
pub fn startup_logs() -> String {
    SETTINGS.lock().kept.clone()
}

/// A line as it is written: `[WARNING]  (123) : message`.
fn line(level: NoticeLevel, pid: u32, message: &dyn Display) -> String {
    format!("{} ({pid}) : {message}\n", level.label())
}

struct Settings {
    quiet: bool,
    starting: bool,
    kept: String,
}

static SETTINGS: Mutex<Settings> = Mutex::new(Settings {
    quiet: false,
    starting: true,
    kept: String::new(),
});

/// Bytes kept of the start's lines.
const MOST_KEPT: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_aligned_as_haproxy_aligns_them() {
        let lines = [
            NoticeLevel::Notice,
            NoticeLevel::Warning,
            NoticeLevel::Alert,
        ]
        .map(|level| line(level, 7, &"text"));
        assert_eq!(
            lines,
            [
                "[NOTICE]   (7) : text\n",
                "[WARNING]  (7) : text\n",
                "[ALERT]    (7) : text\n",
            ]
        );
    }

    #[test]
    fn lines_of_the_start_are_kept() {
        notice("kept-for-the-test");
        assert!(startup_logs().contains(") : kept-for-the-test\n"));
    }
}
