//! Connections and streams as they fare: versions, errors, TCP's measurements, bytes and retries (manual §7.3.3, §7.3.4).

use super::{
    Arg, Arguments, Fetch, Fetched, Needs, Number, Parsing, Read, Sample, Text, View, flag, number,
    text,
};
use crate::expr::args::ArgKind;

pub(super) const FETCHES: &[Fetch] = &[
    number(
        "fc_http_major",
        Needs::CLIENT,
        Number::FrontHttpMajor,
        "The client connection's HTTP major version.",
    ),
    number(
        "bc_http_major",
        Needs::SERVER,
        Number::BackHttpMajor,
        "The server connection's HTTP major version.",
    ),
    number(
        "fc_nb_streams",
        Needs::CLIENT,
        Number::FrontStreams,
        "Streams open on the client connection.",
    ),
    number(
        "bc_nb_streams",
        Needs::SERVER,
        Number::BackStreams,
        "Streams open on the server connection.",
    ),
    number(
        "fc_settings_streams_limit",
        Needs::CLIENT,
        Number::FrontStreamsLimit,
        "The most streams the client connection may have.",
    ),
    number(
        "bc_settings_streams_limit",
        Needs::SERVER,
        Number::BackStreamsLimit,
        "The most streams the server connection may have.",
    ),
    number(
        "fc_glitches",
        Needs::CLIENT,
        Number::FrontGlitches,
        "Glitches counted on the client connection.",
    ),
    number(
        "bc_glitches",
        Needs::SERVER,
        Number::BackGlitches,
        "Glitches counted on the server connection.",
    ),
    number(
        "fc_err",
        Needs::CLIENT,
        Number::FrontError,
        "The client connection's error code.",
    ),
    text(
        "fc_err_name",
        Needs::CLIENT,
        Text::FrontErrorName,
        "The name of the client connection's error.",
    ),
    text(
        "fc_err_str",
        Needs::CLIENT,
        Text::FrontErrorText,
        "The client connection's error in words.",
    ),
    number(
        "bc_err",
        Needs::SERVER,
        Number::BackError,
        "The server connection's error code.",
    ),
    text(
        "bc_err_name",
        Needs::SERVER,
        Text::BackErrorName,
        "The name of the server connection's error.",
    ),
    text(
        "bc_err_str",
        Needs::SERVER,
        Text::BackErrorText,
        "The server connection's error in words.",
    ),
    flag(
        "bc_reused",
        Needs::SERVER,
        Number::BackReused,
        "Whether the server connection was already there.",
    ),
    tcp_time(
        "fc_rtt",
        Needs::CLIENT,
        |view, args| scaled(view, args, Number::FrontRtt),
        "The client connection's round-trip time.",
    ),
    tcp_time(
        "fc_rttvar",
        Needs::CLIENT,
        |view, args| scaled(view, args, Number::FrontRttVariance),
        "The variance of the client connection's round-trip time.",
    ),
    tcp_time(
        "bc_rtt",
        Needs::SERVER,
        |view, args| scaled(view, args, Number::BackRtt),
        "The server connection's round-trip time.",
    ),
    tcp_time(
        "bc_rttvar",
        Needs::SERVER,
        |view, args| scaled(view, args, Number::BackRttVariance),
        "The variance of the server connection's round-trip time.",
    ),
    number(
        "fc_unacked",
        Needs::CLIENT,
        Number::FrontUnacked,
        "Unacknowledged segments of the client connection.",
    ),
    number(
        "fc_sacked",
        Needs::CLIENT,
        Number::FrontSacked,
        "Selectively acknowledged segments of the client connection.",
    ),
    number(
        "fc_lost",
        Needs::CLIENT,
        Number::FrontLost,
        "Lost segments of the client connection.",
    ),
    number(
        "fc_retrans",
        Needs::CLIENT,
        Number::FrontRetransmits,
        "Retransmissions on the client connection.",
    ),
    number(
        "fc_fackets",
        Needs::CLIENT,
        Number::FrontFackets,
        "Forward acknowledged segments of the client connection.",
    ),
    number(
        "fc_reordering",
        Needs::CLIENT,
        Number::FrontReordering,
        "The reordering distance of the client connection.",
    ),
    number(
        "bc_srv_queue",
        Needs::SERVER,
        Number::ServerQueueAhead,
        "Requests that were ahead in the server's queue.",
    ),
    number(
        "bc_be_queue",
        Needs::SERVER,
        Number::BackendQueueAhead,
        "Requests that were ahead in the backend's queue.",
    ),
    Fetch {
        aliases: &["bytes_in"],
        ..number(
            "req.bytes_in",
            Needs::INTERNAL,
            Number::RequestBytesIn,
            "Bytes received from the client.",
        )
    },
    number(
        "req.bytes_out",
        Needs::INTERNAL,
        Number::RequestBytesOut,
        "Bytes sent to the server.",
    ),
    number(
        "res.bytes_in",
        Needs::INTERNAL,
        Number::ResponseBytesIn,
        "Bytes received from the server.",
    ),
    Fetch {
        aliases: &["bytes_out"],
        ..number(
            "res.bytes_out",
            Needs::INTERNAL,
            Number::ResponseBytesOut,
            "Bytes sent to the client.",
        )
    },
    number(
        "txn.conn_retries",
        Needs::SERVER,
        Number::Retries,
        "How often the connection was retried.",
    ),
    flag(
        "txn.redispatched",
        Needs::SERVER,
        Number::Redispatched,
        "Whether the request was sent to another server.",
    ),
    flag(
        "fs.aborted",
        Needs::CLIENT,
        Number::FrontAborted,
        "Whether the client gave up.",
    ),
    number(
        "fs.id",
        Needs::CLIENT,
        Number::FrontStreamId,
        "The client stream's id on its connection.",
    ),
    number(
        "fs.rst_code",
        Needs::CLIENT,
        Number::FrontResetCode,
        "The code the client reset its stream with.",
    ),
    flag(
        "bs.aborted",
        Needs::SERVER,
        Number::BackAborted,
        "Whether the server gave up.",
    ),
    number(
        "bs.id",
        Needs::SERVER,
        Number::BackStreamId,
        "The server stream's id on its connection.",
    ),
    number(
        "bs.rst_code",
        Needs::SERVER,
        Number::BackResetCode,
        "The code the server reset its stream with.",
    ),
];

const fn tcp_time(
    name: &'static str,
    needs: Needs,
    read: super::ReadOne,
    doc: &'static str,
) -> Fetch {
    Fetch {
        name,
        args: UNIT,
        needs,
        doc,
        read: Read::One(read),
        compile: Some(check_tcp_unit),
        ..Fetch::BASE
    }
}

const UNIT: Arguments = Arguments::some(0, &[ArgKind::Text]);

/// A TCP_INFO time, which is in microseconds, in the unit asked for: milliseconds without one.
fn scaled<'a>(view: &'a dyn View, args: &'a [Arg], which: Number) -> Fetched<Sample<'a>> {
    let divisor = match args.first().and_then(Arg::text) {
        Some("us") => 1,
        _ => 1000,
    };
    super::int(view.number(which).map(|micros| micros / divisor))
}

fn check_tcp_unit(args: Vec<Arg>, _: &mut Parsing<'_>) -> Result<Vec<Arg>, String> {
    match args.first().and_then(Arg::text) {
        None | Some("us" | "ms") => Ok(args),
        Some(other) => Err(format!("expects 'us' or 'ms', got '{other}'")),
    }
}
