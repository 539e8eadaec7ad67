//! The floods: hping3 for random sources, and our own sender for those of one network.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use socket2::{Domain, Protocol, Socket, Type};

use super::client::Target;
use super::ground::Ground;

/// One kind of flood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flood {
    /// None.
    None,
    /// SYNs with sources from everywhere.
    Spoofed,
    /// SYNs with sources that are listed.
    Listed,
}

/// The senders of a flood; they end when this is dropped.
pub(super) struct Senders(Vec<Child>);

impl Flood {
    /// All of them, the quiet first.
    pub(super) const ALL: [Self; 3] = [Self::None, Self::Spoofed, Self::Listed];

    /// What it is called.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Spoofed => "spoofed SYNs (hping3)",
            Self::Listed => "listed sources (own)",
        }
    }

    /// Starts the senders, one for each target. They end by themselves soon after `time`, whatever happens to us.
    pub(super) fn start(self, ground: &Ground, time: Duration) -> Result<Senders> {
        let mut senders = Senders(Vec::new());
        for target in Target::ALL {
            let to = target.address();
            let seconds = (time.as_secs() + 5).to_string();
            let mut command = ground.inside("flood");
            match self {
                Self::None => continue,
                Self::Spoofed => command
                    .args([
                        "timeout",
                        &seconds,
                        "hping3",
                        "--flood",
                        "--rand-source",
                        "-q",
                        "-S",
                    ])
                    .args(["-p", &to.port().to_string(), &to.ip().to_string()]),
                Self::Listed => command.arg(std::env::current_exe()?).args([
                    "bench-flood-source",
                    "--seconds",
                    &seconds,
                    &to.to_string(),
                ]),
            };
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            senders
                .0
                .push(command.spawn().context("cannot start a flood")?);
        }
        Ok(senders)
    }
}

impl Drop for Senders {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let pid = rustix::process::Pid::from_child(child);
            // `timeout` hands this one on to what it runs.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            let _ = child.wait();
        }
    }
}

/// What the hidden `bench-flood-source` takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// How long to send.
    #[arg(long)]
    seconds: u64,
    /// Whereto.
    target: SocketAddrV4,
}

/// Sends SYNs from addresses of the listed network, as fast as it goes.
pub(crate) fn run(options: &Options) -> Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(RAW)))?;
    socket.set_header_included_v4(true)?;
    let end = Instant::now() + Duration::from_secs(options.seconds);
    let target = socket2::SockAddr::from(options.target);
    let mut random = 0x2545_f491_u32;
    let mut sent = 0_u64;
    while sent & 0x3ff != 0 || Instant::now() < end {
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        let [_, b, c, d] = random.to_be_bytes();
        let packet = syn(
            Ipv4Addr::new(LISTED, b, c, d),
            random as u16 | 1024,
            options.target,
        );
        // A full queue is what a flood is for.
        let _ = socket.send_to(&packet, &target);
        sent += 1;
    }
    Ok(())
}

/// A SYN with its checksums; the kernel fills in what else IPv4 needs.
fn syn(source: Ipv4Addr, port: u16, target: SocketAddrV4) -> [u8; 40] {
    let mut packet = [0; 40];
    packet[0] = 0x45;
    packet[3] = 40;
    packet[8] = 64;
    packet[9] = 6;
    packet[12..16].copy_from_slice(&source.octets());
    packet[16..20].copy_from_slice(&target.ip().octets());
    packet[20..22].copy_from_slice(&port.to_be_bytes());
    packet[22..24].copy_from_slice(&target.port().to_be_bytes());
    packet[24..28].copy_from_slice(&source.octets());
    packet[32] = 0x50;
    packet[33] = 2;
    packet[34..36].copy_from_slice(&[0xff, 0xff]);
    let words = packet[12..]
        .chunks_exact(2)
        .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let mut sum = words.sum::<u32>() + 6 + 20;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    packet[36..38].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    packet
}

/// First number of the network that is listed.
pub(super) const LISTED: u8 = 45;
/// `IPPROTO_RAW`.
const RAW: i32 = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_of_a_syn_is_right() {
        let packet = syn(
            Ipv4Addr::new(45, 1, 2, 3),
            4000,
            "198.51.100.1:80".parse().unwrap(),
        );
        let pseudo = [0, 6, 0, 20];
        let all = packet[12..]
            .iter()
            .chain(&pseudo)
            .copied()
            .collect::<Vec<u8>>();
        let words = all
            .chunks(2)
            .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
        let mut sum: u32 = words.sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        assert_eq!(sum, 0xffff);
    }
}
