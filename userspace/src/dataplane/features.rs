//! Which of an interface's features matter to XDP, asked over ethtool's generic netlink family.
//!
//! Input is an interface's number, output what is switched on now. The messages are those of the kernel's documents
//! (Documentation/networking/ethtool-netlink.rst, Documentation/userspace-api/netlink/intro.rst); numbers are in the
//! machine's byte order, attributes are padded to four bytes. A kernel without the family tells nothing.

use std::os::fd::OwnedFd;

use rustix::net::netlink::{GENERIC, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

/// What is switched on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Features {
    /// Packets are merged by the device, for good (`lro`).
    pub lro: bool,
    /// Packets are merged by the device (`rx-gro-hw`).
    pub gro_hw: bool,
    /// Packets are merged by the kernel, after XDP (`gro`); a veth device with it takes what is redirected to it.
    pub gro: bool,
}

/// A socket to ask over.
pub(super) struct Ethtool {
    socket: OwnedFd,
    family: u16,
}

impl Ethtool {
    /// Opens it in the calling thread's network namespace; `None` where the kernel has no such family.
    pub(super) fn open() -> Option<Self> {
        let socket = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(GENERIC),
        )
        .ok()?;
        rustix::net::connect(&socket, &SocketAddrNetlink::new(0, 0)).ok()?;
        let mut name = FAMILY.to_vec();
        name.push(0);
        let question = message(CONTROL, GET_FAMILY, &attribute(FAMILY_NAME, &name));
        let answer = ask(&socket, &question)?;
        let number = find(&answer, FAMILY_ID)?;
        let family = u16::from_ne_bytes(number.try_into().ok()?);
        Some(Self { socket, family })
    }

    /// What is switched on at an interface; `None` where it is not told.
    pub(super) fn features(&self, interface: u32) -> Option<Features> {
        let device = attribute(DEVICE_INDEX, &interface.to_ne_bytes());
        let question = message(
            self.family,
            GET_FEATURES,
            &attribute(NESTED | HEADER, &device),
        );
        read(&ask(&self.socket, &question)?)
    }
}

/// The features an answer tells of.
fn read(answer: &[u8]) -> Option<Features> {
    let mut features = Features::default();
    for (kind, bit) in attributes(find(find(answer, ACTIVE)?, BITS)?) {
        if kind != BIT {
            continue;
        }
        let name = find(bit, BIT_NAME)?;
        match name.strip_suffix(&[0])? {
            b"rx-lro" => features.lro = true,
            b"rx-gro-hw" => features.gro_hw = true,
            b"rx-gro" => features.gro = true,
            _ => {}
        }
    }
    Some(features)
}

/// Sends a question and returns the attributes of its answer.
fn ask(socket: &OwnedFd, question: &[u8]) -> Option<Vec<u8>> {
    rustix::net::send(socket, question, SendFlags::empty()).ok()?;
    let mut buffer = vec![0; LONGEST];
    let (length, _) = rustix::net::recv(socket, buffer.as_mut_slice(), RecvFlags::empty()).ok()?;
    let kind = buffer.get(4..6)?;
    if u16::from_ne_bytes(kind.try_into().ok()?) == ERROR {
        return None;
    }
    Some(buffer.get(HEADS..length)?.to_vec())
}

/// A request of a family with its attributes.
fn message(family: u16, command: u8, attributes: &[u8]) -> Vec<u8> {
    let length = (HEADS + attributes.len()) as u32;
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(family.to_ne_bytes());
    bytes.extend(REQUEST.to_ne_bytes());
    // Serial and port: there is one question at a time.
    bytes.extend([0; 8]);
    bytes.extend([command, 1, 0, 0]);
    bytes.extend(attributes);
    bytes
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = ((4 + value.len()) as u16).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// The attributes in some bytes; what does not look like one ends them.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let [a, b, c, d] = *bytes.first_chunk::<4>()?;
        let length = usize::from(u16::from_ne_bytes([a, b]));
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes([c, d]) & !NESTED, value))
    })
}

fn find(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut all = attributes(bytes);
    all.find_map(|(kind, value)| (kind == wanted).then_some(value))
}

/// The family's name.
const FAMILY: &[u8] = b"ethtool";
/// `struct nlmsghdr` and `struct genlmsghdr`.
const HEADS: usize = 20;
/// More than any answer has.
const LONGEST: usize = 32 * 1024;

// linux/netlink.h and linux/genetlink.h
const REQUEST: u16 = 1;
const ERROR: u16 = 2;
const NESTED: u16 = 0x8000;
const CONTROL: u16 = 16;
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;

// linux/ethtool_netlink.h
const GET_FEATURES: u8 = 11;
const HEADER: u16 = 1;
const DEVICE_INDEX: u16 = 1;
const ACTIVE: u16 = 4;
const BITS: u16 = 3;
const BIT: u16 = 1;
const BIT_NAME: u16 = 2;

#[cfg(test)]
mod tests {
    use super::super::netns;
    use super::*;

    fn bits(names: &[&[u8]]) -> Vec<u8> {
        let bit = |name: &&[u8]| {
            let name = [*name, &[0]].concat();
            attribute(NESTED | BIT, &attribute(BIT_NAME, &name))
        };
        let bits: Vec<u8> = names.iter().flat_map(bit).collect();
        attribute(NESTED | ACTIVE, &attribute(NESTED | BITS, &bits))
    }

    #[test]
    fn what_is_on_is_read_and_the_rest_is_off() {
        let answer = bits(&[b"rx-checksum", b"rx-lro", b"rx-gro-hw"]);
        let features = Features {
            lro: true,
            gro_hw: true,
            gro: false,
        };
        assert_eq!(read(&answer), Some(features));
        assert_eq!(read(&bits(&[])), Some(Features::default()));
    }

    #[test]
    fn no_answer_makes_it_panic() {
        let answer = bits(&[b"rx-lro", b"rx-gro"]);
        for cut in 0..answer.len() {
            // Whatever is left, it is read or it is not.
            let _ = read(&answer[..cut]);
        }
        assert_eq!(read(&[0; 40]), None);
        assert_eq!(read(&[0xff; 40]), None);
    }

    #[test]
    fn kernel_tells_what_is_switched() {
        if !netns::available() {
            return;
        }
        let (one, other) = (
            netns::Namespace::new("feat"),
            netns::Namespace::new("featp"),
        );
        one.connect("fe0", &other, "fe1");
        let number = one.exec("cat /sys/class/net/fe0/ifindex");
        let number: u32 = number.trim().parse().unwrap();
        let gro = || {
            let features = one.inside(|| Ethtool::open()?.features(number));
            features.expect("the kernel tells").gro
        };
        for (word, on) in [("off", false), ("on", true)] {
            one.exec(&format!("ethtool -K fe0 gro {word}"));
            assert_eq!(gro(), on);
        }
        let nobody = one.inside(|| Ethtool::open().unwrap().features(4_000_000));
        assert_eq!(nobody, None);
    }
}
