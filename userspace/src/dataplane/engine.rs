//! One program at work: its maps, its links, and what it was told; and how one is put in the place of another.
//!
//! [`Engine::start`] goes through everything a program needs before its first packet, in an order in which a failure
//! leaves untouched what ran before; [`Engine::refresh`] is called whenever a server or the network may have changed.
//! When that is, is the facade's business ([`super::Dataplane`]).

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::diagnosis::{Seat, diagnose};
use super::features::Ethtool;
use super::feedback::{Feedback, KnownServer};
use super::floods::Floods;
use super::inheritance::{Inheritance, inherit};
use super::loader::{self, LoadError, Loaded};
use super::neighbours::{Hop, Neighbours, Obstacle};
use super::netlink::{Interface, Netlink, NetlinkError};
use super::offload::{self, Compiled};
use super::pins::{Pins, PinsError};
use super::plan::{self, Family, Plan};
use super::progress::Progress;
use super::stack::{self, Stack};
use super::tables::{Tables, layout, locked};
use super::ticks::Ticks;
use super::writer::{Notice, Standing, Standings, Surroundings, WriteError, Writer};
use crate::log::notice;
use crate::model::{self, XdpGlobal};
use crate::state::{Operational, Running};
use crate::types::ServerId;

/// One program at work.
pub(super) struct Engine {
    running: Running,
    loaded: Loaded,
    writer: Writer,
    neighbours: Neighbours,
    netlink: Netlink,
    interfaces: Vec<Interface>,
    feedback: Arc<Feedback>,
    floods: Floods,
    /// The tables could not follow the lists: another program has to take over.
    outgrown: bool,
}

