//! What is known of an established TLS connection, copied out of it, so that rules and logs can ask while it is in use.

use rustls::server::ClientHello;
use rustls::{CommonState, HandshakeKind, ProtocolVersion};

use super::suites;
use crate::expr::{Certificate, Data, Tls, TlsNumber, TlsText};

/// Facts about one connection, from either side.
#[derive(Debug)]
pub(super) struct Info {
    version: ProtocolVersion,
    cipher: Option<rustls::CipherSuite>,
    group: Option<rustls::NamedGroup>,
    sni: Option<String>,
    alpn: Option<Vec<u8>>,
    resumed: bool,
    /// The other side's chain, leaf first.
    peer: Vec<Vec<u8>>,
    /// The certificate we presented.
    own: Option<Vec<u8>>,
    /// The file it came from.
    own_path: Option<String>,
    verdict: u8,
    hello: Hello,
}

/// What the handshake knew beside the connection's own state.
#[derive(Default)]
pub(super) struct Context {
    pub(super) sni: Option<String>,
    pub(super) own: Option<Vec<u8>>,
    pub(super) own_path: Option<String>,
    /// OpenSSL's number for the verdict on the client's certificate.
    pub(super) verdict: u8,
    pub(super) hello: Hello,
}

/// Lists of a client hello, as they were on the wire (`tune.ssl.capture-buffer-size`).
#[derive(Debug, Default)]
pub(super) struct Hello {
    ciphers: Vec<u8>,
    groups: Vec<u8>,
    signatures: Vec<u8>,
}

impl Hello {
    /// At most so many bytes of each; nothing when none are wanted.
    pub(super) fn of(hello: &ClientHello<'_>, most: usize) -> Self {
        let cut = |numbers: &mut dyn Iterator<Item = u16>| -> Vec<u8> {
            numbers.flat_map(u16::to_be_bytes).take(most).collect()
        };
        if most == 0 {
            return Self::default();
        }
        let groups = hello.named_groups().unwrap_or_default();
        Self {
            ciphers: cut(&mut hello.cipher_suites().iter().map(|suite| u16::from(*suite))),
            groups: cut(&mut groups.iter().map(|group| u16::from(*group))),
            signatures: cut(&mut hello
                .signature_schemes()
                .iter()
                .map(|scheme| u16::from(*scheme))),
        }
    }
}

impl Info {
    pub(super) fn new(state: &CommonState, context: Context) -> Self {
        let peer = state.peer_certificates().unwrap_or_default();
        Self {
            version: state
                .protocol_version()
                .unwrap_or(ProtocolVersion::Unknown(0)),
            cipher: state.negotiated_cipher_suite().map(|suite| suite.suite()),
            group: state
                .negotiated_key_exchange_group()
                .map(|group| group.name()),
            sni: context.sni,
            alpn: state.alpn_protocol().map(<[u8]>::to_vec),
            resumed: state.handshake_kind() == Some(HandshakeKind::Resumed),
            peer: peer
                .iter()
                .map(|certificate| certificate.to_vec())
                .collect(),
            own: context.own,
            own_path: context.own_path,
            verdict: context.verdict,
            hello: context.hello,
        }
    }
}

impl Tls for Info {
    fn text(&self, which: TlsText) -> Option<Data<'_>> {
        match which {
            TlsText::Protocol => Some(suites::version_name(self.version).into()),
            TlsText::Cipher => self.cipher.map(|cipher| suites::name(cipher).into()),
            TlsText::Sni => self.sni.as_deref().map(Data::from),
            TlsText::Alpn => self.alpn.as_deref().map(Data::from),
            TlsText::Curve => self.group.map(|group| suites::group_name(group).into()),
            TlsText::CipherList => some(&self.hello.ciphers),
            TlsText::Groups => some(&self.hello.groups),
            TlsText::SignatureAlgorithms => some(&self.hello.signatures),
            TlsText::CertificateName => self.own_path.as_deref().map(Data::from),
            _ => None,
        }
    }

    fn number(&self, which: TlsNumber) -> Option<i64> {
        let has_certificate = !self.peer.is_empty();
        Some(match which {
            TlsNumber::AlgorithmKeySize | TlsNumber::UsedKeySize => suites::key_bits(self.cipher?),
            TlsNumber::Resumed => self.resumed.into(),
            TlsNumber::HasSni => self.sni.is_some().into(),
            TlsNumber::HasEarlyData | TlsNumber::EarlyDataReceived => 0,
            TlsNumber::HasCertificate => i64::from(has_certificate && !self.resumed),
            TlsNumber::CertificateUsed => has_certificate.into(),
            TlsNumber::VerifyResult => self.verdict.into(),
            // Errors further up the chain are told as the certificate's own.
            TlsNumber::CaVerifyResult | TlsNumber::CaVerifyDepth | TlsNumber::Error => 0,
            TlsNumber::HelloVersion => return None,
        })
    }

    fn certificate(&self, which: Certificate) -> Option<&[u8]> {
        match which {
            Certificate::Peer => self.peer.first().map(Vec::as_slice),
            Certificate::Own => self.own.as_deref(),
        }
    }

    fn peer_chain(&self) -> &[Vec<u8>] {
        &self.peer
    }
}

/// A list that is empty while it was not kept.
fn some(list: &[u8]) -> Option<Data<'_>> {
    (!list.is_empty()).then(|| Data::from(list))
}
