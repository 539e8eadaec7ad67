//! Configuration files as they were read, and the places inside them.
//!
//! Paths come in; texts, line tables and [`Span`]s come out. Nothing here knows what a word or a section is: a line is
//! a run of bytes ended by a line feed.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// All files of one configuration, in the order in which they are read.
#[derive(Debug, Default)]
pub struct Sources {
    files: Vec<Source>,
}

/// One configuration file.
#[derive(Debug)]
pub struct Source {
    /// The name as given on the command line, or `directory/file`.
    pub name: String,
    text: Vec<u8>,
    /// Offset of the first byte of every line.
    starts: Vec<usize>,
}

/// Which file a span is in: an index into [`Sources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceId(u32);

impl SourceId {
    /// Position in the order of reading.
    pub fn index(self) -> u32 {
        self.0
    }
}

/// A stretch of one line: lines count from 1 as in every message, columns are byte offsets from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The file.
    pub source: SourceId,
    /// Line number, from 1.
    pub line: u32,
    /// Column of the first byte, from 0.
    pub start: u32,
    /// Column after the last byte.
    pub end: u32,
}

/// A file or directory given with `-f` that could not be read.
#[derive(Debug, thiserror::Error)]
#[error("Cannot open configuration file/directory {} : {}", path.display(), reason(cause))]
pub struct Unreadable {
    /// What was asked for.
    pub path: PathBuf,
    #[source]
    cause: io::Error,
}

impl Sources {
    /// Reads every path: a file as it is, a directory as its `*.cfg` files in lexical order (management guide, `-f`).
    pub fn read(paths: &[PathBuf]) -> Result<Self, Unreadable> {
        let mut sources = Self::default();
        for path in paths {
            let unreadable = |cause| Unreadable {
                path: path.clone(),
                cause,
            };
            if fs::metadata(path).map_err(unreadable)?.is_dir() {
                for file in configuration_files(path).map_err(unreadable)? {
                    sources.read_file(&file)?;
                }
            } else {
                sources.read_file(path)?;
            }
        }
        Ok(sources)
    }

    /// Adds a text under a name: tests and built-in configurations.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<Vec<u8>>) -> SourceId {
        let id = SourceId(u32::try_from(self.files.len()).unwrap_or(u32::MAX));
        self.files.push(Source::new(name.into(), text.into()));
        id
    }

    fn read_file(&mut self, path: &Path) -> Result<(), Unreadable> {
        let text = fs::read(path).map_err(|cause| Unreadable {
            path: path.to_owned(),
            cause,
        })?;
        self.add(path.display().to_string(), text);
        Ok(())
    }

    /// The file behind an id.
    pub fn file(&self, id: SourceId) -> &Source {
        &self.files[id.0 as usize]
    }

    /// All files with their ids, in reading order.
    pub fn iter(&self) -> impl Iterator<Item = (SourceId, &Source)> {
        (0u32..).map(SourceId).zip(&self.files)
    }

    /// The file names joined as `HAPROXY_CFGFILES` shows them.
    pub fn names(&self) -> String {
        self.files
            .iter()
            .map(|file| file.name.as_str())
            .collect::<Vec<_>>()
            .join(";")
    }
}

impl Source {
    fn new(name: String, text: Vec<u8>) -> Self {
        let mut starts = vec![0];
        starts.extend(memchr::memchr_iter(b'\n', &text).map(|at| at + 1));
        if starts.last() == Some(&text.len()) {
            starts.pop();
        }
        Self { name, text, starts }
    }

    /// Number of lines.
    pub fn line_count(&self) -> u32 {
        u32::try_from(self.starts.len()).unwrap_or(u32::MAX)
    }

    /// A line without its line feed; lines count from 1. Out of range is empty.
    pub fn line(&self, number: u32) -> &[u8] {
        let index = (number as usize).wrapping_sub(1);
        let Some(&start) = self.starts.get(index) else {
            return &[];
        };
        let end = self
            .starts
            .get(index + 1)
            .copied()
            .unwrap_or(self.text.len());
        let line = &self.text[start..end];
        line.strip_suffix(b"\n").unwrap_or(line)
    }

    /// Whether the last line lacks its line feed: the file may have been cut off while it was copied.
    pub fn is_cut_off(&self) -> bool {
        self.text.last().is_some_and(|last| *last != b'\n')
    }
}

impl Span {
    /// The same place, reduced to one column.
    pub fn column(self, column: u32) -> Self {
        Self {
            start: column,
            end: column + 1,
            ..self
        }
    }

    /// From the start of this span to the end of another one on the same line.
    pub fn to(self, other: Self) -> Self {
        Self {
            end: other.end.max(self.end),
            ..self
        }
    }
}

/// The `*.cfg` files of a directory: no hidden files, no subdirectories, sorted by name.
fn configuration_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let hidden = path
            .file_name()
            .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension().is_some_and(|extension| extension == "cfg") && path.is_file()
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The system's words for an error, without Rust's `(os error 2)`.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_by_number_and_lose_their_line_feed() {
        let mut sources = Sources::default();
        let id = sources.add("a.cfg", "global\n  daemon\n\nlast");
        let file = sources.file(id);
        assert_eq!(file.line_count(), 4);
        assert_eq!(file.line(2), b"  daemon");
        assert_eq!(file.line(3), b"");
        assert_eq!(file.line(4), b"last");
        assert_eq!(file.line(5), b"");
        assert_eq!(file.line(0), b"");
        assert!(file.is_cut_off());
    }

    #[test]
    fn an_empty_file_has_no_lines() {
        let mut sources = Sources::default();
        let id = sources.add("a.cfg", "");
        assert_eq!(sources.file(id).line_count(), 0);
        assert!(!sources.file(id).is_cut_off());
    }

    #[test]
    fn a_directory_yields_its_cfg_files_in_lexical_order() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for name in ["b.cfg", "a.cfg", ".hidden.cfg", "note.txt"] {
            fs::write(directory.path().join(name), "global\n").expect("writable");
        }
        let sources = Sources::read(&[directory.path().to_owned()]).expect("readable");
        let names: Vec<_> = sources
            .iter()
            .map(|(_, file)| file.name.rsplit('/').next().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(names, ["a.cfg", "b.cfg"]);
    }

    #[test]
    fn a_missing_file_is_named_with_the_reason() {
        let error = Sources::read(&[PathBuf::from("/nonexistent/x.cfg")]).expect_err("missing");
        assert_eq!(
            error.to_string(),
            "Cannot open configuration file/directory /nonexistent/x.cfg : No such file or directory"
        );
    }
}
