//! One test of the suite: run alone in its own network and process namespace, with a bound on its time.
//!
//! Input is a path in the suite; output is how it ended and a log. When the test ends, in whatever way, the kernel
//! kills every process of its namespace: a proxy that a timed-out test left behind does not disturb the next one.

use std::fmt;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use tempfile::TempDir;

use super::script;
use super::wrapper::Wrapper;
use crate::process::{self, Ended};

/// One listed test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Case {
    /// Relative to the suite: `reg-tests/cache/basic.vtc`.
    pub(super) path: String,
    /// The directory below `reg-tests`.
    pub(super) area: String,
}

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    Passed,
    Failed,
    /// It found that it does not apply; counted as a failure.
    Skipped,
    /// It had to be killed.
    Timeout,
}

impl Case {
    pub(super) fn new(path: &str) -> Result<Self> {
        let parts: Vec<&str> = path.split('/').collect();
        ensure!(
            parts.len() >= 3 && parts[0] == "reg-tests" && path.ends_with(".vtc"),
            "{path} is no path like reg-tests/area/name.vtc"
        );
        Ok(Self {
            path: path.to_owned(),
            area: parts[1].to_owned(),
        })
    }
}

impl Outcome {
    pub(super) fn passed(self) -> bool {
        self == Self::Passed
    }

    /// A few tests depend on timing; one that skips itself will do so again.
    pub(super) fn deserves_a_retry(self) -> bool {
        matches!(self, Self::Failed | Self::Timeout)
    }

    fn of(status: ExitStatus, printed: &str) -> Self {
        match (status.code(), status.signal()) {
            (Some(0), _) => Self::Passed,
            (Some(SKIP), _) => Self::Skipped,
            _ if printed.contains("TIMED OUT") => Self::Timeout,
            _ => Self::Failed,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::Passed => "passed",
            Self::Failed => "FAILED",
            Self::Skipped => "SKIPPED",
            Self::Timeout => "TIMEOUT",
        })
    }
}

/// How a test ended, and the line of its log that says most about why it did not pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) outcome: Outcome,
    pub(super) reason: String,
}

/// What the proxy refused about its configuration, else what varnishtest found, else nothing.
fn reason(printed: &str) -> &str {
    // An alert of a running proxy, about a server that is down, is often what the test wants.
    let refusal = printed.lines().find_map(|line| {
        let at = line.find("[ALERT]")?;
        line[at..].contains(" config : ").then_some(&line[at..])
    });
    let complaint = || printed.lines().find(|line| line.starts_with("----"));
    refusal.or_else(complaint).unwrap_or_default().trim_end()
}

/// Everything the tests of one run share.
#[derive(Debug)]
pub(super) struct Runner {
    suite: PathBuf,
    wrapper: Wrapper,
    logs: PathBuf,
    scratch: TempDir,
    started: AtomicUsize,
}

impl Runner {
    pub(super) fn new(suite: &Path, wrapper: Wrapper, logs: &Path) -> Result<Self> {
        // Paths of unix sockets end at 107 bytes, and the tests append to this one.
        let scratch = tempfile::Builder::new().prefix("tg").tempdir_in("/tmp")?;
        fs::create_dir_all(logs).with_context(|| format!("cannot create {}", logs.display()))?;
        Ok(Self {
            suite: suite.to_owned(),
            wrapper,
            logs: logs.to_owned(),
            scratch,
            started: AtomicUsize::new(0),
        })
    }

    /// Where the logs are.
    pub(super) fn logs(&self) -> &Path {
        &self.logs
    }

