//! The commands: one item each, with its words, its usage, who may issue it, and what it does.
//!
//! Looking a command up, `help`, and the answer to an unknown command all derive from the same items.

use std::fmt::Write as _;

use super::commands;
use super::{Answer, Call};
use crate::model::Level;

/// One command.
pub(super) struct Command {
    /// The words it begins with.
    pub(super) words: &'static [&'static str],
    /// The whole usage, as `help` shows it.
    pub(super) usage: &'static str,
    /// What it does, in a few words.
    pub(super) doc: &'static str,
    /// Who may issue it.
    pub(super) level: Level,
    /// Does it; the words behind its own are the call's arguments.
    pub(super) run: fn(&mut Call<'_>) -> Answer,
}

/// Every command, in the order of `help`.
fn all() -> impl Iterator<Item = &'static Command> {
    commands::ALL.iter().flat_map(|group| group.iter())
}

/// What there is to know of each command: its usage, what it does, who may issue it.
pub fn listed() -> impl Iterator<Item = (String, &'static str, &'static str, Level)> {
    all().map(|command| {
        (
            command.words.join(" "),
            command.usage,
            command.doc,
            command.level,
        )
    })
}

/// The command a line begins with: the one of most words.
pub(super) fn find(words: &[String]) -> Option<&'static Command> {
    all()
        .filter(|command| begins_with(words, command.words))
        .max_by_key(|command| command.words.len())
}

fn begins_with(words: &[String], start: &[&str]) -> bool {
    words.len() >= start.len() && start.iter().zip(words).all(|(wanted, word)| wanted == word)
}

/// `help`, with the commands that match the words behind it.
pub(super) fn help(words: &[String], level: Level) -> String {
    let mut text = String::from("The following commands are valid at this level:\n");
    match close_to(words, level) {
        close if words.is_empty() || close.is_empty() => list(&mut text, &sorted(level)),
        close => list(&mut text, &close),
    }
    text
}

/// The answer to a line that is no command.
pub(super) fn unknown(words: &[String], level: Level) -> String {
    let close = close_to(words, level);
    if close.is_empty() {
        let mut text =
            String::from("Unknown command. Please enter one of the following commands only:\n");
        list(&mut text, &sorted(level));
        return text;
    }
    let mut text =
        String::from("Unknown command, but maybe one of the following ones is a better match:\n");
    list(&mut text, &close);
    text
}

fn list(text: &mut String, commands: &[&'static Command]) {
    let common = ["help", "prompt", "quit"];
    let is_common = |command: &&'static Command| common.contains(&command.words[0]);
    let rest = commands
        .iter()
        .copied()
        .filter(|command| !is_common(command));
    for command in rest.chain(all().filter(is_common)) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {:<40}: {}", command.usage, command.doc);
    }
}

fn sorted(level: Level) -> Vec<&'static Command> {
    let mut allowed: Vec<_> = all().filter(|command| command.level <= level).collect();
    allowed.sort_by_key(|command| command.usage);
    allowed
}

/// The commands that share the longest beginning with the words, or whose first words are a slip of the finger away.
fn close_to(words: &[String], level: Level) -> Vec<&'static Command> {
    let allowed = sorted(level);
    for length in (1..=words.len().min(LONGEST_COMMAND)).rev() {
        let start: Vec<&str> = words[..length].iter().map(String::as_str).collect();
        let same = |command: &&Command| {
            command.words.len() >= length && command.words[..length] == start[..]
        };
        let close: Vec<_> = allowed.iter().copied().filter(same).collect();
        if !close.is_empty() {
            return close;
        }
    }
    let Some(first) = words.first() else {
        return Vec::new();
    };
    let near = |command: &&Command| is_slip(first, command.words[0]);
    let close: Vec<_> = allowed.into_iter().filter(near).collect();
    if close.len() > MOST_GUESSES {
        Vec::new()
    } else {
        close
    }
}

/// Whether a word is the other with one character more, less or different, or two swapped.
fn is_slip(word: &str, wanted: &str) -> bool {
    let (word, wanted) = (word.as_bytes(), wanted.as_bytes());
    let same_start = word.iter().zip(wanted).take_while(|(a, b)| a == b).count();
    let same_end = word
        .iter()
        .rev()
        .zip(wanted.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let shorter = word.len().min(wanted.len());
    let longer = word.len().max(wanted.len());
    longer > 2 && longer - shorter <= 1 && (same_start + same_end).min(shorter) + 2 >= longer
}

const LONGEST_COMMAND: usize = 4;
const MOST_GUESSES: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn every_command_is_found_by_its_words_and_fits_its_usage() {
        for command in all() {
            let line = command.words.join(" ");
            let found = find(&words(&line)).expect("itself");
            assert_eq!(
                found.usage, command.usage,
                "two commands are called '{line}'"
            );
            assert!(command.usage.starts_with(&line), "{}", command.usage);
            assert!(!command.doc.is_empty() && !command.doc.ends_with('.'));
        }
    }

    #[test]
    fn the_longest_command_wins() {
        let found = find(&words("show servers state web")).expect("known");
        assert_eq!(found.words, ["show", "servers", "state"]);
        assert!(find(&words("show nonsense")).is_none());
        assert!(find(&[]).is_none());
    }

    #[test]
    fn unknown_commands_are_answered_with_close_ones() {
        let text = unknown(&words("show servers zzz"), Level::Admin);
        assert!(text.starts_with("Unknown command, but maybe one of the following"));
        assert!(text.contains("\n  show servers state"));
        assert!(!text.contains("show info"));
        assert!(text.contains("  help [<command>]"));
        let text = unknown(&words("shwo info"), Level::Admin);
        assert!(text.contains("\n  show info"), "{text}");
        let text = unknown(&words("frobnicate"), Level::User);
        assert!(text.starts_with("Unknown command. Please enter one of the following"));
        assert!(!text.contains("set server"), "not at this level");
    }
}
