//! Frames shown by the program, on request: one capture at a time, and nothing while nobody asks.
//!
//! Input is a [`Wish`]; output are [`Captured`] frames with what was decided about each, as the program put them into its
//! ring buffer. A capture belongs to one program: when another takes its place, no more frames come. What a file of them
//! looks like is not known here.

use std::sync::Arc;

use aya::maps::{MapData, MapError, PerCpuArray, RingBuf};
use ipnet::IpNet;
use tidegate_common::address::Address;
use tidegate_common::capture::{
    ANSWERED, Control, DROPPED, Filter, Head, MOST_BYTES, Missed, PASSED, Record,
};
use tidegate_common::config::Config;
use tidegate_common::verdict::DropReason;
use zerocopy::FromBytes;

use super::feedback::Feedback;
use super::mmap::Mapped;
use crate::clock;

/// The maps of captures.
pub(super) struct CaptureMaps {
    pub(super) config: Mapped<Config>,
    pub(super) control: Mapped<Control>,
    pub(super) ring: RingBuf<MapData>,
    pub(super) missed: PerCpuArray<MapData, Missed>,
}

/// What somebody wants to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Dropped packets only.
    pub drops: bool,
    /// A sample: one frame per tick of the kernel and CPU at most.
    pub sampled: bool,
    /// Of this frontend only.
    pub frontend: Option<String>,
    /// From this network only.
    pub source: Option<IpNet>,
    /// Bytes of a frame, 1 to [`MOST_BYTES`].
    pub bytes: u16,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            drops: false,
            sampled: false,
            frontend: None,
            source: None,
            bytes: MOST_BYTES,
        }
    }
}

/// Why there is no capture.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// Somebody else has one.
    #[error("another capture is running")]
    Busy,
    /// No service of the kernel belongs to the frontend.
    #[error("the kernel has no service of a frontend '{0}'")]
    NoService(String),
    /// It has more services than can be asked for by name.
    #[error(
        "'{0}' has more than four addresses and families in the kernel; ask for a network instead"
    )]
    ManyServices(String),
    /// A map could not be read.
    #[error("cannot read the captures")]
    Map(#[from] MapError),
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured<'a> {
    /// Number in [`Capture::interfaces`] of the interface it came in through.
    pub interface: u32,
    /// When, in nanoseconds since 1970.
    pub when: u64,
    /// Its length.
    pub length: u32,
    /// Its first bytes.
    pub bytes: &'a [u8],
    /// `pass`, `drop`, `reply` or `forward`.
    pub verdict: &'static str,
    /// Why, where it was dropped.
    pub reason: Option<&'static str>,
    /// Whose it was.
    pub frontend: Option<&'a str>,
}

/// A capture; it ends when this is dropped.
pub struct Capture {
    feedback: Arc<Feedback>,
    maps: Option<CaptureMaps>,
    interfaces: Vec<(u32, String)>,
    /// Nanoseconds from the monotonic clock's zero to 1970's.
    epoch: u64,
    missed: u64,
    seen: u64,
}

impl Feedback {
    /// Begins a capture.
    ///
    /// # Errors
    /// There is one already, or nothing to capture.
    pub fn capture(self: &Arc<Self>, wish: &Wish) -> Result<Capture, CaptureError> {
        let services = self.services_word(wish.frontend.as_deref())?;
        let maps = self.capture.lock().take().ok_or(CaptureError::Busy)?;
        let mut capture = Capture {
            feedback: Arc::clone(self),
            maps: Some(maps),
            interfaces: self.attached.clone(),
            epoch: clock::epoch(),
            missed: 0,
            seen: 0,
        };
        // What the capture before left.
        capture.drain(usize::MAX, |_| {});
        capture.seen = 0;
        capture.missed = capture.missed_by_all()?;
        capture.ask(wish, services);
        Ok(capture)
    }

