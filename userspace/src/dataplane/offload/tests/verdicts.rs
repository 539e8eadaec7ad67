//! The compiled plan against the rules it was compiled from: random rule sets, random sources, one packet each.
//!
//! The plan goes through the writer into tables in plain memory, and the packet through the decision itself; beside it the
//! rules are asked one after the other, as userspace does. `SEED=… cargo test verdicts` replays a run.

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::*;
use crate::dataplane::netns;
use crate::dataplane::trial::testing::{INTERFACE, MAC, syn};
use crate::dataplane::trial::{Fate, InMemory, Kernel, Place};
use crate::model::{HttpAction, HttpRule, Reply, ReplyBody};
use crate::state::Running;

/// The rules of the later sets.
#[derive(Clone, Debug)]
pub(super) struct Drawn {
    pub(super) session: Vec<String>,
    pub(super) http: Vec<String>,
}

fn later(actions: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    let action = proptest::sample::select(actions);
    let condition = prop_oneof![8 => condition(true), 1 => Just(String::new())];
    let rule = (action, condition).prop_map(|(action, condition)| format!("{action} {condition}"));
    proptest::collection::vec(rule.prop_map(|rule| rule.trim().to_owned()), 0..3)
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let session = later(&["accept", "reject", "silent-drop"]);
    let http = later(&[
        "allow",
        "deny",
        "reject",
        "silent-drop",
        "set-header X 1",
        "return",
    ]);
    (session, http).prop_map(|(session, http)| Drawn { session, http })
}

impl Draft {
    pub(super) fn later_rules(mut self, drawn: &Drawn) -> Self {
        for line in &drawn.session {
            let place = format!("test.cfg:{}", 40 + self.proxy().tcp_request_session.len());
            let (action, condition) = self.halves(line, Stage::Session);
            let action = match action.as_str() {
                "accept" => TcpAction::Accept,
                "reject" => TcpAction::Reject,
                _ => TcpAction::SilentDrop,
            };
            let text = line.clone();
            self.proxy().tcp_request_session.push(TcpRule {
                action,
                condition,
                place,
                text,
            });
        }
        for line in &drawn.http {
            let place = format!("test.cfg:{}", 60 + self.proxy().http_request.len());
            let (action, condition) = self.halves(line, Stage::Request);
            let reply = |status| {
                Arc::new(Reply {
                    status,
                    body: ReplyBody::Empty,
                    content_type: None,
                    headers: Vec::new(),
                })
            };
            let action = match action.as_str() {
                "allow" => HttpAction::Allow,
                "deny" => HttpAction::Deny(reply(403)),
                "reject" => HttpAction::Reject,
                "silent-drop" => HttpAction::SilentDrop,
                "return" => HttpAction::Return(reply(200)),
                _ => HttpAction::StrictMode(true),
            };
            let text = line.clone();
            self.proxy().http_request.push(HttpRule {
                action,
                condition,
                place,
                text,
            });
        }
        self
    }

    /// The action's words and the condition of a line.
    fn halves(&mut self, line: &str, stage: Stage) -> (String, Option<Condition>) {
        let words: Vec<&str> = line.split(' ').collect();
        let split = words
            .iter()
            .position(|word| matches!(*word, "if" | "unless"))
            .unwrap_or(words.len());
        let (action, condition) = words.split_at(split);
        let mut parsing = Parsing::new(stage, &OneFile, &self.acls, &mut self.patterns);
        let condition =
            (!condition.is_empty()).then(|| Condition::parse(condition, &mut parsing).unwrap());
        (action.join(" "), condition)
    }
}

/// Whether userspace refuses a request of the connection, asking set after set.
fn refused_by_any(proxy: &Proxy, connection: &Connection) -> bool {
    let holds = |condition: &Option<Condition>| {
        condition
            .as_ref()
            .is_none_or(|condition| condition.matches(connection))
    };
    if refused(&proxy.tcp_request_connection, connection)
        || refused(&proxy.tcp_request_session, connection)
    {
        return true;
    }
    for rule in proxy
        .http_request
        .iter()
        .filter(|rule| holds(&rule.condition))
    {
        match &rule.action {
            HttpAction::Allow | HttpAction::Return(_) => return false,
            HttpAction::Deny(_) | HttpAction::Reject | HttpAction::SilentDrop => return true,
            _ => {}
        }
    }
    false
}

/// Sources that no normaliser minds.
fn ordinary_source() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        3 => (0_u8..4, 0_u8..3, 1_u8..3).prop_map(|(a, b, c)| IpAddr::from([10, a, b, c])),
        2 => (0_u16..3, 1_u16..3).prop_map(|(a, b)| IpAddr::from([0x2001, 0xdb8, a, 0, 0, 0, 0, b])),
        1 => (0_u16..3).prop_map(|a| IpAddr::from([0x2002, 0xa00 + a, 0, 0, 0, 0, 0, 1])),
    ]
}

/// What was found.
#[derive(Default)]
struct Score {
    cases: usize,
    refused_by_both: usize,
    refused_by_userspace_alone: usize,
}

/// The lists, the rules, two switches, and the sources to ask about.
type Draw = (Vec<String>, Drawn, bool, bool, Vec<IpAddr>);

/// The draws of one run, and the seed that replays them.
struct Draws {
    runner: TestRunner,
    strategy: BoxedStrategy<Draw>,
    seed: u64,
}

impl Draws {
    fn new() -> Self {
        let seed: u64 = std::env::var("SEED")
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or_else(|| {
                u64::from(std::process::id()) ^ crate::clock::wall().as_micros() as u64
            });
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        Self {
            runner: TestRunner::new_with_rng(Config::default(), rng),
            strategy: (
                prop_oneof![rules(false), rules(true)],
                drawn(),
                any::<bool>(),
                any::<bool>(),
                proptest::collection::vec(ordinary_source(), SOURCES),
            )
                .boxed(),
            seed,
        }
    }

