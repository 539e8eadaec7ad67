//! Cuts one line into words (manual §2.1 to §2.3).
//!
//! A line's bytes and the variables come in; words with their places come out, or the first thing that is wrong with
//! the line. Quotes, escapes and variables are resolved here and nowhere else; what the words mean is not known here.
//!
//! Where the manual and HAProxy's behaviour differ (`\$` and an escaped tab outside quotes are not escapes), behaviour
//! wins: existing configurations were written against it.

#[cfg(test)]
mod tests;

use super::ast::Word;
use super::environment::Variables;
use super::source::{SourceId, Span};

/// Where a line is: what the pseudo-variables `.FILE`, `.LINE` and `.SECTION` say.
#[derive(Clone, Copy)]
pub struct Position<'a> {
    /// The file.
    pub source: SourceId,
    /// Its name.
    pub file: &'a str,
    /// The line, from 1.
    pub line: u32,
    /// The name of the current section, or its keyword when it has none.
    pub section: &'a str,
}

/// Why a line cannot be cut into words, and the column at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LexError {
    /// Column from 0.
    pub column: u32,
    /// What is wrong.
    pub kind: LexErrorKind,
}

/// The ways in which a line cannot be cut into words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message says it")]
pub enum LexErrorKind {
    #[error("unmatched quote")]
    UnmatchedQuote,
    #[error("truncated or invalid hexadecimal sequence")]
    BadHexadecimal,
    #[error("forbidden first char in environment variable name")]
    BadVariableName,
    #[error("unmatched brace in environment variable name")]
    UnmatchedBrace,
    #[error("truncated or invalid word expansion sequence")]
    BadExpansion,
    #[error("Stray NUL character")]
    Nul,
    #[error("stray carriage return")]
    CarriageReturn,
    #[error("line too long once its variables are replaced")]
    TooLong,
}

impl LexErrorKind {
    /// What to do about it, where that is not obvious.
    pub fn hint(self) -> Option<&'static str> {
        match self {
            Self::UnmatchedQuote => Some("close the quote, or write it as `\\'` or `\\\"`"),
            Self::BadHexadecimal => Some("write exactly two hexadecimal digits after `\\x`"),
            Self::BadVariableName => Some("inside double quotes write `\\$` for a dollar sign"),
            Self::UnmatchedBrace => Some("write `${NAME}` or `${NAME-default}`"),
            Self::BadExpansion => Some("write `${NAME[*]}`"),
            Self::CarriageReturn => Some("end lines with LF or CR LF"),
            _ => None,
        }
    }
}

/// Cuts a line into words; a line without words gives none.
pub fn words(
    line: &[u8],
    position: Position<'_>,
    variables: &Variables<'_>,
) -> Result<Vec<Word>, LexError> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut lexer = Lexer {
        line,
        at: 0,
        position,
        variables,
        words: Vec::new(),
        word: None,
        total: 0,
    };
    lexer.run()?;
    Ok(lexer.words)
}

struct Lexer<'a> {
    line: &'a [u8],
    at: usize,
    position: Position<'a>,
    variables: &'a Variables<'a>,
    words: Vec<Word>,
    word: Option<Building>,
    /// Bytes produced so far, to bound what variables can grow a line to.
    total: usize,
}

/// A word being put together.
struct Building {
    start: usize,
    text: Vec<u8>,
    columns: Vec<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quote {
    None,
    Weak,
    Strong,
}

impl Lexer<'_> {
    fn run(&mut self) -> Result<(), LexError> {
        let mut quote = Quote::None;
        let mut opened = 0;
        while let Some(&byte) = self.line.get(self.at) {
            match (byte, quote) {
                (0, _) => return self.fail(self.at, LexErrorKind::Nul),
                (b'\r', _) => return self.fail(self.at, LexErrorKind::CarriageReturn),
                (b'"', Quote::None) | (b'\'', Quote::None) => {
                    quote = if byte == b'"' {
                        Quote::Weak
                    } else {
                        Quote::Strong
                    };
                    opened = self.at;
                    self.open_word(self.at);
                    self.at += 1;
                }
                (b'"', Quote::Weak) | (b'\'', Quote::Strong) => {
                    quote = Quote::None;
                    self.at += 1;
                }
                (b'#', Quote::None) => break,
                (_, Quote::None) if is_space(byte) => {
                    self.end_word()?;
                    self.at += 1;
                }
                (b'\\', Quote::None | Quote::Weak) => self.escape(quote)?,
                (b'$', Quote::Weak) => self.variable()?,
                _ => {
                    self.push(byte, self.at)?;
                    self.at += 1;
                }
            }
        }
        if quote != Quote::None {
            return self.fail(opened, LexErrorKind::UnmatchedQuote);
        }
        self.end_word()
    }

