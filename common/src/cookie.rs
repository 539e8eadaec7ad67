//! SYN cookies of this machine's own stack, sent from the driver.
//!
//! A cookie is the sequence number of a SYN-ACK from which the stack knows the connection again when it is acknowledged,
//! so that nothing has to be remembered in between. The stack computes it and checks it ([`crate::frame::Tables::cookie`],
//! [`crate::frame::Tables::admission`]); here is what it is asked with, [`Headers`], and how the client's options travel in
//! the timestamp that the client echoes, as the stack reads them there. Without timestamps a connection has only the
//! largest segment.

use crate::frame::Frame;
use crate::parse::{Packet, TCP};
use crate::syn::Offer;

/// The headers of a segment as the stack wants to see them, in memory of their own.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Headers {
    /// An IP header of which only version and addresses count; of IPv4 in the last 20 bytes.
    pub network: [u32; 10],
    /// The TCP header with its options, right behind it.
    pub transport: [u32; 16],
}

/// What the stack says of an acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It knows the connection, or nobody listens: it is the stack's to answer.
    Known,
    /// It acknowledges a cookie.
    Proven,
    /// It acknowledges nothing that was ever sent.
    Forged,
}

/// What a client's SYN offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offered {
    /// Whether it has a timestamp.
    pub is_timed: bool,
    /// That, network order.
    pub timestamp_be: [u8; 4],
    /// Its window scale; [`NO_SCALE`] is none.
    pub scale: u8,
    /// Selective acknowledgements.
    pub selective: bool,
}

impl Headers {
    /// Copies the headers of a packet that is not in parts.
    #[inline(always)]
    pub fn load(&mut self, frame: &impl Frame, packet: &Packet) -> Option<()> {
        let network = &packet.network;
        if network.is_v4 {
            self.network[5] = u32::from_ne_bytes([0x45, 0, 0, 0]);
            self.network[6] = 0;
            self.network[7] = u32::from_ne_bytes([64, TCP, 0, 0]);
            self.network[8] = u32::from_ne_bytes(network.source.v4_bytes());
            self.network[9] = u32::from_ne_bytes(network.destination.v4_bytes());
        } else {
            self.network[0] = u32::from_ne_bytes([0x60, 0, 0, 0]);
            self.network[1] = u32::from_ne_bytes([0, 0, TCP, 64]);
            let [a, b, c, d] = quarters(network.source.bytes());
            let [e, f, g, h] = quarters(network.destination.bytes());
            let [_, _, rest @ ..] = &mut self.network;
            *rest = [a, b, c, d, e, f, g, h];
        }
        let begin = frame.hide(network.payload_at as usize);
        let length = frame.hide(packet.transport.length as usize);
        let mut word = 0;
        while word < LONGEST {
            if word * 4 >= length {
                break;
            }
            self.transport[word] = u32::from_ne_bytes(frame.load::<4>(begin + word * 4)?);
            word += 1;
        }
        Some(())
    }

    /// The client's sequence number, network order.
    #[inline(always)]
    pub const fn sequence_be(&self) -> [u8; 4] {
        self.transport[1].to_ne_bytes()
    }

    /// What it acknowledges.
    #[inline(always)]
    pub const fn acknowledged(&self) -> u32 {
        u32::from_be(self.transport[2])
    }
}

impl Offered {
    /// Reads the options of a SYN; those behind a malformed one do not count.
    #[inline(always)]
    pub fn load(&mut self, frame: &impl Frame, packet: &Packet) {
        *self = Self {
            scale: NO_SCALE,
            ..Self::default()
        };
        let begin = packet.network.payload_at as usize;
        let mut at = begin + 20;
        let mut option = 0;
        while option < OPTIONS {
            option += 1;
            at = frame.hide(at);
            let end = frame.hide(begin + packet.transport.length as usize);
            if at >= end {
                return;
            }
            let Some([kind]) = frame.load::<1>(at) else {
                return;
            };
            if kind == END {
                return;
            }
            if kind == NOTHING {
                at += 1;
                continue;
            }
            let Some([length]) = frame.load::<1>(at + 1) else {
                return;
            };
            if length < 2 || at + length as usize > end {
                return;
            }
            if kind == SCALE && length == 3 {
                if let Some([scale]) = frame.load::<1>(at + 2) {
                    self.scale = if scale > LARGEST_SCALE {
                        LARGEST_SCALE
                    } else {
                        scale
                    };
                }
            } else if kind == SELECTIVE && length == 2 {
                self.selective = true;
            } else if kind == TIMESTAMP
                && length == 10
                && let Some(timestamp) = frame.load::<4>(at + 2)
            {
                (self.is_timed, self.timestamp_be) = (true, timestamp);
            }
            at += length as usize;
        }
    }

    /// The options of the SYN-ACK, padded to [`OPTIONS_WITH_TIME`] words where there are timestamps, else the largest
    /// segment alone. `now` is the stack's clock in milliseconds.
    #[inline(always)]
    pub fn answer(
        &self,
        offer: Offer,
        segment: u16,
        now: u32,
    ) -> ([[u8; 4]; OPTIONS_WITH_TIME], usize) {
        let [m, n] = segment.to_be_bytes();
        let mut words = [[SEGMENT, 4, m, n], [0; 4], [0; 4], [0; 4], [0; 4]];
        if !self.is_timed {
            return (words, 1);
        }
        words[1] = if self.selective {
            [SELECTIVE, 2, TIMESTAMP, 10]
        } else {
            [NOTHING, NOTHING, TIMESTAMP, 10]
        };
        words[2] = self.stamp(now).to_be_bytes();
        words[3] = self.timestamp_be;
        words[4] = if self.scale == NO_SCALE {
            [NOTHING; 4]
        } else {
            [NOTHING, SCALE, 3, offer.scale]
        };
        (words, OPTIONS_WITH_TIME)
    }

    /// The latest moment not after `now` whose last bits are the options (the kernel's `cookie_init_timestamp`): what the
    /// client scales its window by, all ones for not at all, and whether it acknowledges selectively.
    #[inline(always)]
    const fn stamp(&self, now: u32) -> u32 {
        let scale = self.scale & NO_SCALE;
        let bits = scale as u32 | ((self.selective as u32) << 4);
        let stamp = (now & !0x3f) | bits;
        if stamp > now {
            stamp.wrapping_sub(0x40)
        } else {
            stamp
        }
    }
}

#[inline(always)]
const fn quarters(bytes: [u8; 16]) -> [u32; 4] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = bytes;
    [
        u32::from_ne_bytes([a, b, c, d]),
        u32::from_ne_bytes([e, f, g, h]),
        u32::from_ne_bytes([i, j, k, l]),
        u32::from_ne_bytes([m, n, o, p]),
    ]
}

/// No window scale.
pub const NO_SCALE: u8 = 0xf;
/// Words of options with timestamps.
pub const OPTIONS_WITH_TIME: usize = 5;
const LARGEST_SCALE: u8 = 14;
/// Words of the longest TCP header.
const LONGEST: usize = 15;
/// As many as fit, each of one byte at least; nobody pads more than half of them.
const OPTIONS: usize = 24;
const END: u8 = 0;
const NOTHING: u8 = 1;
const SEGMENT: u8 = 2;
const SCALE: u8 = 3;
const SELECTIVE: u8 = 4;
const TIMESTAMP: u8 = 8;

const _: () = assert!(size_of::<Headers>() == 104);

#[cfg(test)]
mod tests;
