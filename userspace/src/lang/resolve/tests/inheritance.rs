//! What proxies take from `defaults` and `global`.

use super::*;
use crate::model::{CheckStep, CheckSteps, CommonAction, HttpAction, TcpAction, TrailingClose};
use crate::types::{Millis, TableId};

#[test]
fn the_latest_defaults_apply_unless_another_is_named() {
    let model = model(
        "defaults one\n timeout connect 1s\n retries 1\ndefaults two from one\n retries 2\ndefaults three\n \
         timeout connect 3s\nbackend a from one\nbackend b from two\nbackend c\nbackend d from two\n retries 4\n",
    );
    let retries: Vec<_> = model.proxies.iter().map(|proxy| proxy.retries).collect();
    assert_eq!(retries, [1, 2, 3, 4]);
    let connects: Vec<_> = model
        .proxies
        .iter()
        .map(|proxy| proxy.timeouts.connect)
        .collect();
    assert_eq!(
        connects,
        [
            Some(Millis(1000)),
            Some(Millis(1000)),
            Some(Millis(3000)),
            Some(Millis(1000))
        ]
    );
}

#[test]
fn a_proxy_takes_from_defaults_only_what_it_can_use() {
    let model = model(
        "defaults\n mode http\n timeout client 1s\n maxconn 7\n balance leastconn\nfrontend f\n bind :1\nbackend b\n",
    );
    assert_eq!(model.proxies[0].maxconn, Some(7));
    assert_eq!(model.proxies[1].maxconn, None);
}

#[test]
fn options_of_defaults_can_be_taken_back() {
    let model = model_of(
        "defaults\n mode http\n option http-server-close\n option forwardfor\n option redispatch\n option dontlognull\n\
         backend a\nbackend b\n no option http-server-close\n no option forwardfor\n no option redispatch\n",
    );
    let [a, b] = &model.proxies[..] else {
        panic!("two backends")
    };
    assert_eq!(a.trailing_close, TrailingClose::Server);
    assert!(a.forwarded_for.is_some() && b.forwarded_for.is_none());
    assert_eq!(b.trailing_close, TrailingClose::KeepAlive);
    assert_eq!(b.redispatch, crate::model::Redispatch::Off);
}

#[test]
fn taking_back_one_way_of_closing_leaves_another_alone() {
    let model = model_of("backend a\n option httpclose\n no option http-server-close\n");
    assert_eq!(model.proxies[0].trailing_close, TrailingClose::Both);
}

