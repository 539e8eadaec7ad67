//! What a PROXY header of version 2 carries beside addresses (`proxy-v2-options`, `set-proxy-v2-tlv-fmt`, manual §5.2).

use std::sync::Arc;

use crate::expr::LogFormat;

/// The records of a server's PROXY headers.
#[derive(Clone, Debug, Default)]
pub struct ProxyRecords {
    /// `ssl`, and what implies it: the record about the client's TLS connection.
    pub tls: bool,
    /// `cert-cn`: common name of the client's certificate.
    pub common_name: Option<Arc<LogFormat>>,
    /// `ssl-cipher`
    pub cipher: bool,
    /// `cert-sig`: signature algorithm of the certificate in use.
    pub signature: Option<Arc<LogFormat>>,
    /// `cert-key`: its key's algorithm.
    pub key: Option<Arc<LogFormat>>,
    /// `authority`: the name the client asked for.
    pub authority: bool,
    /// `crc32c`: a checksum.
    pub checksum: bool,
    /// `unique-id`
    pub unique_id: bool,
    /// `set-proxy-v2-tlv-fmt(TYPE) FMT`, in order.
    pub formats: Vec<(u8, Arc<LogFormat>)>,
}
