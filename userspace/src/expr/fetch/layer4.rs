//! Layer 4: addresses, ports, names and ids of the connections (manual §7.3.3).

use super::{
    Address, Arg, Arguments, Fetch, Fetched, Needs, Number, Parsing, Read, Sample, SampleType,
    Text, View, flag, number, text,
};
use crate::expr::args::ArgKind;

pub(super) const FETCHES: &[Fetch] = &[
    address(
        "src",
        Needs::CLIENT,
        Address::Source,
        "The client's address.",
    ),
    port(
        "src_port",
        Needs::CLIENT,
        Address::Source,
        "The client's port.",
    ),
    address(
        "dst",
        Needs::CLIENT,
        Address::Destination,
        "The address the client connected to.",
    ),
    port(
        "dst_port",
        Needs::CLIENT,
        Address::Destination,
        "The port the client connected to.",
    ),
    address(
        "fc_src",
        Needs::CLIENT,
        Address::FrontSource,
        "The client connection's source address.",
    ),
    port(
        "fc_src_port",
        Needs::CLIENT,
        Address::FrontSource,
        "The client connection's source port.",
    ),
    address(
        "fc_dst",
        Needs::CLIENT,
        Address::FrontDestination,
        "The client connection's destination address.",
    ),
    port(
        "fc_dst_port",
        Needs::CLIENT,
        Address::FrontDestination,
        "The client connection's destination port.",
    ),
    address(
        "bc_src",
        Needs::SERVER,
        Address::BackSource,
        "Our address towards the server.",
    ),
    port(
        "bc_src_port",
        Needs::SERVER,
        Address::BackSource,
        "Our port towards the server.",
    ),
    address(
        "bc_dst",
        Needs::SERVER,
        Address::BackDestination,
        "The server's address.",
    ),
    port(
        "bc_dst_port",
        Needs::SERVER,
        Address::BackDestination,
        "The server's port.",
    ),
    flag(
        "src_is_local",
        Needs::CLIENT,
        Number::SourceIsLocal,
        "Whether the client's address is one of this machine.",
    ),
    flag(
        "dst_is_local",
        Needs::CLIENT,
        Number::DestinationIsLocal,
        "Whether the destination is an address of this machine.",
    ),
    flag(
        "fc_src_is_local",
        Needs::CLIENT,
        Number::SourceIsLocal,
        "Whether the client connection comes from this machine.",
    ),
    flag(
        "fc_dst_is_local",
        Needs::CLIENT,
        Number::DestinationIsLocal,
        "Whether the client connection goes to an address of this machine.",
    ),
    number(
        "fe_id",
        Needs::CLIENT,
        Number::FrontendId,
        "The frontend's id.",
    ),
    text(
        "fe_name",
        Needs::CLIENT,
        Text::FrontendName,
        "The frontend's name.",
    ),
    text(
        "fe_defbe",
        Needs::CLIENT,
        Text::DefaultBackend,
        "The frontend's default backend.",
    ),
    number(
        "be_id",
        Needs::BACKEND,
        Number::BackendId,
        "The backend's id.",
    ),
    text(
        "be_name",
        Needs::BACKEND,
        Text::BackendName,
        "The backend's name.",
    ),
    number(
        "srv_id",
        Needs::SERVER,
        Number::ServerId,
        "The server's id.",
    ),
    text(
        "srv_name",
        Needs::SERVER,
        Text::ServerName,
        "The server's name.",
    ),
    number(
        "so_id",
        Needs::CLIENT,
        Number::ListenerId,
        "The listening socket's id.",
    ),
    text(
        "so_name",
        Needs::CLIENT,
        Text::ListenerName,
        "The listening socket's name.",
    ),
    number(
        "dst_conn",
        Needs::CLIENT,
        Number::ListenerConnections,
        "Connections on the same listening socket.",
    ),
    flag(
        "fc_rcvd_proxy",
        Needs::CLIENT,
        Number::ReceivedProxyHeader,
        "Whether the client connection began with a PROXY header.",
    ),
    text(
        "fc_pp_authority",
        Needs::CLIENT,
        Text::ProxyAuthority,
        "The PROXY header's authority.",
    ),
    text(
        "fc_pp_unique_id",
        Needs::CLIENT,
        Text::ProxyUniqueId,
        "The PROXY header's unique id.",
    ),
    Fetch {
        output: SampleType::Bin,
        read: Read::Binary(Text::SavedSyn),
        ..text(
            "fc_saved_syn",
            Needs::CLIENT,
            Text::SavedSyn,
            "The client's SYN packet, where the listener saves it.",
        )
    },
    Fetch {
        name: "fc_pp_tlv",
        args: Arguments::all(&[ArgKind::Text]),
        output: SampleType::Str,
        needs: Needs::CLIENT,
        doc: "The value of a TLV of the PROXY header.",
        read: Read::One(proxy_tlv),
        compile: Some(check_tlv),
        ..Fetch::BASE
    },
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

const fn address(name: &'static str, needs: Needs, which: Address, doc: &'static str) -> Fetch {
    Fetch {
        name,
        output: SampleType::Address,
        needs,
        doc,
        read: Read::Address(which),
        ..Fetch::BASE
    }
}

const fn port(name: &'static str, needs: Needs, which: Address, doc: &'static str) -> Fetch {
    Fetch {
        name,
        needs,
        doc,
        read: Read::Port(which),
        ..Fetch::BASE
    }
}

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

/// The TLV's type is a number or one of the manual's names.
fn check_tlv(args: Vec<Arg>, _: &mut Parsing<'_>) -> Result<Vec<Arg>, String> {
    let word = args.first().and_then(Arg::text).unwrap_or_default();
    let number = match word.strip_prefix("0x") {
        Some(digits) => u8::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    };
    let named = TLV_NAMES
        .iter()
        .find(|(name, _)| *name == word)
        .map(|(_, kind)| *kind);
    match number.or(named) {
        Some(kind) => Ok(vec![Arg::Int(kind.into())]),
        None => Err(format!(
            "'{word}' is neither a TLV type nor the name of one"
        )),
    }
}

const TLV_NAMES: [(&str, u8); 6] = [
    ("ALPN", 0x01),
    ("AUTHORITY", 0x02),
    ("CRC32C", 0x03),
    ("UNIQUE_ID", 0x05),
    ("SSL", 0x20),
    ("NETNS", 0x30),
];

fn proxy_tlv<'a>(view: &'a dyn View, args: &'a [Arg]) -> Fetched<Sample<'a>> {
    args.first()
        .and_then(Arg::int)
        .and_then(|kind| view.proxy_tlv(u8::try_from(kind).ok()?))
        .map(Sample::str)
        .into()
}
