//! ACLs: a named test of samples against patterns (manual §7.1).

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::args::Arg;
use super::expression::name_of;
use super::fetch;
use super::pattern::{Case, ListKind, MapOutput, Match, Operator, PatternSet, is_network};
use super::{Expression, Fetched, Inspection, Needs, ParseError, Parsing, Sample, View};

/// A named ACL. It matches where one of its tests does (manual §7.1: several `acl` lines may share a name).
#[derive(Clone, Debug)]
pub struct Acl {
    name: Box<str>,
    tests: Vec<Test>,
}

/// One `acl` line: a sample, a matching method and patterns.
#[derive(Clone)]
pub struct Test {
    expression: Expression,
    matching: Match,
    sets: Vec<Arc<PatternSet>>,
}

/// The outcome of a test or condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Match,
    Mismatch,
    /// Bytes that decide may still arrive.
    Undecided,
}

impl Acl {
    /// An ACL of one line; `words` are those after the name.
    ///
    /// # Errors
    /// Unknown keywords or flags, wrong patterns, files that cannot be read.
    pub fn parse(
        name: &str,
        words: &[&str],
        parsing: &mut Parsing<'_>,
    ) -> Result<Self, ParseError> {
        Ok(Self {
            name: name.into(),
            tests: vec![Test::parse(words, parsing)?],
        })
    }

    /// Why a word cannot name an ACL, if it cannot.
    #[must_use]
    pub fn invalid_name(name: &str) -> Option<String> {
        let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
        if let Some(c) = name.chars().find(|c| !valid(*c)) {
            return Some(format!(
                "character '{c}' is not permitted in acl name '{name}'"
            ));
        }
        match name {
            "or" => Some(
                "acl name 'or' will never match: 'or' is used to express a disjunctive condition"
                    .into(),
            ),
            _ => None,
        }
    }

    /// Adds the tests of another line with the same name.
    pub fn extend(&mut self, more: Self) {
        self.tests.extend(more.tests);
    }

    /// The name, empty for an anonymous ACL.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The tests, in order.
    #[must_use]
    pub fn tests(&self) -> &[Test] {
        &self.tests
    }

    /// Whether some test matches.
    pub fn test(&self, view: &dyn View) -> Outcome {
        let mut outcome = Outcome::Mismatch;
        for test in &self.tests {
            match test.evaluate(view) {
                Outcome::Match => return Outcome::Match,
                Outcome::Undecided => outcome = Outcome::Undecided,
                Outcome::Mismatch => {}
            }
        }
        outcome
    }

    /// Everything the tests read.
    #[must_use]
    pub fn needs(&self) -> Needs {
        self.tests.iter().fold(Needs::default(), |needs, test| {
            needs.or(test.expression.needs())
        })
    }
}

impl Test {
    /// Reads a criterion, its flags and its patterns; takes all words.
    fn parse(words: &[&str], parsing: &mut Parsing<'_>) -> Result<Self, ParseError> {
        let Some(criterion) = words.first() else {
            return Err(ParseError::at(0, "missing fetch method in ACL expression"));
        };
        let (expression, implied) = criterion_of(criterion, parsing)?;
        let mut options = Options::parse(words)?;
        let default = || implied.or_else(|| Match::default_for(expression.output()));
        let Some(matching) = options.matching.or_else(default) else {
            return Err(ParseError::at(
                0,
                format!(
                    "matching method must be specified first (using '-m') when using a sample fetch of this type ('{}')",
                    expression.output().name()
                ),
            ));
        };
        if !expression.output().casts_to(matching.sample_type()) {
            return Err(ParseError::at(
                0,
                format!(
                    "matching method '{}' cannot be used with fetch keyword '{}'",
                    matching.name(),
                    expression.fetch_name()
                ),
            ));
        }
        let mut sets = Vec::new();
        for (word, file, case) in std::mem::take(&mut options.files) {
            let kind = if options.maps {
                ListKind::Map
            } else {
                ListKind::Acl
            };
            let set = parsing
                .patterns
                .named(file, kind, parsing.files)
                .and_then(|list| {
                    PatternSet::new(matching, case, MapOutput::None, &list)
                        .map_err(|error| format!("{} of file '{file}'", error.message))
                })
                .map_err(|message| ParseError::at(word, message))?;
            sets.push(set);
        }
        sets.extend(options.inline(words, matching, parsing)?);
        // Anything behind the criterion says that this is meant.
        if words.len() == 1 && matching.takes_patterns() {
            parsing.warnings.push(ParseError::at(
                0,
                format!("acl keyword '{criterion}' : no pattern to match against were provided, so this ACL will never match"),
            ));
        }
        Ok(Self {
            expression,
            matching,
            sets,
        })
    }

