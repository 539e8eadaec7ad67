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
