//! The words of the language as the daemon itself lists them (`tidegate keywords`).
//!
//! Input is that list's text; output is one [`Word`] per line. What the words mean is the daemon's business.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::process;
use crate::workspace::Workspace;

/// One word of the language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) places: Vec<String>,
    pub(crate) state: State,
    pub(crate) args: String,
    pub(crate) doc: String,
    pub(crate) reason: String,
}

/// What becomes of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Works,
    NoEffect,
    Refused,
}

/// Builds the daemon without the kernel object's toolchain and gives the path of the program.
pub(crate) fn daemon(workspace: &Workspace) -> Result<std::path::PathBuf> {
    process::run(workspace.cargo().args([
        "build",
        "--quiet",
        "--package",
        "tidegate",
        "--bin",
        "tidegate",
    ]))?;
    Ok(workspace.target().join("debug/tidegate"))
}

/// The words a program knows.
pub(crate) fn words(program: &std::path::Path) -> Result<Vec<Word>> {
    let text = process::capture(Command::new(program).arg("keywords"))?;
    let words = parse(&text)?;
    ensure!(!words.is_empty(), "{} listed nothing", program.display());
    Ok(words)
}

fn parse(text: &str) -> Result<Vec<Word>> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| word(line).with_context(|| format!("not a line of the list: {line}")))
        .collect()
}

fn word(line: &str) -> Option<Word> {
    let mut fields = line.split('\t').map(str::to_owned);
    Some(Word {
        kind: fields.next()?,
        name: fields.next()?,
        places: fields
            .next()?
            .split_whitespace()
            .map(str::to_owned)
            .collect(),
        state: match fields.next()?.as_str() {
            "works" => State::Works,
            "no-effect" => State::NoEffect,
            "refused" => State::Refused,
            _ => return None,
        },
        args: fields.next()?,
        doc: fields.next()?,
        reason: fields.next()?,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A word for tests.
    pub(crate) fn word_of(kind: &str, name: &str, places: &str, state: State) -> Word {
        Word {
            kind: kind.to_owned(),
            name: name.to_owned(),
            places: places.split_whitespace().map(str::to_owned).collect(),
            state,
            args: String::new(),
            doc: "What it does.".to_owned(),
            reason: String::new(),
        }
    }

    #[test]
    fn the_list_is_read_and_a_broken_line_is_told_of() {
        let words =
            parse("# kind\nglobal\tnbthread\t\tworks\t<number>\tSets it.\t\n").expect("a list");
        assert_eq!(words[0].name, "nbthread");
        assert_eq!(
            (words[0].state, words[0].args.as_str()),
            (State::Works, "<number>")
        );
        assert!(parse("global\tnbthread\t\tperhaps\t\t\t\n").is_err());
    }
}
