//! Giving up what is not needed once the sockets are bound and the kernel part is loaded.
//!
//! In: the `user`, `group` and `chroot` of the configuration, and whether the kernel's maps must still be written. Out:
//! a process that can do no more than it must. It does not touch file modes or limits.

use std::io;

use rustix::process::{Gid, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::sys;
use crate::model::{Capability, Global, Model, Principal};
use crate::net::{group_id, user_id};

/// What the process still does with the kernel after the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KernelPart {
    /// It writes maps, probes neighbours, and loads the program anew when lists outgrow their room: `CAP_BPF`,
    /// `CAP_NET_ADMIN` and `CAP_PERFMON` stay.
    Attached,
    /// Nothing: every capability goes.
    Absent,
}

/// Whose addresses servers see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sources {
    /// This machine's.
    Own,
    /// Others' too (`source … usesrc`): `CAP_NET_RAW` stays.
    Foreign,
}

impl Sources {
    /// What a configuration shows its servers.
    pub(super) fn of(model: &Model) -> Self {
        let proxies = model.proxies.iter().map(|proxy| &proxy.source);
        let servers = model.servers.iter().map(|server| &server.source);
        let mut sources = proxies.chain(servers).flatten();
        if sources.any(|source| source.shown.is_some()) {
            Self::Foreign
        } else {
            Self::Own
        }
    }
}

/// Why privileges could not be given up; the process must not go on then.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// No such user.
    #[error("cannot find user id for '{0}'")]
    UnknownUser(String),
    /// No such group.
    #[error("cannot find group id for '{0}'")]
    UnknownGroup(String),
    /// A system call failed.
    #[error("cannot {0}")]
    System(&'static str, #[source] io::Error),
}

/// The identity asked for by `user`/`uid` and `group`/`gid`; resolve it before `chroot` hides the databases.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Identity {
    uid: Option<u32>,
    gid: Option<u32>,
}

impl Identity {
    /// User and group, where they are to change.
    pub(super) fn ids(self) -> (Option<u32>, Option<u32>) {
        (self.uid, self.gid)
    }

    /// Looks the names up.
    ///
    /// # Errors
    /// A name that does not exist.
    pub(super) fn resolve(global: &Global) -> Result<Self, PrivilegeError> {
        let uid = match &global.user {
            Some(Principal::Id(uid)) => Some(*uid),
            Some(Principal::Name(name)) => {
                Some(user_id(name).ok_or_else(|| PrivilegeError::UnknownUser(name.clone()))?)
            }
            None => None,
        };
        let gid = match &global.group {
            Some(Principal::Id(gid)) => Some(*gid),
            Some(Principal::Name(name)) => {
                Some(group_id(name).ok_or_else(|| PrivilegeError::UnknownGroup(name.clone()))?)
            }
            None => None,
        };
        Ok(Self { uid, gid })
    }
}

/// Puts in force what `setcap` names, as far as the program file gives it to a process that is not root's (management
/// guide §13.1).
///
/// # Errors
/// The kernel refuses.
pub(super) fn raise_capabilities(global: &Global) -> Result<(), PrivilegeError> {
    if rustix::process::geteuid().is_root() || global.capabilities.is_empty() {
        return Ok(());
    }
    let raise = || {
        let mut sets = rustix::thread::capabilities(None)?;
        sets.effective |= named(&global.capabilities) & sets.permitted;
        rustix::thread::set_capabilities(None, sets)
    };
    raise().map_err(system("raise capabilities"))
}

/// Enters the `chroot`, takes the identity, and drops every capability that is not needed. Call it before the first
/// thread is started: capabilities belong to threads.
///
/// # Errors
/// Any step failed; the caller must stop.
pub(super) fn drop_privileges(
    global: &Global,
    identity: Identity,
    kernel: KernelPart,
    sources: Sources,
) -> Result<(), PrivilegeError> {
    if let Some(root) = &global.chroot {
        rustix::process::chroot(root).map_err(system("chroot"))?;
        rustix::process::chdir("/").map_err(system("change to the new root"))?;
    }
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    if identity.uid.is_none() && identity.gid.is_none() {
        return Ok(());
    }
    rustix::thread::set_keep_capabilities(true).map_err(system("keep capabilities"))?;
    sys::become_user(
        identity.uid.map(Uid::from_raw),
        identity.gid.map(Gid::from_raw),
    )
    .map_err(|error| PrivilegeError::System("change user and group", error))?;
    if identity.uid.is_some_and(|uid| uid != 0) {
        keep_only(needed(kernel, sources) | named(&global.capabilities))
            .map_err(system("drop capabilities"))?;
    }
    Ok(())
}

fn needed(kernel: KernelPart, sources: Sources) -> CapabilitySet {
    let for_kernel = match kernel {
        KernelPart::Attached => {
            CapabilitySet::BPF | CapabilitySet::NET_ADMIN | CapabilitySet::PERFMON
        }
        KernelPart::Absent => CapabilitySet::empty(),
    };
    let for_sources = match sources {
        Sources::Foreign => CapabilitySet::NET_RAW,
        Sources::Own => CapabilitySet::empty(),
    };
    for_kernel | for_sources
}

/// What `setcap` names.
fn named(capabilities: &[Capability]) -> CapabilitySet {
    capabilities
        .iter()
        .map(|capability| match capability {
            Capability::NetAdmin => CapabilitySet::NET_ADMIN,
            Capability::NetBindService => CapabilitySet::NET_BIND_SERVICE,
            Capability::NetRaw => CapabilitySet::NET_RAW,
            Capability::SysAdmin => CapabilitySet::SYS_ADMIN,
        })
        .collect()
}

fn keep_only(wanted: CapabilitySet) -> rustix::io::Result<()> {
    let held = rustix::thread::capabilities(None)?.permitted;
    let kept = wanted & held;
    let none = CapabilitySet::empty();
    rustix::thread::set_capabilities(
        None,
        CapabilitySets {
            effective: kept,
            permitted: kept,
            inheritable: none,
        },
    )
}

fn system(what: &'static str) -> impl FnOnce(rustix::io::Errno) -> PrivilegeError {
    move |errno| PrivilegeError::System(what, errno.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn global(user: Option<Principal>, group: Option<Principal>) -> Global {
        Global {
            user,
            group,
            ..Global::default()
        }
    }

    #[test]
    fn names_and_numbers_are_resolved() {
        let both = global(Some(Principal::Name("root".into())), Some(Principal::Id(7)));
        let identity = Identity::resolve(&both).unwrap();
        assert_eq!((identity.uid, identity.gid), (Some(0), Some(7)));
    }

    #[test]
    fn unknown_names_are_errors() {
        let user = global(Some(Principal::Name("no-such-user".into())), None);
        assert!(matches!(
            Identity::resolve(&user),
            Err(PrivilegeError::UnknownUser(_))
        ));
        let group = global(None, Some(Principal::Name("no-such-group".into())));
        assert!(matches!(
            Identity::resolve(&group),
            Err(PrivilegeError::UnknownGroup(_))
        ));
    }
}
