//! Keeping a response while it passes (`http-response cache-store`).

use std::io;
use std::sync::Arc;

use super::super::filter::{BodyFilter, Flow};
use super::super::stream::HttpStream;
use super::{hints, policy, variants};
use crate::clock;
use crate::model::EarlyHints;
use crate::proto::http::http1::Framing;
use crate::proto::http::{Head, items};
use crate::state::{Cache, Entry, Reservation};

/// A response on its way into the cache.
pub(crate) struct Storing {
    cache: Arc<Cache>,
    /// The entry without its body.
    entry: Entry,
    body: Vec<u8>,
    /// `None` once it turned out not to fit.
    room: Option<Reservation>,
}

impl HttpStream<'_, '_> {
    /// Gets a response kept, if it may be, as the rules so far have made its head.
    pub(in crate::session::http) fn store_in_cache(&mut self, index: usize) {
        let cache = self.connection.generation.state().cache(index).cloned();
        let Some(cache) = cache.filter(|_| self.messages.storing.is_none()) else {
            return;
        };
        self.messages.storing = self.storing(cache);
    }

    fn storing(&self, cache: Arc<Cache>) -> Option<Box<Storing>> {
        let ticket = self.messages.ticket.as_ref()?;
        let same = Arc::ptr_eq(&ticket.cache, &cache);
        if !same || !ticket.store || ticket.hit.is_some() {
            return None;
        }
        let settings = cache.settings();
        let response = &self.messages.response;
        let freshness = policy::freshness(response, settings, clock::wall())?;
        let length = match self.response_framing {
            Framing::Length(length) => length,
            Framing::Chunked => 0,
            // Its end could not be told from an interruption.
            Framing::None | Framing::UntilClose => return None,
        };
        let vary = match settings.process_vary {
            true => variants::vary(response, &ticket.selecting).ok()?,
            false if response.contains(b"vary") => return None,
            false => None,
        };
        let now = clock::now();
        if vary.is_some() && !cache.has_room_for_variant(&ticket.key, now) {
            return None;
        }
        let hints_only = settings.early_hints == EarlyHints::Only;
        let hints = match settings.early_hints {
            EarlyHints::Off => Box::default(),
            EarlyHints::On | EarlyHints::Only => hints::of(response),
        };
        if hints_only && hints.is_empty() {
            return None;
        }
        let entry = Entry {
            hash: xxhash_rust::xxh3::xxh3_64(&ticket.key) as u32,
            key: ticket.key.clone(),
            vary,
            head: match hints_only {
                true => Head::default(),
                false => stored_head(response),
            },
            body: Box::default(),
            hints,
            hints_only,
            age: freshness.age,
            stored: now,
            expires: now.after(freshness.lifetime.0),
        };
        let length = if hints_only { 0 } else { length };
        let size = entry.size().saturating_add(length);
        if !hints_only && size > settings.max_object_size {
            return None;
        }
        Some(Box::new(Storing {
            room: Some(cache.reserve(size)?),
            cache,
            entry,
            body: Vec::with_capacity(usize::try_from(length).ok()?),
        }))
    }
}

impl BodyFilter for Storing {
    fn piece(&mut self, piece: &[u8], _out: &mut Vec<u8>) -> io::Result<Flow> {
        let Some(room) = self.room.as_mut().filter(|_| !self.entry.hints_only) else {
            return Ok(Flow::Unchanged);
        };
        let size = self.entry.size() + (self.body.len() + piece.len()) as u64;
        if size <= self.cache.settings().max_object_size && room.grow_to(size) {
            self.body.extend_from_slice(piece);
        } else {
            self.room = None;
            self.body = Vec::new();
        }
        Ok(Flow::Unchanged)
    }

    fn end(&mut self, _out: &mut Vec<u8>) -> io::Result<()> {
        let Some(room) = self.room.take() else {
            return Ok(());
        };
        let entry = Entry {
            key: std::mem::take(&mut self.entry.key),
            vary: self.entry.vary.take(),
            head: std::mem::take(&mut self.entry.head),
            body: std::mem::take(&mut self.body).into_boxed_slice(),
            hints: std::mem::take(&mut self.entry.hints),
            ..self.entry
        };
        room.insert(entry);
        Ok(())
    }
}

/// The head as it is kept: without what belongs to one connection or one transfer.
fn stored_head(response: &Head) -> Head {
    let mut head = Head::default();
    head.start_response(response.status(), response.reason(), response.version());
    let named: Vec<&[u8]> = response.values(b"connection").flat_map(items).collect();
    let passing: [&[u8]; 7] = [
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"transfer-encoding",
        b"content-length",
        b"upgrade",
        b"age",
    ];
    for (name, value) in response.fields() {
        let listed = named.iter().any(|other| other.eq_ignore_ascii_case(name));
        if !listed && !passing.contains(&name) {
            head.add(name, value);
        }
    }
    head
}
