//! A fast deflate (RFC 1951): one look for an earlier copy at each place, and the fixed codes.
//!
//! What a proxy needs that compresses every response anew: a stream holds a few bits and no window, since copies are
//! looked for within a piece only. Bytes go in piece by piece, blocks come out. Better compression for more time is zlib's
//! business.

/// One stream: the bits that do not fill a byte yet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Deflate {
    held: u64,
    bits: u32,
}

impl Deflate {
    /// Compresses a piece, as blocks of its own. What does not shrink is stored.
    pub fn piece(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        if piece.is_empty() {
            return;
        }
        let before = (*self, out.len());
        self.write(out, piece.len() + piece.len() / 8 + SLACK, |writer| {
            writer.put(FIXED, 3);
            writer.flush();
            compress(piece, writer);
            writer.put(0, END_OF_BLOCK);
        });
        if out.len() - before.1 > piece.len() + stored_overhead(piece.len()) {
            *self = before.0;
            out.truncate(before.1);
            for part in piece.chunks(STORED) {
                self.store(part, out);
            }
        }
    }

    /// Makes all that came so far readable.
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        self.store(&[], out);
    }

    /// Ends the stream.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        self.write(out, SLACK, |writer| {
            writer.put(LAST | FIXED, 3);
            writer.put(0, END_OF_BLOCK);
            writer.align();
        });
    }

    /// A stored block.
    fn store(&mut self, part: &[u8], out: &mut Vec<u8>) {
        let length = u16::try_from(part.len()).unwrap_or(u16::MAX);
        self.write(out, SLACK, |writer| {
            writer.put(0, 3);
            writer.align();
            writer.put(u64::from(length) | u64::from(!length) << 16, 32);
        });
        out.extend_from_slice(part);
    }

    /// Lets `work` write at most `most` bytes behind `out`.
    fn write(&mut self, out: &mut Vec<u8>, most: usize, work: impl FnOnce(&mut Writer<'_>)) {
        let begin = out.len();
        out.resize(begin + most, 0);
        let mut writer = Writer {
            out: &mut out[begin..],
            at: 0,
            held: self.held,
            bits: self.bits,
        };
        work(&mut writer);
        writer.flush();
        (self.held, self.bits) = (writer.held, writer.bits);
        let end = begin + writer.at;
        out.truncate(end);
    }
}

/// Writes the codes of a piece.
fn compress(piece: &[u8], writer: &mut Writer<'_>) {
    let mut places = Places([0; PLACES]);
    let end = piece.len().saturating_sub(LOOK_AHEAD);
    let mut at = 0;
    while at < end {
        let mut copy = places.look(piece, at);
        if copy.length < SHORTEST {
            writer.literal(piece[at]);
            writer.flush();
            at += 1;
            continue;
        }
        if copy.length == SHORTEST {
            // It often hides a longer one that begins a byte later.
            let later = places.look(piece, at + 1);
            if later.length > copy.length {
                writer.literal(piece[at]);
                at += 1;
                copy = later;
            }
        }
        if copy.length == WORD {
            copy.length = common(piece, at - copy.distance, at);
        }
        writer.copy(copy);
        writer.flush();
        at += copy.length;
    }
    for &byte in &piece[at..] {
        writer.literal(byte);
        writer.flush();
    }
}

/// Bytes that were there before.
#[derive(Clone, Copy, Debug)]
struct Copy {
    length: usize,
    /// How far back, 1 to 32,768.
    distance: usize,
}

/// Where in a piece groups of four bytes were last seen: by their hash, the lower half of the place. What another group
/// left there is found out by comparing.
struct Places([u16; PLACES]);

impl Places {
    /// How much of the eight bytes at `at` there was before, at the last place known; then that is here.
    #[inline(always)]
    fn look(&mut self, piece: &[u8], at: usize) -> Copy {
        let here = word(piece, at);
        let hash = (here as u32).wrapping_mul(0x9e37_79b1) >> (32 - PLACES.ilog2());
        let last = std::mem::replace(&mut self.0[hash as usize], at as u16);
        let behind = usize::from((at as u16).wrapping_sub(last));
        let distance = if behind <= at.min(WINDOW) { behind } else { 0 };
        let different = here ^ word(piece, at - distance);
        let length = match distance {
            0 => 0,
            _ => different.trailing_zeros() as usize / 8,
        };
        Copy { length, distance }
    }
}

