use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use proptest::prelude::*;

use super::report::Note;
use super::*;
use crate::dataplane::plan::{Choice, Counting, Family, Method, SourceAction};
use crate::expr::{
    Acl, Acls, Address, Condition, Expression, Files, Parsing, Patterns, Stage, StickData, View,
};
use crate::model::{
    Balance, BalanceKind, Bind, BindAddress, CommonAction, Forward, ProxyKind, Server,
    ServerAddress, SocketOptions, Table, TableKeyType, TcpAction, TrackSlot, XdpInterface, XdpMode,
};
use crate::types::{BindId, Millis, ServerId, TableId};

mod forwarding;
mod verdicts;

/// A model under construction: one proxy, and the words that rules are parsed with.
struct Draft {
    model: Model,
    acls: Known,
    patterns: Patterns,
}

#[derive(Default)]
struct Known(Vec<Arc<Acl>>);

impl Acls for Known {
    fn find(&self, name: &str) -> Option<Arc<Acl>> {
        self.0.iter().find(|acl| acl.name() == name).cloned()
    }
}

struct OneFile;

impl Files for OneFile {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        match path {
            "blacklist" => Ok(b"# bad\n198.51.100.0/24\n2001:db8:bad::/48\n".to_vec()),
            _ => Err(format!("no such file '{path}'")),
        }
    }
}

impl Draft {
    fn new(mode: Mode) -> Self {
        let mut model = Model::default();
        let interface = XdpInterface {
            name: "eth0".to_owned(),
            mode: XdpMode::Auto,
        };
        model.global.xdp.interfaces.push(interface);
        let mut proxy = Proxy::new(ProxyId(0), "web", ProxyKind::Listen);
        (proxy.mode, proxy.place) = (mode, "test.cfg:1".to_owned());
        if mode == Mode::L4 {
            proxy.balance = Balance {
                kind: BalanceKind::Maglev,
                ..Balance::default()
            };
        }
        model.proxies.push(proxy);
        Self {
            model,
            acls: Known::default(),
            patterns: Patterns::default(),
        }
    }

    fn proxy(&mut self) -> &mut Proxy {
        &mut self.model.proxies[0]
    }

    fn bind(mut self, address: BindAddress) -> Self {
        let id = BindId(self.model.binds.len() as u32);
        self.model.binds.push(Bind {
            id,
            proxy: ProxyId(0),
            name: None,
            number: 1,
            address,
            options: SocketOptions::default(),
            tls: None,
            proto: None,
            accept_proxy: false,
            netscaler: None,
            maxconn: None,
            place: "test.cfg:2".to_owned(),
        });
        self.proxy().binds.push(id);
        self
    }

    fn tcp(self, address: &str) -> Self {
        self.bind(BindAddress::Tcp(address.parse().unwrap()))
    }

    fn server(mut self, name: &str, address: &str) -> Self {
        let id = ServerId(self.model.servers.len() as u32);
        let address = ServerAddress::Inet {
            address: address.parse().unwrap(),
            port_offset: None,
        };
        self.model
            .servers
            .push(Server::new(id, ProxyId(0), 1, name, address));
        self.proxy().servers.push(id);
        self
    }

    fn acl(mut self, name: &str, words: &str) -> Self {
        let words: Vec<&str> = words.split(' ').collect();
        let none = Known::default();
        let mut parsing = Parsing::new(Stage::Connection, &OneFile, &none, &mut self.patterns);
        self.acls
            .0
            .push(Arc::new(Acl::parse(name, &words, &mut parsing).unwrap()));
        self
    }

    fn table(mut self, key: TableKeyType, data: Vec<StickData>, expire: Option<u64>) -> Self {
        let id = TableId(self.model.tables.len() as u32);
        self.model.tables.push(Table {
            id,
            name: "web".to_owned(),
            proxy: Some(ProxyId(0)),
            key,
            size: 1000,
            expire: expire.map(Millis),
            nopurge: false,
            data,
        });
        self.proxy().table = Some(id);
        self
    }

