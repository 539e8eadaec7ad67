//! The end of a request: counters, stick tables, the line in the log.

use super::errors::{Failure, Stage};
use super::stream::HttpStream;
use crate::clock::{self, Moment};
use crate::model::LogStep;
use crate::session::logging::{self, Ending};
use crate::state::{Counter, Counters, StickEvent, Timing};

impl HttpStream<'_, '_> {
    /// Counts what a failure counts as; to be called before its answer is given.
    pub(super) fn count_failure(&self, failure: Failure) {
        let state = self.connection.generation.state();
        let frontend = &state.proxy(self.connection.frontend).frontend.counters;
        let listener = &state.listener(self.connection.bind).counters;
        let backend = self
            .transaction
            .backend()
            .map(|id| &state.proxy(id).backend.counters);
        let server = self
            .transaction
            .server
            .get()
            .map(|id| &state.server(id).counters);
        let on_request = |counter| {
            frontend.count(counter);
            listener.count(counter);
        };
        let behind = |counter| {
            for counters in backend.into_iter().chain(server) {
                counters.count(counter);
            }
        };
        match failure {
            Failure::ClientClosed
            | Failure::ClientReset
            | Failure::UploadAborted
            | Failure::ClientTimeout => match self.stage {
                Stage::Request => on_request(Counter::RequestErrors),
                _ => {
                    frontend.count(Counter::ClientAborts);
                    behind(Counter::ClientAborts);
                }
            },
            Failure::BadRequest(_) | Failure::BadRequestBody => on_request(Counter::RequestErrors),
            Failure::Denied(_) | Failure::Tarpitted(_) | Failure::Rejected => match self.stage {
                Stage::Request | Stage::Tarpit => {
                    on_request(Counter::DeniedRequests);
                    backend.inspect(|counters| counters.count(Counter::DeniedRequests));
                }
                _ => {
                    frontend.count(Counter::DeniedResponses);
                    behind(Counter::DeniedResponses);
                }
            },
            Failure::Intercepted(_) => frontend.count(Counter::Intercepted),
            Failure::ServerClosed | Failure::ServerTimeout | Failure::BadResponse => {
                match self.stage {
                    Stage::Data => behind(Counter::ServerAborts),
                    _ => behind(Counter::ResponseErrors),
                }
            }
            Failure::Internal | Failure::Rewrite => {
                frontend.count(Counter::InternalErrors);
                behind(Counter::InternalErrors);
            }
            // The search for a server has counted them.
            Failure::NoServer
            | Failure::QueueTimeout
            | Failure::ConnectRefused
            | Failure::ConnectTimeout
            | Failure::NoResource
            | Failure::Cut(_) => {}
        }
        let now = clock::now();
        let fault = match failure {
            Failure::BadRequest(_) | Failure::BadRequestBody | Failure::Denied(_) => {
                StickEvent::RequestError
            }
            Failure::ClientClosed | Failure::ClientTimeout if self.stage == Stage::Request => {
                StickEvent::RequestError
            }
            Failure::BadResponse | Failure::ServerClosed | Failure::ServerTimeout => {
                StickEvent::ResponseFailure
            }
            _ => return,
        };
        self.transaction
            .count_tracked(self.connection, fault, 1, now);
    }

    /// Counts the whole request and logs it.
    pub(super) fn finish(&self) {
        let now = clock::now();
        self.transaction.mark(|line| line.end = Some(now));
        let bytes = &self.transaction.bytes;
        bytes.from_client.set(self.messages.upload.received);
        bytes.to_server.set(self.messages.upload.sent);
        bytes.from_server.set(self.messages.download.received);
        bytes.to_client.set(self.messages.download.sent);
        self.count_totals();
        self.transaction.leave_backend();
        let wanted = self.proxy().log_steps;
        let wanted = wanted.is_none_or(|steps| steps.contains(LogStep::Close));
        if wanted && self.logged && !self.transaction.logged_early.get() {
            // A request that never came is an error of the session's.
            let came = self.transaction.timeline.get().head.is_some();
            self.log(if came { LogStep::Close } else { LogStep::Error });
        }
        self.transaction.tracked.clear();
    }

    /// The line at the response's head (`option logasap`).
    pub(super) fn log_early(&self) {
        logging::step(self.connection, LogStep::Response, || self.view());
        if self.proxy().log_asap && self.proxy().log_steps.is_none() && self.logged {
            self.transaction
                .bytes
                .to_client
                .set(self.messages.download.sent);
            self.transaction.logged_early.set(true);
            self.log(LogStep::Response);
        }
    }

    fn log(&self, step: LogStep) {
        let failed = !self.transaction.termination.get().is_normal()
            || self.transaction.retries.get() > 0
            || self.transaction.redispatched.get()
            || self.transaction.status.get() >= 500;
        logging::finish(
            &self.view(),
            step,
            if failed {
                Ending::Failed
            } else {
                Ending::Normal
            },
        );
    }

    fn count_totals(&self) {
        let state = self.connection.generation.state();
        let (upload, download) = (&self.messages.upload, &self.messages.download);
        let status = self.transaction.status.get();
        let frontend = &state.proxy(self.connection.frontend).frontend.counters;
        let listener = &state.listener(self.connection.bind).counters;
        let total = |counters: &Counters| {
            counters.add(Counter::BytesIn, upload.received);
            counters.add(Counter::BytesOut, download.sent);
            if status != 0 {
                counters.count(Counter::response(status));
            }
        };
        total(frontend);
        total(listener);
        frontend.add(Counter::SplicedBytes, upload.spliced + download.spliced);
        let line = self.transaction.timeline.get();
        if let Some(backend) = self.transaction.backend() {
            let backend = &state.proxy(backend).backend.counters;
            total(backend);
            backend.count(Counter::Requests);
            backend.time(Timing::Total, line.total(clock::now()));
        }
        if let Some(server) = self.transaction.server.get() {
            let server = &state.server(server).counters;
            total(server);
            server.count(Counter::Requests);
            server.time(Timing::Total, line.total(clock::now()));
        }
        let now = clock::now();
        self.transaction
            .count_tracked(self.connection, StickEvent::BytesIn, upload.received, now);
        self.transaction
            .count_tracked(self.connection, StickEvent::BytesOut, download.sent, now);
    }

    /// Counts a server's response on the tracked entries, before any rule looks at them.
    pub(super) fn count_status(&self, status: u16, now: Moment) {
        let classes = &self.connection.generation.model().global.statuses;
        let count = |event| {
            self.transaction
                .count_tracked(self.connection, event, 1, now);
        };
        if classes.errors.contains(status) {
            count(StickEvent::RequestError);
        }
        if classes.failures.contains(status) {
            count(StickEvent::ResponseFailure);
        }
    }
}
