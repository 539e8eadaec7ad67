//! The program's maps, opened: arrays as memory, the rest through aya.
//!
//! [`layout`] tells the loader what the maps of a plan look like; [`Tables`] holds the maps of one loaded program. What
//! their records mean, and in which order they may change, is said in [`tidegate_common::maps`]; who changes them is the
//! [`super::writer`].

use std::io;
use std::os::fd::AsFd;

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::xdp::DevMap;
use aya::maps::{Map, MapData, MapError, PerCpuArray, PerCpuValues};
use ipnet::Ipv6Net;
use tidegate_common::action::{ActionRow, Class};
use tidegate_common::bind::{BindBucket, RangeRow};
use tidegate_common::config::Config;
use tidegate_common::counters::{ServerCounters, server_index};
use tidegate_common::flow::FlowBucket;
use tidegate_common::fragment::FragmentBucket;
use tidegate_common::list4::ListRow;
use tidegate_common::list6::ListBucket;
use tidegate_common::load::{Load, Turn};
use tidegate_common::maps::{PROGRAM, Sizes, name};
use tidegate_common::nat::NatEntry;
use tidegate_common::rate::RateRule;
use tidegate_common::ring::RingRow;
use tidegate_common::server::{Server, ServerIndex};
use tidegate_common::service::Service;
use tidegate_common::source::SourceBucket;
use tidegate_common::syn::SynRecord;

use super::capture::CaptureMaps;
use super::loader::{Keeping, Layout, LoadError, Loaded, Table};
use super::mmap::{Mapped, Record};
use super::writer::WriteError;

/// The maps of one loaded program.
pub(super) struct Tables {
    /// Sizes and switches.
    pub config: Mapped<Config>,
    /// Both halves of the binds.
    pub binds: Mapped<BindBucket>,
    /// Port ranges.
    pub ranges: Mapped<RangeRow>,
    /// Services.
    pub services: Mapped<Service>,
    /// Servers.
    pub servers: Mapped<Server>,
    /// Rings, in rows.
    pub rings: Mapped<RingRow>,
    /// How many flows servers have.
    pub loads: Mapped<Load>,
    /// Whose turn it is.
    pub turns: Mapped<Turn>,
    /// Classes of IPv4 sources.
    pub lists4: Mapped<ListRow>,
    /// Classes of IPv6 sources.
    pub lists6: Mapped<ListBucket>,
    /// Policies.
    pub actions: Mapped<ActionRow>,
    /// Rate rules.
    pub rates: Mapped<RateRule>,
    /// SYNs by service.
    pub syns: Mapped<SynRecord>,
    /// Those that are not memory.
    pub others: Box<dyn Others>,
}

/// The maps that are written by system calls.
pub(super) trait Others: Send {
    /// Lets frames leave through an interface.
    fn set_device(&mut self, index: u32, interface: u32) -> Result<(), WriteError>;

    /// Enters an IPv6 prefix with its class.
    fn insert_prefix(&mut self, prefix: Ipv6Net, class: Class) -> Result<(), WriteError>;

    /// Takes an IPv6 prefix out.
    fn remove_prefix(&mut self, prefix: Ipv6Net) -> Result<(), WriteError>;

    /// Lets a server's counters begin at zero.
    fn clear_counters(&mut self, server: ServerIndex) -> Result<(), WriteError>;
}

/// The real ones.
struct KernelMaps {
    devices: DevMap<MapData>,
    lists6_trie: LpmTrie<MapData, [u8; 16], u32>,
    counters: PerCpuArray<MapData, ServerCounters>,
}

impl Others for KernelMaps {
    fn set_device(&mut self, index: u32, interface: u32) -> Result<(), WriteError> {
        Ok(self.devices.set(index, interface, None, 0)?)
    }

    fn insert_prefix(&mut self, prefix: Ipv6Net, class: Class) -> Result<(), WriteError> {
        let inserted = self.lists6_trie.insert(&key(prefix), u32::from(class.0), 0);
        inserted.map_err(not_listed)
    }

    fn remove_prefix(&mut self, prefix: Ipv6Net) -> Result<(), WriteError> {
        match self.lists6_trie.remove(&key(prefix)) {
            Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
            Err(source) => Err(not_listed(source)),
        }
    }

    fn clear_counters(&mut self, server: ServerIndex) -> Result<(), WriteError> {
        let failed = |source| WriteError::Map {
            what: "counters",
            source,
        };
        let cpus = aya::util::nr_cpus().map_err(|(_, error)| failed(MapError::IoError(error)))?;
        let zero = PerCpuValues::try_from(vec![ServerCounters::default(); cpus])
            .map_err(|error| failed(MapError::IoError(error)))?;
        self.counters
            .set(server_index(server), zero, 0)
            .map_err(failed)
    }
}

