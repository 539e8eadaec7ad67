//! An array map seen as memory: records are read and written without a system call each.
//!
//! The kernel's program works on the same memory at the same time, so only records made of [`Word`]s may be seen this
//! way: each word is read and written whole, and which words belong together is said where the record is defined
//! (`tidegate_common::maps`). A map must have been made with `BPF_F_MMAPABLE`.

use std::io;
use std::ops::Deref;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::time::Duration;

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use tidegate_common::action::ActionRow;
use tidegate_common::bind::{BindBucket, RangeRow};
use tidegate_common::capture::Control;
use tidegate_common::config::Config;
use tidegate_common::decap::Endings;
use tidegate_common::flow::FlowBucket;
use tidegate_common::fragment::FragmentBucket;
use tidegate_common::list4::ListRow;
use tidegate_common::list6::ListBucket;
use tidegate_common::load::{Load, Turn};
use tidegate_common::nat::NatEntry;
use tidegate_common::rate::RateRule;
use tidegate_common::ring::RingRow;
use tidegate_common::server::Server;
use tidegate_common::service::Service;
use tidegate_common::source::SourceBucket;
use tidegate_common::syn::SynRecord;
use tidegate_common::word::Word;
use zerocopy::FromBytes;

/// The records of one array map, as long as this lives.
pub(super) struct Mapped<T> {
    base: NonNull<T>,
    records: usize,
}

/// A record that consists of [`Word`]s and nothing else.
///
/// # Safety
/// Every byte must lie in a word: the kernel changes the memory while references to the record exist.
pub(super) unsafe trait Record: FromBytes + Sync {}

macro_rules! records {
    ($($record:ty),+ $(,)?) => {$(
        // SAFETY: `tidegate_common::maps` says so of all records of mapped arrays; their definitions hold words only.
        unsafe impl Record for $record {}
    )+};
}

records!(
    ActionRow,
    BindBucket,
    RangeRow,
    Config,
    Control,
    Endings,
    FlowBucket,
    FragmentBucket,
    ListRow,
    ListBucket,
    Load,
    NatEntry,
    RateRule,
    RingRow,
    Server,
    Service,
    SourceBucket,
    SynRecord,
    Turn,
);

// SAFETY: the mapping is not tied to a thread, and the records are shared by reference only.
unsafe impl<T: Sync> Send for Mapped<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Mapped<T> {}

impl<T: Record> Mapped<T> {
    /// Maps the first `records` records of an array map, or of a file in its place.
    pub(super) fn new(map: impl AsFd, records: u32) -> io::Result<Self> {
        const {
            assert!(
                size_of::<T>().is_multiple_of(size_of::<Word>()),
                "the kernel rounds records up to words"
            )
        };
        const { assert!(align_of::<T>() <= 4096, "a mapping starts at a page") };
        let records = records as usize;
        // SAFETY: a fresh mapping at an address of the kernel's choice aliases nothing of ours.
        let base = unsafe {
            let protection = ProtFlags::READ | ProtFlags::WRITE;
            mmap(
                std::ptr::null_mut(),
                records * size_of::<T>(),
                protection,
                MapFlags::SHARED,
                map,
                0,
            )
        }?;
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { base, records })
    }
}

/// Waits until no program run that began before is still running (an RCU grace period), so that what the programs can
/// no longer reach may be written again.
pub(super) fn wait_for_programs() {
    // SAFETY: the call takes numbers only and touches no memory of ours.
    let waited = unsafe { libc::syscall(libc::SYS_membarrier, libc::MEMBARRIER_CMD_GLOBAL, 0, 0) };
    if waited != 0 {
        // Not in every sandbox. A run takes microseconds and cannot be interrupted for long.
        std::thread::sleep(Duration::from_millis(100));
    }
}

impl<T> Deref for Mapped<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: the mapping holds that many records, any bytes are a `T` (`FromBytes` in `new`), it is aligned to
        // pages, it lives as long as `self`, and whoever changes it does so through the words' interior mutability.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), self.records) }
    }
}

impl<T> Drop for Mapped<T> {
    fn drop(&mut self) {
        // SAFETY: this mapping was made in `new`, and no reference into it outlives `self`.
        let unmapped = unsafe { munmap(self.base.as_ptr().cast(), self.records * size_of::<T>()) };
        debug_assert!(unmapped.is_ok(), "the mapping was valid");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_mappings_show_the_same_records() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 16).unwrap();
        let (one, other) = (
            Mapped::<RateRule>::new(&file, 3).unwrap(),
            Mapped::<RateRule>::new(&file, 3).unwrap(),
        );
        for (index, record) in one.iter().enumerate() {
            record.keying.store(index as u64 + 7);
        }
        assert_eq!(
            other
                .iter()
                .map(|record| record.keying.load())
                .collect::<Vec<_>>(),
            [7, 8, 9]
        );
        assert_eq!(other.len(), 3);
    }

    #[test]
    fn waiting_for_programs_ends() {
        wait_for_programs();
    }
}
