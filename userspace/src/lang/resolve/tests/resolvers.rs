//! `resolvers` sections and the server lines that use them.

use super::{BASE, load_in, load_text, model_of};
use crate::lang::testing::Table;

#[test]
fn a_section_is_read_with_its_defaults() {
    let model = model_of(
        "resolvers dns\n nameserver a 192.0.2.1\n nameserver b tcp@[::1]:5353\n hold nx 5s\n timeout retry 200ms\n\
         backend b\n server-template s 2 web.example:80 resolvers dns resolve-prefer ipv4 init-addr none\n",
    );
    let resolution = model.servers[1].resolution.as_ref().expect("named");
    let dns = &resolution.resolvers;
    assert_eq!(dns.nameservers[0].address.to_string(), "192.0.2.1:53");
    assert!(dns.nameservers[1].stream && !dns.nameservers[0].stream);
    let holds = (dns.hold.nx.0, dns.hold.refused.0, dns.retry.0);
    assert_eq!(holds, (5000, 30_000, 200));
    assert_eq!(
        (resolution.name.as_str(), resolution.prefer_v6),
        ("web.example", false)
    );
}

#[test]
fn services_need_no_port_and_no_resolution_at_start() {
    let model = model_of(
        "resolvers dns\n nameserver a 192.0.2.1\n\
         backend b\n server-template s 3 _http._tcp.example resolvers dns check\n",
    );
    assert_eq!(model.servers.len(), 3);
    let resolution = model.servers[0].resolution.as_ref().expect("named");
    assert!(resolution.is_service());
}

#[test]
fn the_default_section_is_made_of_what_the_system_uses() {
    let environment = Table::default().file("/etc/resolv.conf", "nameserver 192.0.2.53\n");
    let text = format!("{BASE}backend b\n server s web.example.com:80 resolvers default\n");
    let (loaded, said) = load_in(&environment, &text);
    assert_eq!(said, "");
    let model = loaded.model.expect("nothing was said");
    let resolution = model.servers[0].resolution.as_ref().expect("named");
    assert_eq!(resolution.resolvers.nameservers.len(), 1);
}

#[test]
fn unknown_sections_and_words_are_told_of() {
    let (_, said) = load_text(
        "resolvers dns\n hold never 1s\nbackend b\n server s web.example:80 resolvers dsn init-addr none\n",
    );
    assert!(said.contains("unknown status 'never'"), "{said}");
    assert!(said.contains("unknown resolvers section 'dsn'"), "{said}");
    assert!(said.contains("did you mean `dns`?"), "{said}");
    let (_, said) = load_text("backend b\n server s _http._tcp.example\n");
    assert!(said.contains("which need 'resolvers'"), "{said}");
}
