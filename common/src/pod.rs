//! Tells aya which map values may be copied as bytes.
//!
//! The macro takes plain types and proves, by zerocopy's derives, that they have no padding and no invalid bit pattern;
//! only then does it say `aya::Pod`. Records of mapped arrays are not listed here: they are made of [`crate::word::Word`]s
//! and are never copied through a system call.

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
