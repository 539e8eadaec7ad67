//! What is measured: the balancer's namespace, the product's program with its tables, and the wrapper around it.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use aya::maps::{Array, LpmTrie, MapData, PerCpuArray, PerCpuValues, ProgramArray, lpm_trie::Key};
use aya::programs::{ProgramFd, ProgramInfo, TestRun, TestRunOptions, Xdp, loaded_programs};
use aya::{Ebpf, Pod};
use tempfile::NamedTempFile;
use tidegate::dataplane::offload::compile;
use tidegate::dataplane::{Dataplane, Stop};
use tidegate::lang::source::Sources;
use tidegate::lang::{Machine, Settings, load_sources};
use tidegate::state::Running;

use super::netns::Namespace;
use super::packet::LENGTH;
use super::pins::Mount;

/// Everything that is set up once.
pub(crate) struct Bed {
    balancer: Namespace,
    dataplane: Dataplane,
    bench: Ebpf,
    product: ProgramFd,
    /// Number and hardware address of the interface of the clients and of that of the servers.
    pub(crate) client_side: Interface,
    pub(crate) server_side: Interface,
    _clients: Namespace,
    _servers: Namespace,
    pins: Mount,
}

#[derive(Clone, Copy)]
pub(crate) struct Interface {
    number: u32,
    pub(crate) mac: [u8; 6],
}

/// A program that runs behind the wrapper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Product,
    Nothing,
    LruHit,
    LruInsert,
    Trie,
}

/// In which order sources come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// The template's own, always.
    Fixed,
    Sequential,
    Random,
}

/// The value of map `template`; see `xdp-ebpf/src/bench.rs`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Template {
    head: [u8; HEAD],
    length: u64,
    address_at: u64,
    order: u64,
    mask: u64,
}

#[expect(
    unsafe_code,
    reason = "aya asks for it; the layout is the kernel object's"
)]
// SAFETY: plain numbers without padding; every bit pattern is a value.
unsafe impl Pod for Template {}

impl Bed {
    pub(crate) fn new(prefixes: u32, object: &Path) -> Self {
        let (clients, balancer, servers) = (
            Namespace::new("bc"),
            Namespace::new("bb"),
            Namespace::new("bs"),
        );
        clients.connect("cl0", &balancer, "lb0");
        balancer.connect("lb1", &servers, "sv0");
        for (device, address) in [
            ("lb0", "192.0.2.1/24"),
            ("lb0", "2001:db8:1::1/64"),
            ("lb1", "10.0.0.254/24"),
            ("lb1", "2001:db8:2::fe/64"),
        ] {
            balancer.address(device, address);
        }
        balancer.ip("route add default via 192.0.2.10 dev lb0 onlink");
        balancer.ip("neighbour add 192.0.2.10 lladdr 02:00:00:00:00:0c dev lb0 nud permanent");
        for number in 1..=SERVERS {
            for address in [format!("10.0.0.{number}"), format!("2001:db8:2::{number}")] {
                balancer.ip(&format!(
                    "neighbour add {address} lladdr 02:00:00:00:01:0{number} dev lb1 nud permanent"
                ));
            }
        }
        // A tunnel's packets are longer than what it carries.
        balancer.ip("link set lb1 mtu 1600");
        let pins = Mount::new("bench");
        let list = (prefixes > 0).then(|| list(prefixes));
        let text = configuration(list.as_ref().map(NamedTempFile::path), pins.path());
        let dataplane = balancer.inside(|| start(&text));
        let client_side = interface(&balancer, "lb0");
        let server_side = interface(&balancer, "lb1");
        let mut bench = Ebpf::load_file(object).expect("the bench object loads");
        for name in ["restore", "nothing", "lru_hit", "lru_insert", "trie_lookup"] {
            program(&mut bench, name)
                .load()
                .expect("the verifier accepts it");
        }
        let mut bed = Self {
            product: product(&pins.path().join("tidegate"))
                .fd()
                .expect("root may have it"),
            balancer,
            dataplane,
            bench,
            client_side,
            server_side,
            _clients: clients,
            _servers: servers,
            pins,
        };
        bed.fill_trie(prefixes);
        bed
    }

    /// Chooses what runs behind the wrapper.
    fn aim(&mut self, target: Target) {
        let fd = match target {
            Target::Product => self.product.try_clone().expect("a descriptor"),
            other => {
                let name = match other {
                    Target::LruHit => "lru_hit",
                    Target::LruInsert => "lru_insert",
                    Target::Trie => "trie_lookup",
                    _ => "nothing",
                };
                let program = program(&mut self.bench, name);
                program
                    .fd()
                    .and_then(|fd| Ok(fd.try_clone()?))
                    .expect("it is loaded")
            }
        };
        let map = self.bench.map_mut("target").expect("it is in the object");
        let mut targets: ProgramArray<&mut MapData> = map.try_into().expect("its kind");
        targets
            .set(0, &fd, 0)
            .expect("an XDP program like the wrapper");
    }