fn key(prefix: Ipv6Net) -> Key<[u8; 16]> {
    Key::new(u32::from(prefix.prefix_len()), prefix.network().octets())
}

const fn not_listed(source: MapError) -> WriteError {
    WriteError::Map {
        what: "IPv6 source lists",
        source,
    }
}

/// The maps the program writes and userspace reads.
pub(super) struct Readings {
    /// What servers got.
    pub counters: PerCpuArray<MapData, ServerCounters>,
    /// What was dropped.
    pub drops: PerCpuArray<MapData, u64>,
    /// Connection counts of sources.
    pub sources: Mapped<SourceBucket>,
    /// Frames shown on request.
    pub capture: CaptureMaps,
    /// Flows, to count them.
    pub flows: Mapped<FlowBucket>,
    /// Their addresses, where they are known.
    pub nat: Mapped<NatEntry>,
    /// How many flows servers have, to correct it.
    pub loads: Mapped<Load>,
    /// SYNs by service.
    pub syns: Mapped<SynRecord>,
}

/// What the maps look like with these sizes.
pub(super) fn layout(sizes: &Sizes, sources: Keeping) -> Layout {
    let value = |name: &str| -> usize {
        match name {
            name::BINDS => size_of::<BindBucket>(),
            name::RANGES => size_of::<RangeRow>(),
            name::SERVICES => size_of::<Service>(),
            name::SERVERS => size_of::<Server>(),
            name::RINGS => size_of::<RingRow>(),
            name::LOADS => size_of::<Load>(),
            name::TURNS => size_of::<Turn>(),
            name::LISTS4 => size_of::<ListRow>(),
            name::LISTS6 => size_of::<ListBucket>(),
            name::ACTIONS => size_of::<ActionRow>(),
            name::RATES => size_of::<RateRule>(),
            name::SOURCES => size_of::<SourceBucket>(),
            name::FLOWS => size_of::<FlowBucket>(),
            name::NAT => size_of::<NatEntry>(),
            name::FRAGMENTS => size_of::<FragmentBucket>(),
            name::SYNS => size_of::<SynRecord>(),
            name::COUNTERS => size_of::<ServerCounters>(),
            name::DROPS => size_of::<u64>(),
            name::LISTS6_TRIE => size_of::<u32>(),
            // A devmap's entry: interface and program.
            _ => 8,
        }
    };
    let keeping = |name: &str| match name {
        name::SERVERS
        | name::RINGS
        | name::LOADS
        | name::FLOWS
        | name::NAT
        | name::SYNS
        | name::COUNTERS
        | name::DROPS => Keeping::Kept,
        name::SOURCES => sources,
        _ => Keeping::Fresh,
    };
    let key = |name: &str| {
        if name == name::LISTS6_TRIE {
            size_of::<u32>() + size_of::<[u8; 16]>()
        } else {
            size_of::<u32>()
        }
    };
    let one = |(name, entries)| Table {
        name,
        key: key(name) as u32,
        value: value(name) as u32,
        entries,
        keeping: keeping(name),
    };
    let mut tables: Vec<Table> = sizes.entries().map(one).into();
    let config = size_of::<Config>() as u32;
    tables.push(Table {
        name: name::CONFIG,
        key: 4,
        value: config,
        entries: 1,
        keeping: Keeping::Fresh,
    });
    Layout {
        version: LAYOUT,
        program: PROGRAM,
        tables,
    }
}

/// Bytes of memory that maps of this layout lock: entries and values, per-CPU ones on every CPU; not the few that the
/// kernel needs besides, nor the IPv6 trie, which takes what it holds.
pub(super) fn locked(layout: &Layout) -> u64 {
    let cpus = aya::util::nr_cpus().unwrap_or(1) as u64;
    let of = |table: &Table| {
        let copies = match table.name {
            name::COUNTERS | name::DROPS => cpus,
            name::LISTS6_TRIE => 0,
            _ => 1,
        };
        copies * u64::from(table.entries) * u64::from(table.value)
    };
    layout.tables.iter().map(of).sum()
}

