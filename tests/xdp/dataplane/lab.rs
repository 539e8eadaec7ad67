//! Three namespaces on two wires, a BPF file system for pins, and servers that say who they are.
//!
//! ```text
//! client cl0 192.0.2.10 ── 192.0.2.1 lb0 balancer lb1 10.0.0.254 ── 10.0.0.1-3 sv0 servers
//!        2001:db8:1::10 ── 2001:db8:1::1           2001:db8:2::fe ── 2001:db8:2::1-3
//! ```
//! With one arm, all three are on one switch, and lb0 has the addresses of lb1 as well.
//!
//! The service addresses 198.51.100.80 and 2001:db8:80::80 are nobody's: the client's routes lead to the balancer.

use std::io::Read;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use tidegate::dataplane::decap::Decap;
use tidegate::dataplane::offload::Compiled;
use tidegate::dataplane::{Dataplane, OBJECT};
use tidegate::model::XdpMode;
use tidegate::state::Running;

use super::netns::{self, Namespace};
use super::pins::Mount;
use super::session::{self, Session};

/// Where clients send to.
pub(crate) const VIP: &str = "198.51.100.80";
/// The same for IPv6.
pub(crate) const VIP6: &str = "2001:db8:80::80";

/// Client, balancer and servers.
pub(crate) struct Lab {
    pub(crate) client: Namespace,
    pub(crate) balancer: Namespace,
    pub(crate) servers: Namespace,
    pins: Mount,
    /// The balancer's device towards the servers.
    inner: &'static str,
    switch: Option<Namespace>,
    /// Takes nothing out of anything: what is sent back out of a veth device wakes the other end only if a program is there.
    passing: Option<Decap>,
}

impl Lab {
    /// The lab, or `None` where it cannot be; then the reason has been said.
    pub(crate) fn new(label: &str) -> Option<Self> {
        Self::with(label, "lb1")
    }

    /// The same with one wire at the balancer, through which packets come and go.
    pub(crate) fn one_arm(label: &str) -> Option<Self> {
        Self::with(label, "lb0")
    }

    fn with(label: &str, inner: &'static str) -> Option<Self> {
        if !netns::available() {
            return None;
        }
        if OBJECT.is_empty() {
            netns::skip("built without the kernel object");
            return None;
        }
        let named = |role: &str| Namespace::new(&format!("{label}{role}"));
        let mut lab = Self {
            client: named("c"),
            balancer: named("b"),
            servers: named("s"),
            pins: Mount::new(label),
            inner,
            switch: None,
            passing: None,
        };
        let far = if inner == "lb0" {
            let switch = named("w");
            switch.ip("link add sw type bridge");
            switch.ip("link set sw up");
            let ends = [
                (&lab.client, "cl0"),
                (&lab.balancer, "lb0"),
                (&lab.servers, "sv0"),
            ];
            for (port, (namespace, device)) in ["client", "lb", "servers"].iter().zip(ends) {
                namespace.connect(device, &switch, port);
                switch.ip(&format!("link set {port} master sw"));
            }
            lab.switch = Some(switch);
            "lb"
        } else {
            lab.client.connect("cl0", &lab.balancer, "lb0");
            lab.balancer.connect("lb1", &lab.servers, "sv0");
            "cl0"
        };
        for address in [
            "192.0.2.10/24",
            "192.0.2.11/24",
            "192.0.2.66/24",
            "2001:db8:1::10/64",
            "2001:db8:1::66/64",
        ] {
            lab.client.address("cl0", address);
        }
        for (device, address) in [
            ("lb0", "192.0.2.1/24"),
            ("lb0", "2001:db8:1::1/64"),
            (inner, "10.0.0.254/24"),
            (inner, "2001:db8:2::fe/64"),
        ] {
            lab.balancer.address(device, address);
        }
        for number in 1..=3 {
            lab.servers.address("sv0", &format!("10.0.0.{number}/24"));
            lab.servers
                .address("sv0", &format!("2001:db8:2::{number}/64"));
        }
        lab.client
            .ip(&format!("route add {VIP} via 192.0.2.1 src 192.0.2.10"));
        lab.client.ip(&format!(
            "route add {VIP6} via 2001:db8:1::1 src 2001:db8:1::10"
        ));
        lab.servers.ip("route add default via 10.0.0.254");
        lab.servers.ip("route add default via 2001:db8:2::fe");
        for setting in ["net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"] {
            lab.balancer.exec(&format!("sysctl -qw {setting}"));
        }
        let passing = lab.switch.as_ref().unwrap_or(&lab.client).inside(|| {
            let nobody = ["192.0.2.99".parse().unwrap()];
            Decap::start(far, XdpMode::Native, 0, &nobody)
        });
        lab.passing = Some(passing.expect("the program can be attached"));
        Some(lab)
    }

