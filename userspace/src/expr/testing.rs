//! A [`View`] made of literal values, for tests of expressions and of what uses them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{
    Acls, Address, BackendNumber, Body, Buffer, Case, Condition, Data, Direction, Expression,
    Fetched, Files, FrontendNumber, Inspection, LogFormat, MapOutput, Match, NoAcls, Number,
    ParseError, Parsing, PatternSet, Patterns, Purpose, Sample, Scope, ServerNumber, Side, Stage,
    StickAnswer, StickOperation, TableNumber, Text, Tls, VariableMap, Variables, View,
};
use crate::proto::http::{Head, Version};

/// What a test says there is; everything else is absent.
#[derive(Default)]
pub(crate) struct Literal {
    pub(crate) request: Option<Head>,
    pub(crate) response: Option<Head>,
    pub(crate) addresses: HashMap<Address, SocketAddr>,
    pub(crate) numbers: HashMap<Number, i64>,
    pub(crate) texts: HashMap<Text, Vec<u8>>,
    /// Raw bytes, and whether more may come.
    pub(crate) buffer: Option<(Vec<u8>, bool)>,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) inspecting: bool,
    pub(crate) variables: VariableMap,
    pub(crate) captures: RefCell<Vec<(Direction, Option<Vec<u8>>)>>,
    /// Answers by table, key and operation.
    pub(crate) entries: HashMap<(String, String, StickOperation), i64>,
    pub(crate) tracked: HashMap<(u8, StickOperation), i64>,
    pub(crate) backends: HashMap<(String, BackendNumber), i64>,
    pub(crate) servers: HashMap<(String, String, ServerNumber), i64>,
    pub(crate) users: Vec<(&'static str, &'static str, &'static [&'static str])>,
    pub(crate) tls: Option<Box<dyn Tls>>,
    pub(crate) seconds: u64,
}

impl Literal {
    /// A request as it stands on the wire, head and body.
    pub(crate) fn request(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let mut lines = head.split("\r\n");
        let mut start = lines.next().unwrap_or_default().splitn(3, ' ');
        let mut word = || start.next().unwrap_or_default();
        let (method, target, version) = (word(), word(), word());
        let version = match version {
            "HTTP/1.0" => Version::Http10,
            "HTTP/2.0" => Version::Http2,
            _ => Version::Http11,
        };
        let mut request = Head::default();
        request.start_request(method.as_bytes(), target.as_bytes(), version);
        add_fields(&mut request, lines);
        let line = format!("{method} {target} HTTP/{}", version.number());
        Self {
            request: Some(request),
            body: Some(body.as_bytes().to_vec()),
            texts: HashMap::from([(Text::RequestLine, line.into_bytes())]),
            ..Self::default()
        }
    }

    /// A response: status and fields.
    pub(crate) fn with_response(mut self, status: u16, fields: &str) -> Self {
        let mut response = Head::default();
        response.start_response(status, b"", Version::Http11);
        add_fields(&mut response, fields.split("\r\n"));
        self.response = Some(response);
        self
    }

    pub(crate) fn with_address(mut self, which: Address, address: &str) -> Self {
        self.addresses
            .insert(which, address.parse().expect("a literal address"));
        self
    }

    pub(crate) fn with_number(mut self, which: Number, number: i64) -> Self {
        self.numbers.insert(which, number);
        self
    }

    pub(crate) fn with_text(mut self, which: Text, text: &str) -> Self {
        self.texts.insert(which, text.as_bytes().to_vec());
        self
    }
}

fn add_fields<'a>(head: &mut Head, lines: impl Iterator<Item = &'a str>) {
    for line in lines.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').expect("a field has a colon");
        head.add(name.as_bytes(), value.trim().as_bytes());
    }
}

impl View for Literal {
    fn address(&self, which: Address) -> Option<SocketAddr> {
        self.addresses.get(&which).copied()
    }

    fn number(&self, which: Number) -> Option<i64> {
        self.numbers.get(&which).copied()
    }