    /// Runs one test to its end.
    pub(super) fn run(&self, case: &Case) -> Result<Finding> {
        let serial = self.started.fetch_add(1, Ordering::Relaxed);
        let scratch = self.scratch.path().join(serial.to_string());
        let script = scratch.join("test.vtc");
        let text = self.translate(case)?;
        fs::create_dir(&scratch)
            .and_then(|()| fs::write(&script, text))
            .with_context(|| format!("cannot write {}", script.display()))?;
        let log = self
            .logs
            .join(case.path.replace('/', ".").replace(".vtc", ".log"));
        let ended = process::run_bounded(&mut self.command(&scratch, &script), &log, LIMIT)?;
        let printed = fs::read(&log)?;
        let printed = String::from_utf8_lossy(&printed);
        let outcome = match ended {
            Ended::TimedOut => Outcome::Timeout,
            Ended::Exited(status) => Outcome::of(status, &printed),
        };
        fs::remove_dir_all(&scratch)
            .with_context(|| format!("cannot remove {}", scratch.display()))?;
        let reason = if outcome.passed() {
            ""
        } else {
            reason(&printed)
        };
        Ok(Finding {
            outcome,
            reason: reason.to_owned(),
        })
    }

    /// The test as `varnishtest` understands it.
    fn translate(&self, case: &Case) -> Result<String> {
        let path = self.suite.join(&case.path);
        let directory = path.parent().context("a test without a directory")?;
        let read = |path: &Path| {
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
        };
        script::translate(&read(&path)?, directory, &read)
            .with_context(|| format!("cannot translate {}", case.path))
    }

    /// `varnishtest` as a child of the first process of new namespaces.
    fn command(&self, scratch: &Path, script: &Path) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--net", "--pid", "--fork", "--kill-child"]);
        if !process::is_root() {
            command.arg("--map-root-user");
        }
        command
            .args([
                "sh",
                "-c",
                "ip link set lo up && varnishtest \"$@\"; exit $?",
                "sh",
            ])
            // Buffers for the largest messages of the suite; its own bound on time, below ours.
            .args(["-b", "2M", "-k", "-t", &TEST_SECONDS.to_string()])
            .arg(script)
            .current_dir(scratch)
            .env("TMPDIR", scratch)
            .env("HAPROXY_PROGRAM", self.wrapper.program())
            .env("HAPROXY_ARGS", "-dM -dI -dW");
        command
    }
}

/// The exit code of a test that does not apply.
const SKIP: i32 = 77;
const TEST_SECONDS: u64 = 40;
/// When varnishtest does not keep its own bound.
const LIMIT: Duration = Duration::from_secs(TEST_SECONDS + 20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_tells_its_area() {
        let case = Case::new("reg-tests/cache/basic.vtc").expect("a good path");
        assert_eq!(case.area, "cache");
        for path in [
            "cache/basic.vtc",
            "reg-tests/basic.vtc",
            "reg-tests/cache/README",
            "",
        ] {
            Case::new(path).expect_err(path);
        }
    }

    #[test]
    fn the_reason_is_the_proxy_s_own_word_or_the_first_complaint() {
        let complaint =
            "**** h1 x\n---- c1    EXPECT resp.status (503) == \"200\" failed\n---- h1 Bad exit\n";
        assert_eq!(
            reason(complaint),
            "---- c1    EXPECT resp.status (503) == \"200\" failed"
        );
        let refused = format!("{complaint}***  h1    debug|[ALERT]    (13) : config : no\n");
        assert_eq!(reason(&refused), "[ALERT]    (13) : config : no");
        let down = format!("*** h1 debug|[ALERT] (13) : backend 'x' is down\n{complaint}");
        assert_eq!(reason(&down), reason(complaint));
        assert_eq!(reason("# top TEST x TIMED OUT\n"), "");
    }

    #[test]
    fn only_exit_code_zero_is_a_pass() {
        let exited = |code: i32| ExitStatus::from_raw(code << 8);
        assert!(Outcome::of(exited(0), "").passed());
        assert_eq!(Outcome::of(exited(77), ""), Outcome::Skipped);
        assert_eq!(Outcome::of(exited(2), "assertion failed"), Outcome::Failed);
        assert_eq!(
            Outcome::of(exited(2), "# top TEST x.vtc TIMED OUT (kill -9)"),
            Outcome::Timeout
        );
        assert_eq!(Outcome::of(ExitStatus::from_raw(9), ""), Outcome::Failed);
        assert!(!Outcome::Skipped.passed() && !Outcome::Skipped.deserves_a_retry());
    }
}
