//! Sets of HTTP statuses.

/// Which statuses say that something went wrong (manual §3.1).
#[derive(Clone, Copy, Debug)]
pub struct StatusClasses {
    /// `http-err-codes`: a client's error.
    pub errors: StatusSet,
    /// `http-fail-codes`: a server's failure.
    pub failures: StatusSet,
}

impl Default for StatusClasses {
    fn default() -> Self {
        // 501 and 505 can be caused by clients.
        let is_failure = |status: &u16| !matches!(status, 501 | 505);
        Self {
            errors: (400..=499).collect(),
            failures: (500..=599).filter(is_failure).collect(),
        }
    }
}

/// A set of statuses from 100 to 599.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatusSet([u64; 8]);

impl StatusSet {
    /// The statuses there are.
    pub const RANGE: std::ops::RangeInclusive<u16> = 100..=599;

    /// Whether a status belongs to it.
    #[must_use]
    pub fn contains(&self, status: u16) -> bool {
        Self::place(status).is_some_and(|(word, bit)| self.0[word] & bit != 0)
    }

    /// Adds a status.
    pub fn insert(&mut self, status: u16) {
        if let Some((word, bit)) = Self::place(status) {
            self.0[word] |= bit;
        }
    }

    /// Takes a status out.
    pub fn remove(&mut self, status: u16) {
        if let Some((word, bit)) = Self::place(status) {
            self.0[word] &= !bit;
        }
    }

    fn place(status: u16) -> Option<(usize, u64)> {
        let index = usize::from(status.checked_sub(*Self::RANGE.start())?);
        (status <= *Self::RANGE.end()).then(|| (index / 64, 1 << (index % 64)))
    }
}

impl FromIterator<u16> for StatusSet {
    fn from_iter<I: IntoIterator<Item = u16>>(statuses: I) -> Self {
        let mut set = Self::default();
        statuses.into_iter().for_each(|status| set.insert(status));
        set
    }
}
