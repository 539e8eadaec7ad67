//! The floods: hping3, which sends through the stack, and our own sender, which makes frames in the kernel at a rate that
//! is bounded.
//!
//! The sender is a program of `xdp-ebpf/src/stream.rs`, run by `BPF_PROG_TEST_RUN` in its mode of live frames: what it makes
//! leaves the device as if it had been forwarded there. It keeps the rate itself, and runs in vain while nothing is due.

use std::io::Read as _;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aya::EbpfLoader;
use aya::maps::{Array, MapData, PerCpuArray};
use aya::programs::{TestRun, TestRunAttrs, TestRunOptions, Xdp};
use clap::Args;

use super::client::Target;
use super::ground::{Ground, WORLD};

/// One kind of flood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flood {
    /// None.
    None,
    /// SYNs with sources from everywhere, as many as hping3 makes in the time that is left.
    Hping,
    /// SYNs with sources from everywhere, made in the kernel.
    Spoofed,
    /// The same with sources that are listed.
    Listed,
}

/// The senders of a flood; they end when this is dropped.
pub(super) struct Senders(Vec<Child>);

impl Flood {
    /// All of them, the quiet first.
    pub(super) const ALL: [Self; 4] = [Self::None, Self::Hping, Self::Spoofed, Self::Listed];

    /// What it is called.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Hping => "spoofed, hping3",
            Self::Spoofed => "spoofed, live frames",
            Self::Listed => "listed, live frames",
        }
    }

    /// Starts the senders, for both targets, with `rate` packets a second where that can be said. They end by themselves soon
    /// after `time`, whatever happens to us.
    pub(super) fn start(
        self,
        ground: &Ground,
        object: &Path,
        rate: u64,
        time: Duration,
    ) -> Result<Senders> {
        let mut senders = Senders(Vec::new());
        let seconds = time.as_secs().to_string();
        match self {
            Self::None => {}
            Self::Hping => {
                for to in Target::ALL.map(Target::address) {
                    let mut command = ground.patient(NAMESPACE, WORLD);
                    command.args(["timeout", &seconds, "hping3", "--flood", "--rand-source"]);
                    command
                        .args(["-q", "-S", "-p", &to.port().to_string()])
                        .arg(to.ip().to_string());
                    senders.spawn(&mut command)?;
                }
            }
            Self::Spoofed | Self::Listed => {
                let mut command = ground.patient(NAMESPACE, WORLD);
                command
                    .arg(std::env::current_exe()?)
                    .arg("bench-flood-source")
                    .args(["--seconds", &seconds])
                    .args(["--rate", &rate.to_string()])
                    .arg("--object")
                    .arg(object)
                    .args(["--interface", &ground.outside_number()?.to_string()])
                    .args(["--mac", &ground.balancer_mac()?]);
                if self == Self::Listed {
                    command.arg("--listed");
                }
                for to in Target::ALL.map(Target::address) {
                    command.arg(to.to_string());
                }
                senders.spawn(&mut command)?;
            }
        }
        Ok(senders)
    }
}

impl Senders {
    fn spawn(&mut self, command: &mut Command) -> Result<()> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        self.0
            .push(command.spawn().context("cannot start a flood")?);
        Ok(())
    }

    /// Waits until they have ended; how many packets they say they have sent, if they count.
    pub(super) fn end(mut self) -> Option<u64> {
        let mut sent = None;
        for child in &mut self.0 {
            let mut text = String::new();
            if let Some(output) = &mut child.stdout {
                let _ = output.read_to_string(&mut text);
            }
            if let Ok(number) = text.trim().parse::<u64>() {
                *sent.get_or_insert(0) += number;
            }
        }
        sent
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
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=130))]
    seconds: u64,
    /// Packets a second.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    rate: u64,
    /// The object with the program.
    #[arg(long)]
    object: PathBuf,
    /// Number of the device.
    #[arg(long)]
    interface: u32,
    /// Whose frames they are, as `00:11:22:33:44:55`.
    #[arg(long)]
    mac: String,
    /// From the listed network.
    #[arg(long)]
    listed: bool,
    /// Whereto, in turns.
    #[arg(num_args = 2)]
    targets: Vec<SocketAddrV4>,
}