    /// A backslash outside strong quotes; one that escapes nothing stays as it is.
    fn escape(&mut self, quote: Quote) -> Result<(), LexError> {
        let start = self.at;
        let next = self.line.get(start + 1).copied();
        let byte = match next {
            Some(byte @ (b' ' | b'\\' | b'#' | b'"' | b'\'')) => byte,
            Some(b'$') if quote == Quote::Weak => b'$',
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'x') => {
                let digits = self.line.get(start + 2..start + 4).and_then(hexadecimal);
                match digits {
                    None => return self.fail(start, LexErrorKind::BadHexadecimal),
                    Some(0) => return self.fail(start, LexErrorKind::Nul),
                    Some(byte) => {
                        self.at += 4;
                        return self.push(byte, start);
                    }
                }
            }
            _ => {
                self.at += 1;
                return self.push(b'\\', start);
            }
        };
        self.at += 2;
        self.push(byte, start)
    }

    /// `$NAME`, `${NAME}`, `${NAME-default}` and `${NAME[*]}` inside weak quotes.
    fn variable(&mut self) -> Result<(), LexError> {
        let dollar = self.at;
        self.at += 1;
        let braced = self.take(b'{');
        let start = self.at;
        self.take(b'.');
        if !self
            .line
            .get(self.at)
            .is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
        {
            return self.fail(start, LexErrorKind::BadVariableName);
        }
        while self
            .line
            .get(self.at)
            .is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        {
            self.at += 1;
        }
        let name = String::from_utf8_lossy(&self.line[start..self.at]).into_owned();
        let mut value = self.value(&name).map(String::into_bytes);
        if !braced {
            return self.push_all(&value.unwrap_or_default(), dollar);
        }
        let split = self.line.get(self.at) == Some(&b'[');
        if split {
            if !self.line[self.at..].starts_with(b"[*]") {
                return self.fail(self.at, LexErrorKind::BadExpansion);
            }
            self.at += 3;
        }
        if self.take(b'-') {
            let default = self.at;
            while self.line.get(self.at).is_some_and(|byte| *byte != b'}') {
                self.at += 1;
            }
            value = value.or_else(|| Some(self.line[default..self.at].to_vec()));
        }
        if !self.take(b'}') {
            return self.fail(dollar + 1, LexErrorKind::UnmatchedBrace);
        }
        let value = value.unwrap_or_default();
        if split {
            self.push_split(&value, dollar)
        } else {
            self.push_all(&value, dollar)
        }
    }

    /// A variable's value; names that begin with a dot are about the place being read.
    fn value(&self, name: &str) -> Option<String> {
        match name {
            ".FILE" => Some(self.position.file.to_owned()),
            ".LINE" => Some(self.position.line.to_string()),
            ".SECTION" => Some(self.position.section.to_owned()),
            _ => self.variables.lookup(name),
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.line.get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    fn open_word(&mut self, start: usize) -> &mut Building {
        self.word.get_or_insert_with(|| Building {
            start,
            text: Vec::new(),
            columns: Vec::new(),
        })
    }

    fn push(&mut self, byte: u8, column: usize) -> Result<(), LexError> {
        self.total += 1;
        if self.total > LONGEST_LINE {
            return self.fail(column, LexErrorKind::TooLong);
        }
        let word = self.open_word(column);
        word.text.push(byte);
        word.columns.push(to_column(column));
        Ok(())
    }

    fn push_all(&mut self, value: &[u8], column: usize) -> Result<(), LexError> {
        value.iter().try_for_each(|byte| self.push(*byte, column))
    }

    /// Every run of blanks in the value ends a word, as if it had been written unquoted.
    fn push_split(&mut self, value: &[u8], column: usize) -> Result<(), LexError> {
        let mut in_blanks = false;
        for &byte in value {
            if !is_space(byte) {
                self.push(byte, column)?;
            } else if !in_blanks {
                self.end_word()?;
                self.word = Some(Building {
                    start: column,
                    text: Vec::new(),
                    columns: Vec::new(),
                });
            }
            in_blanks = is_space(byte);
        }
        Ok(())
    }

    fn end_word(&mut self) -> Result<(), LexError> {
        let Some(word) = self.word.take() else {
            return Ok(());
        };
        let end = self.at.max(word.start + 1);
        let verbatim = self.line.get(word.start..end) == Some(word.text.as_slice());
        let (text, columns) = match String::from_utf8(word.text) {
            Ok(text) => (text, word.columns),
            Err(error) => as_text(error.as_bytes(), &word.columns),
        };
        let span = Span {
            source: self.position.source,
            line: self.position.line,
            start: to_column(word.start),
            end: to_column(end),
        };
        let columns = (!verbatim).then(|| columns.into_boxed_slice());
        self.words.push(Word {
            text,
            span,
            columns,
        });
        Ok(())
    }

    fn fail(&self, column: usize, kind: LexErrorKind) -> Result<(), LexError> {
        Err(LexError {
            column: to_column(column),
            kind,
        })
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\x0b' | b'\x0c')
}

fn hexadecimal(digits: &[u8]) -> Option<u8> {
    let mut value = 0u32;
    for digit in digits {
        value = value * 16 + char::from(*digit).to_digit(16)?;
    }
    (digits.len() == 2).then_some(value as u8)
}

/// Bytes that are not all UTF-8 as text, with the column of each byte of it.
fn as_text(bytes: &[u8], columns: &[u32]) -> (String, Vec<u32>) {
    let (mut text, mut places) = (String::new(), Vec::new());
    let mut at = 0;
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        places.extend_from_slice(&columns[at..at + chunk.valid().len()]);
        at += chunk.valid().len();
        for byte in chunk.invalid() {
            let character = crate::expr::raw::character(*byte);
            text.push(character);
            places.extend(std::iter::repeat_n(columns[at], character.len_utf8()));
            at += 1;
        }
    }
    (text, places)
}

fn to_column(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// Bytes a line may have once its variables are replaced; far above any real line.
const LONGEST_LINE: usize = 1 << 20;
