//! One contender's client, balancer and server, and the stream that goes through them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aya::maps::{Array, MapData};
use aya::programs::{TestRun, TestRunAttrs, TestRunOptions, Xdp, XdpMode};
use aya::{Ebpf, EbpfLoader};
use tidegate::clock;
use tidegate::dataplane::offload::compile;
use tidegate::dataplane::{Dataplane, Stop};
use tidegate::lang::source::Sources;
use tidegate::lang::{Machine, Settings, load_sources};
use tidegate::state::Running;

use super::netns::Namespace;
use super::pins::Mount;

/// What the balancer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contender {
    /// Drops everything in the driver.
    Drop,
    /// Sends everything back from the driver.
    Reflect,
    /// Runs the product.
    Ours,
    /// Forwards in the kernel, nothing else.
    Kernel,
    /// The same with a translated destination, by nftables with connection tracking.
    Nftables,
}

/// Where packets end and are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Client,
    Balancer,
    Server,
}

/// A contender in its place.
pub(crate) struct Bed {
    contender: Contender,
    client: Namespace,
    balancer: Namespace,
    server: Namespace,
    programs: Ebpf,
    dataplane: Option<Dataplane>,
    client_device: u32,
    balancer_mac: [u8; 6],
    pins: Mount,
}

impl Bed {
    pub(crate) fn new(contender: Contender, object: &Path) -> Self {
        let (client, balancer, server) = (
            Namespace::new("wc"),
            Namespace::new("wb"),
            Namespace::new("ws"),
        );
        client.connect("cl0", &balancer, "lb0");
        balancer.connect("lb1", &server, "sv0");
        balancer.address("lb0", "192.0.2.1/24");
        balancer.address("lb1", "10.0.0.254/24");
        for (address, device) in [("192.0.2.29", "lb0"), ("10.0.0.1", "lb1")] {
            balancer.ip(&format!(
                "neighbour add {address} lladdr 02:00:00:00:01:01 dev {device} nud permanent"
            ));
        }
        // For tunnels, and for the way back to whoever the sources are.
        balancer.ip("link set lb0 mtu 1600");
        balancer.ip("route add default via 192.0.2.29 dev lb0");
        balancer.ip(&format!("route add {VIP} via 10.0.0.1"));
        balancer.exec("sysctl -qw net.ipv4.ip_forward=1");
        let client_device = read(&client, "cl0", "ifindex").parse().expect("a number");
        let bytes: Vec<u8> = read(&balancer, "lb0", "address")
            .split(':')
            .map(|byte| u8::from_str_radix(byte, 16).expect("a hardware address"))
            .collect();
        let mut bed = Self {
            contender,
            programs: EbpfLoader::new().load_file(object).expect("it loads"),
            dataplane: None,
            client_device,
            balancer_mac: bytes.try_into().expect("six bytes"),
            client,
            balancer,
            server,
            pins: Mount::new(&format!("wire-{contender:?}")),
        };
        for name in ["generate", "discard", "reflect"] {
            bed.program(name).load().expect("the verifier accepts it");
        }
        bed.settle();
        bed
    }

    /// Puts everything in its place.
    fn settle(&mut self) {
        self.attach("discard", End::Client);
        self.attach("discard", End::Server);
        match self.contender {
            Contender::Drop => self.attach("discard", End::Balancer),
            Contender::Reflect => self.attach("reflect", End::Balancer),
            Contender::Ours => {
                let text = configuration(self.pins.path());
                self.dataplane = Some(self.balancer.inside(|| start(&text)));
            }
            Contender::Kernel => {}
            Contender::Nftables => {
                let nft = |words: &str| {
                    let mut all = vec!["nft"];
                    all.extend(words.split(' '));
                    self.balancer.exec_words(&all);
                };
                nft("add table ip nat");
                nft("add chain ip nat pre { type nat hook prerouting priority dstnat ; }");
                nft(&format!(
                    "add rule ip nat pre ip daddr {VIP} udp dport 81 dnat to 10.0.0.1"
                ));
            }
        }
    }

    /// Puts one of the programs on a device, for as long as this lives.
    fn attach(&mut self, name: &str, end: End) {
        let (namespace, device) = match end {
            End::Client => (&self.client, "cl0"),
            End::Balancer => (&self.balancer, "lb0"),
            End::Server => (&self.server, "sv0"),
        };
        let program = self.programs.program_mut(name).expect("it is there");
        let program: &mut Xdp = program.try_into().expect("its kind");
        namespace.inside(|| {
            program
                .attach(device, XdpMode::Driver)
                .expect("it attaches")
        });
    }

    /// Sends `packets` datagrams of so many flows (a power of two) to a port of the service; how many thousands of them
    /// end per second.
    pub(crate) fn rate(&mut self, end: End, port: u16, flows: u32, packets: u32) -> f64 {
        // Every flow begins, then all go on.
        self.send(port, flows, flows * 2);
        self.quiet(end);
        let before = self.ended(end);
        let began = clock::now();
        self.send(port, flows, packets);
        let ended = self.quiet(end) - before;
        let took = clock::now().since(began);
        assert!(
            ended * 100 >= u64::from(packets) * 95,
            "{:?} to port {port}: {ended} of {packets} arrive; {}",
            self.contender,
            self.drops()
        );
        ended as f64 / took as f64
    }

