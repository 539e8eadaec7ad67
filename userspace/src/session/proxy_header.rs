//! The PROXY header that tells a server about the client (`send-proxy…`, manual §5.2).

use super::connection::Connection;
use crate::expr::{Data, LogFormat, Side, TlsNumber, TlsText, View};
use crate::model::{ProxyRecords, Server};
use crate::proto::proxy_protocol::{self, Addresses, Version2, append_record, tlv};

/// The header for a server, of the version it wants.
pub(super) fn proxy_header(
    connection: &Connection,
    server: &Server,
    version: u8,
    view: &dyn View,
) -> Vec<u8> {
    let ends = connection.ends.get();
    let addresses = ends
        .source
        .zip(ends.destination)
        .map(|(source, destination)| Addresses {
            source,
            destination,
        });
    if version == 1 {
        let mut line = Vec::with_capacity(108);
        proxy_protocol::encode_v1(addresses, &mut line);
        return line;
    }
    let records = &server.proxy_records;
    let mut header = Version2::proxied(addresses);
    if records.authority {
        let asked = view.tls(Side::Front).and_then(|tls| tls.text(TlsText::Sni));
        let told = connection
            .proxy_header
            .get()
            .and_then(|header| header.tlv(tlv::AUTHORITY));
        if let Some(name) = asked.as_deref().or(told) {
            header = header.record(tlv::AUTHORITY, name);
        }
    }
    if records.unique_id
        && let Some(id) = view.text(crate::expr::Text::UniqueId)
    {
        header = header.record(tlv::UNIQUE_ID, &id);
    }
    for (kind, format) in &records.formats {
        header = header.record(*kind, &rendered(format, view));
    }
    if records.tls {
        header = header.record(tlv::SSL, &tls_record(records, view));
    }
    match records.checksum {
        true => header.finish_with_checksum(),
        false => header.finish(),
    }
}

/// What is known of the client's TLS connection (proxy-protocol.txt §2.2.6).
fn tls_record(records: &ProxyRecords, view: &dyn View) -> Vec<u8> {
    // "Verify" is not zero unless a certificate was presented and found to be good.
    let mut value = vec![0, 0, 0, 0, 1];
    let Some(tls) = view.tls(Side::Front) else {
        return value;
    };
    let number = |which| tls.number(which).unwrap_or(0);
    value[0] = CLIENT_TLS;
    if number(TlsNumber::HasCertificate) == 1 {
        value[0] |= CLIENT_CERTIFICATE_CONNECTION;
    }
    let used = number(TlsNumber::CertificateUsed) == 1;
    if used {
        value[0] |= CLIENT_CERTIFICATE_SESSION;
        let verified = u32::try_from(number(TlsNumber::VerifyResult)).unwrap_or(u32::MAX);
        value[1..5].copy_from_slice(&verified.to_be_bytes());
    }
    let mut sub = |kind, text: Option<Data<'_>>| {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            append_record(kind, &text, &mut value);
        }
    };
    let format = |format: &Option<std::sync::Arc<LogFormat>>| {
        let format = format.as_ref()?;
        Some(Data::from(rendered(format, view)))
    };
    sub(tlv::SSL_VERSION, tls.text(TlsText::Protocol));
    sub(tlv::SSL_CN, format(&records.common_name).filter(|_| used));
    if records.cipher {
        sub(tlv::SSL_CIPHER, tls.text(TlsText::Cipher));
    }
    sub(tlv::SSL_SIG_ALG, format(&records.signature));
    sub(tlv::SSL_KEY_ALG, format(&records.key));
    value
}

fn rendered(format: &LogFormat, view: &dyn View) -> Vec<u8> {
    let mut text = Vec::new();
    format.render(view, &mut text);
    text
}

/// Bits of the record's first byte.
const CLIENT_TLS: u8 = 1;
const CLIENT_CERTIFICATE_CONNECTION: u8 = 2;
const CLIENT_CERTIFICATE_SESSION: u8 = 4;
