//! Rules: what `tcp-request`, `http-request`, `stick …` and their kin do (manual §4.3, §4.4 in 3.x).

use std::sync::Arc;

use regex::bytes::Regex;

use super::{CaptureId, ErrorFile, FieldChange, NamePart, Normalizer};
use crate::expr::{Condition, Expression, LogFormat, VariableName};
use crate::types::{Millis, ProxyId, TableId};

/// One rule of a `tcp-request` or `tcp-response` list.
#[derive(Clone, Debug)]
pub struct TcpRule {
    /// What is done.
    pub action: TcpAction,
    /// When; `None` = always.
    pub condition: Option<Condition>,
    /// The file and line it was written on, as `file:line`.
    pub place: String,
    /// The line's words after the rule set's name, for `explain` and messages.
    pub text: String,
}

/// The actions of `tcp-request connection|session|content` and `tcp-response content`. Which variants a rule set may
/// hold is checked by the language.
#[derive(Clone, Debug)]
pub enum TcpAction {
    /// `accept`: no later rule is looked at.
    Accept,
    /// `reject`: the connection is closed at once.
    Reject,
    /// `silent-drop`: closed without telling the peer.
    SilentDrop,
    /// `close` (tcp-response): the server side is closed.
    Close,
    /// `expect-proxy layer4`.
    ExpectProxy,
    /// `expect-netscaler-cip layer4`.
    ExpectNetscaler,
    /// `switch-mode http`.
    SwitchModeHttp,
    /// `attach-srv BACKEND/SERVER [name SAMPLE]` (session rules): once it speaks HTTP/2, the connection carries requests to
    /// that server.
    AttachServer {
        /// The backend's name.
        backend: String,
        /// The server's name.
        server: String,
        /// The name that requests must want, as `pool-conn-name` or `sni` of the server tells it.
        name: Option<Expression>,
    },
    /// What the HTTP rule sets have too.
    Common(CommonAction),
    /// `capture SAMPLE len N` (content rules).
    Capture {
        /// What is captured.
        sample: Expression,
        /// Into which slot.
        id: CaptureId,
    },
}

