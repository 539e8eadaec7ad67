//! `cargo xtask test`: every test of the workspace, counted by layer.
//!
//! Input is the workspace; the kernel object is built first, so that the daemon under test has its kernel part. Output
//! is a line for each test program, the failures, a table, and a last line `N passed, M failed, K skipped`. A test that
//! cannot run here prints `skipped: why` and counts as skipped; with `--kernel` or `CI=true` that is a failure.

mod outcome;
mod targets;

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use self::outcome::{Case, Counts, Outcome};
use self::targets::{Layer, Target};
use crate::process::{self, Ended};
use crate::programs::{self, ETHTOOL, IP};
use crate::workspace::Workspace;
use crate::{Verdict, ebpf};

/// What `cargo xtask test` takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Fail if a test that needs root or BPF cannot run (implied by CI=true)
    #[arg(long)]
    kernel: bool,
    /// Run only tests whose names contain one of these
    filters: Vec<String>,
}

/// Builds and runs everything, then prints the table.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<Verdict> {
    let required =
        options.kernel || env::var("CI").is_ok_and(|value| value == "true" || value == "1");
    programs::ensure(&[IP, ETHTOOL])?;
    ebpf::build(workspace)?;
    let targets = targets::build(workspace)?;
    let logs = workspace.target().join("test-logs");
    fs::create_dir_all(&logs).with_context(|| format!("cannot create {}", logs.display()))?;
    let mut table = Table::default();
    for target in &targets {
        let cases = run_target(target, options, required, &logs)?;
        println!("test: {}: {}", target.title(), Counts::of(&cases));
        for case in cases {
            table.add(target.layer(&case.name), case);
        }
    }
    let cases = run_doc_tests(workspace, options, &logs)?;
    for case in cases {
        table.add(Layer::Documentation, case);
    }
    print!("{}", table.render(required));
    let total = table.total();
    println!("{total}");
    let failed = total.failed > 0 || (required && total.skipped > 0);
    Ok(if failed {
        Verdict::Failed
    } else {
        Verdict::Passed
    })
}

fn run_target(
    target: &Target,
    options: &Options,
    required: bool,
    logs: &Path,
) -> Result<Vec<Case>> {
    let mut command = Command::new(&target.executable);
    command
        .args(&options.filters)
        // Also what passing tests print: that is where a skipped one says why.
        .arg("--show-output")
        .current_dir(&target.directory)
        .env("CARGO_MANIFEST_DIR", &target.directory)
        .env_remove("TIDEGATE_KERNEL_TESTS");
    if required {
        command.env("TIDEGATE_KERNEL_TESTS", "require");
    }
    run_harness(&mut command, &logs.join(target.log_name()))
}

fn run_doc_tests(workspace: &Workspace, options: &Options, logs: &Path) -> Result<Vec<Case>> {
    let mut command = workspace.cargo();
    command.args([
        "test",
        "--quiet",
        "--doc",
        "--workspace",
        "--exclude",
        ebpf::PACKAGE,
    ]);
    workspace.name_kernel_object(&mut command);
    // Without `--quiet` of the harness: its dots do not name tests.
    command
        .args(["--", "--show-output", "--format=pretty"])
        .args(&options.filters);
    run_harness(&mut command, &logs.join("doc.log"))
}

/// Runs one harness to its end, shows what failed, and returns its tests.
fn run_harness(command: &mut Command, log: &Path) -> Result<Vec<Case>> {
    let ended = process::run_bounded(command, log, LIMIT)?;
    let printed = fs::read(log).with_context(|| format!("cannot read {}", log.display()))?;
    let printed = String::from_utf8_lossy(&printed);
    let mut cases = outcome::cases(&printed);
    let any_failed = cases.iter().any(|case| case.outcome == Outcome::Failed);
    let broken = match ended {
        Ended::Exited(status) if status.success() || any_failed => None,
        Ended::Exited(status) => Some(format!("the test program ended with {status}")),
        Ended::TimedOut => Some(format!("the test program was killed after {LIMIT:?}")),
    };
    if let Some(how) = &broken {
        cases.push(Case {
            name: how.clone(),
            outcome: Outcome::Failed,
        });
    }
    if any_failed || broken.is_some() {
        println!("{}", outcome::failures(&printed));
        println!("the whole output is in {}", log.display());
    }
    Ok(cases)
}

