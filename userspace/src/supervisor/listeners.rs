//! Binding everything a configuration listens on, before privileges are given up.
//!
//! All problems are told, not only the first; a partial success binds nothing, because the sockets are closed again when
//! the result is dropped.

use std::collections::HashMap;
use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::admin::cli::Socket;
use crate::log::notice;
use crate::model::{Bind, BindAddress, Mode, Model, StatsSocket};
use crate::net::{BindError, Bound, bind_datagram};
use crate::session::workers::Serving;
use crate::syslog::Inlet;
use crate::types::BindId;

/// One socket that could not be bound. Its text is what HAProxy prints, so that scripts find it.
#[derive(Debug)]
pub(super) struct Refused {
    frontend: String,
    address: String,
    error: BindError,
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "Starting frontend {}: {} [{}]",
            self.frontend, self.error, self.address
        )
    }
}

/// Listening sockets taken over from another process, by the name of their address.
#[derive(Debug, Default)]
pub(super) struct Inherited(HashMap<String, Vec<OwnedFd>>);

impl Inherited {
    pub(super) const fn new(sockets: HashMap<String, Vec<OwnedFd>>) -> Self {
        Self(sockets)
    }

    /// The sockets of a bind line; `None` when the other process did not listen there.
    fn take(&mut self, bind: &Bind, threads: usize) -> Option<Bound> {
        let mut sockets = self.0.remove(&name(bind)?)?;
        // A socket without a thread would keep its connections for ever.
        sockets.truncate(threads);
        Bound::from_sockets(sockets)
            .inspect_err(|error| {
                notice::warning(format_args!("a socket taken over is of no use: {error}"));
            })
            .ok()
    }
}

/// The name a listening socket is handed over by: its address, and what else makes it another socket. An inherited
/// descriptor (`fd@`) has none, for whoever starts the new process hands it down as well.
fn name(bind: &Bind) -> Option<String> {
    match (&bind.address, &bind.options.interface) {
        (BindAddress::Inherited(_) | BindAddress::Reverse { .. }, _) => None,
        (address, None) => Some(describe(address)),
        (address, Some(interface)) => Some(format!("{}%{interface}", describe(address))),
    }
}

/// The sockets the process listens on, with the names they are handed over by.
pub(super) fn named(serving: &Serving) -> Vec<(String, Arc<Bound>)> {
    let model = serving.generation.model();
    let listeners = serving.listeners.iter();
    listeners
        .filter_map(|(id, bound)| Some((name(model.bind(*id))?, Arc::clone(bound))))
        .collect()
}

/// Binds every listener of the userspace tier that was not taken over; those of `mode l4` proxies have no socket.
///
/// # Errors
/// Every address that cannot be listened on.
pub(super) fn bind(
    model: &Model,
    threads: usize,
    inherited: &mut Inherited,
) -> Result<Vec<(BindId, Arc<Bound>)>, Vec<Refused>> {
    let mut bound = Vec::new();
    let mut refused = Vec::new();
    for bind in &model.binds {
        let proxy = model.proxy(bind.proxy);
        let is_elsewhere = matches!(
            bind.address,
            BindAddress::Udp(_) | BindAddress::Reverse { .. }
        );
        if proxy.disabled || proxy.mode == Mode::L4 || is_elsewhere {
            continue;
        }
        if let Some(socket) = inherited.take(bind, threads) {
            bound.push((bind.id, Arc::new(socket)));
            continue;
        }
        match Bound::new(&bind.address, &bind.options, backlog(model, bind), threads) {
            Ok(socket) => bound.push((bind.id, Arc::new(socket))),
            Err(error) => refused.push(Refused {
                frontend: proxy.name.clone(),
                address: describe(&bind.address),
                error,
            }),
        }
    }
    if refused.is_empty() {
        Ok(bound)
    } else {
        Err(refused)
    }
}

