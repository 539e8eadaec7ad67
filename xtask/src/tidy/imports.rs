//! Which room may know which library.
//!
//! Input is the code of `userspace/src`; output is every path into a library from a room that shall not know it. The
//! table below repeats invariants of ARCHITECTURE.md that cannot be read from a list of rooms.

use super::Violation;
use super::tree::Tree;

/// Paths such as `aya::…` and `use aya…` where they are not wanted.
pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in tree.rust() {
        let Some(inside) = file.path.strip_prefix("userspace/src/") else {
            continue;
        };
        let room = inside.split(['/', '.']).next().unwrap_or_default();
        for rule in &RULES {
            if rule.allows(room) {
                continue;
            }
            for offset in file.words(rule.library) {
                let before = file.code[..offset].trim_end();
                let after = file.code[offset + rule.library.len()..].trim_start();
                let is_path = after.starts_with("::") && !before.ends_with("::");
                let is_import = before.ends_with("use") || before.ends_with("extern crate");
                if is_path || is_import {
                    let message = format!("{room} may not use {}: {}", rule.library, rule.reason);
                    violations.push(file.at(offset, message));
                }
            }
        }
    }
    violations
}

struct Rule {
    library: &'static str,
    rooms: Rooms,
    reason: &'static str,
}

enum Rooms {
    Only(&'static [&'static str]),
    AllBut(&'static [&'static str]),
}

impl Rule {
    fn allows(&self, room: &str) -> bool {
        match self.rooms {
            Rooms::Only(rooms) => rooms.contains(&room),
            Rooms::AllBut(rooms) => !rooms.contains(&room),
        }
    }
}

const RULES: [Rule; 2] = [
    Rule {
        library: "aya",
        rooms: Rooms::Only(&["dataplane"]),
        reason: "only dataplane knows the kernel part",
    },
    Rule {
        library: "tokio",
        rooms: Rooms::AllBut(&["types", "proto", "expr", "model", "lang", "balance"]),
        reason: "it neither waits nor spawns",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        check(&Tree::of(&[(path, text)]))
            .iter()
            .map(|violation| violation.line)
            .collect()
    }

    #[test]
    fn aya_belongs_to_dataplane_alone() {
        let text = "use aya::Ebpf;\nfn f(x: aya::Pod) {}\nuse aya;\n// aya::Pod\nlet aya = 1;\n";
        assert_eq!(lines("userspace/src/session/mod.rs", text), [1, 2, 3]);
        assert_eq!(lines("userspace/src/queue.rs", text), [1, 2, 3]);
        assert_eq!(lines("userspace/src/dataplane/loader.rs", text), [0; 0]);
        assert_eq!(lines("tests/xdp/main.rs", text), [0; 0]);
    }

    #[test]
    fn pure_rooms_do_not_know_tokio() {
        assert_eq!(
            lines("userspace/src/proto/http/mod.rs", "\nuse tokio::net;\n"),
            [2]
        );
        assert_eq!(
            lines("userspace/src/expr/mod.rs", "tokio :: spawn();\n"),
            [1]
        );
        assert_eq!(
            lines("userspace/src/net/mod.rs", "use tokio::net;\n"),
            [0; 0]
        );
        assert_eq!(
            lines("userspace/src/lang/mod.rs", "use my::tokio::x;\n"),
            [0; 0]
        );
    }
}
