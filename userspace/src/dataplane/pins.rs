//! The names under which maps, programs and links outlive the process, on a BPF file system.
//!
//! ```text
//! <directory>/link-<interface number>-<native|generic>    one per attached interface
//! <directory>/tables-<layout version>-<program>/<map>     the maps of the program with this number
//! ```
//!
//! The set of maps that is in force is the one of the program a link names; a process that died while it was starting
//! leaves a set that no link names, which the next start removes. This file only names and lists: what is loaded and
//! swapped is [`super::loader`]'s business.
//!
//! A process that has given up its privileges, or is in a `chroot`, does not reach the directory by its path any more: BPF
//! file systems are mounted for root alone. So the directory is opened at the start, and everything that names something in
//! it, here and in the rooms that load and attach, runs [`Pins::inside`] it, where names are relative to it.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};

use super::attach::Attachment;
use super::sys;

/// The directory of all pins of one daemon.
#[derive(Clone, Debug)]
pub(super) struct Pins {
    directory: PathBuf,
    handle: Arc<OwnedFd>,
}

/// The maps of one program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TableSet {
    path: PathBuf,
    layout: u32,
    program: u32,
}

/// The set of a program that is not on the wire yet: it goes with this, unless it is put in force.
pub(super) struct NewSet(Option<TableSet>);

impl NewSet {
    /// The set itself.
    pub(super) fn set(&self) -> Option<&TableSet> {
        self.0.as_ref()
    }

    /// Keeps the set for good.
    pub(super) fn put_in_force(&mut self) -> Option<TableSet> {
        self.0.take()
    }
}

impl From<Option<TableSet>> for NewSet {
    fn from(set: Option<TableSet>) -> Self {
        Self(set)
    }
}

impl Drop for NewSet {
    fn drop(&mut self) {
        if let Some(set) = self.0.take() {
            // What cannot be removed now is removed by the next start.
            let _ = set.remove();
        }
    }
}

/// One pinned link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkPin {
    /// Number of the interface it attaches to.
    pub interface: u32,
    /// How.
    pub attachment: Attachment,
    /// Its file, in the directory of pins.
    pub path: PathBuf,
}

