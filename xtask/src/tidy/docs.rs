//! Every Rust file begins by saying what it is for.
//!
//! Input is the Rust files; output is those whose first words are not a `//!` line. Only the unit tests that stand
//! beside a module in `tests.rs` may go without: the module's own doc is theirs.

use super::Violation;
use super::tree::Tree;

/// Files without a module doc.
pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    tree.rust()
        .filter(|file| !file.path.ends_with("/tests.rs") && !begins_with_doc(&file.text))
        .map(|file| file.at(0, "the file does not begin with its doc (`//!`)"))
        .collect()
}

/// Only blank lines and inner attributes may stand before the doc.
fn begins_with_doc(text: &str) -> bool {
    text.lines()
        .map(str::trim_start)
        .find(|line| !line.is_empty() && !line.starts_with("#!["))
        .is_some_and(|line| line.starts_with("//!"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_doc_at_its_head_is_a_violation() {
        let tree = Tree::of(&[
            ("good.rs", "//! What for.\nfn f() {}\n"),
            ("kernel.rs", "#![no_std]\n#![no_main]\n\n//! What for.\n"),
            ("room/tests.rs", "use super::*;\n"),
            ("bare.rs", "fn f() {}\n"),
            ("empty.rs", ""),
            ("late.rs", "use std::fs;\n//! Too late.\n"),
            ("plain.rs", "// No doc.\n"),
            ("notes.md", "no Rust\n"),
        ]);
        let found: Vec<String> = check(&tree).into_iter().map(|found| found.path).collect();
        assert_eq!(found, ["bare.rs", "empty.rs", "late.rs", "plain.rs"]);
    }
}
