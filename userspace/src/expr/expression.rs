//! A sample expression: one fetch and a chain of converters (manual §7.3).

use std::fmt;
use std::ops::ControlFlow;

use super::args::{self, Arg, ArgError};
use super::convert::{self, Converter};
use super::fetch::{self, Cursor, Fetch};
use super::{Fetched, Needs, ParseError, Parsing, Sample, SampleType, View};

/// A fetch with its arguments and the converters applied to what it yields.
#[derive(Clone)]
pub struct Expression {
    text: Box<str>,
    fetch: &'static Fetch,
    args: Box<[Arg]>,
    steps: Box<[Step]>,
}

#[derive(Clone)]
struct Step {
    converter: &'static Converter,
    args: Box<[Arg]>,
}

/// Parsing.
impl Expression {
    /// Takes an expression that begins at `words[*position]` and leaves `*position` behind it.
    ///
    /// Converters follow the fetch after a comma, or as words of their own (`src ipmask(24)`); the first word that names no
    /// converter belongs to the caller again.
    ///
    /// # Errors
    /// Unknown or inapplicable keywords, wrong arguments, and fetches whose data do not exist at `parsing.stage`.
    pub fn parse(
        words: &[&str],
        position: &mut usize,
        parsing: &mut Parsing<'_>,
    ) -> Result<Self, ParseError> {
        let start = *position;
        let Some(first) = words.get(start) else {
            return Err(ParseError::at(start, "missing fetch method"));
        };
        let mut reader = Reader::new(first, parsing);
        let mut expression = reader.expression().map_err(|error| error.in_word(start))?;
        reader.expect_end().map_err(|error| error.in_word(start))?;
        let mut next = start + 1;
        while let Some(word) = words
            .get(next)
            .filter(|word| convert::find(name_of(word)).is_some())
        {
            let mut reader = Reader::new(word, parsing);
            let more = reader
                .chain(&expression)
                .and_then(|steps| reader.expect_end().map(|()| steps))
                .map_err(|error| error.in_word(next))?;
            expression.extend(more, word);
            next += 1;
        }
        expression
            .check_stage(parsing)
            .map_err(|error| error.in_word(start))?;
        *position = next;
        Ok(expression)
    }

    /// Takes an expression from the beginning of a text and tells how long it was; what follows is the caller's.
    pub(super) fn parse_prefix(
        text: &str,
        parsing: &mut Parsing<'_>,
    ) -> Result<(Self, usize), ParseError> {
        let mut reader = Reader::new(text, parsing);
        let expression = reader.expression()?;
        Ok((expression, reader.at))
    }

    /// An error where nothing the fetch needs exists at the stage.
    fn check_stage(&self, parsing: &Parsing<'_>) -> Result<(), ParseError> {
        if !parsing.lacks(self.needs()) {
            return Ok(());
        }
        Err(ParseError::at(
            0,
            format!(
                "fetch method '{}' extracts information from '{}', none of which is available here",
                self.text,
                self.needs().describe()
            ),
        ))
    }

    fn extend(&mut self, more: Vec<Step>, word: &str) {
        self.text = format!("{},{word}", self.text).into();
        let mut steps = std::mem::take(&mut self.steps).into_vec();
        steps.extend(more);
        self.steps = steps.into();
    }
}

/// Evaluation.
impl Expression {
    /// The sample, or `None` where there is none (yet).
    pub fn eval<'a>(&'a self, view: &'a dyn View) -> Option<Sample<'a>> {
        self.fetch(view).value()
    }

    /// The sample, telling apart what is absent from what has not arrived yet.
    pub fn fetch<'a>(&'a self, view: &'a dyn View) -> Fetched<Sample<'a>> {
        match self.fetch.read.one(view, &self.args) {
            Fetched::Value(sample) => self.convert(sample, view).into(),
            other => other,
        }
    }

    /// Shows every value of a fetch that has several (`hdr(x)` in an ACL looks at all occurrences) until `visit` breaks.
    ///
    /// The answer is `Wait` where more may still arrive, `Absent` where there was no value at all.
    pub fn each<'a>(
        &'a self,
        view: &'a dyn View,
        mut visit: impl FnMut(Sample<'a>) -> ControlFlow<()>,
    ) -> Fetched<()> {
        let mut cursor = Cursor::default();
        let mut seen = Fetched::Absent;
        loop {
            let sample = match self.fetch.read.next(view, &self.args, &mut cursor) {
                Fetched::Value(sample) => sample,
                Fetched::Wait => return Fetched::Wait,
                Fetched::Absent => return seen,
            };
            let Some(sample) = self.convert(sample, view) else {
                continue;
            };
            seen = Fetched::Value(());
            if visit(sample).is_break() {
                return seen;
            }
        }
    }

