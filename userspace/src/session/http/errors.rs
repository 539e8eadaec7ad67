//! How a request ends: the one place that decides status and termination flags.
//!
//! A [`Failure`] (what went wrong, or who answered instead of a server) and the [`Stage`] in which
//! it happened go in; an [`Exit`] comes out: the status the client gets and the first two
//! characters of the termination state (manual §8.5). Making the page is [`super::pages`]'
//! business, counting and logging are [`super::finish`]'s.

use crate::state::CutReason;

/// What a request was doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Its head is being read, or the rules are at work.
    Request,
    /// It waits for a server's slot.
    Queue,
    /// A connection to the server is being made.
    Connect,
    /// The server has not sent its head yet.
    Headers,
    /// The response is on its way to the client.
    Data,
    /// The client is held by a tarpit.
    Tarpit,
}

/// What ended a request other than its own completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The client closed, or half-closed where that means giving up.
    ClientClosed,
    /// The client's connection broke.
    ClientReset,
    /// The client left in the middle of its request's body.
    UploadAborted,
    /// The client was silent for too long.
    ClientTimeout,
    /// The request's head is invalid; the status says how.
    BadRequest(u16),
    /// The request's body is invalid.
    BadRequestBody,
    /// A rule refused the request or the response with this status.
    Denied(u16),
    /// A tarpit rule held the request and then refused it with this status.
    Tarpitted(u16),
    /// A rule closed the connection without an answer.
    Rejected,
    /// The proxy answered itself: redirect, `return`, statistics.
    Intercepted(u16),
    /// No server can take the request.
    NoServer,
    /// It waited too long for a slot.
    QueueTimeout,
    /// The server refused the connection.
    ConnectRefused,
    ConnectTimeout,
    /// No socket, port or memory was left for the connection.
    NoResource,
    /// The server closed its connection too early.
    ServerClosed,
    /// The server was silent for too long.
    ServerTimeout,
    /// The server's response is invalid.
    BadResponse,
    /// Somebody or something cut the session.
    Cut(CutReason),
    /// A rule's rewrite failed under `strict-mode`.
    Rewrite,
    /// An error of our own.
    Internal,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exit {
    /// What the client is answered, if it can still be answered.
    pub(crate) status: Option<u16>,
    /// The first two characters of the termination state.
    pub(crate) flags: [u8; 2],
}

/// Decides the answer and the flags of a request that failed while in `stage`.
pub(crate) fn exit(failure: Failure, stage: Stage) -> Exit {
    // Once the response's head is out there is no other answer to give.
    let answer = |status| {
        if stage == Stage::Data {
            None
        } else {
            Some(status)
        }
    };
    let (status, cause, stage) = match failure {
        Failure::ClientClosed => match stage {
            Stage::Request | Stage::Headers => (Some(400), b'C', stage),
            _ => (None, b'C', stage),
        },
        Failure::ClientReset => match stage {
            Stage::Request => (Some(400), b'C', stage),
            _ => (None, b'C', stage),
        },
        Failure::UploadAborted => (None, b'C', Stage::Data),
        Failure::ClientTimeout => (answer(408), b'c', stage),
        Failure::BadRequest(status) => (answer(status), b'P', Stage::Request),
        Failure::BadRequestBody => (answer(400), b'P', stage),
        Failure::Denied(status) => (answer(status), b'P', stage),
        Failure::Tarpitted(status) => (answer(status), b'P', Stage::Tarpit),
        Failure::Rejected => (None, b'P', stage),
        Failure::Intercepted(status) => (answer(status), b'L', stage),
        Failure::NoServer | Failure::ConnectRefused => (Some(503), b'S', Stage::Connect),
        Failure::QueueTimeout => (Some(503), b's', Stage::Queue),
        Failure::ConnectTimeout => (Some(503), b's', Stage::Connect),
        Failure::NoResource => (Some(503), b'R', Stage::Connect),
        Failure::ServerClosed => (answer(502), b'S', stage),
        Failure::ServerTimeout => (answer(504), b's', stage),
        Failure::BadResponse => (answer(502), b'P', stage),
        Failure::Cut(reason) => {
            // A server that was asked and cut off is a bad gateway; before that there was none.
            let status = if stage == Stage::Headers { 502 } else { 503 };
            (answer(status), cut(reason), stage)
        }
        Failure::Rewrite => (answer(500), b'P', stage),
        Failure::Internal => (answer(500), b'I', stage),
    };
    Exit {
        status,
        flags: [cause, letter(stage)],
    }
}

