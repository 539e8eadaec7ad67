//! Layer 5: what is known about the TLS connections on both sides (manual §7.3.4).

use super::certificate::{Certified, Part};
use super::{
    Arg, Arguments, Certificate, Derivatives, Fetch, Fetched, Needs, Read, ReadOne, Sample,
    SampleType, Side, TlsNumber, TlsText, View,
};
use crate::expr::args::ArgKind;
use crate::expr::pattern::Match;

/// All fetches of the family: the same items for both sides, and for each certificate.
pub(super) fn fetches() -> Vec<Fetch> {
    let mut all = Vec::new();
    all.extend(CLIENT_ONLY);
    for (prefix, side, needs) in [
        ("ssl_fc", Side::Front, Needs::CLIENT_SESSION),
        ("ssl_bc", Side::Back, Needs::SERVER_SESSION),
    ] {
        all.extend(CONNECTION.iter().map(|row| row.fetch(prefix, side, needs)));
    }
    for (prefix, side, which, needs) in [
        (
            "ssl_c",
            Side::Front,
            Certificate::Peer,
            Needs::CLIENT_SESSION,
        ),
        (
            "ssl_f",
            Side::Front,
            Certificate::Own,
            Needs::CLIENT_SESSION,
        ),
        (
            "ssl_s",
            Side::Back,
            Certificate::Peer,
            Needs::SERVER_SESSION,
        ),
    ] {
        let certified = Certified { side, which };
        let parts = Part::ALL
            .iter()
            .filter(|(_, part, _)| part.exists_for(certified));
        all.extend(parts.map(|(name, part, doc)| Fetch {
            name: format!("{prefix}_{name}").leak(),
            args: part.arguments(),
            output: part.output(),
            needs,
            doc,
            read: Read::Certificate(certified, *part),
            compile: part.compile(),
            ..Fetch::BASE
        }));
    }
    all
}

/// A datum of a connection, whose keyword begins with the side's prefix.
struct Row {
    name: &'static str,
    what: What,
    doc: &'static str,
}

#[derive(Clone, Copy)]
enum What {
    /// Whether the connection is encrypted.
    Encrypted,
    Text(TlsText),
    Binary(TlsText),
    Number(TlsNumber),
    Flag(TlsNumber),
}

impl Row {
    fn fetch(&self, prefix: &str, side: Side, needs: Needs) -> Fetch {
        let (output, read) = match self.what {
            What::Encrypted => (SampleType::Bool, Read::Encrypted(side)),
            What::Text(which) => (SampleType::Str, Read::TlsText(side, which)),
            What::Binary(which) => (SampleType::Bin, Read::TlsBinary(side, which)),
            What::Number(which) => (SampleType::Int, Read::TlsNumber(side, which)),
            What::Flag(which) => (SampleType::Bool, Read::TlsFlag(side, which)),
        };
        Fetch {
            name: format!("{prefix}{}", self.name).leak(),
            output,
            needs,
            doc: self.doc,
            derivatives: match (prefix, self.name) {
                ("ssl_fc", "_sni") => Derivatives::List(&[
                    ("ssl_fc_sni_end", Match::End),
                    ("ssl_fc_sni_reg", Match::Reg),
                ]),
                _ => Derivatives::None,
            },
            read,
            ..Fetch::BASE
        }
    }
}

const fn row(name: &'static str, what: What, doc: &'static str) -> Row {
    Row { name, what, doc }
}

