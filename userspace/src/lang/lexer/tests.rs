//! What each spelling means, checked against HAProxy's own answers.

use proptest::prelude::*;

use super::*;
use crate::lang::source::Sources;
use crate::lang::testing::Table;

fn lex(line: &[u8]) -> Result<Vec<Word>, LexError> {
    let environment = Table::with(&[
        ("HOME", "/root"),
        ("LIST", "one two  three"),
        ("BLANKS", " a  b "),
        ("EMPTY", ""),
        ("_A", "under"),
    ]);
    let mut sources = Sources::default();
    let source = sources.add("n.cfg", line);
    let position = Position {
        source,
        file: "n.cfg",
        line: 2,
        section: "global",
    };
    words(line, position, &Variables::new(&environment, &[]))
}

fn texts(line: &str) -> Vec<String> {
    lex(line.as_bytes())
        .expect(line)
        .into_iter()
        .map(|word| word.text)
        .collect()
}

#[test]
fn blanks_and_comments_delimit_words() {
    let cases: &[(&str, &[&str])] = &[
        ("", &[]),
        (" \t ", &[]),
        ("# all comment", &[]),
        ("a b\tc\x0bd", &["a", "b", "c", "d"]),
        ("a#b", &["a"]),
        ("  global#this is the global section", &["global"]),
        ("a\r", &["a"]),
        ("\"a#b\" 'c#d' e\\#f", &["a#b", "c#d", "e#f"]),
    ];
    for (line, expected) in cases {
        assert_eq!(texts(line), *expected, "{line:?}");
    }
}

