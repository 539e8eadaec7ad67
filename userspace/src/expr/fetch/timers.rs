//! Times of the session and transaction, and the timeouts in force (manual §7.3.3, §7.3.6 and §8.4).

use super::{
    Arg, Arguments, Fetch, Fetched, Needs, Number, Parsing, Read, ReadOne, Sample, View, number,
};
use crate::expr::args::ArgKind;
use crate::expr::time::Unit;

pub(super) const FETCHES: &[Fetch] = &[
    number(
        "fc.timer.handshake",
        Needs::CLIENT,
        Number::TimerHandshake,
        "Milliseconds the handshakes took (%Th).",
    ),
    number(
        "fc.timer.total",
        Needs::CLIENT,
        Number::TimerTotal,
        "Milliseconds of the whole session (%Tt).",
    ),
    number(
        "bc.timer.connect",
        Needs::SERVER,
        Number::TimerConnect,
        "Milliseconds to connect to the server (%Tc).",
    ),
    number(
        "req.timer.idle",
        Needs::REQUEST_MEMORY,
        Number::TimerIdle,
        "Milliseconds before the request's first byte (%Ti).",
    ),
    number(
        "req.timer.hdr",
        Needs::REQUEST_MEMORY,
        Number::TimerRequest,
        "Milliseconds to receive the request (%TR).",
    ),
    number(
        "req.timer.queue",
        Needs::REQUEST_MEMORY,
        Number::TimerQueue,
        "Milliseconds in queues (%Tw).",
    ),
    number(
        "req.timer.tq",
        Needs::REQUEST_MEMORY,
        Number::TimerTq,
        "%Th + %Ti + %TR.",
    ),
    number(
        "res.timer.hdr",
        Needs::RESPONSE_MEMORY,
        Number::TimerResponse,
        "Milliseconds the server took to answer (%Tr).",
    ),
    number(
        "res.timer.data",
        Needs::RESPONSE_MEMORY,
        Number::TimerData,
        "Milliseconds of the response's transfer (%Td).",
    ),
    number(
        "txn.timer.total",
        Needs::REQUEST_MEMORY,
        Number::TimerActive,
        "Milliseconds of the whole transaction (%Ta).",
    ),
    number(
        "txn.timer.user",
        Needs::CLIENT,
        Number::TimerUser,
        "Milliseconds as the user sees it (%Tu).",
    ),
    date(
        "accept_date",
        Needs::CLIENT,
        |view, args| when(view, args, Number::AcceptDate),
        "When the connection was accepted.",
    ),
    date(
        "request_date",
        Needs::REQUEST_MEMORY,
        |view, args| when(view, args, Number::RequestDate),
        "When the request's first byte arrived.",
    ),
    number(
        "be_connect_timeout",
        Needs::BACKEND,
        Number::BackendConnectTimeout,
        "The backend's `timeout connect`, in milliseconds.",
    ),
    number(
        "be_max_retries",
        Needs::BACKEND,
        Number::BackendMaxRetries,
        "The backend's `retries`.",
    ),
    number(
        "be_queue_timeout",
        Needs::BACKEND,
        Number::BackendQueueTimeout,
        "The backend's `timeout queue`, in milliseconds.",
    ),
    number(
        "be_server_timeout",
        Needs::BACKEND,
        Number::BackendServerTimeout,
        "The backend's `timeout server`, in milliseconds.",
    ),
    number(
        "be_tarpit_timeout",
        Needs::BACKEND,
        Number::BackendTarpitTimeout,
        "The backend's `timeout tarpit`, in milliseconds.",
    ),
    number(
        "be_tunnel_timeout",
        Needs::BACKEND,
        Number::BackendTunnelTimeout,
        "The backend's `timeout tunnel`, in milliseconds.",
    ),
    number(
        "fe_client_timeout",
        Needs::CLIENT,
        Number::FrontendClientTimeout,
        "The frontend's `timeout client`, in milliseconds.",
    ),
    number(
        "fe_tarpit_timeout",
        Needs::CLIENT,
        Number::FrontendTarpitTimeout,
        "The frontend's `timeout tarpit`, in milliseconds.",
    ),
    number(
        "cur_connect_timeout",
        Needs::BACKEND,
        Number::CurrentConnectTimeout,
        "The connect timeout in force.",
    ),
    number(
        "cur_client_timeout",
        Needs::CLIENT,
        Number::CurrentClientTimeout,
        "The client timeout in force.",
    ),
    number(
        "cur_max_retries",
        Needs::BACKEND,
        Number::CurrentMaxRetries,
        "The number of retries in force.",
    ),
    number(
        "cur_queue_timeout",
        Needs::BACKEND,
        Number::CurrentQueueTimeout,
        "The queue timeout in force.",
    ),
    number(
        "cur_server_timeout",
        Needs::BACKEND,
        Number::CurrentServerTimeout,
        "The server timeout in force.",
    ),
    number(
        "cur_tarpit_timeout",
        Needs::CLIENT,
        Number::CurrentTarpitTimeout,
        "The tarpit timeout in force.",
    ),
    number(
        "cur_tunnel_timeout",
        Needs::BACKEND,
        Number::CurrentTunnelTimeout,
        "The tunnel timeout in force.",
    ),
];

const fn date(name: &'static str, needs: Needs, read: ReadOne, doc: &'static str) -> Fetch {
    Fetch {
        name,
        args: Arguments::some(0, &[ArgKind::Text]),
        needs,
        doc,
        read: Read::One(read),
        compile: Some(check_date_unit),
        ..Fetch::BASE
    }
}

/// A date in the unit asked for: seconds without one.
fn when<'a>(view: &'a dyn View, args: &'a [Arg], which: Number) -> Fetched<Sample<'a>> {
    let unit = args
        .first()
        .and_then(Arg::text)
        .and_then(Unit::parse)
        .unwrap_or(Unit::Seconds);
    super::int(view.number(which).map(|micros| unit.from_micros(micros)))
}

fn check_date_unit(args: Vec<Arg>, _: &mut Parsing<'_>) -> Result<Vec<Arg>, String> {
    match args.first().and_then(Arg::text) {
        Some(word) if Unit::parse(word).is_none() => Err(Unit::unknown(word)),
        _ => Ok(args),
    }
}
