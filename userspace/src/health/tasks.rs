//! The tasks behind [`run`]: one per check and agent, one that watches observed errors, one that keeps time.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::hash::{BuildHasher as _, RandomState};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep, sleep_until};

use super::conclude::{Verdicts, Weaken};
use super::life::Life;
use super::{agent, conversation, resolution, schedule};
use crate::clock;
use crate::log::Logs;
use crate::model::{AgentCheck, Check, ErrorReaction};
use crate::state::{CheckReport, CheckState, CheckStatus, Observation, Operational, Running};
use crate::tls::Contexts;
use crate::types::{Millis, ServerId};

/// Checks every server of a configuration until dropped. To be run on one thread, beside the workers.
pub async fn run(running: Running, logs: Arc<Logs>, tls: Arc<Contexts>) {
    let world = Rc::new(World {
        running,
        logs,
        tls,
        random: RandomState::new(),
        verdicts: RefCell::default(),
    });
    let mut tasks: FuturesUnordered<Task> = FuturesUnordered::new();
    let checked: Vec<(ServerId, Arc<Check>)> = world
        .active_servers()
        .filter_map(|id| Some((id, world.running.model.server(id).check.clone()?)))
        .collect();
    let shortest = checked
        .iter()
        .map(|(_, check)| check.inter)
        .min()
        .unwrap_or_default();
    let count = checked.len();
    // Before the servers are looked at: none is missed that is added meanwhile.
    let mut additions = world.running.state.additions();
    for (position, (id, check)) in checked.into_iter().enumerate() {
        let first = schedule::first(position, count, shortest);
        tasks.push(world.check(id, check, first));
    }
    let agents: Vec<_> = world
        .active_servers()
        .filter_map(|id| world.agent(id))
        .collect();
    tasks.extend(agents);
    for group in resolution::groups(&world.running.model) {
        let world = Rc::clone(&world);
        tasks.push(Box::pin(async move {
            resolution::follow(&world.running, &world.logs, group).await;
        }));
    }
    tasks.push(Box::pin(watch_observations(Rc::clone(&world))));
    tasks.push(Box::pin(keep_time(Rc::clone(&world))));
    let mut known = world.running.model.servers.len();
    loop {
        tokio::select! {
            _ = tasks.next() => {}
            added = additions.recv() => {
                if matches!(added, Err(RecvError::Closed)) {
                    return;
                }
                // Which it was does not matter, nor whether some were missed: all that are new are looked at.
                for number in known..world.running.model.servers.len() {
                    let id = ServerId(number as u32);
                    let check = world.running.model.server(id).check.clone();
                    tasks.extend(check.map(|check| world.check(id, check, Millis(0))));
                    tasks.extend(world.agent(id));
                    known = number + 1;
                }
            }
        }
    }
}

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// What every task needs.
struct World {
    running: Running,
    logs: Arc<Logs>,
    tls: Arc<Contexts>,
    random: RandomState,
    /// What the checks of each server have come to.
    verdicts: RefCell<HashMap<ServerId, Rc<RefCell<Verdicts>>>>,
}

impl World {
    fn life(&self) -> Life<'_> {
        Life::new(&self.running, &self.logs)
    }

    /// The checking of a server, from `first` on until it is removed.
    fn check(self: &Rc<Self>, id: ServerId, check: Arc<Check>, first: Millis) -> Task {
        let counter = self.running.state.server(id).check.health();
        let verdicts = Rc::new(RefCell::new(Verdicts::new(&check, counter)));
        let known = Rc::clone(&verdicts);
        self.verdicts.borrow_mut().insert(id, known);
        let world = Rc::clone(self);
        Box::pin(async move {
            check_server(&world, id, check, verdicts, first).await;
            world.verdicts.borrow_mut().remove(&id);
        })
    }

    /// The questions to a server's agent, if it has one.
    fn agent(self: &Rc<Self>, id: ServerId) -> Option<Task> {
        let agent = self.running.model.server(id).agent.clone()?;
        Some(Box::pin(ask_agent(Rc::clone(self), id, agent)))
    }

    /// The servers of proxies that are not `disabled`.
    fn active_servers(&self) -> impl Iterator<Item = ServerId> {
        let model = &self.running.model;
        model
            .servers
            .iter()
            .filter(|s| !model.proxy(s.proxy).disabled)
            .filter(|s| !self.running.state.server(s.id).is_removed())
            .map(|server| server.id)
    }

    fn spread(&self, interval: Millis) -> Millis {
        let random = self.random.hash_one(clock::now_micros());
        schedule::spread(interval, self.running.model.global.spread_checks, random)
    }
}

