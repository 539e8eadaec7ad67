//! The unit of shared memory: one aligned 64-bit word.
//!
//! Every record of a mapped array is made of words, so that whatever one side stores the other sees whole: a reader can
//! meet an old word or a new one, never half of each. Which words belong together, and in which order they are stored, is
//! said where the record is defined. A word orders nothing around it; userspace separates its steps by a system call
//! (see [`crate::maps`]).

#[cfg(not(target_arch = "bpf"))]
use core::sync::atomic::{AtomicU64, Ordering};

/// One aligned 64-bit word of a shared array.
#[derive(Debug, Default)]
#[repr(transparent)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::KnownLayout)
)]
pub struct Word(Cell64);

#[cfg(not(target_arch = "bpf"))]
type Cell64 = AtomicU64;
/// LLVM's BPF backend has no atomic load; a plain aligned one is atomic on every machine BPF runs on.
#[cfg(target_arch = "bpf")]
type Cell64 = core::cell::Cell<u64>;

#[cfg(not(target_arch = "bpf"))]
impl Word {
    /// A word holding `value`.
    pub const fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }

    /// Its value now.
    #[inline(always)]
    pub fn load(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Replaces its value; earlier stores of this thread are visible to whoever sees this one.
    #[inline(always)]
    pub fn store(&self, value: u64) {
        self.0.store(value, Ordering::Release);
    }
}

#[cfg(target_arch = "bpf")]
impl Word {
    /// Its value now.
    #[inline(always)]
    pub fn load(&self) -> u64 {
        self.0.get()
    }

    /// Replaces its value.
    #[inline(always)]
    pub fn store(&self, value: u64) {
        self.0.set(value);
    }

    /// Where it is, for the kernel's own atomic instructions.
    #[inline(always)]
    pub fn as_ptr(&self) -> *mut u64 {
        self.0.as_ptr()
    }
}

impl Word {
    /// Its value as the eight bytes in memory.
    #[inline(always)]
    pub fn bytes(&self) -> [u8; 8] {
        self.load().to_ne_bytes()
    }

    /// Replaces its value by eight bytes as they shall stand in memory.
    #[inline(always)]
    pub fn store_bytes(&self, bytes: [u8; 8]) {
        self.store(u64::from_ne_bytes(bytes));
    }
}

/// The read-modify-write operations on words that more than one CPU writes. They are the kernel's own instructions in the
/// program, which the BPF target of Rust's core does not offer.
pub trait Atomics {
    /// Adds to the word (wrapping).
    fn add(&self, word: &Word, by: u64);
    /// The value now, whatever was read of the word before.
    fn reload(&self, word: &Word) -> u64;
    /// Adds one to the word (wrapping) and tells what it was.
    fn take(&self, word: &Word) -> u64;
    /// Stores `new` if the word still holds `old`; says whether it did.
    fn replace(&self, word: &Word, old: u64, new: u64) -> bool;
}

/// [`Atomics`] of a process that shares the words.
#[cfg(not(target_arch = "bpf"))]
#[derive(Clone, Copy, Debug)]
pub struct HostAtomics;

#[cfg(not(target_arch = "bpf"))]
impl Atomics for HostAtomics {
    fn add(&self, word: &Word, by: u64) {
        word.0.fetch_add(by, Ordering::Relaxed);
    }

    fn reload(&self, word: &Word) -> u64 {
        word.0.load(Ordering::Acquire)
    }

    fn take(&self, word: &Word) -> u64 {
        word.0.fetch_add(1, Ordering::Relaxed)
    }

    fn replace(&self, word: &Word, old: u64, new: u64) -> bool {
        word.0
            .compare_exchange(old, new, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }
}

/// Two halves as one value, the first in the low bits.
#[inline(always)]
pub const fn pair(low: u32, high: u32) -> u64 {
    low as u64 | ((high as u64) << 32)
}

/// The low half of a value.
#[inline(always)]
pub const fn low(value: u64) -> u32 {
    value as u32
}

/// The high half of a value.
#[inline(always)]
pub const fn high(value: u64) -> u32 {
    (value >> 32) as u32
}
