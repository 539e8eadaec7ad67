//! Carrying the lines of a ring to one server.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::log::{Carried, Destination, Logs, Ring};
use crate::model::{LogTransport, Server, ServerTls, Timeouts};
use crate::net::{self, ConnectError, Outgoing, Stream};
use crate::proto::syslog::write_frame;
use crate::state::Running;
use crate::tls::{Connector, Contexts};
use crate::types::Millis;

/// Carries the lines of every ring of a configuration that has servers; does not end.
pub async fn carry(running: Running, logs: Arc<Logs>, tls: Arc<Contexts>) {
    let couriers = logs
        .carried()
        .iter()
        .map(|carried| Courier::new(carried, &running, &tls).run());
    join_all(couriers).await;
    pending().await
}

/// One ring on its way to one server.
struct Courier {
    ring: Arc<Ring>,
    reader: usize,
    running: Running,
    /// What the server is called in the model.
    place: Destination,
    connector: Option<Arc<Connector>>,
    timeouts: Timeouts,
}

impl Courier {
    fn new(carried: &Carried, running: &Running, tls: &Contexts) -> Self {
        let mut courier = Self {
            ring: Arc::clone(&carried.ring),
            reader: carried.reader,
            running: running.clone(),
            place: carried.destination,
            connector: None,
            timeouts: Timeouts::default(),
        };
        let settings: Option<Arc<ServerTls>> = courier.server().tls.clone();
        (courier.connector, courier.timeouts) = match carried.destination {
            Destination::Server(id) => {
                let proxy = running.model.proxy(running.model.server(id).proxy);
                (tls.connector(id), proxy.timeouts)
            }
            Destination::Ring(section, _) => {
                let ring = &running.model.rings[section];
                let timeouts = Timeouts {
                    connect: ring.connect,
                    server: ring.server,
                    ..Timeouts::default()
                };
                let connector = settings.and_then(|settings| tls.check_connector(&settings));
                (connector, timeouts)
            }
        };
        courier
    }

    fn server(&self) -> &Server {
        let model = &self.running.model;
        match self.place {
            Destination::Server(id) => model.server(id),
            Destination::Ring(section, server) => &model.rings[section].servers[server],
        }
    }

    /// Connects at once, and again after a pause when the connection is lost.
    async fn run(self) {
        loop {
            if let Ok(stream) = self.connect().await {
                // Lines that were not written whole are sent again on the next connection.
                let _lost = self.deliver(stream).await;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn connect(&self) -> Result<Stream, io::Error> {
        let server = self.server();
        let address = match self.place {
            Destination::Server(id) => self.running.state.server(id).address(),
            Destination::Ring(..) => server.address.clone(),
        };
        let destination =
            net::Destination::of(&address, None).ok_or(io::ErrorKind::AddrNotAvailable)?;
        let limit = self.timeouts.connect.unwrap_or(CONNECT).duration();
        let options = Outgoing {
            source: server.source.as_ref(),
            ..Outgoing::default()
        };
        let stream = net::connect(&destination, options, Some(limit))
            .await
            .map_err(|error| match error {
                ConnectError::TimedOut => io::ErrorKind::TimedOut.into(),
                ConnectError::Refused(error) | ConnectError::Resource(error) => error,
            })?;
        match &self.connector {
            None => Ok(stream),
            Some(connector) => {
                let name = server.hostname.as_deref();
                tokio::time::timeout(limit, connector.connect(stream, name, None))
                    .await
                    .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }

    /// Writes lines until the connection fails or the other side closes it.
    async fn deliver(&self, stream: Stream) -> io::Result<()> {
        let LogTransport { framing, .. } = self.server().logging;
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut unheard = [0; 256];
        let mut out = Vec::new();
        loop {
            tokio::select! {
                () = self.ring.wait(self.reader) => {}
                read = reader.read(&mut unheard) => match read? {
                    0 => return Ok(()),
                    // Nothing is said in this direction of the protocol.
                    _ => continue,
                },
            }
            let lines = self.ring.next(self.reader, BATCH);
            out.clear();
            lines
                .iter()
                .for_each(|line| write_frame(line, framing, &mut out));
            let write = async {
                writer.write_all(&out).await?;
                writer.flush().await
            };
            match self.timeouts.server {
                None => write.await?,
                Some(limit) => tokio::time::timeout(limit.duration(), write)
                    .await
                    .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?,
            }
            self.ring.taken(self.reader, lines.len());
        }
    }
}

/// Bytes of lines written at once.
const BATCH: usize = 65_536;

/// Between two connections.
const PAUSE: Duration = Duration::from_millis(500);

/// How long a connection may take where the configuration does not say.
const CONNECT: Millis = Millis(5000);
