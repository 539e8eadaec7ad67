//! Commands and the exact shape of their answers.

use super::*;
use crate::expr::{Sample, StickData, VariableName, Variables as _};
use crate::log::notice;
use crate::model::{
    Check, CheckSteps, Model, Proxy, ProxyKind, Server, ServerAddress, Table, TableKeyType,
};
use crate::state::stick::Kind;
use crate::types::{Millis, ProxyId, ServerId, TableId};

/// Frontend `web` (#2); backend `app` (#3) with `a` and `b`, checked; backend `other` (#4) with `t`, which tracks `app/a`;
/// table `web`.
pub(super) fn world() -> Arc<World> {
    notice::set_quiet(true);
    let mut model = Model::default();
    model.global.threads = Some(1);
    model.global.maxconn = Some(100);
    model.global.node = Some("node1".to_owned());
    for (name, kind, servers) in [
        ("web", ProxyKind::Frontend, &[][..]),
        ("app", ProxyKind::Backend, &["a", "b"]),
        ("other", ProxyKind::Backend, &["t"]),
    ] {
        let id = ProxyId(model.proxies.len() as u32);
        let mut proxy = Proxy::new(id, name, kind);
        proxy.number = id.0 + 2;
        for (position, server) in servers.iter().enumerate() {
            let server_id = ServerId(model.servers.len() as u32);
            let address = ServerAddress::Inet {
                address: ([192, 0, 2, position as u8 + 1], 80).into(),
                port_offset: None,
            };
            proxy.servers.push(server_id);
            model.servers.push(Server::new(
                server_id,
                id,
                position as u32 + 1,
                *server,
                address,
            ));
        }
        model.proxies.push(proxy);
    }
    for server in model.servers.iter_mut().take(2) {
        server.check = Some(Arc::new(check()));
    }
    model.servers[2].track = Some(ServerId(0));
    let data = [
        StickData::Gpc0,
        StickData::ConnRate(Millis(10_000)),
        StickData::Gpt(2),
        StickData::ServerId,
    ];
    model.tables.push(Table {
        id: TableId(0),
        name: "web".to_owned(),
        proxy: Some(ProxyId(0)),
        key: TableKeyType::Ip,
        size: 100,
        expire: Some(Millis(60_000)),
        nopurge: false,
        data: data.to_vec(),
    });
    let running = Running::new(Arc::new(model), None);
    let logs = Logs::open(&running, "test").expect("no targets");
    let sockets = vec![("/run/test.sock".to_owned(), Level::Admin)];
    Arc::new(World::new(running, Arc::new(logs), "1.2.3", sockets))
}

fn check() -> Check {
    Check {
        address: None,
        port: None,
        inter: Millis(2000),
        fast_inter: None,
        down_inter: None,
        timeout: None,
        connect_timeout: None,
        rise: 2,
        fall: 3,
        window: None,
        send_proxy: false,
        via_socks4: false,
        tls: None,
        steps: CheckSteps::Connect,
        log_all: false,
    }
}

/// A conversation: each line and its answer, without the empty line that ends every answer.
fn talk(world: &Arc<World>, lines: &[&str]) -> String {
    let mut session = Session::new(Arc::clone(world), Level::Admin, Duration::from_secs(10));
    let mut text = String::new();
    for line in lines {
        let reply = session.line(line, None).text;
        let answer = reply
            .strip_suffix('\n')
            .expect("every answer ends with an empty line");
        text.push_str(&format!("> {line}\n{answer}"));
    }
    let expiry = regex::Regex::new("exp=(60000|59[0-9]{3}) ").expect("a pattern");
    expiry.replace_all(&text, "exp=60000 ").into_owned()
}

fn ask(world: &Arc<World>, line: &str) -> String {
    let mut session = Session::new(Arc::clone(world), Level::Admin, Duration::from_secs(10));
    session.line(line, None).text
}

#[test]
fn servers_are_changed_and_shown() {
    let world = world();
    insta::assert_snapshot!(talk(
        &world,
        &[
            "set server app/a state maint",
            "set server app/b state drain",
            "set server app/b weight 50%",
            "get weight app/b",
            "set weight app/b 7",
            "get weight #3/#2",
            "set maxconn server app/b 20",
            "set server app/b addr 192.0.2.9 port 8080",
            "set server app/b addr 192.0.2.9 port 8080",
            "set server app/b addr 192.0.2.8",
            "set server app/b check-port 9000",
            "set server app/b check-addr 192.0.2.77",
            "show servers state",
            "show servers conn app",
            "set server app/a state ready",
            "set server app/a health stopping",
            "show servers state other",
        ]
    ));
}