    /// The numbers of a frontend's services in one word.
    fn services_word(&self, frontend: Option<&str>) -> Result<u64, CaptureError> {
        let Some(frontend) = frontend else {
            return Ok(0);
        };
        let own = self
            .services
            .iter()
            .filter(|service| service.frontend == frontend);
        let numbers: Vec<u64> = own.map(|service| u64::from(service.index.0)).collect();
        match numbers.len() {
            0 => Err(CaptureError::NoService(frontend.to_owned())),
            1..=4 => Ok(numbers
                .iter()
                .rev()
                .fold(0, |word, number| word << 16 | number)),
            _ => Err(CaptureError::ManyServices(frontend.to_owned())),
        }
    }
}

impl Capture {
    /// The names of the interfaces, in the order of their numbers.
    pub fn interfaces(&self) -> impl Iterator<Item = &str> {
        self.interfaces.iter().map(|(_, name)| name.as_str())
    }

    /// Takes the frames there are, `most` of them. Does not wait.
    pub fn drain(&mut self, most: usize, mut found: impl FnMut(Captured<'_>)) -> usize {
        let Some(maps) = &mut self.maps else { return 0 };
        let mut count = 0;
        while count < most
            && let Some(item) = maps.ring.next()
        {
            let Ok((record, _)) = Record::ref_from_prefix(&item) else {
                continue;
            };
            let head = record.head;
            let bytes = record.frame.get(..head.bytes as usize);
            let services = self.feedback.services.iter();
            let mut services = services.filter(|service| service.index.0 == head.service);
            let interface = self
                .interfaces
                .iter()
                .position(|known| known.0 == head.interface);
            found(Captured {
                interface: interface.unwrap_or_default() as u32,
                when: head.when + self.epoch,
                length: head.length,
                bytes: bytes.unwrap_or_default(),
                verdict: verdict(&head),
                reason: reason(&head),
                frontend: services.next().map(|service| service.frontend.as_str()),
            });
            count += 1;
        }
        self.seen += count as u64;
        count
    }

    /// Frames that were wanted so far, and those of them that found no room.
    ///
    /// # Errors
    /// The counters cannot be read.
    pub fn counts(&self) -> Result<(u64, u64), MapError> {
        let lost = self.missed_by_all()? - self.missed;
        Ok((self.seen + lost, lost))
    }

    /// Whether the program it was asked of has been replaced.
    pub fn is_over(&self, kernel: &super::Dataplane) -> bool {
        !Arc::ptr_eq(&kernel.feedback(), &self.feedback)
    }

    fn ask(&self, wish: &Wish, services: u64) {
        let Some(maps) = &self.maps else {
            return;
        };
        let (Some(config), Some(control)) = (maps.config.first(), maps.control.first()) else {
            return;
        };
        let (source, source_bits) = match wish.source {
            None => (Address::default(), 0),
            Some(IpNet::V4(net)) => (Address::from(net.network()), 96 + net.prefix_len()),
            Some(IpNet::V6(net)) => (Address::from(net.network()), net.prefix_len()),
        };
        source.network(source_bits).store(&control.source);
        control.services.store(services);
        let filter = Filter {
            drops: wish.drops,
            sampled: wish.sampled,
            bytes: wish.bytes.clamp(1, MOST_BYTES),
            source_bits,
        };
        config.capture.store(filter.word());
    }

    fn missed_by_all(&self) -> Result<u64, MapError> {
        let Some(maps) = &self.maps else { return Ok(0) };
        let rows = maps.missed.get(&0, 0)?;
        Ok(rows.iter().map(|row| row.frames).sum())
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let maps = self.maps.take();
        if let Some(config) = maps.as_ref().and_then(|maps| maps.config.first()) {
            config.capture.store(0);
        }
        *self.feedback.capture.lock() = maps;
    }
}

const fn verdict(head: &Head) -> &'static str {
    match head.verdict {
        PASSED => "pass",
        DROPPED => "drop",
        ANSWERED => "reply",
        _ => "forward",
    }
}

fn reason(head: &Head) -> Option<&'static str> {
    let dropped = matches!(head.verdict, DROPPED | ANSWERED);
    let reason = DropReason::ALL.get(usize::from(head.reason));
    reason.filter(|_| dropped).map(|reason| reason.name())
}
