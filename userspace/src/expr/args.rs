//! Arguments of fetches and converters: what stands between the parentheses.
//!
//! Text is cut into arguments with the manual's second level of quoting (§2.2), then each is converted to the type the
//! keyword declares. Names of proxies, servers, tables and userlists stay names: whether they exist is for `lang` to say,
//! from [`super::Expression::references`].

use std::any::Any;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use regex::bytes::Regex;

use super::{Acl, PatternSet, Sample, VariableName};

/// The arguments a keyword takes.
#[derive(Clone, Copy, Debug)]
pub struct Arguments {
    pub kinds: &'static [ArgKind],
    /// How many of them cannot be left out.
    pub required: usize,
}

impl Arguments {
    pub const NONE: Self = Self {
        kinds: &[],
        required: 0,
    };

    /// All of them are needed.
    #[must_use]
    pub const fn all(kinds: &'static [ArgKind]) -> Self {
        Self {
            kinds,
            required: kinds.len(),
        }
    }

    /// The first `required` are needed.
    #[must_use]
    pub const fn some(required: usize, kinds: &'static [ArgKind]) -> Self {
        Self { kinds, required }
    }
}

/// The type of one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgKind {
    Int,
    Text,
    /// A variable's name.
    Variable,
    /// A number or a variable's name.
    IntOrVariable,
    /// A variable's name where the text has that form, else the text itself.
    TextOrVariable,
    Ipv4,
    Ipv6,
    /// Dotted or a bit count.
    Mask4,
    /// Quadruplets or a bit count.
    Mask6,
    Table,
    Frontend,
    Backend,
    /// `[<backend>/]<server>`.
    Server,
    Userlist,
}

impl ArgKind {
    /// HAProxy's name of the type, in diagnostics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Int | Self::IntOrVariable => "integer",
            Self::Text | Self::TextOrVariable => "string",
            Self::Variable => "variable",
            Self::Ipv4 => "IPv4 address",
            Self::Ipv6 => "IPv6 address",
            Self::Mask4 => "IPv4 mask",
            Self::Mask6 => "IPv6 mask",
            Self::Table => "table",
            Self::Frontend => "frontend",
            Self::Backend => "backend",
            Self::Server => "server",
            Self::Userlist => "user list",
        }
    }

    /// The argument as the manual's signatures show it.
    #[must_use]
    pub fn placeholder(self) -> &'static str {
        match self {
            Self::Int => "<integer>",
            Self::Text => "<string>",
            Self::Variable => "<var>",
            Self::IntOrVariable => "<integer|var>",
            Self::TextOrVariable => "<string|var>",
            Self::Ipv4 => "<ipv4>",
            Self::Ipv6 => "<ipv6>",
            Self::Mask4 => "<mask4>",
            Self::Mask6 => "<mask6>",
            Self::Table => "<table>",
            Self::Frontend => "<frontend>",
            Self::Backend => "<backend>",
            Self::Server => "[<backend>/]<server>",
            Self::Userlist => "<userlist>",
        }
    }
}

/// One argument, converted.
#[derive(Clone)]
pub enum Arg {
    Int(i64),
    Text(Box<str>),
    Bytes(Box<[u8]>),
    Variable(VariableName),
    Ipv4(Ipv4Addr),
    Ipv6(Ipv6Addr),
    Table(Box<str>),
    Frontend(Box<str>),
    Backend(Box<str>),
    Server {
        backend: Option<Box<str>>,
        server: Box<str>,
    },
    Userlist(Box<str>),
    Regex(Regex),
    /// The patterns of a map.
    Patterns(Arc<PatternSet>),
    /// The ACLs of `acl()`, each with its `!`.
    Acls(Vec<(bool, Arc<Acl>)>),
    /// A constant a keyword made of its arguments.
    Constant(Sample<'static>),
    /// Whatever else a keyword compiled of its arguments.
    Compiled(Arc<dyn Any + Send + Sync>),
}

impl Arg {
    /// The number, where this is one.
    #[must_use]
    pub fn int(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// The text or name, where this is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text)
            | Self::Table(text)
            | Self::Frontend(text)
            | Self::Backend(text)
            | Self::Userlist(text) => Some(text),
            _ => None,
        }
    }
}

