//! The same cases asked of the `haproxy` that is installed.

use std::io::Write as _;
use std::process::Command;

use super::{Case, Verdict, cases};

#[test]
fn haproxy_agrees_but_where_a_reason_is_given() {
    let Some(version) = version() else {
        eprintln!("skipped: no haproxy is installed");
        return;
    };
    let cases = cases();
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let ask_some = |cases: &[Case]| {
            cases
                .iter()
                .filter_map(|case| disagreement(case, &version))
                .collect()
        };
        let shares: Vec<_> = cases
            .chunks(cases.len().div_ceil(AT_ONCE))
            .map(|share| scope.spawn(move || -> Vec<String> { ask_some(share) }))
            .collect();
        shares
            .into_iter()
            .flat_map(|share| share.join().expect("no panic"))
            .collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn disagreement(case: &Case, version: &str) -> Option<String> {
    let (verdict, said) = ask(&case.text);
    (verdict != case.haproxy).then(|| {
        format!(
            "{case}: expected {:?}, {version} says {verdict:?}\n{said}",
            case.haproxy
        )
    })
}

/// The first line of `haproxy -v`, if it is a version the cases were written against.
fn version() -> Option<String> {
    let output = Command::new("haproxy").arg("-v").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().next()?.to_owned();
    line.contains("version 2.6").then_some(line)
}

fn ask(text: &str) -> (Verdict, String) {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(text.as_bytes()).expect("writable");
    let output = Command::new("haproxy")
        .args(["-c", "-f"])
        .arg(file.path())
        .output()
        .expect("haproxy runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let verdict = match output.status.code() {
        // 2: nothing is wrong, but nothing listens.
        Some(0 | 2) if said.contains("[WARNING]") => Verdict::Warns,
        Some(0 | 2) => Verdict::Valid,
        _ => Verdict::Refused,
    };
    (verdict, said)
}

/// HAProxy processes at a time.
const AT_ONCE: usize = 4;
