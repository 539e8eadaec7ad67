//! The panel: rates between two looks at the counters.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::sources::Sources;
use crate::clock::Moment;

/// The counters at one moment, as `show xdp json` tells them.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample {
    when: Moment,
    counters: Counters,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Counters {
    interfaces: Vec<Interface>,
    services: Vec<Service>,
    unknown_drops: Vec<Drops>,
    flows: u64,
    flow_limit: u64,
}

#[derive(Clone, Debug, Deserialize)]
struct Interface {
    name: String,
    mode: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Service {
    frontend: String,
    backend: Option<String>,
    protocol: String,
    binds: Vec<String>,
    drops: Vec<Drops>,
    servers: Vec<Server>,
}

#[derive(Clone, Debug, Deserialize)]
struct Drops {
    reason: String,
    packets: u64,
}

#[derive(Clone, Debug, Deserialize)]
struct Server {
    packets_in: u64,
    bytes_in: u64,
    packets_out: u64,
    bytes_out: u64,
    flows: u64,
}

impl Sample {
    /// Reads an answer.
    pub(super) fn read(answer: &str, when: Moment) -> Result<Self, String> {
        let answer = answer.trim();
        if !answer.starts_with('{') {
            return Err(answer.to_owned());
        }
        let counters = serde_json::from_str(answer).map_err(|error| error.to_string())?;
        Ok(Self { when, counters })
    }
}

/// What is shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Panel {
    interfaces: Vec<String>,
    flows: u64,
    flow_limit: u64,
    /// Packets a second by reason, the most first.
    drops: Vec<(String, f64)>,
    /// Services, the busiest first.
    services: Vec<Row>,
    /// Sources of dropped packets with their share of a sample.
    sources: Vec<(IpAddr, f64)>,
    /// Why there are none.
    sources_trouble: Option<String>,
}

/// One service.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct Row {
    frontend: String,
    backend: Option<String>,
    protocol: String,
    binds: Vec<String>,
    /// Packets a second to its servers and from them; none for services that userspace terminates.
    packets: f64,
    /// Bits a second of those.
    bits: f64,
    /// New flows a second.
    flows: f64,
    /// Packets a second that were dropped.
    drops: f64,
}

impl Panel {
    /// What happened between two samples.
    pub(super) fn between(before: &Sample, after: &Sample, sources: &mut Sources) -> Self {
        let (sources, sources_trouble) = sources.take(MOST_SOURCES);
        Self {
            sources,
            sources_trouble,
            ..Self::of(before, after)
        }
    }

    fn of(before: &Sample, after: &Sample) -> Self {
        let seconds = (after.when.since(before.when).max(1) as f64) / 1000.0;
        let rate = |now: u64, then: u64| now.saturating_sub(then) as f64 / seconds;
        let then = reasons(&before.counters);
        let mut drops: Vec<(String, f64)> = reasons(&after.counters)
            .into_iter()
            .map(|(reason, packets)| {
                let then = then.get(reason).copied().unwrap_or_default();
                (reason.to_owned(), rate(packets, then))
            })
            .collect();
        drops.sort_by(|one, other| other.1.total_cmp(&one.1));
        let mut services: Vec<Row> = Vec::new();
        for service in &after.counters.services {
            let same = |known: &&Service| {
                known.frontend == service.frontend
                    && known.protocol == service.protocol
                    && known.binds == service.binds
            };
            let then = before.counters.services.iter().find(same);
            let now = Sums::of(service);
            let then = then.map_or(now, Sums::of);
            services.push(Row {
                frontend: service.frontend.clone(),
                backend: service.backend.clone(),
                protocol: service.protocol.clone(),
                binds: service.binds.clone(),
                packets: rate(now.packets, then.packets),
                bits: rate(now.bytes, then.bytes) * 8.0,
                flows: rate(now.flows, then.flows),
                drops: rate(now.drops, then.drops),
            });
        }
        let busy = |row: &Row| row.packets + row.drops;
        services.sort_by(|one, other| busy(other).total_cmp(&busy(one)));
        let interfaces = after.counters.interfaces.iter();
        Self {
            interfaces: interfaces
                .map(|interface| format!("{} ({})", interface.name, interface.mode))
                .collect(),
            flows: after.counters.flows,
            flow_limit: after.counters.flow_limit,
            drops,
            services,
            ..Self::default()
        }
    }
}

impl Row {
    /// Where it is: the first address, and how many more.
    fn bind(&self) -> String {
        match &self.binds[..] {
            [] => String::new(),
            [one] => format!("{} {one}", self.protocol),
            [one, rest @ ..] => format!("{} {one} +{}", self.protocol, rest.len()),
        }
    }
}

/// What a service counted, all its servers together.
#[derive(Clone, Copy, Default)]
struct Sums {
    packets: u64,
    bytes: u64,
    flows: u64,
    drops: u64,
}

impl Sums {
    fn of(service: &Service) -> Self {
        let drops = service.drops.iter().map(|drops| drops.packets).sum();
        let begin = Self {
            drops,
            ..Self::default()
        };
        service.servers.iter().fold(begin, |sum, server| Self {
            packets: sum.packets + server.packets_in + server.packets_out,
            bytes: sum.bytes + server.bytes_in + server.bytes_out,
            flows: sum.flows + server.flows,
            ..sum
        })
    }
}

