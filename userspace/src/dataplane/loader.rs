//! Loads a program with its maps, beside the one that runs, and puts it in its place.
//!
//! Input is the kernel object, the sizes the configuration asks for and the pins; output is a [`Loaded`] whose maps can
//! be filled before [`Loaded::attach`] swaps it in. Until then whatever ran before goes on undisturbed, so a new
//! configuration takes effect as a whole. Maps that remember flows are shared with the program that runs, whether this
//! process or an earlier one loaded it; all others are made anew. What is in the maps is the writer's business.

use std::collections::BTreeMap;
use std::io;

use aya::maps::{Map, MapError, MapInfo};
use aya::programs::{ProgramError, TestRun, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfError, EbpfLoader, VerifierLogLevel, include_bytes_aligned};

use rustix::thread::CapabilitySet;
use tidegate_common::maps::Sizes;
use tidegate_common::tick::Tick;

use super::attach::{self, AttachError, Attached, Earlier};
use super::netlink::Interface;
use super::pins::{NewSet, Pins, PinsError, TableSet};
use crate::model;

/// The kernel object this program was built with; empty when it was built without one.
pub static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/tidegate-xdp"));

/// A map both halves know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Table {
    /// Its name in the object.
    pub name: &'static str,
    /// Size of a key in bytes.
    pub key: u32,
    /// Size of a value in bytes.
    pub value: u32,
    /// Most entries.
    pub entries: u32,
    /// Whose it is.
    pub keeping: Keeping,
}

/// Whether a map is taken over from the program that ran before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeping {
    /// It says what the configuration says: made anew.
    Fresh,
    /// It remembers what happened: taken over where it has the same size.
    Kept,
}

/// What the object must contain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Version of the meaning of the maps' contents; other versions are not adopted.
    pub version: u32,
    /// The program's name.
    pub program: &'static str,
    /// Every map that outlives the process.
    pub tables: Vec<Table>,
}

/// A loaded program with its maps.
pub(super) struct Loaded {
    ebpf: Ebpf,
    program: &'static str,
    program_id: u32,
    pins: Option<Pins>,
    /// Until it is on the wire.
    new_set: NewSet,
    set: Option<TableSet>,
    attached: Vec<Attached>,
}

