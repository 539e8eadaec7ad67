//! Valid frames of every kind, and random changes to them.
//!
//! Input is a seed; output is an endless row of frames, the same for the same seed. Most changes are small, and most of
//! them hit headers: a frame that is wrong everywhere is refused at its first field and shows nothing of the rest.

use crate::packet::{ACK, FIN, PSH, Packet, RST, SYN, tcp, udp};

/// A seeded generator of frames.
pub(crate) struct Frames {
    bases: Vec<Vec<u8>>,
    state: u64,
}

impl Frames {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            bases: bases().iter().map(Packet::bytes).collect(),
            state: seed ^ 0x9e37_79b9_7f4a_7c15,
        }
    }

    /// The next frame.
    pub(crate) fn frame(&mut self) -> Vec<u8> {
        let mut frame = self.base();
        for _ in 0..self.below(4) {
            self.change(&mut frame);
        }
        frame.resize(frame.len().clamp(14, 1900), 0);
        frame
    }

    fn base(&mut self) -> Vec<u8> {
        let at = self.below(self.bases.len());
        self.bases[at].clone()
    }

    fn change(&mut self, frame: &mut Vec<u8>) {
        let headers = frame.len().clamp(1, 110);
        let at = self.below(headers).min(frame.len().saturating_sub(1));
        match self.below(12) {
            0..3 if !frame.is_empty() => frame[at] ^= 1 << self.below(8),
            3..6 if !frame.is_empty() => frame[at] = self.interesting(),
            6 => frame.truncate(at),
            7 => {
                let more = self.below(40);
                frame.extend((0..more).map(|byte| byte as u8));
            }
            8 => {
                let inserted = vec![self.interesting(); 1 + self.below(8)];
                frame.splice(at..at, inserted);
            }
            9 => {
                let end = (at + 1 + self.below(8)).min(frame.len());
                frame.drain(at.min(end)..end);
            }
            10 => {
                let other = self.base();
                let keep = at.min(other.len());
                frame.truncate(at);
                frame.extend(&other[keep..]);
            }
            // Another client, so that tables fill: somewhere in the addresses or ports.
            _ => {
                for byte in 0..2 {
                    let at = 26 + self.below(14) + byte;
                    if let Some(place) = frame.get_mut(at) {
                        *place = self.next() as u8;
                    }
                }
            }
        }
    }

    fn interesting(&mut self) -> u8 {
        const VALUES: [u8; 24] = [
            0, 1, 2, 4, 5, 6, 7, 17, 18, 19, 20, 40, 43, 44, 58, 60, 63, 64, 0x45, 0x60, 127, 128,
            0xe0, 255,
        ];
        match self.below(3) {
            0 => self.next() as u8,
            _ => VALUES[self.below(VALUES.len())],
        }
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    /// splitmix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.state;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }
}

/// What the configuration of [`crate::mutations`] has a use for, and what it has not.
fn bases() -> Vec<Packet> {
    let mut all = Vec::new();
    let services = [
        (
            "203.0.113.10:40000",
            "198.51.100.1",
            "10.0.0.254",
            "10.0.0.1",
        ),
        (
            "[2001:db8:c::10]:40000",
            "[2001:db8:80::1]",
            "[2001:db8:2::fe]",
            "[2001:db8:2::1]",
        ),
    ];
    let nothing = &[1, 4, 0, 0, 0, 0];
    for (client, service, our, server) in services {
        let is_v4 = !client.starts_with('[');
        // nat, dsr, dnat, ipip, gue, lists and rates, userspace.
        for port in [80, 81, 82, 83, 84, 85, 86, 9005] {
            let to = format!("{service}:{port}");
            for flags in [SYN, ACK, ACK | PSH, ACK | FIN, RST, SYN | ACK] {
                all.push(tcp(client, &to, flags).payload(&[7; 3]));
            }
            let syn = || tcp(client, &to, SYN).tcp_options(&[2, 4, 5, 0xb4]);
            all.push(syn().tag(0x8100, 100));
            all.push(syn().tag(0x88a8, 200).tag(0x8100, 100));
            all.push(tcp(client, &to, ACK).payload(&[9; 1440]));
            if is_v4 {
                all.push(syn().options(&[7, 7, 4, 0, 0, 0, 0, 1]));
                all.push(syn().options(&[1; 40]));
            } else {
                all.push(syn().extension(0, nothing).extension(60, nothing));
                all.push(syn().extension(43, &[0, 0, 0, 0, 0, 0]));
            }
        }
        for port in [53, 54, 55] {
            let to = format!("{service}:{port}");
            let datagram = || udp(client, &to);
            all.push(datagram());
            all.push(datagram().payload(&[9; 1400]));
            all.push(datagram().tag(0x8100, 100));
            if is_v4 {
                all.push(datagram().unsummed());
                all.push(datagram().network_says(6, &[0x20, 0]).payload(&[7; 16]));
                all.push(datagram().network_says(6, &[0, 3]));
            } else {
                all.push(
                    datagram()
                        .payload(&[7; 16])
                        .extension(44, &[0, 1, 0, 0, 0, 9]),
                );
                all.push(datagram().extension(44, &[0, 24, 0, 0, 0, 9]));
            }
        }
        // Answers, whose port is a matter of luck.
        for port in 1024..1034 {
            let (from, to) = (format!("{server}:8080"), format!("{our}:{port}"));
            all.push(tcp(&from, &to, SYN | ACK));
            all.push(tcp(&from, &to, ACK | PSH).payload(&[7; 20]));
            all.push(udp(&format!("{server}:53"), &to));
        }
        // Echo requests, and errors that quote a packet.
        let to = format!("{service}:80");
        let (protocol_at, kinds): (usize, &[u8]) = if is_v4 {
            (9, &[8, 3, 11, 12, 5])
        } else {
            (6, &[128, 1, 2, 3, 135])
        };
        for &kind in kinds {
            let quoted = tcp(&to, client, ACK).bytes();
            let message = [&[kind, 0, 0, 0, 0, 0, 5, 0], &quoted[14..]].concat();
            let protocol = if is_v4 { 1 } else { 58 };
            all.push(
                udp(client, &to)
                    .payload(&message[..])
                    .network_says(protocol_at, &[protocol])
                    .transport_says(0, &message[..8]),
            );
        }
    }
    let link = |packet: Packet| packet.link([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 0x0c]);
    all.into_iter().map(link).collect()
}
