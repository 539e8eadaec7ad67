//! Nothing is committed that belongs to one machine or to another day.
//!
//! Input is all text; output is notes of unfinished work, paths of somebody's home or build machine, hosts that serve
//! packages, and dependencies that do not come from crates.io. `Cargo.lock` is searched for the last only.

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
        for path in TOOLCHAIN_PATHS {
            for (offset, _) in file.text.match_indices(path) {
                violations.push(file.at(offset, format!("{path} is a path of one machine")));
            }
        }
        for host in REGISTRY_HOSTS {
            for (offset, _) in file.text.match_indices(host) {
                let message =
                    format!("{host} serves packages: which host does so is each user's setting");
                violations.push(file.at(offset, message));
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
const REGISTRY_HOSTS: [&str; 4] = [
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("deb.", "debian.org"),
    concat!("pkg.", "dev/"),
];
/// Where a toolchain keeps its files, below whatever home: seen in messages that were pasted.
const TOOLCHAIN_PATHS: [&str; 2] = [
    concat!(".cargo/", "registry"),
    concat!(".rustup/", "toolchains"),
];
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
    fn hosts_that_serve_packages_are_violations() {
        for host in REGISTRY_HOSTS {
            let found = messages(
                ".cargo/config.toml",
                &format!("[source.x]\nregistry = \"https://{host}\"\n"),
            );
            assert_eq!(found.len(), 1, "{host}: {found:?}");
            assert!(found[0].starts_with(".cargo/config.toml:2: "), "{found:?}");
        }
        assert_eq!(
            messages("README.md", "<https://crates.io/crates/aya>\n"),
            [""; 0]
        );
    }

    #[test]
    fn paths_of_a_toolchain_are_violations_below_any_home() {
        for path in TOOLCHAIN_PATHS {
            assert_eq!(
                messages("a.md", &format!("see ~/{path}/src\n")).len(),
                1,
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