/// Why the kernel tier does not start.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Built without the object.
    #[error(
        "this tidegate was built without its kernel object; run 'cargo xtask build-ebpf' and build again"
    )]
    NoObject,
    /// Object and program are of different versions.
    #[error("the kernel object has no {what} '{name}'; it does not belong to this tidegate")]
    Foreign {
        /// Program or map.
        what: &'static str,
        /// Its name.
        name: &'static str,
    },
    /// The kernel does not let this process.
    #[error(
        "loading XDP programs needs the capabilities CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON, which root has"
    )]
    Privileges,
    /// The object or a map could not be loaded.
    #[error("cannot load the kernel object")]
    Object(#[source] EbpfError),
    /// The program was refused.
    #[error("the kernel refuses the program")]
    Program(#[source] ProgramError),
    /// A map could not be used.
    #[error("cannot use the map '{name}'")]
    Map {
        /// Which one.
        name: &'static str,
        /// Why.
        source: MapError,
    },
    /// A map could not be seen as memory.
    #[error("cannot map the table '{name}' into memory")]
    Memory {
        /// Which one.
        name: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Something could not be pinned.
    #[error("cannot pin '{name}'")]
    Pin {
        /// Which map.
        name: &'static str,
        /// Why.
        source: aya::pin::PinError,
    },
    /// The pin directory could not be used.
    #[error(transparent)]
    Pins(#[from] PinsError),
    /// An interface could not be attached.
    #[error(transparent)]
    Attach(#[from] AttachError),
}

impl Loaded {
    /// Loads `object`. Maps that are kept come from `adopted`, which must have this layout ([`difference`]).
    pub(super) fn new(
        object: &[u8],
        layout: &Layout,
        pins: Option<Pins>,
        adopted: Option<&TableSet>,
    ) -> Result<Self, LoadError> {
        if object.is_empty() {
            return Err(LoadError::NoObject);
        }
        let mut loader = EbpfLoader::new();
        // The reason of a refusal, without every instruction the verifier went through: that takes minutes.
        loader.verifier_log_level(VerifierLogLevel::STATS);
        for table in &layout.tables {
            loader.map_max_entries(table.name, table.entries);
            if let (Some(set), Keeping::Kept) = (adopted, table.keeping) {
                loader.map_pin_path(table.name, set.map(table.name));
            }
        }
        let mut ebpf = loader.load(object)?;
        xdp(&mut ebpf, CLOCK)?.load()?;
        let program = xdp(&mut ebpf, layout.program)?;
        program.load()?;
        let program_id = program.info()?.id();
        let set = pins
            .as_ref()
            .map(|pins| pins.new_set(layout.version, program_id));
        let new_set = NewSet::from(set.transpose()?);
        for table in &layout.tables {
            let map = ebpf.map(table.name).ok_or(LoadError::Foreign {
                what: "map",
                name: table.name,
            })?;
            if let Some(set) = new_set.set() {
                let failed = |source| LoadError::Pin {
                    name: table.name,
                    source,
                };
                map.pin(set.map(table.name)).map_err(failed)?;
            }
        }
        Ok(Self {
            ebpf,
            program: layout.program,
            program_id,
            pins,
            new_set,
            set: None,
            attached: Vec::new(),
        })
    }

    /// A map by its name in the layout.
    pub(super) fn take_map(&mut self, name: &'static str) -> Result<Map, LoadError> {
        self.ebpf
            .take_map(name)
            .ok_or(LoadError::Foreign { what: "map", name })
    }

    /// The kernel's tick now.
    pub(super) fn tick(&mut self) -> Result<Tick, LoadError> {
        let clock = xdp(&mut self.ebpf, CLOCK)?;
        let frame = [0; 64];
        let options = TestRunOptions {
            data_in: Some(&frame),
            ..TestRunOptions::default()
        };
        Ok(Tick(clock.test_run(options)?.return_value))
    }

    /// Runs the program once on a frame that comes in through an interface, and leaves in `room` what became of it. The
    /// first `metadata` bytes are no part of the frame, but what a driver says of it. The XDP code, and the length of all.
    pub(super) fn run(
        &mut self,
        frame: &[u8],
        metadata: usize,
        interface: u32,
        room: &mut [u8],
    ) -> Result<(u32, usize), LoadError> {
        // `struct xdp_md`: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
        let context = [metadata as u32, frame.len() as u32, 0, interface, 0, 0];
        let context = context.map(u32::to_ne_bytes);
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(room),
            ctx_in: Some(context.as_flattened()),
            ..TestRunOptions::default()
        };
        let result = xdp(&mut self.ebpf, self.program)?.test_run(options)?;
        Ok((result.return_value, result.data_size_out as usize))
    }

    /// How many instructions the verifier went through, where the kernel tells.
    pub(super) fn verified_instructions(&mut self) -> Result<Option<u32>, LoadError> {
        let program = xdp(&mut self.ebpf, self.program)?;
        Ok(program.info()?.verified_instruction_count())
    }

    /// Where maps and links are pinned, if they are.
    pub(super) fn pins(&self) -> Option<&Pins> {
        self.pins.as_ref()
    }

    /// The interfaces the program is on.
    pub(super) fn attached(&self) -> &[Attached] {
        &self.attached
    }

    /// Puts the program on exactly these interfaces, in the place of the one that ran before: `earlier`, where this
    /// process loaded it. When an interface that had no program refuses it, nothing has changed.
    pub(super) fn attach(
        &mut self,
        interfaces: &[(Interface, model::XdpMode)],
        mut earlier: Option<&mut Self>,
    ) -> Result<(), LoadError> {
        let pinned = self
            .pins
            .as_ref()
            .map_or_else(|| Ok(Vec::new()), Pins::links)?;
        let held = earlier
            .as_mut()
            .map_or_else(Vec::new, |earlier| std::mem::take(&mut earlier.attached));
        let mut links = Earlier { pinned, held };
        let known =
            |(interface, mode): &&(Interface, model::XdpMode)| links.has(interface.index, *mode);
        let (swapped, added): (Vec<_>, Vec<_>) = interfaces.iter().partition(known);
        for (interface, mode) in added.into_iter().chain(swapped) {
            let program = xdp(&mut self.ebpf, self.program)?;
            match Attached::new(program, interface, *mode, self.pins.as_ref(), &mut links) {
                Ok(attached) => self.attached.push(attached),
                Err(error) => {
                    if let Some(earlier) = earlier {
                        earlier.attached = links.held;
                    }
                    for attached in self.attached.drain(..) {
                        attached.detach(self.program_id)?;
                    }
                    return Err(error.into());
                }
            }
        }
        links.detach()?;
        self.set = self.new_set.put_in_force();
        if let (Some(pins), Some(set)) = (&self.pins, &self.set) {
            pins.remove_sets_except(Some(set))?;
        }
        Ok(())
    }

    /// Takes the program off all interfaces and removes every pin, unless another process has taken over; says whether none
    /// has.
    pub(super) fn detach(self) -> Result<bool, LoadError> {
        let mut ours = true;
        for attached in self.attached {
            ours &= attached.detach(self.program_id)?;
        }
        if let (Some(pins), Some(set), true) = (&self.pins, &self.set, ours) {
            set.remove()?;
            pins.remove_if_empty();
        }
        Ok(ours)
    }
}

impl From<EbpfError> for LoadError {
    fn from(error: EbpfError) -> Self {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        while let Some(found) = cause {
            let system = found.downcast_ref::<io::Error>();
            if system.is_some_and(|system| system.kind() == io::ErrorKind::PermissionDenied) {
                return Self::Privileges;
            }
            cause = found.source();
        }
        Self::Object(error)
    }
}

impl From<ProgramError> for LoadError {
    fn from(error: ProgramError) -> Self {
        match &error {
            // To the verifier of an unprivileged process the program is another one, with errors of its own.
            ProgramError::LoadError { io_error, .. }
                if io_error.kind() == io::ErrorKind::PermissionDenied && !may_load() =>
            {
                Self::Privileges
            }
            _ => Self::Program(error),
        }
    }
}

/// Whether the process has the capabilities that loading takes (capabilities(7)).
fn may_load() -> bool {
    let needed = CapabilitySet::BPF | CapabilitySet::NET_ADMIN | CapabilitySet::PERFMON;
    let held = rustix::thread::capabilities(None).map(|sets| sets.effective);
    held.is_ok_and(|held| held.contains(needed) || held.contains(CapabilitySet::SYS_ADMIN))
}

fn xdp<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut Xdp, LoadError> {
    let program = ebpf.program_mut(name).ok_or(LoadError::Foreign {
        what: "program",
        name,
    })?;
    Ok(program.try_into()?)
}

/// How many entries the maps of a set have, those with a known name.
pub(super) fn entries(set: &TableSet) -> BTreeMap<&'static str, u32> {
    let names = Sizes::SMALLEST.entries().map(|(name, _)| name);
    names
        .into_iter()
        .filter_map(|name| Some((name, MapInfo::from_pin(set.map(name)).ok()?.max_entries())))
        .collect()
}

/// The maps of the program that runs on some interface now.
pub(super) fn running(pins: &Pins) -> Result<Option<TableSet>, LoadError> {
    let mut programs = Vec::new();
    for pin in pins.links()? {
        programs.extend(attach::program_of(&pin)?);
    }
    Ok(pins
        .sets()?
        .into_iter()
        .find(|set| programs.contains(&set.program())))
}

/// Why the maps of a set that should be kept cannot be used with this layout.
pub(super) fn difference(set: &TableSet, layout: &Layout) -> Option<String> {
    if set.layout() != layout.version {
        return Some(format!(
            "the pinned tables have layout {}, this program needs {}",
            set.layout(),
            layout.version
        ));
    }
    layout.tables.iter().filter(|table| table.keeping == Keeping::Kept).find_map(|table| {
        let Ok(info) = MapInfo::from_pin(set.map(table.name)) else {
            return Some(format!("there is no pinned table '{}'", table.name));
        };
        let found = (info.key_size(), info.value_size(), info.max_entries());
        (found != (table.key, table.value, table.entries)).then(|| {
            format!(
                "the pinned table '{}' has {} entries of {} bytes, this configuration needs {} of {}",
                table.name,
                info.max_entries(),
                info.value_size(),
                table.entries,
                table.value
            )
        })
    })
}

/// A second program in the object, never attached: it answers with the kernel's tick.
const CLOCK: &str = "clock";
