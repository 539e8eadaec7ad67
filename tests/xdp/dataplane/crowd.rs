//! Many connections that last, and that keep talking while something happens to what they go through.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::netns::{Namespace, eventually};
use super::session::Session;

/// How many connections a crowd has.
pub(crate) const MANY: usize = 500;

/// [`MANY`] established connections.
pub(crate) struct Crowd(Vec<Session>);

impl Crowd {
    /// Connects from a namespace.
    pub(crate) fn connect(clients: &Namespace, target: &str) -> Self {
        let open = |_| Session::open(None, target).expect("a connection");
        Self(clients.inside(|| (0..MANY).map(open).collect()))
    }

    /// How many are at each server.
    pub(crate) fn servers(&self) -> BTreeMap<&str, usize> {
        let mut servers = BTreeMap::new();
        for session in &self.0 {
            *servers.entry(session.server.as_str()).or_default() += 1;
        }
        servers
    }

    /// All say something, then all wait for the echo; those that got none are told, by server.
    pub(crate) fn ping(&mut self) -> Result<(), String> {
        let said: Vec<_> = self.0.iter_mut().map(Session::say).collect();
        let mut lost: BTreeMap<&str, Vec<std::io::Error>> = BTreeMap::new();
        for (session, said) in self.0.iter_mut().zip(said) {
            // One that is lost is told of at once: to wait for each of many would take minutes.
            let heard = match lost.is_empty() {
                true => said.and_then(|()| session.hear()),
                false => said,
            };
            if let Err(error) = heard {
                lost.entry(&session.server).or_default().push(error);
            }
        }
        match lost.is_empty() {
            true => Ok(()),
            false => Err(format!("{lost:?}")),
        }
    }

    /// Lets something happen while all keep talking. When this returns, each of them has got an echo of something it said
    /// after that.
    pub(crate) fn through<T>(&mut self, what: &str, event: impl FnOnce() -> T) -> T {
        let (over, rounds) = (AtomicBool::new(false), AtomicU64::new(0));
        std::thread::scope(|scope| {
            let talk = scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    self.ping()
                        .unwrap_or_else(|lost| panic!("{what}: lost {lost}"));
                    rounds.fetch_add(1, Ordering::Relaxed);
                }
            });
            let _end = End(&over);
            let after = |count: u64| {
                eventually(what, || {
                    assert!(!talk.is_finished(), "{what}: all of them go on");
                    (rounds.load(Ordering::Relaxed) >= count).then_some(())
                });
            };
            after(1);
            let outcome = event();
            // The round under way may have been begun before.
            after(rounds.load(Ordering::Relaxed) + 2);
            outcome
        })
    }
}

/// Ends the talk, also when the event panics.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
