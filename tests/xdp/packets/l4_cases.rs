//! Packets with neutral expectations, from a file: `cargo xtask packets --l4 FILE`.
//!
//! Input is a file of groups: frames, the verdict each must get and what must be true of the frame that leaves, and the
//! services and servers they assume. Every group runs on fresh tables under `BPF_PROG_TEST_RUN`. A server is any of its
//! service, but always the same for a flow. What we do otherwise on purpose is declared here with the reason; a difference
//! that is not declared fails, and so does a declaration that is no longer true.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::Value;
use tidegate::dataplane::offload::compile;
use tidegate::dataplane::trial::{Fate, Kernel, Outcome, Place, PlaceHop};
use tidegate::lang::{Machine, Settings, load_sources};
use tidegate::state::Running;

use super::outer::{self, Outer};
use super::test_run::Devices;

/// Where the file is.
const FILE: &str = "TIDEGATE_L4_PACKETS";

/// What we do otherwise: group, number, why.
const DECLARED: [(&str, u64, &str); 2] = [
    (
        "base_ipip",
        12,
        "IPv4 options that a host may send are no reason to drop a packet; source routes are",
    ),
    (
        "base_ipip",
        33,
        "a packet that does not fit is answered with 'fragmentation needed', in this group too",
    ),
];

#[test]
#[expect(
    clippy::print_stdout,
    reason = "the result is for the person who runs the command"
)]
fn every_case_of_the_file_is_met() {
    let Some(path) = std::env::var_os(FILE) else {
        return;
    };
    let Some(devices) = Devices::new("cases") else {
        panic!("this needs root and the kernel object");
    };
    let text = std::fs::read_to_string(path).expect("the file can be read");
    let file: Value = serde_json::from_str(&text).expect("it is JSON");
    let (mut met, mut declared, mut wrong) = (0, 0, 0);
    for group in file["groups"].as_array().expect("there are groups") {
        let name = group["group"].as_str().expect("a name");
        let results = devices
            .namespace
            .inside(|| run_group(&file["meta"], name, group, devices.client));
        for (number, result) in results {
            let known = DECLARED
                .iter()
                .find(|(group, case, _)| *group == name && *case == number);
            match (result, known) {
                (Ok(()), None) => met += 1,
                (Err(what), Some((_, _, why))) => {
                    declared += 1;
                    println!("{name} {number}: {what}; declared: {why}");
                }
                (Err(what), None) => {
                    wrong += 1;
                    println!("{name} {number}: WRONG: {what}");
                }
                (Ok(()), Some(_)) => {
                    wrong += 1;
                    println!("{name} {number}: WRONG: met, and declared a difference");
                }
            }
        }
    }
    println!(
        "{} cases: {met} met, {declared} differ as declared, {wrong} wrong",
        met + declared + wrong
    );
    assert_eq!(wrong, 0);
}

/// What became of each case of a group.
fn run_group(
    meta: &Value,
    name: &str,
    group: &Value,
    interface: u32,
) -> Vec<(u64, Result<(), String>)> {
    let provision = &meta["provision"];
    let (list, forward) = match name {
        "cidr_vip" => (&provision["prepareCidrVipLbData"], "gue port 9886"),
        _ => (&provision["prepareLbData"], "ipip"),
    };
    let services = Services::of(list);
    let mut trial = services.start(forward, interface, meta);
    let mut flows: BTreeMap<outer::Flow, IpAddr> = BTreeMap::new();
    let cases = group["cases"].as_array().expect("there are cases");
    let one = |case: &Value| {
        let number = case["n"].as_u64().expect("a number");
        let input = bytes(case["input"].as_str().expect("a frame"));
        let outcome = trial.run(&input, interface).expect("the program runs");
        let result = check(&case["expect"], &input, &outcome, &services, &mut flows);
        (
            number,
            result.map_err(|what| format!("{what} ({})", case["packet"])),
        )
    };
    cases.iter().map(one).collect()
}

/// Service addresses with what their servers may be.
struct Services {
    config: String,
    servers: BTreeMap<String, Vec<IpAddr>>,
    all: Vec<IpAddr>,
}

impl Services {
    fn of(list: &Value) -> Self {
        let mut services = Self {
            config: String::new(),
            servers: BTreeMap::new(),
            all: Vec::new(),
        };
        let named = list.as_array().expect("a list").iter();
        for (number, service) in named.filter(|entry| entry["vip"].is_string()).enumerate() {
            let vip = service["vip"].as_str().expect("an address");
            let port = match service["port"].as_u64().expect("a port") {
                0 => "1-65535".to_owned(),
                port => port.to_string(),
            };
            let udp = if service["proto"] == "udp" {
                "udp@"
            } else {
                ""
            };
            let vip = if vip.contains(':') {
                format!("[{vip}]")
            } else {
                vip.to_owned()
            };
            services.config += &format!(
                "listen service{number}\n    mode l4\n    forward FORWARD\n    bind {udp}{vip}:{port}\n"
            );
            let down = service["down_reals"].to_string();
            for real in service["reals"].as_array().expect("servers") {
                let real = real.as_str().expect("an address");
                let ip: IpAddr = real.parse().expect("an address");
                let shown = if ip.is_ipv6() {
                    format!("[{real}]")
                } else {
                    real.to_owned()
                };
                let is_down = down.contains(&format!("\"{real} "));
                let disabled = if is_down { " disabled" } else { "" };
                let name = real.replace(':', "-");
                services.config += &format!("    server s{name} {shown}{disabled}\n");
                services.all.push(ip);
                if !is_down {
                    let key = vip.trim_matches(['[', ']']).to_owned();
                    services.servers.entry(key).or_default().push(ip);
                }
            }
        }
        services
    }