impl fmt::Debug for Arg {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => write!(formatter, "{value}"),
            Self::Text(text) => write!(formatter, "{text:?}"),
            Self::Bytes(bytes) => write!(formatter, "{bytes:02x?}"),
            Self::Variable(name) => write!(formatter, "{name}"),
            Self::Ipv4(address) => write!(formatter, "{address}"),
            Self::Ipv6(address) => write!(formatter, "{address}"),
            Self::Table(name) => write!(formatter, "table {name}"),
            Self::Frontend(name) => write!(formatter, "frontend {name}"),
            Self::Backend(name) => write!(formatter, "backend {name}"),
            Self::Server { backend, server } => {
                write!(
                    formatter,
                    "server {}/{server}",
                    backend.as_deref().unwrap_or_default()
                )
            }
            Self::Userlist(name) => write!(formatter, "userlist {name}"),
            Self::Regex(regex) => write!(formatter, "/{regex}/"),
            Self::Patterns(set) => write!(formatter, "{set:?}"),
            Self::Acls(acls) => formatter
                .debug_list()
                .entries(acls.iter().map(|(negated, acl)| (negated, acl.name())))
                .finish(),
            Self::Constant(sample) => write!(formatter, "{sample:?}"),
            Self::Compiled(_) => write!(formatter, "(compiled)"),
        }
    }
}

/// A wrong argument: what, and at which byte of the text it stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ArgError {
    pub(super) offset: usize,
    /// Which argument, from 1; 0 for the list as a whole.
    pub(super) position: usize,
    pub(super) message: String,
}

/// Reads an argument list: `text` begins after the `(`. Returns the arguments and how many bytes they took, the `)` included.
pub(super) fn parse_list(text: &str, arguments: &Arguments) -> Result<(Vec<Arg>, usize), ArgError> {
    let mut args = Vec::new();
    let mut at = 0;
    if text.starts_with(')') && arguments.required == 0 {
        return Ok((args, 1));
    }
    for &kind in arguments.kinds {
        let (word, length) = unquote(&text[at..]);
        let position = args.len() + 1;
        match convert(kind, &word) {
            Ok(arg) => args.push(arg),
            // An optional argument may be left empty at the end of the list.
            Err(_)
                if word.is_empty()
                    && position > arguments.required
                    && ends(&text[at + length..]) => {}
            Err(wrong) => return Err(wrong.explain(kind, &word, position, at)),
        }
        at += length;
        match text.as_bytes().get(at) {
            Some(b',') if position < arguments.kinds.len() => at += 1,
            _ => break,
        }
    }
    if text.as_bytes().get(at) != Some(&b')') {
        let rest = &text[at..];
        return Err(ArgError {
            offset: at,
            position: 0,
            message: if rest.is_empty() {
                "expected ')'".into()
            } else {
                format!("expected ')' before '{rest}'")
            },
        });
    }
    if args.len() < arguments.required {
        return Err(missing(&args, arguments, at));
    }
    Ok((args, at + 1))
}

/// The list of a keyword written without parentheses.
pub(super) fn no_list(arguments: &Arguments) -> Result<Vec<Arg>, ArgError> {
    match arguments.kinds.first() {
        Some(kind) if arguments.required > 0 && *kind != ArgKind::Text => Err(ArgError {
            offset: 0,
            position: 1,
            message: format!(
                "expected type '{}' at position 1, but got nothing",
                kind.name()
            ),
        }),
        Some(_) if arguments.required > 0 => Err(missing(&[], arguments, 0)),
        _ => Ok(Vec::new()),
    }
}

fn missing(args: &[Arg], arguments: &Arguments, offset: usize) -> ArgError {
    ArgError {
        offset,
        position: args.len() + 1,
        message: format!(
            "missing arguments (got {}/{}), type '{}' expected",
            args.len(),
            arguments.required,
            arguments.kinds[args.len()].name()
        ),
    }
}

/// Why a word is no argument of a kind.
enum Wrong {
    /// It does not have the type's form.
    Type,
    /// It has its own message.
    Because(String),
}