/// Why the kernel tier does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An `xdp interface` line names nothing.
    #[error("'xdp interface {0}': there is no such interface")]
    NoInterface(String),
    /// The program could not be loaded or attached.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The maps could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The kernel could not be asked about its routes and addresses.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// The pin directory could not be used.
    #[error(transparent)]
    Pins(#[from] PinsError),
    /// The source lists of all frontends together.
    #[error(transparent)]
    Lists(#[from] super::lists::Misfit),
    /// A thread or its descriptor could not be made.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
}

impl Engine {
    /// Loads a program for `plan`, fills its maps and puts it on the wire in the place of the one before: `earlier`, or
    /// what an earlier process left pinned.
    pub(super) fn start(
        object: &[u8],
        plan: Plan,
        running: Running,
        earlier: Option<&mut Self>,
    ) -> Result<Self, StartError> {
        let pins = match &earlier {
            Some(earlier) => earlier.loaded.pins().cloned(),
            None => open_pins(&running.model.global.xdp.pin)?,
        };
        match pins.clone() {
            Some(inside) => {
                inside.inside(|| Self::start_with(pins, object, plan, running, earlier))?
            }
            None => Self::start_with(pins, object, plan, running, earlier),
        }
    }

    fn start_with(
        pins: Option<Pins>,
        object: &[u8],
        plan: Plan,
        running: Running,
        earlier: Option<&mut Self>,
    ) -> Result<Self, StartError> {
        let model = Arc::clone(&running.model);
        let settings = &model.global.xdp;
        let mut netlink = Netlink::open()?;
        let interfaces = find_interfaces(&mut netlink, settings)?;
        let own = netlink.addresses()?;
        let neighbours = find_neighbours(&plan, &running, &interfaces)?;

        let plain: Vec<Interface> = interfaces
            .iter()
            .map(|(interface, _)| interface.clone())
            .collect();
        let set = pins.as_ref().map_or(Ok(None), loader::running)?;
        // What the machine was set to before any of us changed it.
        let changed = match &earlier {
            Some(earlier) => earlier
                .writer
                .tables()
                .syns
                .first()
                .and_then(stack::changed),
            None => set.as_ref().and_then(stack::changed_by),
        };
        let stack = Stack::open();
        let Inheritance {
            sizes,
            set,
            predecessor,
            sources,
        } = inherit(&plan, settings, &plain, &own, set)?;
        let layout = layout(&sizes, sources);
        let mut loaded = Loaded::new(object, &layout, pins, set.as_ref())?;
        let ticks = Ticks::calibrate(|| loaded.tick())?;

        let own_addresses = own.clone();
        let surroundings = Surroundings {
            sizes,
            interfaces: &plain,
            own,
            nat_ports: super::nat_ports::free(),
            offer: stack.offer(),
            predecessor: predecessor.as_ref(),
        };
        let (tables, readings) = Tables::open(&mut loaded, &sizes)?;
        let progress = Progress::begin(&plan);
        let (writer, notices) = Writer::fill(
            tables,
            ticks,
            plan,
            &surroundings,
            &Live(&running),
            &neighbours,
        )?;
        progress.end(&sizes);
        running.state.process.set_kernel_memory(locked(&layout));
        loaded.attach(&interfaces, earlier.map(|earlier| &mut earlier.loaded))?;
        if let (Some(changed), Some(record)) = (changed, writer.tables().syns.first()) {
            record.offer.store(changed);
        }
        let feedback = Arc::new(Feedback::of(
            &model,
            &writer,
            readings,
            &sizes,
            loaded.attached(),
        ));
        let mut engine = Self {
            outgrown: false,
            running,
            loaded,
            writer,
            neighbours,
            netlink,
            interfaces: plain,
            feedback,
            floods: Floods::new(stack),
        };
        engine.writer.settle();
        engine.tell(&notices);
        engine.publish_servers();
        engine.diagnose(&own_addresses)?;
        engine.look_for_floods();
        Ok(engine)
    }

    /// What the program counts.
    pub(super) fn feedback(&self) -> &Arc<Feedback> {
        &self.feedback
    }

    /// Readable when the network may have changed.
    pub(super) fn changes(&self) -> std::os::fd::BorrowedFd<'_> {
        self.neighbours.changes()
    }

    /// Whether some server's next hop is still being asked for.
    pub(super) fn incomplete(&self) -> bool {
        self.neighbours.incomplete()
    }

    /// Whether flows are counted per server while they come and go, and the counts have to be corrected now and then.
    pub(super) fn counts_flows(&self) -> bool {
        self.writer.counts_flows()
    }

    /// Takes over what health checks, operators and the network have changed.
    pub(super) fn refresh(&mut self) -> Result<(), StartError> {
        self.neighbours.drain_changes();
        let live = Live(&self.running);
        self.neighbours
            .follow(Writer::server_addresses(self.writer.plan(), &live));
        self.neighbours.refresh()?;
        let notices = self.writer.refresh(&live, &self.neighbours)?;
        self.tell(&notices);
        self.publish_servers();
        let own = self.netlink.addresses()?;
        self.writer.set_own_addresses(&own)?;
        if self.counts_flows() {
            self.feedback.correct_loads();
        }
        self.refresh_interfaces()?;
        self.diagnose(&own)
    }

    /// Whether floods are possible, so that somebody has to look for them.
    pub(super) fn may_be_flooded(&self) -> bool {
        Floods::concern(self.writer.plan().syns)
    }

    /// Tells of floods that begin and end, and sets the machine's stack accordingly.
    pub(super) fn look_for_floods(&mut self) {
        let told = &self.running.state.process.kernel_syns;
        self.floods.look(&self.writer, told);
    }

    /// Gives the pins to the user this process is going to be.
    pub(super) fn give_to(&self, user: u32, group: u32) -> Result<(), PinsError> {
        match self.loaded.pins() {
            Some(pins) => pins.inside(|| pins.give_to(user, group))?,
            None => Ok(()),
        }
    }

    /// Brings the tables up to date with the lists that the Runtime API may have changed. Where they have no room for it,
    /// or the rules can no longer be the kernel's, the answer is the configuration in force, compiled again, for another
    /// program to take over.
    pub(super) fn follow_lists(&mut self) -> Option<(Compiled, Running)> {
        if !self.outgrown && self.writer.lists_changed() {
            self.outgrown = self.writer.follow_lists().is_err();
        }
        let anew = || (offload::compile(&self.running.model), self.running.clone());
        self.outgrown.then(anew)
    }

    /// Enters servers that were added and lets those go that were removed. Where the tables have no room, the answer is the
    /// configuration in force, compiled again, for another program to take over.
    pub(super) fn follow_members(&mut self) -> Result<Option<(Compiled, Running)>, StartError> {
        let compiled = offload::compile(&self.running.model);
        self.writer.set_members(&compiled.plan);
        match self.refresh() {
            Ok(()) => Ok(None),
            Err(StartError::Write(WriteError::Full(_) | WriteError::Binds)) => {
                Ok(Some((compiled, self.running.clone())))
            }
            Err(error) => Err(error),
        }
    }

    /// Takes the program off the wire, unless another process has put its own there.
    pub(super) fn stop(self) -> Result<(), LoadError> {
        let loaded = self.loaded;
        let ours = match loaded.pins().cloned() {
            Some(pins) => pins.inside(|| loaded.detach())?,
            None => loaded.detach(),
        };
        if ours? {
            self.floods.end(&self.writer);
        }
        Ok(())
    }

    fn refresh_interfaces(&mut self) -> Result<(), StartError> {
        let mut changed = Vec::new();
        for known in &mut self.interfaces {
            match self.netlink.interface(known.index)? {
                Some(now) if now != *known => {
                    *known = now.clone();
                    changed.push(now);
                }
                _ => {}
            }
        }
        Ok(self.writer.write_interfaces(&changed)?)
    }

    /// Finds out what an operator should know of how the plan meets this machine. What was not so before is told at once.
    fn diagnose(&mut self, own: &[IpAddr]) -> Result<(), StartError> {
        let ethtool = Ethtool::open();
        let features = |index| ethtool.as_ref()?.features(index);
        let mut seats = Vec::new();
        for attached in self.loaded.attached() {
            let index = attached.interface.index;
            let mut now = self.interfaces.iter();
            let condition = self.netlink.condition(index)?;
            let peer = condition.and_then(|condition| condition.peer?.index);
            seats.push(Seat {
                interface: now
                    .find(|interface| interface.index == index)
                    .unwrap_or(&attached.interface),
                attachment: attached.attachment,
                refused: attached.refused.as_deref(),
                features: features(index).unwrap_or_default(),
                peer_features: peer.and_then(features),
                condition,
            });
        }
        let live = Live(&self.running);
        let way = |server: &plan::Server| {
            let address = live.standing(server.id).address.or(server.address)?;
            match self.neighbours.hop(address.ip())? {
                Hop::Reachable(hop) => Some((address.ip(), hop.clone())),
                Hop::Unreachable(_) => None,
            }
        };
        let diagnoses = diagnose(self.writer.plan(), &seats, own, &way);
        let known = self.feedback.diagnoses.load();
        for diagnosis in diagnoses.iter().filter(|text| !known.contains(text)) {
            notice::notice(format_args!("Kernel tier: {diagnosis}."));
        }
        self.feedback.diagnoses.store(Arc::new(diagnoses));
        Ok(())
    }

    fn publish_servers(&self) {
        let known = self.writer.server_records().map(|server| KnownServer {
            service: server.service,
            id: server.id,
            name: server.name.to_owned(),
            index: server.index,
            state: server.state,
            trouble: server.trouble.map(ToString::to_string),
        });
        self.feedback.servers.store(Arc::new(known.collect()));
    }

    fn tell(&self, notices: &[Notice]) {
        for Notice {
            backend,
            server,
            trouble,
        } in notices
        {
            match trouble {
                Some(trouble) => notice::warning(format_args!(
                    "Server {backend}/{server} cannot be reached by the kernel and gets no new flows: {trouble}."
                )),
                None => notice::notice(format_args!(
                    "Server {backend}/{server} can be reached by the kernel again."
                )),
            }
        }
    }
}