    fn text(&self, which: Text) -> Option<Data<'_>> {
        self.texts.get(&which).map(|text| Data::from(&text[..]))
    }

    fn tls(&self, side: Side) -> Option<&dyn Tls> {
        self.tls.as_deref().filter(|_| side == Side::Front)
    }

    fn head(&self, direction: Direction) -> Fetched<&Head> {
        let head = match direction {
            Direction::Request => &self.request,
            Direction::Response => &self.response,
        };
        match head {
            Some(head) => Fetched::Value(head),
            None if self.inspecting => Fetched::Wait,
            None => Fetched::Absent,
        }
    }

    fn buffer(&self, _: Direction) -> Option<Buffer<'_>> {
        let (bytes, may_grow) = self.buffer.as_ref()?;
        Some(Buffer {
            bytes,
            may_grow: *may_grow,
        })
    }

    fn body(&self, _: Direction) -> Option<Body<'_>> {
        let bytes = self.body.as_deref()?;
        Some(Body {
            bytes,
            size: bytes.len() as u64,
            complete: true,
        })
    }

    fn inspection(&self) -> Inspection {
        if self.inspecting {
            Inspection::Open
        } else {
            Inspection::Over
        }
    }

    fn variables(&self, scope: Scope) -> Option<&dyn Variables> {
        (scope == Scope::Transaction).then_some(&self.variables)
    }

    fn capture_slots(&self, direction: Direction) -> usize {
        self.captures
            .borrow()
            .iter()
            .filter(|(of, _)| *of == direction)
            .count()
    }

    fn capture(&self, direction: Direction, slot: usize) -> Option<Data<'_>> {
        let captures = self.captures.borrow();
        let (_, value) = captures
            .iter()
            .filter(|(of, _)| *of == direction)
            .nth(slot)?;
        value.clone().map(Data::Owned)
    }

    fn set_capture(&self, direction: Direction, slot: usize, value: &[u8]) -> bool {
        let mut captures = self.captures.borrow_mut();
        let found = captures
            .iter_mut()
            .filter(|(of, _)| *of == direction)
            .nth(slot);
        found.map(|(_, old)| *old = Some(value.to_vec())).is_some()
    }

    fn tracked(&self, counter: u8, _: Option<&str>, operation: StickOperation) -> StickAnswer {
        match self.tracked.get(&(counter, operation)) {
            Some(value) => StickAnswer::Value(*value),
            None => StickAnswer::NotStored,
        }
    }

    fn tracked_key(&self, counter: u8) -> Option<Sample<'_>> {
        self.tracked
            .contains_key(&(counter, StickOperation::Exists))
            .then(|| Sample::str("key"))
    }

    fn table(
        &self,
        table: Option<&str>,
        key: &Sample<'_>,
        operation: StickOperation,
    ) -> StickAnswer {
        let key = String::from_utf8_lossy(&key.to_text()).into_owned();
        match self
            .entries
            .get(&(table.unwrap_or("").to_owned(), key, operation))
        {
            Some(value) => StickAnswer::Value(*value),
            None => StickAnswer::NoEntry,
        }
    }

    fn table_number(&self, _: Option<&str>, which: TableNumber) -> Option<i64> {
        Some(match which {
            TableNumber::Used => 3,
            TableNumber::Available => 97,
        })
    }

    fn frontend_number(&self, frontend: Option<&str>, which: FrontendNumber) -> Option<i64> {
        (frontend == Some("fe") && which == FrontendNumber::Exists).then_some(1)
    }

    fn backend_number(&self, backend: Option<&str>, which: BackendNumber) -> Option<i64> {
        self.backends
            .get(&(backend.unwrap_or("").to_owned(), which))
            .copied()
    }

    fn server_number(
        &self,
        backend: Option<&str>,
        server: &str,
        which: ServerNumber,
    ) -> Option<i64> {
        self.servers
            .get(&(backend.unwrap_or("").to_owned(), server.to_owned(), which))
            .copied()
    }

    fn authenticates(&self, _: &str, user: &[u8], password: &[u8]) -> Option<bool> {
        let known = |(name, secret, _): &&(&str, &str, _)| {
            name.as_bytes() == user && secret.as_bytes() == password
        };
        Some(self.users.iter().any(|entry| known(&entry)))
    }

    fn in_group(&self, _: &str, user: &[u8], group: &[u8]) -> bool {
        let groups = self
            .users
            .iter()
            .filter(|(name, _, _)| name.as_bytes() == user);
        groups
            .flat_map(|(_, _, groups)| *groups)
            .any(|name| name.as_bytes() == group)
    }

    fn wall(&self) -> Duration {
        Duration::from_micros(self.seconds * 1_000_000 + 123_456)
    }
}

