//! `tcp-request content`: rules that look at what the client sent first (manual §4.2 `tcp-request inspect-delay`).

use std::future::poll_fn;
use std::time::Duration;

use super::{Ended, Session};
use crate::clock;
use crate::expr::{Fetched, Inspection};
use crate::model::{CommonAction, Proxy, TcpAction, TcpRule};
use crate::net::PumpError;
use crate::proto::http::Head;
use crate::proto::http::http1;
use crate::session::resolve;
use crate::session::rules::{self, Verdict, Walk};
use crate::session::transaction::Termination;
use crate::session::view::SessionView;
use crate::state::Counter;

impl Session<'_> {
    /// Runs a proxy's content rules, reading on as long as they are undecided and `inspect-delay` lasts.
    pub(super) async fn inspect(&mut self, proxy: &Proxy) -> Result<(), Ended> {
        let rules = &proxy.tcp_request_content;
        if rules.is_empty() {
            return Ok(());
        }
        let began = clock::now();
        let bufsize = self.connection.generation.model().global.tune.bufsize;
        let parses = rules::look_at_requests(rules);
        let mut walk = Walk::default();
        loop {
            let elapsed = clock::now().since(began);
            let left = proxy
                .inspect_delay
                .map_or(0, |delay| delay.0.saturating_sub(elapsed));
            let full = self.request.is_full() || self.request.pending().len() >= bufsize;
            let over = left == 0 || full || self.request.source_ended();
            let verdict = self.walk(
                &mut walk,
                rules,
                parses,
                if over {
                    Inspection::Over
                } else {
                    Inspection::Open
                },
            );
            match verdict {
                Verdict::Accept | Verdict::Close => return Ok(()),
                Verdict::Reject => return Err(self.rejected()),
                Verdict::SilentDrop => {
                    self.count_for_all(Counter::DeniedRequests);
                    return Err(Ended::SilentDrop);
                }
                Verdict::SwitchModeHttp => return Err(Ended::SwitchModeHttp),
                Verdict::Resolve(index) => {
                    self.resolve(&rules[index], parses).await;
                    walk.done(index);
                }
                Verdict::Wait if over => return Ok(()),
                Verdict::Wait => self.read_more(Duration::from_millis(left)).await?,
            }
        }
    }

    fn walk(
        &self,
        walk: &mut Walk,
        rules: &[TcpRule],
        parses: bool,
        inspection: Inspection,
    ) -> Verdict {
        self.seen(parses, inspection, |view| walk.over(rules, view))
    }

    /// Asks name servers for what a `do-resolve` rule wants to know.
    async fn resolve(&self, rule: &TcpRule, parses: bool) {
        let TcpAction::Common(CommonAction::Resolve(resolution)) = &rule.action else {
            return;
        };
        let name = self.seen(parses, Inspection::Over, |view| {
            resolve::name(resolution, view)
        });
        let address = resolve::ask(resolution, name).await;
        resolve::store(resolution, address, &self.view(Inspection::Over));
    }

    /// Shows what has come so far, with the head of an HTTP request where the rules look at one.
    fn seen<T>(
        &self,
        parses: bool,
        inspection: Inspection,
        look: impl FnOnce(&SessionView<'_>) -> T,
    ) -> T {
        let mut view = self.view(inspection);
        let mut head = Head::default();
        if parses {
            let limits = http1::Limits::default();
            view.request.head =
                match http1::decode_request(self.request.pending(), &mut head, &limits) {
                    Ok(Some(_)) => Fetched::Value(&head),
                    Ok(None) if inspection == Inspection::Open => Fetched::Wait,
                    Ok(None) | Err(_) => Fetched::Absent,
                };
        }
        look(&view)
    }

    /// Waits for more bytes, the end of the stream, or the end of the delay; the client timeout goes on meanwhile.
    async fn read_more(&mut self, left: Duration) -> Result<(), Ended> {
        let Self {
            client, request, ..
        } = self;
        let reading = poll_fn(|context| request.poll_fill(context, client));
        let timeout = self.connection.frontend().timeouts.client;
        let limit = timeout.map_or(left, |timeout| timeout.duration().min(left));
        match tokio::time::timeout(limit, reading).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(PumpError::Read(_) | PumpError::Write(_))) => {
                self.count_client_abort();
                Err(Ended::Flags(Termination(*b"CR")))
            }
            Err(_) if limit < left => Err(Ended::Flags(Termination(*b"cR"))),
            Err(_) => Ok(()),
        }
    }

    fn rejected(&self) -> Ended {
        self.count_for_all(Counter::DeniedRequests);
        Ended::Flags(Termination(*b"PR"))
    }
}
