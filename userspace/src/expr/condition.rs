//! Conditions: `if` or `unless` with ACLs (manual §7.2), and the predefined ACLs (§7.4).

use std::sync::Arc;

use super::acl::{Acl, Outcome};
use super::{ParseError, Parsing, View};

/// A compiled condition: an or-of-ands of ACLs.
#[derive(Clone, Debug)]
pub struct Condition {
    polarity: Polarity,
    terms: Vec<Vec<Operand>>,
}

/// How the result of the ACLs is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polarity {
    If,
    Unless,
}

/// One ACL in a condition.
#[derive(Clone, Debug)]
pub struct Operand {
    /// Written with an odd number of `!`.
    pub negated: bool,
    pub acl: Arc<Acl>,
}

impl Condition {
    /// Reads `if` or `unless` and the ACLs after it; takes all words.
    ///
    /// # Errors
    /// Unknown ACLs, unclosed braces, and whatever is wrong inside braces.
    pub fn parse(words: &[&str], parsing: &mut Parsing<'_>) -> Result<Self, ParseError> {
        let polarity = match words.first() {
            Some(&"if") => Polarity::If,
            Some(&"unless") => Polarity::Unless,
            Some(other) => {
                return Err(ParseError::at(
                    0,
                    format!(
                        "expects either 'if' or 'unless' followed by a condition but found '{other}'"
                    ),
                ));
            }
            None => {
                return Err(ParseError::at(
                    0,
                    "expects either 'if' or 'unless' followed by a condition",
                ));
            }
        };
        let mut terms = vec![Vec::new()];
        let mut negated = false;
        let mut at = 1;
        while let Some(word) = words.get(at) {
            let name = word.trim_start_matches('!');
            negated ^= (word.len() - name.len()) % 2 == 1;
            if name.is_empty() {
                at += 1;
                continue;
            }
            if name.eq_ignore_ascii_case("or") || name == "||" {
                terms.push(Vec::new());
                negated = false;
                at += 1;
                continue;
            }
            let (acl, length) = if name == "{" {
                anonymous(&words[at + 1..], parsing).map_err(|error| {
                    let word = error.word + at + 1;
                    error.in_word(word)
                })?
            } else {
                (named(name, parsing).map_err(|error| error.in_word(at))?, 0)
            };
            warn_if_out_of_place(&acl, at, parsing);
            if let Some(term) = terms.last_mut() {
                term.push(Operand { negated, acl });
            }
            negated = false;
            at += 1 + length;
        }
        terms.retain(|term| !term.is_empty());
        if terms.is_empty() {
            return Err(ParseError::at(
                words.len(),
                format!("missing ACL after '{}'", words[0]),
            ));
        }
        Ok(Self { polarity, terms })
    }

    /// Whether the condition holds, taking what is not there (yet) as absent.
    pub fn matches(&self, view: &dyn View) -> bool {
        self.test(view) == Outcome::Match
    }

    /// Whether the condition holds, does not, or depends on bytes still to come.
    pub fn test(&self, view: &dyn View) -> Outcome {
        let mut outcome = Outcome::Mismatch;
        for term in &self.terms {
            match test_all(term, view) {
                Outcome::Match => {
                    outcome = Outcome::Match;
                    break;
                }
                Outcome::Undecided => outcome = Outcome::Undecided,
                Outcome::Mismatch => {}
            }
        }
        match self.polarity {
            Polarity::If => outcome,
            Polarity::Unless => outcome.negated(),
        }
    }

    /// `if` or `unless`.
    #[must_use]
    pub fn polarity(&self) -> Polarity {
        self.polarity
    }

    /// The terms; one of them must hold, each is a list of which all must.
    #[must_use]
    pub fn terms(&self) -> &[Vec<Operand>] {
        &self.terms
    }

    /// Every ACL in the condition, in order.
    pub fn acls(&self) -> impl Iterator<Item = &Arc<Acl>> {
        self.terms.iter().flatten().map(|operand| &operand.acl)
    }
}

impl Outcome {
    fn negated(self) -> Self {
        match self {
            Self::Match => Self::Mismatch,
            Self::Mismatch => Self::Match,
            Self::Undecided => Self::Undecided,
        }
    }
}