/// How many bytes from `later` on are those from `earlier` on; those of a word are known to be.
fn common(piece: &[u8], earlier: usize, later: usize) -> usize {
    let most = (piece.len() - later).min(LONGEST);
    let mut length = WORD;
    while length + WORD <= most {
        let different = word(piece, earlier + length) ^ word(piece, later + length);
        if different != 0 {
            return length + different.trailing_zeros() as usize / 8;
        }
        length += WORD;
    }
    while length < most && piece[earlier + length] == piece[later + length] {
        length += 1;
    }
    length
}

#[inline(always)]
fn word(bytes: &[u8], at: usize) -> u64 {
    let eight = bytes[at..at + 8].try_into();
    u64::from_le_bytes(eight.expect("eight bytes are eight"))
}

/// Bits on their way into a slice that has room for all of them.
struct Writer<'o> {
    out: &'o mut [u8],
    at: usize,
    held: u64,
    bits: u32,
}

impl Writer<'_> {
    /// At most 56 bits between two flushes.
    #[inline(always)]
    fn put(&mut self, bits: u64, count: u32) {
        self.held |= bits << self.bits;
        self.bits += count;
    }

    /// Writes the whole bytes.
    #[inline(always)]
    fn flush(&mut self) {
        if let Some(room) = self.out.get_mut(self.at..self.at + 8) {
            room.copy_from_slice(&self.held.to_le_bytes());
        }
        self.at += (self.bits / 8) as usize;
        self.held >>= self.bits & !7;
        self.bits &= 7;
    }

    /// Goes on at the next whole byte.
    fn align(&mut self) {
        self.put(0, self.bits.wrapping_neg() & 7);
        self.flush();
    }

    #[inline(always)]
    fn literal(&mut self, byte: u8) {
        let code = LITERALS[usize::from(byte)];
        self.put(code.bits.into(), code.count.into());
    }

    #[inline(always)]
    fn copy(&mut self, copy: Copy) {
        let length = LENGTHS[copy.length];
        let (distance, count) = distance_code(copy.distance as u32);
        self.put(
            u64::from(length.bits) | distance << length.count,
            u32::from(length.count) + count,
        );
    }
}

/// A code of the fixed tables with its extra bits, the first bit lowest.
#[derive(Clone, Copy)]
struct Code {
    bits: u16,
    count: u8,
}

const fn reversed(code: u16, count: u8) -> Code {
    Code {
        bits: code.reverse_bits() >> (16 - count),
        count,
    }
}

/// RFC 1951 §3.2.6.
const fn literals() -> [Code; 256] {
    let mut codes = [reversed(0, 8); 256];
    let mut byte = 0;
    while byte < 256 {
        codes[byte] = match byte {
            0..144 => reversed(0x30 + byte as u16, 8),
            _ => reversed(0x190 + byte as u16 - 144, 9),
        };
        byte += 1;
    }
    codes
}

/// By length; RFC 1951 §3.2.5 and §3.2.6.
const fn lengths() -> [Code; LONGEST + 1] {
    let mut codes = [reversed(0, 7); LONGEST + 1];
    let mut length = 3;
    while length <= LONGEST {
        let rest = length as u16 - 3;
        let (symbol, extra) = match length {
            LONGEST => (285, 0),
            3..11 => (257 + rest, 0),
            _ => {
                let extra = rest.ilog2() as u16 - 2;
                (257 + 4 * (extra + 1) + (rest >> extra & 3), extra)
            }
        };
        let code = match symbol {
            ..280 => reversed(symbol - 256, 7),
            _ => reversed(0xc0 + symbol - 280, 8),
        };
        codes[length] = Code {
            bits: code.bits | (rest & ((1 << extra) - 1)) << code.count,
            count: code.count + extra as u8,
        };
        length += 1;
    }
    codes
}

/// The bits of a distance, and how many they are.
#[inline(always)]
fn distance_code(distance: u32) -> (u64, u32) {
    let rest = distance - 1;
    if rest < 4 {
        return (five(rest), 5);
    }
    let extra = rest.ilog2() - 1;
    let symbol = 2 * (extra + 1) + (rest >> extra & 1);
    let low = rest & ((1 << extra) - 1);
    (five(symbol) | u64::from(low) << 5, 5 + extra)
}

/// Five bits, the highest first.
#[inline(always)]
fn five(symbol: u32) -> u64 {
    u64::from(symbol.reverse_bits() >> 27)
}

/// The checksum of zlib's format (RFC 1950 §8.2).
#[derive(Clone, Copy, Debug)]
pub struct Adler {
    low: u32,
    high: u32,
}

impl Default for Adler {
    fn default() -> Self {
        Self { low: 1, high: 0 }
    }
}

