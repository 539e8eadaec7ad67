//! Words of rules handed to the expression engine, and its errors put back into place.
//!
//! A [`Rules`] knows where a rule will be evaluated and which ACLs it may name; it takes words off the [`Args`] and gives
//! compiled expressions, conditions and formats. Names of tables, proxies, servers and userlists in them are looked up at
//! once.

use std::net::IpAddr;
use std::path::Path;

use regex::bytes::Regex;

use super::args::{Args, Complaint, Parsed};
use super::context::Context;
use super::draft::AclScope;
use crate::expr::{
    Acl, Acls, Case, Condition, Expression, Files, LogFormat, NoAcls, ParseError, Parsing, Purpose,
    Reference, ReferenceKind, Stage, VariableName, compile_regex,
};
use crate::lang::ast::Word;
use crate::lang::diagnostics::Severity;
use crate::lang::environment::Environment;
use crate::lang::source::Span;

/// The surroundings of one rule.
pub(in crate::lang) struct Rules<'c, 'a> {
    context: &'c mut Context<'a>,
    acls: Option<&'c AclScope>,
    stage: Stage,
}

impl<'c, 'a> Rules<'c, 'a> {
    /// A rule of a proxy.
    pub(crate) fn new(context: &'c mut Context<'a>, acls: &'c AclScope, stage: Stage) -> Self {
        Self {
            context,
            acls: Some(acls),
            stage,
        }
    }

    /// Something that cannot refer to ACLs.
    pub(crate) fn without_acls(context: &'c mut Context<'a>, stage: Stage) -> Self {
        Self {
            context,
            acls: None,
            stage,
        }
    }

    /// Takes an expression: a fetch with converters.
    pub(crate) fn expression(&mut self, args: &mut Args<'_>) -> Parsed<Expression> {
        let words = args.rest();
        let mut position = 0;
        let end = args.missing("a sample expression").span;
        let expression = self.parse(words, end, |texts, parsing| {
            Expression::parse(texts, &mut position, parsing)
        })?;
        self.check(expression.references(), words[0].span)?;
        args.skip(position);
        Ok(expression)
    }

    /// An expression that is one word, which is not written in the file as it is here.
    pub(crate) fn whole_expression(mut self, word: &Word) -> Parsed<Expression> {
        let texts = [word.text.as_str()];
        let expression = self.parse(&[], word.span, |_, parsing| {
            Expression::parse(&texts, &mut 0, parsing)
        })?;
        self.check(expression.references(), word.span)?;
        Ok(expression)
    }

    /// A whole number as an expression.
    pub(crate) fn integer(&mut self, number: i64, place: Span) -> Parsed<Expression> {
        let text = format!("int({number})");
        self.parse(&[], place, |_, parsing| {
            Expression::parse(&[text.as_str()], &mut 0, parsing)
        })
    }

    /// Takes `if` or `unless` with its ACLs, if the statement goes on with one; nothing may follow.
    pub(crate) fn condition(&mut self, args: &mut Args<'_>) -> Parsed<Option<Condition>> {
        if !matches!(args.peek_text(), "if" | "unless") {
            args.end()?;
            return Ok(None);
        }
        let words = args.rest();
        let end = args.missing("a condition").span;
        let condition = self
            .parse(words, end, Condition::parse)
            .map_err(|complaint| self.known(words, complaint))?;
        let place = words[0]
            .span
            .to(words.last().map_or(words[0].span, |last| last.span));
        for acl in condition.acls().filter(|acl| acl.name().is_empty()) {
            self.check_acl(acl, place)?;
        }
        args.skip(words.len());
        Ok(Some(condition))
    }

    /// Takes the rest of an `acl` line after the name.
    pub(crate) fn acl(&mut self, name: &str, args: &mut Args<'_>) -> Parsed<Acl> {
        let words = args.rest();
        let end = args.missing("a criterion").span;
        let acl = self.parse(words, end, |texts, parsing| {
            Acl::parse(name, texts, parsing)
        })?;
        self.check_acl(&acl, args.line().span())?;
        args.skip(words.len());
        Ok(acl)
    }

    /// Takes a format that is one word, for HTTP messages, variables and names.
    pub(crate) fn log_format(&mut self, word: &Word) -> Parsed<LogFormat> {
        self.log_format_for(word, Purpose::Http)
    }

    /// Takes a format that is one word.
    pub(crate) fn log_format_for(&mut self, word: &Word, purpose: Purpose) -> Parsed<LogFormat> {
        let words = std::slice::from_ref(word);
        let format = self.parse(words, word.span, |_, parsing| {
            LogFormat::parse(&word.text, purpose, parsing)
        })?;
        self.check(format.references(), word.span)?;
        Ok(format)
    }