/// Why pins cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum PinsError {
    /// The directory lies on another kind of file system.
    #[error("'{}' is not on a BPF file system; mount one with 'mount -t bpf bpf {}'", .0.display(), .0.display())]
    NotBpf(PathBuf),
    /// The directory or a file in it could not be used.
    #[error("cannot use '{}'", path.display())]
    Directory {
        /// Which one.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

impl Pins {
    /// Makes the directory where needed and checks that objects can be pinned in it.
    pub(super) fn open(directory: &Path) -> Result<Self, PinsError> {
        let existing = directory
            .ancestors()
            .find(|path| path.exists())
            .unwrap_or_else(|| Path::new("/"));
        if !on_bpf(existing).map_err(|source| failed(existing, source))? {
            return Err(PinsError::NotBpf(existing.to_owned()));
        }
        fs::create_dir_all(directory).map_err(|source| failed(directory, source))?;
        Self::of(directory)
    }

    fn of(directory: &Path) -> Result<Self, PinsError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = rustix::fs::open(directory, flags, Mode::empty())
            .map_err(|errno| failed(directory, errno.into()))?;
        Ok(Self {
            directory: directory.to_owned(),
            handle: Arc::new(handle),
        })
    }

    /// Does something in a thread whose working directory this one is, with the caller's network namespace and privileges.
    pub(super) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, PinsError> {
        let enter = || {
            sys::own_working_directory()?;
            rustix::process::fchdir(&self.handle)?;
            Ok(work())
        };
        let done = std::thread::scope(|scope| {
            let named = std::thread::Builder::new().name("pins".to_owned());
            let thread = named.spawn_scoped(scope, enter)?;
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        done.map_err(|source| failed(&self.directory, source))
    }

    /// Every pinned link.
    pub(super) fn links(&self) -> Result<Vec<LinkPin>, PinsError> {
        Ok(self
            .entries()?
            .into_iter()
            .filter_map(|path| read_link_name(&path))
            .collect())
    }

    /// Where the link of an interface is or will be pinned.
    pub(super) fn link(&self, interface: u32, attachment: Attachment) -> LinkPin {
        LinkPin {
            interface,
            attachment,
            path: format!("link-{interface}-{}", attachment.name()).into(),
        }
    }

    /// Every set of maps.
    pub(super) fn sets(&self) -> Result<Vec<TableSet>, PinsError> {
        Ok(self
            .entries()?
            .into_iter()
            .filter_map(read_set_name)
            .collect())
    }

    /// Makes an empty set for a program.
    pub(super) fn new_set(&self, layout: u32, program: u32) -> Result<TableSet, PinsError> {
        let set = TableSet {
            path: format!("tables-{layout}-{program}").into(),
            layout,
            program,
        };
        if set.path.exists() {
            // Numbers start over when the machine does, but so do pins: this can only be a directory somebody copied.
            set.remove()?;
        }
        fs::create_dir(&set.path).map_err(|source| failed(&set.path, source))?;
        Ok(set)
    }

    /// Removes every set but `kept`.
    pub(super) fn remove_sets_except(&self, kept: Option<&TableSet>) -> Result<(), PinsError> {
        self.sets()?
            .iter()
            .filter(|set| Some(*set) != kept)
            .try_for_each(TableSet::remove)
    }

    /// Gives the directory and all pins to a user, who can then replace and remove them.
    pub(super) fn give_to(&self, user: u32, group: u32) -> Result<(), PinsError> {
        let own = |path: &Path| {
            std::os::unix::fs::chown(path, Some(user), Some(group))
                .map_err(|source| failed(path, source))
        };
        own(Path::new(HERE))?;
        for entry in self.entries()? {
            own(&entry)?;
            if entry.is_dir() {
                list(&entry)?.iter().try_for_each(|path| own(path))?;
            }
        }
        Ok(())
    }

    /// Removes the directory itself if nothing is left in it.
    pub(super) fn remove_if_empty(&self) {
        // Not empty, or the mount point itself: both are fine.
        let _ = fs::remove_dir(&self.directory);
    }

    fn entries(&self) -> Result<Vec<PathBuf>, PinsError> {
        list(Path::new(HERE))
    }
}

impl TableSet {
    /// The version of the maps' layout.
    pub(super) fn layout(&self) -> u32 {
        self.layout
    }

    /// The file of a map, in the directory of pins.
    pub(super) fn map(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The number of the program it was made for.
    pub(super) fn program(&self) -> u32 {
        self.program
    }

    /// Removes the whole set. The kernel frees what no program uses any more.
    pub(super) fn remove(&self) -> Result<(), PinsError> {
        for path in list(&self.path)? {
            fs::remove_file(&path).map_err(|source| failed(&path, source))?;
        }
        fs::remove_dir(&self.path).map_err(|source| failed(&self.path, source))
    }
}

fn on_bpf(path: &Path) -> io::Result<bool> {
    Ok(rustix::fs::statfs(path)?.f_type as u64 == BPF_FS_MAGIC)
}

fn list(directory: &Path) -> Result<Vec<PathBuf>, PinsError> {
    let entries = fs::read_dir(directory).map_err(|source| failed(directory, source))?;
    entries
        .map(|entry| {
            let path = entry.map_err(|source| failed(directory, source))?.path();
            Ok(path.strip_prefix(HERE).map(Path::to_owned).unwrap_or(path))
        })
        .collect()
}

fn name_of(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default()
}

fn read_link_name(path: &Path) -> Option<LinkPin> {
    let (interface, attachment) = name_of(path).strip_prefix("link-")?.split_once('-')?;
    let (interface, attachment) = (interface.parse().ok()?, Attachment::named(attachment)?);
    Some(LinkPin {
        interface,
        attachment,
        path: path.to_owned(),
    })
}

fn read_set_name(path: PathBuf) -> Option<TableSet> {
    let (layout, program) = name_of(&path).strip_prefix("tables-")?.split_once('-')?;
    let (layout, program) = (layout.parse().ok()?, program.parse().ok()?);
    Some(TableSet {
        path,
        layout,
        program,
    })
}

fn failed(path: &Path, source: io::Error) -> PinsError {
    PinsError::Directory {
        path: path.to_owned(),
        source,
    }
}

/// The working directory.
const HERE: &str = ".";
/// `BPF_FS_MAGIC` of linux/magic.h.
const BPF_FS_MAGIC: u64 = 0xcafe_4a11;

#[cfg(test)]
mod tests {
    use super::*;

    fn pins() -> (tempfile::TempDir, Pins) {
        let directory = tempfile::tempdir().unwrap();
        let pins = Pins::of(directory.path()).unwrap();
        (directory, pins)
    }

    #[test]
    fn link_names_are_read_back() {
        let (_directory, pins) = pins();
        let made = [
            pins.link(3, Attachment::Native),
            pins.link(12, Attachment::Generic),
        ];
        let found = pins.inside(|| {
            for link in &made {
                fs::write(&link.path, []).unwrap();
            }
            for stranger in ["link-x-native", "link-3", "link-3-odd", "tables-1", "other"] {
                fs::write(stranger, []).unwrap();
            }
            pins.links().unwrap()
        });
        let mut found = found.unwrap();
        found.sort_by_key(|link| link.interface);
        assert_eq!(found, made);
    }

    #[test]
    fn sets_are_found_by_their_program_and_removed_with_their_maps() {
        let (_directory, pins) = pins();
        let inside = pins.inside(|| {
            let (old, new) = (pins.new_set(7, 41).unwrap(), pins.new_set(8, 42).unwrap());
            fs::write(old.map("flows"), []).unwrap();
            let mut sets = pins.sets().unwrap();
            sets.sort_by_key(TableSet::program);
            assert_eq!(sets, [old, new.clone()]);
            assert_eq!((sets[0].layout(), sets[1].layout()), (7, 8));
            pins.remove_sets_except(Some(&new)).unwrap();
            assert_eq!(pins.sets().unwrap(), [new]);
        });
        inside.unwrap();
    }

    #[test]
    fn nobody_else_is_led_into_the_directory() {
        let (directory, pins) = pins();
        let before = std::env::current_dir().unwrap();
        let inside = pins.inside(|| std::env::current_dir().unwrap()).unwrap();
        assert_eq!(inside, directory.path().canonicalize().unwrap());
        assert_eq!(std::env::current_dir().unwrap(), before);
    }

    #[test]
    fn ordinary_directory_is_refused_with_the_command_to_run() {
        let (directory, _) = pins();
        let error = Pins::open(&directory.path().join("below")).unwrap_err();
        assert!(matches!(error, PinsError::NotBpf(_)));
        assert!(error.to_string().contains("mount -t bpf"), "{error}");
    }
}
