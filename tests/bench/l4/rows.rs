//! The rows: which packets, in which order, through which program.

use std::cell::Cell;
use std::net::SocketAddr;

use super::bed::{Bed, Load, Order, Target};
use super::packet::{ACK, Route, SYN, destination_of, source_of, tcp, udp};

/// What a run of the program measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// Forwarding, and the lookups it is compared with.
    Forwarding,
    /// The same with lists in place.
    Lists,
}

/// Every row of the group (or `only` that one) once: its name and its net nanoseconds per packet.
pub(crate) fn samples(bed: &mut Bed, group: Group, only: Option<&str>) -> Vec<(String, f64)> {
    let mut round = Round {
        bed,
        only,
        samples: Vec::new(),
    };
    match group {
        Group::Forwarding => round.forwarding(),
        Group::Lists => round.lists(),
    }
    round.samples
}

struct Round<'a> {
    bed: &'a mut Bed,
    only: Option<&'a str>,
    samples: Vec<(String, f64)>,
}

impl Round<'_> {
    fn forwarding(&mut self) {
        self.sample(
            "lru hot",
            Target::LruHit,
            &frame(self.to(80), ACK),
            Order::Fixed,
            1,
            XDP_TX,
        );
        for (name, port) in [("ipip", 80), ("dsr", 83), ("gue", 84)] {
            self.hot(&format!("{name} hot"), self.to(port));
        }
        self.both_ways("nat hot", "nat answer hot", self.to(81));
        self.both_ways("dnat hot", "dnat answer hot", self.to(82));
        self.hot("guarded hot", self.to(86));
        let six = Route {
            to_mac: self.bed.client_side.mac,
            from: end("[2001:db8:1::10]:40000"),
            to: end("[2001:db8:80::80]:80"),
        };
        self.hot("ipv6 hot", six);
        let datagram = udp(self.to(85));
        self.product("udp hot", &datagram, Order::Fixed, 1);
        // A SYN of a known flow: what a verdict on it costs more where rates are watched.
        for (name, port) in [("syn hot", 80), ("guarded syn hot", 86)] {
            self.product(name, &frame(self.to(port), SYN), Order::Fixed, 1);
        }
        let passing = Route {
            to: end("198.51.100.99:80"),
            ..self.to(80)
        };
        let passing = frame(passing, ACK);
        self.sample("pass", Target::Product, &passing, Order::Fixed, 1, XDP_PASS);
        for (label, flows) in [("1k", 1 << 10), ("64k", 1 << 16), ("512k", 1 << 19)] {
            let acknowledged = frame(self.to(80), ACK);
            self.fill(Target::LruInsert, &acknowledged, flows);
            let name = format!("lru {label}");
            self.sample(
                &name,
                Target::LruHit,
                &acknowledged,
                Order::Random,
                flows,
                XDP_TX,
            );
            self.fill(Target::Product, &frame(self.to(80), SYN), flows);
            self.fill(Target::Product, &acknowledged, flows);
            self.product(
                &format!("ipip {label}"),
                &acknowledged,
                Order::Random,
                flows,
            );
        }
        let opening = frame(self.to(80), SYN);
        self.fill(Target::LruInsert, &opening, 1 << 20);
        self.fresh("lru insert", Target::LruInsert, &opening, REPEAT);
        self.fresh("ipip new", Target::Product, &opening, REPEAT);
        let opening = frame(self.to(81), SYN);
        self.fresh("nat new", Target::Product, &opening, FEW);
    }

    fn lists(&mut self) {
        self.sample(
            "lru hot",
            Target::LruHit,
            &frame(self.to(87), ACK),
            Order::Fixed,
            1,
            XDP_TX,
        );
        self.hot("listed hot", self.to(87));
        let opening = frame(self.to(87), SYN);
        let sources = 1 << 16;
        self.sample(
            "trie",
            Target::Trie,
            &opening,
            Order::Random,
            sources,
            XDP_DROP,
        );
        self.sample(
            "listed drop",
            Target::Product,
            &opening,
            Order::Random,
            sources,
            XDP_DROP,
        );
    }

    /// From the usual client to a port of the usual address.
    fn to(&self, port: u16) -> Route {
        Route {
            to_mac: self.bed.client_side.mac,
            from: end("192.0.2.10:40000"),
            to: SocketAddr::from(([198, 51, 100, 80], port)),
        }
    }

    /// A flow that is established and stays the same.
    fn hot(&mut self, name: &str, route: Route) {
        for flags in [SYN, ACK] {
            self.fill(Target::Product, &frame(route, flags), 1);
        }
        self.product(name, &frame(route, ACK), Order::Fixed, 1);
    }

    /// The same where answers come back through here: without one no flow is established. Names of both directions.
    fn both_ways(&mut self, towards: &str, back: &str, route: Route) {
        self.fill(Target::Product, &frame(route, SYN), 1);
        let granted = self.answer_to(&frame(route, SYN), SYN | ACK);
        self.bed.run(Target::Product, &from_server(&granted), 1);
        self.hot(towards, route);
        let answer = self.answer_to(&frame(route, ACK), ACK);
        self.measure(back, Target::Product, &from_server(&answer), FORWARDED);
    }

    /// What the server answers to a packet.
    fn answer_to(&mut self, asked: &[u8], flags: u8) -> Vec<u8> {
        let load = load(asked, Order::Fixed, 1);
        let (_, ran) = self.bed.run(Target::Product, &load, 1);
        let back = Route {
            to_mac: self.bed.server_side.mac,
            from: destination_of(&ran.frame),
            to: source_of(&ran.frame),
        };
        frame(back, flags)
    }

    fn product(&mut self, name: &str, frame: &[u8], order: Order, sources: u64) {
        let load = load(frame, order, sources);
        self.measure(name, Target::Product, &load, FORWARDED);
    }

    fn sample(
        &mut self,
        name: &str,
        target: Target,
        frame: &[u8],
        order: Order,
        sources: u64,
        verdict: u32,
    ) {
        if target == Target::LruHit && order == Order::Fixed {
            let load = load(frame, order, sources);
            self.bed.run(Target::LruInsert, &load, 1);
        }
        self.measure(name, target, &load(frame, order, sources), &[verdict]);
    }

    /// Sources that were never there before.
    fn fresh(&mut self, name: &str, target: Target, frame: &[u8], repeat: u32) {
        thread_local!(static NEXT: Cell<u64> = const { Cell::new(1 << 21) });
        let load = Load {
            frame,
            order: Order::Sequential,
            sources: 1 << 30,
            serial: NEXT.get(),
            from_servers: false,
        };
        NEXT.set(NEXT.get() + u64::from(repeat));
        self.measure_some(name, target, &load, FORWARDED, repeat);
    }

    /// Each of some sources once.
    fn fill(&mut self, target: Target, frame: &[u8], sources: u64) {
        if sources > 1 && self.only.is_some_and(|only| !only.ends_with('k')) {
            return;
        }
        let order = match sources {
            1 => Order::Fixed,
            _ => Order::Sequential,
        };
        let load = load(frame, order, sources);
        self.bed.run(target, &load, sources as u32);
    }

    /// Time with the target less time without. The last verdict shows that the work was done at all.
    fn measure(&mut self, name: &str, target: Target, load: &Load<'_>, verdicts: &[u32]) {
        self.measure_some(name, target, load, verdicts, REPEAT);
    }

    fn measure_some(
        &mut self,
        name: &str,
        target: Target,
        load: &Load<'_>,
        verdicts: &[u32],
        repeat: u32,
    ) {
        if self.only.is_some_and(|only| only != name) {
            return;
        }
        let (without, _) = self.bed.run(Target::Nothing, load, repeat);
        let (with, ran) = self.bed.run(target, load, repeat);
        assert!(
            verdicts.contains(&ran.verdict),
            "{name}: the verdict is {}, not one of {verdicts:?}; drops: {}",
            ran.verdict,
            self.bed.drops()
        );
        self.samples
            .push((name.to_owned(), (with - without).max(0.0)));
    }
}

fn load(frame: &[u8], order: Order, sources: u64) -> Load<'_> {
    Load {
        frame,
        order,
        sources,
        serial: 0,
        from_servers: false,
    }
}

fn from_server(frame: &[u8]) -> Load<'_> {
    Load {
        from_servers: true,
        ..load(frame, Order::Fixed, 1)
    }
}

fn frame(route: Route, flags: u8) -> Vec<u8> {
    tcp(route, flags)
}

fn end(text: &str) -> SocketAddr {
    text.parse().expect("an address and a port")
}

const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const XDP_TX: u32 = 3;
/// Out of the interface it came in through, or out of another one.
const FORWARDED: &[u32] = &[XDP_TX, 4];
/// Packets per sample.
const REPEAT: u32 = 400_000;
/// The same where each takes one of the ports of a source address.
const FEW: u32 = 8_000;
