//! Random frames on which the program and the function must agree.
//!
//! Both begin with the same tables, written once by the real writer, and each goes on with its own. After every frame the
//! verdicts and the frames are compared, after every batch the drops by reason and the tables word for word; then both
//! forget, so that no entry lives long enough for their clocks, a tick apart, to matter.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tidegate::dataplane::trial::{Drops, Fate, Kernel, Place, PlaceHop, TrialError};

use crate::configuration::load;
use crate::frames::Frames;

/// What a run has shown.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Frames by what became of them.
    pub(crate) fates: BTreeMap<Fate, u64>,
    /// Reasons to drop, as both counted them.
    pub(crate) reasons: BTreeMap<&'static str, u64>,
    /// What they did not agree on.
    pub(crate) disagreements: Vec<String>,
}

/// Lets both decide about `count` frames.
pub(crate) fn run(count: u64, seed: u64) -> Result<Report, TrialError> {
    let (compiled, running) = load(CONFIG);
    let mut kernel = Kernel::new(&compiled, &running, place())?;
    let mut frames = Frames::new(seed);
    let mut report = Report::default();
    let mut left = count;
    while left > 0 && report.disagreements.len() < MOST {
        let batch = left.min(BATCH);
        left -= batch;
        one_batch(&mut kernel, &mut frames, batch, &mut report)?;
    }
    Ok(report)
}

fn one_batch(
    kernel: &mut Kernel,
    frames: &mut Frames,
    count: u64,
    report: &mut Report,
) -> Result<(), TrialError> {
    kernel.forget();
    let mut twin = kernel.twin()?;
    let before = kernel.drops()?;
    for _ in 0..count {
        let frame = frames.frame();
        kernel.synchronise(&twin);
        let (ours, theirs) = (kernel.run(&frame, LOOPBACK)?, twin.run(&frame, LOOPBACK));
        *report.fates.entry(ours.fate).or_default() += 1;
        // A dropped frame is whatever was made of it until then.
        let same =
            ours.fate == theirs.fate && (ours.fate == Fate::Drop || ours.frame == theirs.frame);
        if !same {
            report.disagreements.push(format!(
                "frame {}\n  program  {:?} {}\n  function {:?} {}",
                hex(&frame),
                ours.fate,
                hex(&ours.frame),
                theirs.fate,
                hex(&theirs.frame)
            ));
            return Ok(());
        }
    }
    let counted = since(&before, &kernel.drops()?);
    if counted != *twin.drops() {
        let theirs = twin.drops();
        let keys: BTreeSet<_> = counted.keys().chain(theirs.keys()).collect();
        let differ = keys
            .into_iter()
            .filter(|key| counted.get(key) != theirs.get(key));
        let told =
            differ.map(|key| format!("{key:?} {:?} {:?}", counted.get(key), theirs.get(key)));
        let told: Vec<_> = told.collect();
        report
            .disagreements
            .push(format!("drops, program and function: {}", told.join(", ")));
    }
    for ((_, reason), count) in counted {
        *report.reasons.entry(reason).or_default() += count;
    }
    match kernel.differences(&twin)? {
        0 => {}
        words => report
            .disagreements
            .push(format!("tables: {words} words differ")),
    }
    Ok(())
}

fn since(before: &Drops, after: &Drops) -> Drops {
    let more = |(key, count): (&(u16, &'static str), &u64)| {
        let more = count - before.get(key).copied().unwrap_or(0);
        (more > 0).then_some((*key, more))
    };
    after.iter().filter_map(more).collect()
}

/// Everything on one wire: the loopback device, which is in every network namespace.
pub(crate) fn place() -> Place {
    let hop = |(address, last): (&str, u8)| {
        let ip: IpAddr = address.parse().expect("an address");
        let source = if ip.is_ipv4() {
            "10.0.0.254"
        } else {
            "2001:db8:2::fe"
        };
        let hop = PlaceHop {
            interface: LOOPBACK,
            vlan: 0,
            mac: [2, 0, 0, 0, 1, last],
            source: source.parse().expect("an address"),
        };
        (ip, hop)
    };
    let servers = [
        ("10.0.0.1", 1),
        ("10.0.0.2", 2),
        ("10.0.0.3", 3),
        ("2001:db8:2::1", 11),
        ("2001:db8:2::2", 12),
        ("2001:db8:2::3", 13),
    ];
    Place {
        interfaces: vec![(LOOPBACK, [2, 0, 0, 0, 0, 1])],
        own: ["192.0.2.1", "10.0.0.254", "2001:db8:2::fe"]
            .map(|text| text.parse().expect("an address"))
            .into(),
        hops: servers.into_iter().map(hop).collect(),
        nat_ports: (1024, 64),
    }
}

/// Bytes as one reads them in a dump.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) const LOOPBACK: u32 = 1;
const BATCH: u64 = 20_000;
const MOST: usize = 10;

/// Every way of forwarding, lists and limits.
pub(crate) const CONFIG: &str = "
listen nat
    mode l4
    bind 198.51.100.1:80
    bind [2001:db8:80::1]:80
    bind 198.51.100.1:9000-9010
    server s1 10.0.0.1:8080
    server s2 10.0.0.2:8080
    server t1 [2001:db8:2::1]:8080
    server t2 [2001:db8:2::2]:8080
listen dsr4
    mode l4
    forward dsr
    bind 198.51.100.1:81
    bind udp@198.51.100.1:54
    server s1 10.0.0.1
    server s2 10.0.0.2
listen dsr6
    mode l4
    forward dsr
    balance source
    bind [2001:db8:80::1]:81
    bind udp@[2001:db8:80::1]:54
    server t1 [2001:db8:2::1]
    server t2 [2001:db8:2::2]
listen dnat
    mode l4
    forward dnat
    bind 198.51.100.1:82
    bind [2001:db8:80::1]:82
    server s3 10.0.0.3:8080
    server t3 [2001:db8:2::3]:8080
listen ipip
    mode l4
    forward ipip
    bind 198.51.100.1:83
    bind [2001:db8:80::1]:83
    server s1 10.0.0.1:83
    server t1 [2001:db8:2::1]:83
listen gue
    mode l4
    forward gue
    bind 198.51.100.1:84
    bind [2001:db8:80::1]:84
    bind udp@198.51.100.1:55
    server s1 10.0.0.1
    server t1 [2001:db8:2::1]
listen guarded
    mode l4
    bind 198.51.100.1:85
    bind [2001:db8:80::1]:85
    stick-table type ip size 1k expire 5h store conn_rate(1h)
    tcp-request connection reject if { src 203.0.113.64/26 203.0.0.0/17 2001:db8:c:8000::/49 }
    tcp-request connection track-sc0 src
    tcp-request connection reject if { sc0_conn_rate gt 3 }
    server s1 10.0.0.1:8080
    server t1 [2001:db8:2::1]:8080
listen local
    mode tcp
    bind 198.51.100.1:86
    bind [2001:db8:80::1]:86
    tcp-request connection reject if { src 203.0.113.64/26 2001:db8:c:8000::/49 }
    server s1 10.0.0.1:8080
listen dns
    mode l4
    bind udp@198.51.100.1:53
    bind udp@[2001:db8:80::1]:53
    server s1 10.0.0.1:53
    server t1 [2001:db8:2::1]:53
";
