use std::sync::Arc;
use std::time::Duration;

use crate::admin::cli::{Session, World};
use crate::lang::{self, Machine, Settings, source::Sources};
use crate::log::Logs;
use crate::model::Level;
use crate::state::Running;

const CONFIGURATION: &str = "
frontend web
  mode http
  timeout client 1s
  bind 127.0.0.1:80
  acl inside src -u 7 10.0.0.0/8
  http-request deny if inside
  http-request set-header x %[path,map(virt@paths,none)]
";

fn session() -> Session {
    let mut sources = Sources::default();
    sources.add("test.cfg", CONFIGURATION);
    let loaded = lang::load_sources(sources, &Machine::default(), &Settings::default());
    let model = loaded.model.expect("a configuration without errors");
    let running = Running::new(Arc::new(model), None);
    let logs = Logs::open(&running, "test").expect("no targets");
    let world = Arc::new(World::new(running, Arc::new(logs), "1.2.3", Vec::new()));
    Session::new(world, Level::Admin, Duration::from_secs(10))
}

fn talk(session: &mut Session, line: &str) -> String {
    session.line(line, None).text.trim_end().to_owned()
}

#[test]
fn entries_are_added_found_changed_and_removed() {
    let mut session = session();
    let reply = session.line(
        "add map virt@paths ",
        Some("/a one\n# no entry\n/b two words\n"),
    );
    assert_eq!(reply.text, "\n");
    assert_eq!(
        talk(&mut session, "show map virt@paths"),
        "0x1 /a one\n0x2 /b two words"
    );
    assert_eq!(
        talk(&mut session, "get map virt@paths /a"),
        "type=str, case=sensitive, found=yes, idx=tree, key=\"/a\", value=\"one\", type=\"str\""
    );
    assert_eq!(talk(&mut session, "set map virt@paths #0x1 1"), "");
    assert_eq!(
        talk(&mut session, "set map virt@paths /c 1"),
        "entry not found."
    );
    assert_eq!(talk(&mut session, "del map virt@paths /b"), "");
    assert_eq!(
        talk(&mut session, "del map virt@paths /b"),
        "Key not found."
    );
    assert_eq!(talk(&mut session, "show map virt@paths"), "0x1 /a 1");
    assert_eq!(
        talk(&mut session, "get acl #7 10.1.2.3"),
        "type=ip, case=sensitive, match=yes, idx=tree, pattern=\"10.0.0.0/8\""
    );
    assert_eq!(
        talk(&mut session, "add acl #7 10.1.2.333"),
        "'10.1.2.333' is not a valid IPv4 or IPv6 address"
    );
    assert_eq!(
        talk(&mut session, "add map #99 a b"),
        "Unknown map identifier. Please use #<id> or <file>."
    );
}

#[test]
fn a_prepared_version_replaces_all_entries_at_once() {
    let mut session = session();
    assert_eq!(
        talk(&mut session, "prepare acl #7"),
        "New version created: 1"
    );
    assert_eq!(talk(&mut session, "add acl @1 #7 192.0.2.1"), "");
    assert_eq!(talk(&mut session, "show acl #7"), "0x1 10.0.0.0/8");
    assert_eq!(talk(&mut session, "show acl @1 #7"), "0x1 192.0.2.1");
    assert_eq!(talk(&mut session, "commit acl @1 #7"), "");
    assert_eq!(
        talk(&mut session, "get acl #7 10.1.2.3"),
        "type=ip, case=sensitive, match=no"
    );
    assert_eq!(
        talk(&mut session, "commit acl @5 #7"),
        "Version number out of range."
    );
    assert_eq!(
        talk(&mut session, "show acl"),
        "# id (file) description\n7 () acl of the configuration. curr_ver=1 next_ver=1 entry_cnt=1"
    );
}