/// Tests by layer.
#[derive(Debug, Default)]
struct Table {
    layers: BTreeMap<Layer, Counts>,
    failed: Vec<String>,
    skipped: BTreeMap<String, usize>,
}

impl Table {
    fn add(&mut self, layer: Layer, case: Case) {
        match &case.outcome {
            Outcome::Failed => self.failed.push(format!("{layer}: {}", case.name)),
            Outcome::Skipped(why) => *self.skipped.entry(why.clone()).or_default() += 1,
            Outcome::Passed => (),
        }
        self.layers.entry(layer).or_default().add(&case.outcome);
    }

    fn total(&self) -> Counts {
        self.layers.values().copied().sum()
    }

    fn render(&self, required: bool) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "\n{:<26}{:>8}{:>8}{:>8}",
            "layer", "passed", "failed", "skipped"
        );
        for (layer, counts) in &self.layers {
            let Counts {
                passed,
                failed,
                skipped,
            } = counts;
            let _ = writeln!(
                text,
                "{:<26}{passed:>8}{failed:>8}{skipped:>8}",
                layer.to_string()
            );
        }
        for name in &self.failed {
            let _ = writeln!(text, "failed: {name}");
        }
        for (why, count) in &self.skipped {
            let verdict = if required {
                " (must run here: a failure)"
            } else {
                ""
            };
            let _ = writeln!(text, "skipped: {count}, {why}{verdict}");
        }
        text
    }
}

/// No test program of ours takes this long on two cores.
const LIMIT: Duration = Duration::from_secs(900);

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Vec<Case> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        run_harness(
            Command::new("sh").args(["-c", script]),
            &directory.path().join("log"),
        )
        .expect("a shell starts")
    }

    #[test]
    fn a_harness_that_fails_without_naming_a_test_is_a_failure_itself() {
        let cases = shell("echo running 2 tests; echo test a ... ok; kill -9 $$");
        assert_eq!(cases.len(), 2);
        assert_eq!(cases[1].outcome, Outcome::Failed);
        assert!(cases[1].name.contains("signal: 9"), "{}", cases[1].name);
        let named = shell("echo running 1 test; echo test a ... FAILED; exit 101");
        assert_eq!(named.len(), 1, "{named:?}");
        let passed = shell("echo running 1 test; echo test a ... ok");
        assert_eq!(
            Counts::of(&passed).to_string(),
            "1 passed, 0 failed, 0 skipped"
        );
    }

    #[test]
    fn the_table_counts_layers_and_names_failures_and_reasons() {
        let mut table = Table::default();
        let case = |name: &str, outcome| Case {
            name: name.to_owned(),
            outcome,
        };
        table.add(
            Layer::KernelVeth,
            case("veth::a", Outcome::Skipped("not root".to_owned())),
        );
        table.add(
            Layer::KernelVeth,
            case("veth::b", Outcome::Skipped("not root".to_owned())),
        );
        table.add(Layer::Unit("common".to_owned()), case("x", Outcome::Passed));
        table.add(
            Layer::Integration("http".to_owned()),
            case("y", Outcome::Failed),
        );
        assert_eq!(
            table.render(true),
            "\nlayer                       passed  failed skipped\n\
             unit common                      1       0       0\n\
             integration http                 0       1       0\n\
             kernel veth                      0       0       2\n\
             failed: integration http: y\n\
             skipped: 2, not root (must run here: a failure)\n"
        );
        assert_eq!(table.total().to_string(), "1 passed, 1 failed, 2 skipped");
    }
}
