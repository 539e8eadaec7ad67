//! Nothing is committed that belongs to one machine or to another day.
//!
//! Input is all text; output is notes of unfinished work, paths of somebody's home or build machine, and dependencies
//! that do not come from crates.io. `Cargo.lock` is searched for the last only.

use super::Violation;
use super::tree::{File, Tree, is_word_byte, words};

/// What should have been cleared away before the commit.
pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in tree.files() {
        if file.path == "Cargo.lock" {
            violations.extend(foreign_sources(file));
            continue;
        }
        for note in NOTES {
            for offset in words(&file.text, note) {
                violations.push(file.at(offset, format!("{note}: do it or say it in an issue")));
            }
        }
        for stub in STUBS {
            for offset in file.words(stub) {
                if file.code[offset + stub.len()..].starts_with('!') {
                    violations.push(file.at(offset, format!("{stub}! stands for missing code")));
                }
            }
        }
        for path in MACHINE_PATHS {
            for offset in beginnings(&file.text, path) {
                violations.push(file.at(offset, format!("{path} is a path of one machine")));
            }
        }
    }
    violations
}

/// Where an absolute path begins: nothing of a longer path stands before it.
fn beginnings<'a>(text: &'a str, path: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(path).map(|(at, _)| at).filter(|at| {
        let before = at.checked_sub(1).map(|before| text.as_bytes()[before]);
        !before.is_some_and(|byte| is_word_byte(byte) || matches!(byte, b'/' | b'.' | b'-' | b'}'))
    })
}

fn foreign_sources(lock: &File) -> impl Iterator<Item = Violation> + '_ {
    lock.text
        .match_indices("\nsource = \"")
        .filter_map(|(at, found)| {
            let start = at + found.len();
            let source = lock.text[start..].split('"').next()?;
            (source != CRATES_IO).then(|| lock.at(start, "a dependency that is not from crates.io"))
        })
}

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";
// Spelled in parts: this file is searched too.
const NOTES: [&str; 3] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
];
const STUBS: [&str; 2] = [concat!("to", "do"), concat!("un", "implemented")];
const MACHINE_PATHS: [&str; 5] = [
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("/tmp/", "hap"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(path: &str, text: &str) -> Vec<String> {
        check(&Tree::of(&[(path, text)]))
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn notes_and_stubs_are_violations() {
        let [later, broken, marked] = NOTES;
        let [missing, absent] = STUBS;
        let text = format!(
            "// {later}: more\n// {broken}\n{missing}!()\n{absent}!(\"x\")\n/* {marked} */\n"
        );
        assert_eq!(messages("a.rs", &text).len(), 5);
        assert_eq!(
            messages("a.md", &format!("a list of {later} items\n")).len(),
            1
        );
        assert_eq!(
            messages("a.rs", &format!("// my{later}s {missing}\n")),
            [""; 0]
        );
    }

    #[test]
    fn paths_of_a_machine_are_violations_but_not_as_a_part_of_others() {
        for path in MACHINE_PATHS {
            assert_eq!(
                messages("a.cfg", &format!("\nfile {path}x\n")).len(),
                1,
                "{path}"
            );
            assert_eq!(
                messages("a.cfg", &format!("\nfile /srv{path}x\n")),
                [""; 0],
                "{path}"
            );
        }
    }

    #[test]
    fn a_locked_dependency_from_elsewhere_is_a_violation() {
        let lock = |source| format!("[[package]]\nname = \"x\"\nsource = \"{source}\"\n");
        assert_eq!(messages("Cargo.lock", &lock(CRATES_IO)), [""; 0]);
        let found = messages("Cargo.lock", &lock("git+https://example.com/x"));
        assert_eq!(
            found,
            ["Cargo.lock:3: a dependency that is not from crates.io"]
        );
    }
}
