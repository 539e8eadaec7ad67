//! The table of packets under `BPF_PROG_TEST_RUN`, with the tables written by the real writer.

use tidegate::dataplane::OBJECT;
use tidegate::dataplane::trial::Kernel;
use tidegate::state::{Operational, Running};

use super::fixtures::check::Known;
use super::fixtures::{self, Fixture, Side, Step, place};
use super::netns::{self, Namespace};

#[test]
fn every_fixture_holds_for_the_program() {
    let Some(devices) = Devices::new("table") else {
        return;
    };
    let fixtures = fixtures::all();
    let failures: Vec<String> = devices.namespace.inside(|| {
        let run = |fixture: &Fixture| devices.run(fixture).err();
        fixtures.iter().filter_map(run).collect()
    });
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

/// A namespace with both of the balancer's devices, so that frames have where to go.
pub(crate) struct Devices {
    pub(crate) namespace: Namespace,
    pub(crate) client: u32,
    pub(crate) server: u32,
}

impl Devices {
    /// `None` where they cannot be; then the reason has been said.
    pub(crate) fn new(label: &str) -> Option<Self> {
        if !netns::available() {
            return None;
        }
        if OBJECT.is_empty() {
            netns::skip("built without the kernel object");
            return None;
        }
        let namespace = Namespace::new(label);
        namespace.ip("link add lb0 type veth peer name lb1");
        for device in ["lb0", "lb1"] {
            namespace.ip(&format!("link set {device} up"));
        }
        let number = |device: &str| {
            let path = format!("cat /sys/class/net/{device}/ifindex");
            namespace.exec(&path).trim().parse().expect("a number")
        };
        let (client, server) = (number("lb0"), number("lb1"));
        Some(Self {
            namespace,
            client,
            server,
        })
    }

    /// The number of the interface on a side.
    pub(crate) fn interface(&self, side: Side) -> u32 {
        match side {
            Side::Client => self.client,
            Side::Server => self.server,
        }
    }

    fn run(&self, fixture: &Fixture) -> Result<(), String> {
        let (compiled, running) = fixture.world.load("");
        let place = place(fixture.world, self.client, self.server);
        let mut trial = Kernel::new(&compiled, &running, place).expect("the program loads");
        let mut known = Known::default();
        for (number, step) in (1..).zip(&fixture.steps) {
            let told = |what| format!("{}, step {number}: {what}", fixture.name);
            match step {
                Step::Frame(side, packet, expect) | Step::Cramped(side, packet, expect) => {
                    let frame = known.frame(packet);
                    let before = trial.drops().expect("counters");
                    let outcome = match step {
                        Step::Cramped(..) => trial.run_cramped(&frame, self.interface(*side)),
                        _ => trial.run(&frame, self.interface(*side)),
                    };
                    let outcome = outcome.map_err(|error| told(format!("{error:?}")))?;
                    let drops = (&before, &trial.drops().expect("counters"));
                    known
                        .check(fixture.world, *side, &frame, expect, &outcome, drops)
                        .map_err(told)?;
                }
                Step::Mark(marks) => {
                    for (name, up) in *marks {
                        mark(&running, name, *up);
                    }
                    trial.refresh().expect("the tables fit");
                }
                Step::Lose(address) => {
                    let address = address.parse().expect("an address");
                    trial.lose(address).expect("the tables fit");
                }
                Step::Damage => trial.damage(),
            }
        }
        Ok(())
    }
}

/// Marks all servers of this name, as a health check would.
pub(crate) fn mark(running: &Running, name: &str, up: bool) {
    let state = if up {
        Operational::Running
    } else {
        Operational::Stopped
    };
    let named = running.model.servers.iter().filter(|it| it.name == name);
    for server in named {
        let now = tidegate::clock::now();
        running.state.server(server.id).set_operational(state, now);
    }
}
