use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::expr::{Certificate as Which, TlsNumber, TlsText};
use crate::model::{BindTls, Mode, Verify};
use crate::net::Stream;

#[test]
fn the_name_asked_for_chooses_the_certificate() {
    let files = Files::new();
    let bind = BindTls {
        certificates: vec![
            files.server("default", &["default.test"]),
            files.server("www", &["www.example.org", "example.org"]),
            files.server("wild", &["*.example.net"]),
        ],
        ..files.bind()
    };
    let acceptor = files.acceptor(&bind).unwrap();
    let server = files.trusting();
    for (name, subject) in [
        (Some("www.example.org"), "www"),
        (Some("EXAMPLE.org"), "www"),
        (Some("a.example.net"), "wild"),
        (Some("a.b.example.net"), "default"),
        (Some("unknown.test"), "default"),
        (None, "default"),
    ] {
        let (front, back) = handshake(&acceptor, &server, name).unwrap();
        assert_eq!(common_name(&back), subject, "{name:?}");
        assert_eq!(text(&front, TlsText::Sni), name.map(str::to_lowercase));
    }
}

#[test]
fn strict_sni_refuses_unknown_names() {
    let files = Files::new();
    let bind = BindTls {
        strict_sni: true,
        certificates: vec![files.server("www", &["www.test"])],
        ..files.bind()
    };
    let acceptor = files.acceptor(&bind).unwrap();
    assert!(handshake(&acceptor, &files.trusting(), Some("www.test")).is_ok());
    assert!(handshake(&acceptor, &files.trusting(), Some("other.test")).is_err());
    assert!(handshake(&acceptor, &files.trusting(), None).is_err());
}

#[test]
fn a_list_gives_names_exclusions_and_settings_of_their_own() {
    let files = Files::new();
    let (first, wild, secret) = (
        files.server("first", &["x"]),
        files.server("wild", &["x"]),
        files.server("secret", &["x"]),
    );
    let list = files.write(
        "list",
        &format!(
            "# comment\n{}\n\n{} *.test !secret.test\n{} [alpn h2,http/1.1 ssl-max-ver TLSv1.2] secret.test\n",
            first.display(),
            wild.display(),
            secret.display()
        ),
    );
    let bind = BindTls {
        certificate_lists: vec![list],
        ..files.bind()
    };
    let acceptor = files.acceptor(&bind).unwrap();
    let server = Connector::load(
        &ServerTls {
            alpn: Some(vec![b"h2".to_vec()]),
            ..files.server_tls()
        },
        Bases::default(),
        &Loader::new(&files::Files::default()),
        &mut Warnings {
            place: "",
            list: &mut Vec::new(),
        },
    )
    .unwrap();
    for (name, subject, alpn, version) in [
        ("a.test", "wild", None, "TLSv1.3"),
        ("secret.test", "secret", Some("h2"), "TLSv1.2"),
        ("elsewhere", "first", None, "TLSv1.3"),
    ] {
        let (front, back) = handshake(&acceptor, &server, Some(name)).unwrap();
        assert_eq!(common_name(&back), subject);
        assert_eq!(text(&front, TlsText::Alpn).as_deref(), alpn, "{name}");
        assert_eq!(text(&front, TlsText::Protocol).unwrap(), version);
    }
}

#[test]
fn a_certificate_is_replaced_when_its_change_is_committed() {
    use super::{Contexts, Role, Staged};
    use crate::model::{Bind, BindAddress, Model, Proxy, ProxyKind, SocketOptions};
    use crate::types::{BindId, ProxyId};

    let files = Files::new();
    let (old, new) = (
        files.server("old", &["a.test"]),
        files.server("new", &["a.test"]),
    );
    let mut model = Model::default();
    model
        .proxies
        .push(Proxy::new(ProxyId(0), "front", ProxyKind::Listen));
    model.binds.push(Bind {
        id: BindId(0),
        proxy: ProxyId(0),
        name: None,
        number: 1,
        address: BindAddress::Unix(std::path::PathBuf::from("unused")),
        options: SocketOptions::default(),
        tls: Some(BindTls {
            certificates: vec![old.clone()],
            ..files.bind()
        }),
        proto: None,
        accept_proxy: false,
        netscaler: None,
        maxconn: None,
        place: "t:1".to_owned(),
    });
    let contexts = Contexts::load(&model).unwrap();
    let served = || {
        let acceptor = contexts.acceptor(BindId(0)).unwrap();
        let (_, back) = handshake(&acceptor, &files.trusting(), Some("a.test")).unwrap();
        common_name(&back)
    };
    let name = old.display().to_string();
    let text = std::fs::read_to_string(&new).unwrap();
    let role = Role::Certificate;
    assert_eq!(served(), "old");
    assert_eq!(
        contexts.stage(role, &name, &text, false),
        Ok(Staged::Created)
    );
    assert_eq!(served(), "old");
    contexts.abort(role, &name).unwrap();
    assert!(contexts.commit(role, &name).is_err());
    contexts.stage(role, &name, &text, false).unwrap();
    contexts.commit(role, &name).unwrap();
    assert_eq!(served(), "new");
    // What cannot be used changes nothing, and nothing unknown can be replaced.
    let foreign = files.server("foreign", &["b.test"]);
    let foreign = std::fs::read_to_string(foreign).unwrap();
    let certificate = foreign.split("-----BEGIN PRIVATE").next().unwrap();
    contexts.stage(role, &name, certificate, false).unwrap();
    assert!(contexts.commit(role, &name).is_err());
    assert_eq!(served(), "new");
    assert!(contexts.stage(role, "elsewhere.pem", &text, false).is_err());
    assert!(contexts.delete(role, &name).is_err(), "it is in use");
}