/// How the servers of the configuration in force stand.
pub(super) struct Live<'a>(pub(super) &'a Running);

impl Standings for Live<'_> {
    fn standing(&self, server: ServerId) -> Standing {
        let state = self.0.state.server(server);
        Standing {
            usable: state.is_usable(),
            stopped: state.operational() == Operational::Stopped,
            weight: state.effective_weight(),
            address: state.socket_address(),
            limit: state.maxconn().unwrap_or(0),
        }
    }
}

fn find_interfaces(
    netlink: &mut Netlink,
    settings: &XdpGlobal,
) -> Result<Vec<(Interface, model::XdpMode)>, StartError> {
    let mut interfaces = Vec::new();
    for line in &settings.interfaces {
        let interface = netlink
            .interface_named(&line.name)?
            .ok_or_else(|| StartError::NoInterface(line.name.clone()))?;
        interfaces.push((interface, line.mode));
    }
    Ok(interfaces)
}

/// Asks for all next hops and gives them a moment to be found, so that the first rings are not empty: a short one for all
/// of them, a longer one for the first of every service. (An interface that has just come up cannot ask for IPv6
/// neighbours before it is sure of its own address, which takes a second or two.)
fn find_neighbours(
    plan: &Plan,
    running: &Running,
    interfaces: &[(Interface, model::XdpMode)],
) -> Result<Neighbours, StartError> {
    let mut neighbours = Neighbours::open(
        interfaces
            .iter()
            .map(|(interface, _)| interface.index)
            .collect(),
    )?;
    neighbours.follow(Writer::server_addresses(plan, &Live(running)));
    let begun = crate::clock::now();
    loop {
        neighbours.refresh()?;
        let waited = crate::clock::now().since(begun);
        let short_of = |service: &plan::Service| lacks_a_server(service, running, &neighbours);
        if !neighbours.asking()
            || waited >= LAST_ANSWERS
            || waited >= FIRST_ANSWERS && !plan.services.iter().any(short_of)
        {
            return Ok(neighbours);
        }
        wait_for(&neighbours, Duration::from_millis(20));
        neighbours.drain_changes();
    }
}

