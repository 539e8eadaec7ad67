//! How rules change messages: the choices their actions have (manual §4.4).

/// What is done with many fields at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldChange {
    /// They are added.
    Add,
    /// They replace those of the same names.
    Set,
}

/// Which part of a field's name is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamePart {
    /// `-m str`.
    Whole,
    /// `-m beg`.
    Beginning,
    /// `-m end`.
    End,
    /// `-m sub`.
    Middle,
}

/// What `normalize-uri` does to a target (manual §4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normalizer {
    /// `fragment-encode`.
    FragmentEncode,
    /// `fragment-strip`.
    FragmentStrip,
    /// `path-merge-slashes`.
    PathMergeSlashes,
    /// `path-strip-dot`.
    PathStripDot,
    /// `path-strip-dotdot [full]`.
    PathStripDotDot {
        /// Those at the beginning too.
        full: bool,
    },
    /// `percent-decode-unreserved [strict]`.
    PercentDecodeUnreserved {
        /// Broken sequences refuse the request.
        strict: bool,
    },
    /// `percent-to-uppercase [strict]`.
    PercentToUppercase {
        /// Broken sequences refuse the request.
        strict: bool,
    },
    /// `query-sort-by-name`.
    QuerySortByName,
}
