//! The place of all fixtures, built of namespaces and wires: the hardware addresses are real, and so are the neighbours.
//!
//! ```text
//! client cl0 ── lb0 balancer lb1 ── sv0 servers
//! ```
//! Client and servers have no addresses: nobody there answers or asks, and every frame is the test's own. The balancer's
//! stack gets what the program passes and can send nothing, so that whatever arrives on either side is the program's.

use std::collections::VecDeque;
use std::path::PathBuf;

use tidegate::dataplane::decap::Decap;
use tidegate::dataplane::trial::{Fate, Outcome};
use tidegate::dataplane::{Dataplane, OBJECT};
use tidegate::model::XdpMode;

use super::raw::Raw;
use crate::fixtures::packet::udp;
use crate::fixtures::{CLIENT, FIRST_NAT_PORT, LB0, LB1, SERVERS, Side, World, server_mac};
use crate::netns::{self, Namespace};
use crate::pins::Mount;

/// Client, balancer and servers, with everything that is heard.
pub(crate) struct Lab {
    balancer: Namespace,
    pins: Mount,
    client: End,
    server: End,
    serial: u32,
}

/// One wire.
struct End {
    /// The far end of the wire, where frames are sent from and arrive.
    far: Raw,
    /// What the program passes to the balancer's stack.
    stack: Raw,
    mac: [u8; 6],
    /// Takes nothing out of anything: what is sent out of a veth device wakes the other end only if a program is there.
    _passing: Decap,
    _namespace: Namespace,
}

impl Lab {
    /// The lab, or `None` where it cannot be; then the reason has been said.
    pub(crate) fn new() -> Option<Self> {
        if !netns::available() {
            return None;
        }
        if OBJECT.is_empty() {
            netns::skip("built without the kernel object");
            return None;
        }
        let balancer = Namespace::new("wireb");
        let client = End::new(&balancer, ("lb0", LB0), ("cl0", CLIENT));
        let server = End::new(&balancer, ("lb1", LB1), ("sv0", [2, 0, 0, 0, 1, 0]));
        for (device, address) in [
            ("lb0", "192.0.2.1/24"),
            ("lb0", "2001:db8:1::1/64"),
            ("lb1", "10.0.0.254/24"),
            ("lb1", "2001:db8:2::fe/64"),
        ] {
            balancer.address(device, address);
        }
        let lab = Self {
            balancer,
            pins: Mount::new("wire"),
            client,
            server,
            serial: 0,
        };
        for (address, side) in SERVERS.into_iter().chain(SENTINELS) {
            lab.find(address, side);
        }
        Some(lab)
    }

    /// Starts the kernel tier in the balancer for a world, and `running` of it.
    pub(crate) fn start(&self, world: World) -> (Dataplane, tidegate::state::Running) {
        let last = FIRST_NAT_PORT + world.nat_ports;
        // Ports for NAT are those that the kernel leaves.
        self.balancer.exec_words(&[
            "sysctl",
            "-qw",
            &format!("net.ipv4.ip_local_port_range={last} 65535"),
        ]);
        let watched = World {
            config: format!("{}{SENTINEL_SERVICES}", world.config).leak(),
            ..world
        };
        let (compiled, running) = watched.load(&format!("    xdp pin {}", self.pin().display()));
        let dataplane = self.balancer.inside(|| {
            let dataplane = Dataplane::start(&compiled, &running)
                .expect("it starts")
                .expect("it is needed");
            dataplane.follow().expect("a thread can be started");
            dataplane
        });
        (dataplane, running)
    }

    fn pin(&self) -> PathBuf {
        self.pins.path().join("tidegate")
    }

    /// The server at this address answers, as long as nobody loses it.
    pub(crate) fn find(&self, address: &str, side: Side) {
        let [.., a, b] = server_mac(address);
        self.balancer.ip(&format!(
            "neighbour replace {address} lladdr 02:00:00:00:{a:02x}:{b:02x} dev {} nud permanent",
            device(side)
        ));
    }

    /// It does so no more.
    pub(crate) fn lose(&self, address: &str, side: Side) {
        let device = device(side);
        self.balancer
            .ip(&format!("neighbour delete {address} dev {device}"));
    }