    /// Puts a frame and an order of `sources` (a power of two) in place; counting starts at `serial`.
    fn set(&mut self, frame: &[u8], order: Order, sources: u64, serial: u64) {
        let is_v4 = frame[12..14] == [8, 0];
        let template = Template {
            head: frame[..HEAD].try_into().expect("the frame is longer"),
            length: frame.len() as u64,
            address_at: match order {
                Order::Fixed => 0,
                _ if is_v4 => 26,
                _ => 34,
            },
            order: u64::from(order == Order::Random),
            mask: sources - 1,
        };
        let map = self.bench.map_mut("template").expect("it is in the object");
        let mut templates: Array<&mut MapData, Template> = map.try_into().expect("its kind");
        templates.set(0, template, 0).expect("it has one entry");
        let map = self.bench.map_mut("serial").expect("it is in the object");
        let mut serials: PerCpuArray<&mut MapData, u64> = map.try_into().expect("its kind");
        let cpus = aya::util::nr_cpus().expect("there are some");
        let values = PerCpuValues::try_from(vec![serial; cpus]).expect("one for each");
        serials.set(0, values, 0).expect("it has one entry");
    }

    /// Runs `target` on `repeat` packets; nanoseconds each, the wrapper's included, and what came of the last one.
    pub(crate) fn run(&mut self, target: Target, load: &Load<'_>, repeat: u32) -> (f64, Ran) {
        self.set(load.frame, load.order, load.sources, load.serial);
        self.aim(target);
        let side = if load.from_servers {
            self.server_side
        } else {
            self.client_side
        };
        let wrapper = program(&mut self.bench, "restore");
        let (context, mut out) = (context(side.number), vec![0; 256]);
        let result = self.balancer.inside(|| {
            let mut options = TestRunOptions::new();
            options.data_in = Some(load.frame);
            options.data_out = Some(&mut out);
            options.ctx_in = Some(&context);
            options.repeat = repeat;
            wrapper.test_run(options).expect("the kernel runs it")
        });
        out.truncate(result.data_size_out as usize);
        let ran = Ran {
            verdict: result.return_value,
            frame: out,
        };
        (result.duration.as_nanos() as f64, ran)
    }

    /// What the kernel says of the product's program.
    pub(crate) fn program(&self) -> serde_json::Value {
        let info = self.product_info();
        serde_json::json!({
            "verified": info.verified_instruction_count(),
            "translated": info.size_translated(),
            "jitted": info.size_jitted(),
        })
    }

    fn product_info(&self) -> ProgramInfo {
        product(&self.pins.path().join("tidegate"))
    }

    /// What the product dropped so far, and why; for rows that come out otherwise than they should.
    pub(crate) fn drops(&self) -> String {
        let snapshot = self.dataplane.feedback().snapshot();
        let snapshot = snapshot.expect("the counters can be read");
        let drops = snapshot.services.iter().map(|service| &service.drops);
        format!("{:?}", drops.flatten().collect::<Vec<_>>())
    }

    fn fill_trie(&mut self, prefixes: u32) {
        let map = self.bench.map_mut("trie").expect("it is in the object");
        let mut trie: LpmTrie<&mut MapData, [u8; 4], u64> = map.try_into().expect("its kind");
        for index in 0..prefixes {
            let (address, length) = prefix(index);
            let key = Key::new(length, address.octets());
            trie.insert(&key, 1, 0).expect("it has room");
        }
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        // Else the pins keep the program after the namespaces.
        let _ = self.dataplane.stop(Stop::Detach);
    }
}

/// What is sent through the wrapper.
pub(crate) struct Load<'a> {
    pub(crate) frame: &'a [u8],
    pub(crate) order: Order,
    /// How many different sources; a power of two.
    pub(crate) sources: u64,
    /// Where counting sources begins.
    pub(crate) serial: u64,
    pub(crate) from_servers: bool,
}

/// What came of a packet.
pub(crate) struct Ran {
    /// The XDP code.
    pub(crate) verdict: u32,
    pub(crate) frame: Vec<u8>,
}

