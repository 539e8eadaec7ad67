//! What a `parse` function of this room says about words it cannot take.

/// An error in the words of a rule, an ACL or a format.
///
/// It points at a word of the slice that was parsed; `lang` adds file, line and span.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ParseError {
    /// Index of the word in the slice given to the parse function; its length when a word is missing at the end.
    pub word: usize,
    /// Byte offset inside that word.
    pub offset: usize,
    /// The message, without a period at the end.
    pub message: String,
    /// What would be right, if that is known.
    pub hint: Option<String>,
}

impl ParseError {
    /// An error at the beginning of a word.
    pub fn at(word: usize, message: impl Into<String>) -> Self {
        Self {
            word,
            offset: 0,
            message: message.into(),
            hint: None,
        }
    }

    /// The same error, `offset` bytes further inside the word.
    #[must_use]
    pub fn shifted(mut self, offset: usize) -> Self {
        self.offset += offset;
        self
    }

    /// The same error with the word it belongs to.
    #[must_use]
    pub fn in_word(mut self, word: usize) -> Self {
        self.word = word;
        self
    }

    /// The same error with a hint, if there is one.
    #[must_use]
    pub fn hinted(mut self, hint: Option<String>) -> Self {
        if hint.is_some() {
            self.hint = hint;
        }
        self
    }
}