const CONNECTION: &[Row] = &[
    row("", What::Encrypted, "Whether the connection is encrypted."),
    row(
        "_alg_keysize",
        What::Number(TlsNumber::AlgorithmKeySize),
        "The cipher's key size in bits.",
    ),
    row(
        "_use_keysize",
        What::Number(TlsNumber::UsedKeySize),
        "The key size in use, in bits.",
    ),
    row(
        "_alpn",
        What::Text(TlsText::Alpn),
        "The protocol agreed on by ALPN.",
    ),
    row(
        "_npn",
        What::Text(TlsText::Npn),
        "The protocol agreed on by NPN.",
    ),
    row("_cipher", What::Text(TlsText::Cipher), "The cipher's name."),
    row(
        "_protocol",
        What::Text(TlsText::Protocol),
        "The protocol's name.",
    ),
    row(
        "_sni",
        What::Text(TlsText::Sni),
        "The server name indicated.",
    ),
    row(
        "_curve",
        What::Text(TlsText::Curve),
        "The name of the curve of the key exchange.",
    ),
    row(
        "_session_id",
        What::Binary(TlsText::SessionId),
        "The session's id.",
    ),
    row(
        "_session_key",
        What::Binary(TlsText::SessionKey),
        "The session's master key.",
    ),
    row(
        "_unique_id",
        What::Binary(TlsText::UniqueId),
        "The channel's unique id (RFC 5929).",
    ),
    row(
        "_client_random",
        What::Binary(TlsText::ClientRandom),
        "The client's random bytes.",
    ),
    row(
        "_server_random",
        What::Binary(TlsText::ServerRandom),
        "The server's random bytes.",
    ),
    row(
        "_err",
        What::Number(TlsNumber::Error),
        "The last error's number, 0 for none.",
    ),
    row(
        "_err_str",
        What::Text(TlsText::ErrorText),
        "The last error in words.",
    ),
    row(
        "_is_resumed",
        What::Flag(TlsNumber::Resumed),
        "Whether the session was resumed.",
    ),
    row(
        "_client_early_traffic_secret",
        What::Text(TlsText::ClientEarlyTrafficSecret),
        "A secret of TLS 1.3.",
    ),
    row(
        "_client_handshake_traffic_secret",
        What::Text(TlsText::ClientHandshakeTrafficSecret),
        "A secret of TLS 1.3.",
    ),
    row(
        "_server_handshake_traffic_secret",
        What::Text(TlsText::ServerHandshakeTrafficSecret),
        "A secret of TLS 1.3.",
    ),
    row(
        "_client_traffic_secret_0",
        What::Text(TlsText::ClientTrafficSecret0),
        "A secret of TLS 1.3.",
    ),
    row(
        "_server_traffic_secret_0",
        What::Text(TlsText::ServerTrafficSecret0),
        "A secret of TLS 1.3.",
    ),
    row(
        "_early_exporter_secret",
        What::Text(TlsText::EarlyExporterSecret),
        "A secret of TLS 1.3.",
    ),
    row(
        "_exporter_secret",
        What::Text(TlsText::ExporterSecret),
        "A secret of TLS 1.3.",
    ),
];

