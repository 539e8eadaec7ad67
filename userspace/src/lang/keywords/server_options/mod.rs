//! The options of `server`, `default-server` and `server-template` lines (manual §5.2).
//!
//! Every option is one [`ServerOption`] that writes into [`ServerOptions`]; a server line starts from what `default-server`
//! left there. What an option means together with the backend's lines is decided in [`super::server`].

mod checks;
mod general;
mod logs;
mod source;
mod tls;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::args::{Args, Complaint, Parsed};
use super::catalogue::State;
use super::context::Context;
use super::resolvers::ResolutionOptions;
use super::tls::TlsSettings;
use crate::expr::Expression;
use crate::lang::ast::Word;
use crate::model::{
    CheckSteps, ErrorReaction, HttpProtocol, OnMarkedDown, OnMarkedUp, ProxyRecords, ServerSocket,
    Source, Verify, WebSocket,
};
use crate::proto::syslog::Framing;
use crate::types::{Millis, Weight};

pub(super) use source::source;

/// One option of a server line.
pub(in crate::lang) struct ServerOption {
    /// The word.
    pub name: &'static str,
    /// Its arguments, in the manual's notation.
    pub args: &'static str,
    /// What it does.
    pub doc: &'static str,
    effect: ServerEffect,
}

type Set = fn(&mut Args<'_>, &mut ServerOptions, &mut Context<'_>) -> Parsed;

enum ServerEffect {
    Set(Set),
    NoOp(&'static str),
    Refused(&'static str),
}

impl ServerOption {
    /// What becomes of it.
    pub(in crate::lang) fn state(&self) -> State {
        match self.effect {
            ServerEffect::Set(_) => State::Works,
            ServerEffect::NoOp(why) => State::NoEffect(why),
            ServerEffect::Refused(instead) => State::Refused(instead),
        }
    }
}

/// What the options of a line said, over what `default-server` said.
#[derive(Clone, Debug)]
pub(in crate::lang) struct ServerOptions {
    pub number: Option<u32>,
    pub weight: Weight,
    pub backup: bool,
    pub disabled: bool,
    pub maxconn: Option<u32>,
    pub minconn: Option<u32>,
    pub maxqueue: Option<u32>,
    pub cookie: Option<String>,
    pub slowstart: Option<Millis>,
    pub non_stick: bool,
    pub track: Option<Word>,
    pub redirect_prefix: Option<String>,
    pub init_addr: Vec<InitAddr>,
    pub resolution: ResolutionOptions,
    pub source: Option<Source>,
    pub socket: ServerSocket,
    pub send_proxy: Option<u8>,
    pub proxy_records: ProxyRecords,
    pub socks4: Option<SocketAddr>,
    pub pool_max: Option<u32>,
    pub pool_purge_delay: Millis,
    pub pool_low: u32,
    pub pool_name: Option<Expression>,
    pub max_reuse: Option<u32>,
    pub strict_maxconn: bool,
    pub proto: Option<HttpProtocol>,
    pub websocket: WebSocket,
    pub check: CheckOptions,
    pub agent: AgentOptions,
    pub observe_layer7: Option<bool>,
    pub error_limit: u32,
    pub on_error: ErrorReaction,
    pub on_marked_down: Option<OnMarkedDown>,
    pub on_marked_up: Option<OnMarkedUp>,
    pub log_framing: Framing,
    pub log_buffer: Option<usize>,
    pub ssl: bool,
    pub tls: ServerTlsOptions,
}

/// The part of the options that is about checks.
#[derive(Clone, Debug, Default)]
pub(in crate::lang) struct CheckOptions {
    pub enabled: bool,
    pub address: Option<IpAddr>,
    pub port: Option<u16>,
    pub inter: Option<Millis>,
    pub fast_inter: Option<Millis>,
    pub down_inter: Option<Millis>,
    pub rise: Option<u32>,
    pub fall: Option<u32>,
    pub window: Option<(u8, Word)>,
    pub threshold: Option<(u8, Word)>,
    pub send_proxy: bool,
    pub via_socks4: bool,
    /// `healthcheck`: in place of the backend's check.
    pub steps: Option<CheckSteps>,
    pub ssl: Option<bool>,
    pub sni: Option<String>,
    /// TLS and PROXY headers of the server are not those of its checks (manual §5.2 `check`, dynamic servers).
    pub explicit: bool,
}

/// The part of the options that is about the agent.
#[derive(Clone, Debug, Default)]
pub(in crate::lang) struct AgentOptions {
    pub enabled: bool,
    pub address: Option<IpAddr>,
    pub port: Option<u16>,
    pub inter: Option<Millis>,
    pub send: Option<String>,
}

/// The part of the options that is about TLS.
#[derive(Clone, Debug, Default)]
pub(in crate::lang) struct ServerTlsOptions {
    pub settings: TlsSettings,
    pub verify: Option<Verify>,
    pub ca_file: Option<PathBuf>,
    pub crl_file: Option<PathBuf>,
    pub certificate: Option<PathBuf>,
    pub sni: Option<Expression>,
    pub no_sni_auto: bool,
    pub verify_host: Option<String>,
    pub alpn: Option<Vec<Vec<u8>>>,
}

/// A way to find a server's address at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::lang) enum InitAddr {
    Last,
    Libc,
    None,
    Address(IpAddr),
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            number: None,
            weight: Weight(1),
            backup: false,
            disabled: false,
            maxconn: None,
            minconn: None,
            maxqueue: None,
            cookie: None,
            slowstart: None,
            non_stick: false,
            track: None,
            redirect_prefix: None,
            init_addr: vec![InitAddr::Last, InitAddr::Libc],
            resolution: ResolutionOptions::default(),
            source: None,
            socket: ServerSocket::default(),
            send_proxy: None,
            proxy_records: ProxyRecords::default(),
            socks4: None,
            pool_max: None,
            pool_purge_delay: Millis(5000),
            pool_low: 0,
            pool_name: None,
            max_reuse: None,
            strict_maxconn: false,
            proto: None,
            websocket: WebSocket::default(),
            check: CheckOptions::default(),
            agent: AgentOptions::default(),
            observe_layer7: None,
            error_limit: 10,
            on_error: ErrorReaction::FailCheck,
            on_marked_down: None,
            on_marked_up: None,
            log_framing: Framing::default(),
            log_buffer: None,
            ssl: false,
            tls: ServerTlsOptions::default(),
        }
    }
}