/// All drops by reason.
fn reasons(counters: &Counters) -> BTreeMap<&str, u64> {
    let mut reasons = BTreeMap::new();
    let of_services = counters.services.iter().flat_map(|service| &service.drops);
    for drops in of_services.chain(&counters.unknown_drops) {
        *reasons.entry(drops.reason.as_str()).or_default() += drops.packets;
    }
    reasons
}

impl fmt::Display for Panel {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "{}; flows {} of {}",
            self.interfaces.join(" "),
            self.flows,
            self.flow_limit
        )?;
        writeln!(out, "\n{:<24} {:>12}", "DROPS BY REASON", "packets/s")?;
        if self.drops.is_empty() {
            writeln!(out, "{:<24} {:>12}", "none", short(0.0))?;
        }
        for (reason, rate) in &self.drops {
            writeln!(out, "{reason:<24} {:>12}", short(*rate))?;
        }
        // No wider than it has to be: a terminal cuts off what is on the right, and that is the drops.
        let binds: Vec<String> = self.services.iter().map(Row::bind).collect();
        let widest = |texts: &mut dyn Iterator<Item = &str>, head: &str| {
            let widths = texts.map(|text| text.chars().count());
            widths.max().unwrap_or(0).max(head.len())
        };
        let mut names = self.services.iter().map(|row| row.frontend.as_str());
        let name = widest(&mut names, "SERVICE");
        let address = widest(&mut binds.iter().map(String::as_str), "ADDRESS");
        writeln!(
            out,
            "\n{:<name$} {:<address$} {:>9} {:>8} {:>8} {:>8}",
            "SERVICE", "ADDRESS", "packets/s", "bits/s", "flows/s", "drops/s"
        )?;
        for (row, bind) in self.services.iter().zip(&binds) {
            let local = row.backend.is_none();
            let forwarded = |rate: f64| if local { "-".to_owned() } else { short(rate) };
            writeln!(
                out,
                "{:<name$} {bind:<address$} {:>9} {:>8} {:>8} {:>8}",
                row.frontend,
                forwarded(row.packets),
                forwarded(row.bits),
                forwarded(row.flows),
                short(row.drops)
            )?;
        }
        writeln!(out, "\n{:<40} {:>8}", "SOURCES OF DROPS (SAMPLED)", "share")?;
        match &self.sources_trouble {
            Some(trouble) => writeln!(out, "{trouble}")?,
            None if self.sources.is_empty() => writeln!(out, "none")?,
            None => {}
        }
        for (source, share) in &self.sources {
            writeln!(out, "{source:<40} {:>7.1}%", share * 100.0)?;
        }
        Ok(())
    }
}

/// A rate in three or four digits.
fn short(rate: f64) -> String {
    let units = [(1e9, "G"), (1e6, "M"), (1e3, "k")];
    match units.iter().find(|(unit, _)| rate >= *unit) {
        Some((unit, name)) => format!("{:.1}{name}", rate / unit),
        None => format!("{rate:.0}"),
    }
}

/// Sources on the panel.
const MOST_SOURCES: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(when: u64, drops: u64, packets: u64) -> Sample {
        let bytes = packets * 1000;
        let answer = format!(
            r#"{{"interfaces":[{{"name":"eth0","mode":"native"}}],"services":[
              {{"frontend":"web","backend":"pool","protocol":"tcp","binds":["192.0.2.1:80"],
                "drops":[{{"reason":"land","packets":{drops}}}],
                "servers":[{{"name":"s1","state":"up","trouble":null,"packets_in":{packets},
                  "bytes_in":{bytes},"packets_out":0,"bytes_out":0,"flows":7,"established":7}}]}},
              {{"frontend":"local","backend":null,"protocol":"tcp","binds":["192.0.2.1:81","192.0.2.2:81"],
                "drops":[],"servers":[]}}],
              "unknown_drops":[{{"reason":"bad-ip-header","packets":4}}],
              "flows":2,"flow_limit":4096,"notices":[]}}"#
        );
        Sample::read(&answer, Moment(when)).unwrap()
    }

    #[test]
    fn rates_are_what_came_between_two_samples() {
        let mut panel = Panel::of(&sample(1000, 10, 500), &sample(3000, 4010, 2500));
        panel.sources = vec![("198.51.100.7".parse().unwrap(), 0.25)];
        let text = panel.to_string();
        let line = |start: &str| {
            let line = text.lines().find(|line| line.starts_with(start));
            let words = line.unwrap_or_default().split_whitespace();
            words.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(line("eth0"), "eth0 (native); flows 2 of 4096");
        assert_eq!(line("land"), "land 2.0k");
        assert_eq!(line("bad-ip-header"), "bad-ip-header 0");
        assert_eq!(line("web"), "web tcp 192.0.2.1:80 1.0k 8.0M 0 2.0k");
        assert_eq!(line("local"), "local tcp 192.0.2.1:81 +1 - - - 0");
        assert_eq!(line("198.51.100.7"), "198.51.100.7 25.0%");
        assert_eq!(panel.drops[0], ("land".to_owned(), 2000.0));
        let widest = text.lines().map(str::len).max();
        assert!(widest <= Some(80), "a terminal shows all of it:\n{text}");
        let (before, after) = (sample(1000, 10, 500), sample(2000, 3, 0));
        let after_a_restart = Panel::of(&before, &after);
        assert_eq!(
            after_a_restart.services[0].packets, 0.0,
            "counters began anew"
        );
    }

    #[test]
    fn answer_without_counters_is_told() {
        let said = Sample::read("No kernel part: nothing.\n\n", Moment(0)).unwrap_err();
        assert_eq!(said, "No kernel part: nothing.");
    }
}
