//! What the machine's TCP stack is set to, and what the kernel tier changes about it while SYN cookies come from the
//! driver.
//!
//! The stack makes and takes cookies at the driver's request only with `net.ipv4.tcp_syncookies` 2, and finds a client's
//! options in a timestamp that it did not send itself only without secret offsets, `net.ipv4.tcp_timestamps` 2. What both
//! were before is noted in a map that outlives the process before they are changed, and put back when it is over: by this
//! process or, if it dies, by the next. Nothing else of the machine is touched.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, openat};
use tidegate_common::maps::name;
use tidegate_common::syn::{Offer, SynRecord};

use super::pins::TableSet;
use super::tables::pinned;

/// The settings of this process's network namespace. Opened while `/proc` can still be reached.
pub(super) struct Stack(Option<OwnedFd>);

/// What the two settings were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Before {
    cookies: u8,
    timestamps: u8,
}

/// Why a setting could not be changed.
#[derive(Debug, thiserror::Error)]
#[error("cannot set net/{name}")]
pub(super) struct StackError {
    name: &'static str,
    source: io::Error,
}

impl Stack {
    /// Opens the settings. Without `/proc` nothing can be changed.
    pub(super) fn open() -> Self {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Self(rustix::fs::open("/proc/sys/net", flags, Mode::empty()).ok())
    }

    /// What a SYN-ACK of the stack offers: the scale is computed anew from the same settings when the connection is
    /// accepted, and the window is one it would offer at least.
    pub(super) fn offer(&self) -> Offer {
        let sizes: Vec<u64> = self
            .read(RECEIVE)
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        let [_, usual, most] = sizes[..] else {
            return Offer::default();
        };
        let most = most.max(self.read(LARGEST).parse().unwrap_or(0));
        Offer {
            window: (usual / 2).min(WINDOW) as u16,
            segment: 0,
            scale: scale(most),
        }
    }

    /// Changes the settings, unless the record says that they are changed already.
    pub(super) fn change(&self, record: &SynRecord) -> Result<(), StackError> {
        if Before::from_word(record.offer.load()).is_some() {
            return Ok(());
        }
        let before = Before {
            cookies: self.read(COOKIES).parse().unwrap_or(1),
            timestamps: self.read(TIMESTAMPS).parse().unwrap_or(1),
        };
        record.offer.store(before.word());
        let changed = self
            .write(COOKIES, ALWAYS)
            .and_then(|()| self.write(TIMESTAMPS, WITHOUT_OFFSETS));
        if changed.is_err() {
            // What was not changed is what it was.
            let _ = self.restore(record);
            record.offer.store(0);
        }
        changed
    }

    /// Puts back what the record says, if it says anything.
    pub(super) fn restore(&self, record: &SynRecord) -> Result<(), StackError> {
        let Some(before) = Before::from_word(record.offer.load()) else {
            return Ok(());
        };
        self.write(COOKIES, before.cookies)?;
        self.write(TIMESTAMPS, before.timestamps)?;
        record.offer.store(0);
        Ok(())
    }

    fn read(&self, name: &str) -> String {
        let read = || {
            let file = self.at(name, OFlags::RDONLY)?;
            let mut text = [0; 64];
            let length = rustix::io::read(&file, &mut text)?;
            Ok::<_, io::Error>(String::from_utf8_lossy(&text[..length]).trim().to_owned())
        };
        read().unwrap_or_default()
    }

    fn write(&self, name: &'static str, value: u8) -> Result<(), StackError> {
        let write = || {
            let file = self.at(name, OFlags::WRONLY)?;
            rustix::io::write(&file, value.to_string().as_bytes())?;
            Ok::<_, io::Error>(())
        };
        write().map_err(|source| StackError { name, source })
    }

    fn at(&self, name: &str, flags: OFlags) -> io::Result<OwnedFd> {
        let directory = self.0.as_ref().ok_or(io::ErrorKind::NotFound)?;
        Ok(openat(
            directory.as_fd(),
            name,
            flags | OFlags::CLOEXEC,
            Mode::empty(),
        )?)
    }
}

/// Whether the record says that the settings are changed.
pub(super) fn is_changed(record: &SynRecord) -> bool {
    changed(record).is_some()
}

/// What the record says of settings that are changed, for another record.
pub(super) fn changed(record: &SynRecord) -> Option<u64> {
    let word = record.offer.load();
    Before::from_word(word).map(|_| word)
}

/// The same of a program whose maps are pinned; a map of another layout says nothing.
pub(super) fn changed_by(set: &TableSet) -> Option<u64> {
    let syns = pinned::<SynRecord>(&set.map(name::SYNS), name::SYNS).ok()?;
    syns.first().and_then(changed)
}

impl Before {
    const fn word(self) -> u64 {
        u64::from_ne_bytes([1, self.cookies, self.timestamps, 0, 0, 0, 0, 0])
    }

    const fn from_word(word: u64) -> Option<Self> {
        match word.to_ne_bytes() {
            [0, ..] => None,
            [_, cookies, timestamps, ..] => Some(Self {
                cookies,
                timestamps,
            }),
        }
    }
}

/// The window scale for a receive buffer of so many bytes (the kernel's `tcp_select_initial_window`).
fn scale(bytes: u64) -> u8 {
    let bits = bytes.checked_ilog2().unwrap_or(0);
    bits.saturating_sub(15).min(14) as u8
}

const COOKIES: &str = "ipv4/tcp_syncookies";
const TIMESTAMPS: &str = "ipv4/tcp_timestamps";
const RECEIVE: &str = "ipv4/tcp_rmem";
/// Only the first namespace has it; elsewhere the other one decides.
const LARGEST: &str = "core/rmem_max";
/// `tcp_syncookies`: not only when the queue is full.
const ALWAYS: u8 = 2;
/// `tcp_timestamps`: enabled, as they are.
const WITHOUT_OFFSETS: u8 = 2;
/// Twenty of Ethernet's segments, twice what a client sends first.
const WINDOW: u64 = 29_200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scale_is_that_of_the_largest_buffer() {
        let sizes = [0, 65_535, 65_536, 6_291_456, 1 << 40];
        assert_eq!(sizes.map(scale), [0, 0, 1, 7, 14]);
    }

    #[test]
    fn what_was_before_survives_the_way_through_its_word() {
        let before = Before {
            cookies: 0,
            timestamps: 1,
        };
        assert_eq!(Before::from_word(before.word()), Some(before));
        assert_eq!(Before::from_word(0), None);
    }

    #[test]
    fn without_settings_nothing_is_changed_and_nothing_stays_noted() {
        let (stack, record) = (Stack(None), SynRecord::default());
        assert!(stack.change(&record).is_err());
        assert!(!is_changed(&record));
        assert!(stack.restore(&record).is_ok());
        assert_eq!(stack.offer(), Offer::default());
    }
}
