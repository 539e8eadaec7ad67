//! Captured frames as a file that Wireshark and tcpdump read (pcapng, draft-ietf-opsawg-pcapng).
//!
//! The writer appends blocks to a buffer: the section and its interfaces first, then a block for each frame with a comment,
//! at the end the statistics with the frames that were lost. The reader takes such a stream apart again; it understands
//! what the writer writes, and skips blocks of other kinds.

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Number of its interface in the file.
    pub interface: u32,
    /// When, in nanoseconds since 1970.
    pub when: u64,
    /// Its length on the wire.
    pub length: u32,
    /// Its first bytes.
    pub bytes: &'a [u8],
    /// What is said about it.
    pub comment: &'a str,
}

/// Begins a file with these Ethernet interfaces, of whose frames at most `snap` bytes are kept.
pub fn begin<'a>(
    out: &mut Vec<u8>,
    program: &str,
    interfaces: impl IntoIterator<Item = &'a str>,
    snap: u32,
) {
    block(out, SECTION, |body| {
        body.extend(BYTE_ORDER.to_le_bytes());
        body.extend([1, 0, 0, 0]);
        body.extend(u64::MAX.to_le_bytes());
        option(body, APPLICATION, program.as_bytes());
        option(body, END, &[]);
    });
    for name in interfaces {
        block(out, INTERFACE, |body| {
            body.extend(ETHERNET.to_le_bytes());
            body.extend([0, 0]);
            body.extend(snap.to_le_bytes());
            option(body, NAME, name.as_bytes());
            option(body, RESOLUTION, &[NANOSECONDS]);
            option(body, END, &[]);
        });
    }
}

/// Adds a frame.
pub fn frame(out: &mut Vec<u8>, frame: &Frame<'_>) {
    block(out, PACKET, |body| {
        body.extend(frame.interface.to_le_bytes());
        body.extend(time(frame.when));
        body.extend((frame.bytes.len() as u32).to_le_bytes());
        body.extend(frame.length.to_le_bytes());
        padded(body, frame.bytes);
        option(body, COMMENT, frame.comment.as_bytes());
        option(body, END, &[]);
    });
}

/// Ends a file: how many frames of an interface were wanted until `when`, and how many of them there was no room for.
pub fn statistics(out: &mut Vec<u8>, interface: u32, when: u64, received: u64, lost: u64) {
    block(out, STATISTICS, |body| {
        body.extend(interface.to_le_bytes());
        body.extend(time(when));
        option(body, RECEIVED, &received.to_le_bytes());
        option(body, LOST, &lost.to_le_bytes());
        option(body, END, &[]);
    });
}

/// Whether bytes may be the beginning of a file.
#[must_use]
pub fn is_begun_by(bytes: &[u8]) -> bool {
    let mark = SECTION.to_le_bytes();
    bytes.len() >= mark.len() && bytes.starts_with(&mark)
}

/// What the reader found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block<'a> {
    /// An interface, in the order of their numbers.
    Interface(&'a str),
    /// A frame.
    Frame(Frame<'a>),
    /// Frames that were wanted, and those of them that were lost.
    Statistics {
        /// Wanted.
        received: u64,
        /// Lost.
        lost: u64,
    },
    /// Something else.
    Other,
}

/// The block at the front of a stream and how many bytes it takes; `None` until all of it is there.
///
/// # Errors
/// The stream is no such file.
pub fn read(bytes: &[u8]) -> Result<Option<(Block<'_>, usize)>, Malformed> {
    let (Some(kind), Some(length)) = (number(bytes, 0), number(bytes, 4)) else {
        return Ok(None);
    };
    let length = length as usize;
    if !(12..=LONGEST).contains(&length) || !length.is_multiple_of(4) {
        return Err(Malformed);
    }
    let Some(body) = bytes.get(8..length - 4) else {
        return Ok(None);
    };
    if bytes.len() < length {
        return Ok(None);
    }
    let block = match kind {
        INTERFACE => body
            .get(8..)
            .map(|options| Block::Interface(words(options, NAME))),
        PACKET => packet(body),
        STATISTICS => body.get(12..).map(|options| Block::Statistics {
            received: count(options, RECEIVED),
            lost: count(options, LOST),
        }),
        _ => Some(Block::Other),
    };
    Ok(Some((block.ok_or(Malformed)?, length)))
}

/// A stream is no capture file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a capture file")]
pub struct Malformed;

fn packet(body: &[u8]) -> Option<Block<'_>> {
    let bytes = number(body, 12)? as usize;
    let end = 20_usize.checked_add(bytes)?;
    Some(Block::Frame(Frame {
        interface: number(body, 0)?,
        when: u64::from(number(body, 4)?) << 32 | u64::from(number(body, 8)?),
        length: number(body, 16)?,
        bytes: body.get(20..end)?,
        comment: words(body.get(end.next_multiple_of(4)..)?, COMMENT),
    }))
}