/// Prefix number `index` of the lists: every source of the wrapper with that number is in it.
pub(crate) fn prefix(index: u32) -> (Ipv4Addr, u32) {
    let scattered = u64::from(index).wrapping_mul(2_654_435_761);
    let address = 0x1000_0000 + (scattered as u32 & 0x3fff_ffff);
    if index.is_multiple_of(2) {
        (Ipv4Addr::from(address), 32)
    } else {
        (Ipv4Addr::from(address & 0xffff_fff0), 28)
    }
}

fn program<'a>(bench: &'a mut Ebpf, name: &str) -> &'a mut Xdp {
    let program = bench.program_mut(name).expect("it is in the object");
    program.try_into().expect("it is an XDP program")
}

/// The product's program: the one whose number the tables' directory carries.
fn product(pins: &Path) -> ProgramInfo {
    let number: u32 = fs::read_dir(pins)
        .expect("the pins")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .find_map(|name| {
            name.strip_prefix("tables-")?
                .rsplit('-')
                .next()?
                .parse()
                .ok()
        })
        .expect("the tables are pinned");
    loaded_programs()
        .filter_map(Result::ok)
        .find(|program| program.id() == number)
        .expect("the program is loaded")
}

fn start(text: &str) -> Dataplane {
    let mut sources = Sources::default();
    sources.add("bench.cfg", text.to_owned());
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

/// One service per way of forwarding, each on a port of its own; `listed` and `guarded` have what the rows about lists and
/// rates need.
fn configuration(list: Option<&Path>, pins: &Path) -> String {
    let mut text = format!(
        "global\n    xdp interface lb0\n    xdp interface lb1\n    xdp flows 2097152\n    xdp sources 1048576\n    \
         xdp pin {}\ndefaults\n    mode l4\n    timeout connect 5s\n    timeout client 1h\n    timeout server 1h\n",
        pins.join("tidegate").display()
    );
    let servers = |port: u16| -> String {
        (1..=SERVERS)
            .map(|number| format!("    server s{number} 10.0.0.{number}:{port}\n"))
            .collect()
    };
    let mut listen = |name: &str, port: u16, udp: &str, lines: &str| {
        text.push_str(&format!(
            "listen {name}\n    bind {udp}198.51.100.80:{port}\n{lines}{}",
            servers(port)
        ));
    };
    listen("ipip", 80, "", "    forward ipip\n");
    listen("nat", 81, "", "    forward nat\n");
    listen("dnat", 82, "", "    forward dnat\n");
    listen("dsr", 83, "", "    forward dsr\n");
    listen("gue", 84, "", "    forward gue\n");
    listen("datagrams", 85, "udp@", "    forward ipip\n");
    let guard = "    forward ipip\n    stick-table type ip size 1m expire 1h store conn_rate(10s)\n    \
         tcp-request connection track-sc0 src\n    tcp-request connection reject if { sc0_conn_rate gt 1000000 }\n";
    listen("guarded", 86, "", guard);
    if let Some(list) = list {
        let listed = format!(
            "    tcp-request connection reject if {{ src -f {} }}\n{guard}",
            list.display()
        );
        listen("listed", 87, "", &listed);
    }
    text.push_str("listen six\n    bind [2001:db8:80::80]:80\n    forward ipip\n");
    for number in 1..=SERVERS {
        text.push_str(&format!("    server s{number} [2001:db8:2::{number}]:80\n"));
    }
    text
}

/// A file of so many prefixes.
fn list(prefixes: u32) -> NamedTempFile {
    let lines: String = (0..prefixes)
        .map(|index| {
            let (address, length) = prefix(index);
            format!("{address}/{length}\n")
        })
        .collect();
    let file = NamedTempFile::new().expect("a file");
    fs::write(file.path(), lines).expect("a list can be written");
    file
}

fn interface(balancer: &Namespace, name: &str) -> Interface {
    let read = |what: &str| balancer.exec(&format!("cat /sys/class/net/{name}/{what}"));
    let bytes: Vec<u8> = read("address")
        .trim()
        .split(':')
        .map(|byte| u8::from_str_radix(byte, 16).expect("a hardware address"))
        .collect();
    Interface {
        number: read("ifindex").trim().parse().expect("a number"),
        mac: bytes.try_into().expect("six bytes"),
    }
}

/// `struct xdp_md`: the frame's bounds and the interface it came in through.
fn context(interface: u32) -> Vec<u8> {
    [0, LENGTH as u32, 0, interface, 0, 0]
        .iter()
        .flat_map(|word| word.to_ne_bytes())
        .collect()
}

/// Servers of every service.
const SERVERS: u32 = 3;
/// Bytes the wrapper writes anew.
const HEAD: usize = 80;
