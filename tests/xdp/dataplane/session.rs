//! One TCP connection through a service, and the servers at its other end, which say who they are and echo.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};

use super::lab::PATIENCE;
use super::netns::Namespace;

/// A client's connection to some server.
pub(crate) struct Session {
    stream: TcpStream,
    /// Who greeted.
    pub(crate) server: String,
    /// What was said last.
    said: [u8; 4],
}

impl Session {
    /// The client's end.
    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Connects from the calling thread's namespace; the greeting has come when this returns.
    pub(crate) fn open(source: Option<IpAddr>, target: &str) -> std::io::Result<Self> {
        let target: SocketAddr = target.parse().unwrap();
        let domain = socket2::Domain::for_address(target);
        let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
        if let Some(source) = source {
            socket.bind(&SocketAddr::new(source, 0).into())?;
        }
        socket.connect_timeout(&target.into(), PATIENCE)?;
        let mut stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut name = [0; 2];
        stream.read_exact(&mut name)?;
        Ok(Self {
            stream,
            server: String::from_utf8_lossy(&name).into_owned(),
            said: [0; 4],
        })
    }

    /// Sends something and waits for the echo.
    pub(crate) fn ping(&mut self) -> std::io::Result<()> {
        self.say()?;
        self.hear()
    }

    /// Sends something that was not sent before.
    pub(crate) fn say(&mut self) -> std::io::Result<()> {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        self.said = SERIAL.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        self.stream.write_all(&self.said)
    }

    /// Waits for the echo of what was said.
    pub(crate) fn hear(&mut self) -> std::io::Result<()> {
        let mut back = [0; 4];
        self.stream.read_exact(&mut back)?;
        assert_eq!(self.said, back, "the echo is what was sent");
        Ok(())
    }

    /// Sends about `bytes` bytes, reads them back at the same time, and compares all of them.
    pub(crate) fn exchange(&mut self, bytes: usize) -> std::io::Result<()> {
        let blocks = bytes.div_ceil(BLOCK);
        let mut out = self.stream.try_clone()?;
        out.set_write_timeout(Some(PATIENCE))?;
        let sender = std::thread::spawn(move || {
            let mut block = pattern();
            (0..blocks).try_for_each(|number| {
                block[..8].copy_from_slice(&number.to_be_bytes());
                out.write_all(&block)
            })
        });
        let (mut expected, mut back) = (pattern(), vec![0; BLOCK]);
        let read = (0..blocks).try_for_each(|number| {
            self.stream.read_exact(&mut back)?;
            expected[..8].copy_from_slice(&number.to_be_bytes());
            assert!(back == expected, "block {number} comes back as it was sent");
            Ok(())
        });
        sender.join().expect("no panic")?;
        read
    }
}

/// Bytes of which no two neighbours are alike, so that none can be lost or moved unseen.
fn pattern() -> Vec<u8> {
    (0..BLOCK)
        .map(|at: usize| (at.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect()
}

/// Serves TCP connections on an address in a namespace: each is greeted with `name`, then echoed.
pub(crate) fn serve(servers: &Namespace, name: &'static str, address: &str) {
    let address: SocketAddr = address.parse().unwrap();
    let listener = servers.inside(move || TcpListener::bind(address)).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || greet_and_echo(name, stream));
        }
    });
}

fn greet_and_echo(name: &str, mut stream: TcpStream) {
    let mut buffer = vec![0; BLOCK];
    if stream.write_all(name.as_bytes()).is_err() {
        return;
    }
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..length]).is_err() {
            return;
        }
    }
}

/// How much is sent and compared at once.
const BLOCK: usize = 65_536;
