//! Lists that ARCHITECTURE.md holds for the checks: a fenced block whose language names the list.
//!
//! Input is the document; output is the lines of one block. The document is the source: no list is repeated here.

use super::Violation;
use super::tree::Tree;

/// Where the lists stand.
pub(super) const DOCUMENT: &str = "ARCHITECTURE.md";

/// The lines of the block ` ```name `, trimmed, without empty ones; a violation if there is no such block.
pub(super) fn list<'a>(tree: &'a Tree, name: &str) -> Result<Vec<&'a str>, Violation> {
    let missing = |message: String| Violation {
        path: DOCUMENT.to_owned(),
        line: 0,
        message,
    };
    let document = tree
        .file(DOCUMENT)
        .ok_or_else(|| missing("the document is missing".to_owned()))?;
    let mut lines = document.text.lines();
    let open = format!("```{name}");
    if !lines.any(|line| line.trim_end() == open) {
        return Err(missing(format!("there is no block {open}")));
    }
    let block = lines.take_while(|line| line.trim_end() != "```");
    let items: Vec<&str> = block
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    if items.is_empty() {
        return Err(missing(format!("the block {open} is empty")));
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_found_by_its_name_and_ends_at_its_fence() {
        let tree = Tree::of(&[(
            DOCUMENT,
            "# A\n```text\nno\n```\n```rooms\none\n\n two\n```\nno\n",
        )]);
        assert_eq!(
            list(&tree, "rooms").expect("there is a block"),
            ["one", "two"]
        );
    }

    #[test]
    fn a_missing_or_empty_block_is_a_violation() {
        assert!(list(&Tree::default(), "rooms").is_err());
        let tree = Tree::of(&[(DOCUMENT, "```rooms\n```\n")]);
        assert_eq!(
            list(&tree, "rooms").expect_err("empty").message,
            "the block ```rooms is empty"
        );
        assert!(list(&tree, "islands").is_err());
    }
}