    /// The balancer's devices.
    pub(crate) fn devices(&self) -> &'static [&'static str] {
        match self.switch {
            Some(_) => &["lb0"],
            None => &["lb0", "lb1"],
        }
    }

    /// Where the balancer pins its maps.
    pub(crate) fn pin(&self) -> PathBuf {
        self.pins.path().join("tidegate")
    }

    /// Where the file system for pins is.
    pub(crate) fn pins(&self) -> &std::path::Path {
        self.pins.path()
    }

    /// What is pinned, anywhere on the file system. Two files are the kernel's own: its list of maps and of programs.
    pub(crate) fn pins_left(&self) -> Vec<String> {
        let own = ["maps.debug", "progs.debug"];
        std::fs::read_dir(self.pins.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !own.contains(&name.as_str()))
            .collect()
    }

    /// Starts the kernel tier in the balancer.
    pub(crate) fn start(&self, (compiled, running): &(Compiled, Running)) -> Dataplane {
        self.balancer.inside(|| {
            let dataplane = Dataplane::start(compiled, running)
                .expect("it starts")
                .expect("it is needed");
            dataplane.follow().expect("a thread can be started");
            dataplane
        })
    }

    /// Serves TCP connections on an address in the servers' namespace: each is greeted with `name`, then echoed.
    pub(crate) fn serve(&self, name: &'static str, address: &str) {
        session::serve(&self.servers, name, address);
    }

    /// Serves UDP on an address in the servers' namespace: each datagram is answered with `name`.
    pub(crate) fn serve_udp(&self, name: &'static str, address: &str) {
        let address: SocketAddr = address.parse().unwrap();
        let socket = self
            .servers
            .inside(move || UdpSocket::bind(address))
            .unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 64];
            while let Ok((_, peer)) = socket.recv_from(&mut buffer) {
                if socket.send_to(name.as_bytes(), peer).is_err() {
                    return;
                }
            }
        });
    }

    /// Serves UDP on an address in the servers' namespace: each datagram is sent back. After one that begins with
    /// [`CLOSE`] more are sent, until the client's host says that nobody takes them; that is told.
    pub(crate) fn serve_echo(
        &self,
        address: &str,
    ) -> std::sync::mpsc::Receiver<std::io::Result<()>> {
        let address: SocketAddr = address.parse().unwrap();
        let socket = self
            .servers
            .inside(move || UdpSocket::bind(address))
            .unwrap();
        let (told, outcome) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
                if socket.send_to(&buffer[..length], peer).is_err() {
                    return;
                }
                if buffer[0] == CLOSE {
                    // The client is gone when this arrives; its host says so, and the next call learns of it.
                    let again = socket.connect(peer).and_then(|()| {
                        socket.set_read_timeout(Some(PATIENCE))?;
                        #[expect(
                            clippy::disallowed_methods,
                            reason = "the test waits in real time for the kernel"
                        )]
                        let begun = std::time::Instant::now();
                        while begun.elapsed() < PATIENCE {
                            socket.send(b"are you there?")?;
                            socket.set_read_timeout(Some(Duration::from_millis(50)))?;
                            match socket.recv(&mut buffer) {
                                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                                Err(error) => return Err(error),
                                Ok(_) => {}
                            }
                        }
                        Ok(())
                    });
                    let _ = told.send(again);
                    return;
                }
            }
        });
        outcome
    }

    /// Sends a datagram to a UDP service from the client and returns what comes back.
    pub(crate) fn echo_udp(&self, target: &str, datagram: &[u8]) -> std::io::Result<Vec<u8>> {
        let target: SocketAddr = target.parse().unwrap();
        self.client.inside(move || {
            let own: SocketAddr = if target.is_ipv4() {
                "0.0.0.0:0"
            } else {
                "[::]:0"
            }
            .parse()
            .unwrap();
            let socket = UdpSocket::bind(own)?;
            socket.set_read_timeout(Some(PATIENCE))?;
            socket.connect(target)?;
            socket.send(datagram)?;
            let mut buffer = vec![0; 65_536];
            let length = socket.recv(&mut buffer)?;
            buffer.truncate(length);
            Ok(buffer)
        })
    }

    /// Whether an address answers an echo request of the client with what was sent.
    pub(crate) fn ping(&self, target: &str) -> bool {
        use socket2::{Domain, Protocol, Socket, Type};
        let target: IpAddr = target.parse().unwrap();
        let (protocol, request, answer, header) = if target.is_ipv4() {
            (Protocol::ICMPV4, 8, 0, 20)
        } else {
            (Protocol::ICMPV6, 128, 129, 0)
        };
        let mut message: Vec<u8> = (0..1000).map(|at| at as u8).collect();
        message[..4].copy_from_slice(&[request, 0, 0, 0]);
        // The kernel computes the checksum of ICMPv6 only.
        let sum: u32 = message
            .chunks(2)
            .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
            .sum();
        let sum = (sum & 0xffff) + (sum >> 16);
        let checksum = !((sum & 0xffff) + (sum >> 16)) as u16;
        message[2..4].copy_from_slice(&checksum.to_be_bytes());
        self.client.inside(move || {
            let domain = Domain::for_address(SocketAddr::new(target, 0));
            let mut socket = Socket::new(domain, Type::RAW, Some(protocol)).unwrap();
            socket.connect(&SocketAddr::new(target, 0).into()).unwrap();
            socket
                .set_read_timeout(Some(Duration::from_millis(700)))
                .unwrap();
            socket.send(&message).unwrap();
            let mut buffer = [0; 1500];
            while let Ok(length) = socket.read(&mut buffer) {
                let Some(found) = buffer.get(header..length) else {
                    continue;
                };
                if found[0] == answer && found.len() == message.len() {
                    return found[4..] == message[4..];
                }
            }
            false
        })
    }

    /// Connects from the client; the greeting has come when this returns.
    pub(crate) fn connect(&self, target: &str) -> std::io::Result<Session> {
        self.connect_from(None, target)
    }

    /// Connects from one of the client's addresses.
    pub(crate) fn connect_from(
        &self,
        source: Option<IpAddr>,
        target: &str,
    ) -> std::io::Result<Session> {
        self.client.inside(move || Session::open(source, target))
    }

    /// Asks a UDP service from the client and returns who answered.
    pub(crate) fn ask_udp(&self, target: &str) -> std::io::Result<String> {
        let target: SocketAddr = target.parse().unwrap();
        self.client.inside(move || {
            let own: SocketAddr = if target.is_ipv4() {
                "0.0.0.0:0"
            } else {
                "[::]:0"
            }
            .parse()
            .unwrap();
            let socket = UdpSocket::bind(own)?;
            socket.set_read_timeout(Some(PATIENCE))?;
            socket.connect(target)?;
            socket.send(b"who are you")?;
            let mut buffer = [0; 64];
            let length = socket.recv(&mut buffer)?;
            Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
        })
    }

    /// Gives the servers the services' addresses, as ways to forward need that leave the destination alone.
    pub(crate) fn own_services(&self) {
        self.servers.ip(&format!("address add {VIP}/32 dev lo"));
        self.servers
            .ip(&format!("address add {VIP6}/128 dev lo nodad"));
    }

    /// Makes room for outer headers on the way to the servers.
    pub(crate) fn widen(&self) {
        self.balancer
            .ip(&format!("link set {} mtu 1600", self.inner));
        self.servers.ip("link set sv0 mtu 1600");
        if let Some(switch) = &self.switch {
            for port in ["lb", "servers", "client"] {
                switch.ip(&format!("link set {port} mtu 1600"));
            }
        }
        // What goes back has no outer headers, and the client's link is no wider.
        for router in ["10.0.0.254", "2001:db8:2::fe"] {
            self.servers
                .ip(&format!("route change default via {router} mtu 1500"));
        }
    }

    /// Takes packets out of tunnels on the servers.
    pub(crate) fn decap(&self, mode: XdpMode) -> Decap {
        let started = self.servers.inside(|| {
            let ends = ["10.0.0.1", "10.0.0.2", "2001:db8:2::1", "2001:db8:2::2"];
            Decap::start("sv0", mode, 6080, &ends.map(|end| end.parse().unwrap()))
        });
        started.expect("the program can be attached")
    }

    /// Whether the program is on an interface of the balancer.
    pub(crate) fn attached(&self, device: &str) -> bool {
        self.balancer
            .exec(&format!("ip link show dev {device}"))
            .contains("xdp")
    }
}

/// The first byte of a datagram after whose answer the client's socket is gone.
pub(crate) const CLOSE: u8 = 0xc1;

/// How long anything may take that should happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);
