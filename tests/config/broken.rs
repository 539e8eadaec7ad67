//! What is said of configurations that are refused: file, line, column, word and, where there is one, the nearest name.
//!
//! Every refused case of `cases/` and every case of `broken/` is loaded; the messages are compared with snapshots, one per
//! file. A case that says nothing, or says it without a place, fails whatever the snapshot holds.

use std::fmt::Write as _;

use super::{Verdict, cases, cases_of, ours};

#[test]
fn every_refusal_says_where_and_what() {
    let mut all = cases();
    all.extend(BROKEN.iter().flat_map(|(file, text)| cases_of(file, text)));
    let refused: Vec<_> = all
        .into_iter()
        .filter(|case| case.ours == Verdict::Refused)
        .collect();
    assert!(refused.len() >= 200, "only {} broken cases", refused.len());
    let mut files: Vec<&str> = refused.iter().map(|case| case.file).collect();
    files.dedup();
    let mut placeless = Vec::new();
    for file in files {
        let mut text = String::new();
        for case in refused.iter().filter(|case| case.file == file) {
            let (verdict, said) = ours(&case.text);
            if verdict != Verdict::Refused || !names_a_place(&said) {
                placeless.push(format!("{case}: {verdict:?}\n{said}"));
            }
            let said = said.replace(env!("CARGO_MANIFEST_DIR"), "DIRECTORY");
            // Writing to a String cannot fail.
            let _ = writeln!(text, "#= {}\n{}", case.name, said.trim_end());
        }
        insta::assert_snapshot!(format!("broken_{file}"), text);
    }
    assert!(placeless.is_empty(), "{}", placeless.join("\n"));
}

/// `case.cfg:3`, with the line of the file and a caret below it unless the line itself is the message (`.alert`).
fn names_a_place(said: &str) -> bool {
    said.contains("[ALERT]")
        && said.contains("case.cfg:")
        && (said.contains('^') || said.contains("'stop'"))
}

const BROKEN: &[(&str, &str)] = &[
    ("words", include_str!("broken/words.cfg")),
    ("values", include_str!("broken/values.cfg")),
    ("expressions", include_str!("broken/expressions.cfg")),
    ("names", include_str!("broken/names.cfg")),
];
