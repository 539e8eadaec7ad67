//! `unsafe` lives on islands, and each use says why it is sound.
//!
//! Input is the list of islands in ARCHITECTURE.md and all Rust code; output is `unsafe` elsewhere, blocks and impls
//! without a `SAFETY` comment right above, and islands that hold no `unsafe` any more.

use super::Violation;
use super::fences::{self, DOCUMENT};
use super::tree::{File, Tree};

/// `unsafe` outside the islands, or unexplained; and islands that are none.
pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let islands = match fences::list(tree, "unsafe-islands") {
        Ok(islands) => islands,
        Err(violation) => return vec![violation],
    };
    let mut violations = Vec::new();
    for file in tree.rust() {
        for offset in uses(file) {
            if !islands.contains(&file.path.as_str()) {
                let message = format!("unsafe outside the islands listed in {DOCUMENT}");
                violations.push(file.at(offset, message));
            }
            if needs_reason(file, offset) && !is_explained(file, offset) {
                violations.push(file.at(offset, "unsafe without a SAFETY comment above it"));
            }
        }
    }
    for island in islands {
        if tree
            .file(island)
            .is_none_or(|file| uses(file).next().is_none())
        {
            violations.push(Violation {
                path: DOCUMENT.to_owned(),
                line: 0,
                message: format!("{island} is listed as an island but holds no unsafe"),
            });
        }
    }
    violations
}

fn uses(file: &File) -> impl Iterator<Item = usize> + '_ {
    file.words("unsafe")
}

/// Blocks and impls. A function's contract is its `# Safety` section, a field of an attribute has nothing to prove.
fn needs_reason(file: &File, offset: usize) -> bool {
    let behind = file.code[offset + "unsafe".len()..].trim_start();
    behind.starts_with('{') || behind.starts_with("impl")
}

/// A `// SAFETY:` on the same line, or in the comment that ends on the line above (of the statement's start).
fn is_explained(file: &File, offset: usize) -> bool {
    let line_start = file.text[..offset]
        .rfind('\n')
        .map_or(0, |newline| newline + 1);
    let line_end = file.text[offset..]
        .find('\n')
        .map_or(file.text.len(), |length| offset + length);
    if file.text[line_start..line_end].contains(REASON) {
        return true;
    }
    let mut above = file.text[..line_start].lines().rev();
    // A statement may begin a line or two before its block: `let x =`, an attribute, a builder's dots.
    for line in above.by_ref() {
        let line = line.trim();
        if line.starts_with("//") {
            if line.contains(REASON) {
                return true;
            }
        } else if !continues(line) {
            return false;
        }
    }
    false
}

/// Whether the statement goes on below this line, so that its comment stands further up.
fn continues(line: &str) -> bool {
    !line.is_empty() && !line.ends_with([';', '{', '}'])
}

const REASON: &str = "SAFETY:";

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(text: &str) -> Vec<String> {
        let tree = Tree::of(&[
            (DOCUMENT, "```unsafe-islands\nsys.rs\n```\n"),
            ("sys.rs", text),
        ]);
        check(&tree).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_explained_block_on_an_island_is_fine() {
        for text in [
            "fn f() {\n    // SAFETY: the pointer is ours,\n    // and alive.\n    unsafe { g() }\n}\n",
            "let x =\n    // SAFETY: it is.\n    unsafe { g() };\n",
            "// SAFETY: it is.\nlet x =\n    unsafe { g() };\n",
            "// SAFETY: plain bytes.\n#[cfg(x)]\nunsafe impl Pod for X {}\n",
            "unsafe { g() } // SAFETY: it is.\n",
            "/// # Safety\n/// Never call it.\nunsafe fn f() {}\n#[unsafe(no_mangle)]\nstatic X: u8 = 0;\n",
        ] {
            assert_eq!(messages(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn an_unexplained_block_is_a_violation() {
        for text in [
            "\nunsafe { g() }\n",
            "// SAFETY: of another.\ng();\nunsafe { g() }\n",
            "// It is fine.\nunsafe impl Pod for X {}\n",
        ] {
            let found = messages(text);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert!(found[0].ends_with("unsafe without a SAFETY comment above it"));
        }
    }

    #[test]
    fn unsafe_elsewhere_is_a_violation_even_if_explained() {
        let tree = Tree::of(&[
            (DOCUMENT, "```unsafe-islands\nsys.rs\n```\n"),
            ("sys.rs", "unsafe fn f() {}\n"),
            (
                "lib.rs",
                "// unsafe in a comment\n// SAFETY: it is.\nunsafe { f() }\n",
            ),
        ]);
        let found: Vec<String> = check(&tree).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            ["lib.rs:3: unsafe outside the islands listed in ARCHITECTURE.md"]
        );
    }

    #[test]
    fn an_island_without_unsafe_is_a_violation() {
        assert_eq!(
            messages("fn safe() {}\n"),
            ["ARCHITECTURE.md: sys.rs is listed as an island but holds no unsafe"]
        );
    }
}