    /// What the converters make of a sample that stands in for the fetch's.
    pub fn convert<'a>(&'a self, sample: Sample<'a>, view: &'a dyn View) -> Option<Sample<'a>> {
        let mut sample = sample;
        for step in &self.steps {
            sample = sample.cast(step.converter.input)?;
            sample = step.converter.run(sample, &step.args, view)?;
        }
        Some(sample)
    }
}

/// What `lang` and the offload compiler ask.
impl Expression {
    /// The expression as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The fetch's main name, whatever alias was written.
    #[must_use]
    pub fn fetch_name(&self) -> &'static str {
        self.fetch.name
    }

    /// The fetch's arguments.
    #[must_use]
    pub fn args(&self) -> &[Arg] {
        &self.args
    }

    /// The converters with their arguments, in order.
    pub fn converters(&self) -> impl ExactSizeIterator<Item = (&'static str, &[Arg])> {
        self.steps
            .iter()
            .map(|step| (step.converter.name, &*step.args))
    }

    /// What the expression reads.
    #[must_use]
    pub fn needs(&self) -> Needs {
        self.fetch.needs
    }

    /// The type of the result, as far as it is known before evaluation.
    #[must_use]
    pub fn output(&self) -> SampleType {
        output_after(self.fetch.output, &self.steps)
    }

    /// Whether the value may still change while content inspection is open.
    #[must_use]
    pub(super) fn unsettled(&self) -> bool {
        self.fetch.unsettled
    }

    /// The names of proxies, servers, tables and userlists the arguments mention, for `lang` to look up.
    pub fn references(&self) -> impl Iterator<Item = Reference<'_>> {
        let fetch = mentioned(
            self.fetch.name,
            Keyword::Fetch,
            self.fetch.args.kinds,
            &self.args,
        );
        let steps = self.steps.iter().flat_map(|step| {
            mentioned(
                step.converter.name,
                Keyword::Converter,
                step.converter.args.kinds,
                &step.args,
            )
        });
        fetch.chain(steps)
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Expression({})", self.text)
    }
}

/// A name in an expression that must exist in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference<'a> {
    pub kind: ReferenceKind,
    /// `None` where the argument was left out: the current proxy, or its table.
    pub name: Option<&'a str>,
    /// The server, for [`ReferenceKind::Server`]; `name` is its backend then.
    pub server: Option<&'a str>,
    /// The keyword that has the argument.
    pub keyword: &'static str,
    pub keyword_kind: Keyword,
    /// Which argument, from 1.
    pub position: usize,
}

/// What a [`Reference`] refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReferenceKind {
    Table,
    Frontend,
    Backend,
    Server,
    Userlist,
}

/// Which sort of keyword a [`Reference`] stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keyword {
    Fetch,
    Converter,
}

fn mentioned<'a>(
    keyword: &'static str,
    keyword_kind: Keyword,
    kinds: &'static [args::ArgKind],
    given: &'a [Arg],
) -> impl Iterator<Item = Reference<'a>> {
    use args::ArgKind;
    kinds.iter().enumerate().filter_map(move |(index, kind)| {
        let arg = given.get(index);
        let kind = match kind {
            ArgKind::Table => ReferenceKind::Table,
            ArgKind::Frontend => ReferenceKind::Frontend,
            ArgKind::Backend => ReferenceKind::Backend,
            ArgKind::Server => ReferenceKind::Server,
            ArgKind::Userlist => ReferenceKind::Userlist,
            _ => return None,
        };
        let (name, server) = match arg {
            Some(Arg::Server { backend, server }) => (backend.as_deref(), Some(&**server)),
            other => (other.and_then(Arg::text), None),
        };
        Some(Reference {
            kind,
            name,
            server,
            keyword,
            keyword_kind,
            position: index + 1,
        })
    })
}

/// Reads keywords and argument lists off one text.
struct Reader<'t, 'p, 'c> {
    text: &'t str,
    at: usize,
    parsing: &'p mut Parsing<'c>,
}

