//! TLS towards clients: one context per bind line.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::{ClientHello, NoServerSessionStorage, ServerSessionMemoryCache};
use rustls::{ServerConfig, SupportedProtocolVersion};
use tokio_rustls::{LazyConfigAcceptor, TlsStream};

use super::certificate::Certificate;
use super::files::{Loader, Role};
use super::info::{Context, Hello, Info};
use super::layer::Encrypted;
use super::store::{Resolver, ServedName, Store};
use super::verdict::ClientVerifier;
use super::{Bases, Warnings, crt_list, suites, trust};
use crate::model::{BindTls, Mode, Verify};
use crate::net::Stream;

/// The TLS context of one bind line.
#[derive(Debug)]
pub struct Acceptor {
    store: Arc<Store>,
    /// The bind line's settings first, then those of `crt-list` lines that have their own.
    groups: Vec<Group>,
    /// Bytes kept of each list in a client hello.
    capture: usize,
}

/// One set of settings.
#[derive(Debug)]
struct Group {
    config: Arc<ServerConfig>,
    /// The same without ALPN, for clients that offer no protocol we have: they get a connection all the same.
    without_alpn: Arc<ServerConfig>,
    verifier: Option<Arc<ClientVerifier>>,
}

/// Why a handshake failed, in HAProxy's words.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The client closed or reset the connection.
    #[error("Connection closed during SSL handshake")]
    Closed,
    /// The client spoke no TLS, or nothing both sides can do.
    #[error("SSL handshake failure ({0})")]
    Failed(#[source] io::Error),
}

impl Acceptor {
    pub(super) fn load(
        tls: &BindTls,
        mode: Mode,
        bases: Bases<'_>,
        loader: &Loader<'_>,
        warnings: &mut Warnings<'_>,
    ) -> Result<Self, String> {
        let mut store = Store::new(tls.strict_sni);
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let mut settings: Vec<BindTls> = vec![tls.clone()];
        for path in &tls.certificates {
            for certificate in Certificate::load_all(path, bases, loader, &provider)? {
                store.add(certificate, 0, &[], &[]);
            }
        }
        for path in &tls.certificate_lists {
            add_list(
                path,
                tls,
                bases,
                loader,
                &provider,
                &mut store,
                &mut settings,
            )?;
        }
        if store.is_empty() && !tls.strict_sni {
            return Err("no SSL certificate specified (needs 'crt' or 'crt-list')".to_owned());
        }
        let store = Arc::new(store);
        let groups = settings
            .iter()
            .map(|settings| Group::new(settings, mode, &store, loader, warnings))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            store,
            groups,
            capture: bases.capture,
        })
    }

    /// The names and the files of the certificates that clients may get.
    pub fn names(&self) -> Vec<ServedName> {
        self.store.names()
    }

    /// Does the handshake.
    ///
    /// # Errors
    /// The client left, or the two sides cannot agree; an alert was sent where there was somebody to read it.
    pub async fn accept(&self, stream: Stream) -> Result<Stream, HandshakeError> {
        let bare = stream.into_bare().map_err(HandshakeError::Failed)?;
        let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), bare)
            .await
            .map_err(classify)?;
        let (config, mut context, verifier) = self.context_of(&start.client_hello());
        let accepted = start.into_stream(config).await.map_err(classify)?;
        let chain = accepted.get_ref().1.peer_certificates();
        if let (Some(verifier), Some(chain)) = (verifier, chain) {
            context.verdict = verifier.verdict(chain);
        }
        let info = Info::new(accepted.get_ref().1, context);
        Ok(Encrypted::wrap(TlsStream::Server(accepted), info))
    }

    /// The settings for a client, and what is remembered of its hello.
    fn context_of(
        &self,
        hello: &ClientHello<'_>,
    ) -> (Arc<ServerConfig>, Context, Option<&Arc<ClientVerifier>>) {
        let chosen = self.store.choose(
            hello.server_name(),
            hello.signature_schemes(),
            hello.cipher_suites(),
        );
        let group = &self.groups[chosen.as_ref().map_or(0, |chosen| chosen.group)];
        let offered = hello.alpn().map(|offered| offered.collect::<Vec<_>>());
        let ours = &group.config.alpn_protocols;
        let agree = offered.is_none_or(|offered| {
            offered
                .iter()
                .any(|name| ours.iter().any(|known| known == name))
        });
        let config = if agree {
            &group.config
        } else {
            &group.without_alpn
        };
        let certificate = chosen.map(|chosen| chosen.certificate);
        let context = Context {
            sni: hello.server_name().map(str::to_owned),
            own: certificate
                .and_then(|certificate| Some(certificate.key.end_entity_cert().ok()?.to_vec())),
            own_path: certificate.map(|certificate| certificate.path.display().to_string()),
            verdict: 0,
            hello: Hello::of(hello, self.capture),
        };
        (Arc::clone(config), context, group.verifier.as_ref())
    }
}