/// Files by name.
#[derive(Default)]
pub(crate) struct Texts(pub(crate) HashMap<&'static str, &'static str>);

impl Files for Texts {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        self.0
            .get(path)
            .map(|text| text.as_bytes().to_vec())
            .ok_or_else(|| "no such file".into())
    }
}

/// An expression from one word, at the stage that has everything it may need.
pub(crate) fn expression(word: &str) -> Result<Expression, ParseError> {
    expression_at(Stage::Request, word)
}

pub(crate) fn expression_at(stage: Stage, word: &str) -> Result<Expression, ParseError> {
    let mut patterns = Patterns::default();
    let files = Texts::default();
    Expression::parse(
        &[word],
        &mut 0,
        &mut Parsing::new(stage, &files, &NoAcls, &mut patterns),
    )
}

/// What an expression yields, as text; `None` where there is no sample.
pub(crate) fn eval(word: &str, view: &dyn View) -> Option<String> {
    let expression = match expression(word) {
        Ok(expression) => expression,
        // What needs a response or a server is for those stages.
        Err(_) => {
            expression_at(Stage::Response, word).unwrap_or_else(|error| panic!("{word}: {error}"))
        }
    };
    let sample = expression.eval(view)?.cast(super::SampleType::Str)?;
    Some(String::from_utf8_lossy(&sample.to_text()).into_owned())
}

/// Whether a condition, written as the words after `if`, holds.
pub(crate) fn holds(words: &str, view: &dyn View) -> bool {
    condition(words)
        .unwrap_or_else(|error| panic!("{words}: {error}"))
        .matches(view)
}

pub(crate) fn condition(words: &str) -> Result<Condition, ParseError> {
    condition_with(words, &NoAcls)
}

pub(crate) fn condition_with(words: &str, acls: &dyn Acls) -> Result<Condition, ParseError> {
    let words: Vec<&str> = std::iter::once("if").chain(words.split(' ')).collect();
    let mut patterns = Patterns::default();
    let files = Texts::default();
    Condition::parse(
        &words,
        &mut Parsing::new(Stage::Request, &files, acls, &mut patterns),
    )
}

/// What a format renders.
pub(crate) fn render(format: &str, purpose: Purpose, view: &dyn View) -> String {
    let stage = if purpose == Purpose::Http {
        Stage::Request
    } else {
        Stage::Log
    };
    let mut patterns = Patterns::default();
    let files = Texts::default();
    let mut parsing = Parsing::new(stage, &files, &NoAcls, &mut patterns);
    let format = LogFormat::parse(format, purpose, &mut parsing)
        .unwrap_or_else(|error| panic!("{format}: {error}"));
    let mut out = Vec::new();
    format.render(view, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// A set of addresses and networks, as an ACL on `src` has it.
pub(crate) fn addresses<T: ToString>(patterns: &[T]) -> Arc<PatternSet> {
    let words: Vec<String> = patterns.iter().map(ToString::to_string).collect();
    let list = Patterns::default().inline(None, &words).unwrap();
    PatternSet::new(Match::Ip, Case::Sensitive, MapOutput::None, &list).unwrap()
}
