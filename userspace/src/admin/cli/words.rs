//! A command line cut into commands and words (management.txt §9.3).
//!
//! `;` separates commands, spaces and tabs separate words, and a backslash takes the special meaning from the character
//! behind it. There are no quotes. Nothing is looked up here.

/// The commands of one line, each as its words; empty ones are left out.
pub(super) fn commands(line: &str) -> Vec<Vec<String>> {
    let mut commands = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => word.get_or_insert_default().extend(characters.next()),
            ';' => {
                words.extend(word.take());
                if !words.is_empty() {
                    commands.push(std::mem::take(&mut words));
                }
            }
            ' ' | '\t' | '\r' => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    if !words.is_empty() {
        commands.push(words);
    }
    commands
}

/// The end mark of the payload a line announces with a final `<<MARK`, and the line without it. An empty mark is an empty
/// line. Marks longer than 64 characters announce nothing.
pub(crate) fn payload_mark(line: &str) -> Option<(&str, &str)> {
    let (command, mark) = line.trim_end().rsplit_once("<<")?;
    let announces = mark.len() <= LONGEST_MARK && !mark.contains([' ', '\t', ';']);
    announces.then_some((command, mark))
}

const LONGEST_MARK: usize = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_are_cut_at_semicolons_and_spaces() {
        let cases: [(&str, &[&[&str]]); 6] = [
            (
                "show info;show stat",
                &[&["show", "info"], &["show", "stat"]],
            ),
            (
                " show  version ; ; quit\r",
                &[&["show", "version"], &["quit"]],
            ),
            (
                "set table t key a\\;b",
                &[&["set", "table", "t", "key", "a;b"]],
            ),
            ("show\\ version", &[&["show version"]]),
            ("a\\\\b\\", &[&["a\\b"]]),
            ("", &[]),
        ];
        for (line, expected) in cases {
            assert_eq!(commands(line), expected, "{line}");
        }
    }

    #[test]
    fn a_payload_is_announced_at_the_end_of_the_line() {
        assert_eq!(payload_mark("add map m <<"), Some(("add map m ", "")));
        assert_eq!(
            payload_mark("add map m <<%EOF%\r"),
            Some(("add map m ", "%EOF%"))
        );
        assert_eq!(payload_mark("add acl a <<b c"), None);
        assert_eq!(payload_mark("show info"), None);
        assert_eq!(payload_mark(&format!("x <<{}", "y".repeat(65))), None);
    }

    proptest! {
        #[test]
        fn no_word_is_made_of_nothing_but_by_a_backslash(line in "[a-z;\\\\ ]{0,40}") {
            for command in commands(&line) {
                prop_assert!(!command.is_empty());
                prop_assert!(command.iter().all(|word| !word.is_empty() || line.contains('\\')));
            }
        }
    }
}
