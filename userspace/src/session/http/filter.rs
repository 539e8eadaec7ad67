//! What may look at or change a body between its decoding and its writing: compression, the cache.
//!
//! A [`BodyFilter`] is given the decoded body piece by piece; [`Filters`] is the row of those that a
//! direction of an exchange has. Where pieces come from and how they are framed again is
//! [`super::relay`]'s; filters neither read, write nor wait, and hold no more than they must.

use std::io;

use smallvec::SmallVec;

/// One change or observation of a body.
pub(crate) trait BodyFilter {
    /// Takes a piece of the body.
    fn piece(&mut self, piece: &[u8], out: &mut Vec<u8>) -> io::Result<Flow>;

    /// Nothing more is here for now: what was held back for a better moment goes on, so that the
    /// receiver of a slow stream is not kept waiting.
    fn pause(&mut self, _out: &mut Vec<u8>) -> io::Result<()> {
        Ok(())
    }

    /// The body is complete.
    fn end(&mut self, _out: &mut Vec<u8>) -> io::Result<()> {
        Ok(())
    }
}

/// What becomes of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// It goes on as it is; nothing was appended.
    Unchanged,
    /// What was appended goes on in its place, which may be nothing.
    Changed,
}

/// The filters of one direction, in the order in which they see the body.
#[derive(Default)]
pub(crate) struct Filters {
    row: SmallVec<[Box<dyn BodyFilter>; 2]>,
    current: Vec<u8>,
    next: Vec<u8>,
    ended: bool,
}

impl Filters {
    /// Adds a filter behind the others.
    pub(crate) fn add(&mut self, filter: Box<dyn BodyFilter>) {
        self.row.push(filter);
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.row.is_empty()
    }

    /// Whether the end of the body has gone through.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended || self.row.is_empty()
    }

    /// Takes all filters away.
    pub(crate) fn clear(&mut self) {
        self.row.clear();
        self.current.clear();
        self.next.clear();
        self.ended = false;
    }

    /// Gives a piece to every filter, and the end behind it if it is the last one. `None`: the piece
    /// goes on as it is; else what goes on instead.
    pub(crate) fn piece(&mut self, piece: &[u8], last: bool) -> io::Result<Option<&[u8]>> {
        self.current.clear();
        let mut flow = Flow::Unchanged;
        if !piece.is_empty() {
            flow = self.through(0, piece)?;
        }
        if last {
            flow = self.finish(piece, flow)?;
        }
        Ok((flow == Flow::Changed).then_some(&self.current))
    }

    /// Lets go on what filters hold back.
    pub(crate) fn pause(&mut self) -> io::Result<&[u8]> {
        self.current.clear();
        for at in 0..self.row.len() {
            let mut held = Vec::new();
            self.row[at].pause(&mut held)?;
            self.pass_on(at, &held)?;
        }
        Ok(&self.current)
    }

    /// Runs a piece through the filters from `first` on; the result is `current` if it changed.
    fn through(&mut self, first: usize, piece: &[u8]) -> io::Result<Flow> {
        let mut flow = Flow::Unchanged;
        for filter in &mut self.row[first..] {
            self.next.clear();
            let input: &[u8] = if flow == Flow::Unchanged {
                piece
            } else {
                &self.current
            };
            if filter.piece(input, &mut self.next)? == Flow::Changed {
                std::mem::swap(&mut self.current, &mut self.next);
                flow = Flow::Changed;
            }
        }
        Ok(flow)
    }

    /// Tells every filter of the end; what comes out of it follows the last piece.
    fn finish(&mut self, piece: &[u8], flow: Flow) -> io::Result<Flow> {
        self.ended = true;
        let before = self.current.len();
        let mut ends: SmallVec<[Vec<u8>; 2]> = SmallVec::new();
        let unchanged = flow == Flow::Unchanged;
        let mut out = std::mem::take(&mut self.current);
        for at in 0..self.row.len() {
            let mut held = Vec::new();
            self.row[at].end(&mut held)?;
            self.pass_on(at, &held)?;
            if !self.current.is_empty() {
                ends.push(std::mem::take(&mut self.current));
            }
        }
        if unchanged && ends.is_empty() {
            self.current = out;
            return Ok(Flow::Unchanged);
        }
        if unchanged {
            debug_assert_eq!(before, 0, "an unchanged piece left nothing behind");
            out.extend_from_slice(piece);
        }
        for end in &ends {
            out.extend_from_slice(end);
        }
        self.current = out;
        Ok(Flow::Changed)
    }

    /// Gives what a filter let go to those behind it, and appends the result to `current`.
    fn pass_on(&mut self, at: usize, held: &[u8]) -> io::Result<()> {
        if held.is_empty() {
            return Ok(());
        }
        let before = std::mem::take(&mut self.current);
        let flow = self.through(at + 1, held)?;
        if flow == Flow::Unchanged {
            self.current.clear();
            self.current.extend_from_slice(held);
        }
        if !before.is_empty() {
            let after = std::mem::replace(&mut self.current, before);
            self.current.extend_from_slice(&after);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Holds back every second byte it gets.
    #[derive(Default)]
    struct Halves(Vec<u8>);

    impl BodyFilter for Halves {
        fn piece(&mut self, piece: &[u8], out: &mut Vec<u8>) -> io::Result<Flow> {
            let half = piece.len().div_ceil(2);
            out.append(&mut self.0);
            out.extend_from_slice(&piece[..half]);
            self.0.extend_from_slice(&piece[half..]);
            Ok(Flow::Changed)
        }

        fn pause(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
            out.append(&mut self.0);
            Ok(())
        }

        fn end(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
            out.append(&mut self.0);
            out.push(b'.');
            Ok(())
        }
    }

    struct Watches;

    impl BodyFilter for Watches {
        fn piece(&mut self, _piece: &[u8], _out: &mut Vec<u8>) -> io::Result<Flow> {
            Ok(Flow::Unchanged)
        }
    }

    fn row(filters: Vec<Box<dyn BodyFilter>>) -> Filters {
        let mut row = Filters::default();
        filters.into_iter().for_each(|filter| row.add(filter));
        row
    }

    #[test]
    fn a_watcher_leaves_pieces_where_they_are() {
        let mut filters = row(vec![Box::new(Watches), Box::new(Watches)]);
        assert_eq!(filters.piece(b"abc", false).unwrap(), None);
        assert_eq!(filters.piece(b"", true).unwrap(), None);
        assert!(filters.has_ended());
    }

    #[test]
    fn what_is_held_back_goes_on_at_a_pause_and_at_the_end() {
        let mut filters = row(vec![Box::new(Watches), Box::<Halves>::default()]);
        assert_eq!(filters.piece(b"abcd", false).unwrap(), Some(&b"ab"[..]));
        assert_eq!(filters.pause().unwrap(), b"cd");
        assert_eq!(filters.pause().unwrap(), b"");
        assert_eq!(filters.piece(b"ef", true).unwrap(), Some(&b"ef."[..]));
    }

    #[test]
    fn filters_see_what_those_before_them_let_go() {
        let mut filters = row(vec![Box::<Halves>::default(), Box::<Halves>::default()]);
        let mut all = Vec::new();
        all.extend_from_slice(filters.piece(b"abcdefgh", false).unwrap().unwrap());
        assert_eq!(all, b"ab");
        all.extend_from_slice(filters.pause().unwrap());
        all.extend_from_slice(filters.piece(b"", true).unwrap().unwrap());
        let letters: Vec<u8> = all.iter().copied().filter(|byte| *byte != b'.').collect();
        assert_eq!(letters, b"abcdefgh");
        assert!(all.ends_with(b"."));
    }
}