/// The value of the first option of a kind.
fn value(mut options: &[u8], wanted: u16) -> Option<&[u8]> {
    while let [a, b, c, d, rest @ ..] = options {
        let (kind, length) = (u16::from_le_bytes([*a, *b]), u16::from_le_bytes([*c, *d]));
        let length = usize::from(length);
        if kind == wanted {
            return rest.get(..length);
        }
        options = rest.get(length.next_multiple_of(4)..)?;
    }
    None
}

fn words(options: &[u8], wanted: u16) -> &str {
    let value = value(options, wanted).unwrap_or_default();
    std::str::from_utf8(value).unwrap_or_default()
}

fn count(options: &[u8], wanted: u16) -> u64 {
    let value = value(options, wanted).and_then(|value| value.try_into().ok());
    value.map_or(0, u64::from_le_bytes)
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    bytes.try_into().ok().map(u32::from_le_bytes)
}

/// A block: kind, length, body, length again.
fn block(out: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend(kind.to_le_bytes());
    out.extend([0; 4]);
    body(out);
    let length = (out.len() - start + 4) as u32;
    out.extend(length.to_le_bytes());
    out[start + 4..start + 8].copy_from_slice(&length.to_le_bytes());
}

fn option(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let value = &value[..value.len().min(usize::from(u16::MAX))];
    out.extend(kind.to_le_bytes());
    out.extend((value.len() as u16).to_le_bytes());
    padded(out, value);
}

fn padded(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(bytes);
    out.resize(out.len() + bytes.len().next_multiple_of(4) - bytes.len(), 0);
}

/// High half first.
fn time(when: u64) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h] = when.to_le_bytes();
    [e, f, g, h, a, b, c, d]
}

const SECTION: u32 = 0x0a0d_0d0a;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
const INTERFACE: u32 = 1;
const STATISTICS: u32 = 5;
const PACKET: u32 = 6;
const ETHERNET: u16 = 1;
const END: u16 = 0;
const COMMENT: u16 = 1;
const NAME: u16 = 2;
/// Of a section.
const APPLICATION: u16 = 4;
/// Of statistics.
const RECEIVED: u16 = 4;
const LOST: u16 = 5;
const RESOLUTION: u16 = 9;
/// Ten to the minus ninth of a second.
const NANOSECONDS: u8 = 9;
/// Bytes of a block that is believed.
const LONGEST: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn blocks(mut file: &[u8]) -> Vec<Block<'_>> {
        let mut found = Vec::new();
        while let Some((block, length)) = read(file).unwrap() {
            found.push(block);
            file = &file[length..];
        }
        assert!(file.is_empty(), "{file:?}");
        found
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut file = Vec::new();
        begin(&mut file, "tidegate 1.0", ["eth0", "lb1"], 256);
        assert!(is_begun_by(&file));
        let written = Frame {
            interface: 1,
            when: 1_764_300_000_123_456_789,
            length: 1514,
            bytes: &[1, 2, 3, 4, 5],
            comment: "drop source-listed, service web",
        };
        frame(&mut file, &written);
        statistics(&mut file, 1, written.when + 1, 900, 7);
        let wanted = [
            Block::Other,
            Block::Interface("eth0"),
            Block::Interface("lb1"),
            Block::Frame(written),
            Block::Statistics {
                received: 900,
                lost: 7,
            },
        ];
        assert_eq!(blocks(&file), wanted);
        for end in 0..file.len() {
            let mut rest = &file[..end];
            while let Ok(Some((_, length))) = read(rest) {
                rest = &rest[length..];
            }
            assert_eq!(read(rest), Ok(None), "cut at {end}");
        }
    }

    proptest! {
        #[test]
        fn no_stream_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 0_u32..8) {
            let mut stream = kind.to_le_bytes().to_vec();
            stream.extend((bytes.len() as u32 / 4 * 4 + 12).to_le_bytes());
            stream.extend(&bytes);
            let _ = read(&stream);
            let _ = read(&bytes);
        }
    }
}