/// Why a stream of HTTP/2 ends before its response does, or without one.
pub(crate) fn reset_reason(failure: Failure) -> h2::Reason {
    match failure {
        Failure::BadRequest(_) | Failure::BadRequestBody => h2::Reason::PROTOCOL_ERROR,
        Failure::ServerClosed
        | Failure::ServerTimeout
        | Failure::BadResponse
        | Failure::Rewrite
        | Failure::Internal => h2::Reason::INTERNAL_ERROR,
        _ => h2::Reason::CANCEL,
    }
}

fn letter(stage: Stage) -> u8 {
    match stage {
        Stage::Request => b'R',
        Stage::Queue => b'Q',
        Stage::Connect => b'C',
        Stage::Headers => b'H',
        Stage::Data => b'D',
        Stage::Tarpit => b'T',
    }
}

fn cut(reason: CutReason) -> u8 {
    match reason {
        CutReason::Killed => b'K',
        CutReason::ServerDown => b'D',
        CutReason::ServerUp => b'U',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_has_the_status_and_flags_of_the_manual() {
        use Failure::*;
        for (failure, stage, status, flags) in [
            (ClientClosed, Stage::Request, Some(400), "CR"),
            (ClientTimeout, Stage::Request, Some(408), "cR"),
            (BadRequest(400), Stage::Request, Some(400), "PR"),
            (BadRequest(422), Stage::Request, Some(422), "PR"),
            (Denied(403), Stage::Request, Some(403), "PR"),
            (Denied(502), Stage::Headers, Some(502), "PH"),
            (Tarpitted(500), Stage::Tarpit, Some(500), "PT"),
            (Rejected, Stage::Request, None, "PR"),
            (Intercepted(302), Stage::Request, Some(302), "LR"),
            (Intercepted(404), Stage::Headers, Some(404), "LH"),
            (NoServer, Stage::Request, Some(503), "SC"),
            (ClientClosed, Stage::Queue, None, "CQ"),
            (QueueTimeout, Stage::Queue, Some(503), "sQ"),
            (ConnectRefused, Stage::Connect, Some(503), "SC"),
            (ConnectTimeout, Stage::Connect, Some(503), "sC"),
            (ClientClosed, Stage::Connect, None, "CC"),
            (NoResource, Stage::Connect, Some(503), "RC"),
            (ClientClosed, Stage::Headers, Some(400), "CH"),
            (ClientTimeout, Stage::Headers, Some(408), "cH"),
            (ServerClosed, Stage::Headers, Some(502), "SH"),
            (ServerTimeout, Stage::Headers, Some(504), "sH"),
            (BadResponse, Stage::Headers, Some(502), "PH"),
            (BadRequestBody, Stage::Headers, Some(400), "PH"),
            (UploadAborted, Stage::Headers, None, "CD"),
            (ServerClosed, Stage::Data, None, "SD"),
            (ServerTimeout, Stage::Data, None, "sD"),
            (ClientClosed, Stage::Data, None, "CD"),
            (ClientTimeout, Stage::Data, None, "cD"),
            (BadResponse, Stage::Data, None, "PD"),
            (Cut(CutReason::Killed), Stage::Data, None, "KD"),
            (Cut(CutReason::ServerDown), Stage::Headers, Some(502), "DH"),
            (Cut(CutReason::ServerDown), Stage::Queue, Some(503), "DQ"),
            (Rewrite, Stage::Request, Some(500), "PR"),
            (Internal, Stage::Headers, Some(500), "IH"),
        ] {
            let flags: [u8; 2] = flags.as_bytes().try_into().unwrap();
            assert_eq!(
                exit(failure, stage),
                Exit { status, flags },
                "{failure:?} in {stage:?}"
            );
        }
    }
}