impl ServerOptions {
    /// Takes all options up to the end of the line.
    pub(crate) fn read(
        &mut self,
        args: &mut Args<'_>,
        is_default: bool,
        context: &mut Context<'_>,
    ) -> Parsed {
        while let Some(word) = args.peek() {
            let name = word
                .text
                .split_once('(')
                .map_or(&*word.text, |(name, _)| name);
            let with_parentheses = name.len() < word.text.len();
            let found = all().find(|option| {
                option.name == name && option.args.starts_with('(') == with_parentheses
            });
            let Some(option) = found else {
                if self.tls.settings.option(args, context)? {
                    continue;
                }
                return Err(Complaint::unknown(
                    word,
                    "keyword",
                    all().map(|option| option.name),
                ));
            };
            args.skip(1);
            if is_default && NOT_IN_DEFAULT.contains(&option.name) {
                let message = format!("'{}' cannot be a default", word.text);
                return Err(Complaint::new(word.span, message));
            }
            match option.effect {
                ServerEffect::Set(parse) => {
                    let about = |complaint: Complaint| complaint.about(&format!("'{}'", word.text));
                    parse(args, self, context).map_err(about)?;
                }
                ServerEffect::NoOp(why) => {
                    context.ignore(word, why);
                    args.skip(if option.args.is_empty() { 0 } else { 1 });
                }
                ServerEffect::Refused(instead) => {
                    let message = format!("'{}' is not supported", word.text);
                    return Err(Complaint::new(word.span, message).hint(instead));
                }
            }
        }
        Ok(())
    }
}

const fn option(
    name: &'static str,
    args: &'static str,
    doc: &'static str,
    parse: Set,
) -> ServerOption {
    ServerOption {
        name,
        args,
        doc,
        effect: ServerEffect::Set(parse),
    }
}

const fn no_op(name: &'static str, args: &'static str, why: &'static str) -> ServerOption {
    ServerOption {
        name,
        args,
        doc: "Accepted without effect.",
        effect: ServerEffect::NoOp(why),
    }
}

const fn refused(name: &'static str, args: &'static str, instead: &'static str) -> ServerOption {
    ServerOption {
        name,
        args,
        doc: "Not in this version.",
        effect: ServerEffect::Refused(instead),
    }
}

/// All options of server lines.
pub(in crate::lang) fn all() -> impl Iterator<Item = &'static ServerOption> {
    [
        general::OPTIONS,
        logs::OPTIONS,
        source::OPTIONS,
        checks::OPTIONS,
        tls::OPTIONS,
    ]
    .into_iter()
    .flatten()
}

/// The options that work, each with its arguments.
pub(in crate::lang) fn working() -> impl Iterator<Item = (&'static str, &'static str)> {
    let works = |option: &&ServerOption| matches!(option.effect, ServerEffect::Set(_));
    all().filter(works).map(|option| (option.name, option.args))
}

/// Options that make no sense as a default.
const NOT_IN_DEFAULT: &[&str] = &["id", "track"];
