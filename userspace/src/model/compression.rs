//! `compression …`: which bodies are compressed, how and from what size on (manual §4.2, §9.2).

/// What a proxy compresses.
#[derive(Clone, Debug, Default)]
pub struct Compression {
    /// `offload`: servers are not told that clients accept compressed responses.
    pub offload: bool,
    /// `algo-req`, `type-req`, `minsize-req`.
    pub request: CompressionSide,
    /// `algo-res`, `type-res`, `minsize-res`; also what `algo` and `type` say.
    pub response: CompressionSide,
    /// `direction`; `response` by default.
    pub direction: CompressionDirection,
    /// `filter comp-req|comp-res|compression`: the sides that filter lines name, whatever `direction` says.
    pub filters: Option<CompressionDirection>,
}

/// What is compressed of one direction.
#[derive(Clone, Debug, Default)]
pub struct CompressionSide {
    /// The algorithms, the preferred one first.
    pub algorithms: Vec<CompressionAlgorithm>,
    /// Beginnings of the media types; empty = all.
    pub types: Vec<String>,
    /// Bodies known to be smaller are passed as they are.
    pub min_size: u64,
}

/// The directions that are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CompressionDirection {
    Request,
    #[default]
    Response,
    Both,
}

impl CompressionDirection {
    /// Both sets.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        if self == other { self } else { Self::Both }
    }
}

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompressionAlgorithm {
    /// Not at all, whatever the client accepts.
    Identity,
    Gzip,
    /// RFC 1950, as the standard says.
    Deflate,
    /// RFC 1951 without a wrapper, as browsers want it.
    RawDeflate,
    /// An extension of this program.
    Brotli,
    /// An extension of this program.
    Zstd,
}

impl CompressionAlgorithm {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Identity,
        Self::Gzip,
        Self::Deflate,
        Self::RawDeflate,
        Self::Brotli,
        Self::Zstd,
    ];

    /// Its name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::RawDeflate => "raw-deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    /// Its content coding.
    pub const fn coding(self) -> &'static str {
        match self {
            Self::RawDeflate => "deflate",
            other => other.name(),
        }
    }
}
