use std::sync::Arc;

use super::*;
use crate::model::{Model, ProxyKind, ServerAddress};
use crate::state::Operational;
use crate::types::{ProxyId, ServerId};

fn running() -> Running {
    let mut model = Model::default();
    let app = Proxy::new(ProxyId(0), "app", ProxyKind::Backend);
    for (index, name) in ["s1", "s2"].iter().enumerate() {
        let id = ServerId(index as u32);
        app.servers.push(id);
        let address = ServerAddress::Inet {
            address: ([127, 0, 0, 1], 8000 + index as u16).into(),
            port_offset: None,
        };
        model
            .servers
            .push(Server::new(id, app.id, id.0 + 1, *name, address));
    }
    model.proxies.push(app);
    model
        .proxies
        .push(Proxy::new(ProxyId(1), "web", ProxyKind::Frontend));
    Running::new(Arc::new(model), None)
}

fn value(running: &Running, service: &str, column: &str) -> String {
    let row = rows(running)
        .find(|row| read::service_name(row).to_string() == service)
        .expect("the object exists");
    let field = FIELDS
        .iter()
        .find(|field| field.name == column)
        .expect("the column exists");
    field.value(&row).to_string()
}

#[test]
fn columns_stand_where_other_programs_look_for_them() {
    for (position, name) in [
        (0, "pxname"),
        (17, "status"),
        (33, "rate"),
        (73, "addr"),
        (94, "eint"),
        (117, "resbout"),
    ] {
        assert_eq!(FIELDS[position].name, name);
    }
}

#[test]
fn no_two_rows_have_the_same_name() {
    for (index, field) in FIELDS.iter().enumerate() {
        assert!(
            FIELDS[..index]
                .iter()
                .all(|other| other.name != field.name && other.metric != field.metric)
        );
        assert_eq!(field.tags.0.len(), 3, "{}", field.name);
    }
}

#[test]
fn rows_come_in_the_order_of_show_stat() {
    let running = running();
    let names: Vec<String> = rows(&running)
        .map(|row| read::service_name(&row).to_string())
        .collect();
    assert_eq!(names, ["s1", "s2", "BACKEND", "FRONTEND"]);
}

#[test]
fn a_server_without_checks_says_so_and_a_stopped_one_is_down() {
    let running = running();
    assert_eq!(value(&running, "s1", "status"), "no check");
    running
        .state
        .server(ServerId(0))
        .set_operational(Operational::Stopped, clock::now());
    assert_eq!(value(&running, "s1", "status"), "DOWN");
    assert_eq!(value(&running, "BACKEND", "act"), "1");
}

#[test]
fn what_an_object_does_not_have_is_empty() {
    let running = running();
    assert_eq!(value(&running, "FRONTEND", "lbtot"), "");
    assert_eq!(value(&running, "s1", "lbtot"), "0");
    assert_eq!(value(&running, "s1", "addr"), "127.0.0.1:8000");
}
