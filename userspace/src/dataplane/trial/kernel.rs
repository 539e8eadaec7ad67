//! A trial of the real program: loaded with its maps, and run by hand. Needs what loading needs.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use aya::maps::{MapData, PerCpuArray};
use tidegate_common::counters::drop_index;
use tidegate_common::fragment::BUCKETS;
use tidegate_common::maps::name;
use tidegate_common::service::ServiceIndex;
use tidegate_common::verdict::DropReason;

use super::ground::{Ground, Noting, Trie};
use super::{Drops, Fate, Outcome, Place, TrialError, Twin, Written};
use crate::dataplane::loader::{Keeping, Loaded, OBJECT};
use crate::dataplane::offload::Compiled;
use crate::dataplane::sizes::sizes;
use crate::dataplane::tables::{Others, Readings, Tables, layout, mapped};
use crate::dataplane::ticks::Ticks;
use crate::state::Running;

/// The tables of a configuration in the maps of a loaded program.
pub struct Kernel {
    written: Written,
    loaded: Loaded,
    drops: PerCpuArray<MapData, u64>,
    room: Vec<u8>,
}

impl Kernel {
    /// Loads the program and writes its tables. Interfaces that frames are sent out of must exist.
    pub fn new(compiled: &Compiled, running: &Running, place: Place) -> Result<Self, TrialError> {
        let settings = &running.model.global.xdp;
        let own = place.own.iter().copied().collect();
        let sizes = sizes(&compiled.plan, settings, &own, &BTreeMap::new())?;
        let mut loaded = Loaded::new(OBJECT, &layout(&sizes, Keeping::Fresh), None, None)?;
        let ticks = Ticks::calibrate(|| loaded.tick())?;
        let (mut tables, readings) = Tables::open(&mut loaded, &sizes)?;
        let trie = Trie::default();
        note(&mut tables, &trie);
        let Readings {
            sources,
            flows,
            nat,
            drops,
            ..
        } = readings;
        let ground = Ground {
            sources,
            flows,
            nat,
            fragments: mapped(&loaded.take_map(name::FRAGMENTS)?, name::FRAGMENTS, BUCKETS)?,
        };
        let written = Written::fill(tables, ground, trie, ticks, sizes, compiled, running, place)?;
        Ok(Self {
            written,
            loaded,
            drops,
            room: vec![0; LARGEST],
        })
    }

    /// Runs the program on a frame that comes in through an interface of this network namespace. Frames shorter than an
    /// Ethernet header are refused.
    pub fn run(&mut self, frame: &[u8], interface: u32) -> Result<Outcome, TrialError> {
        let (code, length) = self.loaded.run(frame, 0, interface, &mut self.room)?;
        Ok(outcome(code, &self.room[..length]))
    }

    /// The same for a frame in a buffer with hardly any room before it: something else is there.
    pub fn run_cramped(&mut self, frame: &[u8], interface: u32) -> Result<Outcome, TrialError> {
        let before = [&[0; CRAMPING], frame].concat();
        let run = self
            .loaded
            .run(&before, CRAMPING, interface, &mut self.room);
        let (code, length) = run?;
        Ok(outcome(code, &self.room[CRAMPING.min(length)..length]))
    }

    /// Loses the records of all services, as no defect of ours should ever do.
    pub fn damage(&mut self) {
        self.written.damage();
    }

    /// What was dropped so far.
    pub fn drops(&self) -> Result<Drops, TrialError> {
        let services = self.written.writer.services().map(|(index, _)| index);
        let mut found = Drops::new();
        for service in services.chain([ServiceIndex::default()]) {
            for reason in DropReason::ALL {
                let counts = self.drops.get(&drop_index(service, reason), 0)?;
                match counts.iter().sum() {
                    0 => {}
                    count => drop(found.insert((service.0, reason.name()), count)),
                }
            }
        }
        Ok(found)
    }

    /// Takes over what has changed about servers.
    pub fn refresh(&mut self) -> Result<(), TrialError> {
        Ok(self.written.refresh()?)
    }

    /// A server stops answering ARP or neighbour discovery.
    pub fn lose(&mut self, address: IpAddr) -> Result<(), TrialError> {
        self.written.around.lose(address);
        self.refresh()
    }

    /// Forgets all flows, mappings, fragments and counts of sources.
    pub fn forget(&mut self) {
        self.written.forget();
    }

    /// How many instructions the verifier went through.
    pub fn verified_instructions(&mut self) -> Result<Option<u32>, TrialError> {
        Ok(self.loaded.verified_instructions()?)
    }

    /// A copy of the tables as they are now.
    pub fn twin(&self) -> Result<Twin, TrialError> {
        let besides = self.written.besides(self.written.writer.ticks().now());
        Ok(Twin::of(&self.written.arrays()?, besides))
    }

    /// How many words of the tables that the program writes differ from the twin's, times left aside: those are read at
    /// different moments.
    pub fn differences(&self, twin: &Twin) -> Result<usize, TrialError> {
        Ok(twin.differences(&self.written.arrays()?))
    }

    /// Sets a twin's clock to the kernel's.
    pub fn synchronise(&self, twin: &Twin) {
        twin.set_clock(self.written.writer.ticks().now());
    }
}

fn outcome(code: u32, frame: &[u8]) -> Outcome {
    let fate = match code {
        1 => Fate::Drop,
        3 => Fate::Transmit,
        4 => Fate::Redirect,
        _ => Fate::Pass,
    };
    let frame = frame.to_vec();
    Outcome { fate, frame }
}

/// Notes what is entered into the trie from now on.
fn note(tables: &mut Tables, trie: &Trie) {
    let nobody: Box<dyn Others> = Box::new(Noting {
        trie: Arc::clone(trie),
        kernel: None,
    });
    let kernel = std::mem::replace(&mut tables.others, nobody);
    tables.others = Box::new(Noting {
        trie: Arc::clone(trie),
        kernel: Some(kernel),
    });
}

/// Bytes of metadata before a frame, which leave no room for a header.
const CRAMPING: usize = 212;

/// More than the kernel takes in one piece.
const LARGEST: usize = 4096;