impl Wrong {
    fn explain(self, kind: ArgKind, word: &str, position: usize, offset: usize) -> ArgError {
        let name = kind.name();
        let (position, message) = match self {
            Self::Type if word.is_empty() => (
                position,
                format!("expected type '{name}' at position {position}, but got nothing"),
            ),
            Self::Type => (
                position,
                format!("failed to parse '{word}' as type '{name}' at position {position}"),
            ),
            Self::Because(message) => (0, message),
        };
        ArgError {
            offset,
            position,
            message,
        }
    }
}

fn ends(text: &str) -> bool {
    text.starts_with(')')
}

/// Takes one argument off the text: up to a comma or closing parenthesis outside quotes. Returns it unquoted, and its length
/// in the text.
///
/// As the oracle does, a backslash removes itself only before a quote, a backslash, a space or one of `n`, `r`, `t`; it does
/// not protect a comma or a parenthesis: those need quotes.
fn unquote(text: &str) -> (String, usize) {
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (None, ',' | ')') => return (word, at),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), _) if c == open => quote = None,
            (None | Some('"'), '\\') => match chars.peek().and_then(|(_, next)| escaped(*next)) {
                Some(plain) => {
                    word.push(plain);
                    chars.next();
                }
                None => word.push('\\'),
            },
            _ => word.push(c),
        }
    }
    (word, text.len())
}

fn escaped(c: char) -> Option<char> {
    Some(match c {
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        ' ' | '\'' | '"' | '\\' => c,
        _ => return None,
    })
}

/// Converts one argument.
fn convert(kind: ArgKind, word: &str) -> Result<Arg, Wrong> {
    let variable = || VariableName::parse(word).map(Arg::Variable);
    let parsed = match kind {
        ArgKind::Text => Some(Arg::Text(word.into())),
        ArgKind::TextOrVariable => Some(variable().unwrap_or_else(|_| Arg::Text(word.into()))),
        _ if word.is_empty() => None,
        ArgKind::Int => word.parse().ok().map(Arg::Int),
        ArgKind::IntOrVariable => match word.parse() {
            Ok(value) => Some(Arg::Int(value)),
            Err(_) => Some(
                variable()
                    .map_err(|_| Wrong::Because("expects an integer or a variable name".into()))?,
            ),
        },
        ArgKind::Variable => Some(variable().map_err(|error| Wrong::Because(error.message))?),
        ArgKind::Ipv4 => word.parse().ok().map(Arg::Ipv4),
        ArgKind::Ipv6 => word.parse().ok().map(Arg::Ipv6),
        ArgKind::Mask4 => mask4(word).map(Arg::Ipv4),
        ArgKind::Mask6 => mask6(word).map(Arg::Ipv6),
        ArgKind::Table => Some(Arg::Table(word.into())),
        ArgKind::Frontend => Some(Arg::Frontend(word.into())),
        ArgKind::Backend => Some(Arg::Backend(word.into())),
        ArgKind::Userlist => Some(Arg::Userlist(word.into())),
        ArgKind::Server => Some(match word.split_once('/') {
            Some((backend, server)) => Arg::Server {
                backend: Some(backend.into()),
                server: server.into(),
            },
            None => Arg::Server {
                backend: None,
                server: word.into(),
            },
        }),
    };
    parsed.ok_or(Wrong::Type)
}

/// An IPv4 mask, dotted or as a number of bits.
pub(super) fn mask4(word: &str) -> Option<Ipv4Addr> {
    if let Ok(bits) = word.parse::<u32>() {
        return (bits <= 32).then(|| Ipv4Addr::from(u32::MAX.checked_shl(32 - bits).unwrap_or(0)));
    }
    word.parse().ok()
}

/// An IPv6 mask, as an address or as a number of bits.
pub(super) fn mask6(word: &str) -> Option<Ipv6Addr> {
    if let Ok(bits) = word.parse::<u32>() {
        return (bits <= 128)
            .then(|| Ipv6Addr::from(u128::MAX.checked_shl(128 - bits).unwrap_or(0)));
    }
    word.parse().ok()
}
