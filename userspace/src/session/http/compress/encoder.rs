//! The compressors, as filters of a body.
//!
//! Each takes pieces and lets go what it likes; at a pause everything that came so far is made
//! readable for the receiver, so that a slow stream is not held back. Which algorithm, and whether,
//! is [`super`]'s.

use std::io::{self, Write};

use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use super::fast::Fast;
use crate::model::CompressionAlgorithm;
use crate::session::http::filter::{BodyFilter, Flow};

/// Settings of the process that compressors follow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// `tune.comp.maxlevel`.
    pub(crate) level: u32,
}

/// Where the numbers of a compressor go: bytes in and out.
pub(crate) type Tally = Box<dyn FnMut(u64, u64)>;

/// A body being compressed.
pub(crate) struct Compressor {
    stream: Stream,
    /// Whether something came since everything was last let go.
    holds: bool,
    tally: Tally,
}

/// One algorithm at work. Those of the crates write into a vector that is emptied after every step.
enum Stream {
    Identity,
    /// Gzip and its kin at the first level, the default.
    Fast(Fast),
    Gzip(GzEncoder<Vec<u8>>),
    Deflate(ZlibEncoder<Vec<u8>>),
    RawDeflate(DeflateEncoder<Vec<u8>>),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    /// The end was written.
    Over,
}

impl Compressor {
    pub(crate) fn new(
        algorithm: CompressionAlgorithm,
        effort: Effort,
        tally: Tally,
    ) -> io::Result<Self> {
        let level = flate2::Compression::new(effort.level.clamp(1, 9));
        let stream = match algorithm {
            CompressionAlgorithm::Identity => Stream::Identity,
            CompressionAlgorithm::Gzip
            | CompressionAlgorithm::Deflate
            | CompressionAlgorithm::RawDeflate
                if effort.level <= 1 =>
            {
                Stream::Fast(Fast::new(algorithm))
            }
            CompressionAlgorithm::Gzip => Stream::Gzip(GzEncoder::new(Vec::new(), level)),
            CompressionAlgorithm::Deflate => Stream::Deflate(ZlibEncoder::new(Vec::new(), level)),
            CompressionAlgorithm::RawDeflate => {
                Stream::RawDeflate(DeflateEncoder::new(Vec::new(), level))
            }
            CompressionAlgorithm::Brotli => {
                Stream::Brotli(Box::new(brotli::CompressorWriter::new(
                    Vec::new(),
                    BROTLI_BUFFER,
                    effort.level.clamp(1, 9),
                    BROTLI_WINDOW,
                )))
            }
            CompressionAlgorithm::Zstd => Stream::Zstd(zstd::stream::write::Encoder::new(
                Vec::new(),
                i32::try_from(effort.level.clamp(1, 9)).unwrap_or(1),
            )?),
        };
        Ok(Self {
            stream,
            holds: false,
            tally,
        })
    }

    /// Moves what a crate's compressor wrote to `out`.
    fn drain(&mut self, out: &mut Vec<u8>) {
        match &mut self.stream {
            Stream::Identity | Stream::Fast(_) | Stream::Over => {}
            Stream::Gzip(encoder) => out.append(encoder.get_mut()),
            Stream::Deflate(encoder) => out.append(encoder.get_mut()),
            Stream::RawDeflate(encoder) => out.append(encoder.get_mut()),
            Stream::Brotli(encoder) => out.append(encoder.get_mut()),
            Stream::Zstd(encoder) => out.append(encoder.get_mut()),
        }
    }
}

impl BodyFilter for Compressor {
    fn piece(&mut self, piece: &[u8], out: &mut Vec<u8>) -> io::Result<Flow> {
        let before = out.len();
        match &mut self.stream {
            Stream::Identity | Stream::Over => {
                (self.tally)(piece.len() as u64, piece.len() as u64);
                return Ok(Flow::Unchanged);
            }
            Stream::Fast(encoder) => encoder.piece(piece, out),
            Stream::Gzip(encoder) => encoder.write_all(piece)?,
            Stream::Deflate(encoder) => encoder.write_all(piece)?,
            Stream::RawDeflate(encoder) => encoder.write_all(piece)?,
            Stream::Brotli(encoder) => encoder.write_all(piece)?,
            Stream::Zstd(encoder) => encoder.write_all(piece)?,
        }
        self.holds = true;
        self.drain(out);
        (self.tally)(piece.len() as u64, (out.len() - before) as u64);
        Ok(Flow::Changed)
    }

