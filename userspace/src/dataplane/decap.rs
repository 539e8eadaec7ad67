//! The other end of `forward ipip` and `forward gue`: a program that takes packets out of tunnels, on a server.
//!
//! Input is an interface and the addresses tunnels end at; while a [`Decap`] lives its program is on that interface, and
//! counts. Nothing is pinned: when the process goes, however it goes, the program goes with it.

use std::net::IpAddr;

use aya::maps::{MapError, PerCpuArray};
use aya::programs::{ProgramError, Xdp};
use aya::{Ebpf, EbpfError, EbpfLoader, VerifierLogLevel};
use tidegate_common::address::Address;
use tidegate_common::decap::{DecapCounters, ENDINGS, Endings, MAP_COUNTERS, MAP_ENDINGS, PROGRAM};
use tidegate_common::maps::Sizes;

use super::attach::{AttachError, Attached, Earlier};
use super::loader::{LoadError, OBJECT};
use super::netlink::{Netlink, NetlinkError};
use super::tables::mapped;
use crate::model::XdpMode;

/// A program that takes packets out of tunnels.
pub struct Decap {
    ebpf: Ebpf,
    attached: Attached,
    addresses: Vec<IpAddr>,
    foreign: Vec<IpAddr>,
}

/// Why it does not run.
#[derive(Debug, thiserror::Error)]
pub enum DecapError {
    /// No such interface.
    #[error("there is no interface '{0}'")]
    NoInterface(String),
    /// More addresses than the program looks for.
    #[error(
        "this machine has {0} addresses and tunnels can end at {ENDINGS}; say which with --address"
    )]
    Addresses(usize),
    /// None at all.
    #[error("this machine has no address a tunnel could end at")]
    NoAddress,
    /// The kernel could not be asked about addresses.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// The object could not be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The driver has no XDP.
    #[error("interface '{0}' has no native XDP; use '--mode generic', or leave '--mode' out")]
    NotNative(String),
    /// The program could not be attached.
    #[error(transparent)]
    Attach(AttachError),
    /// The counters could not be read.
    #[error("cannot read the counters")]
    Counters(#[source] MapError),
}

impl From<AttachError> for DecapError {
    fn from(error: AttachError) -> Self {
        match error {
            AttachError::NotNative(interface) => Self::NotNative(interface),
            other => Self::Attach(other),
        }
    }
}

impl Decap {
    /// Loads the program and puts it on an interface; tunnels end at `addresses`, or at all of this machine's if there are
    /// none.
    pub fn start(
        interface: &str,
        mode: XdpMode,
        port: u16,
        addresses: &[IpAddr],
    ) -> Result<Self, DecapError> {
        let mut netlink = Netlink::open()?;
        let found = netlink
            .interface_named(interface)?
            .ok_or_else(|| DecapError::NoInterface(interface.to_owned()))?;
        let own = netlink.addresses()?;
        let is_foreign = |address: &&IpAddr| !own.contains(address);
        let foreign = addresses.iter().filter(is_foreign).copied().collect();
        let addresses = if addresses.is_empty() {
            own
        } else {
            addresses.to_vec()
        };
        match addresses.len() {
            0 => return Err(DecapError::NoAddress),
            many if many > ENDINGS => return Err(DecapError::Addresses(many)),
            _ => {}
        }
        let mut ebpf = load()?;
        let map = ebpf.map(MAP_ENDINGS).ok_or(LoadError::Foreign {
            what: "map",
            name: MAP_ENDINGS,
        })?;
        let endings = mapped::<Endings>(map, MAP_ENDINGS, 1)?;
        if let Some(record) = endings.first() {
            let words: Vec<Address> = addresses.iter().copied().map(Address::from).collect();
            record.publish(port, &words);
        }
        let program = program(&mut ebpf)?;
        let attached = Attached::new(program, &found, mode, None, &mut Earlier::default())?;
        Ok(Self {
            ebpf,
            attached,
            addresses,
            foreign,
        })
    }

    /// Where tunnels end.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// Those that are not this machine's: nobody sends to them here.
    pub fn foreign_addresses(&self) -> &[IpAddr] {
        &self.foreign
    }

    /// Where the program sits.
    pub fn attachment(&self) -> &'static str {
        self.attached.attachment.name()
    }

    /// Takes the program off the interface; what it has counted.
    pub fn stop(self) -> Result<DecapCounters, DecapError> {
        let Self { ebpf, attached, .. } = self;
        // Off first, so that nothing is counted any more.
        drop(attached);
        counters(&ebpf)
    }
}

fn counters(ebpf: &Ebpf) -> Result<DecapCounters, DecapError> {
    let map = ebpf.map(MAP_COUNTERS).ok_or(LoadError::Foreign {
        what: "map",
        name: MAP_COUNTERS,
    })?;
    let counters: PerCpuArray<_, DecapCounters> =
        PerCpuArray::try_from(map).map_err(DecapError::Counters)?;
    let rows = counters.get(&0, 0).map_err(DecapError::Counters)?;
    Ok(rows.iter().fold(DecapCounters::default(), |mut sum, row| {
        sum.add(*row);
        sum
    }))
}

fn load() -> Result<Ebpf, LoadError> {
    if OBJECT.is_empty() {
        return Err(LoadError::NoObject);
    }
    let mut loader = EbpfLoader::new();
    loader.verifier_log_level(VerifierLogLevel::DISABLE);
    // The balancer's own maps come with the object and are of no use here.
    for (name, _) in Sizes::SMALLEST.entries() {
        loader.map_max_entries(name, 1);
    }
    loader.load(OBJECT).map_err(|error: EbpfError| error.into())
}

fn program(ebpf: &mut Ebpf) -> Result<&mut Xdp, LoadError> {
    let program = ebpf.program_mut(PROGRAM).ok_or(LoadError::Foreign {
        what: "program",
        name: PROGRAM,
    })?;
    let program: &mut Xdp = program
        .try_into()
        .map_err(|error: ProgramError| LoadError::from(error))?;
    program.load()?;
    Ok(program)
}
