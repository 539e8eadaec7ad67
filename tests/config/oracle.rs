//! The same cases asked of the `haproxy` that is installed.

use std::io::Write as _;
use std::process::Command;

use super::{Case, Verdict, cases};

#[test]
#[expect(clippy::print_stderr, reason = "a test that is skipped says why")]
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

/// Every keyword HAProxy lists is one we do, refuse with a reason, or do without.
#[test]
#[expect(clippy::print_stderr, reason = "a test that is skipped says why")]
fn every_keyword_haproxy_lists_is_known() {
    if version().is_none() {
        eprintln!("skipped: no haproxy is installed");
        return;
    }
    let output = Command::new("haproxy")
        .args(["-dKcfg", "-c", "-f", "/dev/null"])
        .output()
        .expect("haproxy runs");
    let ours = tidegate::lang::keywords();
    let mut section = "";
    let mut unknown = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Some(rest) = line.strip_prefix('\t') else {
            section = SECTIONS
                .iter()
                .find(|known| **known == line)
                .copied()
                .unwrap_or_default();
            continue;
        };
        let name = rest
            .split(" [")
            .next()
            .unwrap_or(rest)
            .replace("<addr> ssl ", "<addr> ");
        let name = name
            .split(" +")
            .next()
            .unwrap_or(&name)
            .trim_end_matches('*');
        let is_known = |known: &tidegate::lang::Listed| {
            let rest = known.name.strip_prefix(name);
            known.section == section
                && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        };
        if !section.is_empty()
            && !ELSEWHERE.iter().any(|word| name.contains(word))
            && !ours.iter().any(is_known)
        {
            unknown.push(format!("{section}: {name}"));
        }
    }
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));
    assert!(ours.iter().filter(|keyword| keyword.works).count() > 500);
}

/// Sections of HAProxy's list that are ours too.
const SECTIONS: &[&str] = &["global", "listen", "userlist"];

/// Add-ons of Debian's build, and lines of the list that are no keywords.
const ELSEWHERE: &[&str] = &[
    "ot-group",
    "track-sc",
    "log-proto",
    "no-send-proxy-v2-ssl",
    "tune.h2.",
];

/// HAProxy processes at a time.
const AT_ONCE: usize = 4;
