//! What the configuration wants remembered of a request and its response: header captures and the
//! captured cookie (manual §8.8).

use super::messages::HttpFacts;
use super::stream::HttpStream;
use crate::expr::{Direction, View};
use crate::proto::http::Head;
use crate::proto::http::cookie::{cookies, set_cookie};

impl HttpStream<'_, '_> {
    /// Captures from the request that was just read.
    pub(super) fn capture_request(&mut self) {
        self.capture_headers(Direction::Request);
        let Some((name, most)) = &self.proxy().capture_cookie else {
            return;
        };
        let messages = &mut *self.messages;
        let found = messages
            .request
            .values(b"cookie")
            .flat_map(cookies)
            .find(|cookie| cookie.name.starts_with(name.as_bytes()));
        if let Some(cookie) = found {
            remember(
                &mut messages.facts.request_cookie,
                cookie.name,
                cookie.value,
                *most,
            );
        }
    }

    /// Captures from the server's response.
    pub(super) fn capture_response(&mut self) {
        self.capture_headers(Direction::Response);
        let Some((name, most)) = &self.proxy().capture_cookie else {
            return;
        };
        let messages = &mut *self.messages;
        let found = messages
            .response
            .values(b"set-cookie")
            .filter_map(set_cookie)
            .find(|cookie| cookie.name.starts_with(name.as_bytes()));
        if let Some(cookie) = found {
            remember(
                &mut messages.facts.response_cookie,
                cookie.name,
                cookie.value,
                *most,
            );
        }
    }

    fn capture_headers(&self, message: Direction) {
        let proxy = self.proxy();
        if proxy.captures.is_empty() {
            return;
        }
        let view = self.view();
        let head = match message {
            Direction::Request => &self.messages.request,
            Direction::Response => &self.messages.response,
        };
        let response = message == Direction::Response;
        let slots = proxy
            .captures
            .iter()
            .filter(|slot| slot.response == response);
        for (index, slot) in slots.enumerate() {
            if let Some(name) = &slot.header
                && let Some(value) = head.last(name.as_bytes())
            {
                view.set_capture(message, index, value);
            }
        }
    }
}

impl HttpFacts {
    /// Remembers the request line, before any rule changes it: at most so many bytes (`tune.http.logurilen`).
    pub(super) fn remember(&mut self, head: &Head, most: usize) {
        self.line.clear();
        self.line.extend_from_slice(head.method_name());
        self.line.push(b' ');
        self.line.extend_from_slice(head.target());
        self.line.extend_from_slice(b" HTTP/");
        self.line
            .extend_from_slice(head.version().number().as_bytes());
        self.line.truncate(most);
    }
}

fn remember(slot: &mut Vec<u8>, name: &[u8], value: &[u8], most: usize) {
    slot.clear();
    slot.extend_from_slice(name);
    slot.push(b'=');
    slot.extend_from_slice(value);
    slot.truncate(most);
}
