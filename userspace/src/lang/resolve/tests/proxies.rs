//! Proxies, binds and servers: ids, numbers, addresses, what depends on the mode.

use super::*;
use crate::model::{BackendTarget, BalanceKind, BindAddress, ServerAddress, ServerTarget};
use crate::types::{ProxyId, ServerId};

#[test]
fn ids_are_positions_and_numbers_begin_at_two() {
    let model = model_of(
        "backend a\nbackend b\n id 2\nbackend c\n server s 1.1.1.1:1\n server t 1.1.1.1:1 id 1\n",
    );
    let proxies: Vec<_> = model
        .proxies
        .iter()
        .map(|proxy| (proxy.id, proxy.number))
        .collect();
    assert_eq!(proxies, [(ProxyId(0), 3), (ProxyId(1), 2), (ProxyId(2), 5)]);
    let servers: Vec<_> = model
        .servers
        .iter()
        .map(|server| (server.id, server.number))
        .collect();
    assert_eq!(servers, [(ServerId(0), 2), (ServerId(1), 1)]);
    let members: Vec<_> = model.proxies[2].servers.iter().collect();
    assert_eq!(members, [ServerId(0), ServerId(1)]);
}

#[test]
fn names_are_found_wherever_they_are_declared() {
    let model = model_of(
        "frontend f\n bind :1\n use_backend b if FALSE\n use_backend %[src] if FALSE\n default_backend a\nbackend a\n \
         use-server two if FALSE\n use-server %[src]\n server one 1.1.1.1:1 track b/x\n server two 1.1.1.1:1\nbackend b\n \
         server x 1.1.1.1:1 check\n",
    );
    let frontend = &model.proxies[0];
    assert_eq!(frontend.default_backend, Some(ProxyId(1)));
    assert!(matches!(
        frontend.use_backends[0].target,
        BackendTarget::Fixed(ProxyId(2))
    ));
    assert!(matches!(
        frontend.use_backends[1].target,
        BackendTarget::Dynamic(_)
    ));
    assert!(matches!(
        model.proxies[1].use_servers[0].target,
        ServerTarget::Fixed(ServerId(1))
    ));
    assert!(matches!(
        model.proxies[1].use_servers[1].target,
        ServerTarget::Dynamic(_)
    ));
    assert_eq!(model.servers[0].track, Some(ServerId(2)));
    assert_eq!(frontend.use_backends[0].place, "t.cfg:8");
}

