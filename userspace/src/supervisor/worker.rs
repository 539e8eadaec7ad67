//! The worker's side of master-worker mode: who its master is, and serving the connections it hands down.
//!
//! A master starts its worker as a program of its own and says through one environment variable which descriptors it was
//! given. Without that variable a process is nobody's worker.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::link::{Link, Report, report_on};
use crate::admin::cli::{Session, World, attend};
use crate::log::notice;
use crate::model::Model;
use crate::net::inherited;
use crate::types::Millis;

/// What a master gave its worker.
#[derive(Debug)]
pub struct Employment {
    link: OwnedFd,
    /// A connection to the worker that is to be replaced.
    pub(super) predecessor: Option<OwnedFd>,
    /// The master has told what there is to tell about the configuration.
    pub told: bool,
}

impl Employment {
    /// Reads it from the environment.
    pub fn find() -> Option<Self> {
        let words = std::env::var(VARIABLE).ok()?;
        let mut words = words.split(' ');
        let mut descriptor = || inherited(words.next()?.parse().ok()?).ok();
        let link = descriptor()?;
        let predecessor = descriptor();
        Some(Self {
            link,
            predecessor,
            told: words.next() == Some(TOLD),
        })
    }

    /// What the variable says for descriptors of these numbers.
    pub(super) fn describe(link: i32, predecessor: Option<i32>, told: bool) -> String {
        let predecessor = predecessor.unwrap_or(-1);
        let told = if told { TOLD } else { "" };
        format!("{link} {predecessor} {told}")
    }

    /// Tells the master that this worker cannot start.
    pub fn failed(&self) {
        resign(&self.link);
    }

    /// Itself, and a way to tell the master later that the worker cannot start.
    pub fn with_notice(self) -> (Option<Resignation>, Option<Self>) {
        let resignation = self.link.try_clone().ok().map(Resignation);
        (resignation, Some(self))
    }

    pub(super) fn link(self) -> io::Result<Link> {
        Link::new(self.link)
    }
}

/// A worker's way to tell its master that it cannot start.
#[derive(Debug)]
pub struct Resignation(OwnedFd);

impl Resignation {
    /// Tells it, with everything that was said during the start.
    pub fn send(&self) {
        resign(&self.0);
    }
}

fn resign(link: &OwnedFd) {
    // A master that is gone does not need to know.
    let _ = report_on(link, &Report::Failed(notice::startup_logs()));
}

/// Serves the connections the master hands down until the master is gone.
pub(super) async fn obey(link: &Link, world: Arc<World>, model: Arc<Model>) {
    let idle = model.global.stats_timeout.unwrap_or(DEFAULT_TIMEOUT);
    let mut clients = JoinSet::new();
    while let Some((connection, rights)) = link.handed_down().await {
        let mut session = Session::new(Arc::clone(&world), rights.level, idle.duration());
        session.expert = rights.expert;
        session.experimental = rights.experimental;
        let model = Arc::clone(&model);
        clients.spawn_local(async move {
            let _how_it_ended = attend(connection, session, model).await;
        });
        while clients.try_join_next().is_some() {}
    }
}

/// Carries the descriptors from the master to its worker.
pub(super) const VARIABLE: &str = "TIDEGATE_WORKER";
const TOLD: &str = "told";
const DEFAULT_TIMEOUT: Millis = Millis(10_000);