    fn rate_table(self) -> Self {
        self.table(
            TableKeyType::Ip,
            vec![StickData::ConnRate(Millis(10_000))],
            Some(30_000),
        )
    }

    /// A `tcp-request connection` rule: an action, then perhaps a condition.
    fn rule(mut self, line: &str) -> Self {
        let words: Vec<&str> = line.split(' ').collect();
        let split = words
            .iter()
            .position(|word| matches!(*word, "if" | "unless"))
            .unwrap_or(words.len());
        let (action, condition) = words.split_at(split);
        let mut parsing = Parsing::new(Stage::Connection, &OneFile, &self.acls, &mut self.patterns);
        let action = match action {
            ["accept"] => TcpAction::Accept,
            ["reject"] => TcpAction::Reject,
            ["silent-drop"] => TcpAction::SilentDrop,
            ["expect-proxy", "layer4"] => TcpAction::ExpectProxy,
            ["set-mark", mark] => TcpAction::Common(CommonAction::SetMark(mark.parse().unwrap())),
            ["set-src", key @ ..] => TcpAction::Common(CommonAction::SetSource(
                Expression::parse(key, &mut 0, &mut parsing).unwrap(),
            )),
            [track, key @ ..] => TcpAction::Common(CommonAction::Track {
                slot: TrackSlot(track.strip_prefix("track-sc").unwrap().parse().unwrap()),
                key: Expression::parse(key, &mut 0, &mut parsing).unwrap(),
                table: TableId(0),
            }),
            [] => panic!("no action"),
        };
        let condition =
            (!condition.is_empty()).then(|| Condition::parse(condition, &mut parsing).unwrap());
        let place = format!(
            "test.cfg:{}",
            10 + self.proxy().tcp_request_connection.len()
        );
        let text = line.to_owned();
        self.proxy().tcp_request_connection.push(TcpRule {
            action,
            condition,
            place,
            text,
        });
        self
    }

    fn compile(&self) -> Compiled {
        compile(&self.model)
    }

    /// `kernel`, or the reason, rule by rule.
    fn tiers(&self) -> Vec<String> {
        self.compile()
            .rows
            .into_iter()
            .map(|row| match row.tier {
                Tier::Kernel(_) => "kernel".to_owned(),
                Tier::Userspace(reason) => reason.to_string(),
            })
            .collect()
    }
}

/// A connection as userspace sees it.
struct Connection {
    source: SocketAddr,
    destination: SocketAddr,
}

impl View for Connection {
    fn address(&self, which: Address) -> Option<SocketAddr> {
        match which {
            Address::Source | Address::FrontSource => Some(self.source),
            Address::Destination | Address::FrontDestination => Some(self.destination),
            _ => None,
        }
    }
}

/// Whether the userspace tier refuses a connection, asking its rules one after the other.
fn refused(rules: &[TcpRule], connection: &Connection) -> bool {
    for rule in rules {
        if !rule
            .condition
            .as_ref()
            .is_none_or(|condition| condition.matches(connection))
        {
            continue;
        }
        match rule.action {
            TcpAction::Accept => return false,
            TcpAction::Reject | TcpAction::SilentDrop => return true,
            _ => {}
        }
    }
    false
}

fn kernel_drops(plan: &Plan, source: IpAddr) -> bool {
    let policy = plan.services.first().and_then(|service| service.policy);
    policy.is_some_and(|policy| {
        plan.policies[usize::from(policy.0)].sources.answer(source) == SourceAction::Drop
    })
}