#[test]
fn a_client_without_a_common_protocol_is_served_without_alpn() {
    let files = Files::new();
    let bind = BindTls {
        certificates: vec![files.server("www", &["www.test"])],
        alpn: Some(vec![b"http/1.1".to_vec()]),
        ..files.bind()
    };
    let acceptor = files.acceptor(&bind).unwrap();
    let other = ServerTls {
        alpn: Some(vec![b"acme-tls/1".to_vec()]),
        ..files.server_tls()
    };
    let server = files.connector(&other).unwrap();
    let (front, _) = handshake(&acceptor, &server, Some("www.test")).unwrap();
    assert_eq!(text(&front, TlsText::Alpn), None);
}

#[test]
fn client_certificates_are_asked_for_checked_and_shown() {
    let files = Files::new();
    let bind = BindTls {
        certificates: vec![files.server("www", &["www.test"])],
        ca_file: Some(files.authority()),
        ..files.bind()
    };
    let client = ServerTls {
        certificate: Some(files.server("alice", &[])),
        ..files.server_tls()
    };
    let others = Files::new();
    let stranger = ServerTls {
        certificate: Some(others.server("mallory", &[])),
        ..files.server_tls()
    };
    let anonymous = files.server_tls();
    for (verify, tls, expected) in [
        (Verify::Required, &client, Some(Some("alice"))),
        (Verify::Required, &anonymous, None),
        (Verify::Optional, &client, Some(Some("alice"))),
        (Verify::Optional, &anonymous, Some(None)),
        (Verify::Optional, &stranger, None),
        (Verify::None, &client, Some(None)),
    ] {
        let acceptor = files
            .acceptor(&BindTls {
                verify,
                ..bind.clone()
            })
            .unwrap();
        let result = handshake(&acceptor, &files.connector(tls).unwrap(), Some("www.test"));
        let shown = result
            .ok()
            .map(|(front, _)| front.peer.map(|der| common_name_of(&der)));
        assert_eq!(
            shown,
            expected.map(|name| name.map(str::to_owned)),
            "{verify:?}"
        );
    }
}

#[test]
fn a_servers_certificate_must_be_signed_and_carry_the_name_if_one_is_known() {
    let files = Files::new();
    let bind = BindTls {
        certificates: vec![files.server("www", &["www.test"])],
        ..files.bind()
    };
    let acceptor = files.acceptor(&bind).unwrap();
    let checking = ServerTls {
        verify: Verify::Required,
        ca_file: Some(files.authority()),
        ..files.server_tls()
    };
    let others = Files::new();
    let elsewhere = ServerTls {
        ca_file: Some(others.authority()),
        ..checking.clone()
    };
    let with_host = |name: &str| ServerTls {
        verify_host: Some(name.to_owned()),
        ..checking.clone()
    };
    for (tls, name, good) in [
        (&checking, Some("www.test"), true),
        (&checking, Some("other.test"), false),
        (&checking, None, true),
        (&with_host("www.test"), None, true),
        (&with_host("other.test"), None, false),
        (&with_host("other.test"), Some("www.test"), true),
        (&elsewhere, Some("www.test"), false),
        (&files.server_tls(), Some("other.test"), true),
    ] {
        let result = handshake(&acceptor, &files.connector(tls).unwrap(), name);
        assert_eq!(result.is_ok(), good, "{name:?} {:?}", tls.verify_host);
    }
}

