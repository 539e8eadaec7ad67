//! Gzip, zlib and bare deflate around [`deflate`](crate::proto::deflate): the first level, which costs least.
//!
//! Formats and checksums are here (RFC 1950, RFC 1952), codes are there.

use crate::model::CompressionAlgorithm;
use crate::proto::deflate::{Adler, Deflate};

/// A body being compressed.
pub(super) struct Fast {
    deflate: Deflate,
    format: Format,
    begun: bool,
}

/// What surrounds the compressed data.
enum Format {
    /// The checksum, and the length modulo 2^32.
    Gzip(crc32fast::Hasher, u32),
    Zlib(Adler),
    Bare,
}

impl Fast {
    /// The algorithm is one of the deflate family; others are taken for bare deflate.
    pub(super) fn new(algorithm: CompressionAlgorithm) -> Self {
        Self {
            deflate: Deflate::default(),
            format: match algorithm {
                CompressionAlgorithm::Gzip => Format::Gzip(crc32fast::Hasher::new(), 0),
                CompressionAlgorithm::Deflate => Format::Zlib(Adler::default()),
                _ => Format::Bare,
            },
            begun: false,
        }
    }

    /// Compresses a piece.
    pub(super) fn piece(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        self.begin(out);
        match &mut self.format {
            Format::Gzip(sum, length) => {
                sum.update(piece);
                *length = length.wrapping_add(piece.len() as u32);
            }
            Format::Zlib(sum) => sum.update(piece),
            Format::Bare => {}
        }
        self.deflate.piece(piece, out);
    }

    /// Makes all that came readable.
    pub(super) fn flush(&mut self, out: &mut Vec<u8>) {
        self.begin(out);
        self.deflate.flush(out);
    }

    /// Ends the body.
    pub(super) fn finish(mut self, out: &mut Vec<u8>) {
        self.begin(out);
        self.deflate.finish(out);
        match self.format {
            Format::Gzip(sum, length) => {
                out.extend_from_slice(&sum.finalize().to_le_bytes());
                out.extend_from_slice(&length.to_le_bytes());
            }
            Format::Zlib(sum) => out.extend_from_slice(&sum.sum().to_be_bytes()),
            Format::Bare => {}
        }
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.begun, true) {
            out.extend_from_slice(match &self.format {
                Format::Gzip(..) => &GZIP_HEADER,
                Format::Zlib(_) => &ZLIB_HEADER,
                Format::Bare => &[],
            });
        }
    }
}

/// Deflate, no time, the fastest level, an unknown system.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];

/// Deflate with a window of 32 KiB, the fastest level.
const ZLIB_HEADER: [u8; 2] = [0x78, 0x01];