    fn evaluate(&self, view: &dyn View) -> Outcome {
        let mut matched = false;
        let fetched = self.expression.each(view, |sample| {
            matched = self.accepts(&sample, view);
            if matched {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        let open = view.inspection() == Inspection::Open;
        if matched {
            Outcome::Match
        } else if open && (fetched == Fetched::Wait || self.expression.unsettled()) {
            Outcome::Undecided
        } else {
            Outcome::Mismatch
        }
    }

    fn accepts(&self, sample: &Sample<'_>, view: &dyn View) -> bool {
        match self.matching {
            Match::Found => true,
            Match::Bool => matches!(
                sample.reborrow().cast(Match::Bool.sample_type()),
                Some(Sample::Bool(true))
            ),
            Match::Group => self.user_is_in_group(sample, view),
            _ => self.sets.iter().any(|set| set.matches(sample)),
        }
    }

    /// `http_auth_group(list)`: the sample is the authenticated user, the patterns are groups.
    fn user_is_in_group(&self, user: &Sample<'_>, view: &dyn View) -> bool {
        let Some(userlist) = self.expression.args().first().and_then(Arg::text) else {
            return false;
        };
        let user = user.to_text();
        let in_group = |group: &str| view.in_group(userlist, &user, group.as_bytes());
        self.sets.iter().any(|set| set.texts(in_group))
    }
}

/// What the offload compiler asks.
impl Test {
    #[must_use]
    pub fn expression(&self) -> &Expression {
        &self.expression
    }

    #[must_use]
    pub fn matching(&self) -> Match {
        self.matching
    }

    /// The patterns: one set per `-f` file, then one for the words of the line.
    #[must_use]
    pub fn sets(&self) -> &[Arc<PatternSet>] {
        &self.sets
    }
}

impl fmt::Debug for Test {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} -m {:?} {:?}",
            self.expression.text(),
            self.matching,
            self.sets
        )
    }
}

/// The criterion's expression, and the matching method its keyword implies.
fn criterion_of(
    word: &str,
    parsing: &mut Parsing<'_>,
) -> Result<(Expression, Option<Match>), ParseError> {
    let name = name_of(word);
    let rest = &word[name.len()..];
    let derived = fetch::derivative(name);
    let substituted = match derived {
        Some((base, _)) => format!("{}{rest}", base.name),
        None => word.to_owned(),
    };
    if derived.is_none() && fetch::find_at(name, parsing.stage).is_none() {
        let message = format!("unknown fetch method '{name}' in ACL expression '{word}'");
        return Err(ParseError::at(0, message).hinted(fetch::acl_suggestion(name)));
    }
    let (expression, length) = Expression::parse_prefix(&substituted, parsing)?;
    if length < substituted.len() {
        let at = word.len() - (substituted.len() - length);
        return Err(ParseError::at(
            0,
            format!("missing comma after fetch keyword in ACL expression '{word}'"),
        )
        .shifted(at));
    }
    // A converter takes the method implied by the keyword away (manual §7.1).
    let plain = expression.converters().len() == 0;
    Ok((
        expression,
        derived.filter(|_| plain).map(|(_, matching)| matching),
    ))
}

/// The flags after the criterion.
struct Options<'w> {
    matching: Option<Match>,
    case: Case,
    maps: bool,
    /// Host names among IP patterns are looked up.
    resolve: bool,
    id: Option<u32>,
    /// Word, file, and whether case was to be ignored by then.
    files: Vec<(usize, &'w str, Case)>,
    /// Where the patterns begin.
    patterns: usize,
}

