//! Cutting a buffer that still grows into lines.
//!
//! Each complete line is seen once and bytes already searched are not searched again, so a head
//! that arrives byte by byte costs no more than its length. The content of lines is not judged
//! here, only how they end.

use super::{HeadError, Limits, Reason};

/// The position in a growing buffer whose first lines have been taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    /// Offset of the first line not taken yet.
    at: usize,
    /// Up to here no line end was found.
    searched: usize,
}

/// Which line ends are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineEnd {
    Crlf,
    /// A bare LF too (RFC 9112 §2.2 allows a recipient to accept it).
    CrlfOrLf,
}

impl Lines {
    /// Offset of the line that comes next.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Takes the next line, without its end; `None` while it is incomplete.
    pub(super) fn next<'b>(
        &mut self,
        buffer: &'b [u8],
        end: LineEnd,
        limits: &Limits,
    ) -> Result<Option<&'b [u8]>, HeadError> {
        let from = self.searched.max(self.at);
        let Some(length) = memchr::memchr(b'\n', buffer.get(from..).unwrap_or_default()) else {
            self.searched = buffer.len();
            return if buffer.len() > limits.head {
                Err(self.error(Reason::TooLarge))
            } else {
                Ok(None)
            };
        };
        let line_feed = from + length;
        if line_feed >= limits.head {
            return Err(self.error(Reason::TooLarge));
        }
        let line = match buffer[self.at..line_feed].split_last() {
            Some((b'\r', line)) => line,
            _ if end == LineEnd::Crlf => return Err(self.error(Reason::LineEnd)),
            _ => &buffer[self.at..line_feed],
        };
        self.at = line_feed + 1;
        Ok(Some(line))
    }

    /// The part of the next line that has arrived.
    pub(super) fn incomplete<'b>(&self, buffer: &'b [u8]) -> &'b [u8] {
        buffer.get(self.at..).unwrap_or_default()
    }

    /// An error at the next line.
    pub(super) fn error(&self, reason: Reason) -> HeadError {
        HeadError {
            reason,
            at: self.at,
        }
    }
}
