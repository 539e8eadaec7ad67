//! HTTP settings of a proxy that are not rules: errors, cookies, stats page, forwarding headers.

use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;

use crate::expr::{Condition, Expression};
use crate::types::Millis;

/// A named set of error answers (`http-errors` section, manual §12.4 in 3.x).
#[derive(Debug, Default)]
pub struct HttpErrors {
    /// The section's name.
    pub name: String,
    /// Its answers.
    pub files: Vec<ErrorFile>,
}

/// What is answered for one status.
#[derive(Clone, Debug)]
pub struct ErrorFile {
    /// The status it replaces.
    pub status: u16,
    /// Where the answer comes from.
    pub source: ErrorSource,
}

/// The answer behind `errorfile`, `errorloc` and `http-error`.
#[derive(Clone, Debug)]
pub enum ErrorSource {
    /// `errorfile`: a complete HTTP/1 response, read and checked at start.
    File {
        /// Where it was read from.
        path: PathBuf,
        /// Its bytes, status line included.
        content: Arc<[u8]>,
    },
    /// `errorfile … /dev/null`: the connection is closed without an answer.
    Silent,
    /// `errorloc`, `errorloc302`, `errorloc303`.
    Location {
        /// 302 or 303.
        code: u16,
        /// The URL.
        url: String,
    },
    /// `http-error status …`.
    Reply(Arc<super::Reply>),
}

/// `cookie NAME …` of a backend (manual §4.2).
#[derive(Clone, Debug)]
pub struct Cookie {
    /// The cookie's name.
    pub name: String,
    /// What is done with it.
    pub mode: CookieMode,
    /// `indirect`: the cookie is not shown to the server.
    pub indirect: bool,
    /// `nocache`: `Cache-control: private` is added to inserted cookies.
    pub nocache: bool,
    /// `postonly`: only inserted in answers to POST.
    pub postonly: bool,
    /// `preserve`: a cookie the server sets itself is left alone.
    pub preserve: bool,
    /// `httponly`.
    pub httponly: bool,
    /// `secure`.
    pub secure: bool,
    /// `domain`, each as written.
    pub domains: Vec<String>,
    /// `maxidle`.
    pub max_idle: Option<Millis>,
    /// `maxlife`.
    pub max_life: Option<Millis>,
    /// `attr`, each as written.
    pub attributes: Vec<String>,
    /// `dynamic`: values derived from address and `dynamic-cookie-key`.
    pub dynamic_key: Option<String>,
}

/// What is done with a persistence cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CookieMode {
    /// Only looked at: neither keyword given.
    Passive,
    /// `insert`.
    Insert,
    /// `rewrite`.
    Rewrite,
    /// `prefix`.
    Prefix,
}

/// `option forwardfor` and `option originalto`.
#[derive(Clone, Debug)]
pub struct ForwardedFor {
    /// `header`; `X-Forwarded-For` or `X-Original-To` by default.
    pub header: String,
    /// `except`: no field for these addresses.
    pub except: Vec<IpNet>,
    /// `if-none`: only when the client did not send one.
    pub if_none: bool,
}

/// `option forwarded`: what the Forwarded field says.
#[derive(Clone, Debug, Default)]
pub struct Forwarded {
    /// `proto`.
    pub proto: bool,
    /// `host`.
    pub host: Option<ForwardedValue>,
    /// `by`: our own address.
    pub by: Option<ForwardedValue>,
    /// `by_port`.
    pub by_port: Option<ForwardedValue>,
    /// `for`: the client's address.
    pub client: Option<ForwardedValue>,
    /// `for_port`.
    pub client_port: Option<ForwardedValue>,
}

/// Where a value of the Forwarded field comes from.
#[derive(Clone, Debug)]
pub enum ForwardedValue {
    /// The connection or the request.
    Own,
    /// `…-expr`.
    Expression(Expression),
}

/// `http-reuse`: when an idle connection may serve another client (manual §4.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HttpReuse {
    /// Never.
    Never,
    /// Not for the first request of a client's connection.
    #[default]
    Safe,
    /// Also for first requests, on connections that were reused before.
    Aggressive,
    /// Always.
    Always,
}

/// What happens to the connections after a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrailingClose {
    /// `option http-keep-alive`: both stay open.
    #[default]
    KeepAlive,
    /// `option http-server-close`: the server's is closed.
    Server,
    /// `option httpclose`: both are closed.
    Both,
}

/// The statistics page of a proxy (`stats enable|uri|…`).
#[derive(Clone, Debug)]
pub struct StatsPage {
    /// `stats uri`: prefix of its path; `/haproxy?stats` by default.
    pub uri: String,
    /// `stats realm`, escapes already removed.
    pub realm: String,
    /// `stats auth`: empty = no password asked.
    pub auth: Vec<UriAuth>,
    /// `stats scope`: proxies shown; empty = all. `.` is already the proxy's own name.
    pub scope: Vec<String>,
    /// `stats refresh`.
    pub refresh: Option<Millis>,
    /// `stats hide-version`.
    pub hide_version: bool,
    /// `stats show-legends`.
    pub show_legends: bool,
    /// `stats show-desc`: the text, or the global description when empty.
    pub show_description: Option<String>,
    /// `stats show-node`: the name, or the global node name when empty.
    pub show_node: Option<String>,
    /// `stats admin if|unless …`, in order.
    pub admin: Vec<StatsAdmin>,
    /// `stats http-request allow|deny|auth …`, in order.
    pub rules: Vec<super::HttpRule>,
}

/// One `stats auth USER:PASSWORD`. It has no `Debug` that shows the password.
#[derive(Clone)]
pub struct UriAuth {
    /// Login name.
    pub user: String,
    /// Password in clear, as configured.
    pub password: String,
}

impl std::fmt::Debug for UriAuth {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("UriAuth")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// `stats admin`: who may change server states on the page.
#[derive(Clone, Debug)]
pub struct StatsAdmin {
    /// When; `None` = always.
    pub condition: Option<Condition>,
}