    /// A format that is not written in the file.
    pub(crate) fn built_in_format(&mut self, text: &str, place: Span) -> Parsed<LogFormat> {
        self.parse(&[], place, |_, parsing| {
            LogFormat::parse(text, Purpose::Log, parsing)
        })
    }

    /// A complaint about an ACL whose declaration is wrong is not worth an alert of its own.
    fn known(&self, words: &[Word], complaint: Complaint) -> Complaint {
        let name = words
            .iter()
            .find(|word| word.span.start == complaint.span.start);
        let has_failed = name
            .zip(self.acls)
            .is_some_and(|(name, acls)| acls.has_failed(name.text.trim_start_matches('!')));
        let severity = if has_failed {
            Severity::Diagnostic
        } else {
            complaint.severity
        };
        Complaint {
            severity,
            ..complaint
        }
    }

    fn check_acl(&self, acl: &Acl, place: Span) -> Parsed {
        acl.tests()
            .iter()
            .try_for_each(|test| self.check(test.expression().references(), place))
    }

    /// Looks up the names an expression mentions.
    fn check<'r>(&self, references: impl Iterator<Item = Reference<'r>>, place: Span) -> Parsed {
        let names = self.context.names;
        for reference in references {
            let Some(name) = reference.name else { continue };
            let (known, what) = match reference.kind {
                ReferenceKind::Table => (names.table(name).is_some(), "table"),
                ReferenceKind::Frontend => (names.frontend(name).is_some(), "frontend"),
                ReferenceKind::Backend => (names.backend(name).is_some(), "backend"),
                ReferenceKind::Server => {
                    let server = reference.server.unwrap_or_default();
                    (names.has_server(name, server), "server")
                }
                ReferenceKind::Userlist => (
                    self.context.userlists.iter().any(|list| list.name == name),
                    "userlist",
                ),
            };
            if !known {
                let name = reference
                    .server
                    .map_or_else(|| name.to_owned(), |server| format!("{name}/{server}"));
                let message = format!(
                    "unable to find {what} '{name}' referenced in arg {} of '{}'",
                    reference.position, reference.keyword
                );
                return Err(Complaint::new(place, message));
            }
        }
        Ok(())
    }

    /// Calls a parser of the engine and puts what it says into place.
    fn parse<T>(
        &mut self,
        words: &[Word],
        end: Span,
        parse: impl FnOnce(&[&str], &mut Parsing<'_>) -> Result<T, ParseError>,
    ) -> Parsed<T> {
        let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
        let files = MachineFiles(self.context.environment);
        let acls: &dyn Acls = match self.acls {
            Some(acls) => acls,
            None => &NoAcls,
        };
        let mut parsing = Parsing::new(self.stage, &files, acls, &mut self.context.patterns);
        let result = parse(&texts, &mut parsing);
        let warnings = std::mem::take(&mut parsing.warnings);
        let placed = |error: ParseError| {
            let span = words
                .get(error.word)
                .map_or(end, |word| word.at(error.offset));
            let complaint = Complaint::new(span, error.message);
            match error.hint {
                Some(hint) => complaint.hint(hint),
                None => complaint,
            }
        };
        for warning in warnings {
            let complaint = placed(warning).into_warning();
            let place = complaint.span;
            self.context
                .diagnostics
                .push(complaint.into_diagnostic(place));
        }
        result.map_err(placed)
    }
}

/// Pattern files read through the environment.
struct MachineFiles<'a>(&'a dyn Environment);

impl Files for MachineFiles<'_> {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        self.0
            .read(Path::new(path))
            .map_err(|error| error.to_string())
    }

    fn resolve(&self, host: &str) -> Vec<IpAddr> {
        self.0.resolve(host).unwrap_or_default()
    }
}

/// A regular expression in PCRE's notation.
pub(super) fn regex(word: &Word, case: Case) -> Parsed<Regex> {
    compile_regex(&word.text, case).map_err(|message| Complaint::new(word.span, message))
}

/// A variable's name.
pub(super) fn variable(text: &str, word: &Word, offset: usize) -> Parsed<VariableName> {
    VariableName::parse(text).map_err(|error| {
        let complaint = Complaint::new(word.at(offset + error.offset), error.message);
        match error.hint {
            Some(hint) => complaint.hint(hint),
            None => complaint,
        }
    })
}

/// A text that nothing is interpreted in.
pub(super) fn literal(text: &str) -> LogFormat {
    LogFormat::literal(text, Purpose::Http)
}
