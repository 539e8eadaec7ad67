//! What an idle connection costs in memory: many are opened, each sends one request, and the proxy's own memory is read
//! before and after.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

use super::peer::{Kind, Peer};
use super::rows::Port;
use crate::bench::figures::{Figure, Goal};

/// Memory per idle connection of every proxy, in clear and over TLS; each time of proxies that have just been started,
/// whose pools hold nothing of earlier work.
pub(super) fn measure(
    start: impl Fn(&[Port]) -> Result<Vec<Peer>>,
    connections: u32,
) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (name, port, goal) in [
        (NAME, Port::Http, 1.5),
        ("memory per idle TLS connection", Port::Tls, 1.0),
    ] {
        let peers = start(&[port])?;
        let mut bytes = Vec::new();
        for peer in &peers {
            let address = peer.address(port).context("every proxy listens there")?;
            let each = hold(peer, address, port == Port::Tls, connections)
                .with_context(|| format!("{name}, {}", peer.kind().name()))?;
            bytes.push(each);
        }
        for (peer, theirs) in peers.iter().zip(&bytes).skip(1) {
            let figure = Figure::of(name, "bytes", &bytes[..1], &[*theirs], peer.kind().name())
                .context("no samples")?
                .with_goal((peer.kind() == Kind::Haproxy).then_some(Goal::AtMost(goal)))
                .with_note(format!("{connections} connections"));
            figures.push(figure);
        }
    }
    Ok(figures)
}

/// Holds connections and returns the bytes each of them costs.
fn hold(peer: &Peer, address: SocketAddr, tls: bool, connections: u32) -> Result<f64> {
    let config = tls.then(|| Arc::new(trusting_anyone()));
    // The first ones make pools and tables grow to their working size.
    let warm: Vec<Held> = open(address, config.as_ref(), connections.min(WARM))?;
    let before = peer.memory()?;
    let held = open(address, config.as_ref(), connections)?;
    let after = peer.memory()?;
    drop((warm, held));
    Ok(after.saturating_sub(before) as f64 / f64::from(connections))
}

/// A connection that is kept open.
#[expect(
    dead_code,
    reason = "the streams are held open, nothing reads them again"
)]
enum Held {
    Clear(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

fn open(address: SocketAddr, config: Option<&Arc<ClientConfig>>, count: u32) -> Result<Vec<Held>> {
    (0..count)
        .map(|_| {
            let mut stream = TcpStream::connect(address)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            match config {
                None => {
                    ask(&mut stream)?;
                    Ok(Held::Clear(stream))
                }
                Some(config) => {
                    let name = ServerName::try_from("bench.example")?;
                    let session = ClientConnection::new(Arc::clone(config), name)?;
                    let mut stream = StreamOwned::new(session, stream);
                    ask(&mut stream)?;
                    Ok(Held::Tls(Box::new(stream)))
                }
            }
        })
        .collect()
}

/// One request; its answer is shorter than the buffer and comes at once.
fn ask(stream: &mut (impl Read + Write)) -> Result<()> {
    stream.write_all(b"GET /small HTTP/1.1\r\nHost: bench.example\r\n\r\n")?;
    let mut buffer = [0; 2048];
    let mut got = 0;
    while !complete(&buffer[..got]) {
        let length = stream.read(&mut buffer[got..])?;
        ensure!(length > 0, "closed before the answer was complete");
        got += length;
    }
    ensure!(buffer.starts_with(b"HTTP/1.1 200"), "no success");
    Ok(())
}

/// Whether the head and the 128 bytes of `/small` are there.
fn complete(answer: &[u8]) -> bool {
    answer
        .windows(4)
        .position(|end| end == b"\r\n\r\n")
        .is_some_and(|head| answer.len() >= head + 4 + 128)
}

/// The proxies' certificates are made for the run and signed by nobody.
fn trusting_anyone() -> ClientConfig {
    ClientConfig::builder()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone))
        .with_no_client_auth()
}

#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ECDSA_NISTP384_SHA384,
            SignatureScheme::ED25519,
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::RSA_PKCS1_SHA256,
        ]
    }
}

/// What the rows are called.
pub(super) const NAME: &str = "memory per idle connection";
/// Connections that come first and are not counted.
const WARM: u32 = 500;
const PATIENCE: Duration = Duration::from_secs(10);
