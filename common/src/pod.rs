//! What values of maps are made of: plain bytes, or words.
//!
//! The macro [`pod`] takes plain types and proves, by zerocopy's derives, that they have no padding and no invalid bit
//! pattern; only then does it say `aya::Pod`. Records of mapped arrays are made of [`Word`]s and are never copied through a
//! system call; [`words`] shows them as such, so that userspace can copy and compare whole arrays.
#![cfg_attr(
    any(feature = "user", test),
    expect(unsafe_code, reason = "records seen as the words they consist of")
)]

#[cfg(any(feature = "user", test))]
use crate::word::Word;

/// Declares that the types are plain bytes for aya, after checking that they are.
macro_rules! pod {
    ($($type:ty),+ $(,)?) => {$(
        #[cfg(feature = "user")]
        const _: () = {
            const fn plain<T: zerocopy::FromBytes + zerocopy::IntoBytes + Copy>() {}
            plain::<$type>();
            // SAFETY: the line above compiles only for types without padding in which every bit pattern is valid.
            #[expect(unsafe_code, reason = "the one promise to aya, proved by zerocopy's derives")]
            unsafe impl aya::Pod for $type {}
        };
    )+};
}

pub(crate) use pod;

/// A record of a mapped array: [`Word`]s and nothing else.
///
/// # Safety
/// Every byte must lie in a word, and the alignment must be a word's.
#[cfg(any(feature = "user", test))]
pub unsafe trait Words {}

#[cfg(any(feature = "user", test))]
macro_rules! made_of_words {
    ($($record:ty),+ $(,)?) => {$(
        // SAFETY: the definitions hold words and arrays of words only, under `repr(C)`; sizes are checked here.
        unsafe impl Words for $record {}
        const _: () = assert!(size_of::<$record>() % size_of::<Word>() == 0);
        const _: () = assert!(align_of::<$record>() == align_of::<Word>());
    )+};
}

#[cfg(any(feature = "user", test))]
made_of_words!(
    crate::action::ActionRow,
    crate::bind::BindBucket,
    crate::bind::RangeRow,
    crate::config::Config,
    crate::flow::FlowBucket,
    crate::fragment::FragmentBucket,
    crate::list4::ListRow,
    crate::list6::ListBucket,
    crate::load::Load,
    crate::load::Turn,
    crate::nat::NatEntry,
    crate::rate::RateRule,
    crate::ring::RingRow,
    crate::server::Server,
    crate::service::Service,
    crate::source::SourceBucket,
    crate::syn::SynRecord,
);

/// All words of some records, in their order.
#[cfg(any(feature = "user", test))]
pub fn words<T: Words>(records: &[T]) -> &[Word] {
    let count = size_of_val(records) / size_of::<Word>();
    // SAFETY: the records consist of that many words (`Words`), which are aligned and live as long as they do.
    unsafe { core::slice::from_raw_parts(records.as_ptr().cast(), count) }
}