#[test]
fn mistakes_are_told_in_haproxys_words() {
    let world = world();
    insta::assert_snapshot!(talk(
        &world,
        &[
            "set server",
            "set server app",
            "set server nope/a state ready",
            "set server app/zz state ready",
            "set server app/a",
            "set server app/a state x",
            "set server app/a weight",
            "set server app/a weight x",
            "set server app/a weight 1x",
            "set server app/a weight 257",
            "set server app/a weight -1%",
            "set server app/a addr x",
            "set server app/a check-port x",
            "set server app/a agent up",
            "set server other/t health up",
            "set server other/t check-port 80",
            "enable health other/t",
            "disable server x",
            "set maxconn server app/a",
            "set maxconn server app/a x",
            "set maxconn frontend web",
            "set maxconn frontend nope 1",
            "set maxconn frontend web -1",
            "set maxconn global",
            "set maxconn global 1000",
            "disable frontend",
            "enable frontend web",
            "shutdown session",
            "shutdown session 0x99",
            "shutdown sessions server app",
            "show servers state nope",
            "show table nope",
            "show stat nope 4 -1",
            "show env TIDEGATE_NOT_SET",
            "get var proc.x",
            "get var",
            "set timeout",
            "set timeout cli x",
            "set rate-limit",
        ]
    ));
}

#[test]
fn tables_are_shown_changed_and_cleared() {
    let world = world();
    insta::assert_snapshot!(talk(
        &world,
        &[
            "show table",
            "set table web key 192.0.2.1 data.gpc0 5 data.gpt[1] 7",
            "set table web key 192.0.2.2 data.gpc0 8",
            "set table web key 10.0.0.1",
            "show table web data.gpc0 gt 4",
            "show table web data.gpc0 lt 9 data.gpt[1] eq 0",
            "show table web key 10.0.0.1",
            "show table web ptr 0x2",
            "clear table web data.gpc0 eq 5",
            "show table web key 192.0.2.1",
            "clear table web key 10.0.0.1",
            "clear table web key 10.0.0.99",
            "show table",
            "set table web key x data.gpc0 1",
            "set table web key ::1 data.gpc0 1",
            "set table web key ::ffff:1.2.3.4",
            "set table web key 192.0.2.9 data.gpc1 1",
            "set table web key 192.0.2.9 data.zz 1",
            "set table web key 192.0.2.9 data.gpt[2] 1",
            "set table web key 192.0.2.9 gpc0 1",
            "set table web key 192.0.2.9 data.gpc0 x",
            "set table web key",
            "set table web",
            "set table",
            "show table web foo",
            "show table web key",
            "show table web data.gpc0 zz 3",
            "show table web data.gpc0 gt",
            "show table web data.nope gt 3",
            "clear table",
            "clear table web",
            "show table web",
        ]
    ));
}

#[test]
fn a_tables_entry_in_use_cannot_be_removed() {
    let world = world();
    let served = world.served.load_full();
    let table = served.running.state.table(TableId(0));
    let key = table.key_of(&Sample::str("192.0.2.5")).expect("an address");
    let tracked = table.track(&key, clock::now()).expect("room");
    assert_eq!(
        tracked.entry().value(Kind::ConnRate, 0, clock::now()),
        Some(1)
    );
    assert_eq!(
        ask(&world, "clear table web key 192.0.2.5"),
        "Entry currently in use, cannot remove\n\n"
    );
    assert!(ask(&world, "show table web").contains("key=192.0.2.5 use=1 "));
    drop(tracked);
    assert_eq!(ask(&world, "clear table web key 192.0.2.5"), "\n");
}

#[test]
fn levels_are_kept_and_only_go_down() {
    let world = world();
    insta::assert_snapshot!(talk(
        &world,
        &[
            "show cli level",
            "operator",
            "show cli level",
            "clear counters",
            "clear counters all",
            "disable server app/a",
            "show cli sockets",
            "user",
            "show cli level",
            "operator",
            "clear counters",
            "show sess",
            "get weight app/a",
        ]
    ));
}

#[test]
fn severities_are_shown_on_request() {
    let world = world();
    insta::assert_snapshot!(talk(
        &world,
        &[
            "set severity-output number",
            "disable server app/zz",
            "show version",
            "show backend",
            "set severity-output string",
            "disable server app/zz",
            "set severity-output x",
        ]
    ));
}

#[test]
fn frontends_are_paused_and_shut_down() {
    let world = world();
    insta::assert_snapshot!(talk(
        &world,
        &[
            "disable frontend web",
            "disable frontend #2",
            "enable frontend web",
            "set maxconn frontend web 10",
            "set maxconn global 50",
            "set rate-limit connections global 5",
            "shutdown frontend web",
            "shutdown frontend web",
            "enable frontend web",
        ]
    ));
    let served = world.served.load();
    let process = &served.running.state.process;
    assert_eq!(process.maxconn(), 50);
    assert_eq!(
        process.rate_limit(crate::state::ProcessRate::Connections),
        Some(5)
    );
}

