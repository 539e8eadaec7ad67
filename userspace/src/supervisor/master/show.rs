//! What the master CLI shows of the processes.

use super::worker::Worker;
use super::{Realm, State};
use crate::clock::{self, Moment};

/// `show proc`.
pub(super) fn processes(realm: &Realm) -> String {
    let state = realm.state.borrow();
    let now = clock::now();
    let reloads = format!("{} [failed: {}]", state.reloads, state.failed);
    let mut text = row("#<PID>", "<type>", "<reloads>", "<uptime>", "<version>");
    let pid = std::process::id().to_string();
    let up = uptime(realm.started, now);
    text.push_str(&row(&pid, "master", &reloads, &up, realm.version));
    text.push_str("# workers\n");
    text.push_str(&workers(&state, realm, |worker| !worker.leaving, now));
    let old = workers(&state, realm, |worker| worker.leaving, now);
    if !old.is_empty() {
        text.push_str("# old workers\n");
        text.push_str(&old);
    }
    text
}

fn workers(state: &State, realm: &Realm, chosen: fn(&Worker) -> bool, now: Moment) -> String {
    let workers = state.workers.iter().filter(|worker| chosen(worker));
    workers
        .map(|worker| {
            let (pid, reloads) = (worker.pid().to_string(), worker.reloads.to_string());
            row(
                &pid,
                "worker",
                &reloads,
                &uptime(worker.started, now),
                realm.version,
            )
        })
        .collect()
}

fn row(pid: &str, kind: &str, reloads: &str, uptime: &str, version: &str) -> String {
    format!("{pid:<15} {kind:<15} {reloads:<15} {uptime:<15} {version:<15}\n")
}

fn uptime(since: Moment, now: Moment) -> String {
    let seconds = now.since(since) / 1000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    format!("{days}d{hours:02}h{minutes:02}m{:02}s", seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uptimes_read_as_haproxys() {
        assert_eq!(uptime(Moment(0), Moment(43_500)), "0d00h00m43s");
        assert_eq!(
            uptime(Moment(1_000), Moment(90_061_000 + 1_000)),
            "1d01h01m01s"
        );
    }
}