fn pattern() -> impl Strategy<Value = String> {
    prop_oneof![
        (0_u8..4, 0_u8..3, 0_u8..=32).prop_map(|(a, b, length)| format!("10.{a}.{b}.0/{length}")),
        (0_u16..3, 0_u8..=64).prop_map(|(a, length)| format!("2001:db8:{a}::/{length}")),
        (0_u8..4, 96_u8..=128).prop_map(|(a, length)| format!("::ffff:10.{a}.0.0/{length}")),
        Just("2002:a01::/32".to_owned()),
        Just("10.1".to_owned()),
    ]
}

fn acl() -> impl Strategy<Value = String> {
    let list = proptest::collection::vec(pattern(), 1..4)
        .prop_map(|list| format!("{{ src {} }}", list.join(" ")));
    prop_oneof![
        10 => list,
        1 => Just("TRUE".to_owned()),
        1 => Just("LOCALHOST".to_owned()),
        1 => Just("{ always_false }".to_owned()),
        1 => Just("both".to_owned()),
    ]
}

fn condition(other: bool) -> impl Strategy<Value = String> {
    let other = if other { 1 } else { 0 };
    let term = prop_oneof![
        8 => acl(),
        2 => acl().prop_map(|acl| format!("!{acl}")),
        other => Just("{ dst_port 80 }".to_owned()),
    ];
    let joined = proptest::collection::vec((term, any::<bool>()), 1..4).prop_map(|terms| {
        let mut text = String::new();
        for (term, or) in terms {
            if !text.is_empty() {
                text.push_str(if or { " || " } else { " " });
            }
            text.push_str(&term);
        }
        text
    });
    (joined, prop_oneof![4 => Just("if"), 1 => Just("unless")])
        .prop_map(|(condition, word)| format!("{word} {condition}"))
}

fn rules(other: bool) -> impl Strategy<Value = Vec<String>> {
    let action = prop_oneof![2 => Just("accept"), 3 => Just("reject"), 1 => Just("silent-drop"), 1 => Just("set-mark 7")];
    let condition = prop_oneof![8 => condition(other), 1 => Just(String::new())];
    let rule = (action, condition)
        .prop_map(|(action, condition)| format!("{action} {condition}").trim().to_owned());
    proptest::collection::vec(rule, 0..6)
}

fn source() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (0_u8..4, 0_u8..3, 0_u8..3).prop_map(|(a, b, c)| IpAddr::from([10, a, b, c])),
        (0_u16..3, 0_u16..3).prop_map(|(a, b)| IpAddr::from([0x2001, 0xdb8, a, 0, 0, 0, 0, b])),
        (0_u16..3).prop_map(|a| IpAddr::from([0x2002, 0xa00 + a, 0, 0, 0, 0, 0, 1])),
        (0_u16..3).prop_map(|a| IpAddr::from([0, 0, 0, 0, 0, 0, 0xa00 + a, 1])),
        Just(IpAddr::from([127, 0, 0, 1])),
        Just(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])),
    ]
}

fn draft_of(rules: &[String]) -> Draft {
    let draft = Draft::new(Mode::Tcp)
        .tcp("192.0.2.1:80")
        .acl("both", "src 10.0.0.0/15 2001:db8::/47");
    rules.iter().fold(draft, |draft, rule| draft.rule(rule))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn kernel_drops_exactly_what_userspace_refuses(rules in rules(false), sources in proptest::collection::vec(source(), 20)) {
        let draft = draft_of(&rules);
        let compiled = draft.compile();
        for source in sources {
            let connection = Connection { source: (source, 4000).into(), destination: "192.0.2.1:80".parse().unwrap() };
            let expected = refused(&draft.model.proxies[0].tcp_request_connection, &connection);
            prop_assert_eq!(kernel_drops(&compiled.plan, source), expected, "{} under {:?}", source, rules);
        }
        let decided = compiled.rows.iter().filter(|row| !row.rule.contains("set-mark"));
        for row in decided {
            prop_assert!(matches!(row.tier, Tier::Kernel(_)), "{:?}", row);
        }
    }

    #[test]
    fn kernel_never_drops_what_userspace_accepts(
        rules in rules(true),
        sources in proptest::collection::vec((source(), any::<bool>()), 20),
    ) {
        let draft = draft_of(&rules);
        let compiled = draft.compile();
        for (source, web) in sources {
            let destination = if web { "192.0.2.1:80" } else { "192.0.2.1:81" };
            let connection = Connection { source: (source, 4000).into(), destination: destination.parse().unwrap() };
            if kernel_drops(&compiled.plan, source) {
                let rules = &draft.model.proxies[0].tcp_request_connection;
                prop_assert!(refused(rules, &connection), "{} under {:?}", source, rules);
            }
        }
    }
}

