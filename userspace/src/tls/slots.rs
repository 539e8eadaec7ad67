//! The places of contexts that may be made anew at run time: each keeps its settings and knows the files it used.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::files::Loader;
use super::{Acceptor, Connector, Contexts, Problem, ServedName, Warnings};
use crate::model::{BindTls, Mode, Proxy, ServerTls};

/// The context of a bind line.
#[derive(Debug)]
pub(super) struct AcceptorSlot {
    pub(super) tls: BindTls,
    mode: Mode,
    /// The name of its frontend.
    pub(super) frontend: String,
    place: String,
    pub(super) current: ArcSwap<Acceptor>,
    pub(super) used: Mutex<BTreeSet<PathBuf>>,
}

/// The context of a server, or of a check.
#[derive(Debug)]
pub(super) struct ConnectorSlot {
    pub(super) tls: Arc<ServerTls>,
    pub(super) current: ArcSwap<Connector>,
    pub(super) used: Mutex<BTreeSet<PathBuf>>,
}

impl Contexts {
    pub(super) fn acceptor_slot(
        &self,
        tls: &BindTls,
        proxy: &Proxy,
        place: &str,
        list: &mut Vec<Problem>,
    ) -> Result<AcceptorSlot, String> {
        let (acceptor, used) = self.make_acceptor(tls, proxy.mode, place, list)?;
        Ok(AcceptorSlot {
            tls: tls.clone(),
            mode: proxy.mode,
            frontend: proxy.name.clone(),
            place: place.to_owned(),
            current: ArcSwap::from_pointee(acceptor),
            used: Mutex::new(used),
        })
    }

    pub(super) fn connector_slot(
        &self,
        tls: &Arc<ServerTls>,
        place: &str,
        list: &mut Vec<Problem>,
    ) -> Result<ConnectorSlot, String> {
        let (connector, used) = self.make_connector(tls, place, list)?;
        Ok(ConnectorSlot {
            tls: Arc::clone(tls),
            current: ArcSwap::from_pointee(connector),
            used: Mutex::new(used),
        })
    }

    /// Makes every context anew that used one of these files; when one cannot be made, all stay.
    pub(super) fn rebuild(&self, changed: &BTreeSet<PathBuf>) -> Result<(), String> {
        let touched = |used: &Mutex<BTreeSet<PathBuf>>| !used.lock().is_disjoint(changed);
        let mut ignored = Vec::new();
        let mut acceptors = Vec::new();
        for slot in self
            .acceptors
            .iter()
            .flatten()
            .filter(|slot| touched(&slot.used))
        {
            let made = self.make_acceptor(&slot.tls, slot.mode, "", &mut ignored)?;
            acceptors.push((slot, made));
        }
        let mut connectors = Vec::new();
        let all = self.connectors.iter().flatten().chain(self.checks.iter());
        for slot in all.filter(|slot| touched(&slot.used)) {
            let made = self.make_connector(&slot.tls, "", &mut ignored)?;
            connectors.push((slot, made));
        }
        for (slot, (acceptor, used)) in acceptors {
            slot.current.store(Arc::new(acceptor));
            *slot.used.lock() = used;
        }
        for (slot, (connector, used)) in connectors {
            slot.current.store(Arc::new(connector));
            *slot.used.lock() = used;
        }
        Ok(())
    }

    /// The names clients may ask a frontend's bind lines for, each with its line.
    pub fn names(&self, frontend: Option<&str>) -> Vec<(String, ServedName)> {
        let slots = self.acceptors.iter().flatten();
        let wanted = slots.filter(|slot| frontend.is_none_or(|name| slot.frontend == name));
        wanted
            .flat_map(|slot| {
                let line = format!("{}/{}", slot.frontend, slot.place);
                let names = slot.current.load().names();
                names.into_iter().map(move |name| (line.clone(), name))
            })
            .collect()
    }

    fn make_acceptor(
        &self,
        tls: &BindTls,
        mode: Mode,
        place: &str,
        list: &mut Vec<Problem>,
    ) -> Result<(Acceptor, BTreeSet<PathBuf>), String> {
        let loader = Loader::new(&self.files);
        let mut warnings = Warnings { place, list };
        let acceptor = Acceptor::load(tls, mode, self.bases(), &loader, &mut warnings)?;
        Ok((acceptor, loader.into_used()))
    }

    fn make_connector(
        &self,
        tls: &ServerTls,
        place: &str,
        list: &mut Vec<Problem>,
    ) -> Result<(Connector, BTreeSet<PathBuf>), String> {
        let loader = Loader::new(&self.files);
        let mut warnings = Warnings { place, list };
        let connector = Connector::load(tls, self.bases(), &loader, &mut warnings)?;
        Ok((connector, loader.into_used()))
    }
}
