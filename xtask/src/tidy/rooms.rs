//! A room of `userspace/src` uses the rooms before it, never those after it.
//!
//! Input is the list of rooms in ARCHITECTURE.md and every path in the code that starts at the crate's root, whether it
//! is written `crate::…` or with enough `super::`. Paths in comments do not count: a doc may point anywhere.

use super::Violation;
use super::fences::{self, DOCUMENT};
use super::tree::{File, Tree, is_word_byte};

/// Paths that point to a later room, rooms that are not listed, and listed rooms that do not exist.
pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let rooms = match fences::list(tree, "rooms") {
        Ok(rooms) => rooms,
        Err(violation) => return vec![violation],
    };
    let place = |name: &str| rooms.iter().position(|room| *room == name);
    let mut violations = Vec::new();
    for room in &rooms {
        if !tree.holds(&format!("{SOURCES}{room}")) && !tree.holds(&format!("{SOURCES}{room}.rs")) {
            violations.push(Violation {
                path: DOCUMENT.to_owned(),
                line: 0,
                message: format!("the room {room} is listed but does not exist"),
            });
        }
    }
    for file in tree.rust() {
        let Some(module) = module(&file.path) else {
            continue;
        };
        // The crate's root sees everything.
        let Some(room) = module.first() else { continue };
        let Some(own) = place(room) else {
            violations.push(file.whole(format!("the room {room} is not listed in {DOCUMENT}")));
            continue;
        };
        for (offset, used) in uses(file, module.len()) {
            if place(&used).is_some_and(|other| other > own) {
                violations
                    .push(file.at(offset, format!("{room} may not use {used}, a later room")));
            }
        }
    }
    violations
}

/// The module path of a source of the daemon: `proto/http/mod.rs` is `[proto, http]`, `lib.rs` is the root.
fn module(path: &str) -> Option<Vec<&str>> {
    let path = path.strip_prefix(SOURCES)?.strip_suffix(".rs")?;
    let mut module: Vec<&str> = path.split('/').collect();
    if matches!(module.as_slice(), ["lib" | "main"]) || module.last() == Some(&"mod") {
        module.pop();
    }
    Some(module)
}

/// Names right below the crate's root that the code mentions, with their offsets. `depth` is the file's own.
fn uses(file: &File, depth: usize) -> Vec<(usize, String)> {
    let code = &file.code;
    let mut found = Vec::new();
    for offset in file.words("crate") {
        // `$crate` and `pub(crate)` have no `::` behind, `some::crate::x` does not exist.
        collect(code, offset + "crate".len(), &mut found);
    }
    let mut inline = InlineModules::new(code);
    let mut at = 0;
    while let Some(offset) = code[at..].find("super").map(|found| at + found) {
        let (supers, end) = super_chain(code, offset);
        at = end.max(offset + 1);
        if supers > 0 && supers == depth + inline.depth_at(offset) {
            collect(code, end, &mut found);
        }
    }
    found
}

/// Counts `super::super::…` from `offset`; the end is behind the last `super`.
fn super_chain(code: &str, offset: usize) -> (usize, usize) {
    let starts_inside = offset.checked_sub(1).is_some_and(|before| {
        let byte = code.as_bytes()[before];
        is_word_byte(byte) || byte == b':'
    });
    if starts_inside {
        return (0, offset);
    }
    let mut count = 0;
    let mut end = offset;
    let mut rest = &code[offset..];
    while rest.starts_with("super") && !rest[5..].starts_with(|next: char| next.is_alphanumeric()) {
        count += 1;
        end = code.len() - rest.len() + 5;
        match code[end..].strip_prefix("::") {
            Some(next) => rest = next,
            None => break,
        }
    }
    (count, end)
}

/// Reads `::name` or `::{name, name::…}` from `at` and adds the names.
fn collect(code: &str, at: usize, found: &mut Vec<(usize, String)>) {
    let Some(rest) = code[at..].trim_start().strip_prefix("::") else {
        return;
    };
    let rest = rest.trim_start();
    if let Some(group) = rest.strip_prefix('{') {
        let mut depth = 0;
        let mut expected = true;
        for (index, character) in group.char_indices() {
            match character {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => expected = true,
                _ if expected && !character.is_whitespace() => {
                    expected = false;
                    found.push((code.len() - group.len() + index, word(&group[index..])));
                }
                _ => (),
            }
        }
    } else {
        found.push((code.len() - rest.len(), word(rest)));
    }
}

