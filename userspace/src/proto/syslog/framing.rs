//! How syslog messages follow each other on a stream (RFC 6587): counted, or one per line.
//!
//! Bytes in, the place of one message out. A sender may use either; the first byte of a frame tells which.

use std::ops::Range;

/// How messages are told apart on a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// `legacy`, non-transparent framing: a message ends with its line.
    #[default]
    Lines,
    /// `octet-count`: the length in decimal and a space come first.
    OctetCount,
}

/// A stream that no message can be read off any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// A length that is no number.
    #[error("invalid length of a syslog message")]
    Length,
    /// Longer than what is taken.
    #[error("syslog message too long")]
    TooLong,
}

/// Finds the first whole message of `bytes`: its place, and how many bytes it takes with its frame. `None` = more bytes are
/// needed. With `lines_only` a digit at the beginning is no length. No message may be longer than `most` bytes.
///
/// # Errors
/// The stream is of no use from here on.
pub fn next_frame(
    bytes: &[u8],
    lines_only: bool,
    most: usize,
) -> Result<Option<(Range<usize>, usize)>, FramingError> {
    match bytes.first() {
        None => Ok(None),
        Some(b'1'..=b'9') if !lines_only => counted(bytes, most),
        Some(_) => line(bytes, most),
    }
}

fn counted(bytes: &[u8], most: usize) -> Result<Option<(Range<usize>, usize)>, FramingError> {
    let digits = bytes
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    if digits > MOST_DIGITS {
        return Err(FramingError::TooLong);
    }
    match bytes.get(digits) {
        None => return Ok(None),
        Some(b' ') => {}
        Some(_) => return Err(FramingError::Length),
    }
    let length = bytes[..digits]
        .iter()
        .fold(0, |number, digit| number * 10 + usize::from(digit - b'0'));
    if length > most {
        return Err(FramingError::TooLong);
    }
    let message = digits + 1..digits + 1 + length;
    let end = message.end;
    Ok((bytes.len() >= end).then_some((message, end)))
}

fn line(bytes: &[u8], most: usize) -> Result<Option<(Range<usize>, usize)>, FramingError> {
    let end = memchr::memchr2(b'\n', 0, bytes);
    match end {
        Some(end) if end <= most => {
            let length = match bytes[..end] {
                [.., b'\r'] => end - 1,
                _ => end,
            };
            Ok(Some((0..length, end + 1)))
        }
        None if bytes.len() <= most => Ok(None),
        _ => Err(FramingError::TooLong),
    }
}

/// Appends a message, which carries no line end, in its frame.
pub fn write_frame(message: &[u8], framing: Framing, out: &mut Vec<u8>) {
    match framing {
        Framing::Lines => {
            out.extend_from_slice(message);
            out.push(b'\n');
        }
        Framing::OctetCount => {
            out.extend_from_slice(message.len().to_string().as_bytes());
            out.push(b' ');
            out.extend_from_slice(message);
        }
    }
}

/// Digits of a length: more than any limit on messages.
const MOST_DIGITS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    /// The messages of a stream that comes one byte at a time, and what ended it.
    fn all(stream: &[u8], lines_only: bool) -> (Vec<String>, Option<FramingError>) {
        let mut messages = Vec::new();
        let mut buffer = Vec::new();
        for byte in stream {
            buffer.push(*byte);
            match next_frame(&buffer, lines_only, 20) {
                Ok(None) => {}
                Ok(Some((message, taken))) => {
                    messages.push(String::from_utf8_lossy(&buffer[message]).into_owned());
                    buffer.drain(..taken);
                }
                Err(error) => return (messages, Some(error)),
            }
        }
        (messages, None)
    }

    #[test]
    fn both_framings_may_follow_each_other() {
        let (messages, error) = all(b"<1>a\n5 <2>bc<3>d\r\n3 <4>\n<5>e\0", false);
        assert_eq!(messages, ["<1>a", "<2>bc", "<3>d", "<4>", "", "<5>e"]);
        assert_eq!(error, None);
    }

    #[test]
    fn lines_may_begin_with_digits_when_nothing_is_counted() {
        let (messages, error) = all(b"5 apples\n", true);
        assert_eq!((messages, error), (vec!["5 apples".to_owned()], None));
    }

    #[test]
    fn nonsense_and_endless_messages_are_refused() {
        let wrong = |stream: &[u8]| all(stream, false).1;
        assert_eq!(wrong(b"5x"), Some(FramingError::Length));
        assert_eq!(wrong(b"21 "), Some(FramingError::TooLong));
        assert_eq!(wrong(b"123456789"), Some(FramingError::TooLong));
        assert_eq!(wrong(&[b'<'; 30]), Some(FramingError::TooLong));
    }

    #[test]
    fn what_is_written_is_read_again() {
        for framing in [Framing::Lines, Framing::OctetCount] {
            let mut out = Vec::new();
            write_frame(b"<13>hello", framing, &mut out);
            let (message, taken) = next_frame(&out, false, 100).unwrap().unwrap();
            assert_eq!((&out[message], taken), (&b"<13>hello"[..], out.len()));
        }
    }
}
