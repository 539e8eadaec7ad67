//! An entry as one line of text, for the process that replaces this one (see [`crate::state`]'s `memory`).
//!
//! `entry <key in hex> <age> <server or -> <datum>…`, where a datum is `name:element=value`, or for a rate
//! `name:element=age/current/previous/period`. Connections in progress are not handed on: their sessions stay behind.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::{Entry, Kind, StickTable};
use crate::clock::Moment;
use crate::expr::{StickKey, StickType};
use crate::state::freq::Rate;

impl StickTable {
    /// Writes every live entry.
    pub(in crate::state) fn recall(&self, text: &mut String, now: Moment) {
        for entry in self.entries(now) {
            entry.recall(text, now);
        }
    }

    /// Takes an entry over; nothing happens where the words make no sense or there is no room.
    pub(in crate::state) fn remember(&self, words: &[&str], now: Moment) -> Option<()> {
        let [key, age, server, data @ ..] = words else {
            return None;
        };
        let key = key_of(self.key, &bytes_of(key)?)?;
        let age: u64 = age.parse().ok()?;
        if self.lifetime().is_some_and(|lifetime| age >= lifetime) {
            return None;
        }
        let entry = self.entry(&key, now)?;
        for datum in data {
            // A datum of another kind or period than ours has no place here.
            let _ = entry.remember(datum, now);
        }
        if *server != "-" {
            let name = String::from_utf8(bytes_of(server)?).ok()?;
            entry.data.lock().server = Some(Arc::from(name));
        }
        entry.touched.store(now.0.saturating_sub(age), Relaxed);
        Some(())
    }
}

impl Entry {
    fn recall(&self, text: &mut String, now: Moment) {
        let age = now.since(self.touched());
        let data = self.data.lock();
        let server = data.server.as_ref();
        let server = server.map_or_else(|| "-".to_owned(), |name| hex(name.as_bytes()));
        // Writing to a String cannot fail.
        let _ = write!(text, "entry {} {age} {server}", hex(&key_bytes(&self.key)));
        for slot in self
            .layout
            .slots()
            .filter(|slot| slot.kind != Kind::ConnCur)
        {
            for element in 0..usize::from(slot.length) {
                let name = slot.kind.name();
                let _ = match slot.kind.is_rate() {
                    false => write!(text, " {name}:{element}={}", data.values[slot.at + element]),
                    true => {
                        let (start, current, previous) = data.rates[slot.at + element].parts();
                        let age = now.since(Moment(start));
                        let period = slot.period;
                        write!(
                            text,
                            " {name}:{element}={age}/{current}/{previous}/{period}"
                        )
                    }
                };
            }
        }
        text.push('\n');
    }

    fn remember(&self, datum: &str, now: Moment) -> Option<()> {
        let (place, value) = datum.split_once('=')?;
        let (name, element) = place.split_once(':')?;
        let slot = self.layout.slot(Kind::named(name)?)?;
        let element: usize = element.parse().ok().filter(|at| *at < slot.length.into())?;
        let at = slot.at + element;
        let mut data = self.data.lock();
        if !slot.kind.is_rate() {
            data.values[at] = value.parse().ok()?;
            return Some(());
        }
        let parts: Vec<u64> = value
            .split('/')
            .map(|part| part.parse().ok())
            .collect::<Option<_>>()?;
        let [age, current, previous, period] = *parts.as_slice() else {
            return None;
        };
        if period == slot.period {
            let start = now.0.saturating_sub(age);
            data.rates[at] = Rate::of(start, current as u32, previous as u32);
        }
        Some(())
    }
}

fn key_bytes(key: &StickKey) -> Vec<u8> {
    match key {
        StickKey::Ipv4(address) => address.octets().to_vec(),
        StickKey::Ipv6(address) => address.octets().to_vec(),
        StickKey::Integer(number) => number.to_be_bytes().to_vec(),
        StickKey::Bytes(bytes) => bytes.to_vec(),
    }
}

fn key_of(kind: StickType, bytes: &[u8]) -> Option<StickKey> {
    Some(match kind {
        StickType::Ipv4 => StickKey::Ipv4(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        StickType::Ipv6 => StickKey::Ipv6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
        StickType::Integer => StickKey::Integer(u32::from_be_bytes(bytes.try_into().ok()?)),
        StickType::Str(most) if bytes.len() <= most => StickKey::Bytes(bytes.into()),
        StickType::Bin(length) if bytes.len() == length => StickKey::Bytes(bytes.into()),
        StickType::Str(_) | StickType::Bin(_) => return None,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = hex.as_bytes().chunks(2);
    pairs
        .map(|pair| Some((digit(pair[0])? << 4 | digit(*pair.get(1)?)?) as u8))
        .collect()
}