fn word(text: &str) -> String {
    text.chars()
        .take_while(|next| next.is_alphanumeric() || *next == '_')
        .collect()
}

/// How deep in `mod name { … }` blocks an offset lies; asked with rising offsets.
struct InlineModules<'a> {
    code: &'a str,
    at: usize,
    /// For each open brace whether it opened a module.
    open: Vec<bool>,
    /// The two words before: `mod tests`.
    words: [&'a str; 2],
}

impl<'a> InlineModules<'a> {
    fn new(code: &'a str) -> Self {
        Self {
            code,
            at: 0,
            open: Vec::new(),
            words: [""; 2],
        }
    }

    fn depth_at(&mut self, offset: usize) -> usize {
        while self.at < offset {
            let rest = &self.code[self.at..];
            let length = rest.bytes().take_while(|byte| is_word_byte(*byte)).count();
            if length > 0 {
                self.words = [self.words[1], &rest[..length]];
                self.at += length;
                continue;
            }
            let byte = rest.as_bytes()[0];
            match byte {
                b'{' => self.open.push(self.words[0] == "mod"),
                b'}' => drop(self.open.pop()),
                _ => (),
            }
            if !byte.is_ascii_whitespace() {
                self.words = [""; 2];
            }
            self.at += rest.chars().next().map_or(1, char::len_utf8);
        }
        self.open.iter().filter(|is_module| **is_module).count()
    }
}

const SOURCES: &str = "userspace/src/";

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: (&str, &str) = (DOCUMENT, "```rooms\ntypes\nmodel\nlang\n```\n");

    fn messages(path: &str, text: &str) -> Vec<String> {
        let tree = Tree::of(&[
            MAP,
            ("userspace/src/types.rs", ""),
            ("userspace/src/model/mod.rs", ""),
            ("userspace/src/lang/mod.rs", ""),
            (path, text),
        ]);
        check(&tree).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_room_may_use_itself_and_earlier_rooms_and_mention_later_ones_in_comments() {
        let text = "//! See [`crate::lang`].\nuse crate::types::Weight;\nuse crate::{model, types};\n\
            pub(crate) struct Text(&'static str); // crate::lang\nconst S: &str = \"crate::lang\";\n\
            use super::bind;\nmod tests { use super::super::super::types; use super::super::lang; }\n";
        assert_eq!(messages("userspace/src/model/proxy.rs", text), [""; 0]);
    }

    #[test]
    fn a_path_into_a_later_room_is_a_violation_however_it_is_written() {
        let broken = [
            "use crate::lang::parse;\n",
            "fn f() { crate::lang::parse() }\n",
            "use crate::{types, lang};\n",
            "use crate::{\n    types::{Weight, Other},\n    lang::{self, parse},\n};\n",
            "use super::super::lang;\n",
            "mod inner { use super::super::super::lang; }\n",
            "mod inner { fn f() {} } use super::super::lang;\n",
        ];
        for text in broken {
            let found = messages("userspace/src/model/proxy.rs", text);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert!(
                found[0].ends_with("model may not use lang, a later room"),
                "{found:?}"
            );
        }
        let found = messages(
            "userspace/src/model/bind.rs",
            "\n\nuse crate::{types,\n lang};\n",
        );
        assert_eq!(
            found,
            ["userspace/src/model/bind.rs:4: model may not use lang, a later room"]
        );
    }

    #[test]
    fn the_crate_s_root_sees_every_room() {
        assert_eq!(
            messages("userspace/src/main.rs", "use crate::lang;\n"),
            [""; 0]
        );
    }

    #[test]
    fn unlisted_rooms_and_listed_ones_without_code_are_violations() {
        assert_eq!(
            messages("userspace/src/cellar/mod.rs", ""),
            ["userspace/src/cellar/mod.rs: the room cellar is not listed in ARCHITECTURE.md"]
        );
        let found = check(&Tree::of(&[MAP]));
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!(
            check(&Tree::default()).len(),
            1,
            "without a map nothing can be checked"
        );
    }
}