#[test]
fn tutorials_rules_run_in_the_kernel() {
    let draft = Draft::new(Mode::Http)
        .tcp("0.0.0.0:8080")
        .acl("whitelist", "src 192.0.2.0/24")
        .acl("blacklist", "src -f blacklist")
        .acl("conn_rate_abuse", "sc0_conn_rate gt 100")
        .rate_table()
        .rule("accept if whitelist")
        .rule("reject if blacklist")
        .rule("track-sc0 src")
        .rule("reject if conn_rate_abuse");
    assert_eq!(draft.tiers(), ["kernel"; 4]);
    let plan = draft.compile().plan;
    let limit = plan.policies[0].rate.clone().unwrap();
    assert_eq!(
        (limit.limit, limit.period, limit.counting, limit.v6),
        (100, 10_000, Counting::All, false)
    );
    let sources = &plan.policies[0].sources;
    assert_eq!(
        sources.answer("192.0.2.7".parse().unwrap()),
        SourceAction::Accept
    );
    assert_eq!(
        sources.answer("198.51.100.7".parse().unwrap()),
        SourceAction::Drop
    );
    assert_eq!(
        sources.answer("2001:db8:bad::7".parse().unwrap()),
        SourceAction::Drop
    );
    assert_eq!(
        sources.answer("203.0.113.7".parse().unwrap()),
        SourceAction::Next
    );
}

#[test]
fn limit_before_tracking_counts_accepted_connections_only() {
    let draft = Draft::new(Mode::Tcp)
        .tcp("192.0.2.1:80")
        .rate_table()
        .rule("reject if { src_conn_rate gt 10 }")
        .rule("track-sc0 src");
    assert_eq!(draft.tiers(), ["kernel"; 2]);
    let limit = draft.compile().plan.policies[0].rate.clone().unwrap();
    assert_eq!((limit.limit, limit.counting), (10, Counting::Accepted));
}

#[test]
fn limit_for_some_sources_exempts_the_others() {
    let draft = Draft::new(Mode::Tcp)
        .tcp("192.0.2.1:80")
        .rate_table()
        .rule("track-sc1 src")
        .rule("reject if { sc_conn_rate(1) ge 50 } !{ src 192.0.2.0/24 }");
    assert_eq!(draft.tiers(), ["kernel"; 2]);
    let policy = draft.compile().plan.policies[0].clone();
    assert_eq!(policy.rate.unwrap().limit, 49);
    assert_eq!(
        policy.sources.answer("192.0.2.9".parse().unwrap()),
        SourceAction::Accept
    );
    assert_eq!(
        policy.sources.answer("192.0.3.9".parse().unwrap()),
        SourceAction::Next
    );
}