async fn check_server(
    world: &Rc<World>,
    id: ServerId,
    check: Arc<Check>,
    verdicts: Rc<RefCell<Verdicts>>,
    first: Millis,
) {
    let state = world.running.state.server_handle(id);
    let mut due = Instant::now() + first.duration();
    loop {
        tokio::select! {
            () = sleep_until(due) => {}
            () = state.check.woken() => {
                if verdicts.borrow_mut().take_hurry() {
                    let fast = check.fast_inter.unwrap_or(check.inter);
                    due = due.min(Instant::now() + fast.duration());
                    continue;
                }
                due = Instant::now();
            }
        }
        if state.is_removed() {
            return;
        }
        if !state.check.is_running() {
            state.check.woken().await;
            due = Instant::now();
            continue;
        }
        state.check.set(CheckState::IN_PROGRESS, true);
        let report = conversation::run(&world.running, &world.tls, id, &check).await;
        state.check.set(CheckState::IN_PROGRESS, false);
        if !state.check.is_running() {
            continue;
        }
        let interval = {
            let mut verdicts = verdicts.borrow_mut();
            verdicts.conclude(&world.life(), id, report, clock::now());
            let health = verdicts.health();
            schedule::interval(&check, health, verdicts.limits(), verdicts.is_checked())
        };
        due = (due + world.spread(interval).duration()).max(Instant::now());
    }
}

async fn ask_agent(world: Rc<World>, id: ServerId, agent: Arc<AgentCheck>) {
    let state = world.running.state.server_handle(id);
    let mut due = Instant::now();
    loop {
        tokio::select! {
            () = sleep_until(due) => {}
            () = state.agent.woken() => due = Instant::now(),
        }
        if state.is_removed() {
            return;
        }
        // An agent is asked in maintenance too: only the agent may revert what it did.
        if state.agent.has(CheckState::ENABLED) {
            state.agent.set(CheckState::IN_PROGRESS, true);
            let started = Instant::now();
            let answer = agent::ask(&world.running, id, &agent).await;
            let duration = started.elapsed().as_millis() as u64;
            state.agent.set(CheckState::IN_PROGRESS, false);
            let now = clock::now();
            agent::conclude(&world.life(), id, answer, duration, now);
        }
        due = (due + world.spread(agent.inter).duration()).max(Instant::now());
    }
}

/// Reacts to servers that reached their limit of consecutive errors (`observe`, `on-error`).
async fn watch_observations(world: Rc<World>) {
    let mut observations = world.running.state.observations();
    loop {
        let (id, last) = match observations.recv().await {
            Ok(event) => event,
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return,
        };
        let verdicts = world.verdicts.borrow().get(&id).cloned();
        if let Some(verdicts) = verdicts {
            react(&world, id, last, &mut verdicts.borrow_mut());
        }
    }
}

fn react(world: &World, id: ServerId, last: Observation, verdicts: &mut Verdicts) {
    let state = world.running.state.server(id);
    let Some(settings) = world.running.model.server(id).observe else {
        return;
    };
    if state.operational() == Operational::Stopped || !state.check.is_running() {
        return;
    }
    let report = CheckReport {
        status: CheckStatus::Observed,
        code: None,
        duration: None,
        text: format!(
            "Detected {} consecutive errors, last one was: {}",
            settings.limit,
            last.words()
        ),
    };
    let weaken = match settings.reaction {
        ErrorReaction::FastInter => None,
        ErrorReaction::FailCheck => Some(Weaken::No),
        ErrorReaction::SuddenDeath => Some(Weaken::OneMoreFailureKills),
        ErrorReaction::MarkDown => Some(Weaken::ThisFailureKills),
    };
    if let Some(weaken) = weaken {
        let now = clock::now();
        verdicts.fail(&world.life(), id, report, weaken, now);
    }
    verdicts.set_hurry();
    state.check.wake();
}

/// Moves slow starts on.
async fn keep_time(world: Rc<World>) {
    let state = &world.running.state;
    loop {
        let starting: Vec<ServerId> = world
            .active_servers()
            .filter(|id| state.server(*id).operational() == Operational::Starting)
            .collect();
        let now = clock::now();
        for id in &starting {
            world.life().warm_up(*id, now);
        }
        sleep(if starting.is_empty() {
            SECOND
        } else {
            WHILE_STARTING
        })
        .await;
    }
}

const SECOND: Duration = Duration::from_secs(1);
const WHILE_STARTING: Duration = Duration::from_millis(100);
