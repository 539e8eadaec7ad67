//! A file that grew too long is two files.
//!
//! Input is the Rust files; output is those over the bound. Tests may be longer: tables of cases are easy to read.

use super::Violation;
use super::tree::Tree;

/// Files over their bound.
pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    tree.rust()
        .filter_map(|file| {
            let lines = file.text.lines().count();
            let bound = bound(&file.path);
            (lines > bound)
                .then(|| file.whole(format!("{lines} lines, more than {bound}: split it")))
        })
        .collect()
}

fn bound(path: &str) -> usize {
    let is_test = path.ends_with("/tests.rs") || path.split('/').any(|part| part == "tests");
    if is_test { TEST_LINES } else { LINES }
}

const LINES: usize = 500;
const TEST_LINES: usize = 900;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_over_their_bound_are_violations() {
        let at = "//\n".repeat(LINES);
        let over = "//\n".repeat(LINES + 1);
        let far_over = "//\n".repeat(TEST_LINES + 1);
        let tree = Tree::of(&[
            ("at.rs", &at),
            ("over.rs", &over),
            ("room/tests.rs", &over),
            ("tests/http/main.rs", &far_over),
            ("manual.md", &far_over),
        ]);
        let found: Vec<String> = check(&tree).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "over.rs: 501 lines, more than 500: split it",
                "tests/http/main.rs: 901 lines, more than 900: split it"
            ]
        );
    }
}
