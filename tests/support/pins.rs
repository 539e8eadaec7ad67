//! A BPF file system of a test's own, for the maps and programs it pins.
//!
//! Mounted when made, gone with all its pins when dropped, also by a panic. Needs root.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A BPF file system.
pub(crate) struct Mount(PathBuf);

impl Mount {
    /// Mounts one, with this word in its path.
    pub(crate) fn new(label: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tg-{label}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        let mounted = Command::new("mount")
            // For root alone, as service managers mount it.
            .args(["-t", "bpf", "-o", "mode=700", "bpf"])
            .arg(&path)
            .status()
            .unwrap();
        assert!(
            mounted.success(),
            "a BPF file system is mounted at {}",
            path.display()
        );
        Self(path)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Pins that a failed test left would keep the program on the wire until the namespace is gone. Lazily, because a
        // process that is being killed may still have the directory open.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
        let _ = std::fs::remove_dir(&self.0);
    }
}
