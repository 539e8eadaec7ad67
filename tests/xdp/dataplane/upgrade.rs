//! One program in the place of another, as an upgrade puts it there.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tidegate::dataplane::{Dataplane, OBJECT, Stop};
use tidegate::model::{Mode, XdpMode};

use super::configuration::Configuration;
use super::crowd::{Crowd, MANY};
use super::l4::snapshot;
use super::lab::{Lab, VIP};

fn web(lab: &Lab) -> Configuration {
    Configuration::new(&["lb0", "lb1"], XdpMode::Native, &lab.pin())
        .listen("web", Mode::L4)
        .tcp(&format!("{VIP}:80"))
        .server("s1", "10.0.0.1:80")
        .server("s2", "10.0.0.2:80")
}

fn serve(lab: &Lab) {
    lab.serve("s1", "10.0.0.1:80");
    lab.serve("s2", "10.0.0.2:80");
}

/// Everything pinned below a directory whose name begins like this.
fn pinned(directory: &Path, start: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory.join("tidegate")).expect("there are pins");
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| {
        path.file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with(start)
    });
    found.sort();
    found
}

/// Makes the tables in force look like those of another release, whose records mean something else.
pub(crate) fn pretend_other_layout(pins: &Path) {
    let [set] = &pinned(pins, "tables-")[..] else {
        panic!("there is one set of tables");
    };
    let name = set.file_name().unwrap().to_str().unwrap();
    let (_, program) = name.rsplit_once('-').unwrap();
    std::fs::rename(set, set.with_file_name(format!("tables-1-{program}"))).unwrap();
}

/// Which links there are, and which program runs on the interface.
fn links(lab: &Lab) -> (Vec<(PathBuf, u64)>, String) {
    let links = pinned(lab.pins(), "link-").into_iter();
    let links = links.map(|path| {
        let inode = path.metadata().unwrap().ino();
        (path, inode)
    });
    let shown = lab.balancer.exec("ip -json link show dev lb0");
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    (links.collect(), shown[0]["xdp"]["prog"]["id"].to_string())
}

#[test]
fn another_object_takes_the_place_of_the_one_before_in_its_links_and_goes_on_with_its_flows() {
    let Some(lab) = Lab::new("upgr") else { return };
    serve(&lab);
    let configuration = web(&lab).compile();
    let old = lab.start(&configuration);
    let mut crowd = Crowd::connect(&lab.client, &format!("{VIP}:80"));
    let (links_before, program_before) = links(&lab);
    // The same code from another place is another program to the kernel, as any release is.
    let object: &'static [u8] = OBJECT.to_vec().leak();
    let new = crowd.through("another object", || {
        let (compiled, running) = &configuration;
        let started = lab
            .balancer
            .inside(|| Dataplane::start_with(object, compiled, running));
        started.expect("it starts").expect("it is needed")
    });
    let (links_after, program_after) = links(&lab);
    assert_eq!(links_after, links_before, "the links are the same ones");
    assert_ne!(program_after, program_before, "the program is another one");
    assert_eq!(snapshot(&new).flows, MANY as u64, "it knows all flows");
    crowd.through("the old process goes", || {
        old.stop(Stop::Detach)
            .expect("it sees that it was replaced");
    });
    assert_eq!(links(&lab), (links_after, program_after));
    new.stop(Stop::Detach).expect("it detaches");
}

/// What records mean is not guessed: the flows begin anew. With NAT that ends connections; see `fork` for the other ways.
#[test]
fn program_of_another_layout_begins_anew_and_serves() {
    let Some(lab) = Lab::new("anew") else { return };
    serve(&lab);
    let configuration = web(&lab).compile();
    let old = lab.start(&configuration);
    let target = format!("{VIP}:80");
    let mut known = lab.connect(&target).unwrap();
    let (links_before, program_before) = links(&lab);
    pretend_other_layout(lab.pins());
    let new = lab.start(&configuration);
    let (links_after, program_after) = links(&lab);
    assert_eq!(links_after, links_before, "the links are the same ones");
    assert_ne!(program_after, program_before, "the program is another one");
    assert_eq!(pinned(lab.pins(), "tables-").len(), 1, "the old tables go");
    assert_eq!(snapshot(&new).flows, 0);
    known.ping().expect_err("nobody knows its ports any more");
    lab.connect(&target)
        .unwrap()
        .ping()
        .expect("new ones are served");
    let drops = &snapshot(&new).services[0].drops;
    assert!(
        drops.iter().any(|drop| drop.reason == "unknown-flow"),
        "{drops:?}"
    );
    old.stop(Stop::Detach)
        .expect("it sees that it was replaced");
    new.stop(Stop::Detach).expect("it detaches");
    assert_eq!(lab.pins_left(), [] as [String; 0], "no pin is left");
}
