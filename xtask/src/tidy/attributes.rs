//! A silenced lint and an ignored test say why.
//!
//! Input is every attribute in the code; output is each `#[expect]` or `#[allow]` without `reason = "…"` and each
//! `#[ignore]` without a text. Whether the reason is good is for the reader to judge.

use super::Violation;
use super::tree::{File, Tree, words};

/// Attributes that need a reason and have none.
pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in tree.rust() {
        for (offset, attribute) in attributes(file) {
            let mentions = |word| words(attribute, word).next().is_some();
            let silences = ["allow", "expect"].into_iter().any(|lint_level| {
                words(attribute, lint_level).any(|at| {
                    attribute[at + lint_level.len()..]
                        .trim_start()
                        .starts_with('(')
                })
            });
            if silences && !mentions("reason") {
                violations.push(file.at(offset, "a lint is silenced without reason = \"…\""));
            }
            if mentions("ignore") && !attribute.contains('=') {
                violations.push(file.at(offset, "a test is ignored without saying why"));
            }
        }
    }
    violations
}

/// The insides of `#[…]` and `#![…]`, literals blanked.
fn attributes(file: &File) -> impl Iterator<Item = (usize, &str)> {
    file.code.match_indices('#').filter_map(|(offset, _)| {
        let rest = &file.code[offset + 1..];
        let inside = rest.strip_prefix('!').unwrap_or(rest).strip_prefix('[')?;
        let mut depth = 1;
        let end = inside.find(|character| {
            match character {
                '[' => depth += 1,
                ']' => depth -= 1,
                _ => (),
            }
            depth == 0
        })?;
        Some((offset, &inside[..end]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<usize> {
        check(&Tree::of(&[("a.rs", text)]))
            .iter()
            .map(|violation| violation.line)
            .collect()
    }

    #[test]
    fn attributes_with_reasons_are_fine() {
        let text = "#![expect(clippy::exit, reason = \"a [tool]\")]\n#[expect(\n    dead_code,\n    reason = \"x\"\n)]\n\
            #[ignore = \"takes an hour\"]\n#[cfg_attr(test, allow(unused, reason = \"y\"))]\n#[derive(Debug)]\n\
            // #[ignore]\nlet s = \"#[allow(x)]\"; x.expect(\"fine\"); let a: [u8; 2];\n";
        assert_eq!(lines(text), [0; 0]);
    }

    #[test]
    fn attributes_without_reasons_are_violations() {
        let text = "#[allow(dead_code)]\n#![expect(clippy::exit)]\n#[ignore]\n\
            #[cfg_attr(test, allow(unused))]\n#[expect(\n    dead_code\n)]\n";
        assert_eq!(lines(text), [1, 2, 3, 4, 5]);
    }
}
