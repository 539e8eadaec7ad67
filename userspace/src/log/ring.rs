//! A bounded store of log lines between those who log and those who carry the lines away (manual §12.5).
//!
//! Lines come in one by one; every reader takes them out in order, at its own pace. When the room is used up the oldest
//! lines go, unless a reader still needs them: then the new line is lost. Nothing here waits or does IO.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::sink::Dropped;

/// One ring.
#[derive(Debug)]
pub struct Ring {
    name: String,
    description: String,
    size: usize,
    kept: Mutex<Kept>,
    /// How many lines there ever were.
    written: watch::Sender<u64>,
}

#[derive(Debug)]
struct Kept {
    lines: VecDeque<Arc<[u8]>>,
    bytes: usize,
    /// The number of the first line kept.
    first: u64,
    /// The number of the line each reader takes next.
    readers: Vec<u64>,
}

impl Ring {
    /// An empty ring that keeps up to `size` bytes of lines, for so many readers.
    pub fn new(
        name: impl Into<String>,
        description: impl Into<String>,
        size: usize,
        readers: usize,
    ) -> Self {
        Self {
            name: name.into(),
            description: description.into(),
            size,
            kept: Mutex::new(Kept {
                lines: VecDeque::new(),
                bytes: 0,
                first: 0,
                readers: vec![0; readers],
            }),
            written: watch::Sender::new(0),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is for.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Adds a line, which carries no line end.
    ///
    /// # Errors
    /// There is no room: it is longer than the ring, or a reader is too far behind.
    pub(super) fn push(&self, line: &[u8]) -> Result<(), Dropped> {
        let cost = line.len() + OVERHEAD;
        let mut kept = self.kept.lock();
        while kept.bytes + cost > self.size {
            kept.forget_oldest()?;
        }
        kept.bytes += cost;
        kept.lines.push_back(line.into());
        let end = kept.end();
        drop(kept);
        self.written.send_replace(end);
        Ok(())
    }

    /// The next lines of a reader, at most so many bytes of them but at least one line when there is any.
    pub fn next(&self, reader: usize, most: usize) -> Vec<Arc<[u8]>> {
        let kept = self.kept.lock();
        let from = kept.readers[reader];
        let mut bytes = 0;
        kept.from(from)
            .take_while(|line| {
                let fits = bytes == 0 || bytes + line.len() <= most;
                bytes += line.len() + OVERHEAD;
                fits
            })
            .cloned()
            .collect()
    }

    /// A reader is done with its next lines, so many of them.
    pub fn taken(&self, reader: usize, lines: usize) {
        let mut kept = self.kept.lock();
        let end = kept.end();
        let next = &mut kept.readers[reader];
        *next = next.saturating_add(lines as u64).min(end);
    }

    /// Waits for a line of a reader.
    pub async fn wait(&self, reader: usize) {
        let next = self.kept.lock().readers[reader];
        self.wait_beyond(next).await;
    }

    /// Waits until more than so many lines were written.
    pub async fn wait_beyond(&self, lines: u64) {
        let mut written = self.written.subscribe();
        // The sender is part of this ring.
        let _ = written.wait_for(|written| *written > lines).await;
    }

    /// What is kept of the lines behind the first `seen`, and how many there were in all. For those who only look.
    pub fn look(&self, seen: u64) -> (Vec<Arc<[u8]>>, u64) {
        let kept = self.kept.lock();
        (kept.from(seen).cloned().collect(), kept.end())
    }
}

impl Kept {
    fn end(&self) -> u64 {
        self.first + self.lines.len() as u64
    }

    /// The lines from a number on, as far as they are kept.
    fn from(&self, number: u64) -> impl Iterator<Item = &Arc<[u8]>> {
        let skipped = number.saturating_sub(self.first);
        self.lines
            .iter()
            .skip(usize::try_from(skipped).unwrap_or(usize::MAX))
    }

    fn forget_oldest(&mut self) -> Result<(), Dropped> {
        let is_needed = self.readers.iter().any(|next| *next <= self.first);
        match self.lines.pop_front() {
            Some(line) if !is_needed => {
                self.bytes -= line.len() + OVERHEAD;
                self.first += 1;
                Ok(())
            }
            Some(line) => {
                self.lines.push_front(line);
                Err(Dropped)
            }
            None => Err(Dropped),
        }
    }
}

/// Bytes a line takes beside its own: what is kept to tell lines apart.
const OVERHEAD: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(lines: &[Arc<[u8]>]) -> Vec<&str> {
        let text = |line: &'_ Arc<[u8]>| std::str::from_utf8(line).map(str::len).is_ok();
        assert!(lines.iter().all(text));
        lines
            .iter()
            .map(|line| std::str::from_utf8(line).expect("checked"))
            .collect()
    }

    #[test]
    fn without_readers_the_oldest_lines_go() {
        let ring = Ring::new("r", "r", 3 * (1 + OVERHEAD), 0);
        for line in [b"a", b"b", b"c", b"d"] {
            ring.push(line).expect("there is room");
        }
        let (lines, seen) = ring.look(0);
        assert_eq!((texts(&lines), seen), (vec!["b", "c", "d"], 4));
        assert_eq!(texts(&ring.look(3).0), ["d"]);
        assert!(ring.look(9).0.is_empty());
        assert_eq!(ring.push(&[b'x'; 100]), Err(Dropped));
    }

    #[test]
    fn a_slow_reader_keeps_lines_and_new_ones_are_lost() {
        let ring = Ring::new("r", "r", 2 * (1 + OVERHEAD), 2);
        assert_eq!(ring.push(b"a"), Ok(()));
        assert_eq!(ring.push(b"b"), Ok(()));
        assert_eq!(ring.push(b"c"), Err(Dropped));
        ring.taken(0, 2);
        assert_eq!(ring.push(b"c"), Err(Dropped), "the other has taken nothing");
        ring.taken(1, 1);
        assert_eq!(ring.push(b"c"), Ok(()));
        assert_eq!(texts(&ring.next(0, 100)), ["c"]);
        assert_eq!(texts(&ring.next(1, 100)), ["b", "c"]);
        assert_eq!(texts(&ring.next(1, 1)), ["b"], "at least one");
    }

    #[tokio::test]
    async fn a_reader_is_woken_by_a_line() {
        let ring = Ring::new("r", "r", 100, 1);
        let (_, pushed) = tokio::join!(ring.wait(0), async { ring.push(b"a") });
        assert_eq!(pushed, Ok(()));
        ring.wait(0).await;
        ring.taken(0, 1);
        assert!(ring.next(0, 10).is_empty());
    }
}
