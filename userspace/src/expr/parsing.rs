//! What the parse functions need from their caller.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Acl, Needs, ParseError, Patterns, Stage};

/// The surroundings of the words being parsed. `lang` makes one per rule.
pub struct Parsing<'a> {
    /// Where the result will be evaluated.
    pub stage: Stage,
    /// How pattern and map files are read.
    pub files: &'a dyn Files,
    /// The ACLs that may be referred to by name.
    pub acls: &'a dyn Acls,
    /// Every pattern list of the configuration, so that two references to one file share it.
    pub patterns: &'a mut Patterns,
    /// What is odd but accepted; the caller reports it.
    pub warnings: Vec<ParseError>,
}

impl<'a> Parsing<'a> {
    /// Surroundings without warnings yet.
    pub fn new(
        stage: Stage,
        files: &'a dyn Files,
        acls: &'a dyn Acls,
        patterns: &'a mut Patterns,
    ) -> Self {
        Self {
            stage,
            files,
            acls,
            patterns,
            warnings: Vec::new(),
        }
    }

    pub(super) fn lacks(&self, needs: Needs) -> bool {
        !needs.meets(self.stage.offers())
    }
}

/// Files and names the configuration refers to.
pub trait Files {
    /// The content of a pattern or map file.
    ///
    /// # Errors
    /// The reason in words, where it cannot be read.
    fn read(&self, path: &str) -> Result<Vec<u8>, String>;

    /// The addresses of a host name used as an IP pattern (manual §7.1.6). Nothing by default.
    fn resolve(&self, _host: &str) -> Vec<IpAddr> {
        Vec::new()
    }
}

/// The ACLs declared in a proxy.
pub trait Acls {
    /// The ACL of that name; names are case-sensitive.
    fn find(&self, name: &str) -> Option<Arc<Acl>>;
}

/// No files: every read fails.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFiles;

impl Files for NoFiles {
    fn read(&self, _path: &str) -> Result<Vec<u8>, String> {
        Err("no files can be read here".into())
    }
}

/// No ACLs declared.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoAcls;

impl Acls for NoAcls {
    fn find(&self, _name: &str) -> Option<Arc<Acl>> {
        None
    }
}