#[test]
fn a_second_connection_resumes_the_first_with_and_without_tickets() {
    let files = Files::new();
    for no_tickets in [false, true] {
        for max_version in [Some(0x0303), None] {
            let bind = BindTls {
                certificates: vec![files.server("www", &["www.test"])],
                no_tickets,
                max_version,
                ..files.bind()
            };
            let acceptor = files.acceptor(&bind).unwrap();
            let server = files.trusting();
            let resumed = [(); 2].map(|()| {
                handshake(&acceptor, &server, Some("www.test"))
                    .unwrap()
                    .0
                    .resumed
            });
            assert_eq!(
                resumed,
                [false, true],
                "no_tickets {no_tickets}, {max_version:?}"
            );
        }
    }
}

#[test]
fn what_cannot_be_loaded_is_said_with_its_file() {
    let files = Files::new();
    let broken = |certificates: Vec<PathBuf>| {
        files
            .acceptor(&BindTls {
                certificates,
                ..files.bind()
            })
            .unwrap_err()
    };
    assert!(broken(vec![]).contains("no SSL certificate specified"));
    assert!(broken(vec![files.path("missing.pem")]).contains("missing.pem"));
    let no_key = files.write("nokey.pem", &files.authority_pem());
    assert!(broken(vec![no_key]).starts_with("no private key found in"));
    let encrypted = files.write(
        "encrypted.pem",
        &format!(
            "{}-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
            files.authority_pem()
        ),
    );
    assert!(broken(vec![encrypted]).contains("encrypted keys are not supported"));
    let list = files.write("list", "x.pem [ocsp-update on] y\n");
    let error = files
        .acceptor(&BindTls {
            certificate_lists: vec![list],
            ..files.bind()
        })
        .unwrap_err();
    assert!(
        error.contains("line 1: option 'ocsp-update' is not supported"),
        "{error}"
    );
    let unverified = ServerTls {
        verify: Verify::Required,
        ..files.server_tls()
    };
    assert!(
        files
            .connector(&unverified)
            .unwrap_err()
            .contains("needs 'ca-file'")
    );
    let old = BindTls {
        max_version: Some(0x0302),
        certificates: vec![files.server("a", &["a"])],
        ..files.bind()
    };
    assert!(files.acceptor(&old).unwrap_err().contains("before TLSv1.2"));
}

#[test]
fn a_directory_and_a_separate_key_are_found() {
    let files = Files::new();
    let folder = files.path("certs");
    std::fs::create_dir(&folder).unwrap();
    let whole = std::fs::read_to_string(files.server("b", &["b.test"])).unwrap();
    let (certificate, key) = whole.split_at(whole.find("-----BEGIN PRIVATE").unwrap());
    std::fs::write(folder.join("b.pem"), certificate).unwrap();
    std::fs::write(folder.join("b.pem.key"), key).unwrap();
    std::fs::write(folder.join(".hidden"), "not a certificate").unwrap();
    std::fs::copy(files.server("a", &["a.test"]), folder.join("a.pem")).unwrap();
    let acceptor = files
        .acceptor(&BindTls {
            certificates: vec![folder],
            ..files.bind()
        })
        .unwrap();
    for (name, subject) in [("b.test", "b"), ("else.test", "a")] {
        assert_eq!(
            common_name(
                &handshake(&acceptor, &files.trusting(), Some(name))
                    .unwrap()
                    .1
            ),
            subject
        );
    }
}

#[test]
fn something_else_than_tls_is_refused() {
    let files = Files::new();
    let bind = BindTls {
        certificates: vec![files.server("www", &["www.test"])],
        ..files.bind()
    };
    let acceptor = files.acceptor(&bind).unwrap();
    run(async {
        for (said, closed) in [(&b"GET / HTTP/1.1\r\n\r\n"[..], false), (b"", true)] {
            let (mut client, server) = pair().await;
            client.write_all(said).await.unwrap();
            client.shutdown().await.unwrap();
            let error = acceptor.accept(server).await.err().unwrap();
            assert_eq!(matches!(error, HandshakeError::Closed), closed, "{error}");
        }
    });
}

/// What one side knows after a handshake.
struct Seen {
    facts: Arc<dyn crate::expr::Tls>,
    peer: Option<Vec<u8>>,
    resumed: bool,
}

