//! What Rust's test harness prints, as a list of tests and how each ended.
//!
//! Input is the text of `--show-output`; output is one [`Case`] per test. A test that passed but printed a line
//! `skipped: why` did not run: the harness itself has no word for that.

use std::collections::BTreeMap;
use std::fmt;
use std::iter::Sum;

/// One test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) outcome: Outcome,
}

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    Failed,
    /// It did not run, and why.
    Skipped(String),
}

/// How many tests ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) skipped: usize,
}

/// All tests the text tells of; it may hold the output of several harnesses.
pub(super) fn cases(printed: &str) -> Vec<Case> {
    let reasons = skip_reasons(printed);
    let mut part = Part::Between;
    let mut cases = Vec::new();
    for line in printed.lines() {
        part = match (part, line) {
            (Part::Between, _) if is_headline(line) => Part::List,
            (Part::List, "successes:" | "failures:") => Part::Prints,
            (_, _) if line.starts_with("test result: ") => Part::Between,
            _ => part,
        };
        if part == Part::List {
            cases.extend(case(line, &reasons));
        }
    }
    cases
}

/// Where in a harness's output a line stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Outside of any harness: cargo's own lines.
    Between,
    /// One line per test.
    List,
    /// What tests printed themselves, which may look like anything.
    Prints,
}

/// `running 12 tests`
fn is_headline(line: &str) -> bool {
    let count = line.strip_prefix("running ").and_then(|rest| {
        rest.strip_suffix(" tests")
            .or_else(|| rest.strip_suffix(" test"))
    });
    count.is_some_and(|count| count.parse::<usize>().is_ok())
}

/// The part of the text that explains failures; its end if there is no such part.
pub(super) fn failures(printed: &str) -> &str {
    match printed.find("\nfailures:\n") {
        Some(start) => printed[start..].trim_end(),
        None => {
            let mut ends = printed
                .trim_end()
                .rmatch_indices('\n')
                .map(|(at, _)| at + 1);
            printed[ends.nth(TAIL_LINES).unwrap_or(0)..].trim_end()
        }
    }
}

/// `test room::name ... ok`, perhaps with a comment behind the name or the result.
fn case(line: &str, reasons: &BTreeMap<&str, &str>) -> Option<Case> {
    let (name, result) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    let name = name.strip_suffix(" - should panic").unwrap_or(name);
    let outcome = match result {
        "ok" => match reasons.get(name) {
            Some(why) => Outcome::Skipped((*why).to_owned()),
            None => Outcome::Passed,
        },
        "FAILED" => Outcome::Failed,
        _ if result.starts_with("ignored") => {
            Outcome::Skipped(result.replacen("ignored, ", "ignored: ", 1))
        }
        _ => return None,
    };
    Some(Case {
        name: name.to_owned(),
        outcome,
    })
}

/// The reasons in the sections `---- name stdout ----` of what tests printed.
fn skip_reasons(printed: &str) -> BTreeMap<&str, &str> {
    let mut reasons = BTreeMap::new();
    let mut section = None;
    for line in printed.lines() {
        if let Some(name) = line
            .strip_prefix("---- ")
            .and_then(|rest| rest.strip_suffix(" stdout ----"))
        {
            section = Some(name);
        } else if let (Some(name), Some(why)) = (section, line.strip_prefix("skipped: ")) {
            reasons.insert(name, why);
        }
    }
    reasons
}

impl Counts {
    pub(super) fn of(cases: &[Case]) -> Self {
        let mut counts = Self::default();
        for case in cases {
            counts.add(&case.outcome);
        }
        counts
    }

    pub(super) fn add(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Passed => self.passed += 1,
            Outcome::Failed => self.failed += 1,
            Outcome::Skipped(_) => self.skipped += 1,
        }
    }
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |sum, counts| Self {
            passed: sum.passed + counts.passed,
            failed: sum.failed + counts.failed,
            skipped: sum.skipped + counts.skipped,
        })
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }
}

const TAIL_LINES: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "
running 6 tests
test lang::good ... ok
test lang::slow ... ignored, takes an hour
test net::panics - should panic ... ok
test xdp::bad ... FAILED
test xdp::veth ... ok
test x.rs - f (line 3) ... ok

successes:

---- lang::good stdout ----
running 1 test
test printed::by_a_test ... FAILED

---- xdp::veth stdout ----
skipped: not root

successes:
    lang::good

failures:

---- xdp::bad stdout ----
thread panicked

failures:
    xdp::bad

test result: FAILED. 3 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

    #[test]
    fn every_test_is_read_with_its_outcome() {
        let found = cases(PRINTED);
        let skipped = |why: &str| Outcome::Skipped(why.to_owned());
        let expected = [
            ("lang::good", Outcome::Passed),
            ("lang::slow", skipped("ignored: takes an hour")),
            ("net::panics", Outcome::Passed),
            ("xdp::bad", Outcome::Failed),
            ("xdp::veth", skipped("not root")),
            ("x.rs - f (line 3)", Outcome::Passed),
        ];
        let expected = expected.map(|(name, outcome)| Case {
            name: name.to_owned(),
            outcome,
        });
        assert_eq!(found, expected);
        assert_eq!(
            Counts::of(&found).to_string(),
            "3 passed, 1 failed, 2 skipped"
        );
    }

    #[test]
    fn failures_are_shown_from_their_section_or_from_the_end() {
        assert!(failures(PRINTED).starts_with("\nfailures:\n\n---- xdp::bad"));
        let crashed: String = (0..100).map(|line| format!("{line}\n")).collect();
        let tail = failures(&crashed);
        assert!(tail.ends_with("98\n99") && !tail.contains("20\n"), "{tail}");
        assert_eq!(failures("short\n"), "short");
    }
}