/// Whether none of a service's servers can be reached yet, and some of them may still answer.
fn lacks_a_server(service: &plan::Service, running: &Running, neighbours: &Neighbours) -> bool {
    let Some(forwarding) = service.delivery.forwarding() else {
        return false;
    };
    let addresses = forwarding.servers.iter().filter_map(|server| {
        let live = Live(running).standing(server.id).address;
        let address = live.or(server.address)?.ip();
        (Family::of(address) == service.family).then_some(address)
    });
    let mut asking = false;
    for hop in addresses.filter_map(|address| neighbours.hop(address)) {
        match hop {
            Hop::Reachable(_) => return false,
            Hop::Unreachable(obstacle) => asking |= matches!(obstacle, Obstacle::Asking(_)),
        }
    }
    asking
}

fn wait_for(neighbours: &Neighbours, most: Duration) {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut changes = [PollFd::from_borrowed_fd(
        neighbours.changes(),
        PollFlags::IN,
    )];
    let most = Timespec {
        tv_sec: 0,
        tv_nsec: i64::from(most.subsec_nanos()),
    };
    // Interrupted or not, the caller looks again.
    let _ = poll(&mut changes, Some(&most));
}

/// The pin directory. The default one may be missing, at a price; one that was asked for may not.
fn open_pins(directory: &Path) -> Result<Option<Pins>, StartError> {
    match Pins::open(directory) {
        Ok(pins) => Ok(Some(pins)),
        Err(PinsError::NotBpf(_)) if directory == XdpGlobal::default().pin => {
            notice::warning(format_args!(
                "There is no BPF file system at '{}' and no 'xdp pin' in 'global': packets stop with this process, and a \
                 reload forgets the flows.",
                directory.display()
            ));
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// How long a start waits for ARP and neighbour discovery to find all servers, in milliseconds.
const FIRST_ANSWERS: u64 = 500;

/// How long it waits for services that have none yet. The kernel gives up asking a little earlier.
const LAST_ANSWERS: u64 = 3_500;
