//! `cargo xtask tidy`: the rules of this project that the compiler does not know.
//!
//! Input is every file git would commit; output is a list of `file:line: what is wrong`. Each check is a function from
//! a [`Tree`] to violations, so that its tests can hand it a tree in which the rule is broken. Nothing is mended here.

mod attributes;
mod docs;
mod fences;
mod imports;
mod islands;
mod leftovers;
mod length;
mod links;
mod mask;
mod readers;
mod rooms;
mod tree;

use anyhow::Result;

use self::tree::Tree;
use crate::Verdict;
use crate::workspace::Workspace;

/// Runs all checks over the checkout; a failure if any rule is broken.
pub(crate) fn run(workspace: &Workspace) -> Result<Verdict> {
    let tree = Tree::read(workspace.root())?;
    let mut violations: Vec<Violation> = CHECKS.iter().flat_map(|check| check(&tree)).collect();
    violations.sort();
    for violation in &violations {
        println!("{violation}");
    }
    if violations.is_empty() {
        println!(
            "tidy: {} checks of {} files, all kept",
            CHECKS.len(),
            tree.files().len()
        );
        return Ok(Verdict::Passed);
    }
    println!("tidy: {} violations", violations.len());
    Ok(Verdict::Failed)
}

/// One broken rule at one place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Violation {
    path: String,
    /// Counted from 1; 0 when it is about the file as a whole.
    line: usize,
    message: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => write!(out, "{}: {}", self.path, self.message),
            line => write!(out, "{}:{line}: {}", self.path, self.message),
        }
    }
}

type Check = fn(&Tree) -> Vec<Violation>;

const CHECKS: [Check; 9] = [
    rooms::check,
    imports::check,
    islands::check,
    attributes::check,
    docs::check,
    length::check,
    links::check,
    leftovers::check,
    readers::check,
];