/// Sends SYNs and prints how many.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut programs = EbpfLoader::new().load_file(&options.object)?;
    let (first, differing) = if options.listed {
        (u32::from(LISTED) << 24, 0x00ff_ffff)
    } else {
        // 64.0.0.0/4, which nothing else here has to do with.
        (0x4000_0000, 0x0fff_ffff)
    };
    let mac = mac(&options.mac)?;
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let map = programs.map_mut("syns").context("no map")?;
    let mut syns: Array<&mut MapData, [u64; WORDS + 6]> = map.try_into()?;
    for (number, target) in (0..).zip(&options.targets) {
        let mut value = words(&frame(mac, *target), first, differing);
        value[WORDS + 4] = options.rate;
        value[WORDS + 5] = now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64;
        syns.set(number, value, 0)?;
    }
    let frame = [0; LENGTH];
    let program: &mut Xdp = programs
        .program_mut("flood")
        .context("no program")?
        .try_into()?;
    program.load()?;
    let context: Vec<u8> = [0, LENGTH as u32, 0, options.interface, 0, 0]
        .iter()
        .flat_map(|word: &u32| word.to_ne_bytes())
        .collect();
    let end = Instant::now() + Duration::from_secs(options.seconds);
    while Instant::now() < end {
        let mut run = TestRunOptions::new();
        run.data_in = Some(&frame);
        run.ctx_in = Some(&context);
        run.repeat = TURNS;
        run.attrs = TestRunAttrs::new().xdp_live_frames(BATCH);
        program.test_run(run)?;
    }
    let map = programs.map("sent").context("no map")?;
    let sent: PerCpuArray<&MapData, u64> = map.try_into()?;
    println!("{}", sent.get(&0, 0)?.iter().sum::<u64>());
    Ok(())
}

fn mac(text: &str) -> Result<[u8; 6]> {
    let bytes: Vec<u8> = text
        .split(':')
        .map(|byte| u8::from_str_radix(byte, 16))
        .collect::<Result<_, _>>()?;
    let bytes: Result<[u8; 6], _> = bytes.try_into();
    ensure!(bytes.is_ok(), "'{text}' is no hardware address");
    Ok(bytes.unwrap_or_default())
}

/// A SYN with neither source nor sequence number nor checksums.
fn frame(mac: [u8; 6], target: SocketAddrV4) -> [u8; LENGTH] {
    let mut frame = [0; LENGTH];
    frame[..6].copy_from_slice(&mac);
    frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 0x66]);
    frame[12..14].copy_from_slice(&[8, 0]);
    frame[14..26].copy_from_slice(&[0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0]);
    frame[30..34].copy_from_slice(&target.ip().octets());
    frame[36..38].copy_from_slice(&target.port().to_be_bytes());
    frame[46..50].copy_from_slice(&[0x50, 2, 0xff, 0xff]);
    frame
}

/// The value of map `syns` but for its last words; see `xdp-ebpf/src/stream.rs`.
fn words(frame: &[u8; LENGTH], first: u32, differing: u32) -> [u64; WORDS + 6] {
    let mut words = [0; WORDS + 6];
    for (word, bytes) in words.iter_mut().zip(frame.chunks_exact(8)).take(WORDS) {
        *word = bytes
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u64::from(*byte));
    }
    let sum = |bytes: &[u8]| -> u64 {
        let pairs = bytes.chunks_exact(2);
        pairs
            .map(|pair| u64::from(u16::from_be_bytes([pair[0], pair[1]])))
            .sum()
    };
    words[WORDS] = u64::from(first);
    words[WORDS + 1] = u64::from(differing);
    words[WORDS + 2] = sum(&frame[14..34]);
    // The pseudo header has the protocol and the length besides the addresses.
    words[WORDS + 3] = sum(&frame[30..54]) + 6 + 20;
    words
}

/// Where floods come from.
const NAMESPACE: &str = "outside";
/// First number of the network that is listed.
pub(super) const LISTED: u8 = 45;
/// Bytes of a frame.
const LENGTH: usize = 60;
/// Words of it that the program writes.
const WORDS: usize = 7;
/// Frames that are made at once; a wire has room for four times as many.
const BATCH: u32 = 64;
/// How often the program runs before somebody looks at the time: most of a second, because the kernel takes more than twenty
/// milliseconds to tidy up after a run.
const TURNS: u32 = 2_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(bytes: &[u8]) -> u64 {
        let pairs = bytes.chunks(2);
        let mut sum: u64 = pairs
            .map(|pair| u64::from(u16::from_be_bytes([pair[0], pair[1]])))
            .sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum
    }

    /// What the program makes of its words.
    #[test]
    fn sums_of_a_syn_are_those_of_its_headers() {
        let mut frame = frame([2; 6], "198.51.100.1:8000".parse().unwrap());
        let words = words(&frame, 0x2d00_0000, 0x00ff_ffff);
        let (source, port, sequence) = ([45, 1, 2, 3], [0x10, 0x20], [9, 8, 7, 6]);
        let added = folded(&source);
        let checksum = |sum: u64| !(folded(&(sum as u32).to_be_bytes()) as u16);
        let header = checksum(words[WORDS + 2] + added);
        let text = folded(&port) + folded(&sequence);
        let segment = checksum(words[WORDS + 3] + added + text);
        frame[26..30].copy_from_slice(&source);
        frame[34..36].copy_from_slice(&port);
        frame[38..42].copy_from_slice(&sequence);
        frame[24..26].copy_from_slice(&header.to_be_bytes());
        frame[50..52].copy_from_slice(&segment.to_be_bytes());
        assert_eq!(folded(&frame[14..34]), 0xffff);
        let pseudo = [&frame[26..34], &[0, 6, 0, 20], &frame[34..54]].concat();
        assert_eq!(folded(&pseudo), 0xffff);
        assert_eq!(words[0].to_le_bytes(), frame[..8]);
    }
}