impl Group {
    fn new(
        tls: &BindTls,
        mode: Mode,
        store: &Arc<Store>,
        loader: &Loader<'_>,
        warnings: &mut Warnings<'_>,
    ) -> Result<Self, String> {
        let provider = suites::provider(
            tls.ciphers.as_deref(),
            tls.ciphersuites.as_deref(),
            tls.curves.as_deref(),
            warnings,
        )?;
        let versions = suites::versions(tls.min_version, tls.max_version, warnings)?;
        let provider = Arc::new(provider);
        let verifier = match tls.verify {
            Verify::None => None,
            Verify::Optional | Verify::Required => {
                Some(trust::client_verifier(tls, loader, &provider)?)
            }
        };
        let mut config = server_config(store, verifier.as_ref(), &provider, &versions)?;
        config.ignore_client_order = !tls.prefer_client_ciphers;
        if tls.no_tickets {
            config.session_storage = ServerSessionMemoryCache::new(REMEMBERED_SESSIONS);
        } else {
            // A ticketer of its own: a session begun under other settings must not be resumed under these.
            config.ticketer =
                Ticketer::new().map_err(|error| format!("cannot make ticket keys: {error}"))?;
            config.session_storage = Arc::new(NoServerSessionStorage {});
        }
        let without_alpn = Arc::new(config.clone());
        config.alpn_protocols = match (&tls.alpn, mode) {
            (Some(protocols), _) => protocols.clone(),
            (None, Mode::Http) => HTTP_PROTOCOLS.iter().map(|name| name.to_vec()).collect(),
            (None, _) => Vec::new(),
        };
        Ok(Self {
            config: Arc::new(config),
            without_alpn,
            verifier,
        })
    }
}

fn server_config(
    store: &Arc<Store>,
    verifier: Option<&Arc<ClientVerifier>>,
    provider: &Arc<CryptoProvider>,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<ServerConfig, String> {
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(versions)
        .map_err(|error| format!("TLS versions and cipher suites do not fit together: {error}"))?;
    let builder = match verifier {
        None => builder.with_no_client_auth(),
        Some(verifier) => {
            let verifier: Arc<ClientVerifier> = Arc::clone(verifier);
            builder.with_client_cert_verifier(verifier)
        }
    };
    Ok(builder.with_cert_resolver(Arc::new(Resolver(Arc::clone(store)))))
}

fn add_list(
    path: &Path,
    tls: &BindTls,
    bases: Bases<'_>,
    loader: &Loader<'_>,
    provider: &CryptoProvider,
    store: &mut Store,
    settings: &mut Vec<BindTls>,
) -> Result<(), String> {
    let text = String::from_utf8(loader.read(path, Role::List)?.to_vec())
        .map_err(|_| format!("'{}' is not text", path.display()))?;
    let named = |message: String| format!("in crt-list '{}': {message}", path.display());
    for line in crt_list::parse(&text, tls, bases).map_err(named)? {
        let group = if line.has_options {
            settings.push(line.options.clone());
            settings.len() - 1
        } else {
            0
        };
        for certificate in
            Certificate::load_all(&line.certificate, bases, loader, provider).map_err(named)?
        {
            store.add(certificate, group, &line.filters, &line.excluded);
        }
    }
    Ok(())
}

fn classify(error: io::Error) -> HandshakeError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe => HandshakeError::Closed,
        _ => HandshakeError::Failed(error),
    }
}

/// Offered to clients of an HTTP frontend without `alpn` or `no-alpn`.
const HTTP_PROTOCOLS: &[&[u8]] = &[b"h2", b"http/1.1"];

/// Sessions remembered for clients that must resume without tickets (HAProxy: `tune.ssl.cachesize`).
const REMEMBERED_SESSIONS: usize = 20_000;