#[test]
fn what_the_kernel_cannot_do_exactly_stays_in_userspace_with_the_reason() {
    let rate = || Draft::new(Mode::Tcp).tcp("192.0.2.1:80").rate_table();
    let plain = || Draft::new(Mode::Tcp).tcp("192.0.2.1:80");
    let cases: [(Draft, &[&str]); 14] = [
        (
            plain().rule("reject if { dst_port 80 }"),
            &["it looks at 'dst_port'"],
        ),
        (
            plain().rule("reject if { src,lower 10.0.0.0 }"),
            &["'src,lower' is not the client's address"],
        ),
        (
            plain().rule("reject if { src -m str 10.0.0.1 }"),
            &["not compared as an address"],
        ),
        (
            plain().rule("reject if { src 10.0.0.0/255.0.0.255 }"),
            &["not compared as an address"],
        ),
        (
            plain()
                .rule("accept if { dst_port 80 }")
                .rule("reject if { src 10.0.0.0/8 }"),
            &[
                "it looks at 'dst_port'",
                "the rule at test.cfg:10 runs in userspace and may decide first",
            ],
        ),
        (
            plain()
                .rule("reject if { dst_port 80 }")
                .rule("reject if { src 10.0.0.0/8 }"),
            &["it looks at 'dst_port'", "kernel"],
        ),
        (
            plain()
                .rule("set-src src,lower")
                .rule("reject if { src 10.0.0.0/8 }"),
            &["its action does more", "the rule at test.cfg:10"],
        ),
        (
            plain()
                .rule("expect-proxy layer4")
                .rule("reject if { src 10.0.0.0/8 }"),
            &["its action does more", "kernel"],
        ),
        (
            rate()
                .rule("track-sc0 src")
                .rule("reject if { src 10.0.0.0/8 }"),
            &[
                "its action does more",
                "the rule at test.cfg:10 has to count",
            ],
        ),
        (
            rate()
                .rule("track-sc0 src,lower")
                .rule("reject if { sc0_conn_rate gt 5 }"),
            &["it counts per 'src,lower'", "it counts per 'sc0'"],
        ),
        (
            rate()
                .rule("track-sc0 src")
                .rule("reject if { sc0_conn_rate lt 5 }"),
            &["its action does more", "is not 'more than a number'"],
        ),
        (
            rate()
                .rule("track-sc0 src if { dst_port 80 }")
                .rule("reject if { sc0_conn_rate gt 5 }"),
            &["it looks at 'dst_port'", "it counts per 'sc0'"],
        ),
        (
            rate()
                .rule("track-sc0 src")
                .rule("reject if { sc0_conn_rate gt 5 }")
                .rule("reject if { sc0_conn_rate gt 9 }"),
            &[
                "kernel",
                "kernel",
                "one limit a frontend, that at test.cfg:11",
            ],
        ),
        (
            rate().rule("reject if { src_conn_rate gt 5 }"),
            &["it counts per 'src'"],
        ),
    ];
    for (number, (draft, expected)) in cases.into_iter().enumerate() {
        let tiers = draft.tiers();
        assert_eq!(tiers.len(), expected.len(), "case {number}: {tiers:?}");
        for (tier, expected) in tiers.iter().zip(expected) {
            assert!(
                tier.contains(expected),
                "case {number}: {tier:?} does not say {expected:?}"
            );
        }
    }
}

#[test]
fn tables_that_forget_otherwise_than_the_kernel_stay_in_userspace() {
    let rate = StickData::ConnRate(Millis(10_000));
    let limited = |draft: Draft| {
        draft
            .rule("track-sc0 src")
            .rule("reject if { sc0_conn_rate gt 5 }")
            .tiers()[1]
            .clone()
    };
    let plain = || Draft::new(Mode::Tcp).tcp("192.0.2.1:80");
    assert!(
        limited(plain().table(TableKeyType::Ip, vec![rate], Some(15_000)))
            .contains("less than two periods")
    );
    assert!(
        limited(plain().table(TableKeyType::Ip, vec![StickData::ConnCnt], None))
            .contains("does not store")
    );
    let mut unpurged = plain().rate_table();
    unpurged.model.tables[0].nopurge = true;
    assert!(limited(unpurged).contains("nopurge"));
    let mut shared = plain().rate_table();
    let other = shared.model.proxies[0].clone();
    let other = Proxy {
        id: ProxyId(1),
        name: "other".to_owned(),
        binds: Vec::new(),
        ..other
    };
    shared.model.proxies.push(other);
    let track = Draft::new(Mode::Tcp)
        .rate_table()
        .rule("track-sc0 src,lower");
    shared.model.proxies[1].tcp_request_session =
        track.model.proxies[0].tcp_request_connection.clone();
    assert!(limited(shared).contains("the rule at test.cfg:10 also uses the counters"));
    let v6 = plain().table(TableKeyType::Ipv6, vec![rate], None);
    assert_eq!(limited(v6), "kernel");
}