/// Actions that TCP and HTTP rule sets share.
#[derive(Clone, Debug)]
pub enum CommonAction {
    /// `set-bandwidth-limit NAME [limit …] [period …]`.
    LimitBandwidth {
        /// The proxy whose filter it is.
        proxy: ProxyId,
        /// The filter's name.
        filter: String,
        /// Bytes in place of the filter's.
        limit: Option<Expression>,
        /// Milliseconds in place of the filter's.
        period: Option<Expression>,
    },
    /// `track-sc0|1|2 KEY [table T]`.
    Track {
        /// The counter slot.
        slot: TrackSlot,
        /// The key.
        key: Expression,
        /// The table.
        table: TableId,
    },
    /// `sc-inc-gpc(IDX,SLOT)`, `sc-inc-gpc0`, `sc-inc-gpc1`.
    IncrementCounter {
        /// The counter slot.
        slot: TrackSlot,
        /// Which general purpose counter.
        counter: GeneralCounter,
    },
    /// `sc-add-gpc(IDX,SLOT) { INT | EXPR }`.
    AddCounter {
        /// The counter slot.
        slot: TrackSlot,
        /// Which general purpose counter.
        counter: GeneralCounter,
        /// How much.
        amount: Expression,
    },
    /// `sc-set-gpt(IDX,SLOT)`, `sc-set-gpt0`.
    SetTag {
        /// The counter slot.
        slot: TrackSlot,
        /// Which general purpose tag; `None` = `gpt0`.
        tag: Option<u32>,
        /// Its new value.
        value: Expression,
    },
    /// `set-var(NAME[,COND…]) EXPR`.
    SetVariable {
        /// The variable.
        name: VariableName,
        /// Its new value.
        value: Expression,
        /// Conditions of the assignment (`ifexists`, `ifgt` …).
        conditions: Vec<VariableCondition>,
    },
    /// `set-var-fmt(NAME) FMT`.
    SetVariableFormat {
        /// The variable.
        name: VariableName,
        /// Its new value.
        value: LogFormat,
        /// Conditions of the assignment.
        conditions: Vec<VariableCondition>,
    },
    /// `unset-var(NAME)`.
    UnsetVariable(VariableName),
    /// `set-src EXPR`.
    SetSource(Expression),
    /// `set-src-port EXPR`.
    SetSourcePort(Expression),
    /// `set-dst EXPR`.
    SetDestination(Expression),
    /// `set-dst-port EXPR`.
    SetDestinationPort(Expression),
    /// `set-log-level LEVEL`; `None` = silent.
    SetLogLevel(Option<super::Severity>),
    /// `set-mark` / `set-fc-mark`: SO_MARK of the client's connection.
    SetMark(u32),
    /// `set-tos` / `set-fc-tos`: IP_TOS or IPV6_TCLASS of the client's connection.
    SetTos(u8),
    /// `set-fc-mark EXPR`.
    SetMarkTo(Expression),
    /// `set-fc-tos EXPR`.
    SetTosTo(Expression),
    /// `set-bc-mark`: SO_MARK of the connection to the server.
    SetBackMark(Expression),
    /// `set-bc-tos`: IP_TOS or IPV6_TCLASS of the connection to the server.
    SetBackTos(Expression),
    /// `set-retries`: in place of the backend's.
    SetRetries(Expression),
    /// An action that is accepted without effect.
    Nothing,
    /// `set-priority-class EXPR`: the place in the queues.
    SetPriorityClass(Expression),
    /// `set-priority-offset EXPR`: the place within the class.
    SetPriorityOffset(Expression),
    /// `do-resolve(VAR,RESOLVERS[,FAMILY]) EXPR`: only in rules that may wait.
    Resolve(Arc<NameResolution>),
    /// `do-log [profile NAME]`: emits a log line now.
    DoLog {
        /// The rule set the rule stands in.
        step: super::LogStep,
        /// The profile in place of the targets' own.
        profile: Option<Arc<super::LogProfile>>,
    },
}

/// What `do-resolve` asks, and where the answer goes.
#[derive(Clone, Debug)]
pub struct NameResolution {
    /// The variable that gets the address.
    pub variable: VariableName,
    /// Who is asked.
    pub resolvers: Arc<super::Resolvers>,
    /// Whether IPv6 addresses are asked for first.
    pub prefer_v6: bool,
    /// The name.
    pub name: Expression,
}

/// A `track-sc` slot: 0, 1, 2, …
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrackSlot(pub u8);

/// A general purpose counter of a stick-table entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GeneralCounter {
    /// `gpc0`.
    Gpc0,
    /// `gpc1`.
    Gpc1,
    /// `gpc` array, by index.
    Indexed(u32),
}

/// A condition of `set-var` (manual: `ifexists`, `ifnotexists`, `ifempty`, `ifnotempty`, `ifset`, `ifnotset`, `ifgt`, `iflt`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VariableCondition {
    /// The variable exists.
    Exists,
    /// It does not.
    NotExists,
    /// The new value is empty.
    Empty,
    /// It is not.
    NotEmpty,
    /// The new value's sample was found.
    Set,
    /// It was not.
    NotSet,
    /// The variable is greater than the new value.
    Greater,
    /// It is less.
    Less,
}

/// One rule of `http-request`, `http-response` or `http-after-response`.
#[derive(Clone, Debug)]
pub struct HttpRule {
    /// What is done.
    pub action: HttpAction,
    /// When; `None` = always.
    pub condition: Option<Condition>,
    /// The file and line it was written on, as `file:line`.
    pub place: String,
    /// The line's words after the rule set's name.
    pub text: String,
}

