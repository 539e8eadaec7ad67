//! The head of one message: start line and fields.
//!
//! All text lies in one buffer; start line and fields are an index into it. An edit changes the
//! index and appends bytes, so a head costs no allocation once its two vectors have grown, and is
//! reused with [`Head::clear`]. Field names are kept in lower case, as HAProxy sends them (manual,
//! `option h1-case-adjust-bogus-client`). Framing is not decided here: the codec does.

use super::Method;

/// The start line and fields of a request or a response.
#[derive(Clone, Debug, Default)]
pub struct Head {
    text: Vec<u8>,
    fields: Vec<Field>,
    start: Start,
    version: Version,
}

/// The version a message was received with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    Http10,
    #[default]
    Http11,
    Http2,
    Http3,
}

impl Version {
    /// The number alone, as `req.ver` gives it.
    #[must_use]
    pub fn number(self) -> &'static str {
        match self {
            Self::Http10 => "1.0",
            Self::Http11 => "1.1",
            Self::Http2 => "2.0",
            Self::Http3 => "3.0",
        }
    }
}

/// Making a head.
impl Head {
    /// Empties the head and keeps its memory.
    pub fn clear(&mut self) {
        self.text.clear();
        self.fields.clear();
        self.start = Start::default();
        self.version = Version::Http11;
    }

    /// Makes this a request without fields.
    pub fn start_request(&mut self, method: &[u8], target: &[u8], version: Version) {
        self.clear();
        let name = self.append(method);
        let target = self.append(target);
        self.start = Start::Request {
            method: Method::parse(method),
            name,
            target,
        };
        self.version = version;
    }

    /// Makes this a response without fields.
    pub fn start_response(&mut self, status: u16, reason: &[u8], version: Version) {
        self.clear();
        let reason = self.append(reason);
        self.start = Start::Response { status, reason };
        self.version = version;
    }
}

/// The start line.
impl Head {
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    pub fn set_version(&mut self, version: Version) {
        self.version = version;
    }

    /// Whether this is the head of a request.
    #[must_use]
    pub fn is_request(&self) -> bool {
        matches!(self.start, Start::Request { .. })
    }

    /// The request's method; [`Method::Other`] for a response.
    #[must_use]
    pub fn method(&self) -> Method {
        match self.start {
            Start::Request { method, .. } => method,
            Start::Response { .. } => Method::Other,
        }
    }

    /// The method as it was sent; empty for a response.
    #[must_use]
    pub fn method_name(&self) -> &[u8] {
        match self.start {
            Start::Request { name, .. } => self.bytes(name),
            Start::Response { .. } => b"",
        }
    }

    pub fn set_method(&mut self, method: &[u8]) {
        let new_name = self.append(method);
        if let Start::Request {
            method: kind, name, ..
        } = &mut self.start
        {
            *kind = Method::parse(method);
            *name = new_name;
        }
    }

    /// The request target (URI), in whatever form it was sent; empty for a response.
    ///
    /// [`super::uri`] takes it apart.
    #[must_use]
    pub fn target(&self) -> &[u8] {
        match self.start {
            Start::Request { target, .. } => self.bytes(target),
            Start::Response { .. } => b"",
        }
    }

    pub fn set_target(&mut self, new: &[u8]) {
        let new = self.append(new);
        if let Start::Request { target, .. } = &mut self.start {
            *target = new;
        }
    }

    /// The response's status; 0 for a request.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self.start {
            Start::Response { status, .. } => status,
            Start::Request { .. } => 0,
        }
    }

    /// The reason phrase, possibly empty.
    #[must_use]
    pub fn reason(&self) -> &[u8] {
        match self.start {
            Start::Response { reason, .. } => self.bytes(reason),
            Start::Request { .. } => b"",
        }
    }

    pub fn set_status(&mut self, new: u16, new_reason: &[u8]) {
        let new_reason = self.append(new_reason);
        if let Start::Response { status, reason } = &mut self.start {
            *status = new;
            *reason = new_reason;
        }
    }
}

