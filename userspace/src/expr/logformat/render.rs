//! From items to text.

use std::io::Write;
use std::net::IpAddr;

use super::alias::{Absent, Alias, DateForm, RequestPart, Value};
use super::encode;
use super::escape::Escape;
use super::{Item, LogFormat, Options, Purpose};
use crate::expr::fetch::process_id;
use crate::expr::time::{Civil, local_offset};
use crate::expr::{
    Address, Data, Direction, Number, Sample, SampleType, Side, Text, TlsText, View,
};
use crate::proto::http::uri;

pub(super) fn render(format: &LogFormat, view: &dyn View, out: &mut Vec<u8>) {
    if let Some((encoding, binary)) = format.object {
        return encode::object(format, encoding, binary, view, out);
    }
    let mut line = Line {
        view,
        purpose: format.purpose,
        out,
        after_space: true,
    };
    for item in &format.items {
        line.item(item);
    }
}

/// The value of an item before anything is escaped, for encodings: a number where the item is one.
pub(super) fn value_of<'a>(item: &'a Item, view: &'a dyn View) -> Option<Sample<'a>> {
    match item {
        Item::Expression(expression, _) => match expression.eval(view)? {
            sample @ (Sample::Bool(_) | Sample::Int(_) | Sample::Bin(_)) => Some(sample),
            sample => Some(Sample::str(sample.to_text().into_owned())),
        },
        Item::Alias(alias, options) => {
            let mut text = Vec::new();
            let mut line = Line {
                view,
                purpose: Purpose::Variable,
                out: &mut text,
                after_space: true,
            };
            let options = Options {
                hexadecimal: options.hexadecimal,
                ..Options::default()
            };
            line.alias(*alias, options);
            if alias.is_number() && !options.hexadecimal {
                let digits = text.strip_prefix(b"+").unwrap_or(&text);
                return std::str::from_utf8(digits)
                    .ok()?
                    .parse()
                    .ok()
                    .map(Sample::Int);
            }
            (!text.is_empty()).then(|| Sample::str(text))
        }
        Item::Literal(_) | Item::Space | Item::Named(_) => None,
    }
}

/// A line being written.
struct Line<'a> {
    view: &'a dyn View,
    purpose: Purpose,
    out: &'a mut Vec<u8>,
    /// Another separator would be superfluous.
    after_space: bool,
}

