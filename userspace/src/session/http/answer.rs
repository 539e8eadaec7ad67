//! Answers made by the proxy itself: error pages, `return` and `deny`, redirects, challenges.
//!
//! What the configuration says about an answer goes in; a response head and a body come out, ready
//! for the `http-after-response` rules and the encoder. Which answer is due is decided elsewhere.

use std::sync::Arc;

use super::pages;
use crate::expr::{LogFormat, View};
use crate::model::{ErrorFile, ErrorSource, Redirect, RedirectKind, Reply, ReplyBody};
use crate::proto::http::http1::{Exchange, Limits, decode_response};
use crate::proto::http::{Head, Method, Version, uri};

/// A response made here. Its memory is kept for the next one.
#[derive(Default)]
pub(crate) struct Answer {
    pub(crate) head: Head,
    body: Body,
    scratch: Vec<u8>,
}

/// What follows an answer's head.
#[derive(Clone, Debug, Default)]
enum Body {
    #[default]
    Empty,
    Static(&'static [u8]),
    Shared {
        bytes: Arc<[u8]>,
        start: usize,
    },
    Own(Vec<u8>),
}

/// Whether there is something to say at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Something,
    /// The connection is to be closed without a word (`errorfile … /dev/null`).
    Nothing,
}

impl Answer {
    /// The bytes that follow the head.
    pub(crate) fn body(&self) -> &[u8] {
        match &self.body {
            Body::Empty => &[],
            Body::Static(bytes) => bytes,
            Body::Shared { bytes, start } => &bytes[*start..],
            Body::Own(bytes) => bytes,
        }
    }

    /// Replaces the body, for whoever renders it elsewhere (statistics).
    pub(crate) fn set_body(&mut self, bytes: Vec<u8>) {
        self.body = Body::Own(bytes);
    }

    /// Begins an answer without fields or body.
    pub(crate) fn start(&mut self, status: u16) {
        self.head
            .start_response(status, pages::reason(status).as_bytes(), Version::Http11);
        self.body = Body::Empty;
    }

