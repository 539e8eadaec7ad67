//! Which backend a request goes to, if it is not a monitor's, and which server its persistence asks for.

use super::cookie::{self, Age, Found, Presented};
use super::errors::Failure;
use super::stream::HttpStream;
use crate::clock;
use crate::model::{CookieMode, Proxy};
use crate::proto::http::uri;
use crate::session::persistence::{self, Force};
use crate::session::server::Persistent;
use crate::session::switching;
use crate::state::cookie_value;
use crate::types::ProxyId;

impl HttpStream<'_, '_> {
    /// Answers the health checks of whoever is in front of us (manual §4.2 `monitor-uri`): before
    /// any rule, and never logged.
    pub(super) fn monitor(&mut self) -> Result<(), Failure> {
        let proxy = self.proxy();
        let Some(uri) = &proxy.monitor_uri else {
            return Ok(());
        };
        // An absolute target may be meant by its path alone.
        let target = self.messages.request.target();
        let uri = uri.as_bytes();
        if target != uri && uri::path_and_query(target) != Some(uri) {
            return Ok(());
        }
        self.logged = false;
        let failing = proxy
            .monitor_fail
            .iter()
            .any(|condition| condition.matches(&self.view()));
        let status = if failing { 503 } else { 200 };
        Err(Failure::Intercepted(status))
    }

    /// The backend chosen by `use_backend`, else the default; `None` when there is none.
    pub(super) fn route(&self) -> Option<ProxyId> {
        switching::backend(&self.view())
    }

    /// Reads the persistence cookie and asks `use-server` and `stick` rules: the first of
    /// `use-server`, cookie and `stick` that has a server to name decides.
    pub(super) fn persist(&mut self, backend: &Proxy) -> (Presented, Option<Persistent>) {
        let force = persistence::force(backend, &self.view());
        let by_rule = persistence::use_server(backend.id, force, &self.view());
        let (presented, from_cookie) = self.persist_by_cookie(backend, force);
        if by_rule.is_some() && presented.value.is_some() {
            self.note_cookie(Found::Unused);
        }
        let persistent = by_rule
            .or(from_cookie)
            .or_else(|| persistence::sticky(backend.id, force, &self.view()));
        (presented, persistent)
    }

    fn persist_by_cookie(
        &mut self,
        backend: &Proxy,
        force: Force,
    ) -> (Presented, Option<Persistent>) {
        let Some(cookie) = &backend.cookie else {
            return (Presented::default(), None);
        };
        let wall = clock::wall().as_secs();
        let presented = cookie::read(cookie, &mut self.messages.request, wall);
        let found = match (&presented.value, presented.age) {
            (None, _) => Err(Found::None),
            (Some(_), _) if force == Force::Ignored => Err(Found::Unused),
            (Some(_), Age::Expired) => Err(Found::Expired),
            (Some(_), Age::Old) => Err(Found::Old),
            (Some(value), Age::Valid) => self.server_of_cookie(backend, value, force),
        };
        if cookie.mode != CookieMode::Passive {
            self.note_cookie(*found.as_ref().err().unwrap_or(&Found::Valid));
        }
        (presented, found.ok())
    }

    /// The server a cookie value names, if it may be used.
    fn server_of_cookie(
        &self,
        backend: &Proxy,
        value: &[u8],
        force: Force,
    ) -> Result<Persistent, Found> {
        let model = self.connection.generation.model();
        let state = self.connection.generation.state();
        let named = backend.servers.iter().find(|id| {
            let address = || state.server(*id).address();
            cookie_value(backend.cookie.as_ref(), model.server(*id), address)
                .is_some_and(|cookie| cookie.as_bytes() == value)
        });
        let server = named.ok_or(Found::Invalid)?;
        let usable = self
            .connection
            .generation
            .state()
            .server(server)
            .accepts_persistent();
        let forced = force == Force::Yes;
        if usable || forced {
            Ok(Persistent { server, forced })
        } else {
            Err(Found::Down)
        }
    }

    /// Notes the request's half of the cookie flags.
    fn note_cookie(&self, found: Found) {
        let [_, response] = self.transaction.cookie_flags.get().unwrap_or(*b"-N");
        self.transaction
            .cookie_flags
            .set(Some([found.flag(), response]));
    }

    /// Notes that the server of a valid cookie did not serve after all.
    pub(super) fn note_lost_server(&self) {
        let flags = self.transaction.cookie_flags.get();
        if flags.is_some_and(|[request, _]| request == Found::Valid.flag()) {
            self.note_cookie(Found::Down);
        }
    }

    /// Notes the response's half.
    pub(super) fn note_set_cookie(&self, flag: u8) {
        let [request, _] = self.transaction.cookie_flags.get().unwrap_or(*b"--");
        self.transaction.cookie_flags.set(Some([request, flag]));
    }
}