#[test]
fn escapes_and_quotes_mean_what_haproxy_says() {
    let cases: &[(&str, &[&str])] = &[
        (r"a\ b", &["a b"]),
        (r"a\#b", &["a#b"]),
        (r"a\\b", &[r"a\b"]),
        (r"a\'b", &["a'b"]),
        (r#"a\"b"#, &["a\"b"]),
        (r"a\nb\rc\td", &["a\nb\rc\td"]),
        (r"a\x41b", &["aAb"]),
        (r"a\qb", &[r"a\qb"]),
        (r"a\$b", &[r"a\$b"]),
        ("a\\\tb", &["a\\", "b"]),
        ("a\\", &["a\\"]),
        (r"a\ ", &["a "]),
        (r"a\,b\*c\}d", &[r"a\,b\*c\}d"]),
        (r#""a\$b""#, &["a$b"]),
        (r#""a\qb""#, &[r"a\qb"]),
        (r#""a\ b""#, &["a b"]),
        (r#""a\x41""#, &["aA"]),
        (r#""\"" "\'""#, &["\"", "'"]),
        (r"'a\qb' 'a\x41' 'a$HOME'", &[r"a\qb", r"a\x41", "a$HOME"]),
        ("a\"b c\"d a'b c'd", &["ab cd", "ab cd"]),
        ("\"\" b a\"\"b", &["", "b", "ab"]),
        (
            r"stats realm Strictly\ Private",
            &["stats", "realm", "Strictly Private"],
        ),
    ];
    for (line, expected) in cases {
        assert_eq!(texts(line), *expected, "{line:?}");
    }
}

#[test]
fn variables_are_replaced_inside_double_quotes_only() {
    let cases: &[(&str, &[&str])] = &[
        ("a$HOME ${HOME}", &["a$HOME", "${HOME}"]),
        (
            "\"$HOME\" \"${HOME}\" \"$HOME-x\"",
            &["/root", "/root", "/root-x"],
        ),
        ("\"${NOPE}\" \"$NOPE\"", &["", ""]),
        (
            "\"${NOPE-dflt}\" \"${NOPE-d f}\" \"${NOPE-}\"",
            &["dflt", "d f", ""],
        ),
        ("\"${EMPTY-d}\" \"${HOME-}\"", &["", "/root"]),
        ("\"${NOPE-a\"b\"}\"", &["a\"b\""]),
        ("\"${NOPE-a}b}\"", &["ab}"]),
        (r#""${NOPE-a\}b}""#, &[r"a\b}"]),
        ("\"${NOPE-$HOME}\"", &["$HOME"]),
        ("\"$HOME$LIST\"", &["/rootone two  three"]),
        ("\"$LIST[*]\"", &["one two  three[*]"]),
        ("\"${LIST[*]}\"", &["one", "two", "three"]),
        ("\"x${LIST[*]}y\"", &["xone", "two", "threey"]),
        ("\"${BLANKS[*]}\"", &["", "a", "b", ""]),
        (
            "\"${NOPE[*]-a b}\" \"${NOPE-a b[*]}\"",
            &["a", "b", "a b[*]"],
        ),
        ("\"$_A\" \"\\x24HOME\"", &["under", "$HOME"]),
        (
            "\"${.LINE}.${.FILE}.${.SECTION}\" \"$.LINE\"",
            &["2.n.cfg.global", "2"],
        ),
    ];
    for (line, expected) in cases {
        assert_eq!(texts(line), *expected, "{line:?}");
    }
}

#[test]
fn a_broken_line_says_what_and_where() {
    use LexErrorKind::*;
    let cases: &[(&[u8], LexErrorKind, u32)] = &[
        (b" log \"abc", UnmatchedQuote, 5),
        (b"a 'b", UnmatchedQuote, 2),
        (b" log-tag \"\\xZZ\"", BadHexadecimal, 10),
        (b"a\\x4", BadHexadecimal, 1),
        (b"a\\x", BadHexadecimal, 1),
        (b"a\\x00", Nul, 1),
        (b"a\0b", Nul, 1),
        (b"a\rb", CarriageReturn, 1),
        (b" log-tag \"${FOO\"", UnmatchedBrace, 11),
        (b"\"${A B}\"", UnmatchedBrace, 2),
        (b"\"${NOPE-x", UnmatchedBrace, 2),
        (b"\"$ \"", BadVariableName, 2),
        (b"\"a$\"", BadVariableName, 3),
        (b"\"${}\"", BadVariableName, 3),
        (b"\"${1A}\"", BadVariableName, 3),
        (b"\"${HOME[0]}\"", BadExpansion, 7),
        (b"\"${HOME[", BadExpansion, 7),
    ];
    for (line, kind, column) in cases {
        let error = lex(line).expect_err("a broken line");
        assert_eq!(
            (error.kind, error.column),
            (*kind, *column),
            "{}",
            line.escape_ascii()
        );
    }
}

#[test]
fn a_place_inside_a_word_is_found_behind_quotes_and_escapes() {
    let words = lex(br#"set "a\x41 b" plain x$y"#).expect("a good line");
    let column = |word: usize, offset: usize| words[word].at(offset).start;
    assert_eq!(column(0, 2), 2);
    assert_eq!(column(1, 0), 5);
    assert_eq!(column(1, 1), 6, "the escape begins here");
    assert_eq!(column(1, 3), 11);
    assert_eq!(column(2, 0), 14);
    assert_eq!(column(2, 99), 19, "beyond the word is its end");
}

#[test]
fn doubling_a_variable_cannot_exhaust_memory() {
    let environment = Table::default();
    let mut variables = Variables::new(&environment, &[]);
    variables.set("A", &"x".repeat(LONGEST_LINE / 2));
    let mut sources = Sources::default();
    let source = sources.add("n.cfg", "");
    let position = Position {
        source,
        file: "n.cfg",
        line: 1,
        section: "",
    };
    let error = words(br#""$A$A$A""#, position, &variables).expect_err("too long");
    assert_eq!(error.kind, LexErrorKind::TooLong);
}

#[test]
fn a_word_begins_at_its_backslash() {
    for line in [r"\", r"\ ", r"\q", r"\x41", r"\ b"] {
        let words = lex(line.as_bytes()).expect("a good line");
        assert_eq!(words[0].span.start, 0, "{line}");
        assert!(words[0].span.end as usize <= line.len(), "{line}");
    }
}

proptest! {
    #[test]
    fn any_bytes_give_words_or_an_error_inside_the_line(line in prop::collection::vec(any::<u8>(), 0..200)) {
        match lex(&line) {
            Ok(words) => for word in words {
                prop_assert!(word.span.start < word.span.end);
                prop_assert!(word.span.end as usize <= line.len().max(1));
                for offset in 0..=word.text.len() + 1 {
                    prop_assert!(word.at(offset).start as usize <= line.len());
                }
            },
            Err(error) => prop_assert!((error.column as usize) <= line.len()),
        }
    }

    #[test]
    fn spiced_lines_never_panic(line in "[ab\"'\\\\$ {}\\[\\]*x0-9.#\t-]{0,60}") {
        let _ = lex(line.as_bytes());
    }

    #[test]
    fn a_strongly_quoted_word_is_read_back_as_it_was(word in "[^'\0\r\n]{0,40}") {
        let words = lex(format!("'{word}'").as_bytes()).expect("a good line");
        prop_assert_eq!(words.len(), 1);
        prop_assert_eq!(&words[0].text, &word);
    }
}

#[test]
fn bytes_that_are_no_utf8_survive() {
    let words = lex(b"a \"-\\xE0-\xc3\xa4\xff\" b").unwrap();
    assert_eq!(
        crate::expr::raw::bytes(&words[1].text).as_ref(),
        b"-\xE0-\xc3\xa4\xff"
    );
    // The place of what stands behind such a byte is still found.
    let behind = words[1].text.find('\u{e4}').unwrap();
    assert_eq!(words[1].at(behind).start, 9);
}
