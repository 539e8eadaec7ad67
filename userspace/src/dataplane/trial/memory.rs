//! A trial in plain memory: needs no kernel and no privileges, and has a clock that can be moved.

use std::collections::BTreeMap;
use std::net::IpAddr;

use tidegate_common::counters::ServerCounters;
use tidegate_common::flow::FlowState;
use tidegate_common::memory::{Besides, Bytes, View};
use tidegate_common::server::ServerIndex;
use tidegate_common::tick::Tick;
use tidegate_common::verdict::Verdict;

use super::{Drops, Fate, Outcome, Place, TrialError, Twin, Written, ground};
use crate::dataplane::offload::Compiled;
use crate::dataplane::sizes::sizes;
use crate::dataplane::ticks::Ticks;
use crate::state::Running;

/// The tables of a configuration in plain memory, and the decision as a function.
pub struct InMemory {
    written: Written,
    besides: Besides,
    drops: Drops,
    /// Ticks that have passed only here.
    elapsed: u32,
}

impl InMemory {
    /// Writes the tables of a configuration.
    pub fn new(compiled: &Compiled, running: &Running, place: Place) -> Result<Self, TrialError> {
        let settings = &running.model.global.xdp;
        let own = place.own.iter().copied().collect();
        let sizes = sizes(&compiled.plan, settings, &own, &BTreeMap::new())?;
        let trie = ground::Trie::default();
        let (tables, ground) = ground::in_memory(&sizes, &trie)?;
        let ticks = Ticks::calibrate(|| Ok::<_, TrialError>(Tick::default()))?;
        let written = Written::fill(tables, ground, trie, ticks, sizes, compiled, running, place)?;
        let besides = written.besides(ticks.now());
        Ok(Self {
            written,
            besides,
            drops: Drops::new(),
            elapsed: 0,
        })
    }

    /// Decides about a frame that comes in through an interface.
    pub fn run(&mut self, frame: &[u8], interface: u32) -> Result<Outcome, TrialError> {
        let view = View {
            arrays: self.written.arrays()?,
            besides: &self.besides,
        };
        let mut frame = Bytes::new(frame, interface);
        let verdict = view.decide(&mut frame);
        Ok(outcome(verdict, frame, &mut self.drops))
    }

    /// The same for a frame in a buffer with hardly any room before it.
    pub fn run_cramped(&mut self, frame: &[u8], interface: u32) -> Result<Outcome, TrialError> {
        let view = View {
            arrays: self.written.arrays()?,
            besides: &self.besides,
        };
        let mut frame = Bytes {
            headroom: 0,
            ..Bytes::new(frame, interface)
        };
        let verdict = view.decide(&mut frame);
        Ok(outcome(verdict, frame, &mut self.drops))
    }

    /// Loses the records of all services, as no defect of ours should ever do.
    pub fn damage(&mut self) {
        self.written.damage();
    }

    /// Lets the stack listen everywhere, and give this cookie for every SYN.
    pub fn listen(&mut self, cookie: u32) {
        self.besides.cookie.set(Some(cookie));
    }

    /// The SYNs of every service: those without a state, those that were answered with cookies, cookies that came back.
    pub fn syns(&self) -> Vec<(u64, u64, u64)> {
        let services = self.written.writer.services();
        let records = services
            .filter_map(|(index, _)| self.written.writer.tables().syns.get(usize::from(index.0)));
        records
            .map(|record| {
                (
                    record.stateless.load(),
                    record.cookies.load(),
                    record.proven.load(),
                )
            })
            .collect()
    }

    /// How many flows are remembered, and how many of those are established.
    pub fn flows(&self) -> (usize, usize) {
        let entries = self.written.ground.flows.iter();
        let states: Vec<FlowState> = entries
            .flat_map(|bucket| &bucket.entries)
            .map(|entry| entry.read().0)
            .filter(|state| *state != FlowState::NONE)
            .collect();
        let established = states
            .iter()
            .filter(|state| **state == FlowState::ESTABLISHED);
        (states.len(), established.count())
    }

    /// What was dropped so far.
    pub fn drops(&self) -> Drops {
        self.drops.clone()
    }

    /// A copy of the tables as they are now.
    pub fn twin(&self) -> Result<Twin, TrialError> {
        let besides = self.written.besides(self.besides.now.get());
        Ok(Twin::of(&self.written.arrays()?, besides))
    }

    /// How many words of the tables that the program writes differ from the twin's, times left aside.
    pub fn differences(&self, twin: &Twin) -> Result<usize, TrialError> {
        Ok(twin.differences(&self.written.arrays()?))
    }

    /// Sets a twin's clock to this one's.
    pub fn synchronise(&self, twin: &Twin) {
        twin.set_clock(self.besides.now.get());
    }

    /// What was counted for servers, by their number.
    pub fn counters(&self) -> Vec<ServerCounters> {
        let numbers = (0..=u16::MAX).take(self.written.writer.tables().servers.len());
        numbers
            .map(|number| self.besides.counters(ServerIndex(number)))
            .collect()
    }

    /// Lets time pass.
    pub fn elapse(&mut self, milliseconds: u64) {
        let now = self.besides.now.get();
        let span = self.written.writer.ticks().span(milliseconds);
        self.elapsed = self.elapsed.wrapping_add(span);
        self.besides.now.set(Tick(now.0.wrapping_add(span)));
    }

    /// Takes over what has changed about servers.
    pub fn refresh(&mut self) -> Result<(), TrialError> {
        self.written.refresh()?;
        // The writer stamps what it changes with the time there is.
        let now = self.written.writer.ticks().now();
        self.besides.now.set(Tick(now.0.wrapping_add(self.elapsed)));
        Ok(())
    }

    /// Takes over what has changed in the source lists.
    pub fn follow_lists(&mut self) -> Result<(), TrialError> {
        self.written.writer.follow_lists()?;
        self.besides.trie.replace(self.written.trie.lock().clone());
        Ok(())
    }

    /// A server stops answering ARP or neighbour discovery.
    pub fn lose(&mut self, address: IpAddr) -> Result<(), TrialError> {
        self.written.around.lose(address);
        self.refresh()
    }
}

/// What came of a frame; a drop is counted as the program does.
pub(super) fn outcome(verdict: Verdict, frame: Bytes, drops: &mut Drops) -> Outcome {
    let fate = match verdict {
        Verdict::Pass => Fate::Pass,
        Verdict::Transmit => Fate::Transmit,
        Verdict::Redirect(_) => Fate::Redirect,
        Verdict::Reply { reason, service } => {
            *drops.entry((service.0, reason.name())).or_default() += 1;
            Fate::Transmit
        }
        Verdict::Drop { reason, service } => {
            *drops.entry((service.0, reason.name())).or_default() += 1;
            Fate::Drop
        }
    };
    Outcome {
        fate,
        frame: frame.bytes,
    }
}