fn test_all(term: &[Operand], view: &dyn View) -> Outcome {
    let mut outcome = Outcome::Match;
    for operand in term {
        let tested = operand.acl.test(view);
        match if operand.negated {
            tested.negated()
        } else {
            tested
        } {
            Outcome::Mismatch => return Outcome::Mismatch,
            Outcome::Undecided => outcome = Outcome::Undecided,
            Outcome::Match => {}
        }
    }
    outcome
}

/// The ACL between braces; `words` begin after the opening one. Also tells how many words it took, the closing one included.
fn anonymous(words: &[&str], parsing: &mut Parsing<'_>) -> Result<(Arc<Acl>, usize), ParseError> {
    let Some(end) = words.iter().position(|word| *word == "}") else {
        return Err(ParseError::at(
            words.len(),
            "missing closing '}' in condition",
        ));
    };
    Ok((Arc::new(Acl::parse("", &words[..end], parsing)?), end + 1))
}

/// The ACL of a name: one of the proxy's, else a predefined one.
pub(super) fn named(name: &str, parsing: &mut Parsing<'_>) -> Result<Arc<Acl>, ParseError> {
    if let Some(acl) = parsing.acls.find(name) {
        return Ok(acl);
    }
    match PREDEFINED_ACLS.iter().find(|(known, _)| *known == name) {
        Some((name, words)) => Acl::parse(name, words, parsing).map(Arc::new),
        None => Err(ParseError::at(0, format!("no such ACL : '{name}'")).hinted(
            super::suggest::closest(name, PREDEFINED_ACLS.iter().map(|(name, _)| *name)),
        )),
    }
}

/// The same words as the oracle: such an ACL is accepted and never matches.
fn warn_if_out_of_place(acl: &Acl, word: usize, parsing: &mut Parsing<'_>) {
    let offered = parsing.stage.offers();
    let usable = |needs: super::Needs| needs.meets(offered);
    if acl
        .tests()
        .iter()
        .any(|test| usable(test.expression().needs()))
    {
        return;
    }
    let rule = parsing.stage.describe();
    let message = match (acl.name(), acl.tests().first()) {
        ("", Some(test)) => format!(
            "anonymous acl will never match because it uses keyword '{}' which is incompatible with '{rule}'",
            test.expression().fetch_name()
        ),
        (name, _) => format!(
            "acl '{name}' will never match because it only involves keywords that are incompatible with '{rule}'"
        ),
    };
    parsing.warnings.push(ParseError::at(word, message));
}

/// The ACLs that are always there (manual §7.4).
pub const PREDEFINED_ACLS: [(&str, &[&str]); 23] = [
    ("FALSE", &["always_false"]),
    ("HTTP", &["req.proto_http"]),
    ("HTTP_1.0", &["req.ver", "1.0"]),
    ("HTTP_1.1", &["req.ver", "1.1"]),
    ("HTTP_2.0", &["req.ver", "2.0"]),
    ("HTTP_3.0", &["req.ver", "3.0"]),
    ("HTTP_CONTENT", &["req.hdr_val(content-length)", "gt", "0"]),
    ("HTTP_URL_ABS", &["url_reg", "^[^/:]*://"]),
    ("HTTP_URL_SLASH", &["url_beg", "/"]),
    ("HTTP_URL_STAR", &["url", "*"]),
    ("LOCALHOST", &["src", "127.0.0.1/8", "::1"]),
    ("METH_CONNECT", &["method", "CONNECT"]),
    ("METH_DELETE", &["method", "DELETE"]),
    ("METH_GET", &["method", "GET", "HEAD"]),
    ("METH_HEAD", &["method", "HEAD"]),
    ("METH_OPTIONS", &["method", "OPTIONS"]),
    ("METH_POST", &["method", "POST"]),
    ("METH_PUT", &["method", "PUT"]),
    ("METH_TRACE", &["method", "TRACE"]),
    ("RDP_COOKIE", &["req.rdp_cookie_cnt", "gt", "0"]),
    ("REQ_CONTENT", &["req.len", "gt", "0"]),
    ("TRUE", &["always_true"]),
    ("WAIT_END", &["wait_end"]),
];
