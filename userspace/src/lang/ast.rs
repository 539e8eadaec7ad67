//! The syntax tree: sections of lines of words, every word with its place.
//!
//! The parser makes it, the keywords read it. It knows no keyword's meaning: a line is only words.

use super::source::Span;

/// A word after quotes, escapes and environment variables are resolved (manual §2.2, §2.3).
#[derive(Clone, Debug)]
pub struct Word {
    /// What the keyword sees.
    pub text: String,
    /// Where it was written, quotes included.
    pub span: Span,
    /// Column of every byte of `text`, when the text differs from what was written.
    pub(super) columns: Option<Box<[u32]>>,
}

/// One statement: a line with at least one word.
#[derive(Clone, Debug)]
pub struct Line {
    /// The words, the keyword first; never empty.
    pub words: Vec<Word>,
}

/// A section keyword with everything up to the next one.
#[derive(Clone, Debug)]
pub struct Section {
    /// What kind of section.
    pub kind: SectionKind,
    /// The line that opened it.
    pub header: Line,
    /// The statements in it.
    pub lines: Vec<Line>,
}

/// The keywords that open a section (manual §2.1 rule 6, §3, §4, §6, §10 to §12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each name is the keyword itself")]
pub enum SectionKind {
    Global,
    Defaults,
    Frontend,
    Backend,
    Listen,
    Userlist,
    HttpErrors,
    /// `cache`
    Cache,
    LogProfile,
    Resolvers,
    /// A section of HAProxy's language that this version does not run; the index is into [`UNSUPPORTED`].
    Unsupported(u8),
}

impl Word {
    /// The place of one byte of the text, for messages that point inside a word.
    pub fn at(&self, offset: usize) -> Span {
        let column = match &self.columns {
            Some(columns) => columns.get(offset).copied().unwrap_or(self.span.end),
            None => self
                .span
                .start
                .saturating_add(u32::try_from(offset).unwrap_or(u32::MAX)),
        };
        if column >= self.span.end {
            return Span {
                start: self.span.end,
                end: self.span.end + 1,
                ..self.span
            };
        }
        Span {
            start: column,
            ..self.span
        }
    }
}

impl AsRef<str> for Word {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

impl Line {
    /// The keyword.
    pub fn keyword(&self) -> &Word {
        &self.words[0]
    }

    /// The whole statement as one place.
    pub fn span(&self) -> Span {
        let last = self.words.last().unwrap_or(&self.words[0]);
        self.words[0].span.to(last.span)
    }
}

impl SectionKind {
    /// The section a keyword opens, if it does.
    pub fn of(keyword: &str) -> Option<Self> {
        let known = [
            Self::Global,
            Self::Defaults,
            Self::Frontend,
            Self::Backend,
            Self::Listen,
            Self::Userlist,
            Self::HttpErrors,
            Self::Cache,
            Self::LogProfile,
            Self::Resolvers,
        ];
        known
            .into_iter()
            .find(|kind| kind.keyword() == keyword)
            .or_else(|| {
                let index = UNSUPPORTED.iter().position(|(name, _)| *name == keyword)?;
                Some(Self::Unsupported(u8::try_from(index).ok()?))
            })
    }

    /// The keyword, which is also how messages call the section.
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::Defaults => "defaults",
            Self::Frontend => "frontend",
            Self::Backend => "backend",
            Self::Listen => "listen",
            Self::Userlist => "userlist",
            Self::HttpErrors => "http-errors",
            Self::Cache => "cache",
            Self::LogProfile => "log-profile",
            Self::Resolvers => "resolvers",
            Self::Unsupported(index) => UNSUPPORTED[usize::from(index)].0,
        }
    }

    /// All keywords that open a section this version runs.
    pub fn supported() -> impl Iterator<Item = &'static str> {
        [
            "global",
            "defaults",
            "frontend",
            "backend",
            "listen",
            "userlist",
            "http-errors",
            "cache",
            "log-profile",
            "resolvers",
        ]
        .into_iter()
    }
}

/// Sections of the language that are refused, with what to do instead.
pub const UNSUPPORTED: &[(&str, &str)] = &[
    ("acme", "certificates are read from files named by 'crt'"),
    ("crt-store", "name certificates with 'crt' on the bind line"),
    ("fcgi-app", "FastCGI servers cannot be used"),
    ("healthcheck", "write the check in the backend"),
    ("log-forward", "syslog messages are sent, not received"),
    ("mailers", "no mail is sent"),
    (
        "namespace_list",
        "network namespaces cannot be chosen per server",
    ),
    ("peers", "stick tables are local to the process"),
    ("program", "start the program from the service manager"),
    (
        "ring",
        "send logs to a syslog server, a file descriptor or a socket",
    ),
    ("traces", "use the log level of the daemon"),
];
