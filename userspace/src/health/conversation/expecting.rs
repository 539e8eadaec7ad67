//! Waiting for what a rule expects, and saying what came instead.

use super::Runner;
use super::expect::{Judgement, judge_bytes, judge_response};
use super::report::{content_words, lossy};
use crate::health::conversation::expect::rendered;
use crate::model::Expect;
use crate::state::{CheckReport, CheckStatus};

impl<'a> Runner<'a> {
    pub(super) async fn expect_bytes(&mut self, expect: &'a Expect) -> Result<(), CheckReport> {
        self.spoke = true;
        loop {
            let conclusive = self.closed || self.received.len() >= self.most();
            let judgement = if self.received.is_empty() && !conclusive {
                Judgement::Wait
            } else {
                judge_bytes(expect, &self.received, conclusive, &self.view())
            };
            let unwanted = match judgement {
                Judgement::Satisfied => {
                    self.satisfied = Some(expect);
                    return Ok(());
                }
                Judgement::Wait => {
                    self.read().await.map_err(|()| self.timed_out(expect))?;
                    continue;
                }
                Judgement::Content { unwanted } => unwanted,
                Judgement::Status => false,
            };
            let status = expect.error_status.and_then(CheckStatus::named);
            let what = content_words(&expect.matching);
            let text = match (&expect.on_error, unwanted) {
                (Some(format), _) => lossy(rendered(format, &self.view())),
                (None, true) => {
                    format!(
                        "TCPCHK matched unwanted content{what} at step {}",
                        self.step
                    )
                }
                (None, false) if self.received.is_empty() => {
                    format!("TCPCHK got an empty response at step {}", self.step)
                }
                (None, false) => {
                    format!("TCPCHK did not match content{what} at step {}", self.step)
                }
            };
            return Err(CheckReport {
                status: status.unwrap_or(CheckStatus::L7Response),
                code: self.status_code(expect),
                text: text + &self.comment_words(),
                duration: None,
            });
        }
    }

    pub(super) async fn expect_response(&mut self, expect: &'a Expect) -> Result<(), CheckReport> {
        self.wait_for_head(expect.timeout_status).await?;
        if let Some(report) = self.stops_on_404() {
            return Err(report);
        }
        loop {
            let Some(response) = &self.response else {
                return Err(self.invalid_response());
            };
            let complete = response.is_complete() || response.body.len() >= self.most();
            let judgement = judge_response(
                expect,
                &response.head,
                &response.body,
                complete,
                &self.view(),
            );
            let unwanted = match judgement {
                Judgement::Satisfied => {
                    self.satisfied = Some(expect);
                    return Ok(());
                }
                Judgement::Wait => {
                    self.read()
                        .await
                        .map_err(|()| self.http_timed_out(expect.timeout_status))?;
                    self.digest()?;
                    continue;
                }
                Judgement::Status => None,
                Judgement::Content { unwanted } => Some(unwanted),
            };
            return Err(self.bad_response(Some(expect), unwanted));
        }
    }

    /// Without an `expect` after the last request, the status must be 2xx or 3xx.
    pub(super) async fn expect_success(&mut self) -> Result<(), CheckReport> {
        if self.response.is_none() || self.satisfied.is_some() {
            return Ok(());
        }
        self.wait_for_head(None).await?;
        if let Some(report) = self.stops_on_404() {
            return Err(report);
        }
        match &self.response {
            Some(response) if (200..400).contains(&response.head.status()) => Ok(()),
            _ => Err(self.bad_response(None, None)),
        }
    }

    async fn wait_for_head(&mut self, timeout: Option<&'static str>) -> Result<(), CheckReport> {
        while self
            .response
            .as_ref()
            .is_some_and(|response| !response.has_head())
        {
            self.read()
                .await
                .map_err(|()| self.http_timed_out(timeout))?;
            self.digest()?;
        }
        match self.response {
            Some(_) => Ok(()),
            None => Err(self.invalid_response()),
        }
    }

    /// Gives what was read to the HTTP decoder.
    fn digest(&mut self) -> Result<(), CheckReport> {
        let bytes = std::mem::take(&mut self.received);
        let Some(response) = &mut self.response else {
            return Err(self.invalid_response());
        };
        let mut taken = response.push(&bytes);
        if taken.is_ok() && self.closed {
            taken = response.close();
        }
        taken.map_err(|_| self.invalid_response())
    }
}
