//! What `tidegate explain` says of the example configurations: which rules run in the kernel, which do not, and why.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use tidegate::dataplane::{explain, offload};
use tidegate::lang::{Environment, Settings, load_sources, source::Sources};

use super::{STYLE, Users};

/// The table of a file of `conf/`.
fn explained(name: &str) -> String {
    let text = std::fs::read_to_string(root().join("conf").join(name)).unwrap();
    let mut sources = Sources::default();
    sources.add(name, text);
    let loaded = load_sources(sources, &AtRoot, &Settings::default());
    let said = loaded.diagnostics.render(&loaded.sources, STYLE);
    let model = loaded.model.unwrap_or_else(|| panic!("{said}"));
    let compiled = offload::compile(&model);
    assert_eq!(compiled.refusals, [], "{name}");
    explain::text(&compiled)
}

/// Where the examples are meant to be run.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The machine, seen from there, without variables.
struct AtRoot;

impl Environment for AtRoot {
    fn variable(&self, _name: &str) -> Option<String> {
        None
    }

    fn variable_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        Users.read(&root().join(path))
    }

    fn exists(&self, path: &Path) -> bool {
        Users.exists(&root().join(path))
    }

    fn resolve(&self, host: &str) -> std::io::Result<Vec<IpAddr>> {
        Users.resolve(host)
    }

    fn user(&self, name: &str) -> Option<u32> {
        Users.user(name)
    }

    fn group(&self, name: &str) -> Option<u32> {
        Users.group(name)
    }

    fn host_name(&self) -> String {
        Users.host_name()
    }
}

#[test]
fn tutorials_source_rules_and_limit_go_to_the_kernel() {
    insta::assert_snapshot!(explained("tutorial.cfg"));
}

#[test]
fn shop_refuses_networks_and_floods_in_the_kernel_and_robots_in_userspace() {
    insta::assert_snapshot!(explained("guard-shop.cfg"));
}

#[test]
fn login_form_is_guarded_by_both_tiers() {
    insta::assert_snapshot!(explained("guard-login.cfg"));
}

#[test]
fn dns_and_games_are_forwarded_and_guarded_in_the_kernel() {
    insta::assert_snapshot!(explained("guard-dns.cfg"));
}
