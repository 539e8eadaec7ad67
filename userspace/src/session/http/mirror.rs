//! `http-request mirror-to`: taking a copy of a request while it passes.
//!
//! The head is copied when the rule applies, the body while it is relayed; what becomes of the copy
//! is [`crate::session::mirror`]'s.

use std::io;

use super::filter::{BodyFilter, Flow};
use super::stream::HttpStream;
use crate::expr::View;
use crate::proto::http::http1::Framing;
use crate::session::mirror::{MOST_BODY, RequestCopy};
use crate::types::ProxyId;

/// The body of a request on its way into a copy.
pub(crate) struct Mirroring(Option<RequestCopy>);

impl HttpStream<'_, '_> {
    /// Copies the request for a backend; `share` of ten thousand requests are copied.
    pub(super) fn mirror(&mut self, backend: ProxyId, share: u16) {
        let chosen = self.view().random() % 10_000 < u64::from(share);
        if !chosen || self.request.upgrade {
            return;
        }
        let connection = self.connection;
        let copy = RequestCopy::new(
            &connection.worker,
            &connection.generation,
            backend,
            &self.messages.request,
        );
        match self.request.framing {
            Framing::None => copy.send(false),
            Framing::Length(0) => copy.send(true),
            // It would be given up later: what is dropped here counts as such.
            Framing::Length(length) if length > MOST_BODY as u64 => {}
            Framing::Length(_) | Framing::Chunked | Framing::UntilClose => {
                let copies = &mut self.messages.mirroring;
                if copies.len() < MOST_BACKENDS {
                    copies.push(Mirroring(Some(copy)));
                }
            }
        }
    }

    /// Lets the copies see the body that is about to be sent.
    pub(super) fn start_mirroring(&mut self) {
        let messages = &mut *self.messages;
        for mirroring in messages.mirroring.drain(..) {
            messages.upload.filter(Box::new(mirroring));
        }
    }
}

impl BodyFilter for Mirroring {
    fn piece(&mut self, piece: &[u8], _out: &mut Vec<u8>) -> io::Result<Flow> {
        if self.0.as_mut().is_some_and(|copy| !copy.add(piece)) {
            self.0 = None;
        }
        Ok(Flow::Unchanged)
    }

    fn end(&mut self, _out: &mut Vec<u8>) -> io::Result<()> {
        if let Some(copy) = self.0.take() {
            copy.send(true);
        }
        Ok(())
    }
}

/// Most copies of one request.
const MOST_BACKENDS: usize = 4;