    fn start(&self, forward: &str, interface: u32, meta: &Value) -> Kernel {
        let text = format!(
            "global\n    xdp interface lb0\n    xdp flows 4096\ndefaults\n    timeout connect 5s\n    timeout client 30s\n    \
             timeout server 30s\n{}",
            self.config.replace("FORWARD", forward)
        );
        let mut sources = tidegate::lang::source::Sources::default();
        sources.add("cases", text);
        let loaded = load_sources(sources, &Machine::default(), &Settings::default());
        let model = loaded
            .model
            .unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
        let compiled = compile(&model);
        assert_eq!(compiled.refusals, []);
        let running = Running::new(Arc::new(model), None);
        let env = &meta["env"];
        let own =
            |key: &str| -> IpAddr { env[key].as_str().expect("an address").parse().expect("one") };
        let router = env["router_mac(eth_dst of sent packets)"].as_str();
        let router = router.expect("a hardware address").replace(':', "");
        let mac: [u8; 6] = bytes(&router).try_into().expect("six bytes");
        let hop = |address: &IpAddr| {
            let source = if address.is_ipv4() {
                own("katran_src_v4 (GUE outer src)")
            } else {
                own("katran_src_v6")
            };
            let hop = PlaceHop {
                interface,
                vlan: 0,
                mac,
                source,
            };
            (*address, hop)
        };
        let place = Place {
            interfaces: vec![(interface, [2, 0, 0, 0, 0, 0])],
            own: vec![own("katran_src_v4 (GUE outer src)"), own("katran_src_v6")],
            hops: self.all.iter().map(hop).collect(),
            nat_ports: (1024, 1000),
        };
        Kernel::new(&compiled, &running, place).expect("the program loads")
    }

    /// Whether a server is one of the service at this address, or of the network around it.
    fn has(&self, service: IpAddr, server: IpAddr) -> bool {
        self.servers.iter().any(|(vip, servers)| {
            let inside = match vip.parse::<ipnet::IpNet>() {
                Ok(network) => network.contains(&service),
                Err(_) => vip.parse() == Ok(service),
            };
            inside && servers.contains(&server)
        })
    }
}

fn check(
    expect: &Value,
    input: &[u8],
    outcome: &Outcome,
    services: &Services,
    flows: &mut BTreeMap<outer::Flow, IpAddr>,
) -> Result<(), String> {
    let fate = match outcome.fate {
        Fate::Pass => "XDP_PASS",
        Fate::Drop => "XDP_DROP",
        Fate::Transmit => "XDP_TX",
        Fate::Redirect => "XDP_REDIRECT",
    };
    if expect["verdict"] != fate {
        return Err(format!("{fate} instead of {}", expect["verdict"]));
    }
    let frame = &outcome.frame;
    let same = |what: &str, found: &Value, wanted: &Value| {
        (found == wanted)
            .then_some(())
            .ok_or_else(|| format!("{what} is {found}, not {wanted}"))
    };
    let action = expect["action"].as_str().unwrap_or_default();
    if action == "unchanged" {
        return (frame == input)
            .then_some(())
            .ok_or_else(|| "the frame has changed".to_owned());
    }
    if action == "icmp_reply" {
        let (kind, code) = outer::reply(frame, input)?;
        same("the type", &kind.into(), &expect["icmp_type"])?;
        return same("the code", &code.into(), &expect["icmp_code"]);
    }
    if frame[..6] != [0, 0, 0xde, 0xad, 0xbe, 0xaf] || frame[6..12] != input[..6] {
        return Err("the Ethernet header is another".to_owned());
    }
    let Outer {
        hops,
        class,
        id,
        destination,
        gue_port,
        inner,
    } = outer::parse(frame)?;
    same("TTL", &hops.into(), &expect["outer_ttl"])?;
    same("TOS", &class.into(), &expect["outer_tos"])?;
    if id != 0 {
        return Err(format!("the identification is {id}"));
    }
    match (gue_port, action == "encap_gue") {
        (Some(port), true) => same("the port", &port.into(), &expect["gue_dport"])?,
        (None, false) => {}
        _ => return Err("it is the other kind of tunnel".to_owned()),
    }
    if inner != &input[14..] {
        return Err("the inner packet has changed".to_owned());
    }
    let flow = outer::flow(input).ok_or("there is no flow")?;
    if !services.has(flow.destination, destination) {
        return Err(format!(
            "{destination} is no server of {}",
            flow.destination
        ));
    }
    match flows.insert(flow, destination) {
        Some(before) if before != destination => Err(format!(
            "the flow went to {before} before, to {destination} now"
        )),
        _ => Ok(()),
    }
}

fn bytes(text: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
    (0..text.len()).step_by(2).map(byte).collect()
}
