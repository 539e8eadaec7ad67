//! `cargo xtask conformance`: HAProxy's own regression tests against this daemon, or against any other program.
//!
//! Input is a checkout of HAProxy that lies beside the project, a list of its `.vtc` files and a binary; output is a
//! table by area, a JSON report, a log for each test and a last line `N passed, M failed`. A test that skips itself
//! counts as failed. The tests are read where they are and never copied into the project.

mod case;
mod report;
mod script;
mod wrapper;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use self::case::{Case, Finding, Runner};
use self::report::Report;
use self::wrapper::Wrapper;
use crate::Verdict;
use crate::build::{self, Profile};
use crate::programs::{self, CURL, IP, OPENSSL, SOCAT, UNSHARE, VARNISHTEST};
use crate::workspace::Workspace;

/// What `cargo xtask conformance` takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// A checkout of HAProxy
    #[arg(long, value_name = "DIR")]
    suite: PathBuf,
    /// The tests to run: paths relative to the suite, one per line
    #[arg(long, value_name = "FILE")]
    list: PathBuf,
    /// Tests that run at the same time
    #[arg(long, value_name = "N", default_value_t = 4)]
    jobs: usize,
    /// Only tests of these areas (the directories below reg-tests)
    #[arg(long, value_name = "AREA,…", value_delimiter = ',')]
    areas: Vec<String>,
    /// Where the report goes [default: target/conformance/report.json]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The program under test [default: the daemon, built in release mode]
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
    /// Build and test the daemon without optimisation
    #[arg(long, conflicts_with = "binary")]
    debug: bool,
}

/// Runs the listed tests, those that failed once more, and prints the table.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<Verdict> {
    ensure!(options.jobs > 0, "--jobs 0 would never end");
    let suite = fs::canonicalize(&options.suite)
        .with_context(|| format!("there is no suite in {}", options.suite.display()))?;
    let cases = selected(&suite, options)?;
    programs::ensure(&[VARNISHTEST, UNSHARE, IP, SOCAT, CURL, OPENSSL])?;
    let binary = binary(workspace, options)?;
    let directory = workspace.target().join("conformance");
    let wrapper = Wrapper::create(&directory, &binary)?;
    println!("conformance: {} tests against {wrapper}", cases.len());

    let runner = Runner::new(&suite, wrapper, &directory.join("logs"))?;
    let mut findings = run_all(&runner, &cases, options.jobs)?;
    let again: Vec<usize> = (0..cases.len())
        .filter(|index| findings[*index].outcome.deserves_a_retry())
        .collect();
    if !again.is_empty() {
        println!("conformance: {} failed, once more", again.len());
        let retried: Vec<Case> = again.iter().map(|index| cases[*index].clone()).collect();
        let second = run_all(&runner, &retried, options.jobs)?;
        for (index, finding) in again.into_iter().zip(second) {
            findings[index] = finding;
        }
    }

    let report = Report::new(&binary, &cases, &findings);
    let json = options
        .json
        .clone()
        .unwrap_or_else(|| directory.join("report.json"));
    report.write(&json)?;
    print!("{}", report.table());
    println!(
        "logs: {}, report: {}",
        runner.logs().display(),
        json.display()
    );
    println!("{} passed, {} failed", report.passed(), report.failed());
    Ok(if report.failed() == 0 {
        Verdict::Passed
    } else {
        Verdict::Failed
    })
}

/// The tests of the list that belong to the wanted areas.
fn selected(suite: &Path, options: &Options) -> Result<Vec<Case>> {
    let list = fs::read_to_string(&options.list)
        .with_context(|| format!("cannot read the list {}", options.list.display()))?;
    let mut cases = Vec::new();
    for line in list.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let case = Case::new(line)?;
        ensure!(
            suite.join(line).is_file(),
            "{line} is listed but not in {}",
            suite.display()
        );
        if options.areas.is_empty() || options.areas.contains(&case.area) {
            cases.push(case);
        }
    }
    if cases.is_empty() {
        bail!(
            "no test of {} is in the areas {:?}",
            options.list.display(),
            options.areas
        );
    }
    Ok(cases)
}

fn binary(workspace: &Workspace, options: &Options) -> Result<PathBuf> {
    let binary = match &options.binary {
        Some(binary) => binary.clone(),
        None if options.debug => build::daemon(workspace, Profile::Dev)?,
        None => build::daemon(workspace, Profile::Release)?,
    };
    fs::canonicalize(&binary).with_context(|| format!("there is no {}", binary.display()))
}

/// Runs the cases on `jobs` threads; findings in the order of the cases.
fn run_all(runner: &Runner, cases: &[Case], jobs: usize) -> Result<Vec<Finding>> {
    let next = AtomicUsize::new(0);
    let mut findings: Vec<Option<Finding>> = vec![None; cases.len()];
    thread::scope(|scope| {
        let (sender, results) = mpsc::channel();
        for _ in 0..jobs.min(cases.len()) {
            let sender = sender.clone();
            let next = &next;
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(index) else { return };
                    // The receiver is gone only if the run was given up.
                    if sender.send((index, runner.run(case))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for (index, finding) in results {
            let finding = finding?;
            println!("{:<9}{}", finding.outcome, cases[index].path);
            findings[index] = Some(finding);
        }
        anyhow::Ok(())
    })?;
    findings
        .into_iter()
        .collect::<Option<_>>()
        .context("a test was never run")
}