#[test]
fn without_interface_everything_stays_in_userspace() {
    let mut draft = Draft::new(Mode::Tcp)
        .tcp("192.0.2.1:80")
        .rule("reject if { src 10.0.0.0/8 }");
    draft.model.global.xdp.interfaces.clear();
    assert_eq!(draft.tiers(), ["there is no 'xdp interface' in 'global'"]);
    assert_eq!(draft.compile().plan, Plan::default());
    let mut l4 = Draft::new(Mode::L4)
        .tcp("192.0.2.1:80")
        .server("s1", "10.0.0.1:80");
    l4.model.global.xdp.interfaces.clear();
    let refusals = l4.compile().refusals;
    assert!(
        refusals[0]
            .message
            .contains("add 'xdp interface <name>' to 'global'"),
        "{refusals:?}"
    );
}

#[test]
fn l4_service_is_planned_per_family_and_transport() {
    let draft = Draft::new(Mode::L4)
        .tcp("192.0.2.1:80")
        .tcp("192.0.2.1:8080")
        .tcp("[2001:db8::1]:80")
        .bind(BindAddress::Udp("192.0.2.1:53".parse().unwrap()))
        .bind(BindAddress::PortRange {
            first: "192.0.2.2:6000".parse().unwrap(),
            last: 6010,
            udp: false,
        })
        .server("v4", "10.0.0.1:80")
        .server("v6", "[2001:db8:1::1]:0");
    let compiled = draft.compile();
    assert_eq!(compiled.refusals, []);
    let services: Vec<String> = compiled
        .plan
        .services
        .iter()
        .map(|service| {
            let binds: Vec<String> = service.binds.iter().map(ToString::to_string).collect();
            let forwarding = service.delivery.forwarding().unwrap();
            let servers: Vec<&str> = forwarding
                .servers
                .iter()
                .map(|server| server.name.as_str())
                .collect();
            assert_eq!(
                (forwarding.method, forwarding.choice),
                (Method::Nat, Choice::Maglev)
            );
            format!(
                "{} {} -> {}",
                service.protocol.name(),
                binds.join(" "),
                servers.join(" ")
            )
        })
        .collect();
    assert_eq!(
        services,
        [
            "tcp 192.0.2.1:80 192.0.2.1:8080 192.0.2.2:6000-6010 -> v4",
            "tcp [2001:db8::1]:80 -> v6",
            "udp 192.0.2.1:53 -> v4",
        ]
    );
    assert_eq!(compiled.plan.services[1].family, Family::V6);
}