impl Tables {
    /// Opens the maps of a loaded program.
    pub(super) fn open(loaded: &mut Loaded, sizes: &Sizes) -> Result<(Self, Readings), LoadError> {
        let entries = sizes.entries();
        let size = |wanted: &str| {
            entries
                .iter()
                .find(|(name, _)| *name == wanted)
                .map_or(1, |(_, entries)| *entries)
        };
        let mut map = |name: &'static str| loaded.take_map(name);
        let counters = map(name::COUNTERS)?;
        let again = second(&counters, name::COUNTERS)?;
        let config = map(name::CONFIG)?;
        let loads = map(name::LOADS)?;
        let syns = map(name::SYNS)?;
        let tables = Self {
            config: mapped(&config, name::CONFIG, 1)?,
            binds: mapped(&map(name::BINDS)?, name::BINDS, size(name::BINDS))?,
            ranges: mapped(&map(name::RANGES)?, name::RANGES, size(name::RANGES))?,
            services: mapped(&map(name::SERVICES)?, name::SERVICES, size(name::SERVICES))?,
            servers: mapped(&map(name::SERVERS)?, name::SERVERS, size(name::SERVERS))?,
            rings: mapped(&map(name::RINGS)?, name::RINGS, size(name::RINGS))?,
            loads: mapped(&loads, name::LOADS, size(name::LOADS))?,
            turns: mapped(&map(name::TURNS)?, name::TURNS, size(name::TURNS))?,
            lists4: mapped(&map(name::LISTS4)?, name::LISTS4, size(name::LISTS4))?,
            lists6: mapped(&map(name::LISTS6)?, name::LISTS6, size(name::LISTS6))?,
            actions: mapped(&map(name::ACTIONS)?, name::ACTIONS, size(name::ACTIONS))?,
            rates: mapped(&map(name::RATES)?, name::RATES, size(name::RATES))?,
            syns: mapped(&syns, name::SYNS, size(name::SYNS))?,
            others: Box::new(KernelMaps {
                devices: other(map(name::DEVICES)?, name::DEVICES)?,
                lists6_trie: other(map(name::LISTS6_TRIE)?, name::LISTS6_TRIE)?,
                counters: other(counters, name::COUNTERS)?,
            }),
        };
        let readings = Readings {
            counters: other(again, name::COUNTERS)?,
            drops: other(map(name::DROPS)?, name::DROPS)?,
            sources: mapped(&map(name::SOURCES)?, name::SOURCES, size(name::SOURCES))?,
            capture: CaptureMaps {
                config: mapped(&config, name::CONFIG, 1)?,
                control: mapped(&map(name::CAPTURE)?, name::CAPTURE, 1)?,
                ring: other(map(name::CAPTURED)?, name::CAPTURED)?,
                missed: other(map(name::MISSED)?, name::MISSED)?,
            },
            flows: mapped(&map(name::FLOWS)?, name::FLOWS, size(name::FLOWS))?,
            nat: mapped(&map(name::NAT)?, name::NAT, size(name::NAT))?,
            loads: mapped(&loads, name::LOADS, size(name::LOADS))?,
            syns: mapped(&syns, name::SYNS, size(name::SYNS))?,
        };
        Ok((tables, readings))
    }
}

/// An array map as memory.
pub(super) fn mapped<T: Record>(
    map: &Map,
    name: &'static str,
    records: u32,
) -> Result<Mapped<T>, LoadError> {
    let Map::Array(data) = map else {
        return Err(LoadError::Foreign {
            what: "array",
            name,
        });
    };
    Mapped::new(data.fd(), records).map_err(|source| LoadError::Memory { name, source })
}

/// Another handle of a per-CPU array.
fn second(map: &Map, name: &'static str) -> Result<Map, LoadError> {
    let Map::PerCpuArray(data) = map else {
        return Err(LoadError::Foreign {
            what: "per-CPU array",
            name,
        });
    };
    let failed = |source| LoadError::Map { name, source };
    let descriptor = data
        .fd()
        .as_fd()
        .try_clone_to_owned()
        .map_err(|error| failed(MapError::IoError(error)))?;
    MapData::from_fd(descriptor)
        .and_then(Map::from_map_data)
        .map_err(failed)
}

fn other<T: TryFrom<Map, Error = MapError>>(map: Map, name: &'static str) -> Result<T, LoadError> {
    T::try_from(map).map_err(|source| LoadError::Map { name, source })
}

/// Version of the records' meaning. It goes up when a kept map's records change without changing their size.
const LAYOUT: u32 = 6;

/// Maps the array pinned at a path; for reading what an earlier program was told.
pub(super) fn pinned<T: Record>(
    path: &std::path::Path,
    name: &'static str,
) -> Result<Mapped<T>, LoadError> {
    let failed = |source| LoadError::Map { name, source };
    let data = MapData::from_pin(path).map_err(failed)?;
    let records = data.info().map_err(failed)?.max_entries();
    let value = data.info().map_err(failed)?.value_size();
    if value as usize != size_of::<T>() {
        let source = io::Error::new(io::ErrorKind::InvalidData, "its records have another size");
        return Err(LoadError::Memory { name, source });
    }
    Mapped::new(data.fd(), records).map_err(|source| LoadError::Memory { name, source })
}