    fn pause(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        if !std::mem::take(&mut self.holds) {
            return Ok(());
        }
        let before = out.len();
        match &mut self.stream {
            Stream::Identity | Stream::Over => {}
            Stream::Fast(encoder) => encoder.flush(out),
            Stream::Gzip(encoder) => encoder.flush()?,
            Stream::Deflate(encoder) => encoder.flush()?,
            Stream::RawDeflate(encoder) => encoder.flush()?,
            Stream::Brotli(encoder) => encoder.flush()?,
            Stream::Zstd(encoder) => encoder.flush()?,
        }
        self.drain(out);
        (self.tally)(0, (out.len() - before) as u64);
        Ok(())
    }

    fn end(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        let before = out.len();
        let mut rest = match std::mem::replace(&mut self.stream, Stream::Over) {
            Stream::Identity | Stream::Over => Vec::new(),
            Stream::Fast(encoder) => {
                encoder.finish(out);
                Vec::new()
            }
            Stream::Gzip(encoder) => encoder.finish()?,
            Stream::Deflate(encoder) => encoder.finish()?,
            Stream::RawDeflate(encoder) => encoder.finish()?,
            Stream::Brotli(encoder) => encoder.into_inner(),
            Stream::Zstd(encoder) => encoder.finish()?,
        };
        out.append(&mut rest);
        (self.tally)(0, (out.len() - before) as u64);
        Ok(())
    }
}

/// Brotli's buffer in bytes, and its window as a power of two: what a proxy can afford per response.
const BROTLI_BUFFER: usize = 4096;
const BROTLI_WINDOW: u32 = 18;

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io::Read;
    use std::rc::Rc;

    use super::*;

    fn decoded(algorithm: CompressionAlgorithm, bytes: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        let result = match algorithm {
            CompressionAlgorithm::Identity => {
                text.extend_from_slice(bytes);
                Ok(0)
            }
            CompressionAlgorithm::Gzip => {
                flate2::read::GzDecoder::new(bytes).read_to_end(&mut text)
            }
            CompressionAlgorithm::Deflate => {
                flate2::read::ZlibDecoder::new(bytes).read_to_end(&mut text)
            }
            CompressionAlgorithm::RawDeflate => {
                flate2::read::DeflateDecoder::new(bytes).read_to_end(&mut text)
            }
            CompressionAlgorithm::Brotli => {
                brotli::Decompressor::new(bytes, 4096).read_to_end(&mut text)
            }
            CompressionAlgorithm::Zstd => zstd::stream::read::Decoder::new(bytes)
                .and_then(|mut decoder| decoder.read_to_end(&mut text)),
        };
        // A stream that is not over yet ends in an error; what was readable counts.
        let _ = result;
        text
    }

    fn text() -> Vec<u8> {
        (0..40_000u32)
            .flat_map(|n| format!("line {} of {}\n", n % 97, n % 13).into_bytes())
            .collect()
    }

    /// Every algorithm at a level of its own crate, and the first one, which is ours for some.
    fn all() -> impl Iterator<Item = (CompressionAlgorithm, Effort)> {
        let all = CompressionAlgorithm::ALL.into_iter();
        all.flat_map(|algorithm| [1, 2].map(|level| (algorithm, Effort { level })))
    }

    #[test]
    fn every_algorithm_gives_back_what_it_was_given() {
        let text = text();
        for (algorithm, effort) in all() {
            let counts = Rc::new(Cell::new((0, 0)));
            let seen = Rc::clone(&counts);
            let mut compressor = Compressor::new(
                algorithm,
                effort,
                Box::new(move |taken, given| {
                    let (a, b) = seen.get();
                    seen.set((a + taken, b + given));
                }),
            )
            .unwrap();
            let mut out = Vec::new();
            for piece in text.chunks(7001) {
                if compressor.piece(piece, &mut out).unwrap() == Flow::Unchanged {
                    out.extend_from_slice(piece);
                }
            }
            compressor.end(&mut out).unwrap();
            assert!(decoded(algorithm, &out) == text, "{algorithm:?}");
            assert_eq!(
                counts.get(),
                (text.len() as u64, out.len() as u64),
                "{algorithm:?}"
            );
            if algorithm != CompressionAlgorithm::Identity {
                assert!(out.len() < text.len() / 2, "{algorithm:?}: {}", out.len());
            }
        }
    }

    #[test]
    fn what_came_before_a_pause_can_be_read_before_the_end() {
        for (algorithm, effort) in all() {
            let mut compressor = Compressor::new(algorithm, effort, Box::new(|_, _| {})).unwrap();
            let mut out = Vec::new();
            if compressor.piece(b"first words", &mut out).unwrap() == Flow::Unchanged {
                out.extend_from_slice(b"first words");
            }
            compressor.pause(&mut out).unwrap();
            assert_eq!(decoded(algorithm, &out), b"first words", "{algorithm:?}");
            let length = out.len();
            compressor.pause(&mut out).unwrap();
            assert_eq!(out.len(), length, "{algorithm:?}: nothing came since");
        }
    }
}