/// The actions of the HTTP rule sets. Which variants a rule set may hold is checked by the language.
#[derive(Clone, Debug)]
pub enum HttpAction {
    /// `allow`: no later rule of this set is looked at.
    Allow,
    /// `deny [deny_status N] …`.
    Deny(Arc<Reply>),
    /// `tarpit`: as deny, after `timeout tarpit`.
    Tarpit(Arc<Reply>),
    /// `reject`: the connection is closed without an answer.
    Reject,
    /// `silent-drop`.
    SilentDrop,
    /// `auth [realm R]`: a 401 or 407 asking for credentials.
    Auth {
        /// The realm; the proxy's name by default.
        realm: Option<String>,
    },
    /// `return …`.
    Return(Arc<Reply>),
    /// `redirect …`.
    Redirect(Redirect),
    /// `add-header NAME FMT`.
    AddHeader(String, LogFormat),
    /// `set-header NAME FMT`.
    SetHeader(String, LogFormat),
    /// `del-header NAME [-m METHOD]`.
    DeleteHeader(NameMatch),
    /// `replace-header NAME REGEX FMT`: on the whole field.
    ReplaceHeader(String, Regex, LogFormat),
    /// `replace-value NAME REGEX FMT`: on each element of the list.
    ReplaceValue(String, Regex, LogFormat),
    /// `set-method FMT`.
    SetMethod(LogFormat),
    /// `set-path FMT`.
    SetPath(LogFormat),
    /// `set-pathq FMT`.
    SetPathQuery(LogFormat),
    /// `set-query FMT`.
    SetQuery(LogFormat),
    /// `set-uri FMT`.
    SetUri(LogFormat),
    /// `replace-path REGEX FMT`.
    ReplacePath(Regex, LogFormat),
    /// `replace-pathq REGEX FMT`.
    ReplacePathQuery(Regex, LogFormat),
    /// `replace-uri REGEX FMT`.
    ReplaceUri(Regex, LogFormat),
    /// `add-headers-bin`, `set-headers-bin`.
    ChangeFields {
        /// The fields, in the form of `req.hdrs_bin`.
        fields: Expression,
        /// What is done with them.
        change: FieldChange,
        /// `prefix`: only fields whose names begin so.
        prefix: String,
    },
    /// `del-headers-bin`.
    DeleteFields {
        /// Names, each behind its length.
        names: Expression,
        /// Which part of a field's name they are.
        part: NamePart,
    },
    /// `early-hint NAME FMT`.
    EarlyHint(String, LogFormat),
    /// `pause MILLIS`.
    Pause(Expression),
    /// `wait-for-handshake`: requests here never come before its end.
    WaitForHandshake,
    /// `normalize-uri NORMALIZER`.
    NormalizeUri(Normalizer),
    /// `set-status CODE [reason R]`.
    SetStatus(u16, Option<String>),
    /// `capture SAMPLE len N | id N`.
    Capture {
        /// What is captured.
        sample: Expression,
        /// Into which slot.
        id: CaptureId,
    },
    /// `wait-for-body time T [at-least N]`.
    WaitForBody {
        /// How long.
        time: Millis,
        /// How many bytes; 0 = all of it or a full buffer.
        at_least: u64,
    },
    /// `set-timeout client|server|tunnel MILLIS`.
    SetTimeout(TimeoutKind, Expression),
    /// `strict-mode on|off`.
    StrictMode(bool),
    /// `use-service NAME`.
    UseService(Service),
    /// `disable-l7-retry`.
    DisableL7Retry,
    /// `mirror-to BACKEND [sample N%]`, an extension of this program.
    Mirror {
        /// Whose servers get a copy.
        backend: ProxyId,
        /// How many of ten thousand requests are copied.
        share: u16,
    },
    /// `cache-use NAME [no-early-hints]`.
    CacheUse {
        /// The cache: an index into [`super::Model::caches`].
        cache: usize,
        /// Whether early hints may be sent.
        hints: bool,
    },
    /// `cache-store NAME`: an index into [`super::Model::caches`].
    CacheStore(usize),
    /// `add-acl(FILE) FMT`, `del-acl`.
    ChangePatterns {
        /// The pattern file's reference name.
        file: String,
        /// True to add, false to remove.
        add: bool,
        /// The pattern.
        pattern: LogFormat,
    },
    /// `set-map(FILE) KEY VALUE`, `del-map(FILE) KEY`.
    ChangeMap {
        /// The map file's reference name.
        file: String,
        /// The key.
        key: LogFormat,
        /// The value; `None` removes the key.
        value: Option<LogFormat>,
    },
    /// What the TCP rule sets have too.
    Common(CommonAction),
}

