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
    /// `ring`
    Ring,
    /// `log-forward`
    LogForward,
    /// `crt-store`
    CrtStore,
    /// `healthcheck`
    Healthcheck,
    /// `peers`
    Peers,
    /// A section of HAProxy's language that this version does not run; the index is into [`UNSUPPORTED`].
    Unsupported(u8),
}

impl Word {
    /// A word as it was written.
    pub(super) fn plain(text: String, span: Span) -> Self {
        Self {
            text,
            span,
            columns: None,
        }
    }

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
        let known = SUPPORTED.iter().find(|(_, name, _)| *name == keyword);
        known.map(|(kind, ..)| *kind).or_else(|| {
            let index = UNSUPPORTED.iter().position(|(name, _)| *name == keyword)?;
            Some(Self::Unsupported(u8::try_from(index).ok()?))
        })
    }

    /// The keyword, which is also how messages call the section.
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Unsupported(index) => UNSUPPORTED[usize::from(index)].0,
            _ => {
                let known = SUPPORTED.iter().find(|(kind, ..)| *kind == self);
                known.map_or("", |(_, name, _)| name)
            }
        }
    }

    /// All keywords that open a section this version runs.
    pub fn supported() -> impl Iterator<Item = &'static str> {
        SUPPORTED.iter().map(|(_, name, _)| *name)
    }
}

/// The sections this version runs: the keyword, and what is in them.
pub const SUPPORTED: &[(SectionKind, &str, &str)] = &[
    (
        SectionKind::Global,
        "global",
        "Settings of the whole process; several such sections are read as one.",
    ),
    (
        SectionKind::Defaults,
        "defaults",
        "Settings of the proxies that follow, or of those that name it with 'from'.",
    ),
    (
        SectionKind::Frontend,
        "frontend",
        "A proxy's side towards clients: where it listens, its rules, and the backends it chooses from.",
    ),
    (
        SectionKind::Backend,
        "backend",
        "A proxy's side towards servers: which there are, how one is chosen, how they are checked.",
    ),
    (
        SectionKind::Listen,
        "listen",
        "A frontend and a backend in one.",
    ),
    (
        SectionKind::Userlist,
        "userlist",
        "Users with their passwords and groups, for 'http_auth'.",
    ),
    (
        SectionKind::HttpErrors,
        "http-errors",
        "Error pages by a name, for 'errorfiles' and for replies.",
    ),
    (
        SectionKind::Cache,
        "cache",
        "A store for responses, for 'cache-use' and 'cache-store'.",
    ),
    (
        SectionKind::LogProfile,
        "log-profile",
        "What log lines look like, step by step, for 'log' lines that name it.",
    ),
    (
        SectionKind::Resolvers,
        "resolvers",
        "Name servers, for servers whose addresses may change and for 'do-resolve'.",
    ),
    (
        SectionKind::Ring,
        "ring",
        "Log messages kept in memory, shown by 'show events' and carried to servers over TCP or TLS.",
    ),
    (
        SectionKind::LogForward,
        "log-forward",
        "Syslog messages received over UDP, TCP or TLS and passed on to 'log' lines.",
    ),
    (
        SectionKind::CrtStore,
        "crt-store",
        "Certificates with their keys and names, for 'crt' and for tokens.",
    ),
    (
        SectionKind::Healthcheck,
        "healthcheck",
        "A health check by a name, for servers that are not checked as their backend says.",
    ),
    (
        SectionKind::Peers,
        "peers",
        "The local peer's stick tables; other peers are not contacted.",
    ),
];

/// Sections of the language that are refused, with what to do instead.
pub const UNSUPPORTED: &[(&str, &str)] = &[
    ("acme", "certificates are read from files named by 'crt'"),
    ("fcgi-app", "FastCGI servers cannot be used"),
    ("mailers", "no mail is sent"),
    (
        "namespace_list",
        "network namespaces cannot be chosen per server",
    ),
    ("program", "start the program from the service manager"),
    ("traces", "use the log level of the daemon"),
];
