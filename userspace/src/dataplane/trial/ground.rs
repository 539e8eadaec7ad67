//! Where the tables of a trial lie: in files in memory, one in the place of each map.
//!
//! Input are the sizes; output are the tables as the writer wants them, and the arrays that only the program writes. A trie
//! cannot be mapped, so its entries are noted beside it, in the kernel's case as well.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use ipnet::Ipv6Net;
use parking_lot::Mutex;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use tidegate_common::action::Class;
use tidegate_common::address::Address;
use tidegate_common::flow::FlowBucket;
use tidegate_common::fragment::FragmentBucket;
use tidegate_common::maps::{Sizes, name};
use tidegate_common::nat::NatEntry;
use tidegate_common::server::ServerIndex;
use tidegate_common::source::SourceBucket;

use crate::dataplane::mmap::{Mapped, Record};
use crate::dataplane::tables::{Others, Tables};
use crate::dataplane::writer::WriteError;

/// The arrays that the program writes.
pub(super) struct Ground {
    pub(super) sources: Mapped<SourceBucket>,
    pub(super) flows: Mapped<FlowBucket>,
    pub(super) nat: Mapped<NatEntry>,
    pub(super) fragments: Mapped<FragmentBucket>,
}

/// What was entered into the IPv6 trie.
pub(super) type Trie = Arc<Mutex<Vec<(Address, u8, Class)>>>;

/// Notes what is entered into the trie, and hands it on where there is a kernel.
pub(super) struct Noting {
    pub(super) trie: Trie,
    pub(super) kernel: Option<Box<dyn Others>>,
}

impl Others for Noting {
    fn set_device(&mut self, index: u32, interface: u32) -> Result<(), WriteError> {
        match &mut self.kernel {
            Some(kernel) => kernel.set_device(index, interface),
            None => Ok(()),
        }
    }

    fn insert_prefix(&mut self, prefix: Ipv6Net, class: Class) -> Result<(), WriteError> {
        let entry = (prefix.network().into(), prefix.prefix_len(), class);
        let mut trie = self.trie.lock();
        trie.retain(|(known, bits, _)| (*known, *bits) != (entry.0, entry.1));
        trie.push(entry);
        drop(trie);
        match &mut self.kernel {
            Some(kernel) => kernel.insert_prefix(prefix, class),
            None => Ok(()),
        }
    }

    fn remove_prefix(&mut self, prefix: Ipv6Net) -> Result<(), WriteError> {
        let (address, length) = (Address::from(prefix.network()), prefix.prefix_len());
        self.trie
            .lock()
            .retain(|(known, bits, _)| (*known, *bits) != (address, length));
        match &mut self.kernel {
            Some(kernel) => kernel.remove_prefix(prefix),
            None => Ok(()),
        }
    }

    fn clear_counters(&mut self, server: ServerIndex) -> Result<(), WriteError> {
        match &mut self.kernel {
            Some(kernel) => kernel.clear_counters(server),
            None => Ok(()),
        }
    }
}

/// Empty tables of these sizes in memory of this process.
pub(super) fn in_memory(sizes: &Sizes, trie: &Trie) -> io::Result<(Tables, Ground)> {
    let entries: BTreeMap<_, _> = sizes.entries().into_iter().collect();
    let size = |name: &str| entries.get(name).copied().unwrap_or(1);
    let tables = Tables {
        config: array(1)?,
        binds: array(size(name::BINDS))?,
        ranges: array(size(name::RANGES))?,
        services: array(size(name::SERVICES))?,
        servers: array(size(name::SERVERS))?,
        rings: array(size(name::RINGS))?,
        loads: array(size(name::LOADS))?,
        turns: array(size(name::TURNS))?,
        lists4: array(size(name::LISTS4))?,
        lists6: array(size(name::LISTS6))?,
        actions: array(size(name::ACTIONS))?,
        rates: array(size(name::RATES))?,
        syns: array(size(name::SYNS))?,
        others: Box::new(Noting {
            trie: Arc::clone(trie),
            kernel: None,
        }),
    };
    let ground = Ground {
        sources: array(size(name::SOURCES))?,
        flows: array(size(name::FLOWS))?,
        nat: array(size(name::NAT))?,
        fragments: array(size(name::FRAGMENTS))?,
    };
    Ok((tables, ground))
}

fn array<T: Record>(records: u32) -> io::Result<Mapped<T>> {
    let file = memfd_create("table", MemfdFlags::CLOEXEC)?;
    ftruncate(&file, u64::from(records) * size_of::<T>() as u64)?;
    Mapped::new(&file, records)
}