/// What only the client's side has.
const CLIENT_ONLY: &[Fetch] = &[
    client(
        "ssl_fc_has_crt",
        SampleType::Bool,
        Read::TlsFlag(Side::Front, TlsNumber::HasCertificate),
        "Whether the client sent a certificate in this handshake.",
    ),
    client(
        "ssl_fc_has_early",
        SampleType::Bool,
        Read::TlsFlag(Side::Front, TlsNumber::HasEarlyData),
        "Whether early data were received and the handshake is not complete.",
    ),
    client(
        "ssl_fc_early_rcvd",
        SampleType::Bool,
        Read::TlsFlag(Side::Front, TlsNumber::EarlyDataReceived),
        "Whether early data were received at all.",
    ),
    client(
        "ssl_fc_has_sni",
        SampleType::Bool,
        Read::TlsFlag(Side::Front, TlsNumber::HasSni),
        "Whether the client indicated a server name.",
    ),
    client(
        "ssl_fc_protocol_hello_id",
        SampleType::Int,
        Read::TlsNumber(Side::Front, TlsNumber::HelloVersion),
        "The version in the client hello.",
    ),
    client(
        "ssl_fc_crtname",
        SampleType::Str,
        Read::TlsText(Side::Front, TlsText::CertificateName),
        "The name of the certificate chosen.",
    ),
    client(
        "ssl_c_used",
        SampleType::Bool,
        Read::TlsFlag(Side::Front, TlsNumber::CertificateUsed),
        "Whether the session has a client certificate.",
    ),
    client(
        "ssl_c_verify",
        SampleType::Int,
        Read::TlsNumber(Side::Front, TlsNumber::VerifyResult),
        "The result of the verification, 0 for success.",
    ),
    client(
        "ssl_c_err",
        SampleType::Int,
        Read::TlsNumber(Side::Front, TlsNumber::VerifyResult),
        "The first error of the client's own certificate, 0 for none.",
    ),
    client(
        "ssl_c_ca_err",
        SampleType::Int,
        Read::TlsNumber(Side::Front, TlsNumber::CaVerifyResult),
        "The first error above the client's certificate, 0 for none.",
    ),
    client(
        "ssl_c_ca_err_depth",
        SampleType::Int,
        Read::TlsNumber(Side::Front, TlsNumber::CaVerifyDepth),
        "How deep in the chain that error is.",
    ),
    listed(
        "ssl_fc_cipherlist_bin",
        SampleType::Bin,
        |view, args| of_hello(view, args, TlsText::CipherList, Sample::bin),
        "The cipher suites of the client hello.",
    ),
    listed(
        "ssl_fc_cipherlist_hex",
        SampleType::Str,
        |view, args| {
            of_hello(view, args, TlsText::CipherList, |list| {
                Sample::str(hex(&list))
            })
        },
        "The cipher suites of the client hello, in hexadecimal.",
    ),
    client(
        "ssl_fc_cipherlist_xxh",
        SampleType::Int,
        Read::One(|view, _| {
            of_hello(view, &[], TlsText::CipherList, |list| {
                Sample::Int(xxhash_rust::xxh64::xxh64(&list, 0) as i64)
            })
        }),
        "A hash of the cipher suites of the client hello.",
    ),
    listed(
        "ssl_fc_extlist_bin",
        SampleType::Bin,
        |view, args| of_hello(view, args, TlsText::Extensions, Sample::bin),
        "The extensions of the client hello.",
    ),
    listed(
        "ssl_fc_eclist_bin",
        SampleType::Bin,
        |view, args| of_hello(view, args, TlsText::Groups, Sample::bin),
        "The groups of the client hello.",
    ),
    client(
        "ssl_fc_ecformats_bin",
        SampleType::Bin,
        Read::TlsBinary(Side::Front, TlsText::PointFormats),
        "The point formats of the client hello.",
    ),
    listed(
        "ssl_fc_sigalgs_bin",
        SampleType::Bin,
        |view, args| of_hello(view, args, TlsText::SignatureAlgorithms, Sample::bin),
        "The signature algorithms of the client hello.",
    ),
    listed(
        "ssl_fc_supported_versions_bin",
        SampleType::Bin,
        |view, args| of_hello(view, args, TlsText::SupportedVersions, Sample::bin),
        "The versions of the client hello.",
    ),
];

const fn client(name: &'static str, output: SampleType, read: Read, doc: &'static str) -> Fetch {
    Fetch {
        name,
        output,
        needs: Needs::CLIENT_SESSION,
        doc,
        read,
        ..Fetch::BASE
    }
}

/// A list of 16-bit values of the client hello; argument 1 leaves out GREASE.
const fn listed(name: &'static str, output: SampleType, read: ReadOne, doc: &'static str) -> Fetch {
    Fetch {
        args: Arguments::some(0, &[ArgKind::Int]),
        ..client(name, output, Read::One(read), doc)
    }
}

fn of_hello<'a>(
    view: &'a dyn View,
    args: &'a [Arg],
    which: TlsText,
    make: fn(Vec<u8>) -> Sample<'a>,
) -> Fetched<Sample<'a>> {
    let Some(list) = super::tls_text(view, Side::Front, which) else {
        return Fetched::Absent;
    };
    let without_grease = args.first().and_then(Arg::int) == Some(1);
    let mut kept = list.into_vec();
    if without_grease {
        kept = kept
            .chunks(2)
            .filter(|value| !is_grease(value))
            .flatten()
            .copied()
            .collect();
    }
    Fetched::Value(make(kept))
}

/// Both bytes are equal and end in `a` (RFC 8701).
fn is_grease(value: &[u8]) -> bool {
    matches!(value, [high, low] if high == low && low & 0xf == 0xa)
}

fn hex(bytes: &[u8]) -> Vec<u8> {
    bytes
        .iter()
        .flat_map(|byte| format!("{byte:02X}").into_bytes())
        .collect()
}