/// Reading fields. Names are compared without regard to case.
impl Head {
    /// All fields in order, as (lower-case name, trimmed value).
    pub fn fields(&self) -> impl DoubleEndedIterator<Item = (&[u8], &[u8])> + ExactSizeIterator {
        self.fields
            .iter()
            .map(|field| (self.bytes(field.name), self.bytes(field.value)))
    }

    /// The number of fields.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The whole values of all fields with this name, in order (HAProxy's `req.fhdr`).
    pub fn values<'a>(&'a self, name: &'a [u8]) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        self.fields
            .iter()
            .filter(move |field| self.is_named(field, name))
            .map(|field| self.bytes(field.value))
    }

    /// The comma-separated elements of all fields with this name (HAProxy's `req.hdr`).
    pub fn elements<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.values(name).flat_map(super::items)
    }

    /// The value of the first field with this name.
    #[must_use]
    pub fn first(&self, name: &[u8]) -> Option<&[u8]> {
        self.fields
            .iter()
            .find(|field| self.is_named(field, name))
            .map(|field| self.bytes(field.value))
    }

    /// The value of the last field with this name.
    #[must_use]
    pub fn last(&self, name: &[u8]) -> Option<&[u8]> {
        self.fields
            .iter()
            .rfind(|field| self.is_named(field, name))
            .map(|field| self.bytes(field.value))
    }

    #[must_use]
    pub fn contains(&self, name: &[u8]) -> bool {
        self.first(name).is_some()
    }

    /// Whether some element of the fields with this name is `token`, in any case.
    #[must_use]
    pub fn has_token(&self, name: &[u8], token: &[u8]) -> bool {
        self.fields
            .iter()
            .filter(|field| self.is_named(field, name))
            .flat_map(|field| super::items(self.bytes(field.value)))
            .any(|element| element.eq_ignore_ascii_case(token))
    }
}

/// Editing fields.
impl Head {
    /// Appends a field. White space around the value is kept: readers leave it out (`url_dec` may end in a space).
    pub fn add(&mut self, name: &[u8], value: &[u8]) {
        let line = self.text.len();
        self.text.extend_from_slice(name);
        let name = Span::between(line, self.text.len());
        self.text[name.range()].make_ascii_lowercase();
        self.text.extend_from_slice(b": ");
        let value = self.append(value);
        self.text.extend_from_slice(b"\r\n");
        self.fields.push(Field { name, value });
    }

    /// Removes every field with this name and appends one.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        self.remove(name);
        self.add(name, value);
    }

    /// Removes every field with this name; tells how many there were.
    pub fn remove(&mut self, name: &[u8]) -> usize {
        self.remove_where(|candidate, _| candidate.eq_ignore_ascii_case(name))
    }

    /// Removes every field for which `unwanted(name, value)` holds; tells how many there were.
    pub fn remove_where(&mut self, mut unwanted: impl FnMut(&[u8], &[u8]) -> bool) -> usize {
        let before = self.fields.len();
        let text = &self.text;
        self.fields
            .retain(|field| !unwanted(&text[field.name.range()], &text[field.value.range()]));
        before - self.fields.len()
    }

    /// Rewrites the values of the fields with this name, each where it stands.
    ///
    /// `rewrite` sees the old value and appends the new one to the empty buffer it is given (which
    /// is `scratch`, so that the caller's memory is reused); `false` keeps the old value.
    pub fn rewrite_values(
        &mut self,
        name: &[u8],
        scratch: &mut Vec<u8>,
        mut rewrite: impl FnMut(&[u8], &mut Vec<u8>) -> bool,
    ) {
        for at in 0..self.fields.len() {
            let field = self.fields[at];
            if !self.is_named(&field, name) {
                continue;
            }
            scratch.clear();
            if rewrite(self.bytes(field.value), scratch) {
                self.fields[at].value = self.append(scratch);
            }
        }
    }
}

