//! The files the checks look at.
//!
//! Input is the list git gives (tracked and new files, nothing ignored); output is their text, and for Rust the same
//! text with comments and literals blanked. Files that are not UTF-8 are left out: the rules are about text.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::{Violation, mask};
use crate::process;

/// All text files of a checkout.
#[derive(Debug, Default)]
pub(super) struct Tree {
    files: Vec<File>,
    /// Every path, also of files that are not text.
    paths: Vec<String>,
}

/// One text file.
#[derive(Debug)]
pub(super) struct File {
    /// Relative to the root, with `/` between the parts.
    pub(super) path: String,
    pub(super) text: String,
    /// Rust only: the text with every comment and every literal's content replaced by spaces, line for line.
    pub(super) code: String,
}

impl Tree {
    /// Reads what git would commit from the checkout at `root`.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let listed = process::capture(
            Command::new("git")
                .args([
                    "ls-files",
                    "-z",
                    "--cached",
                    "--others",
                    "--exclude-standard",
                ])
                .current_dir(root),
        )?;
        let mut tree = Self::default();
        for path in listed.split('\0').filter(|path| !path.is_empty()) {
            let Ok(bytes) = fs::read(root.join(path)) else {
                continue; // Deleted but not yet committed, or a link to nowhere.
            };
            tree.paths.push(path.to_owned());
            if let Ok(text) = String::from_utf8(bytes) {
                tree.files.push(File::new(path, text));
            }
        }
        Ok(tree)
    }

    /// A tree out of literals, for tests.
    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        Self {
            files: files
                .iter()
                .map(|(path, text)| File::new(path, (*text).to_owned()))
                .collect(),
            paths: files.iter().map(|(path, _)| (*path).to_owned()).collect(),
        }
    }

    pub(super) fn files(&self) -> &[File] {
        &self.files
    }

    /// The Rust sources among them.
    pub(super) fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.path.ends_with(".rs"))
    }

    pub(super) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Whether a file, or a directory with files in it, has this path.
    pub(super) fn holds(&self, path: &str) -> bool {
        self.paths.iter().any(|known| {
            known
                .strip_prefix(path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }
}

impl File {
    fn new(path: &str, text: String) -> Self {
        let code = if path.ends_with(".rs") {
            mask::mask(&text)
        } else {
            String::new()
        };
        Self {
            path: path.to_owned(),
            text,
            code,
        }
    }

    /// A violation at a byte offset of the text (or the code: they have the same lines and lengths).
    pub(super) fn at(&self, offset: usize, message: impl Into<String>) -> Violation {
        let line = 1 + self
            .text
            .bytes()
            .take(offset)
            .filter(|byte| *byte == b'\n')
            .count();
        Violation {
            path: self.path.clone(),
            line,
            message: message.into(),
        }
    }

    /// A violation of the file as a whole.
    pub(super) fn whole(&self, message: impl Into<String>) -> Violation {
        Violation {
            path: self.path.clone(),
            line: 0,
            message: message.into(),
        }
    }

    /// Where a word stands in the code, not as a part of a longer one.
    pub(super) fn words<'a>(&'a self, word: &'a str) -> impl Iterator<Item = usize> + 'a {
        words(&self.code, word)
    }
}

/// Where `word` stands in `text` with no letter, digit or `_` before or after it.
pub(super) fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let inside = |byte: Option<&u8>| byte.is_some_and(|byte| is_word_byte(*byte));
    text.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |at| {
            let bytes = text.as_bytes();
            !inside(at.checked_sub(1).and_then(|before| bytes.get(before)))
                && !inside(bytes.get(at + word.len()))
        })
}

pub(super) fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_not_found_inside_longer_ones() {
        let found: Vec<usize> = words("unsafe my_unsafe unsafety unsafe{", "unsafe").collect();
        assert_eq!(found, [0, 26]);
    }

    #[test]
    fn a_directory_counts_as_held_and_a_prefix_of_a_name_does_not() {
        let tree = Tree::of(&[("docs/manual.md", "")]);
        assert!(tree.holds("docs") && tree.holds("docs/manual.md"));
        assert!(!tree.holds("doc") && !tree.holds("docs/manual"));
    }

    #[test]
    fn a_checkout_is_read_through_git_without_ignored_files() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let root = directory.path();
        process::capture(Command::new("git").args(["init", "-q"]).current_dir(root)).expect("git");
        fs::write(root.join(".gitignore"), "/target/\n").expect("written");
        fs::write(root.join("new.rs"), "// hidden\nfn main() {}\n").expect("written");
        fs::write(root.join("image"), [0xff, 0xfe]).expect("written");
        fs::create_dir(root.join("target")).expect("created");
        fs::write(root.join("target/built"), "").expect("written");
        let tree = Tree::read(root).expect("readable");
        let names: Vec<&str> = tree.files().iter().map(|file| file.path.as_str()).collect();
        assert_eq!(names, [".gitignore", "new.rs"]);
        assert!(tree.holds("image") && !tree.holds("target"));
        assert!(!tree.file("new.rs").expect("listed").code.contains("hidden"));
    }
}
