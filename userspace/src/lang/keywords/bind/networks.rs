//! Whole networks as the address of a service: `10.1.0.0/16:80`, `[2001:db8::/64]:80` (`mode l4` only).
//!
//! Input is an address as it was written; output is the address without its length, and later the network that both are.
//! What the rest of an address may be is [`super::super::address`]'s business.

use std::borrow::Cow;

use ipnet::IpNet;

use super::super::args::{Complaint, Parsed};
use crate::lang::ast::Word;
use crate::model::BindAddress;

/// An address without the length that makes it a network, and that.
pub(super) fn without_length(text: &str) -> (Cow<'_, str>, Option<&str>) {
    let Some((address, rest)) = text.split_once('/') else {
        return (text.into(), None);
    };
    let end = rest
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(rest.len());
    let (length, rest) = rest.split_at(end);
    // Anything else with a slash is a path, which the address's own rules refuse.
    if address.is_empty() || length.is_empty() || !(rest.starts_with(':') || rest.starts_with(']'))
    {
        return (text.into(), None);
    }
    (format!("{address}{rest}").into(), Some(length))
}

/// The network an endpoint and a length are.
pub(super) fn network(endpoint: BindAddress, length: &str, word: &Word) -> Parsed<BindAddress> {
    let wrong = |message: String| Complaint::new(word.span, message);
    let (address, last, udp) = match endpoint {
        BindAddress::Tcp(address) => (address, address.port(), false),
        BindAddress::Udp(address) => (address, address.port(), true),
        BindAddress::PortRange { first, last, udp } => (first, last, udp),
        _ => return Err(wrong(format!("'/{length}' needs an IP address"))),
    };
    let network = length
        .parse()
        .ok()
        .and_then(|length| IpNet::new(address.ip(), length).ok())
        .ok_or_else(|| wrong(format!("'/{length}' is no prefix length for this address")))?;
    if network.network() != network.addr() {
        let message = format!("'{network}' has bits set after its prefix");
        return Err(wrong(message).hint(format!("write '{}'", network.trunc())));
    }
    Ok(BindAddress::Network {
        network,
        first: address.port(),
        last,
        udp,
    })
}