#[test]
fn what_an_l4_proxy_cannot_have_is_refused() {
    let l4 = || {
        Draft::new(Mode::L4)
            .tcp("192.0.2.1:80")
            .server("s1", "10.0.0.1:80")
    };
    let refused = |draft: Draft| -> Vec<String> {
        draft
            .compile()
            .refusals
            .into_iter()
            .map(|refusal| format!("{}: {}", refusal.place, refusal.message))
            .collect()
    };
    let with = |change: fn(&mut Draft)| {
        let mut draft = l4();
        change(&mut draft);
        refused(draft).join("\n")
    };
    assert_eq!(refused(l4()), Vec::<String>::new());
    assert_eq!(with(|draft| draft.model.servers[0].maxconn = Some(5)), "");
    assert!(
        with(|draft| draft.model.servers[0].minconn = Some(5))
            .contains("'minconn' is not possible")
    );
    assert!(
        with(|draft| draft.model.servers[0].maxqueue = Some(5))
            .contains("'maxqueue' is not possible")
    );
    assert!(with(|draft| draft.model.servers[0].send_proxy = Some(2)).contains("'send-proxy'"));
    assert!(
        with(|draft| draft.proxy().balance.kind = BalanceKind::First)
            .contains("'balance' takes 'maglev'")
    );
    assert!(
        with(|draft| draft.proxy().balance.kind = BalanceKind::Random { draws: 9 })
            .contains("at most 8 servers, not 9")
    );
    assert!(with(|draft| draft.model.binds[0].accept_proxy = true).contains("'accept-proxy'"));
    assert!(
        with(|draft| draft.model.binds[0].address = BindAddress::Unix(PathBuf::from("/run/x")))
            .contains("IP addresses")
    );
    let rules = refused(l4().rule("reject if { dst_port 80 }").rule("accept"));
    assert!(
        rules[0].contains("test.cfg:10")
            && rules[0].contains("'mode l4', because it looks at 'dst_port'"),
        "{rules:?}"
    );
    let twice = refused(l4().tcp("192.0.2.1:80"));
    assert_eq!(
        twice,
        Vec::<String>::new(),
        "the same bind twice in one frontend is one bind"
    );
}

#[test]
fn frontends_that_share_an_address_are_left_to_userspace() {
    let mut draft = Draft::new(Mode::Tcp)
        .tcp("192.0.2.1:80")
        .tcp("192.0.2.1:81")
        .rule("reject if { src 10.0.0.0/8 }");
    let other = Proxy {
        id: ProxyId(1),
        name: "other".to_owned(),
        ..draft.model.proxies[0].clone()
    };
    draft.model.proxies.push(other);
    draft.model.proxies[1].binds = vec![BindId(0)];
    let compiled = draft.compile();
    let binds: Vec<String> = compiled
        .plan
        .services
        .iter()
        .flat_map(|service| &service.binds)
        .map(ToString::to_string)
        .collect();
    assert_eq!(binds, ["192.0.2.1:81"]);
    let tiers: Vec<bool> = compiled
        .rows
        .iter()
        .map(|row| matches!(row.tier, Tier::Kernel(_)))
        .collect();
    assert_eq!(tiers, [true, false]);
    draft.model.proxies[1].mode = Mode::L4;
    draft.model.proxies[1].balance.kind = BalanceKind::Maglev;
    assert!(
        draft
            .compile()
            .refusals
            .iter()
            .any(|refusal| refusal.message.contains("both listen on tcp 192.0.2.1:80"))
    );
}

#[test]
fn notes_tell_the_size_of_the_lists() {
    let draft = Draft::new(Mode::Tcp)
        .tcp("192.0.2.1:80")
        .rule("reject if { src -f blacklist }");
    let Tier::Kernel(Some(Note::Prefixes { v4, v6 })) = draft.compile().rows[0].tier else {
        panic!("not in the kernel")
    };
    assert_eq!((v4, v6), (1, 1));
}

