//! What a run found: a table for people, JSON for programs.
//!
//! Input is the tests and how they ended; output is text. Nothing is judged here but passed or not.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use super::case::{Case, Finding};

/// All results of a run; also the form of the JSON file.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    binary: String,
    passed: usize,
    failed: usize,
    areas: BTreeMap<String, Area>,
    tests: Vec<Test>,
}

#[derive(Debug, Default, Serialize)]
struct Area {
    passed: usize,
    failed: usize,
}

#[derive(Debug, Serialize)]
struct Test {
    path: String,
    #[serde(flatten)]
    finding: Finding,
}

impl Report {
    pub(super) fn new(binary: &Path, cases: &[Case], findings: &[Finding]) -> Self {
        let mut report = Self {
            binary: binary.display().to_string(),
            passed: 0,
            failed: 0,
            areas: BTreeMap::new(),
            tests: Vec::new(),
        };
        for (case, finding) in cases.iter().zip(findings) {
            let area = report.areas.entry(case.area.clone()).or_default();
            if finding.outcome.passed() {
                area.passed += 1;
                report.passed += 1;
            } else {
                area.failed += 1;
                report.failed += 1;
            }
            report.tests.push(Test {
                path: case.path.clone(),
                finding: finding.clone(),
            });
        }
        report
    }

    pub(super) fn passed(&self) -> usize {
        self.passed
    }

    /// Everything that did not pass, skips included.
    pub(super) fn failed(&self) -> usize {
        self.failed
    }

    /// One line per area, and the paths of what did not pass.
    pub(super) fn table(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "\n{:<20}{:>8}{:>8}", "area", "passed", "failed");
        for (name, area) in &self.areas {
            let _ = writeln!(text, "{name:<20}{:>8}{:>8}", area.passed, area.failed);
        }
        for test in self
            .tests
            .iter()
            .filter(|test| !test.finding.outcome.passed())
        {
            let Finding { outcome, reason } = &test.finding;
            let _ = writeln!(text, "{outcome:<9}{}", test.path);
            if !reason.is_empty() {
                let _ = writeln!(text, "         {reason}");
            }
        }
        text
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let json = serde_json::to_string_pretty(self)?;
        fs::write(path, json + "\n").with_context(|| format!("cannot write {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::case::Outcome;

    #[test]
    fn what_did_not_pass_counts_as_failed_and_is_named() {
        let cases = [
            "reg-tests/a/one.vtc",
            "reg-tests/a/two.vtc",
            "reg-tests/b/three.vtc",
        ]
        .map(|path| Case::new(path).expect("a good path"));
        let findings = [
            (Outcome::Passed, ""),
            (Outcome::Skipped, ""),
            (Outcome::Timeout, "[ALERT] no"),
        ]
        .map(|(outcome, reason)| Finding {
            outcome,
            reason: reason.to_owned(),
        });
        let report = Report::new(Path::new("/bin/x"), &cases, &findings);
        assert_eq!((report.passed(), report.failed()), (1, 2));
        assert_eq!(
            report.table(),
            "\narea                  passed  failed\n\
             a                          1       1\n\
             b                          0       1\n\
             SKIPPED  reg-tests/a/two.vtc\n\
             TIMEOUT  reg-tests/b/three.vtc\n\
             \x20        [ALERT] no\n"
        );
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("report.json");
        report.write(&path).expect("written");
        let text = fs::read_to_string(path).expect("readable");
        let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(json["tests"][2]["outcome"], "timeout");
        assert_eq!(json["areas"]["a"]["failed"], 1);
    }
}