impl<'t, 'p, 'c> Reader<'t, 'p, 'c> {
    fn new(text: &'t str, parsing: &'p mut Parsing<'c>) -> Self {
        Self {
            text,
            at: 0,
            parsing,
        }
    }

    /// A fetch, and the converters that follow it after commas.
    fn expression(&mut self) -> Result<Expression, ParseError> {
        let name = self.name();
        if name.is_empty() {
            return Err(self.error_at(self.at, "missing fetch method".into()));
        }
        let Some(fetch) = fetch::find_at(name, self.parsing.stage) else {
            let message = format!("unknown fetch method '{name}'");
            return Err(self.error_at(0, message).hinted(fetch::suggestion(name)));
        };
        self.at += name.len();
        let args = self.arguments(&fetch.args, |error| match error.position {
            0 => format!("fetch method '{name}' : {}", error.message),
            _ => format!("fetch method '{name}' : {}", error.message),
        })?;
        let args = match fetch.compile {
            None => args,
            Some(compile) => compile(args, self.parsing).map_err(|message| {
                self.error_at(
                    name.len() + 1,
                    format!("invalid args in fetch method '{name}' : {message}"),
                )
            })?,
        };
        let mut expression = Expression {
            text: "".into(),
            fetch,
            args: args.into(),
            steps: Box::default(),
        };
        if self.text.as_bytes().get(self.at) == Some(&b',') {
            self.at += 1;
            expression.steps = self.chain(&expression)?.into();
        }
        expression.text = self.text[..self.at].into();
        Ok(expression)
    }

    /// One or more converters, separated by commas, that go on after `before`.
    fn chain(&mut self, before: &Expression) -> Result<Vec<Step>, ParseError> {
        let mut steps: Vec<Step> = Vec::new();
        let mut kind = before.output();
        loop {
            let start = self.at;
            let name = self.name();
            let Some(converter) = convert::find(name) else {
                return Err(self
                    .error_at(start, format!("unknown converter '{name}'"))
                    .hinted(convert::suggestion(name)));
            };
            if !kind.casts_to(converter.input) {
                return Err(self.error_at(start, format!("converter '{name}' cannot be applied")));
            }
            self.at += name.len();
            let args = self.arguments(&converter.args, |error| match error.position {
                0 => format!("invalid arg in converter '{name}' : {}", error.message),
                n => format!("invalid arg {n} in converter '{name}' : {}", error.message),
            })?;
            let args = converter.compile(args, self.parsing).map_err(|message| {
                self.error_at(
                    start,
                    format!("invalid args in converter '{name}' : {message}"),
                )
            })?;
            kind = converter.output(kind, &args);
            steps.push(Step {
                converter,
                args: args.into(),
            });
            if self.text.as_bytes().get(self.at) != Some(&b',') {
                return Ok(steps);
            }
            self.at += 1;
        }
    }

    /// The keyword at the reading position: everything up to a delimiter.
    fn name(&self) -> &'t str {
        name_of(&self.text[self.at..])
    }

    fn arguments(
        &mut self,
        arguments: &args::Arguments,
        explain: impl Fn(&ArgError) -> String,
    ) -> Result<Vec<Arg>, ParseError> {
        if self.text.as_bytes().get(self.at) != Some(&b'(') {
            return args::no_list(arguments)
                .map_err(|error| self.error_at(self.at, explain(&error)));
        }
        let start = self.at + 1;
        match args::parse_list(&self.text[start..], arguments) {
            Ok((args, length)) => {
                self.at = start + length;
                Ok(args)
            }
            Err(error) => Err(self.error_at(start + error.offset, explain(&error))),
        }
    }

    fn expect_end(&self) -> Result<(), ParseError> {
        match self.text[self.at..].chars().next() {
            None => Ok(()),
            Some(c) => Err(self.error_at(
                self.at,
                format!(
                    "missing comma after '{}', found '{c}'",
                    &self.text[..self.at]
                ),
            )),
        }
    }

    fn error_at(&self, offset: usize, message: String) -> ParseError {
        ParseError::at(0, message).shifted(offset)
    }
}

/// The keyword a text begins with.
pub(super) fn name_of(text: &str) -> &str {
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '+')))
        .unwrap_or(text.len());
    &text[..end]
}

fn output_after(mut kind: SampleType, steps: &[Step]) -> SampleType {
    for step in steps {
        kind = step.converter.output(kind, &step.args);
    }
    kind
}
