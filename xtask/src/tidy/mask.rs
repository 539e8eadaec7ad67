//! Blanks comments and literals of Rust text, so that a search finds only code.
//!
//! Input is any text; output has the same length and the same lines, where comments and what stands between quotes are
//! spaces (the quotes stay). This is a scanner for well-formed Rust, not a parser: it knows nothing but where comments
//! and literals end, and text that does not compile may come out blanked to its end.

/// The text with comments and the content of literals replaced by spaces.
pub(super) fn mask(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut masked = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let token = token_at(bytes, at);
        for byte in &mut masked[token.blank.clone()] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = token.end;
    }
    // Literals end at quotes and comments at line ends or `*/`: no character is blanked in part.
    String::from_utf8(masked).unwrap_or_default()
}

/// One step of the scan: how far it goes, and what of it is blanked.
struct Token {
    end: usize,
    blank: std::ops::Range<usize>,
}

fn token_at(bytes: &[u8], at: usize) -> Token {
    let rest = &bytes[at..];
    if rest.starts_with(b"//") {
        let length = rest
            .iter()
            .position(|byte| *byte == b'\n')
            .unwrap_or(rest.len());
        return blanked(at, length);
    }
    if rest.starts_with(b"/*") {
        return blanked(at, block_comment(rest));
    }
    if rest[0] == b'"' {
        return literal(at, 1, quoted(&rest[1..], b'"'), 1);
    }
    if rest[0] == b'\'' {
        return character(at, rest);
    }
    if is_word(rest[0]) {
        let word = rest
            .iter()
            .position(|byte| !is_word(*byte))
            .unwrap_or(rest.len());
        return raw_string(at, rest, word).unwrap_or(Token {
            end: at + word,
            blank: at..at,
        });
    }
    Token {
        end: at + 1,
        blank: at..at,
    }
}

/// `r"…"`, `br#"…"#`, `cr##"…"##`: hashes instead of escapes.
fn raw_string(at: usize, rest: &[u8], word: usize) -> Option<Token> {
    if !matches!(&rest[..word], b"r" | b"br" | b"cr") {
        return None;
    }
    let hashes = rest[word..]
        .iter()
        .take_while(|byte| **byte == b'#')
        .count();
    let open = word + hashes + 1;
    if rest.get(open - 1) != Some(&b'"') {
        return None;
    }
    let close = [&b"\""[..], &b"#".repeat(hashes)].concat();
    let content = rest[open..]
        .windows(close.len())
        .position(|window| window == close)
        .unwrap_or(rest.len() - open);
    Some(literal(at, open, content, close.len()))
}

/// `'x'`, `'\''`, `'\u{1F600}'`; or a lifetime, which has no second quote.
fn character(at: usize, rest: &[u8]) -> Token {
    if rest.get(1) == Some(&b'\\') {
        return literal(at, 1, quoted(&rest[1..], b'\''), 1);
    }
    // One character of up to four bytes, then the quote.
    let width = (2..=5).find(|end| {
        rest.get(*end) == Some(&b'\'')
            && std::str::from_utf8(&rest[1..*end]).is_ok_and(one_character)
    });
    match width {
        Some(end) => literal(at, 1, end - 1, 1),
        None => Token {
            end: at + 1,
            blank: at..at,
        },
    }
}

fn one_character(text: &str) -> bool {
    text.chars().count() == 1
}

/// Bytes before the closing quote, backslashes skipping one.
fn quoted(content: &[u8], quote: u8) -> usize {
    let mut at = 0;
    while at < content.len() && content[at] != quote {
        at += if content[at] == b'\\' { 2 } else { 1 };
    }
    at.min(content.len())
}

/// Length of a block comment; they nest.
fn block_comment(rest: &[u8]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn blanked(at: usize, length: usize) -> Token {
    Token {
        end: at + length,
        blank: at..at + length,
    }
}

/// A literal at `at`: `open` bytes before its content, `close` behind it (fewer at the end of the text).
fn literal(at: usize, open: usize, content: usize, close: usize) -> Token {
    let start = at + open;
    Token {
        end: start + content + close,
        blank: start..start + content,
    }
}

fn is_word(byte: u8) -> bool {
    super::tree::is_word_byte(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked_and_nothing_else() {
        let cases = [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            (r#"f("x\"y", z)"#, r#"f("    ", z)"#),
            (r##"r#"a "b" c"# d"##, r##"r#"       "# d"##),
            (r#"b"x" br"y\" z"#, r#"b" " br"  " z"#),
            ("'a' '\\'' '\u{e9}' &'a str", "' ' '  ' '  ' &'a str"),
            ("for<'a, 'b> x", "for<'a, 'b> x"),
            ("'\"' \"'\"", "' ' \" \""),
            ("expr\"x\"", "expr\" \""),
        ];
        for (text, expected) in cases {
            assert_eq!(mask(text), expected, "masking {text:?}");
        }
    }

    #[test]
    fn the_result_has_the_same_length_and_lines_even_if_the_text_ends_early() {
        for text in [
            "\"open",
            "/* open",
            "r#\"open",
            "'",
            "'\\",
            "\"\\",
            "\"a\nb\"\n",
            "// é\n",
        ] {
            let masked = mask(text);
            assert_eq!(masked.len(), text.len(), "masking {text:?}");
            assert_eq!(masked.matches('\n').count(), text.matches('\n').count());
        }
    }
}