/// Binds the sockets through which `log-forward` sections receive datagrams.
///
/// # Errors
/// Every address that cannot be bound.
pub(super) fn bind_inlets(model: &Model) -> Result<Vec<Inlet>, Vec<Refused>> {
    let mut inlets = Vec::new();
    let mut refused = Vec::new();
    for bind in &model.binds {
        let section = model.proxy(bind.proxy);
        let BindAddress::Udp(address) = bind.address else {
            continue;
        };
        if section.mode != Mode::Syslog {
            continue;
        }
        match bind_datagram(address, &bind.options) {
            Ok(socket) => inlets.push(Inlet {
                section: section.id,
                socket,
            }),
            Err(error) => refused.push(Refused {
                frontend: section.name.clone(),
                address: describe(&bind.address),
                error,
            }),
        }
    }
    if refused.is_empty() {
        Ok(inlets)
    } else {
        Err(refused)
    }
}

/// Binds the sockets of the Runtime API; each comes with its address for people.
///
/// # Errors
/// Every address that cannot be listened on.
pub(super) fn bind_runtime_api(
    sockets: &[StatsSocket],
) -> Result<Vec<(String, Socket)>, Vec<Refused>> {
    let mut bound = Vec::new();
    let mut refused = Vec::new();
    for socket in sockets {
        let address = describe(&socket.address);
        match Socket::bind(socket) {
            Ok(listening) => bound.push((address, listening)),
            Err(error) => refused.push(Refused {
                frontend: "GLOBAL".to_owned(),
                address,
                error,
            }),
        }
    }
    if refused.is_empty() {
        Ok(bound)
    } else {
        Err(refused)
    }
}

/// The accept queue's length: `backlog` of the frontend, else its `maxconn`, else the process's (manual §4.2 `backlog`).
fn backlog(model: &Model, bind: &Bind) -> u32 {
    let proxy = model.proxy(bind.proxy);
    proxy
        .backlog
        .or(proxy.maxconn)
        .or(model.global.maxconn)
        .unwrap_or(DEFAULT_BACKLOG)
}

fn describe(address: &BindAddress) -> String {
    let name = |bytes: &[u8]| {
        String::from_utf8_lossy(bytes)
            .trim_end_matches('\0')
            .to_owned()
    };
    match address {
        BindAddress::Tcp(address) | BindAddress::Udp(address) => address.to_string(),
        BindAddress::PortRange { first, last, .. } => format!("{first}-{last}"),
        BindAddress::Network {
            network,
            first,
            last,
            ..
        } => format!("{network}:{first}-{last}"),
        BindAddress::Unix(path) => path.display().to_string(),
        BindAddress::Abstract(bytes) => format!("abns@{}", name(bytes)),
        BindAddress::AbstractUnpadded(bytes) => format!("abnsz@{}", name(bytes)),
        BindAddress::Inherited(number) => format!("fd@{number}"),
        BindAddress::Reverse {
            backend, server, ..
        } => format!("rhttp@{backend}/{server}"),
    }
}

const DEFAULT_BACKLOG: u32 = 2000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Proxy, ProxyKind, SocketOptions};
    use crate::types::ProxyId;

    fn model(addresses: &[BindAddress]) -> Model {
        let mut proxy = Proxy::new(ProxyId(0), "web", ProxyKind::Frontend);
        let mut model = Model::default();
        for (index, address) in addresses.iter().enumerate() {
            let id = BindId(index as u32);
            proxy.binds.push(id);
            model.binds.push(Bind {
                id,
                proxy: proxy.id,
                name: None,
                number: id.0 + 1,
                address: address.clone(),
                options: SocketOptions::default(),
                tls: None,
                proto: None,
                accept_proxy: false,
                netscaler: None,
                maxconn: None,
                place: String::new(),
            });
        }
        model.proxies.push(proxy);
        model
    }

    fn loopback(port: u16) -> BindAddress {
        BindAddress::Tcp(([127, 0, 0, 1], port).into())
    }

    #[test]
    fn every_refusal_is_told_in_haproxys_words() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let binds = [loopback(port), loopback(0), loopback(port)];
        let refused = bind(&model(&binds), 1, &mut Inherited::default()).unwrap_err();
        let text = format!(
            "Starting frontend web: cannot bind socket (Address already in use) [127.0.0.1:{port}]"
        );
        assert_eq!(
            refused.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [&*text, &*text]
        );
    }

    #[test]
    fn l4_services_need_no_socket() {
        let mut model = model(&[loopback(0)]);
        model.proxies[0].mode = Mode::L4;
        assert!(
            bind(&model, 1, &mut Inherited::default())
                .unwrap()
                .is_empty()
        );
    }
}