impl HttpAction {
    /// Whether no later rule of the set is looked at once it is done.
    pub const fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Allow
                | Self::Deny(_)
                | Self::Tarpit(_)
                | Self::Reject
                | Self::SilentDrop
                | Self::Auth { .. }
                | Self::Return(_)
                | Self::Redirect(_)
                | Self::UseService(_)
        )
    }
}

/// A service answered inside the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// `prometheus-exporter`.
    PrometheusExporter,
}

/// Which timeout `set-timeout` changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeoutKind {
    /// `client`.
    Client,
    /// `connect`.
    Connect,
    /// `queue`.
    Queue,
    /// `server`.
    Server,
    /// `tarpit`.
    Tarpit,
    /// `tunnel`.
    Tunnel,
}

/// Which header names `del-header` removes.
#[derive(Clone, Debug)]
pub enum NameMatch {
    /// `-m str`, the default; case-insensitive.
    Exact(String),
    /// `-m beg`.
    Begins(String),
    /// `-m end`.
    Ends(String),
    /// `-m sub`.
    Contains(String),
    /// `-m reg`.
    Regex(Regex),
}

/// An answer made by the proxy: `return`, `deny`, `http-error`.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status; 200 for `return`, 403 for `deny`, 500 for `tarpit` by default.
    pub status: u16,
    /// Where body and headers come from.
    pub body: ReplyBody,
    /// `content-type`.
    pub content_type: Option<String>,
    /// `hdr NAME FMT`, in order.
    pub headers: Vec<(String, LogFormat)>,
}

/// Where the body of an answer comes from.
#[derive(Clone, Debug)]
pub enum ReplyBody {
    /// None: `return` without a payload, or `default-errorfiles`' absence.
    Empty,
    /// `file` / `string`: bytes as they are.
    Bytes(Arc<[u8]>),
    /// `lf-file` / `lf-string`.
    Format(LogFormat),
    /// `default-errorfiles`: the proxy's own answer for the status.
    DefaultErrorFiles,
    /// `errorfile` / `errorfiles NAME`: a complete raw response.
    ErrorFile(ErrorFile),
}

/// `redirect …` (also `http-request redirect`).
#[derive(Clone, Debug)]
pub struct Redirect {
    /// What the location is made of.
    pub kind: RedirectKind,
    /// `code`: 301, 302 (the default), 303, 307 or 308.
    pub code: u16,
    /// `drop-query`.
    pub drop_query: bool,
    /// `append-slash`.
    pub append_slash: bool,
    /// `ignore-empty`: an empty location means no redirect.
    pub ignore_empty: bool,
    /// `keep-query`.
    pub keep_query: bool,
    /// `set-cookie NAME[=VALUE]` (value) or `clear-cookie NAME[=]` as a ready `Set-Cookie` value.
    pub set_cookie: Option<String>,
}

/// What a redirect's location is made of.
#[derive(Clone, Debug)]
pub enum RedirectKind {
    /// `location FMT`: the whole.
    Location(LogFormat),
    /// `prefix FMT`: put before the request's URI.
    Prefix(LogFormat),
    /// `scheme FMT`: scheme, host, URI.
    Scheme(LogFormat),
}

/// One `stick on|match|store-request|store-response` line.
#[derive(Clone, Debug)]
pub struct StickRule {
    /// The key.
    pub key: Expression,
    /// The table.
    pub table: TableId,
    /// The table is asked for a server.
    pub matches: bool,
    /// The chosen server is stored before the connection.
    pub stores: bool,
    /// The chosen server is stored when the response comes.
    pub stores_response: bool,
    /// When; `None` = always.
    pub condition: Option<Condition>,
}
