//! What a view may know about a TLS connection.

use crate::expr::Data;

/// What is known about one TLS connection.
pub trait Tls: Send + Sync {
    fn text(&self, _which: TlsText) -> Option<Data<'_>> {
        None
    }

    fn number(&self, _which: TlsNumber) -> Option<i64> {
        None
    }

    /// A certificate in DER form.
    fn certificate(&self, _which: Certificate) -> Option<&[u8]> {
        None
    }

    /// The peer's whole chain in DER form, leaf first.
    fn peer_chain(&self) -> &[Vec<u8>] {
        &[]
    }
}

/// Whose certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Certificate {
    /// `ssl_c_*` in front, `ssl_s_*` in the back.
    Peer,
    /// `ssl_f_*`: the one we presented.
    Own,
}

/// Strings and byte strings about a TLS connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlsText {
    /// `TLSv1.3`.
    Protocol,
    /// OpenSSL's name of the cipher suite.
    Cipher,
    Sni,
    Alpn,
    Npn,
    SessionId,
    UniqueId,
    ClientRandom,
    ServerRandom,
    SessionKey,
    Curve,
    /// `ssl_fc_crtname`.
    CertificateName,
    ErrorText,
    // --- from the client hello ---
    CipherList,
    Extensions,
    Groups,
    PointFormats,
    SignatureAlgorithms,
    SupportedVersions,
    // --- secrets (`tune.ssl.keylog`), in hexadecimal ---
    ClientEarlyTrafficSecret,
    ClientHandshakeTrafficSecret,
    ServerHandshakeTrafficSecret,
    ClientTrafficSecret0,
    ServerTrafficSecret0,
    EarlyExporterSecret,
    ExporterSecret,
}

/// Numbers about a TLS connection; booleans are 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlsNumber {
    /// `…_alg_keysize`.
    AlgorithmKeySize,
    /// `…_use_keysize`.
    UsedKeySize,
    Resumed,
    HasSni,
    HasEarlyData,
    /// Early data were received, whether or not the handshake has completed since (`ssl_fc_early_rcvd`).
    EarlyDataReceived,
    /// The client sent a certificate in this very handshake (`ssl_fc_has_crt`).
    HasCertificate,
    /// The session has a client certificate, also from a resumed handshake (`ssl_c_used`).
    CertificateUsed,
    /// OpenSSL's X509_V_* code, 0 when fine.
    VerifyResult,
    CaVerifyResult,
    CaVerifyDepth,
    Error,
    /// The version in the client hello.
    HelloVersion,
}
