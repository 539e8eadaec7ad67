//! TLS towards servers: one context per server.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, SupportedProtocolVersion};
use rustls_pki_types::ServerName;
use tokio_rustls::{TlsConnector, TlsStream};

use super::certificate::chain_and_key;
use super::files::Loader;
use super::info::{Context, Info};
use super::layer::Encrypted;
use super::trust::{self, Names};
use super::{Bases, Warnings, suites};
use crate::model::{HttpProtocol, ServerTls, Verify};
use crate::net::Stream;

/// The TLS context of one server.
#[derive(Clone)]
pub struct Connector {
    all: Configs,
    /// The same with one version of HTTP only, where `alpn` has both.
    http1: Option<Configs>,
    http2: Option<Configs>,
    verify_host: Option<ServerName<'static>>,
}

#[derive(Clone)]
struct Configs {
    /// With a server name: it is sent, and the certificate must carry it.
    named: TlsConnector,
    /// Without: nothing is sent, and the certificate must carry `verifyhost`, if that is set.
    nameless: TlsConnector,
}

impl Configs {
    /// Both with the protocols of the list for which `wanted` holds.
    fn new(named: &ClientConfig, nameless: &ClientConfig, wanted: fn(&[u8]) -> bool) -> Self {
        let with = |config: &ClientConfig| {
            let mut config = config.clone();
            config.alpn_protocols.retain(|name| wanted(name));
            TlsConnector::from(Arc::new(config))
        };
        Self {
            named: with(named),
            nameless: with(nameless),
        }
    }
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Connector")
            .field("verify_host", &self.verify_host)
            .finish_non_exhaustive()
    }
}

impl Connector {
    pub(super) fn load(
        tls: &ServerTls,
        bases: Bases<'_>,
        loader: &Loader<'_>,
        warnings: &mut Warnings<'_>,
    ) -> Result<Self, String> {
        let provider = Arc::new(suites::provider(
            tls.ciphers.as_deref(),
            tls.ciphersuites.as_deref(),
            tls.curves.as_deref(),
            warnings,
        )?);
        let versions = suites::versions(tls.min_version, tls.max_version, warnings)?;
        let verify_host = tls
            .verify_host
            .as_ref()
            .map(|name| {
                ServerName::try_from(name.clone())
                    .map_err(|_| format!("'verifyhost': '{name}' is no host name"))
            })
            .transpose()?;
        let verifier = |names: Names| {
            match (tls.verify, &tls.ca_file) {
            (Verify::None, _) => Ok(trust::trusting(&provider)),
            (_, None) => Err("'verify required' needs 'ca-file' (for example '@system-ca') to know whom to trust".to_owned()),
            (_, Some(ca_file)) => {
                trust::server_verifier(ca_file, tls.crl_file.as_deref(), names, loader, &provider)
            },
        }
        };
        let nameless_check = if verify_host.is_some() {
            Names::Checked
        } else {
            Names::Ignored
        };
        let mut nameless = client_config(
            tls,
            bases,
            loader,
            &provider,
            &versions,
            verifier(nameless_check)?,
        )?;
        nameless.enable_sni = false;
        let named = client_config(
            tls,
            bases,
            loader,
            &provider,
            &versions,
            verifier(Names::Checked)?,
        )?;
        let offers = |wanted: &[u8]| named.alpn_protocols.iter().any(|name| name == wanted);
        let both = offers(b"h2") && offers(b"http/1.1");
        let only =
            |wanted: fn(&[u8]) -> bool| both.then(|| Configs::new(&named, &nameless, wanted));
        Ok(Self {
            all: Configs::new(&named, &nameless, |_| true),
            http1: only(|name| name != b"h2"),
            http2: only(|name| name == b"h2"),
            verify_host,
        })
    }

    /// Does the handshake. `name` is sent as SNI and checked; what is no host name counts as none. With `protocol`,
    /// ALPN offers that version of HTTP only.
    ///
    /// # Errors
    /// The server left, its certificate is not good, or the two sides cannot agree.
    pub async fn connect(
        &self,
        stream: Stream,
        name: Option<&str>,
        protocol: Option<HttpProtocol>,
    ) -> io::Result<Stream> {
        let one = match protocol {
            Some(HttpProtocol::Http1) => self.http1.as_ref(),
            Some(HttpProtocol::Http2) => self.http2.as_ref(),
            None => None,
        };
        let configs = one.unwrap_or(&self.all);
        let dns = name.and_then(|name| match ServerName::try_from(name.to_owned()) {
            Ok(name @ ServerName::DnsName(_)) => Some(name),
            _ => None,
        });
        let sni = dns.as_ref().and(name).map(str::to_owned);
        let (connector, name) = match dns {
            Some(name) => (&configs.named, name),
            None => {
                let peer = stream
                    .peer_address()
                    .map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.ip());
                (
                    &configs.nameless,
                    self.verify_host
                        .clone()
                        .unwrap_or_else(|| ServerName::from(peer)),
                )
            }
        };
        let connected = connector.connect(name, stream.into_bare()?).await?;
        let context = Context {
            sni,
            ..Context::default()
        };
        let info = Info::new(connected.get_ref().1, context);
        Ok(Encrypted::wrap(TlsStream::Client(connected), info))
    }
}

fn client_config(
    tls: &ServerTls,
    bases: Bases<'_>,
    loader: &Loader<'_>,
    provider: &Arc<CryptoProvider>,
    versions: &[&'static SupportedProtocolVersion],
    verifier: Arc<dyn ServerCertVerifier>,
) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(versions)
        .map_err(|error| format!("TLS versions and cipher suites do not fit together: {error}"))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match &tls.certificate {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let (chain, key) = chain_and_key(path, bases, loader)?;
            builder.with_client_auth_cert(chain, key).map_err(|error| {
                format!(
                    "unusable certificate or key in '{}': {error}",
                    path.display()
                )
            })?
        }
    };
    config.alpn_protocols = tls.alpn.clone().unwrap_or_default();
    Ok(config)
}
