//! Relative links in Markdown lead somewhere.
//!
//! Input is every `.md` file; output is links to files that are not in the checkout and to headings that are not in
//! their file. Links to other hosts are not followed, code is not searched.

use super::Violation;
use super::tree::{File, Tree};

/// Links that lead nowhere.
pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in tree
        .files()
        .iter()
        .filter(|file| file.path.ends_with(".md"))
    {
        let prose = prose(&file.text);
        for (offset, link) in targets(&prose) {
            if let Some(problem) = problem(tree, file, link) {
                violations.push(file.at(offset, format!("the link to {link} {problem}")));
            }
        }
    }
    violations
}

fn problem(tree: &Tree, file: &File, link: &str) -> Option<&'static str> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (path, heading) = match link.split_once('#') {
        Some((path, heading)) => (path, Some(heading)),
        None => (link, None),
    };
    let path = if path.is_empty() {
        Some(file.path.clone())
    } else {
        resolve(&file.path, path)
    };
    let Some(path) = path.filter(|path| path.is_empty() || tree.holds(path)) else {
        return Some("leads to no file of the checkout");
    };
    let heading = heading.filter(|_| path.ends_with(".md"))?;
    let known = tree
        .file(&path)
        .is_some_and(|target| headings(&target.text).any(|id| id == heading));
    (!known).then_some("leads to no heading")
}

/// The path from the root, for a link written in the file `from`; `None` if it leaves the checkout.
fn resolve(from: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "" | "." => (),
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// Targets of `[text](target)` and `[name]: target`, with their offsets.
fn targets(prose: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (at, _) in prose.match_indices("](") {
        let start = at + 2;
        if let Some(length) = prose[start..].find([')', ' ', '\n']) {
            found.push((start, &prose[start..start + length]));
        }
    }
    let mut line_start = 0;
    for line in prose.split_inclusive('\n') {
        if let Some((name, target)) = line.split_once("]: ")
            && name.starts_with('[')
            && let Some(target) = target.split_whitespace().next()
        {
            found.push((line_start + name.len() + 3, target));
        }
        line_start += line.len();
    }
    found.retain(|(_, target)| !target.is_empty());
    found
}

/// The text with code blanked, fenced or between backticks; offsets stay right.
fn prose(text: &str) -> String {
    let mut prose = Vec::with_capacity(text.len());
    let mut fenced = false;
    for line in text.as_bytes().split_inclusive(|byte| *byte == b'\n') {
        let fence = line.trim_ascii_start().starts_with(b"```");
        fenced ^= fence;
        let mut code = fenced || fence;
        for byte in line {
            code ^= *byte == b'`' && !fenced && !fence;
            prose.push(if code && *byte != b'\n' { b' ' } else { *byte });
        }
    }
    // What is blanked begins and ends at a backtick or a line end: never inside a character.
    String::from_utf8(prose).unwrap_or_default()
}

/// Ids of headings as GitHub makes them: lower case, spaces to dashes, punctuation dropped.
fn headings(text: &str) -> impl Iterator<Item = String> {
    text.lines().filter_map(|line| {
        let title = line.trim_start_matches('#');
        if title.len() == line.len() || !title.starts_with(' ') {
            return None;
        }
        let kept = title.trim().to_lowercase();
        Some(
            kept.chars()
                .filter(|next| next.is_alphanumeric() || matches!(next, ' ' | '-' | '_'))
                .map(|next| if next == ' ' { '-' } else { next })
                .collect(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(text: &str) -> Vec<String> {
        let tree = Tree::of(&[
            ("docs/guide.md", text),
            ("docs/other.md", "# One\n## Where things are: `xtask`\n"),
            ("README.md", ""),
            ("conf/examples/web.cfg", ""),
        ]);
        check(&tree).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn links_that_lead_somewhere_are_fine() {
        let text = "# Guide\n[a](other.md) [b](../README.md \"title\") [c](#guide) [d](../conf/examples)\n\
            [e](other.md#where-things-are-xtask) [f](https://example.com/x) [g](..)\n[h]: ../README.md\n\
            `[no](nowhere.md)` é `x` [i](other.md)\n```text\n[no](nowhere.md)\n```\n";
        assert_eq!(messages(text), [""; 0]);
    }

    #[test]
    fn links_that_lead_nowhere_are_violations() {
        let text = "[a](missing.md)\n[b](other.md#two)\n[c](#nothing)\n[d](../../outside.md)\n\
            é [e](missing.md)\n[f]: missing.md\n";
        assert_eq!(
            messages(text),
            [
                "docs/guide.md:1: the link to missing.md leads to no file of the checkout",
                "docs/guide.md:2: the link to other.md#two leads to no heading",
                "docs/guide.md:3: the link to #nothing leads to no heading",
                "docs/guide.md:4: the link to ../../outside.md leads to no file of the checkout",
                "docs/guide.md:5: the link to missing.md leads to no file of the checkout",
                "docs/guide.md:6: the link to missing.md leads to no file of the checkout",
            ]
        );
    }
}
