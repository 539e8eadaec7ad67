//! The check of `cargo xtask bench lists`: a million prefixes, and what the kernel tier says of addresses in and around them
//! beside an evaluator of a few lines. One JSON object on stdout.
//!
//! Both lists are files, read by the language as any are, compiled, and entered by the daemon's own writer: into memory,
//! where the decision runs as a function, and into the maps of a loaded program, which the kernel runs. Every address is
//! the source of a SYN that either gets through or does not.
#![expect(
    clippy::print_stdout,
    reason = "the findings go to the command that started this"
)]

mod naive;

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use etherparse::PacketBuilder;
use tidegate::clock::{self, Moment};
use tidegate::dataplane::explain;
use tidegate::dataplane::offload::{Compiled, compile};
use tidegate::dataplane::trial::{Fate, InMemory, Kernel, Place};
use tidegate::lang::source::Sources;
use tidegate::lang::{Machine, Settings, load_sources};
use tidegate::state::Running;

use naive::{Naive, Random, Sizes};

fn main() {
    let arguments = Arguments::parse();
    let mut random = Random(arguments.seed);
    let lists = Naive::random(&mut random, arguments.sizes);
    let files = tempfile::tempdir().expect("a directory");
    let (compiled, running, read, compiling) = load(files.path(), &lists);

    let before = resident();
    let began = clock::now();
    let mut function = InMemory::new(&compiled, &running, place()).expect("the tables are written");
    let writing = since(began);
    let memory = resident().saturating_sub(before);
    let mut kernel = arguments.kernel.then(|| {
        let began = clock::now();
        let kernel = Kernel::new(&compiled, &running, place()).expect("the program is loaded");
        (kernel, since(began))
    });

    let mut findings = Findings::default();
    for _ in 0..arguments.addresses {
        let source = lists.address(&mut random);
        let expected = lists.refuses(source);
        let frame = syn(source);
        let said = function.run(&frame, INTERFACE).expect("it decides").fate;
        let mut same = refused(said) == expected;
        if let Some((kernel, _)) = &mut kernel {
            let said = kernel
                .run(&frame, INTERFACE)
                .expect("the kernel runs it")
                .fate;
            same &= refused(said) == expected;
        }
        findings.count(source, expected, same);
    }
    let explained = explain::text(&compiled);
    let tables = explained
        .lines()
        .find(|line| line.contains("source lists take"));
    println!(
        "{}",
        serde_json::json!({
            "prefixes4": lists.counts().0,
            "prefixes6": lists.counts().1,
            "read_ms": read,
            "compile_ms": compiling,
            "write_ms": writing,
            "load_ms": kernel.as_ref().map(|(_, took)| took),
            "resident_kib": memory,
            "tables": tables,
            "addresses": arguments.addresses,
            "refused": findings.refused,
            "wrong": findings.wrong,
            "examples": findings.examples,
        })
    );
}

/// What came of all addresses.
#[derive(Default)]
struct Findings {
    refused: u32,
    wrong: u32,
    /// Some of those that were wrong.
    examples: Vec<String>,
}

impl Findings {
    fn count(&mut self, source: IpAddr, expected: bool, same: bool) {
        self.refused += u32::from(expected);
        if !same {
            self.wrong += 1;
            if self.examples.len() < 10 {
                self.examples.push(format!("{source}: refused {expected}"));
            }
        }
    }
}

/// Reads and compiles a configuration with both lists; how long each took, in milliseconds.
fn load(directory: &Path, lists: &Naive) -> (Compiled, Running, u64, u64) {
    let file = |name: &str, text: String| -> PathBuf {
        let path = directory.join(name);
        std::fs::write(&path, text).expect("a file can be written");
        path
    };
    let (accepted, refused) = (
        file("accepted", lists.accepted_text()),
        file("refused", lists.refused_text()),
    );
    let mut text = String::from("global\n    xdp interface lo\n    xdp syn-cookies off\n");
    let _ = write!(
        text,
        "listen web\n    mode tcp\n    bind 192.0.2.1:80\n    bind [2001:db8::1]:80\n    timeout connect 1s\n    \
         timeout client 1s\n    timeout server 1s\n    tcp-request connection accept if {{ src -f {} }}\n    \
         tcp-request connection reject if {{ src -f {} }}\n    server s1 10.0.0.1:80\n",
        accepted.display(),
        refused.display()
    );
    let began = clock::now();
    let mut sources = Sources::default();
    sources.add("lists.cfg", text);
    let loaded = load_sources(sources, &Machine::default(), &Settings::default());
    let model = match loaded.model {
        Some(model) => Arc::new(model),
        None => panic!("{:?}", loaded.diagnostics),
    };
    let read = since(began);
    let began = clock::now();
    let compiled = compile(&model);
    assert_eq!(compiled.refusals, []);
    assert_eq!(compiled.tally(), (2, 0), "both rules go to the kernel");
    let compiling = since(began);
    (compiled, Running::new(model, None), read, compiling)
}

/// One interface, of this machine's own.
fn place() -> Place {
    Place {
        interfaces: vec![(INTERFACE, MAC)],
        own: [V4, V6].map(|address| address.ip()).into(),
        ..Place::default()
    }
}

/// A SYN of a source.
fn syn(source: IpAddr) -> Vec<u8> {
    let link = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 9], MAC);
    let (segment, to) = match (source, V4.ip(), V6.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to), _) => (link.ipv4(from.octets(), to.octets(), 64), V4),
        (IpAddr::V6(from), _, IpAddr::V6(to)) => (link.ipv6(from.octets(), to.octets(), 64), V6),
        _ => unreachable!("one service of each family"),
    };
    let segment = segment.tcp(4000, to.port(), 1, 65_000).syn();
    let mut frame = Vec::new();
    segment.write(&mut frame, &[]).expect("it fits");
    frame
}

fn refused(fate: Fate) -> bool {
    match fate {
        Fate::Drop => true,
        Fate::Pass => false,
        other => panic!("{other:?} is nothing that happens to a SYN for the stack"),
    }
}

fn since(began: Moment) -> u64 {
    clock::now().since(began)
}

/// Memory of this process, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or(0)
}

/// What the command line says. The command that starts this is the only user, so a mistake ends it at once.
struct Arguments {
    seed: u64,
    sizes: Sizes,
    addresses: u32,
    kernel: bool,
}

impl Arguments {
    fn parse() -> Self {
        let mut this = Self {
            seed: 1,
            sizes: Sizes { v4: 0, v6: 0 },
            addresses: 0,
            kernel: false,
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut number = || -> u64 {
                let value = words.next().expect("every option has a value");
                value.parse().expect("a number")
            };
            match word.as_str() {
                "--seed" => this.seed = number().max(1),
                "--prefixes4" => this.sizes.v4 = number() as usize,
                "--prefixes6" => this.sizes.v6 = number() as usize,
                "--addresses" => this.addresses = number() as u32,
                "--kernel" => this.kernel = true,
                // What `cargo bench` adds of itself.
                "--bench" => {}
                other => panic!("unknown option {other}"),
            }
        }
        this
    }
}

/// The loopback device, which every network namespace has.
const INTERFACE: u32 = 1;
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const V4: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 80);
const V6: SocketAddr = SocketAddr::new(
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
    80,
);
