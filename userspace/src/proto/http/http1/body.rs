//! Message bodies, decoded.
//!
//! Takes the [`Framing`] of a message and the bytes that follow its head, in pieces of any size;
//! gives back the ranges that are content, tells where the message ends, and keeps the trailers.
//! Chunk extensions are dropped; every control line is bounded. Encoding is [`super::encode`]'s.

use std::ops::Range;

use super::{Framing, Limits, Tolerance, fields};
use crate::proto::http::Head;

/// Decodes one body.
#[derive(Clone, Debug)]
pub struct BodyDecoder {
    state: State,
    /// The trailer line that has arrived in part.
    line: Vec<u8>,
    trailers: Head,
    /// Bytes trailers may still take.
    room: usize,
    fields_max: usize,
}

/// What one call of [`BodyDecoder::decode`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Where in the buffer the content now lies, in one piece.
    pub data: Range<usize>,
    /// Bytes of the buffer that belong to this message; what follows them is the next one's.
    pub consumed: usize,
    /// Whether this was the end of the message.
    pub done: bool,
}

/// A chunked body that cannot be followed any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    #[error("a chunk size is malformed or too large")]
    ChunkSize,
    #[error("a chunk extension is malformed or too long")]
    ChunkExtension,
    #[error("a chunk does not end in CRLF")]
    ChunkEnd,
    #[error("a trailer is malformed")]
    Trailer,
    #[error("the trailers are too large")]
    TrailersTooLarge,
}

impl BodyDecoder {
    #[must_use]
    pub fn new(framing: Framing, limits: &Limits) -> Self {
        Self {
            state: State::before(framing),
            line: Vec::new(),
            trailers: Head::default(),
            room: limits.head,
            fields_max: limits.fields,
        }
    }

    /// Gets ready for another body and keeps the memory.
    pub fn restart(&mut self, framing: Framing, limits: &Limits) {
        self.state = State::before(framing);
        self.line.clear();
        self.trailers.clear();
        self.room = limits.head;
        self.fields_max = limits.fields;
    }

    /// Decodes what lies in `buffer`; the content in it is moved together where chunk framing
    /// stood in between.
    pub fn decode(&mut self, buffer: &mut [u8]) -> Result<Progress, BodyError> {
        let mut progress = Progress {
            data: 0..0,
            consumed: 0,
            done: false,
        };
        while progress.consumed < buffer.len() && self.state != State::Done {
            match self.state {
                State::Length { left } => {
                    let taken = take(buffer, &mut progress, left);
                    self.state = match left - taken {
                        0 => State::Done,
                        left => State::Length { left },
                    };
                }
                State::UntilClose => {
                    take(buffer, &mut progress, u64::MAX);
                }
                State::Data { left } => {
                    let taken = take(buffer, &mut progress, left);
                    self.state = match left - taken {
                        0 => State::DataCr,
                        left => State::Data { left },
                    };
                }
                _ => {
                    let byte = buffer[progress.consumed];
                    progress.consumed += 1;
                    self.state = self.control(byte)?;
                }
            }
        }
        progress.done = self.state == State::Done;
        Ok(progress)
    }

    /// Tells the decoder that the sender has closed. False when the message is cut short.
    pub fn close(&mut self) -> bool {
        if self.state == State::UntilClose {
            self.state = State::Done;
        }
        self.is_done()
    }

    /// Whether the message has ended.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Content bytes that follow in one piece without any framing in between, if that is known:
    /// they may be moved without passing through [`Self::decode`], and are then told to
    /// [`Self::advance`].
    #[must_use]
    pub fn plain(&self) -> Option<u64> {
        match self.state {
            State::Length { left } | State::Data { left } => Some(left),
            State::UntilClose => Some(u64::MAX),
            _ => None,
        }
    }

    /// Notes that `moved` of the [`Self::plain`] bytes went by another way.
    pub fn advance(&mut self, moved: u64) {
        self.state = match self.state {
            State::Length { left } if left == moved => State::Done,
            State::Length { left } => State::Length { left: left - moved },
            State::Data { left } if left == moved => State::DataCr,
            State::Data { left } => State::Data { left: left - moved },
            other => other,
        };
    }

    /// The trailers received, without those that may not be sent as trailers (RFC 9110 §6.5.1).
    #[must_use]
    pub fn trailers(&self) -> &Head {
        &self.trailers
    }