    /// Sends a frame from a side and waits until nothing is in flight: what has become of it.
    ///
    /// # Errors
    /// More than one frame came of it, or one where none can be, or what must come did not.
    pub(crate) fn run(&mut self, side: Side, frame: &[u8]) -> Result<Outcome, String> {
        self.serial += 1;
        let (here, there) = match side {
            Side::Client => (&self.client, &self.server),
            Side::Server => (&self.server, &self.client),
        };
        let sentinels = Sentinels::new(self.serial, here.mac);
        here.far
            .send(frame)
            .map_err(|error| format!("cannot be sent: {error}"))?;
        for sentinel in [
            &sentinels.passed,
            &sentinels.to_client,
            &sentinels.to_server,
        ] {
            here.far.send(sentinel).map_err(|error| error.to_string())?;
        }
        // A wire is a queue with one reader: what is behind the frame has arrived, so the frame has.
        let mut seen = VecDeque::new();
        for (raw, end, fate) in [
            (&here.stack, sentinels.passed.as_slice(), Fate::Pass),
            (&here.far, sentinels.forwarded(side), Fate::Transmit),
            (&there.far, sentinels.forwarded(other(side)), Fate::Redirect),
        ] {
            seen.extend(
                until(raw, end)?
                    .into_iter()
                    .map(|frame| Outcome { fate, frame }),
            );
        }
        if there
            .stack
            .waiting()
            .map_err(|error| error.to_string())?
            .is_some()
        {
            return Err("the stack got something from the other side".to_owned());
        }
        let first = seen.pop_front();
        if !seen.is_empty() {
            return Err(format!("it became several: {first:?}, {seen:?}"));
        }
        Ok(first.unwrap_or_else(|| Outcome {
            fate: Fate::Drop,
            frame: frame.to_vec(),
        }))
    }
}

/// Frames whose fate is known, sent behind those whose fate is asked for.
struct Sentinels {
    passed: Vec<u8>,
    to_client: Vec<u8>,
    to_server: Vec<u8>,
}

impl Sentinels {
    fn new(serial: u32, balancer: [u8; 6]) -> Self {
        let serial = serial.to_be_bytes();
        let to = |service: &str| {
            let datagram = udp("203.0.113.200:40000", service).payload(&serial);
            datagram.link(balancer, CLIENT).bytes()
        };
        let mut passed = [balancer, CLIENT].concat();
        passed.extend(LOCAL_EXPERIMENTS);
        passed.extend(serial);
        Self {
            passed,
            to_client: to(TO_CLIENT),
            to_server: to(TO_SERVER),
        }
    }

    /// The one that arrives on this side.
    fn forwarded(&self, side: Side) -> &[u8] {
        match side {
            Side::Client => &self.to_client,
            Side::Server => &self.to_server,
        }
    }
}

/// The frames that come before a sentinel, which is told by everything but its hardware addresses.
fn until(raw: &Raw, sentinel: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let mut frames = Vec::new();
    loop {
        let frame = raw
            .receive()
            .map_err(|error| format!("a frame that is known to arrive did not: {error}"))?;
        if frame.get(12..) == sentinel.get(12..) {
            return Ok(frames);
        }
        frames.push(frame);
    }
}

impl End {
    fn new(
        balancer: &Namespace,
        (near, near_mac): (&str, [u8; 6]),
        (far, far_mac): (&str, [u8; 6]),
    ) -> Self {
        let namespace = Namespace::new(far);
        for scope in ["all", "default"] {
            namespace.exec(&format!("sysctl -qw net.ipv6.conf.{scope}.disable_ipv6=1"));
        }
        balancer.connect(near, &namespace, far);
        for (at, device, mac) in [(balancer, near, near_mac), (&namespace, far, far_mac)] {
            let bytes = mac.map(|byte| format!("{byte:02x}")).join(":");
            at.ip(&format!("link set {device} address {bytes}"));
            // Frames that wait to be merged with others would be overtaken.
            at.exec(&format!("ethtool -K {device} gro off"));
        }
        balancer.exec(&format!("tc qdisc replace dev {near} root pfifo limit 0"));
        let number = |at: &Namespace, device: &str| -> u32 {
            let told = at.exec(&format!("cat /sys/class/net/{device}/ifindex"));
            told.trim().parse().expect("a number")
        };
        let open = |at: &Namespace, device: &str| {
            let number = number(at, device);
            at.inside(|| Raw::open(number)).expect("root may")
        };
        let nobody = ["192.0.2.99".parse().expect("an address")];
        let passing = namespace.inside(|| Decap::start(far, XdpMode::Native, 0, &nobody));
        Self {
            far: open(&namespace, far),
            stack: open(balancer, near),
            mac: near_mac,
            _passing: passing.expect("the program can be attached"),
            _namespace: namespace,
        }
    }
}

const fn device(side: Side) -> &'static str {
    match side {
        Side::Client => "lb0",
        Side::Server => "lb1",
    }
}

const fn other(side: Side) -> Side {
    match side {
        Side::Client => Side::Server,
        Side::Server => Side::Client,
    }
}

/// Where sentinels go to, and on whose wire.
const SENTINELS: [(&str, Side); 2] = [("192.0.2.29", Side::Client), ("10.0.0.29", Side::Server)];
const TO_CLIENT: &str = "198.51.100.250:7";
const TO_SERVER: &str = "198.51.100.250:9";

/// What a world needs for them: two services that share nothing with its own but the table of flows.
const SENTINEL_SERVICES: &str = "
listen sentinel-to-client
    mode l4
    forward dsr
    bind udp@198.51.100.250:7
    server sentinel 192.0.2.29:7
listen sentinel-to-server
    mode l4
    forward dsr
    bind udp@198.51.100.250:9
    server sentinel 10.0.0.29:9
";

/// An EtherType that is nobody's.
const LOCAL_EXPERIMENTS: [u8; 2] = [0x88, 0xb5];
