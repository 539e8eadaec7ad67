//! The Forwarded field of `option forwarded` (RFC 7239).

use std::net::{IpAddr, SocketAddr};

use super::edits;
use super::stream::HttpStream;
use crate::expr::{Sample, View, is_obfuscated_node};
use crate::model::{Forwarded, ForwardedValue};

impl HttpStream<'_, '_> {
    /// Adds the field, behind those the client's proxies added.
    pub(super) fn add_forwarded(&mut self, option: &Forwarded) {
        let view = self.view();
        let ends = self.connection.ends.get();
        let mut parts: Vec<Vec<u8>> = Vec::new();
        if option.proto {
            let proto = if self.connection.tls.get().is_some() {
                "https"
            } else {
                "http"
            };
            parts.push(format!("proto={proto}").into_bytes());
        }
        let host = option.host.as_ref().and_then(|host| match host {
            ForwardedValue::Own => self.messages.request.first(b"host").map(<[u8]>::to_vec),
            ForwardedValue::Expression(expression) => expression
                .eval(&view)
                .map(|sample| sample.to_text().into_owned()),
        });
        if let Some(host) = host.filter(|host| !host.contains(&b'"') && !host.contains(&b'\\')) {
            parts.push([b"host=\"", &host[..], b"\""].concat());
        }
        let by = (&option.by, &option.by_port);
        let client = (&option.client, &option.client_port);
        for (name, (node, port), end) in
            [("by", by, ends.destination), ("for", client, ends.source)]
        {
            if let Some(node) = node {
                let node = self::node(node, port.as_ref(), end, &view);
                parts.push(format!("{name}={node}").into_bytes());
            }
        }
        let value = parts.join(&b';');
        if !value.is_empty() && edits::is_field_value(&value) {
            self.messages.request.add(b"forwarded", &value);
        }
    }
}

/// A node's name and port, in quotes where the grammar wants them.
fn node(
    name: &ForwardedValue,
    port: Option<&ForwardedValue>,
    end: Option<SocketAddr>,
    view: &dyn View,
) -> String {
    let (name, is_v6) = match name {
        ForwardedValue::Own => address(end.map(|end| end.ip())),
        ForwardedValue::Expression(expression) => match expression.eval(view) {
            Some(Sample::Ip(ip)) => address(Some(ip)),
            Some(sample) => (obfuscated(&sample).unwrap_or_else(unknown), false),
            None => (unknown(), false),
        },
    };
    let port = port.and_then(|port| match port {
        ForwardedValue::Own => end.map(|end| end.port().to_string()),
        ForwardedValue::Expression(expression) => match expression.eval(view)? {
            Sample::Int(port) => u16::try_from(port).ok().map(|port| port.to_string()),
            sample => obfuscated(&sample),
        },
    });
    match port {
        Some(port) => format!("\"{name}:{port}\""),
        None if is_v6 => format!("\"{name}\""),
        None => name,
    }
}

fn address(ip: Option<IpAddr>) -> (String, bool) {
    match ip.map(|ip| ip.to_canonical()) {
        None => (unknown(), false),
        Some(IpAddr::V4(ip)) => (ip.to_string(), false),
        Some(IpAddr::V6(ip)) => (format!("[{ip}]"), true),
    }
}

/// A text as an identifier: those begin with an underscore.
fn obfuscated(sample: &Sample<'_>) -> Option<String> {
    let text = sample.to_text();
    let text = std::str::from_utf8(&text).ok()?;
    let marked = match text.starts_with('_') {
        true => text.to_owned(),
        false => format!("_{text}"),
    };
    is_obfuscated_node(marked.as_bytes()).then_some(marked)
}

fn unknown() -> String {
    "unknown".to_owned()
}