    /// One byte of chunk framing or trailers.
    fn control(&mut self, byte: u8) -> Result<State, BodyError> {
        match self.state {
            State::SizeStart => {
                let digit = hex(byte).ok_or(BodyError::ChunkSize)?;
                Ok(State::Size {
                    value: digit,
                    digits: 1,
                })
            }
            State::Size { value, digits } => match (hex(byte), byte) {
                (Some(digit), _) if digits < SIZE_DIGITS_MAX => Ok(State::Size {
                    value: value << 4 | digit,
                    digits: digits + 1,
                }),
                (Some(_), _) => Err(BodyError::ChunkSize),
                (None, _) if value > CHUNK_MAX => Err(BodyError::ChunkSize),
                (None, b' ' | b'\t') => Ok(State::SizePadding { value, length: 1 }),
                (None, b';') => Ok(State::Extension { value, length: 0 }),
                (None, b'\r') => Ok(State::SizeLf { value }),
                _ => Err(BodyError::ChunkSize),
            },
            State::SizePadding { value, length } => match byte {
                b' ' | b'\t' if length < PADDING_MAX => Ok(State::SizePadding {
                    value,
                    length: length + 1,
                }),
                b';' => Ok(State::Extension { value, length: 0 }),
                b'\r' => Ok(State::SizeLf { value }),
                _ => Err(BodyError::ChunkSize),
            },
            State::Extension { value, length } => match byte {
                b'\r' => Ok(State::SizeLf { value }),
                b'\t' | b' '..=b'~' | 0x80.. if length < EXTENSION_MAX => Ok(State::Extension {
                    value,
                    length: length + 1,
                }),
                _ => Err(BodyError::ChunkExtension),
            },
            State::SizeLf { value } => match (byte, value) {
                (b'\n', 0) => Ok(State::Trailer),
                (b'\n', left) => Ok(State::Data { left }),
                _ => Err(BodyError::ChunkSize),
            },
            State::DataCr if byte == b'\r' => Ok(State::DataLf),
            State::DataLf if byte == b'\n' => Ok(State::SizeStart),
            State::DataCr | State::DataLf => Err(BodyError::ChunkEnd),
            State::Trailer => self.trailer_byte(byte),
            State::Length { .. } | State::UntilClose | State::Data { .. } | State::Done => {
                unreachable!("content is not control")
            }
        }
    }

    fn trailer_byte(&mut self, byte: u8) -> Result<State, BodyError> {
        self.room = self
            .room
            .checked_sub(1)
            .ok_or(BodyError::TrailersTooLarge)?;
        if byte != b'\n' {
            self.line.push(byte);
            return Ok(State::Trailer);
        }
        if self.line.pop() != Some(b'\r') {
            return Err(BodyError::Trailer);
        }
        if self.line.is_empty() {
            return Ok(State::Done);
        }
        self.add_trailer()?;
        self.line.clear();
        Ok(State::Trailer)
    }

    fn add_trailer(&mut self) -> Result<(), BodyError> {
        let limits = Limits {
            head: 0,
            fields: self.fields_max,
            tolerance: Tolerance::Strict,
        };
        if matches!(self.line.first(), Some(b' ' | b'\t')) {
            return Err(BodyError::Trailer);
        }
        let name_end = memchr::memchr(b':', &self.line).ok_or(BodyError::Trailer)?;
        let before = self.trailers.len();
        fields::decode_field(&self.line, &mut self.trailers, &limits).map_err(|reason| {
            if reason == super::Reason::TooManyFields {
                BodyError::TrailersTooLarge
            } else {
                BodyError::Trailer
            }
        })?;
        debug_assert_eq!(self.trailers.len(), before + 1);
        let name = &self.line[..name_end];
        if is_forbidden_trailer(name) {
            self.trailers.remove(name);
        }
        Ok(())
    }
}

/// Whether a field may not be sent as a trailer (RFC 9110 §6.5.1).
#[must_use]
pub fn is_forbidden_trailer(name: &[u8]) -> bool {
    FORBIDDEN_TRAILERS
        .iter()
        .any(|forbidden| forbidden.eq_ignore_ascii_case(name))
}

/// Takes up to `limit` bytes of content and joins them to what was found before.
fn take(buffer: &mut [u8], progress: &mut Progress, limit: u64) -> u64 {
    let available = buffer.len() - progress.consumed;
    let taken = usize::try_from(limit).unwrap_or(usize::MAX).min(available);
    let from = progress.consumed..progress.consumed + taken;
    if progress.data.is_empty() {
        progress.data = from;
    } else {
        buffer.copy_within(from, progress.data.end);
        progress.data.end += taken;
    }
    progress.consumed += taken;
    taken as u64
}

fn hex(byte: u8) -> Option<u64> {
    char::from(byte).to_digit(16).map(u64::from)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Length { left: u64 },
    UntilClose,
    SizeStart,
    Size { value: u64, digits: u8 },
    SizePadding { value: u64, length: u16 },
    Extension { value: u64, length: u16 },
    SizeLf { value: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    Trailer,
    Done,
}

impl State {
    fn before(framing: Framing) -> Self {
        match framing {
            Framing::None | Framing::Length(0) => Self::Done,
            Framing::Length(left) => Self::Length { left },
            Framing::Chunked => Self::SizeStart,
            Framing::UntilClose => Self::UntilClose,
        }
    }
}

const SIZE_DIGITS_MAX: u8 = 16;
/// The largest chunk (manual §8.5, under `PD`).
const CHUNK_MAX: u64 = (1 << 31) - 1;
const PADDING_MAX: u16 = 16;
const EXTENSION_MAX: u16 = 4096;

/// Fields whose meaning would change if they were merged into the head by a later hop.
const FORBIDDEN_TRAILERS: &[&[u8]] = &[
    b"authorization",
    b"connection",
    b"content-encoding",
    b"content-length",
    b"content-range",
    b"content-type",
    b"cookie",
    b"expect",
    b"host",
    b"keep-alive",
    b"proxy-authorization",
    b"proxy-connection",
    b"set-cookie",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
];