#[test]
fn rules_of_sessions_and_requests_are_asked_before_the_connection_exists() {
    let drawn = |session: &[&str], http: &[&str]| verdicts::Drawn {
        session: session.iter().map(ToString::to_string).collect(),
        http: http.iter().map(ToString::to_string).collect(),
    };
    let tiers = |draft: Draft, session: &[&str], http: &[&str]| {
        draft.later_rules(&drawn(session, http)).tiers()
    };
    let web = || Draft::new(Mode::Http).tcp("192.0.2.1:80");
    let kernel = ["kernel", "kernel"];
    let listed = "{ src 10.0.0.0/8 }";
    let session = format!("reject if {listed}");
    let http = format!("silent-drop if {listed}");
    assert_eq!(tiers(web(), &[&session], &[&http]), kernel);
    let answers = tiers(web(), &[], &[&format!("deny if {listed}")]);
    assert!(answers[0].contains("it answers with 403"), "{answers:?}");
    let mut asked = web();
    asked.model.global.xdp.deny = model::Deny::Drop;
    assert_eq!(
        tiers(asked, &[], &[&format!("deny if {listed}")]),
        ["kernel"]
    );

    let mut proxied = web();
    proxied.model.binds[0].accept_proxy = true;
    for tier in tiers(proxied, &[&session], &[&http]) {
        assert!(tier.contains("PROXY header (test.cfg:2)"), "{tier}");
    }
    let expected = tiers(web().rule("expect-proxy layer4"), &[&session], &[]);
    assert!(
        expected[1].contains("PROXY header (test.cfg:10)"),
        "{expected:?}"
    );
    let mut monitored = web();
    monitored.proxy().monitor_uri = Some("/alive".to_owned());
    let monitored = tiers(monitored, &[&session], &[&http]);
    assert_eq!(monitored[0], "kernel");
    assert!(monitored[1].contains("'monitor-uri' answers before it"));
    let served = tiers(web(), &[], &["return if { dst_port 80 }", &http]);
    assert!(served[1].contains("the rule at test.cfg:60"), "{served:?}");
    let tracked = tiers(
        web().rate_table().rule("track-sc0 src"),
        &[&session],
        &[&http],
    );
    for tier in &tracked[1..] {
        assert!(tier.contains("test.cfg:10 has to count"), "{tier}");
    }
    // Accepting ends one set of rules only.
    let accepted = web().rule(&format!("accept if {listed}"));
    let compiled = accepted.later_rules(&drawn(&[&session], &[])).compile();
    assert!(kernel_drops(&compiled.plan, "10.1.2.3".parse().unwrap()));
}

#[test]
fn sources_may_be_networks_where_they_are_tracked_as_such() {
    let rate = StickData::ConnRate(Millis(10_000));
    let v6 = || {
        Draft::new(Mode::Tcp)
            .tcp("192.0.2.1:80")
            .table(TableKeyType::Ipv6, vec![rate], None)
    };
    let draft = v6()
        .rule("track-sc0 src,ipmask(24,64)")
        .rule("reject if { sc0_conn_rate gt 5 }");
    assert_eq!(draft.tiers(), ["kernel"; 2]);
    let limit = draft.compile().plan.policies[0].rate.clone().unwrap();
    assert_eq!(
        (limit.masks.v4, limit.masks.v6, limit.v6),
        (24, Some(64), true)
    );
    let only_v4 = v6()
        .rule("track-sc0 src,ipmask(24)")
        .rule("reject if { sc0_conn_rate gt 5 }");
    assert!(!only_v4.compile().plan.policies[0].rate.as_ref().unwrap().v6);
    let holes = v6()
        .rule("track-sc0 src,ipmask(255.0.255.0)")
        .rule("reject if { sc0_conn_rate gt 5 }");
    assert!(holes.tiers()[0].contains("it counts per 'src,ipmask(255.0.255.0)'"));
    let whole = v6()
        .rule("track-sc0 src,ipmask(24,64)")
        .rule("reject if { src_conn_rate gt 5 }");
    assert!(
        whole.tiers()[1].contains("it counts per 'a network'"),
        "{:?}",
        whole.tiers()
    );
}

#[test]
fn limits_that_are_no_rules_are_named_with_the_reason() {
    let mut draft = Draft::new(Mode::Http).tcp("192.0.2.1:80");
    (draft.proxy().maxconn, draft.proxy().rate_limit_sessions) = (Some(100), Some(7));
    let rows = draft.compile().rows;
    let rules: Vec<&str> = rows.iter().map(|row| row.rule.as_str()).collect();
    assert_eq!(rules, ["maxconn 100", "rate-limit sessions 7"]);
    assert_eq!(draft.tiers(), ["it counts all clients together"; 2]);
}