    /// The answer to an error: the first of `files` for that status, else the built-in page.
    pub(crate) fn error<'f>(
        &mut self,
        status: u16,
        files: impl IntoIterator<Item = &'f ErrorFile>,
        view: &dyn View,
    ) -> Said {
        let found = files.into_iter().find(|file| file.status == status);
        match found.map(|file| &file.source) {
            None => {
                self.page(status);
                Said::Something
            }
            Some(ErrorSource::Silent) => Said::Nothing,
            Some(ErrorSource::File { content, .. }) => {
                self.file(status, content);
                Said::Something
            }
            Some(ErrorSource::Location { code, url }) => {
                self.start(*code);
                self.head.add(b"location", url.as_bytes());
                self.head.add(b"cache-control", b"no-cache");
                Said::Something
            }
            Some(ErrorSource::Reply(reply)) => self.reply(reply, std::iter::empty(), view),
        }
    }

    /// The answer of a `return`, `deny` or `http-error`. `files` are the proxies' error files, for
    /// `default-errorfiles`.
    pub(crate) fn reply<'f>(
        &mut self,
        reply: &Reply,
        files: impl IntoIterator<Item = &'f ErrorFile>,
        view: &dyn View,
    ) -> Said {
        match &reply.body {
            ReplyBody::DefaultErrorFiles => {
                if self.error(reply.status, files, view) == Said::Nothing {
                    return Said::Nothing;
                }
            }
            ReplyBody::ErrorFile(file) => {
                if self.error(file.status, [file], view) == Said::Nothing {
                    return Said::Nothing;
                }
            }
            ReplyBody::Empty => self.start(reply.status),
            ReplyBody::Bytes(bytes) => {
                self.start(reply.status);
                self.body = Body::Shared {
                    bytes: Arc::clone(bytes),
                    start: 0,
                };
            }
            ReplyBody::Format(format) => {
                self.start(reply.status);
                let mut body = Vec::new();
                format.render(view, &mut body);
                self.body = Body::Own(body);
            }
        }
        for (name, format) in &reply.headers {
            self.scratch.clear();
            format.render(view, &mut self.scratch);
            // A field without a value is left out, as HAProxy does.
            if !self.scratch.is_empty() {
                self.head.add(name.as_bytes(), &self.scratch);
            }
        }
        if let Some(content_type) = &reply.content_type
            && matches!(reply.body, ReplyBody::Bytes(_) | ReplyBody::Format(_))
            && !self.body().is_empty()
        {
            self.head.add(b"content-type", content_type.as_bytes());
        }
        Said::Something
    }

    /// A redirect. False when its location is empty and that means to go on (`ignore-empty`).
    pub(crate) fn redirect(
        &mut self,
        redirect: &Redirect,
        request: &Head,
        view: &dyn View,
    ) -> bool {
        let mut location = std::mem::take(&mut self.scratch);
        location.clear();
        let made = write_location(redirect, request, view, &mut location);
        if made {
            self.start(redirect.code);
            self.head.add(b"location", &location);
            if !matches!(redirect.code, 301 | 308) {
                self.head.add(b"cache-control", b"no-cache");
            }
            if let Some(cookie) = &redirect.set_cookie {
                self.head.add(b"set-cookie", cookie.as_bytes());
            }
        }
        self.scratch = location;
        made
    }

    /// Turns an error page into a request for credentials: 401, or 407 towards a forward proxy's
    /// client.
    pub(crate) fn challenge(&mut self, realm: &str) {
        let field: &[u8] = match self.head.status() {
            407 => b"proxy-authenticate",
            _ => b"www-authenticate",
        };
        self.scratch.clear();
        self.scratch.extend_from_slice(b"Basic realm=\"");
        self.scratch.extend_from_slice(realm.as_bytes());
        self.scratch.push(b'"');
        self.head.set(field, &self.scratch);
    }

    fn page(&mut self, status: u16) {
        self.start(status);
        let Some(page) = pages::body(status) else {
            return;
        };
        self.head.add(b"cache-control", b"no-cache");
        self.head.add(b"content-type", b"text/html");
        self.body = Body::Static(page.as_bytes());
    }

    /// A complete raw response, as an error file holds it. It was checked at start; should it not
    /// be one after all, the built-in page takes its place.
    fn file(&mut self, status: u16, content: &Arc<[u8]>) {
        let exchange = Exchange {
            method: Method::Get,
            upgrade: false,
        };
        let limits = Limits {
            head: usize::MAX,
            fields: usize::MAX,
            ..Limits::default()
        };
        match decode_response(content, &mut self.head, exchange, &limits) {
            Ok(Some(response)) => {
                self.body = Body::Shared {
                    bytes: Arc::clone(content),
                    start: response.consumed,
                };
            }
            Ok(None) | Err(_) => self.page(status),
        }
    }
}

/// Writes the location of a redirect; false when `ignore-empty` says not to redirect.
fn write_location(redirect: &Redirect, request: &Head, view: &dyn View, out: &mut Vec<u8>) -> bool {
    let rendered = |format: &LogFormat, out: &mut Vec<u8>| {
        let before = out.len();
        format.render(view, out);
        out.len() > before
    };
    match &redirect.kind {
        RedirectKind::Location(format) => {
            if !rendered(format, out) && redirect.ignore_empty {
                return false;
            }
            if redirect.keep_query
                && let Some(query) = uri::query(request.target()).filter(|query| !query.is_empty())
            {
                out.push(if out.contains(&b'?') { b'&' } else { b'?' });
                out.extend_from_slice(query);
            }
        }
        RedirectKind::Scheme(format) => {
            if !rendered(format, out) && redirect.ignore_empty {
                return false;
            }
            out.extend_from_slice(b"://");
            out.extend_from_slice(request.first(b"host").unwrap_or_default());
            write_path(redirect, request, out);
        }
        RedirectKind::Prefix(format) => {
            let found = rendered(format, out);
            if !found && redirect.ignore_empty {
                return false;
            }
            // A prefix of "/" alone means the same place.
            if out == b"/" {
                out.clear();
            }
            write_path(redirect, request, out);
        }
    }
    true
}

/// The request's path and query, as `drop-query` and `append-slash` want them.
fn write_path(redirect: &Redirect, request: &Head, out: &mut Vec<u8>) {
    let whole = uri::path_and_query(request.target()).unwrap_or(b"/");
    if !redirect.drop_query {
        out.extend_from_slice(whole);
        return;
    }
    let path = uri::path(whole).unwrap_or(b"/");
    out.extend_from_slice(path);
    if redirect.append_slash && !path.ends_with(b"/") {
        out.push(b'/');
    }
}
