//! A client's request on HTTP/2, and the way its answer takes.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use http::request::Parts;

use super::halves::{Base, Halves, Shared};
use super::watch::Traffic;
use crate::net::Stream;
use crate::proto::http::Head;
use crate::proto::http::http1::{Framing, Limits, Reason, Request};
use crate::proto::http::http2::{decode_request, encode_interim, encode_response};
use crate::session::http::errors::Failure;

/// See the module's documentation.
pub(crate) struct Reply {
    halves: Rc<RefCell<Halves>>,
    request: Option<Parts>,
    traffic: Rc<Traffic>,
    /// What the stream's window can be raised by.
    raise: u32,
    /// A body that fits this needs no larger window.
    announced: u32,
}

impl Reply {
    /// Takes a request in; its bodies move through the byte stream.
    pub(super) fn to(
        request: http::Request<h2::RecvStream>,
        respond: h2::server::SendResponse<Bytes>,
        base: Rc<Base>,
        traffic: Rc<Traffic>,
        announced: u32,
        raise: u32,
    ) -> (Self, Stream) {
        let (parts, receive) = request.into_parts();
        let mut halves = Halves::new(Limits::default());
        halves.over = receive.is_end_stream();
        halves.receive = Some(receive);
        halves.respond = Some(respond);
        let halves = Rc::new(RefCell::new(halves));
        let stream = Stream::carried(Box::new(Shared(Rc::clone(&halves), base)));
        let reply = Self {
            halves,
            request: Some(parts),
            traffic,
            announced,
            raise,
        };
        (reply, stream)
    }

    /// The request's head. A request that is none is reset.
    pub(crate) fn request(&mut self, head: &mut Head, limits: &Limits) -> Result<Request, Reason> {
        let ended = self.halves.borrow().over;
        let Some(parts) = self.request.take() else {
            return Err(Reason::Method);
        };
        let decoded = decode_request(&parts, ended, head, limits);
        match decoded {
            Ok(request) => self.make_room(&request),
            Err(_) => {
                self.halves.borrow_mut().reset(h2::Reason::PROTOCOL_ERROR);
                self.traffic.glitch();
            }
        }
        decoded
    }

    /// Lets a large body come faster than the announced window lets it.
    fn make_room(&self, request: &Request) {
        let large = match request.framing {
            Framing::None if request.upgrade => true,
            Framing::None => false,
            Framing::Length(length) => length > u64::from(self.announced),
            Framing::Chunked | Framing::UntilClose => true,
        };
        let halves = self.halves.borrow();
        if let (true, Some(respond)) = (large, &halves.respond) {
            let stream = respond.stream_id().as_u32();
            self.traffic.raise_window(stream, self.raise);
        }
    }

    /// Sends the final response's head; `ends` when no body follows.
    pub(crate) fn head(&self, head: &Head, framing: Framing, ends: bool) -> Result<(), Failure> {
        let response = encode_response(head, framing).ok_or(Failure::Internal)?;
        let mut halves = self.halves.borrow_mut();
        let mut respond = halves.respond.take().ok_or(Failure::ClientReset)?;
        let send = respond
            .send_response(response, ends)
            .map_err(|_| Failure::ClientReset)?;
        halves.send = Some(send);
        halves.ended = ends;
        Ok(())
    }

    /// Sends an interim response.
    pub(crate) fn interim(&self, head: &Head) -> Result<(), Failure> {
        let Some(response) = encode_interim(head) else {
            return Ok(());
        };
        let mut halves = self.halves.borrow_mut();
        let respond = halves.respond.as_mut().ok_or(Failure::ClientReset)?;
        respond
            .send_informational(response)
            .map_err(|_| Failure::ClientReset)
    }

    /// Tells the client that no answer comes, or not all of it; the reason is for its own use.
    pub(crate) fn reset(&self, reason: h2::Reason) {
        let mut halves = self.halves.borrow_mut();
        if !halves.ended {
            halves.reset(reason);
        }
    }
}
