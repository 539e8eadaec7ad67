//! What is answered inside the process by other rooms: the statistics page and services.
//!
//! This room says when it is their turn and carries their answer to the client; what they answer is
//! theirs. Those rooms come after this one, so they are met through a trait and put in place when
//! a configuration is.

use super::answer::Said;
use super::errors::Failure;
use super::stream::HttpStream;
use crate::expr::View;
use crate::model::{HttpAction, Proxy, Service, StatsPage};
use crate::proto::http::{Head, Version};
use crate::session::generation::Generation;
use crate::types::ProxyId;

/// The rooms that answer requests themselves.
pub trait Applets: Send + Sync + std::fmt::Debug {
    /// The statistics page of a proxy.
    fn statistics(&self, request: &AppletRequest<'_>, page: &StatsPage) -> AppletAnswer;

    /// A service (`http-request use-service`).
    fn service(&self, request: &AppletRequest<'_>, service: Service) -> AppletAnswer;
}

/// A request as an applet sees it.
pub struct AppletRequest<'a> {
    /// The configuration it came under.
    pub generation: &'a Generation,
    /// The proxy whose page or rule it is.
    pub proxy: ProxyId,
    pub head: &'a Head,
    /// The body of a POST, as far as a buffer holds it.
    pub body: &'a [u8],
    /// For conditions (`stats admin if …`).
    pub view: &'a dyn View,
}

/// An applet's answer.
#[derive(Clone, Debug, Default)]
pub struct AppletAnswer {
    pub status: u16,
    /// Fields beside those of framing.
    pub fields: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl HttpStream<'_, '_> {
    /// Serves the statistics page if the request is for it.
    pub(super) async fn serve_statistics(&mut self, proxy: &Proxy) -> Result<(), Failure> {
        let Some(page) = &proxy.stats else {
            return Ok(());
        };
        if !is_for(page, &self.messages.request) {
            return Ok(());
        }
        self.stats_rules(page)?;
        let deadline = self
            .client_timeout()
            .map(|limit| crate::clock::now().after(limit.0));
        Box::pin(self.wait_for_body(deadline, 0)).await?;
        self.answer_by("<STATS>", proxy.id, |applets, request| {
            applets.statistics(request, page)
        })
    }

    /// Who may see the page: `stats auth`, then `stats http-request` rules.
    fn stats_rules(&mut self, page: &StatsPage) -> Result<(), Failure> {
        if !page.auth.is_empty() {
            let shown = credentials(&self.messages.request);
            let known = shown.is_some_and(|(user, password)| {
                // Every entry is looked at, whichever matches.
                page.auth.iter().fold(false, |known, entry| {
                    let right = same(&user, entry.user.as_bytes())
                        & same(&password, entry.password.as_bytes());
                    known | right
                })
            });
            if !known {
                return Err(self.challenge(Some(&page.realm)));
            }
        }
        for rule in &page.rules {
            if !self.applies(rule) {
                continue;
            }
            match &rule.action {
                HttpAction::Allow => break,
                HttpAction::Auth { realm } => {
                    let realm = realm.as_deref().unwrap_or(&page.realm);
                    return Err(self.challenge(Some(realm)));
                }
                HttpAction::Deny(reply) => return Err(self.refuse(reply, Failure::Denied)),
                // The language lets `stats http-request` have no other.
                _ => {}
            }
        }
        Ok(())
    }

    /// Answers with a service.
    pub(super) fn serve_service(
        &mut self,
        service: Service,
    ) -> Result<super::rules::Step, Failure> {
        let proxy = self.backend().id;
        self.answer_by("<SERVICE>", proxy, |applets, request| {
            applets.service(request, service)
        })
        .map(|()| super::rules::Step::Next)
    }

    fn answer_by(
        &mut self,
        name: &'static str,
        proxy: ProxyId,
        ask: impl FnOnce(&dyn Applets, &AppletRequest<'_>) -> AppletAnswer,
    ) -> Result<(), Failure> {
        let Some(applets) = self.connection.generation.applets() else {
            return Err(Failure::Internal);
        };
        let given = {
            let view = self.view();
            let request = AppletRequest {
                generation: self.connection.generation.shared(),
                proxy,
                head: &self.messages.request,
                body: &self.messages.body,
                view: &view,
            };
            ask(applets, &request)
        };
        let status = given.status;
        let answer = &mut self.messages.answer;
        answer.start(status);
        for (field, value) in &given.fields {
            answer.head.add(field.as_bytes(), value.as_bytes());
        }
        answer.set_body(given.body);
        self.messages.facts.service = Some(name);
        self.prepared = Some(Said::Something);
        Err(Failure::Intercepted(status))
    }
}

/// User and password of a Basic `Authorization` field.
fn credentials(request: &Head) -> Option<(Vec<u8>, Vec<u8>)> {
    use base64::Engine;
    let value = request.first(b"authorization")?;
    let (scheme, encoded) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let encoded = encoded.trim_ascii();
    let decoded = base64::engine::general_purpose::STANDARD
        .decode(encoded)
        .ok()?;
    let colon = memchr::memchr(b':', &decoded)?;
    Some((decoded[..colon].to_vec(), decoded[colon + 1..].to_vec()))
}

/// Compares without telling by its time where two secrets differ.
fn same(shown: &[u8], secret: &[u8]) -> bool {
    let wrong = shown.len() ^ secret.len();
    let at = |index: usize| secret.get(index).copied().unwrap_or(0);
    shown
        .iter()
        .enumerate()
        .fold(wrong, |wrong, (index, byte)| {
            wrong | usize::from(byte ^ at(index))
        })
        == 0
}

/// The page's URI is a prefix of the request's (manual §4.2 `stats uri`).
fn is_for(page: &StatsPage, request: &Head) -> bool {
    let target = request.target();
    let path = crate::proto::http::uri::path_and_query(target).unwrap_or(target);
    debug_assert!(request.version() <= Version::Http3);
    path.starts_with(page.uri.as_bytes())
}
