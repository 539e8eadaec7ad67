//! Opening what a configuration's `log` lines lead to: sockets, descriptors, rings and the servers behind them.

use std::io;
use std::sync::Arc;

use super::farm::{Farm, Way};
use super::ring::Ring;
use super::sink::{Sink, UdpSockets};
use super::{Logger, Logs, Target};
use crate::model::{
    LogAddress, LogFormatKind, LogProfile, LogTarget, Mode, Model, Proxy, ServerAddress,
};
use crate::state::{Running, State};
use crate::types::{ProxyId, ServerId};

/// A ring whose lines go to a server over a stream.
#[derive(Clone, Debug)]
pub struct Carried {
    /// The lines.
    pub ring: Arc<Ring>,
    /// Which of its readers this is.
    pub reader: usize,
    /// Where they go.
    pub destination: Destination,
}

/// Where the lines of a ring go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// To a server of a `ring` section: the section's and the server's position.
    Ring(usize, usize),
    /// To a server of a backend.
    Server(ServerId),
}

/// A target that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot log to {target:?}: {source}")]
pub struct OpenError {
    target: LogTarget,
    source: io::Error,
}

impl Logs {
    /// Opens every target of a configuration. `program` is the default tag. To be called after the process got its final
    /// process id.
    ///
    /// # Errors
    /// A target's descriptor is not open.
    pub fn open(running: &Running, program: &str) -> Result<Self, OpenError> {
        let model = &*running.model;
        let mut ways = Ways::new(running);
        let tag: Arc<str> = model.global.log_tag.as_deref().unwrap_or(program).into();
        let shared = ways.targets(&model.global.logs, &[])?;
        let mut proxies = Vec::with_capacity(model.proxies.len());
        for proxy in &model.proxies {
            let own = proxy.log_tag.as_deref();
            proxies.push(Logger {
                targets: ways.targets(&proxy.logs, &shared)?.into(),
                tag: own.map_or_else(|| Arc::clone(&tag), Arc::from),
            });
        }
        Ok(Self {
            proxies,
            global: Logger {
                targets: shared.into(),
                tag,
            },
            rings: ways.rings,
            carried: ways.carried,
        })
    }
}

/// What is open so far.
struct Ways<'a> {
    model: &'a Model,
    state: &'a Arc<State>,
    host: Option<Arc<str>>,
    rings: Vec<Arc<Ring>>,
    farms: Vec<(ProxyId, Arc<Farm>)>,
    carried: Vec<Carried>,
}

impl<'a> Ways<'a> {
    fn new(running: &'a Running) -> Self {
        let model = &*running.model;
        let mut ways = Self {
            model,
            state: &running.state,
            host: host_name(model.global.log_send_hostname.as_deref()),
            rings: Vec::new(),
            farms: Vec::new(),
            carried: Vec::new(),
        };
        for (index, section) in model.rings.iter().enumerate() {
            let readers = section.servers.len();
            let ring = Ring::new(&*section.name, &*section.description, section.size, readers);
            let ring = Arc::new(ring);
            ways.carried.extend((0..readers).map(|reader| Carried {
                ring: Arc::clone(&ring),
                reader,
                destination: Destination::Ring(index, reader),
            }));
            ways.rings.push(ring);
        }
        ways
    }

    /// The targets of some lines; those that stand in `shared` too are one.
    fn targets(
        &mut self,
        lines: &[LogTarget],
        shared: &[Arc<Target>],
    ) -> Result<Vec<Arc<Target>>, OpenError> {
        let global = &self.model.global.logs;
        let mut targets = Vec::with_capacity(lines.len());
        for line in lines {
            let known = global.iter().position(|known| known == line);
            targets.push(match known.and_then(|at| shared.get(at)) {
                Some(target) => Arc::clone(target),
                None => Arc::new(self.target(line)?),
            });
        }
        Ok(targets)
    }

    fn target(&mut self, line: &LogTarget) -> Result<Target, OpenError> {
        let sink = self.sink(line).map_err(|source| OpenError {
            target: line.clone(),
            source,
        })?;
        let profile = line.profile.as_deref().and_then(|name| {
            let mut profiles = self.model.log_profiles.iter();
            profiles
                .find(|profile: &&Arc<LogProfile>| profile.name == name)
                .cloned()
        });
        let mut line = line.clone();
        if let LogAddress::Ring(name) = &line.address
            && let Some(ring) = self.model.rings.iter().find(|ring| ring.name == *name)
        {
            let raw = LogFormatKind::Raw;
            line.format = Some(ring.format.or(line.format).unwrap_or(raw));
            line.max_length = ring.max_length.unwrap_or(line.max_length);
        }
        Ok(Target::new(
            line,
            sink,
            profile,
            self.host.clone(),
            self.state,
        ))
    }

    fn sink(&mut self, line: &LogTarget) -> io::Result<Sink> {
        let writers = self.state.threads() + 1;
        Ok(match &line.address {
            LogAddress::Udp(address) => Sink::udp(*address, writers),
            LogAddress::Unix(path) => Sink::unix(path.clone(), writers),
            LogAddress::Descriptor(number) => Sink::descriptor(*number)?,
            LogAddress::Ring(name) => {
                let ring = self.rings.iter().find(|ring| ring.name() == name);
                Sink::Ring(Arc::clone(ring.ok_or(io::ErrorKind::NotFound)?))
            }
            LogAddress::Backend(id) => Sink::Farm(self.farm(self.model.proxy(*id))),
        })
    }

    /// The farm of a backend; each is opened once.
    fn farm(&mut self, proxy: &Proxy) -> Arc<Farm> {
        if let Some((_, farm)) = self.farms.iter().find(|(id, _)| *id == proxy.id) {
            return Arc::clone(farm);
        }
        debug_assert_eq!(
            proxy.mode,
            Mode::Log,
            "checked when the configuration was read"
        );
        let (model, state) = (self.model, self.state);
        let writers = state.threads() + 1;
        let carried = &mut self.carried;
        let farm = Farm::new(model, proxy, state, |id| {
            let server = model.server(id);
            match &server.address {
                ServerAddress::Unix(path) if server.logging.datagrams => {
                    return Way::Sink(Sink::unix(path.clone(), writers));
                }
                _ if server.logging.datagrams => return Way::Datagrams(UdpSockets::new(writers)),
                _ => {}
            }
            let size = server.logging.buffer.unwrap_or(DEFAULT_BUFFER);
            let name = format!("{}/{}", proxy.name, server.name);
            let ring = Arc::new(Ring::new(&*name, &*name, size, 1));
            carried.push(Carried {
                ring: Arc::clone(&ring),
                reader: 0,
                destination: Destination::Server(id),
            });
            Way::Sink(Sink::Ring(ring))
        });
        let farm = Arc::new(farm);
        self.farms.push((proxy.id, Arc::clone(&farm)));
        farm
    }
}

/// What `log-send-hostname` asks to send: nothing, a given name, or (empty) the machine's.
fn host_name(setting: Option<&str>) -> Option<Arc<str>> {
    match setting {
        None => None,
        Some("") => {
            let name = rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned();
            Some(name.into())
        }
        Some(name) => Some(name.into()),
    }
}

/// Bytes of messages that wait for a server without `log-bufsize` (manual: BUFSIZE).
const DEFAULT_BUFFER: usize = 16_384;