    fn send(&mut self, port: u16, flows: u32, packets: u32) {
        let frame = frame(self.balancer_mac, port);
        let map = self.programs.map_mut("stream").expect("it is there");
        let mut streams: Array<&mut MapData, [u64; 8]> = map.try_into().expect("its kind");
        streams
            .set(0, stream(&frame, flows), 0)
            .expect("it has one entry");
        let context: Vec<u8> = [0, LENGTH as u32, 0, self.client_device, 0, 0]
            .iter()
            .flat_map(|word: &u32| word.to_ne_bytes())
            .collect();
        let program = self.programs.program_mut("generate").expect("it is there");
        let program: &mut Xdp = program.try_into().expect("its kind");
        self.client.inside(|| {
            let mut options = TestRunOptions::new();
            options.data_in = Some(&frame);
            options.ctx_in = Some(&context);
            options.repeat = packets;
            options.attrs = TestRunAttrs::new().xdp_live_frames(BATCH);
            program.test_run(options).expect("the kernel runs it");
        });
    }

    /// Waits until nothing arrives any more; how much has arrived.
    fn quiet(&self, end: End) -> u64 {
        let mut last = self.ended(end);
        loop {
            let now = self.ended(end);
            if now == last {
                return now;
            }
            last = now;
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn ended(&self, end: End) -> u64 {
        let (namespace, device) = match end {
            End::Client => (&self.client, "cl0"),
            End::Balancer => (&self.balancer, "lb0"),
            End::Server => (&self.server, "sv0"),
        };
        let count = read(namespace, device, "statistics/rx_packets");
        count.parse().expect("a number")
    }

    fn drops(&self) -> String {
        let Some(dataplane) = &self.dataplane else {
            return String::new();
        };
        let snapshot = dataplane.feedback().snapshot().expect("it can be read");
        let drops = snapshot.services.iter().map(|service| &service.drops);
        format!("{:?}", drops.collect::<Vec<_>>())
    }

    fn program(&mut self, name: &str) -> &mut Xdp {
        let program = self.programs.program_mut(name).expect("it is there");
        program.try_into().expect("it is an XDP program")
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if let Some(dataplane) = &self.dataplane {
            // Else the pins keep the program after the namespaces.
            let _ = dataplane.stop(Stop::Detach);
        }
    }
}

fn read(namespace: &Namespace, device: &str, what: &str) -> String {
    let path = format!("/sys/class/net/{device}/{what}");
    namespace.exec(&format!("cat {path}")).trim().to_owned()
}

/// A datagram of [`LENGTH`] bytes to the service, with neither source nor checksums.
fn frame(balancer: [u8; 6], port: u16) -> [u8; LENGTH] {
    let mut frame = [0x5a; LENGTH];
    frame[..6].copy_from_slice(&balancer);
    frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 0x0c]);
    frame[12..14].copy_from_slice(&[8, 0]);
    let ip = (LENGTH - 14) as u16;
    frame[14..16].copy_from_slice(&[0x45, 0]);
    frame[16..18].copy_from_slice(&ip.to_be_bytes());
    frame[18..26].copy_from_slice(&[0, 0, 0, 0, 64, 17, 0, 0]);
    frame[26..30].copy_from_slice(&[0; 4]);
    let vip: std::net::Ipv4Addr = VIP.parse().expect("an address");
    frame[30..34].copy_from_slice(&vip.octets());
    frame[34..36].copy_from_slice(&[0, 0]);
    frame[36..38].copy_from_slice(&port.to_be_bytes());
    frame[38..40].copy_from_slice(&(ip - 20).to_be_bytes());
    frame[40..42].copy_from_slice(&[0, 0]);
    frame
}

/// The value of map `stream`; see `xdp-ebpf/src/stream.rs`.
fn stream(frame: &[u8; LENGTH], flows: u32) -> [u64; 8] {
    let mut words = [0; 8];
    for (word, bytes) in words.iter_mut().zip(frame.chunks_exact(8)).take(6) {
        *word = u64::from_ne_bytes(bytes.try_into().expect("eight bytes"));
    }
    words[6] = u64::from(flows - 1);
    let pairs = frame[14..34].chunks_exact(2);
    words[7] = pairs
        .map(|pair| u64::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    words
}

fn configuration(pins: &Path) -> String {
    let mut text = format!(
        "global\n    xdp interface lb0 mode native\n    xdp interface lb1 mode native\n    \
         xdp pin {}\ndefaults\n    mode l4\n    timeout connect 5s\n    timeout client 1h\n    timeout server 1h\n",
        pins.join("tidegate").display()
    );
    for (name, port, server) in [
        ("dsr", 81, "192.0.2.29"),
        ("ipip", 82, "192.0.2.29"),
        ("dnat", 83, "10.0.0.1"),
        ("nat", 84, "10.0.0.1"),
    ] {
        text.push_str(&format!(
            "listen {name}\n    bind udp@{VIP}:{port}\n    forward {name}\n    server s1 {server}:{port}\n"
        ));
        if name == "nat" {
            // One server has no more ports than a port has bits.
            for number in 2..=4 {
                text.push_str(&format!(
                    "    server s{number} {server}:{}\n",
                    port + number
                ));
            }
        }
    }
    text
}

fn start(text: &str) -> Dataplane {
    let mut sources = Sources::default();
    sources.add("wire.cfg", text.to_owned());
    let loaded = load_sources(sources, &Machine::default(), &Settings::default());
    let model = match loaded.model {
        Some(model) => Arc::new(model),
        None => panic!("{:?}", loaded.diagnostics),
    };
    let compiled = compile(&model);
    assert_eq!(compiled.refusals, []);
    let running = Running::new(model, None);
    Dataplane::start(&compiled, &running)
        .expect("it starts")
        .expect("it is needed")
}

/// The service's address.
const VIP: &str = "198.51.100.80";
/// Bytes of a frame.
const LENGTH: usize = 100;
/// Frames that are made before any is handled; fewer than a wire has room for.
const BATCH: u32 = 64;