    /// A frontend with rules, and sources that ask for connections.
    fn next(&mut self) -> (Draft, Vec<IpAddr>) {
        let (connection, later, answers, monitored, sources) =
            self.strategy.new_tree(&mut self.runner).unwrap().current();
        let mut draft = Draft::new(Mode::Http)
            .tcp("192.0.2.1:80")
            .tcp("[2001:db8:ffff::1]:80")
            .acl("both", "src 10.0.0.0/15 2001:db8::/47");
        draft = connection
            .iter()
            .fold(draft, |draft, rule| draft.rule(rule));
        draft = draft.later_rules(&later);
        if !answers {
            draft.model.global.xdp.deny = model::Deny::Drop;
        }
        if monitored {
            draft.proxy().monitor_uri = Some("/alive".to_owned());
        }
        (draft, sources)
    }
}

/// The state of a configuration without servers, of which the tables need no more.
fn running() -> Running {
    let mut model = Model::default();
    (model.global.xdp.flows, model.global.xdp.sources) = (1024, 1024);
    Running::new(Arc::new(model), None)
}

/// Nothing but an interface.
fn place(interface: u32) -> Place {
    Place {
        interfaces: vec![(interface, MAC)],
        ..Place::default()
    }
}

fn destination(source: IpAddr) -> SocketAddr {
    let text = if source.is_ipv4() {
        "192.0.2.1:80"
    } else {
        "[2001:db8:ffff::1]:80"
    };
    text.parse().unwrap()
}

fn is_drop(fate: Fate) -> bool {
    match fate {
        Fate::Drop => true,
        Fate::Pass => false,
        other => panic!("{other:?} of a service that is terminated here"),
    }
}

#[test]
fn packets_meet_the_verdict_that_userspace_would_give_their_connections() {
    let mut draws = Draws::new();
    let seed = draws.seed;
    let mut score = Score::default();
    for _ in 0..RULE_SETS {
        let (draft, sources) = draws.next();
        let compiled = draft.compile();
        let everything = compiled.rows.iter().all(|row| {
            matches!(
                &row.tier,
                Tier::Kernel(_) | Tier::Userspace(Reason::Action | Reason::Stage("a request"))
            ) && !row.rule.contains("return")
        });
        let mut trial = InMemory::new(&compiled, &running(), place(INTERFACE)).unwrap();
        for source in sources {
            let destination = destination(source);
            let connection = Connection {
                source: (source, 4000).into(),
                destination,
            };
            let userspace = refused_by_any(&draft.model.proxies[0], &connection);
            let outcome = trial.run(&syn(source, destination), INTERFACE).unwrap();
            let kernel = is_drop(outcome.fate);
            let context = || {
                let rules: Vec<_> = compiled
                    .rows
                    .iter()
                    .map(|row| (&row.rule, &row.tier))
                    .collect();
                format!("{source} under {rules:#?}; SEED={seed}")
            };
            assert!(!kernel || userspace, "the kernel refuses {}", context());
            if everything {
                assert_eq!(kernel, userspace, "{}", context());
            }
            score.cases += 1;
            score.refused_by_both += usize::from(kernel);
            score.refused_by_userspace_alone += usize::from(userspace && !kernel);
        }
    }
    assert!(score.cases >= 10_000, "{} cases", score.cases);
    // A test in which nothing is ever refused proves nothing.
    assert!(
        score.refused_by_both > score.cases / 10,
        "{} of {} refused by both; SEED={seed}",
        score.refused_by_both,
        score.cases
    );
    assert!(score.refused_by_userspace_alone > 0, "SEED={seed}");
}

#[test]
fn loaded_program_gives_a_sample_of_packets_the_same_verdicts() {
    if !netns::available() {
        return;
    }
    if crate::dataplane::OBJECT.is_empty() {
        netns::skip("built without the kernel object");
        return;
    }
    let (here, there) = (
        netns::Namespace::new("verdicts"),
        netns::Namespace::new("beside"),
    );
    here.connect("lb0", &there, "cl0");
    let number = here.exec("cat /sys/class/net/lb0/ifindex");
    let interface: u32 = number.trim().parse().unwrap();
    let (packets, drops, seed) = here.inside(|| {
        let mut draws = Draws::new();
        let seed = draws.seed;
        let (mut packets, mut drops) = (0, 0);
        while packets < PACKETS {
            let (draft, sources) = draws.next();
            let compiled = draft.compile();
            // Rules of which none is the kernel's have been looked at enough.
            if compiled.plan.policies.is_empty() {
                continue;
            }
            let running = running();
            let mut function = InMemory::new(&compiled, &running, place(interface)).unwrap();
            let mut program = Kernel::new(&compiled, &running, place(interface)).unwrap();
            for source in sources {
                let frame = syn(source, destination(source));
                let expected = function.run(&frame, interface).unwrap();
                let outcome = program.run(&frame, interface).unwrap();
                assert_eq!(outcome.fate, expected.fate, "{source}; SEED={seed}");
                packets += 1;
                drops += usize::from(is_drop(outcome.fate));
            }
        }
        (packets, drops, seed)
    });
    assert!(
        drops > 0 && drops < packets,
        "{drops} of {packets}; SEED={seed}"
    );
}

const RULE_SETS: usize = 600;
/// Run by the program itself: a few rule sets, because each is a program loaded.
const PACKETS: usize = 100;
const SOURCES: usize = 20;