impl Adler {
    /// Counts bytes in.
    pub fn update(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(ADLER_PART) {
            for &byte in part {
                self.low += u32::from(byte);
                self.high += self.low;
            }
            self.low %= ADLER_BASE;
            self.high %= ADLER_BASE;
        }
    }

    /// The sum of all that came.
    pub const fn sum(&self) -> u32 {
        self.high << 16 | self.low
    }
}

/// Most bytes that stored blocks add, the bits before them included.
const fn stored_overhead(length: usize) -> usize {
    length.div_ceil(STORED) * 5 + 1
}

static LITERALS: [Code; 256] = literals();
static LENGTHS: [Code; LONGEST + 1] = lengths();

/// 16 KiB of places: with the piece they fit the processor's first cache.
const PLACES: usize = 1 << 13;
/// How far back a copy may be, in bytes.
const WINDOW: usize = 32 * 1024;
/// Bytes that are compared at once.
const WORD: usize = 8;
/// The shortest copy that is looked for.
const SHORTEST: usize = 4;
/// The longest copy there is a code for.
const LONGEST: usize = 258;
/// So many bytes must follow a place that is looked at, and the one behind it.
const LOOK_AHEAD: usize = WORD + 1;
/// Most bytes of a stored block.
const STORED: usize = 65_535;
/// The header of a block with fixed codes, and what makes a block the last.
const FIXED: u64 = 0b010;
const LAST: u64 = 0b001;
/// Bits of the code that ends a block, which are zeros.
const END_OF_BLOCK: u32 = 7;
const ADLER_BASE: u32 = 65_521;
/// So many bytes can be counted before the sums overflow.
const ADLER_PART: usize = 5552;
/// Room for the ends of a block.
const SLACK: usize = 32;

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::*;

    fn inflated(bytes: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        let mut decoder = flate2::read::DeflateDecoder::new(bytes);
        decoder.read_to_end(&mut text).expect("a whole stream");
        text
    }

    fn deflated(piece: &[u8]) -> Vec<u8> {
        let mut stream = Deflate::default();
        let mut out = Vec::new();
        stream.piece(piece, &mut out);
        stream.finish(&mut out);
        out
    }

    #[test]
    fn every_length_and_distance_is_written_as_it_is() {
        let noise: Vec<u8> = (0..40_000u32)
            .map(|n| (n.wrapping_mul(n ^ 0x5bd1_e995) >> 11) as u8)
            .collect();
        for distance in [1, 2, 3, 4, 5, 8, 9, 100, 257, 4096, 24_577, 32_768, 32_769] {
            for length in (0..300).step_by(7).chain([258, 259, 260]) {
                let mut text = noise[..distance].to_vec();
                for _ in 0..length {
                    text.push(text[text.len() - distance]);
                }
                text.extend_from_slice(b"the end of it all");
                assert!(inflated(&deflated(&text)) == text, "{distance}, {length}");
            }
        }
    }

    #[test]
    fn what_does_not_shrink_hardly_grows() {
        let mut state = 1u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 56) as u8
        })
        .take(200_000)
        .collect();
        let out = deflated(&noise);
        assert!(out.len() <= noise.len() + 30, "{}", out.len());
        assert!(inflated(&out) == noise);
    }

    #[test]
    fn pieces_far_longer_than_a_window_come_back() {
        let text: Vec<u8> = (0..100_000u32)
            .flat_map(|n| format!("line {} of {}\n", n % 977, n.wrapping_mul(n) % 13).into_bytes())
            .collect();
        let out = deflated(&text);
        assert!(out.len() < text.len() / 3, "{}", out.len());
        assert!(inflated(&out) == text);
    }

    proptest! {
        #[test]
        fn pieces_come_back_whatever_they_are(
            pieces in prop::collection::vec(prop::collection::vec(0u8..6, 0..400), 0..8),
            shift: u8,
            flushes: bool,
        ) {
            let mut stream = Deflate::default();
            let (mut out, mut text) = (Vec::new(), Vec::new());
            for piece in &pieces {
                let piece: Vec<u8> = piece.iter().map(|byte| byte.wrapping_mul(shift)).collect();
                stream.piece(&piece, &mut out);
                text.extend(piece);
                if flushes {
                    stream.flush(&mut out);
                    let mut here = vec![0; text.len()];
                    flate2::read::DeflateDecoder::new(&out[..]).read_exact(&mut here).expect("flushed");
                    prop_assert_eq!(&here, &text);
                }
            }
            stream.finish(&mut out);
            prop_assert_eq!(inflated(&out), text);
        }
    }
}
