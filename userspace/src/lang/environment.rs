//! The environment a configuration is read in.
//!
//! Variables come from the process and from HAProxy's own predefined ones; `setenv`, `presetenv`, `unsetenv` and
//! `resetenv` in a `global` section change an overlay for the lines that follow (manual §2.3, §3.1). The process's own
//! environment is never changed.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::Path;

/// What the language asks of the machine it runs on; tests answer from a table.
pub trait Environment {
    /// The value of an environment variable; values that are not UTF-8 count as unset.
    fn variable(&self, name: &str) -> Option<String>;
    /// The names of all variables (`resetenv`).
    fn variable_names(&self) -> Vec<String>;
    /// The content of a file named by the configuration: error files, ACL files.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Whether there is a file or directory: certificates are named here and read by whoever uses them.
    fn exists(&self, path: &Path) -> bool;
    /// The addresses of a host name (`init-addr libc`); may block.
    fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
    /// Whether a server whose name does not resolve is no error but waits for an address (`-dr`).
    fn ignores_resolution(&self) -> bool {
        false
    }
    /// The ids of a user by name: user id.
    fn user(&self, name: &str) -> Option<u32>;
    /// The id of a group by name.
    fn group(&self, name: &str) -> Option<u32>;
    /// The host's name, for `localpeer` and `%H`.
    fn host_name(&self) -> String;
}

/// The variables as seen by the line being read: the environment plus what `global` changed so far.
pub struct Variables<'a> {
    environment: &'a dyn Environment,
    /// `None` hides a variable of the environment.
    changes: BTreeMap<String, Option<String>>,
}

impl<'a> Variables<'a> {
    /// Starts from the environment and predefined variables; the latter give way to nothing.
    pub fn new(environment: &'a dyn Environment, predefined: &[(&str, String)]) -> Self {
        let changes = predefined
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Some(value.clone())))
            .collect();
        Self {
            environment,
            changes,
        }
    }

    /// The current value.
    pub fn lookup(&self, name: &str) -> Option<String> {
        match self.changes.get(name) {
            Some(change) => change.clone(),
            None => self.environment.variable(name),
        }
    }

    /// `setenv`.
    pub fn set(&mut self, name: &str, value: &str) {
        self.changes.insert(name.to_owned(), Some(value.to_owned()));
    }

    /// `presetenv`: only where there is none yet.
    pub fn preset(&mut self, name: &str, value: &str) {
        if self.lookup(name).is_none() {
            self.set(name, value);
        }
    }

    /// `unsetenv`.
    pub fn unset(&mut self, name: &str) {
        self.changes.insert(name.to_owned(), None);
    }

    /// `resetenv`: keeps only the named variables.
    pub fn reset(&mut self, keep: &[&str]) {
        let names: Vec<String> = self
            .environment
            .variable_names()
            .into_iter()
            .chain(self.changes.keys().cloned())
            .collect();
        for name in names {
            if !keep.contains(&name.as_str()) {
                self.changes.insert(name, None);
            }
        }
    }

    /// What `global` changed, for the environment of programs started later: `None` means removed.
    pub fn into_changes(self) -> BTreeMap<String, Option<String>> {
        self.changes
    }
}

/// The machine the process runs on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine {
    /// `-dr`: see [`Environment::ignores_resolution`].
    pub ignore_resolution: bool,
}

impl Environment for Machine {
    fn ignores_resolution(&self) -> bool {
        self.ignore_resolution
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn variable_names(&self) -> Vec<String> {
        std::env::vars_os()
            .filter_map(|(name, _)| name.into_string().ok())
            .collect()
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        use std::net::ToSocketAddrs as _;
        Ok((host, 0)
            .to_socket_addrs()?
            .map(|address| address.ip())
            .collect())
    }

    fn user(&self, name: &str) -> Option<u32> {
        entry("/etc/passwd", name)
    }

    fn group(&self, name: &str) -> Option<u32> {
        entry("/etc/group", name)
    }

    fn host_name(&self) -> String {
        rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned()
    }
}

/// The third field of the line that begins with a name: the id in both of the system's tables.
fn entry(table: &str, name: &str) -> Option<u32> {
    let text = std::fs::read_to_string(table).ok()?;
    let line = text
        .lines()
        .find(|line| line.split(':').next() == Some(name))?;
    line.split(':').nth(2)?.parse().ok()
}