impl Line<'_> {
    fn item(&mut self, item: &Item) {
        let before = self.out.len();
        match item {
            Item::Space => {
                if !self.after_space {
                    self.out.push(b' ');
                    self.after_space = true;
                }
                return;
            }
            Item::Literal(text) => self.out.extend_from_slice(text),
            Item::Alias(alias, options) => self.alias(*alias, *options),
            Item::Expression(expression, options) => {
                self.sample(expression.eval(self.view), *options);
            }
            Item::Named(named) => {
                let options = match &named.item {
                    Item::Alias(_, options) | Item::Expression(_, options) => *options,
                    _ => Options::default(),
                };
                match options.encoding {
                    Some(encoding) => encode::single(named, encoding, options, self.view, self.out),
                    None => return self.item(&named.item),
                }
            }
        }
        // An empty list of captures leaves no second space behind; other empty values stand for themselves.
        let vanishes = matches!(
            item,
            Item::Alias(
                Alias {
                    value: Value::Captures(_) | Value::CaptureList(_),
                    ..
                },
                _
            )
        );
        if self.out.len() > before || !vanishes {
            self.after_space = false;
        }
    }

    fn sample(&mut self, sample: Option<Sample<'_>>, options: Options) {
        if options.binary {
            if let Some(sample) = sample {
                self.out.extend_from_slice(&sample.to_text());
            }
            return;
        }
        let text = sample.and_then(|sample| sample.cast(SampleType::Str));
        let text = text.as_ref().map(Sample::to_text);
        let (escape, quotes) = match self.purpose {
            Purpose::Log | Purpose::StructuredData => (Escape::Log, true),
            Purpose::Variable => (Escape::Nothing, true),
            // In what becomes part of a message, expressions are not quoted.
            Purpose::UniqueId | Purpose::Http => (Escape::Http, false),
        };
        let quoted = options.quoted && quotes;
        self.text(text.as_deref(), escape, Options { quoted, ..options });
    }

    /// A string with its quotes; an absent or empty one is `-` in logs.
    fn text(&mut self, text: Option<&[u8]>, escape: Escape, options: Options) {
        let quote = |out: &mut Vec<u8>| {
            if options.quoted {
                out.push(b'"');
            }
        };
        quote(self.out);
        match text.filter(|text| !text.is_empty()) {
            Some(text) => escape.append(text, options.escaped, self.out),
            None if options.quoted || !self.purpose.marks_absence() => {}
            None => self.out.push(b'-'),
        }
        quote(self.out);
    }

    fn alias(&mut self, alias: Alias, options: Options) {
        let view = self.view;
        match alias.value {
            Value::Address(which) => self.address(which, options),
            Value::Port(which) => self.port(which, options),
            Value::Text(which, absent) => {
                let text = view.text(which);
                match (text.as_deref(), absent) {
                    (None, Absent::Word(word)) => {
                        self.text(Some(word.as_bytes()), Escape::Nothing, options)
                    }
                    (text, _) => self.text(text, Escape::Log, options),
                }
            }
            Value::Number(which, absent) => match view.number(which) {
                Some(number) => self.write(format_args!("{number}")),
                None => self.out.extend_from_slice(absent.as_bytes()),
            },
            Value::Total(which) => {
                let early = view.number(Number::LoggedEarly) == Some(1);
                let sign = if early { "+" } else { "" };
                self.write(format_args!("{sign}{}", view.number(which).unwrap_or(0)));
            }
            Value::Date(which, form) => self.date(which, form, options),
            Value::FrontendAndTransport => self.frontend(options),
            Value::Hostname => {
                let name = rustix::system::uname();
                self.text(Some(name.nodename().to_bytes()), Escape::Nothing, options);
            }
            Value::LogCounter => self.write(format_args!(
                "{}",
                view.number(Number::LogCounter).unwrap_or(0)
            )),
            Value::RequestCounter => {
                self.counted(view.number(Number::TransactionId).unwrap_or(0), options)
            }
            Value::Pid => self.counted(process_id(view), options),
            Value::Retries => {
                let redispatched = view.number(Number::Redispatched) == Some(1);
                let sign = if redispatched { "+" } else { "" };
                self.write(format_args!(
                    "{sign}{}",
                    view.number(Number::Retries).unwrap_or(0)
                ));
            }
            Value::Request(part) => self.request(part, options),
            Value::Captures(direction) => self.captures(direction, options),
            Value::CaptureList(direction) => self.capture_list(direction, options),
            Value::Cipher => self.tls(TlsText::Cipher, options),
            Value::TlsVersion => self.tls(TlsText::Protocol, options),
            Value::Termination => self.state(Text::TerminationState),
            Value::TerminationWithCookies => {
                self.state(Text::TerminationState);
                self.state(Text::TerminationCookie);
            }
        }
    }

    /// Two characters, never quoted.
    fn state(&mut self, which: Text) {
        match self.view.text(which) {
            Some(state) => self.out.extend_from_slice(&state),
            None => self.out.extend_from_slice(b"--"),
        }
    }

    fn address(&mut self, which: Address, options: Options) {
        let address = self
            .view
            .address(which)
            .map(|address| address.ip().to_canonical());
        match address {
            Some(IpAddr::V4(address)) if options.hexadecimal => {
                self.write(format_args!("{:08X}", u32::from(address)));
            }
            Some(IpAddr::V6(address)) if options.hexadecimal => {
                self.write(format_args!("{:032X}", u128::from(address)));
            }
            Some(address) if options.quoted => self.write(format_args!("\"{address}\"")),
            Some(address) => self.write(format_args!("{address}")),
            None => self.text(None, Escape::Nothing, options),
        }
    }

    fn port(&mut self, which: Address, options: Options) {
        match self.view.address(which).map(|address| address.port()) {
            Some(port) if options.hexadecimal => self.write(format_args!("{port:04X}")),
            Some(port) => self.write(format_args!("{port}")),
            None => self.text(None, Escape::Nothing, options),
        }
    }

    /// A number that `+X` shows in hexadecimal.
    fn counted(&mut self, number: i64, options: Options) {
        if options.hexadecimal {
            self.write(format_args!("{:04X}", number as u32));
        } else {
            self.write(format_args!("{number}"));
        }
    }

    fn date(&mut self, which: Number, form: DateForm, options: Options) {
        let Some(micros) = self.view.number(which) else {
            return self.text(None, Escape::Nothing, options);
        };
        let (seconds, micros) = (
            micros.div_euclid(1_000_000),
            micros.rem_euclid(1_000_000) as u32,
        );
        let millis = micros / 1000;
        let date = match form {
            DateForm::Epoch => return self.counted(seconds, options),
            DateForm::Millis if options.hexadecimal => {
                return self.write(format_args!("{millis:02X}"));
            }
            DateForm::Millis => return self.write(format_args!("{millis:03}")),
            DateForm::Utc => Civil::new(seconds, micros, 0),
            DateForm::Local | DateForm::LocalMillis => {
                Civil::new(seconds, micros, local_offset(seconds))
            }
        };
        self.write(format_args!(
            "{:02}/{}/{:04}:{:02}:{:02}:{:02}",
            date.day,
            date.month_name(),
            date.year,
            date.hour,
            date.minute,
            date.second
        ));
        if form == DateForm::LocalMillis {
            self.write(format_args!(".{millis:03}"));
        } else {
            self.out.push(b' ');
            date.strftime("%z", self.out);
        }
    }

    /// The name, with `~` where the client's connection is encrypted.
    fn frontend(&mut self, options: Options) {
        let mut name = self.view.text(Text::FrontendName).map(Data::into_vec);
        if let Some(name) = &mut name
            && self.view.tls(Side::Front).is_some()
        {
            name.push(b'~');
        }
        self.text(name.as_deref(), Escape::Nothing, options);
    }

    fn tls(&mut self, which: TlsText, options: Options) {
        let text = self.view.tls(Side::Front).and_then(|tls| tls.text(which));
        self.text(text.as_deref(), Escape::Nothing, options);
    }

    fn request(&mut self, part: RequestPart, options: Options) {
        let line = self.view.text(Text::RequestLine);
        let line = line.as_deref().unwrap_or(b"<BADREQ>");
        let text = request_part(line, part);
        self.text(text, Escape::LogUri, options);
    }

    fn captures(&mut self, direction: Direction, options: Options) {
        let slots = self.view.capture_slots(direction);
        if slots == 0 || !self.has_message(direction) {
            return;
        }
        let quote = options.quoted.then_some(b'"');
        self.out.extend(quote);
        for slot in 0..slots {
            self.out.push(if slot == 0 { b'{' } else { b'|' });
            if let Some(value) = self.view.capture(direction, slot) {
                Escape::LogHeader.append(&value, options.escaped, self.out);
            }
        }
        self.out.push(b'}');
        self.out.extend(quote);
    }

    fn capture_list(&mut self, direction: Direction, options: Options) {
        if !self.has_message(direction) {
            return;
        }
        for slot in 0..self.view.capture_slots(direction) {
            if slot > 0 {
                self.out.push(b' ');
            }
            let value = self.view.capture(direction, slot);
            self.text(value.as_deref(), Escape::LogHeader, options);
        }
    }

    /// Captures exist only where a message was received.
    fn has_message(&self, direction: Direction) -> bool {
        match direction {
            Direction::Request => self.view.text(Text::RequestLine).is_some(),
            Direction::Response => true,
        }
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a vector cannot fail.
        let _ = self.out.write_fmt(text);
    }
}

/// A part of `GET /path?query HTTP/1.1`; a line that is no request is shown as it is.
fn request_part(line: &[u8], part: RequestPart) -> Option<&[u8]> {
    if part == RequestPart::Line || line.starts_with(b"<") {
        return Some(line);
    }
    let mut words = line.splitn(2, |byte| *byte == b' ');
    let method = words.next()?;
    let rest = words.next().unwrap_or_default();
    let (target, version) = match memchr::memrchr(b' ', rest) {
        Some(at) => (&rest[..at], &rest[at + 1..]),
        None => (rest, &b"HTTP/0.9"[..]),
    };
    match part {
        RequestPart::Line => Some(line),
        RequestPart::Method => Some(method),
        RequestPart::Version => Some(version),
        RequestPart::Uri => Some(target),
        RequestPart::UriPath => target.split(|byte| *byte == b'?').next(),
        RequestPart::Path => uri::path(target),
        RequestPart::Query => memchr::memchr(b'?', target).map(|at| &target[at..]),
    }
}
