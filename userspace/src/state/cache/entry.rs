//! A stored response, and what tells it from other variants of the same resource.

use crate::clock::Moment;
use crate::model::CACHE_BLOCK;
use crate::proto::http::Head;

/// A stored response.
#[derive(Debug)]
pub struct Entry {
    /// What it is found by: host and URI.
    pub key: Box<[u8]>,
    /// A number for `show cache`.
    pub hash: u32,
    /// What it varies on, when it does.
    pub vary: Option<Vary>,
    /// Status and fields; without fields when only the hints are left.
    pub head: Head,
    pub body: Box<[u8]>,
    /// Values of `Link` fields worth sending ahead.
    pub hints: Box<[Box<[u8]>]>,
    /// Whether the response itself is gone, or never was kept.
    pub hints_only: bool,
    /// The age it had when it came, in seconds.
    pub age: u64,
    pub stored: Moment,
    pub expires: Moment,
}

/// What a stored response varies on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vary {
    /// The codings of the response, where it varies on `accept-encoding`.
    pub encodings: Option<Encodings>,
    /// The request's `referer`, where it varies on that.
    pub referer: Option<Box<[u8]>>,
    /// The same of `origin`.
    pub origin: Option<Box<[u8]>>,
}

/// What of a request chooses among variants.
#[derive(Clone, Debug, Default)]
pub struct Selecting {
    pub accepts: Accepts,
    pub referer: Box<[u8]>,
    pub origin: Box<[u8]>,
}

/// A set of content codings, a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Encodings(pub u16);

/// The content codings a client accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepts(pub Encodings);

impl Default for Accepts {
    /// Anything: the client did not say.
    fn default() -> Self {
        Self(Encodings(u16::MAX))
    }
}

impl Accepts {
    /// Whether all codings of a response are accepted.
    pub const fn all_of(self, encodings: Encodings) -> bool {
        self.0.0 & encodings.0 == encodings.0
    }
}

impl Vary {
    /// Whether a request may be given the variant.
    pub fn suits(&self, request: &Selecting) -> bool {
        self.encodings
            .is_none_or(|encodings| request.accepts.all_of(encodings))
            && self
                .referer
                .as_ref()
                .is_none_or(|referer| *referer == request.referer)
            && self
                .origin
                .as_ref()
                .is_none_or(|origin| *origin == request.origin)
    }
}

impl Entry {
    /// Bytes that are counted for it.
    pub fn size(&self) -> u64 {
        let hints: usize = self.hints.iter().map(|hint| hint.len()).sum();
        let values = self.vary.as_ref().map_or(0, |vary| {
            let length = |value: &Option<Box<[u8]>>| value.as_ref().map_or(0, |value| value.len());
            length(&vary.referer) + length(&vary.origin)
        });
        let head = self.head.text_len() + self.head.len() * FIELD;
        (OVERHEAD + self.key.len() + head + self.body.len() + hints + values) as u64
    }

    /// Blocks that are counted for it.
    pub fn blocks(&self) -> u64 {
        self.size().div_ceil(CACHE_BLOCK)
    }

    /// Its age now, in seconds.
    pub fn age(&self, now: Moment) -> u64 {
        self.age + now.since(self.stored) / 1000
    }

    /// Whether it may still be given to clients.
    pub fn is_fresh(&self, now: Moment) -> bool {
        !self.hints_only && now < self.expires
    }

    /// What is left of it when only the hints are kept.
    pub(super) fn stripped(&self) -> Self {
        Self {
            key: self.key.clone(),
            hash: self.hash,
            vary: self.vary.clone(),
            head: Head::default(),
            body: Box::default(),
            hints: self.hints.clone(),
            hints_only: true,
            ..*self
        }
    }
}

/// Bytes of a field's place in a head, and of an entry's own.
const FIELD: usize = 16;
const OVERHEAD: usize = 128;