#[test]
fn statistics_can_be_filtered_and_come_in_three_forms() {
    let world = world();
    ask(&world, "set server app/a state maint");
    let names = |line: &str| {
        let text = ask(&world, line);
        let rows = text.lines().skip(1).filter(|line| !line.is_empty());
        rows.map(|row| row.splitn(3, ',').take(2).collect::<Vec<_>>().join("/"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        names("show stat"),
        "web/FRONTEND app/a app/b app/BACKEND other/t other/BACKEND"
    );
    assert_eq!(names("show stat app 4 -1"), "app/a app/b");
    assert_eq!(names("show stat 3 6 -1"), "app/a app/b app/BACKEND");
    assert_eq!(names("show stat -1 4 2"), "app/b");
    assert_eq!(names("show stat -1 1 -1"), "web/FRONTEND");
    assert_eq!(
        names("show stat up"),
        "web/FRONTEND app/b app/BACKEND other/BACKEND"
    );
    assert_eq!(names("show stat app 4 -1 no-maint"), "app/b");
    let typed = ask(&world, "show stat app 4 1 typed");
    assert!(typed.starts_with("S.3.1.0.pxname.1:KNSV:str:app\nS.3.1.1.svname.1:KNSV:str:a\n"));
    assert!(typed.contains("\nS.3.1.7.stot.1:MCPP:u64:0\n"));
    assert!(typed.contains("\nS.3.1.17.status.1:SGPV:str:MAINT\n"));
    assert!(ask(&world, "show stat app 4 1 typed desc").contains(":str:MAINT:\""));
    let json: serde_json::Value =
        serde_json::from_str(&ask(&world, "show stat app 4 1 json")).expect("JSON");
    assert_eq!(json[0][0]["value"]["value"], "app");
    assert_eq!(json[0][0]["objType"], "Server");
}

#[test]
fn information_comes_in_three_forms() {
    let world = world();
    let plain = ask(&world, "show info");
    assert!(
        plain.starts_with("Name: tidegate\nVersion: 1.2.3\n"),
        "{plain}"
    );
    assert!(plain.contains("\nMaxconn: 100\n") && plain.contains("\nnode: node1\n"));
    let typed = ask(&world, "show info typed desc");
    assert!(typed.contains("\n4.Nbproc.1:CGSV:u32:1:\""), "{typed}");
    let json: serde_json::Value =
        serde_json::from_str(&ask(&world, "show info json")).expect("JSON");
    assert_eq!(json[0]["field"]["name"], "Name");
    serde_json::from_str::<serde_json::Value>(&ask(&world, "show schema json")).expect("JSON");
}

#[test]
fn information_has_what_monitors_of_haproxy_refuse_to_go_without() {
    let plain = ask(&world(), "show info");
    for name in [
        "Name",
        "Version",
        "Release_date",
        "Nbproc",
        "Process_num",
        "Pid",
        "Uptime",
        "Maxconn",
        "CurrConns",
        "Maxpipes",
        "PipesUsed",
        "Tasks",
        "Run_queue",
        "node",
    ] {
        let start = format!("{name}: ");
        assert!(plain.lines().any(|line| line.starts_with(&start)), "{name}");
    }
}

#[test]
fn variables_of_the_process_are_shown_with_their_type() {
    let world = world();
    let served = world.served.load_full();
    let set = |name: &str, value: Sample<'static>| {
        let name = VariableName::parse(name).expect("a name");
        assert!(served.running.state.variables.write(&name, value));
    };
    set("proc.a", Sample::Int(5));
    set("proc.b", Sample::str("hello".to_owned()));
    set("proc.c", Sample::Ip([1, 2, 3, 4].into()));
    insta::assert_snapshot!(talk(
        &world,
        &["get var proc.a", "get var proc.b", "get var proc.c"]
    ));
}

#[test]
fn sessions_are_listed_and_cut() {
    let world = world();
    let served = world.served.load_full();
    let state = &served.running.state;
    let client = Some(([198, 51, 100, 7], 4711).into());
    let session = state
        .sessions
        .register(state.generation, ProxyId(0), client, clock::now());
    session.assign(Some(ProxyId(1)), Some(ServerId(0)));
    insta::assert_snapshot!(talk(
        &world,
        &[
            "show sess",
            "show sess server app/b",
            "show sess backend app frontend web",
            "show sess older 100",
            "shutdown session 0x1",
        ]
    ));
    assert_eq!(session.cut_reason(), Some(crate::state::CutReason::Killed));
}

#[test]
fn counters_are_cleared_for_one_or_for_all() {
    use crate::state::Counter;
    let world = world();
    let served = world.served.load_full();
    let state = &served.running.state;
    let total = |id| state.server(ServerId(id)).counters.sum(Counter::Sessions);
    for id in 0..3 {
        state.server(ServerId(id)).counters.count(Counter::Sessions);
    }
    assert_eq!(ask(&world, "clear counters"), "\n");
    assert_eq!((total(0), total(1)), (1, 1));
    assert_eq!(
        ask(&world, "clear counters server app/a"),
        "Server counters cleared.\n\n"
    );
    assert_eq!((total(0), total(1)), (0, 1));
    assert_eq!(ask(&world, "clear counters all"), "\n");
    assert_eq!((total(1), total(2)), (0, 0));
}
