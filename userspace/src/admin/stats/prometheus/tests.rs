use std::sync::Arc;

use super::*;
use crate::model::{Model, Proxy, ProxyKind, Server, ServerAddress};
use crate::types::{ProxyId, ServerId};

fn ask(query: &str) -> Option<String> {
    let mut model = Model::default();
    let mut proxy = Proxy::new(ProxyId(0), "we\"b", ProxyKind::Listen);
    proxy.servers.push(ServerId(0));
    proxy.description = Some("all of it".to_owned());
    model.proxies.push(proxy);
    let address = ServerAddress::Inet {
        address: std::net::SocketAddr::from(([127, 0, 0, 1], 80)),
        port_offset: None,
    };
    let server = Server::new(ServerId(0), ProxyId(0), 1, "s1", address);
    model.servers.push(server);
    let running = Running::new(Arc::new(model), None);
    Some(render(&running, &Query::parse(query)?, "1.2"))
}

#[test]
fn everything_is_shown_unless_something_is_asked_for() {
    let all = ask("").expect("a query");
    for line in [
        "haproxy_process_build_info{version=\"1.2\"} 1\n",
        "haproxy_frontend_status{proxy=\"we\\\"b\",state=\"UP\"} 1\n",
        "haproxy_backend_http_responses_total{proxy=\"we\\\"b\",code=\"4xx\"} 0\n",
        "haproxy_server_status{proxy=\"we\\\"b\",server=\"s1\",state=\"DOWN\"} 0\n",
        "haproxy_server_check_failures_total{proxy=\"we\\\"b\",server=\"s1\"} NaN\n",
        "haproxy_backend_agg_server_status{proxy=\"we\\\"b\",state=\"UP\"} 1\n",
        "haproxy_server_queue_time_average_seconds{proxy=\"we\\\"b\",server=\"s1\"} 0.000\n",
    ] {
        assert!(all.contains(line), "{line}{all}");
    }
}

#[test]
fn scopes_and_names_choose() {
    assert_eq!(ask("scope=").as_deref(), Some(""));
    assert_eq!(ask("scope"), None);
    assert_eq!(ask("scope=nothing"), None);
    let servers = ask("scope=server").expect("a query");
    assert!(servers.lines().all(|line| line.contains("haproxy_server_")));
    let one = ask("metrics=haproxy_frontend_status&desc-labels").expect("a query");
    assert_eq!(one.lines().count(), 4);
    assert!(one.contains(",desc=\"all of it\",state=\"UP\"} 1\n"));
    let without = ask("scope=frontend&metrics=-haproxy_frontend_status").expect("a query");
    assert!(!without.contains("frontend_status") && without.contains("frontend_bytes_in_total"));
}
