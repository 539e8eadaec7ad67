//! The packet decision on trial: the tables of a configuration and frames of one's choice, on no wire.
//!
//! Input are a compiled configuration with its live state and what the network around would be like ([`Place`]); then
//! frame after frame goes in, and what becomes of each comes out. The tables are written by the writer that also runs in
//! earnest, either into the maps of a loaded program, which is then run by hand (`BPF_PROG_TEST_RUN`), or into plain
//! memory, where the same decision runs as a function. Nothing is attached, and no packet of the machine is seen.

mod ground;
mod kernel;
mod memory;
mod place;
#[cfg(test)]
pub(crate) mod testing;
mod twin;

use aya::programs::ProgramError;
use tidegate_common::memory::{Arrays, Besides, words};
use tidegate_common::tick::Tick;

pub use kernel::Kernel;
pub use memory::InMemory;
pub use place::{Place, PlaceHop};
pub use twin::Twin;

use super::engine::Live;
use super::loader::LoadError;
use super::offload::Compiled;
use super::tables::Tables;
use super::ticks::Ticks;
use super::writer::{Surroundings, WriteError, Writer};
use crate::state::Running;
use ground::{Ground, Trie};
use place::Around;
use tidegate_common::maps::Sizes;
use tidegate_common::syn::Offer;

/// What became of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What was decided.
    pub fate: Fate,
    /// The frame afterwards.
    pub frame: Vec<u8>,
}

/// What was decided about a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fate {
    /// The stack gets it.
    Pass,
    /// It was dropped; the reason was counted.
    Drop,
    /// It goes back out of the interface it came in through.
    Transmit,
    /// It goes out of another interface.
    Redirect,
}

/// How often packets were dropped: by number of the service and name of the reason, without those that are zero.
pub type Drops = std::collections::BTreeMap<(u16, &'static str), u64>;

/// Why there is no trial.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// The program or its maps could not be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The tables could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The source lists of all frontends together.
    #[error(transparent)]
    Lists(#[from] super::lists::Misfit),
    /// Memory in the place of maps could not be had.
    #[error("cannot get memory for the tables")]
    Memory(#[from] std::io::Error),
    /// The kernel does not run the program on this frame.
    #[error("cannot run the program by hand")]
    Run(#[from] ProgramError),
    /// A counter could not be read.
    #[error("cannot read the counters")]
    Counters(#[from] aya::maps::MapError),
}

/// Tables that were written, wherever they are, with what they were written from.
struct Written {
    writer: Writer,
    ground: Ground,
    trie: Trie,
    running: Running,
    around: Around,
}

impl Written {
    #[expect(
        clippy::too_many_arguments,
        reason = "called twice, with what differs between kernel and memory"
    )]
    fn fill(
        tables: Tables,
        ground: Ground,
        trie: Trie,
        ticks: Ticks,
        sizes: Sizes,
        compiled: &Compiled,
        running: &Running,
        place: Place,
    ) -> Result<Self, WriteError> {
        let (interfaces, own) = (place.interfaces(), place.own.clone());
        let surroundings = Surroundings {
            sizes,
            interfaces: &interfaces,
            own,
            nat_ports: place.nat_ports,
            offer: OFFER,
            predecessor: None,
        };
        let around = Around::new(place);
        let plan = compiled.plan.clone();
        let live = Live(running);
        let (mut writer, _) = Writer::fill(tables, ticks, plan, &surroundings, &live, &around)?;
        writer.settle();
        Ok(Self {
            writer,
            ground,
            trie,
            running: running.clone(),
            around,
        })
    }

    /// Takes over what has changed about servers and the way to them.
    fn refresh(&mut self) -> Result<(), WriteError> {
        self.writer
            .refresh(&Live(&self.running), &self.around)
            .map(|_| ())
    }

    fn forget(&self) {
        let ground = &self.ground;
        let all = [
            words(&ground.sources),
            words(&ground.flows),
            words(&ground.nat),
            words(&ground.fragments),
        ];
        for word in all.into_iter().flatten() {
            // Most are zero, and storing costs a page each.
            if word.load() != 0 {
                word.store(0);
            }
        }
    }

    fn damage(&self) {
        for service in self.writer.tables().services.iter() {
            service.nature.store(0);
        }
    }

    fn arrays(&self) -> Result<Arrays<'_>, std::io::Error> {
        let tables = self.writer.tables();
        let config = tables.config.first();
        Ok(Arrays {
            config: config.ok_or(std::io::ErrorKind::UnexpectedEof)?,
            binds: &tables.binds,
            ranges: &tables.ranges,
            services: &tables.services,
            servers: &tables.servers,
            rings: &tables.rings,
            loads: &tables.loads,
            turns: &tables.turns,
            lists4: &tables.lists4,
            lists6: &tables.lists6,
            actions: &tables.actions,
            rates: &tables.rates,
            sources: &self.ground.sources,
            flows: &self.ground.flows,
            nat: &self.ground.nat,
            fragments: &self.ground.fragments,
            syns: &tables.syns,
        })
    }

    /// What the decision needs besides the arrays.
    fn besides(&self, now: Tick) -> Besides {
        let besides = Besides::default();
        besides.now.set(now);
        besides.trie.replace(self.trie.lock().clone());
        besides
    }
}

/// What the stack of a trial offers.
const OFFER: Offer = Offer {
    window: 29_200,
    segment: 0,
    scale: 7,
};
