//! The rule sets and their actions (manual §4.2 `tcp-request` … `http-after-response`, §4.3, §4.4).
//!
//! Every action is one [`Action`] that says in which rule sets it may stand. A rule is the action's words, then an
//! optional condition.

mod common;
pub(super) mod connection;
pub(super) mod http;
mod message;
pub(super) mod redirect;
pub(super) mod reply;
mod tcp;

use super::args::{Args, Complaint, Parsed, join};
use super::catalogue::State;
use super::context::Context;
use super::draft::ProxyDraft;
use super::expressions::Rules;
use super::registry::{Effect, Keyword, Sections};
use crate::expr::{Expression, LogFormat, Purpose, Stage};
use crate::lang::ast::{SectionKind, Word};
use crate::lang::source::Span;
use crate::model::{CommonAction, HttpAction, HttpRule, TcpAction, TcpRule};

/// One action of the rule sets.
pub(in crate::lang) struct Action {
    /// Its word, without the parentheses some have.
    pub name: &'static str,
    /// Where it may stand.
    pub sets: RuleSets,
    /// Its arguments, in the manual's notation.
    pub args: &'static str,
    /// What it does.
    pub doc: &'static str,
    effect: ActionEffect,
}

enum ActionEffect {
    Build(fn(&mut RuleParts<'_, '_, '_>) -> Parsed<Built>),
    Refused(&'static str),
}

impl Action {
    /// What becomes of it.
    pub(in crate::lang) fn state(&self) -> State {
        match self.effect {
            ActionEffect::Build(_) => State::Works,
            ActionEffect::Refused(instead) => State::Refused(instead),
        }
    }
}

/// What an action's words become.
enum Built {
    Tcp(TcpAction),
    Http(HttpAction),
    Common(CommonAction),
}

/// A set of rule sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lang) struct RuleSets(u8);

impl RuleSets {
    pub(crate) const CONNECTION: Self = Self(1);
    pub(crate) const SESSION: Self = Self(2);
    pub(crate) const CONTENT: Self = Self(4);
    pub(crate) const TCP_RESPONSE: Self = Self(8);
    pub(crate) const REQUEST: Self = Self(16);
    pub(crate) const RESPONSE: Self = Self(32);
    pub(crate) const AFTER_RESPONSE: Self = Self(64);
    /// `stats http-request`
    pub(crate) const STATS: Self = Self(128);
    /// All of `tcp-request`.
    pub(crate) const TCP_REQUEST: Self = Self::CONNECTION.or(Self::SESSION).or(Self::CONTENT);
    /// All of TCP.
    pub(crate) const TCP: Self = Self::TCP_REQUEST.or(Self::TCP_RESPONSE);
    /// All of HTTP.
    pub(crate) const HTTP: Self = Self::REQUEST.or(Self::RESPONSE).or(Self::AFTER_RESPONSE);
    /// HTTP requests and responses.
    pub(crate) const MESSAGES: Self = Self::REQUEST.or(Self::RESPONSE);
    /// Everything.
    pub(crate) const ALL: Self = Self::TCP.or(Self::HTTP);

    #[must_use]
    pub(crate) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    fn stage(self) -> Stage {
        match self {
            Self::CONNECTION => Stage::Connection,
            Self::SESSION => Stage::Session,
            Self::CONTENT => Stage::RequestContent,
            Self::TCP_RESPONSE => Stage::ResponseContent,
            Self::RESPONSE | Self::AFTER_RESPONSE => Stage::Response,
            _ => Stage::Request,
        }
    }
}

/// A rule while its words are read.
pub(in crate::lang::keywords) struct RuleParts<'r, 'w, 'a> {
    pub(in crate::lang::keywords) args: &'r mut Args<'w>,
    pub(in crate::lang::keywords) draft: &'r mut ProxyDraft,
    context: &'r mut Context<'a>,
    /// The rule set the rule stands in.
    set: RuleSets,
    /// The action's word.
    word: &'w Word,
    /// The text between its parentheses.
    inside: Option<&'w str>,
}

impl RuleParts<'_, '_, '_> {
    pub(in crate::lang::keywords) fn expression(&mut self) -> Parsed<Expression> {
        Rules::new(self.context, &self.draft.acls, self.set.stage()).expression(self.args)
    }

    pub(in crate::lang::keywords) fn integer(
        &mut self,
        number: i64,
        place: Span,
    ) -> Parsed<Expression> {
        Rules::new(self.context, &self.draft.acls, self.set.stage()).integer(number, place)
    }

    /// A format in one word.
    fn format(&mut self, what: &str) -> Parsed<LogFormat> {
        let word = self.args.need(what)?;
        self.format_of(word)
    }

    /// A format whose text becomes a variable's value.
    fn variable_format(&mut self) -> Parsed<LogFormat> {
        let word = self.args.need("a log-format string")?;
        Rules::new(self.context, &self.draft.acls, self.set.stage())
            .log_format_for(word, Purpose::Variable)
    }

    fn format_of(&mut self, word: &Word) -> Parsed<LogFormat> {
        Rules::new(self.context, &self.draft.acls, self.set.stage()).log_format(word)
    }

    /// The text between the parentheses, which must be there.
    fn inside(&self) -> Parsed<&str> {
        match self.inside {
            Some(text) if !text.is_empty() => Ok(text),
            _ => Err(Complaint::new(
                self.word.span,
                format!(
                    "expects arguments between parentheses after '{}'",
                    self.word.text
                ),
            )),
        }
    }

    /// Where the text between the parentheses begins in the word.
    fn inside_offset(&self) -> usize {
        self.word.text.find('(').map_or(0, |at| at + 1)
    }
}

/// Reads one rule: action, arguments, condition.
fn rule(
    args: &mut Args<'_>,
    draft: &mut ProxyDraft,
    context: &mut Context<'_>,
    set: RuleSets,
) -> Parsed<(Built, Option<crate::expr::Condition>, String)> {
    let text = join(args.rest());
    let word = args.need("an action")?;
    let (name, inside) = match word.text.split_once('(') {
        Some((name, rest)) => match rest.strip_suffix(')') {
            Some(inside) => (name, Some(inside)),
            None => {
                return Err(Complaint::new(
                    word.span,
                    format!("missing closing parenthesis in '{}'", word.text),
                ));
            }
        },
        None => (word.text.as_str(), None),
    };
    let Some(action) = all().find(|action| action.name == name && action.sets.meets(set)) else {
        return Err(unknown(word, name, set));
    };
    if inside.is_some() && !action.args.starts_with('(') {
        return Err(Complaint::new(
            word.span,
            format!("'{name}' takes no argument between parentheses"),
        ));
    }
    let built = match action.effect {
        ActionEffect::Build(build) => build(&mut RuleParts {
            args,
            draft,
            context,
            set,
            word,
            inside,
        })
        .map_err(|complaint| complaint.about(&format!("'{name}'")))?,
        ActionEffect::Refused(instead) => {
            return Err(
                Complaint::new(word.span, format!("action '{name}' is not supported"))
                    .hint(instead),
            );
        }
    };
    let condition = Rules::new(context, &draft.acls, set.stage()).condition(args)?;
    Ok((built, condition, text))
}

fn unknown(word: &Word, name: &str, set: RuleSets) -> Complaint {
    if all().any(|action| action.name == name) {
        return Complaint::new(
            word.span,
            format!("action '{name}' cannot be used in this rule set"),
        );
    }
    let here: Vec<_> = all()
        .filter(|action| action.sets.meets(set))
        .map(|action| action.name)
        .collect();
    let short = Word {
        text: name.to_owned(),
        span: word.span,
        columns: None,
    };
    Complaint::unknown(&short, "action", here)
}

/// All actions.
pub(in crate::lang) fn all() -> impl Iterator<Item = &'static Action> {
    [
        common::ACTIONS,
        connection::ACTIONS,
        tcp::ACTIONS,
        http::ACTIONS,
        message::ACTIONS,
    ]
    .into_iter()
    .flatten()
}