#[test]
fn address_lists_and_port_ranges_become_one_bind_each() {
    let model = model_of(
        "frontend f\n bind 127.0.0.1:80-82,[::1]:90 name x\n bind /tmp/s mode 600\n bind fd@7\n",
    );
    assert_eq!(model.binds.len(), 6);
    assert!(
        model.binds[..4]
            .iter()
            .all(|bind| bind.name.as_deref() == Some("x"))
    );
    assert_eq!(
        model.binds[3].address,
        BindAddress::Tcp("[::1]:90".parse().expect("an address"))
    );
    assert_eq!(model.binds[4].options.mode, Some(0o600));
    assert_eq!(model.binds[5].address, BindAddress::Inherited(7));
    let numbers: Vec<_> = model.binds.iter().map(|bind| bind.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_range_of_ports_is_one_service_in_mode_l4() {
    let model = model(
        "global\n xdp interface eth0\nlisten l\n bind udp@192.0.2.1:5000-6000\n mode l4\n server s 192.0.2.2\n",
    );
    assert_eq!(model.binds.len(), 1);
    assert!(matches!(
        model.binds[0].address,
        BindAddress::PortRange {
            last: 6000,
            udp: true,
            ..
        }
    ));
    assert!(matches!(model.proxies[0].balance.kind, BalanceKind::Maglev));
}

#[test]
fn the_default_algorithm_is_random_with_two_draws() {
    let model = model_of("backend b\n");
    assert!(matches!(
        model.proxies[0].balance.kind,
        BalanceKind::Random { draws: 2 }
    ));
}

#[test]
fn unix_socket_defaults_apply_where_the_line_is_silent() {
    let model = model_of(
        "global\n unix-bind prefix /jail mode 660 group haproxy\nfrontend f\n bind /a\n bind unix@/b mode 600 gid 5\n",
    );
    let owner = |index: usize| {
        (
            model.binds[index].options.mode,
            model.binds[index].options.group.clone(),
        )
    };
    assert_eq!(model.binds[0].address, BindAddress::Unix("/jail/a".into()));
    assert_eq!(
        owner(0),
        (Some(0o660), Some(crate::model::Principal::Id(102)))
    );
    assert_eq!(
        owner(1),
        (Some(0o600), Some(crate::model::Principal::Id(5)))
    );
}

#[test]
fn servers_are_where_their_address_says() {
    let model = model_of(
        "backend b\n server a 1.2.3.4\n server b *:80\n server c 1.2.3.4:+100\n server d web.example.com:80\n server e \
         nosuch.invalid:8080 init-addr libc,none\n server f nosuch.invalid init-addr libc,192.0.2.9\n server g abns@x\n",
    );
    let address = |index: usize| &model.servers[index].address;
    let inet = |text: &str, port_offset| ServerAddress::Inet {
        address: text.parse().expect("an address"),
        port_offset,
    };
    assert_eq!(*address(0), inet("1.2.3.4:0", None));
    assert_eq!(*address(1), inet("0.0.0.0:80", None));
    assert_eq!(*address(2), inet("1.2.3.4:0", Some(100)));
    assert_eq!(*address(3), inet("192.0.2.1:80", None));
    assert_eq!(
        model.servers[3].hostname.as_deref(),
        Some("web.example.com")
    );
    assert_eq!(*address(4), ServerAddress::Unresolved { port: 8080 });
    assert_eq!(*address(5), inet("192.0.2.9:0", None));
    assert_eq!(*address(6), ServerAddress::Abstract(b"x".to_vec()));
}

#[test]
fn a_template_makes_numbered_servers() {
    let model = model_of(
        "backend b\n server-template web 2 192.0.2.1:80 check\n server-template app 7-8 192.0.2.2:80\n",
    );
    let names: Vec<_> = model
        .servers
        .iter()
        .map(|server| server.name.as_str())
        .collect();
    assert_eq!(names, ["web1", "web2", "app7", "app8"]);
    assert!(model.servers[1].check.is_some());
}

#[test]
fn captures_have_slots_per_side() {
    use crate::model::{CaptureId, HttpAction};
    let model = model_of(
        "frontend f\n bind :1\n capture request header A len 1\n capture response header B len 2\n declare capture \
         request len 3\n http-request capture src len 4\n http-request capture src id 1\n http-response capture src id 0\n",
    );
    let slots = |action: &HttpAction| match action {
        HttpAction::Capture { id, .. } => *id,
        other => panic!("{other:?}"),
    };
    let proxy = &model.proxies[0];
    assert_eq!(proxy.captures.len(), 4);
    assert_eq!(slots(&proxy.http_request[0].action), CaptureId(2));
    assert_eq!(slots(&proxy.http_request[1].action), CaptureId(1));
    assert_eq!(slots(&proxy.http_response[0].action), CaptureId(0));
}

#[test]
fn several_acl_lines_of_one_name_are_one_acl() {
    let model = model_of(
        "frontend f\n bind :1\n acl a src 10.0.0.1\n acl a src 10.0.0.2\n http-request deny if a\n",
    );
    let condition = model.proxies[0].http_request[0]
        .condition
        .as_ref()
        .expect("a condition");
    assert_eq!(condition.acls().next().expect("an ACL").tests().len(), 2);
}

#[test]
fn a_page_of_defaults_gives_way_to_a_later_line() {
    let model = model_of(
        "backend b\n errorfile 503 /dev/null\n errorloc 503 http://x/\n errorfile 408 /dev/null\n",
    );
    let statuses: Vec<_> = model.proxies[0]
        .error_files
        .iter()
        .map(|file| file.status)
        .collect();
    assert_eq!(statuses, [503, 408]);
}

#[test]
fn groups_of_a_userlist_are_the_users_groups() {
    let model = model(
        "userlist u\n group a users x,y\n group b\n user x insecure-password p groups b\n user y\n",
    );
    let users = &model.userlists[0].users;
    assert_eq!(users[0].groups, ["b", "a"]);
    assert_eq!(users[1].groups, ["a"]);
}

#[test]
fn a_statement_without_effect_is_listed_with_its_reason() {
    let (loaded, said) = load_text("global\n tune.maxpollevents 100\n cpu-map 1/1 0\n");
    assert_eq!(said, "");
    let listed: Vec<_> = loaded
        .without_effect
        .iter()
        .map(|note| (note.place.as_str(), note.keyword.as_str()))
        .collect();
    assert_eq!(
        listed,
        [("t.cfg:2", "tune.maxpollevents"), ("t.cfg:3", "cpu-map")]
    );
}

#[test]
fn predefined_variables_can_be_used() {
    let model = model_of(
        "frontend f\n bind :1\n log 127.0.0.1 local0\n log-format \"${HAPROXY_HTTP_LOG_FMT} x\"\n description \
         \"${HAPROXY_BRANCH}\"\n",
    );
    assert_eq!(model.proxies[0].description.as_deref(), Some("3.4"));
    assert!(
        model.proxies[0]
            .log_format
            .as_ref()
            .expect("a format")
            .text()
            .ends_with(" x")
    );
}

#[test]
fn connections_in_reverse_name_servers_that_fit() {
    let model = model_of(
        "frontend out\n bind rhttp@up/edge nbconn 3\n default_backend own\nfrontend in\n bind :1 proto h2\n \
         tcp-request session attach-srv devices/one name src\n default_backend devices\nbackend up\n \
         server edge 192.0.2.1:443 proto h2\nbackend devices\n server one rhttp@\nbackend own\n server s 192.0.2.2:80\n",
    );
    assert_eq!(
        model.binds[0].address,
        BindAddress::Reverse {
            backend: "up".to_owned(),
            server: "edge".to_owned(),
            connections: 3
        }
    );
    assert_eq!(model.servers[1].address, ServerAddress::Reverse);
    let (loaded, said) = load_text(
        "defaults\n mode http\n timeout client 1s\n timeout server 1s\n timeout connect 1s\nfrontend out\n bind rhttp@up/nobody\n \
         bind rhttp@up/one nbconn 0\n bind rhttp@up\n bind :1 nbconn 2\n bind rhttp@up/edge proto h1\n \
         bind rhttp@up/passive\n tcp-request session attach-srv up/edge\n default_backend up\nbackend up\n \
         server edge 192.0.2.1:443\n server passive rhttp@ check\n server wrong rhttp@x\nlisten t\n mode tcp\n \
         server s rhttp@\n",
    );
    assert!(loaded.model.is_none());
    insta::assert_snapshot!(said);
}

#[test]
fn bandwidth_limitations_are_named_and_whole() {
    let model = model_of(
        "listen f\n bind :1\n stick-table type ip size 1k store bytes_out_rate(1s)\n http-request set-bandwidth-limit own limit 2k\n \
         http-response set-bandwidth-limit shared if TRUE\n filter bwlim-out own default-limit 1m default-period 1s min-size 1448\n \
         filter bwlim-out shared limit 10m key src\n server s 192.0.2.1:80\n",
    );
    let filters = &model.proxies[0].bandwidth_filters;
    let told: Vec<_> = filters
        .iter()
        .map(|filter| (filter.name.as_str(), filter.limit, filter.min_size))
        .collect();
    assert_eq!(told, [("own", 1 << 20, 1448), ("shared", 10 << 20, 0)]);
    let (loaded, said) = load_text(&format!(
        "{BASE}listen f\n bind :1\n filter bwlim-in a default-limit 1k\n filter bwlim-in b limit 1k key src\n \
         filter bwlim-in c limit 1k key src table t\n filter bwlim-in d default-limit 0 default-period 1s\n \
         filter bwlim-out e default-limit 1k default-period 1s\n filter bwlim-out e default-limit 1k default-period 1s\n \
         http-request set-bandwidth-limit ee\n http-request set-bandwidth-limit c limit 1k\n server s 192.0.2.1:80\n\
         backend t\n stick-table type ip size 1k store bytes_out_rate(1s)\n"
    ));
    assert!(loaded.model.is_none());
    insta::assert_snapshot!(said);
}

#[test]
fn what_servers_see_and_how_names_are_written_is_read() {
    use crate::model::ShownSource;
    let model = model(
        "global\n h1-case-adjust content-length Content-Length\ndefaults\n mode http\n timeout client 1s\n timeout server 1s\n \
         timeout connect 1s\nlisten f\n bind :1\n option h1-case-adjust-bogus-client\n option h1-case-adjust-bogus-server\n \
         source 0.0.0.0 usesrc clientip\n server a 192.0.2.1:80 maxconn 3 strict-maxconn\n \
         server b 192.0.2.1:80 source 192.0.2.9 usesrc hdr_ip(X-Forwarded-For,2)\n \
         server c 192.0.2.1:80 source 192.0.2.9 usesrc 192.0.2.7:70\n server d 192.0.2.1:80 source 192.0.2.9 usesrc client\n \
         server e 192.0.2.1:80 source 192.0.2.9 usesrc hdr_ip(x,0)\n",
    );
    let shown: Vec<_> = model
        .servers
        .iter()
        .map(|server| {
            server
                .source
                .as_ref()
                .and_then(|source| source.shown.clone())
        })
        .collect();
    assert_eq!(
        shown,
        [
            Some(ShownSource::ClientIp),
            Some(ShownSource::Header("x-forwarded-for".into(), 2)),
            Some(ShownSource::Address(([192, 0, 2, 7], 70).into())),
            Some(ShownSource::Client),
            None
        ]
    );
    assert!(model.servers[0].strict_maxconn);
    assert!(model.proxies[0].adjust_case_to_client && model.proxies[0].adjust_case_to_server);
    let (loaded, said) = load_text(&format!(
        "global\n h1-case-adjust Content-Length content-length\n h1-case-adjust x-a x-b\n{BASE}listen f\n bind :1\n \
         server a 192.0.2.1:80 source 0.0.0.0 usesrc hdr_ip(x\n server b 192.0.2.1:80 source 0.0.0.0 usesrc hdr_ip(x,y)\n \
         server c 192.0.2.1:80 source 0.0.0.0 usesrc nobody@\n"
    ));
    assert!(loaded.model.is_none());
    insta::assert_snapshot!(said);
}
