//! The `http-request`, `http-response` and `http-after-response` rule sets, applied.
//!
//! A set is walked in order; a rule that applies edits the message, does something on the side
//! ([`crate::session::actions`]), or ends the walk: with an answer made here, with a refusal, or
//! simply (`allow`). What waits (tarpits, bodies) waits here, in a box: the ordinary request does not carry its room.

use super::answer::{Answer, Said};
use super::errors::{Failure, Stage};
use super::front::Stays;
use super::stream::HttpStream;
use crate::clock;
use crate::expr::{Direction, Expression, LogFormat, Sample, SampleType, View};
use crate::model::{
    CommonAction, HttpAction, HttpRule, NameResolution, Proxy, Redirect, Reply, TcpAction,
    TimeoutKind,
};
use crate::session::rules::{Verdict, Walk};
use crate::session::transaction::TimeoutOverrides;
use crate::session::{actions, resolve};
use crate::state::Counter;
use crate::types::{Millis, ProxyId};

/// What a rule means for those after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Next,
    /// No later rule of the set is looked at.
    Last,
}

/// Whether a rewrite that fails fails the request (`strict-mode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rewrites {
    Strict,
    Lenient,
}

impl<'c> HttpStream<'c, '_> {
    /// What one proxy does with a request before it is routed: `tcp-request content` and
    /// `http-request` rules, its statistics page, its `redirect` lines.
    pub(super) async fn apply_request_rules(&mut self, proxy: ProxyId) -> Result<(), Failure> {
        let proxy = self.connection.generation.proxy(proxy);
        if !proxy.tcp_request_content.is_empty() {
            Box::pin(self.apply_content_rules(proxy)).await?;
        }
        let mut rewrites = Rewrites::Strict;
        let mut hints = None;
        for rule in &proxy.http_request {
            if !self.applies(rule) {
                continue;
            }
            if let HttpAction::EarlyHint(name, value) = &rule.action {
                self.hint(&mut hints, name, value);
                continue;
            }
            if hints.is_some() {
                Box::pin(self.send_early_hints(&mut hints)).await?;
            }
            let step = self.apply_request_rule(&rule.action, &mut rewrites).await;
            if step != Ok(Step::Next) {
                self.transaction.note_last_rule(&rule.place);
            }
            if step? == Step::Last {
                break;
            }
        }
        if hints.is_some() {
            Box::pin(self.send_early_hints(&mut hints)).await?;
        }
        self.serve_statistics(proxy).await?;
        for (redirect, condition) in &proxy.redirects {
            if condition
                .as_ref()
                .is_none_or(|condition| condition.matches(&self.view()))
            {
                self.redirect(redirect)?;
            }
        }
        Ok(())
    }

    /// The backend's `tcp-response content` rules, then the `http-response` rules of the backend and of the frontend.
    pub(super) async fn apply_response_rules(&mut self) -> Result<(), Failure> {
        let content = &self.backend().tcp_response_content;
        if !content.is_empty() {
            match Walk::default().over(content, &self.view()) {
                // Names are resolved for requests only.
                Verdict::Accept | Verdict::Wait | Verdict::SwitchModeHttp | Verdict::Resolve(_) => {
                }
                Verdict::Reject | Verdict::Close => return Err(Failure::Denied(502)),
                Verdict::SilentDrop => {
                    self.vanishes = true;
                    return Err(Failure::Rejected);
                }
            }
        }
        for proxy in self.both().into_iter().flatten() {
            let mut rewrites = Rewrites::Strict;
            for rule in &proxy.http_response {
                if !self.applies(rule) {
                    continue;
                }
                let step = self.apply_response_rule(&rule.action, &mut rewrites).await;
                if step != Ok(Step::Next) {
                    self.transaction.note_last_rule(&rule.place);
                }
                if step? == Step::Last {
                    break;
                }
            }
        }
        Ok(())
    }

    /// The `http-after-response` rules of the backend, then of the frontend: they apply to every
    /// response and cannot refuse it.
    pub(super) fn apply_after_response_rules(&mut self) {
        for proxy in self.both().into_iter().flatten() {
            let mut rewrites = Rewrites::Lenient;
            for rule in &proxy.http_after_response {
                if self.applies(rule)
                    && self.edit(&rule.action, Direction::Response, &mut rewrites) == Ok(Step::Last)
                {
                    break;
                }
            }
        }
    }

    /// The backend, and the frontend if it is another proxy.
    fn both(&self) -> [Option<&'c Proxy>; 2] {
        let frontend = self.proxy();
        let backend = self.backend();
        [
            Some(backend),
            Some(frontend).filter(|frontend| frontend.id != backend.id),
        ]
    }

    pub(super) fn applies(&self, rule: &HttpRule) -> bool {
        rule.condition
            .as_ref()
            .is_none_or(|condition| condition.matches(&self.view()))
    }

    /// `tcp-request content` rules, which in HTTP mode see a complete request.
    async fn apply_content_rules(&mut self, proxy: &Proxy) -> Result<(), Failure> {
        let rules = &proxy.tcp_request_content;
        if rules.is_empty() {
            return Ok(());
        }
        let mut walk = Walk::default();
        loop {
            let verdict = walk.over(rules, &self.view());
            match verdict {
                Verdict::Accept | Verdict::Wait | Verdict::SwitchModeHttp => return Ok(()),
                Verdict::Reject | Verdict::Close => return Err(Failure::Rejected),
                Verdict::SilentDrop => {
                    self.vanishes = true;
                    return Err(Failure::Rejected);
                }
                Verdict::Resolve(index) => {
                    if let TcpAction::Common(CommonAction::Resolve(what)) = &rules[index].action {
                        Box::pin(self.resolve(what)).await?;
                    }
                    walk.done(index);
                }
            }
        }
    }

    /// `do-resolve`: the request waits for the answer.
    async fn resolve(&mut self, what: &NameResolution) -> Result<(), Failure> {
        let name = resolve::name(what, &self.view());
        let asked = resolve::ask(what, name);
        let address = self.front.attend(Stays::Yes, None, asked).await?;
        resolve::store(what, address, &self.view());
        Ok(())
    }

    async fn apply_request_rule(
        &mut self,
        action: &HttpAction,
        rewrites: &mut Rewrites,
    ) -> Result<Step, Failure> {
        match action {
            HttpAction::Deny(reply) => Err(self.refuse(reply, Failure::Denied)),
            HttpAction::Tarpit(reply) => {
                Box::pin(self.tarpit()).await?;
                Err(self.refuse(reply, Failure::Tarpitted))
            }
            HttpAction::Reject => Err(Failure::Rejected),
            HttpAction::SilentDrop => {
                self.vanishes = true;
                Err(Failure::Rejected)
            }
            HttpAction::Auth { realm } => Err(self.challenge(realm.as_deref())),
            HttpAction::WaitForBody { time, at_least } => {
                let deadline = clock::now().after(time.0);
                Box::pin(self.wait_for_body(Some(deadline), *at_least)).await?;
                Ok(Step::Next)
            }
            HttpAction::NormalizeUri(normalizer) => {
                self.normalize_uri(*normalizer).map(|()| Step::Next)
            }
            HttpAction::UseService(service) => self.serve_service(*service),
            HttpAction::CacheUse { cache, hints } => {
                Box::pin(self.use_cache(*cache, *hints)).await?;
                Ok(Step::Next)
            }
            HttpAction::Mirror { backend, share } => {
                self.mirror(*backend, *share);
                Ok(Step::Next)
            }
            HttpAction::Pause(time) => Box::pin(self.pause(time)).await.map(|()| Step::Next),
            HttpAction::Common(CommonAction::Resolve(what)) => {
                Box::pin(self.resolve(what)).await.map(|()| Step::Next)
            }
            HttpAction::WaitForHandshake => Ok(Step::Next),
            HttpAction::DisableL7Retry => {
                self.no_retry = true;
                Ok(Step::Next)
            }
            _ => self.apply_any(action, Direction::Request, rewrites),
        }
    }

    async fn apply_response_rule(
        &mut self,
        action: &HttpAction,
        rewrites: &mut Rewrites,
    ) -> Result<Step, Failure> {
        match action {
            HttpAction::Pause(time) => Box::pin(self.pause(time)).await.map(|()| Step::Next),
            HttpAction::Deny(reply) => Err(self.refuse(reply, Failure::Denied)),
            HttpAction::CacheStore(cache) => {
                self.store_in_cache(*cache);
                Ok(Step::Next)
            }
            HttpAction::SilentDrop => {
                self.vanishes = true;
                Err(Failure::Rejected)
            }
            HttpAction::WaitForBody { time, at_least } => {
                let deadline = clock::now().after(time.0);
                Box::pin(self.wait_for_response_body(deadline, *at_least)).await?;
                Ok(Step::Next)
            }
            _ => self.apply_any(action, Direction::Response, rewrites),
        }
    }

    /// The actions that requests and responses have in common.
    fn apply_any(
        &mut self,
        action: &HttpAction,
        message: Direction,
        rewrites: &mut Rewrites,
    ) -> Result<Step, Failure> {
        match action {
            HttpAction::Return(reply) => Err(self.refuse(reply, Failure::Intercepted)),
            HttpAction::Redirect(redirect) => self.redirect(redirect).map(|()| Step::Next),
            HttpAction::SetTimeout(kind, value) => {
                self.set_timeout(*kind, value);
                Ok(Step::Next)
            }
            _ => self.edit(action, message, rewrites),
        }
    }

    /// The actions that every rule set has, none of which waits or answers.
    fn edit(
        &mut self,
        action: &HttpAction,
        message: Direction,
        rewrites: &mut Rewrites,
    ) -> Result<Step, Failure> {
        let done = match action {
            HttpAction::Allow => return Ok(Step::Last),
            HttpAction::StrictMode(true) => {
                *rewrites = Rewrites::Strict;
                true
            }
            HttpAction::StrictMode(false) => {
                *rewrites = Rewrites::Lenient;
                true
            }
            HttpAction::Common(action) => {
                // In HTTP mode everything an action may look at is there.
                let _done = actions::perform(action, &self.view());
                true
            }
            HttpAction::Capture { sample, id } => {
                self.capture_sample(sample, message, usize::from(id.0));
                true
            }
            HttpAction::ChangePatterns { file, add, pattern } => {
                self.change_list(file, pattern, add.then_some(None));
                true
            }
            HttpAction::ChangeMap { file, key, value } => {
                self.change_list(file, key, value.as_ref().map(Some));
                true
            }
            _ => self.rewrite(action, message),
        };
        if done {
            return Ok(Step::Next);
        }
        self.connection
            .generation
            .state()
            .proxy(self.backend().id)
            .backend
            .counters
            .count(Counter::FailedRewrites);
        match rewrites {
            Rewrites::Strict => Err(Failure::Rewrite),
            Rewrites::Lenient => Ok(Step::Next),
        }
    }

    /// Puts a rule's answer in place and says how the request fails by it.
    pub(super) fn refuse(&mut self, reply: &Reply, failure: fn(u16) -> Failure) -> Failure {
        let mut answer = std::mem::take(&mut self.messages.answer);
        let said = answer.reply(reply, self.error_files(), &self.view());
        let status = match said {
            Said::Something => answer.head.status(),
            Said::Nothing => reply.status,
        };
        self.messages.answer = answer;
        self.prepared = Some(said);
        failure(status)
    }

    /// Answers with a redirect, unless it leads nowhere and may be skipped.
    fn redirect(&mut self, redirect: &Redirect) -> Result<(), Failure> {
        let mut answer: Answer = std::mem::take(&mut self.messages.answer);
        let made = answer.redirect(redirect, &self.messages.request, &self.view());
        self.messages.answer = answer;
        if made {
            self.prepared = Some(Said::Something);
            return Err(Failure::Intercepted(redirect.code));
        }
        Ok(())
    }

    /// Asks for credentials: 401, or 407 where a client uses us as a forward proxy.
    pub(super) fn challenge(&mut self, realm: Option<&str>) -> Failure {
        let forward = self.proxy().use_proxy_header
            && !matches!(self.messages.request.target().first(), Some(b'/' | b'*'));
        let status = if forward { 407 } else { 401 };
        let said = self.prepare_error(status);
        if said == Said::Something {
            let realm = realm.unwrap_or(&self.backend().name);
            self.messages.answer.challenge(realm);
        }
        self.prepared = Some(said);
        Failure::Denied(status)
    }

    /// Holds the request for `timeout tarpit`.
    async fn tarpit(&mut self) -> Result<(), Failure> {
        let timeouts = self.backend().timeouts;
        let now = clock::now();
        self.stage = Stage::Tarpit;
        self.transaction.mark(|line| line.held = Some(now));
        let overrides = self.transaction.timeouts.get();
        let usual = timeouts.tarpit.or(timeouts.connect);
        let time = overrides.tarpit.or(usual).unwrap_or(Millis(0));
        let held = tokio::time::sleep(time.duration());
        self.front.attend(Stays::No, None, held).await
    }

    fn set_timeout(&self, kind: TimeoutKind, value: &Expression) {
        let time = match value
            .eval(&self.view())
            .and_then(|sample| sample.cast(SampleType::Int))
        {
            Some(Sample::Int(time)) => u64::try_from(time).ok().map(Millis),
            _ => None,
        };
        let Some(time) = time else { return };
        let mut timeouts: TimeoutOverrides = self.transaction.timeouts.get();
        match kind {
            TimeoutKind::Client => timeouts.client = Some(time),
            TimeoutKind::Connect => timeouts.connect = Some(time),
            TimeoutKind::Queue => timeouts.queue = Some(time),
            TimeoutKind::Server => timeouts.server = Some(time),
            TimeoutKind::Tarpit => timeouts.tarpit = Some(time),
            TimeoutKind::Tunnel => timeouts.tunnel = Some(time),
        }
        self.transaction.timeouts.set(timeouts);
    }

    fn capture_sample(&self, sample: &Expression, message: Direction, slot: usize) {
        let view = self.view();
        if let Some(Sample::Str(text)) = sample
            .eval(&view)
            .and_then(|sample| sample.cast(SampleType::Str))
        {
            view.set_capture(message, slot, &text);
        }
    }

    /// Adds to or removes from a list of patterns or a map. `value` is `None` to remove, and
    /// `Some(None)` to add an entry without a value.
    fn change_list(&self, name: &str, key: &LogFormat, value: Option<Option<&LogFormat>>) {
        let Some(list) = self.connection.generation.model().patterns.by_name(name) else {
            return;
        };
        let rendered = |format: &LogFormat| {
            let mut text = Vec::new();
            format.render(&self.view(), &mut text);
            String::from_utf8_lossy(&text).into_owned()
        };
        let key = rendered(key);
        match value {
            None => {
                list.remove(|entry| *entry.pattern == *key);
            }
            Some(value) => {
                list.remove(|entry| *entry.pattern == *key);
                // A pattern that its list cannot take is left out, as HAProxy does.
                let _ = list.add(&key, value.map(rendered).as_deref());
            }
        }
        // The kernel may have the list too; it follows within milliseconds.
        if let Some(kernel) = self.connection.generation.kernel() {
            kernel.servers_changed();
        }
    }
}