const fn action(
    name: &'static str,
    sets: RuleSets,
    args: &'static str,
    doc: &'static str,
    build: fn(&mut RuleParts<'_, '_, '_>) -> Parsed<Built>,
) -> Action {
    Action {
        name,
        sets,
        args,
        doc,
        effect: ActionEffect::Build(build),
    }
}

const fn refused(
    name: &'static str,
    sets: RuleSets,
    args: &'static str,
    instead: &'static str,
) -> Action {
    Action {
        name,
        sets,
        args,
        doc: "Not in this version.",
        effect: ActionEffect::Refused(instead),
    }
}

/// Reads a rule of one of the TCP rule sets.
fn tcp_rule(
    args: &mut Args<'_>,
    draft: &mut ProxyDraft,
    context: &mut Context<'_>,
    set: RuleSets,
) -> Parsed<TcpRule> {
    named_defaults_only(args, draft)?;
    let (built, condition, text) = rule(args, draft, context, set)?;
    let action = match built {
        Built::Tcp(action) => action,
        Built::Common(action) => TcpAction::Common(action),
        Built::Http(_) => return Err(args.wrong("this action needs HTTP")),
    };
    Ok(TcpRule {
        action,
        condition,
        place: context.place(args.line().span()),
        text,
    })
}

/// Reads a rule of one of the HTTP rule sets.
pub(super) fn http_rule(
    args: &mut Args<'_>,
    draft: &mut ProxyDraft,
    context: &mut Context<'_>,
    set: RuleSets,
) -> Parsed<HttpRule> {
    named_defaults_only(args, draft)?;
    let (built, condition, text) = rule(args, draft, context, set)?;
    let action = match built {
        Built::Http(action) => action,
        Built::Common(action) => HttpAction::Common(action),
        Built::Tcp(_) => return Err(args.wrong("this action needs a TCP rule set")),
    };
    Ok(HttpRule {
        action,
        condition,
        place: context.place(args.line().span()),
        text,
    })
}

/// Rules may stand in `defaults` only when it has a name (manual §4).
pub(super) fn named_defaults_only(args: &Args<'_>, draft: &ProxyDraft) -> Parsed {
    if draft.section == SectionKind::Defaults && draft.proxy.name.is_empty() {
        return Err(Complaint::new(
            args.keyword_span(),
            "not allowed in an anonymous defaults section",
        )
        .hint("give the section a name: 'defaults <name>'"));
    }
    Ok(())
}

const fn keyword(
    name: &'static str,
    sections: Sections,
    doc: &'static str,
    parse: fn(&mut Args<'_>, &mut ProxyDraft, &mut Context<'_>) -> Parsed,
) -> Keyword {
    Keyword {
        name,
        sections,
        args: "<action> <options...> [ { if | unless } <condition> ]",
        doc,
        effect: Effect::Proxy(parse),
    }
}

pub(super) const KEYWORDS: &[Keyword] = &[
    keyword(
        "tcp-request connection",
        Sections::FRONT,
        "Acts on new connections.",
        |args, draft, context| {
            let rule = tcp_rule(args, draft, context, RuleSets::CONNECTION)?;
            draft.proxy.tcp_request_connection.push(rule);
            draft.order(args, context, "tcp-request connection");
            Ok(())
        },
    ),
    keyword(
        "tcp-request session",
        Sections::FRONT,
        "Acts on sessions, after the handshakes.",
        |args, draft, context| {
            let rule = tcp_rule(args, draft, context, RuleSets::SESSION)?;
            draft.proxy.tcp_request_session.push(rule);
            draft.order(args, context, "tcp-request session");
            Ok(())
        },
    ),
    keyword(
        "tcp-request content",
        Sections::ANY_PROXY,
        "Acts on the first bytes of a request.",
        |args, draft, context| {
            let rule = tcp_rule(args, draft, context, RuleSets::CONTENT)?;
            draft.proxy.tcp_request_content.push(rule);
            draft.order(args, context, "tcp-request content");
            Ok(())
        },
    ),
    Keyword {
        name: "tcp-request inspect-delay",
        sections: Sections::ANY_PROXY,
        args: "<timeout>",
        doc: "Sets how long content rules may wait for bytes.",
        effect: Effect::Proxy(|args, draft, _| {
            named_defaults_only(args, draft)?;
            draft.proxy.inspect_delay = args.optional_time(super::args::Unit::Milliseconds)?;
            args.end()
        }),
    },
    keyword(
        "tcp-response content",
        Sections::BACK,
        "Acts on the first bytes of a response.",
        |args, draft, context| {
            let rule = tcp_rule(args, draft, context, RuleSets::TCP_RESPONSE)?;
            draft.proxy.tcp_response_content.push(rule);
            Ok(())
        },
    ),
    Keyword {
        name: "tcp-response inspect-delay",
        sections: Sections::BACK,
        args: "<timeout>",
        doc: "Sets how long content rules may wait for bytes of the response.",
        effect: Effect::Proxy(|args, draft, _| {
            named_defaults_only(args, draft)?;
            draft.proxy.response_inspect_delay =
                args.optional_time(super::args::Unit::Milliseconds)?;
            args.end()
        }),
    },
    keyword(
        "http-request",
        Sections::ANY_PROXY,
        "Acts on requests.",
        |args, draft, context| {
            let rule = http_rule(args, draft, context, RuleSets::REQUEST)?;
            draft.reach(args, context, "http-request", &rule);
            draft.proxy.http_request.push(rule);
            draft.order(args, context, "http-request");
            Ok(())
        },
    ),
    keyword(
        "http-response",
        Sections::ANY_PROXY,
        "Acts on responses.",
        |args, draft, context| {
            let rule = http_rule(args, draft, context, RuleSets::RESPONSE)?;
            draft.reach(args, context, "http-response", &rule);
            draft.proxy.http_response.push(rule);
            Ok(())
        },
    ),
    keyword(
        "http-after-response",
        Sections::ANY_PROXY,
        "Acts on everything sent to the client.",
        |args, draft, context| {
            let rule = http_rule(args, draft, context, RuleSets::AFTER_RESPONSE)?;
            draft.proxy.http_after_response.push(rule);
            Ok(())
        },
    ),
];