#[test]
fn rules_of_defaults_come_first_and_use_the_proxy_s_own_table() {
    let model = model(
        "defaults d\n mode http\n timeout client 1s\n acl here src 10.0.0.0/8\n tcp-request connection track-sc0 src if \
         here\n http-request set-header X-From defaults\nfrontend f from d\n bind :1\n stick-table type ip size 1k store \
         conn_cur\n http-request set-header X-From own\nfrontend g from d\n bind :2\n stick-table type ip size 1k store \
         conn_cur\n",
    );
    let texts: Vec<_> = model.proxies[0]
        .http_request
        .iter()
        .map(|rule| rule.text.as_str())
        .collect();
    assert_eq!(
        texts,
        ["set-header X-From defaults", "set-header X-From own"]
    );
    let tables: Vec<_> = model
        .proxies
        .iter()
        .map(|proxy| match &proxy.tcp_request_connection[0].action {
            TcpAction::Common(CommonAction::Track { table, .. }) => *table,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(tables, [TableId(0), TableId(1)]);
}

#[test]
fn the_first_own_statistics_line_gives_up_those_of_defaults() {
    let model = model_of(
        "defaults\n mode http\n timeout client 1s\n timeout connect 1s\n timeout server 1s\n stats uri /a\n stats auth \
         a:b\nlisten one\n bind :1\nlisten two\n bind :2\n stats refresh 5\n",
    );
    let page = |index: usize| model.proxies[index].stats.as_ref().expect("a page");
    assert_eq!((page(0).uri.as_str(), page(0).auth.len()), ("/a", 1));
    assert_eq!(
        (page(1).uri.as_str(), page(1).auth.len()),
        ("/haproxy?stats", 0)
    );
    assert_eq!(page(1).refresh, Some(Millis(5000)));
}

#[test]
fn own_check_rules_replace_those_of_defaults() {
    let model = model_of(
        "defaults\n timeout server 1s\n timeout connect 1s\n option tcp-check\n tcp-check connect\n tcp-check send a\n\
         backend one\n server s 1.1.1.1:1 check\nbackend two\n tcp-check connect port 5\n server s 1.1.1.1:1 check\n",
    );
    let steps = |index: usize| match &model.servers[index].check.as_ref().expect("a check").steps {
        CheckSteps::Tcp(steps) => steps.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!((steps(0), steps(1)), (2, 1));
}

#[test]
fn global_logs_are_used_where_a_proxy_says_so() {
    let model = model(
        "global\n log 127.0.0.1 local0\n log 127.0.0.1 local1\n log-tag x\ndefaults\n log global\n timeout client \
         1s\nfrontend a\n bind :1\nfrontend b\n bind :2\n no log\nfrontend c\n bind :3\n log 127.0.0.1 local2\n",
    );
    let counts: Vec<_> = model.proxies.iter().map(|proxy| proxy.logs.len()).collect();
    assert_eq!(counts, [2, 0, 3]);
    assert_eq!(model.proxies[0].log_tag.as_deref(), Some("x"));
}

#[test]
fn global_may_come_after_the_proxies_that_use_it() {
    let model = model_of(
        "listen a\n bind :1\n log global\n server s 1.1.1.1:1\nglobal\n log 127.0.0.1 local0\n",
    );
    assert_eq!(model.proxies[0].logs.len(), 1);
}

#[test]
fn default_server_reaches_the_servers_that_follow() {
    let model = model_of(
        "defaults\n timeout server 1s\n timeout connect 1s\n default-server maxconn 5\nbackend a\n server one 1.1.1.1:1\n \
         default-server check inter 7s weight 3\n server two 1.1.1.1:1 weight 4\n server three 1.1.1.1:1 no-check\n",
    );
    let servers: Vec<_> = model.servers.iter().collect();
    let [one, two, three] = servers[..] else {
        panic!("three servers")
    };
    assert!(one.check.is_none() && three.check.is_none());
    assert_eq!(two.check.as_ref().expect("a check").inter, Millis(7000));
    assert_eq!((one.weight.0, two.weight.0, three.weight.0), (1, 4, 3));
    assert!(model.servers.iter().all(|server| server.maxconn == Some(5)));
}

#[test]
fn the_request_of_an_http_check_completes_what_its_rules_leave_open() {
    let model = model_of(
        "backend a\n option httpchk GET /health\n http-check send ver HTTP/1.1 hdr Host a\n server s 1.1.1.1:1 \
         check\nbackend b\n option httpchk HEAD /x HTTP/1.1\n server s 1.1.1.1:1 check\nbackend c\n option httpchk\n \
         http-check connect\n http-check expect status 200\n server s 1.1.1.1:1 check\n",
    );
    let request = |index: usize| match &model.servers[index].check.as_ref().expect("a check").steps
    {
        CheckSteps::Http { steps, .. } => steps
            .iter()
            .position(|step| matches!(step, CheckStep::SendHttp(_)))
            .map(|at| (at, steps[at].clone()))
            .expect("a request"),
        other => panic!("{other:?}"),
    };
    let shown = |index: usize| match request(index) {
        (at, CheckStep::SendHttp(send)) => {
            let uri =
                String::from_utf8_lossy(send.uri.constant().expect("a constant")).into_owned();
            (
                at,
                format!(
                    "{} {uri} {} {}",
                    send.method,
                    send.version,
                    send.headers.len()
                ),
            )
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(shown(0), (0, "GET /health HTTP/1.1 1".to_owned()));
    assert_eq!(shown(1), (0, "HEAD /x HTTP/1.1 0".to_owned()));
    assert_eq!(
        shown(2),
        (1, "OPTIONS / HTTP/1.0 0".to_owned()),
        "after the connection, before what is expected"
    );
}

#[test]
fn tls_defaults_of_global_reach_bind_and_server_lines() {
    let environment = Table::default()
        .file("/certs/a.pem", "")
        .file("/cas/ca.pem", "");
    let (loaded, said) = load_in(
        &environment,
        "global\n crt-base /certs\n ca-base /cas\n ssl-default-bind-options ssl-min-ver TLSv1.3 no-tls-tickets\n \
         ssl-default-server-ciphers ECDHE+AESGCM\n ssl-server-verify none\ndefaults\n timeout client 1s\n timeout server \
         1s\n timeout connect 1s\nlisten l\n bind :1 ssl crt a.pem\n bind :2 ssl crt a.pem ssl-min-ver TLSv1.2\n server a \
         1.1.1.1:1 ssl\n server b 1.1.1.1:1 ssl verify required ca-file ca.pem\n",
    );
    assert_eq!(said, "");
    let model = loaded.model.expect("nothing was said");
    let tls: Vec<_> = model
        .binds
        .iter()
        .map(|bind| bind.tls.as_ref().expect("TLS"))
        .collect();
    assert_eq!(
        (tls[0].min_version, tls[1].min_version),
        (Some(0x0304), Some(0x0303))
    );
    assert!(tls.iter().all(|tls| tls.no_tickets));
    assert_eq!(tls[0].certificates, [std::path::Path::new("/certs/a.pem")]);
    let servers: Vec<_> = model
        .servers
        .iter()
        .map(|server| server.tls.as_ref().expect("TLS"))
        .collect();
    assert_eq!(
        (servers[0].verify, servers[1].verify),
        (crate::model::Verify::None, crate::model::Verify::Required)
    );
    assert_eq!(servers[0].ciphers.as_ref().map(Vec::len), Some(4));
    assert_eq!(
        servers[1].ca_file.as_deref(),
        Some(std::path::Path::new("/cas/ca.pem"))
    );
}

#[test]
fn denials_have_the_statuses_of_their_rule_sets() {
    let model = model_of(
        "listen l\n bind :1\n server s 1.1.1.1:1\n http-request deny if FALSE\n http-request tarpit if FALSE\n \
         http-request deny deny_status 429 if FALSE\n http-request return if FALSE\n http-response deny if FALSE\n",
    );
    let status = |action: &HttpAction| match action {
        HttpAction::Deny(reply) | HttpAction::Tarpit(reply) | HttpAction::Return(reply) => {
            reply.status
        }
        other => panic!("{other:?}"),
    };
    let requests: Vec<_> = model.proxies[0]
        .http_request
        .iter()
        .map(|rule| status(&rule.action))
        .collect();
    assert_eq!(requests, [403, 500, 429, 200]);
    assert_eq!(status(&model.proxies[0].http_response[0].action), 502);
}