/// Connects through `acceptor` with `connector`, exchanges a byte each way, and tells what both sides saw.
fn handshake(
    acceptor: &Acceptor,
    connector: &Connector,
    name: Option<&str>,
) -> Result<(Seen, Seen), String> {
    run(async {
        let (client, server) = pair().await;
        let accepting = async {
            let mut stream = acceptor
                .accept(server)
                .await
                .map_err(|error| error.to_string())?;
            let mut byte = [0];
            stream
                .read_exact(&mut byte)
                .await
                .map_err(|error| error.to_string())?;
            stream
                .write_all(&byte)
                .await
                .map_err(|error| error.to_string())?;
            Ok::<_, String>(stream)
        };
        let connecting = async {
            let stream = connector.connect(Stream::tcp(client), name, None).await;
            let mut stream = stream.map_err(|error| error.to_string())?;
            stream
                .write_all(b"x")
                .await
                .map_err(|error| error.to_string())?;
            let mut byte = [0];
            stream
                .read_exact(&mut byte)
                .await
                .map_err(|error| error.to_string())?;
            Ok::<_, String>(stream)
        };
        let (front, back) = tokio::try_join!(accepting, connecting)?;
        Ok((seen(&front), seen(&back)))
    })
}

fn seen(stream: &Stream) -> Seen {
    let facts = stream.tls().unwrap();
    let peer = facts.certificate(Which::Peer).map(<[u8]>::to_vec);
    let resumed = facts.number(TlsNumber::Resumed) == Some(1);
    Seen {
        facts,
        peer,
        resumed,
    }
}

fn text(seen: &Seen, which: TlsText) -> Option<String> {
    seen.facts
        .text(which)
        .map(|text| String::from_utf8(text.into_vec()).unwrap())
}

fn common_name(seen: &Seen) -> String {
    common_name_of(seen.peer.as_ref().unwrap())
}

fn common_name_of(der: &[u8]) -> String {
    use x509_parser::prelude::{FromDer, X509Certificate};
    let (_, certificate) = X509Certificate::from_der(der).unwrap();
    certificate
        .subject()
        .iter_common_name()
        .next()
        .unwrap()
        .as_str()
        .unwrap()
        .to_owned()
}

async fn pair() -> (TcpStream, Stream) {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
        .await
        .unwrap();
    let address = listener.local_addr().unwrap();
    let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    (client.unwrap(), Stream::tcp(accepted.unwrap().0))
}

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        tokio::time::timeout(std::time::Duration::from_secs(20), test)
            .await
            .expect("in time")
    })
}

/// A directory with a certificate authority of its own.
struct Files {
    folder: tempfile::TempDir,
    authority: Issuer<'static, KeyPair>,
    authority_pem: String,
}

impl Files {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "test authority");
        let key = KeyPair::generate().unwrap();
        let authority_pem = params.self_signed(&key).unwrap().pem();
        Self {
            folder: tempfile::tempdir().unwrap(),
            authority: Issuer::new(params, key),
            authority_pem,
        }
    }

    /// A signed certificate with its key in one file.
    fn server(&self, common_name: &str, names: &[&str]) -> PathBuf {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        self.write(
            &format!("{common_name}.pem"),
            &(certificate.pem() + &key.serialize_pem()),
        )
    }

    fn authority(&self) -> PathBuf {
        self.write("authority.pem", &self.authority_pem())
    }

    fn authority_pem(&self) -> String {
        self.authority_pem.clone()
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    fn bind(&self) -> BindTls {
        BindTls {
            certificates: vec![],
            certificate_lists: vec![],
            ca_file: None,
            ca_verify_file: None,
            ignored_errors: crate::model::IgnoredErrors::default(),
            crl_file: None,
            verify: Verify::None,
            alpn: None,
            min_version: None,
            max_version: None,
            ciphers: None,
            ciphersuites: None,
            curves: None,
            prefer_client_ciphers: false,
            strict_sni: false,
            no_tickets: false,
        }
    }

    fn server_tls(&self) -> ServerTls {
        ServerTls {
            verify: Verify::None,
            ca_file: None,
            certificate: None,
            sni: None,
            check_sni: None,
            no_sni_auto: false,
            verify_host: None,
            alpn: None,
            min_version: None,
            max_version: None,
            crl_file: None,
            ciphers: None,
            ciphersuites: None,
            curves: None,
        }
    }

    fn acceptor(&self, tls: &BindTls) -> Result<Acceptor, String> {
        Acceptor::load(
            tls,
            Mode::Tcp,
            Bases::default(),
            &Loader::new(&files::Files::default()),
            &mut Warnings {
                place: "",
                list: &mut Vec::new(),
            },
        )
    }

    fn connector(&self, tls: &ServerTls) -> Result<Connector, String> {
        Connector::load(
            tls,
            Bases::default(),
            &Loader::new(&files::Files::default()),
            &mut Warnings {
                place: "",
                list: &mut Vec::new(),
            },
        )
    }

    fn trusting(&self) -> Connector {
        self.connector(&self.server_tls()).unwrap()
    }
}