/// What the codecs need.
impl Head {
    /// Where the text of all parts lies.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Bytes of text the head has taken so far, edits included.
    #[must_use]
    pub fn text_len(&self) -> usize {
        self.text.len()
    }

    /// Appends all fields to `out`, each as `name: value` and CRLF.
    pub fn write_fields(&self, out: &mut Vec<u8>) {
        self.write_fields_where(out, |_, _| true);
    }

    /// Appends those fields for which `wanted(name, value)` holds, each as `name: value` and CRLF.
    ///
    /// Neighbours that stand ready in the text are copied in one piece.
    pub fn write_fields_where(
        &self,
        out: &mut Vec<u8>,
        mut wanted: impl FnMut(&[u8], &[u8]) -> bool,
    ) {
        let mut run = 0..0;
        for field in &self.fields {
            if !wanted(self.bytes(field.name), self.bytes(field.value)) {
                continue;
            }
            match self.line(field) {
                Some(line) if line.start == run.end => run.end = line.end,
                Some(line) => {
                    out.extend_from_slice(&self.text[run]);
                    run = line;
                }
                None => {
                    out.extend_from_slice(&self.text[run]);
                    run = 0..0;
                    out.extend_from_slice(self.bytes(field.name));
                    out.extend_from_slice(b": ");
                    out.extend_from_slice(self.bytes(field.value));
                    out.extend_from_slice(b"\r\n");
                }
            }
        }
        out.extend_from_slice(&self.text[run]);
    }

    /// Continues the value of the field added last, after one space: a folded line, repaired.
    ///
    /// Returns false, and does nothing, when there is no such field.
    pub fn extend_last_value(&mut self, more: &[u8]) -> bool {
        let Some(field) = self.fields.last_mut() else {
            return false;
        };
        debug_assert_eq!(
            field.value.range().end + 2,
            self.text.len(),
            "called right after add"
        );
        self.text.truncate(field.value.range().end);
        if field.value.length != 0 && !more.is_empty() {
            self.text.push(b' ');
        }
        self.text.extend_from_slice(more);
        field.value = Span::between(field.value.range().start, self.text.len());
        self.text.extend_from_slice(b"\r\n");
        true
    }

    /// The text range of a field that stands there ready to be sent; most do, and neighbours are
    /// then copied in one piece.
    fn line(&self, field: &Field) -> Option<std::ops::Range<usize>> {
        let (name, value) = (field.name.range(), field.value.range());
        let ready = value.start == name.end + 2
            && self.text[name.end..value.start] == *b": "
            && self.text.get(value.end..value.end + 2) == Some(b"\r\n");
        ready.then(|| name.start..value.end + 2)
    }

    fn is_named(&self, field: &Field, name: &[u8]) -> bool {
        field.name.length as usize == name.len()
            && self.bytes(field.name).eq_ignore_ascii_case(name)
    }

    fn bytes(&self, span: Span) -> &[u8] {
        &self.text[span.range()]
    }

    fn append(&mut self, bytes: &[u8]) -> Span {
        let start = self.text.len();
        self.text.extend_from_slice(bytes);
        Span::between(start, self.text.len())
    }
}

#[derive(Clone, Copy, Debug)]
enum Start {
    Request {
        method: Method,
        name: Span,
        target: Span,
    },
    Response {
        status: u16,
        reason: Span,
    },
}

impl Default for Start {
    fn default() -> Self {
        Self::Response {
            status: 0,
            reason: Span::default(),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Field {
    name: Span,
    value: Span,
}

/// A piece of the head's text.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u32,
    length: u32,
}

impl Span {
    fn between(start: usize, end: usize) -> Self {
        let narrow = |n: usize| u32::try_from(n).expect("a head is far smaller than 4 GiB");
        Self {
            start: narrow(start),
            length: narrow(end - start),
        }
    }

    fn range(self) -> std::ops::Range<usize> {
        let start = self.start as usize;
        start..start + self.length as usize
    }
}

#[cfg(test)]
mod tests;
