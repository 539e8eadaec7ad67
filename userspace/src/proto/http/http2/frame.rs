//! Frame headers, read off the wire as the bytes pass.
//!
//! [`FrameReader`] is fed whatever was read or written, in pieces of any size, and says which frames
//! began in it. It judges nothing; payloads are skipped but for the error codes of those frames
//! that carry one.

/// The types of frames (RFC 9113 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Data,
    Headers,
    Priority,
    ResetStream,
    Settings,
    PushPromise,
    Ping,
    GoAway,
    WindowUpdate,
    Continuation,
    Unknown,
}

/// One frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: Kind,
    pub flags: u8,
    pub stream: u32,
    pub length: u32,
    /// The error code of a RST_STREAM or GOAWAY frame, if it was long enough to have one.
    pub code: Option<u32>,
}

impl Frame {
    /// END_STREAM of DATA and HEADERS, ACK of SETTINGS and PING: the same bit.
    #[must_use]
    pub fn has_first_flag(&self) -> bool {
        self.flags & 1 != 0
    }
}

/// See the module's documentation.
#[derive(Clone, Debug, Default)]
pub struct FrameReader {
    /// Bytes of a connection preface still to come.
    preface: usize,
    start: [u8; HEADER + 8],
    have: usize,
    /// Payload still to be skipped.
    left: u32,
}

impl FrameReader {
    /// A reader of a side that begins with the connection preface: a client's bytes.
    #[must_use]
    pub fn after_preface() -> Self {
        Self {
            preface: super::PREFACE.len(),
            ..Self::default()
        }
    }

    /// Whether the bytes so far end with a whole frame.
    #[must_use]
    pub fn is_between_frames(&self) -> bool {
        self.preface == 0 && self.have == 0 && self.left == 0
    }

    /// Goes on with the bytes that follow those fed before.
    pub fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(Frame)) {
        let skipped = self.preface.min(bytes.len());
        self.preface -= skipped;
        bytes = &bytes[skipped..];
        while !bytes.is_empty() {
            if self.left > 0 {
                let skipped = (self.left as usize).min(bytes.len());
                self.left -= skipped as u32;
                bytes = &bytes[skipped..];
                continue;
            }
            let wanted = self.wanted();
            let taken = (wanted - self.have).min(bytes.len());
            self.start[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
            self.have += taken;
            bytes = &bytes[taken..];
            if self.have == self.wanted() {
                let frame = self.frame();
                self.left = frame.length - (self.have - HEADER) as u32;
                self.have = 0;
                each(frame);
            }
        }
    }

    /// How many bytes of the frame are looked at: known once its header is there.
    fn wanted(&self) -> usize {
        if self.have < HEADER {
            return HEADER;
        }
        let peeked = match kind(self.start[3]) {
            Kind::ResetStream => 4,
            Kind::GoAway => 8,
            _ => 0,
        };
        HEADER + (self.length() as usize).min(peeked)
    }

    fn length(&self) -> u32 {
        u32::from_be_bytes([0, self.start[0], self.start[1], self.start[2]])
    }

    fn frame(&self) -> Frame {
        let word = |at: usize| {
            let bytes = &self.start[at..at + 4];
            u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
        };
        let kind = kind(self.start[3]);
        let code = match kind {
            Kind::ResetStream if self.have >= HEADER + 4 => Some(word(HEADER)),
            Kind::GoAway if self.have >= HEADER + 8 => Some(word(HEADER + 4)),
            _ => None,
        };
        Frame {
            kind,
            flags: self.start[4],
            stream: word(5) & 0x7fff_ffff,
            length: self.length(),
            code,
        }
    }
}

/// A WINDOW_UPDATE frame.
#[must_use]
pub fn window_update(stream: u32, increment: u32) -> [u8; 13] {
    let mut frame = [0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    frame[5..9].copy_from_slice(&(stream & 0x7fff_ffff).to_be_bytes());
    frame[9..].copy_from_slice(&(increment & 0x7fff_ffff).to_be_bytes());
    frame
}

/// An RST_STREAM frame.
#[must_use]
pub fn reset_stream(stream: u32, code: u32) -> [u8; 13] {
    let mut frame = [0, 0, 4, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    frame[5..9].copy_from_slice(&(stream & 0x7fff_ffff).to_be_bytes());
    frame[9..].copy_from_slice(&code.to_be_bytes());
    frame
}

/// Changes SETTINGS_INITIAL_WINDOW_SIZE in a whole SETTINGS frame that announces one.
pub fn lower_initial_window(frame: &mut [u8], window: u32) {
    let Some((header, settings)) = frame.split_at_mut_checked(HEADER) else {
        return;
    };
    if kind(header[3]) != Kind::Settings {
        return;
    }
    for setting in settings.chunks_exact_mut(6) {
        if setting[..2] == [0, INITIAL_WINDOW_SIZE] {
            setting[2..].copy_from_slice(&window.to_be_bytes());
        }
    }
}

fn kind(byte: u8) -> Kind {
    match byte {
        0 => Kind::Data,
        1 => Kind::Headers,
        2 => Kind::Priority,
        3 => Kind::ResetStream,
        4 => Kind::Settings,
        5 => Kind::PushPromise,
        6 => Kind::Ping,
        7 => Kind::GoAway,
        8 => Kind::WindowUpdate,
        9 => Kind::Continuation,
        _ => Kind::Unknown,
    }
}

const HEADER: usize = 9;
const INITIAL_WINDOW_SIZE: u8 = 4;