impl<'w> Options<'w> {
    fn parse(words: &[&'w str]) -> Result<Self, ParseError> {
        let mut options = Self {
            matching: None,
            case: Case::Sensitive,
            maps: false,
            resolve: true,
            id: None,
            files: Vec::new(),
            patterns: 1,
        };
        while let Some(flag) = words
            .get(options.patterns)
            .filter(|word| word.starts_with('-'))
        {
            let at = options.patterns;
            let argument = || words.get(at + 1).copied().unwrap_or_default();
            options.patterns += 1;
            match *flag {
                "--" => break,
                "-i" => options.case = Case::Ignored,
                "-n" => options.resolve = false,
                "-M" => options.maps = true,
                "-f" => {
                    if argument().is_empty() {
                        return Err(ParseError::at(
                            at,
                            "missing file name after '-f' in ACL expression",
                        ));
                    }
                    options.files.push((at + 1, argument(), options.case));
                    options.patterns += 1;
                }
                "-u" => {
                    let id = argument().parse().map_err(|_| {
                        ParseError::at(
                            at + 1,
                            format!("'-u' expects a number, not '{}'", argument()),
                        )
                    })?;
                    options.id = Some(id);
                    options.patterns += 1;
                }
                "-m" => {
                    if !options.files.is_empty() {
                        return Err(ParseError::at(
                            at,
                            "'-m' must only be specified before patterns and files in parsing ACL expression",
                        ));
                    }
                    let Some(matching) = Match::parse(argument()) else {
                        return Err(ParseError::at(
                            at + 1,
                            format!(
                                "unknown matching method '{}' when parsing ACL expression",
                                argument()
                            ),
                        )
                        .hinted(super::suggest::closest(
                            argument(),
                            Match::NAMES.iter().map(|(name, _)| *name),
                        )));
                    };
                    options.matching = Some(matching);
                    options.patterns += 1;
                }
                _ => {
                    return Err(ParseError::at(
                        at,
                        format!(
                            "'{flag}' is not a valid ACL option. Please use '--' before any pattern beginning with a '-'"
                        ),
                    ));
                }
            }
        }
        Ok(options)
    }

    /// The set of the words after the flags, if there are any.
    fn inline(
        &self,
        words: &[&str],
        matching: Match,
        parsing: &mut Parsing<'_>,
    ) -> Result<Option<Arc<PatternSet>>, ParseError> {
        let words = words.get(self.patterns..).unwrap_or_default();
        let at_word =
            |place: usize, message: String| ParseError::at(self.patterns + place, message);
        // Each pattern with the place of its word.
        let mut patterns: Vec<(usize, String)> = Vec::new();
        let mut operator = None;
        for (place, word) in words
            .iter()
            .enumerate()
            .take_while(|(_, word)| !word.is_empty())
        {
            match matching {
                Match::Found | Match::Bool => {}
                Match::Int | Match::Version | Match::Len if Operator::parse(word).is_some() => {
                    operator = Some(*word);
                }
                Match::Ip => patterns.extend(
                    self.addresses(word, parsing)
                        .into_iter()
                        .map(|word| (place, word)),
                ),
                _ => patterns.push(match operator {
                    Some(operator) => (place, format!("{operator} {word}")),
                    None => (place, (*word).to_owned()),
                }),
            }
        }
        if patterns.is_empty() {
            return Ok(None);
        }
        let (places, patterns): (Vec<_>, Vec<_>) = patterns.into_iter().unzip();
        let list = parsing
            .patterns
            .inline(self.id, &patterns)
            .map_err(|message| at_word(0, message))?;
        PatternSet::new(matching, self.case, MapOutput::None, &list)
            .map(Some)
            .map_err(|error| at_word(places[error.place], error.message))
    }

    /// The word itself, or the addresses of the host it names.
    fn addresses(&self, word: &str, parsing: &Parsing<'_>) -> Vec<String> {
        let found = match self.resolve && !is_network(word) {
            true => parsing.files.resolve(word),
            false => Vec::new(),
        };
        match &*found {
            [] => vec![word.to_owned()],
            found => found.iter().map(ToString::to_string).collect(),
        }
    }
}
