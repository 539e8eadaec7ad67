//! An environment answered from tables, for this room's tests.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use super::environment::Environment;

/// Variables and files by name; `web*.example.com` resolves to 192.0.2.1, users and groups are `haproxy`.
#[derive(Default)]
pub(crate) struct Table {
    variables: BTreeMap<String, String>,
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Table {
    pub(crate) fn with(variables: &[(&str, &str)]) -> Self {
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self {
            variables: variables.collect(),
            files: BTreeMap::new(),
        }
    }

    pub(crate) fn file(mut self, path: &str, content: &str) -> Self {
        self.files
            .insert(PathBuf::from(path), content.as_bytes().to_vec());
        self
    }
}

impl Environment for Table {
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn variable_names(&self) -> Vec<String> {
        self.variables.keys().cloned().collect()
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files
            .get(path)
            .cloned()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn exists(&self, path: &Path) -> bool {
        self.files.contains_key(path)
    }

    fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        if host.ends_with(".example.com") {
            return Ok(vec![Ipv4Addr::new(192, 0, 2, 1).into()]);
        }
        Err(io::Error::other("name or service not known"))
    }

    fn user(&self, name: &str) -> Option<u32> {
        (name == "haproxy").then_some(101)
    }

    fn group(&self, name: &str) -> Option<u32> {
        (name == "haproxy").then_some(102)
    }

    fn host_name(&self) -> String {
        "balancer".to_owned()
    }
}
