//! An HTTP/2 client that says exactly what it is told to, frame by frame.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::RunningProxy;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;
pub(super) const ACK: u8 = 1;

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: Vec<u8>,
}

/// A response, as far as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Interim statuses before it.
    pub(super) interim: Vec<u16>,
    pub(super) body: Vec<u8>,
    /// A second block of fields came after the body.
    pub(super) trailers: bool,
    pub(super) ended: bool,
    /// The code of a RST_STREAM.
    pub(super) reset: Option<u32>,
    /// The code of a GOAWAY that came first.
    pub(super) farewell: Option<u32>,
}

impl Answer {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Whether the stream or its connection was refused.
    pub(super) fn is_refused(&self) -> bool {
        self.status == 0 && !self.ended
    }
}

/// A client's connection.
pub(super) struct Client {
    stream: TcpStream,
}

impl Client {
    /// Connects and says hello; `settings` are identifiers and values.
    pub(super) fn greet(proxy: &RunningProxy, settings: &[(u16, u32)]) -> Self {
        let mut client = Self::silent(proxy);
        client.raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        let mut payload = Vec::new();
        // Without a table of ours, what comes back is static or literal.
        for (id, value) in [(1, 0)].iter().chain(settings) {
            payload.extend_from_slice(&id.to_be_bytes());
            payload.extend_from_slice(&value.to_be_bytes());
        }
        client.frame(SETTINGS, 0, 0, &payload);
        client
    }

    pub(super) fn new(proxy: &RunningProxy) -> Self {
        Self::greet(proxy, &[])
    }

    /// Connects and says nothing.
    pub(super) fn silent(proxy: &RunningProxy) -> Self {
        let stream = TcpStream::connect(proxy.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream }
    }

    /// Sends bytes; false when the proxy no longer takes them.
    pub(super) fn raw(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    pub(super) fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        self.raw(&frame(kind, flags, stream, payload))
    }

    /// Sends a request's head in one frame.
    pub(super) fn head(&mut self, stream: u32, flags: u8, fields: &[(&str, &str)]) -> bool {
        self.frame(HEADERS, flags | END_HEADERS, stream, &block(fields))
    }

    pub(super) fn get(&mut self, stream: u32, path: &str) -> bool {
        self.head(stream, END_STREAM, &request("GET", path))
    }

    pub(super) fn post(&mut self, stream: u32, path: &str) -> bool {
        self.head(stream, 0, &request("POST", path))
    }

    /// The next frame; `None` once the proxy has closed.
    pub(super) fn next(&mut self) -> Option<Frame> {
        let mut header = [0; 9];
        if self.stream.read_exact(&mut header).is_err() {
            return None;
        }
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
        let mut payload = vec![0; length as usize];
        self.stream.read_exact(&mut payload).ok()?;
        let word = [header[5], header[6], header[7], header[8]];
        Some(Frame {
            kind: header[3],
            flags: header[4],
            stream: u32::from_be_bytes(word),
            payload,
        })
    }

    /// The next frame of a type, whatever comes before it.
    pub(super) fn until(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.next()?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }

    /// What is answered on a stream; windows are kept open.
    pub(super) fn answer(&mut self, stream: u32) -> Answer {
        let mut answer = Answer::default();
        while !answer.ended && answer.reset.is_none() {
            let Some(frame) = self.next() else {
                return answer;
            };
            self.serve(&frame);
            if frame.kind == GOAWAY && code(&frame.payload[4..]) != 0 {
                answer.farewell = Some(code(&frame.payload[4..]));
                return answer;
            }
            if frame.stream == stream {
                answer.take(&frame);
            }
        }
        answer
    }

    /// Does what every client does with a frame.
    fn serve(&mut self, frame: &Frame) {
        match frame.kind {
            SETTINGS if frame.flags & ACK == 0 => {
                self.frame(SETTINGS, ACK, 0, &[]);
            }
            PING if frame.flags & ACK == 0 => {
                self.frame(PING, ACK, 0, &frame.payload);
            }
            DATA if !frame.payload.is_empty() => {
                let length = (frame.payload.len() as u32).to_be_bytes();
                self.frame(WINDOW_UPDATE, 0, 0, &length);
                if frame.flags & END_STREAM == 0 {
                    self.frame(WINDOW_UPDATE, 0, frame.stream, &length);
                }
            }
            _ => {}
        }
    }
}

impl Answer {
    pub(super) fn take(&mut self, frame: &Frame) {
        match frame.kind {
            HEADERS if self.status >= 200 => self.trailers = true,
            HEADERS => {
                let status = status(&frame.payload);
                if (100..200).contains(&status) {
                    self.interim.push(status);
                } else {
                    self.status = status;
                }
            }
            DATA => self.body.extend_from_slice(&frame.payload),
            RST_STREAM => self.reset = Some(code(&frame.payload)),
            _ => {}
        }
        let can_end = matches!(frame.kind, HEADERS | DATA);
        self.ended |= can_end && frame.flags & END_STREAM != 0;
    }
}

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// The pseudo fields of a request.
pub(super) fn request<'a>(method: &'a str, path: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        (":method", method),
        (":scheme", "http"),
        (":authority", "a.test"),
        (":path", path),
    ]
}

/// Fields in HPACK: literals without indexing or Huffman code.
pub(super) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        for text in [name, value] {
            integer(text.len(), &mut out);
            out.extend_from_slice(text.as_bytes());
        }
    }
    out
}

/// An HPACK integer with a seven-bit prefix.
fn integer(number: usize, out: &mut Vec<u8>) {
    if number < 127 {
        return out.push(number as u8);
    }
    out.push(127);
    let mut rest = number - 127;
    while rest >= 128 {
        out.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    out.push(rest as u8);
}

fn code(payload: &[u8]) -> u32 {
    u32::from_be_bytes([payload[0], payload[1], payload[2], payload[3]])
}

/// The status at the beginning of a response's block.
fn status(block: &[u8]) -> u16 {
    // A change of the table's size may come first.
    let block = if block[0] & 0xe0 == 0x20 {
        &block[1..]
    } else {
        block
    };
    match block[0] {
        0x88 => 200,
        0x89 => 204,
        0x8a => 206,
        0x8b => 304,
        0x8c => 400,
        0x8d => 404,
        0x8e => 500,
        0x08 | 0x18 | 0x48 => {
            let length = usize::from(block[1] & 0x7f);
            let text = &block[2..2 + length];
            if block[1] & 0x80 == 0 {
                String::from_utf8_lossy(text).parse().unwrap()
            } else {
                huffman_digits(text)
            }
        }
        other => panic!("no status but {other:#x}"),
    }
}

/// Three digits in HPACK's Huffman code: five bits for 0 to 2, six for the others.
fn huffman_digits(text: &[u8]) -> u16 {
    let mut bits = text
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| u16::from(byte >> bit & 1)));
    let mut number = 0;
    for _ in 0..3 {
        let mut code = (0..5).fold(0, |code, _| code << 1 | bits.next().unwrap());
        if code > 2 {
            code = (code << 1 | bits.next().unwrap()) - 0x19 + 3;
        }
        number = number * 10 + code;
    }
    number
}
