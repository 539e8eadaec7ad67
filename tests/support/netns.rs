//! Network namespaces for tests: made with unique names, entered by a thread of their own, removed on drop.
//!
//! Tests that need them call [`available`] first and return when it says no; under `cargo xtask test --kernel` a
//! machine that cannot make them fails the test instead.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// One network namespace; it goes with its devices when this is dropped, also by a panic.
pub(crate) struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes a namespace with the loopback device up.
    pub(crate) fn new(label: &str) -> Self {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "tg-{label}-{}-{}",
            std::process::id(),
            SERIAL.fetch_add(1, Ordering::Relaxed)
        );
        command("ip", &["netns", "add", &name]);
        let namespace = Self { name };
        namespace.ip("link set lo up");
        // Addresses are usable at once: nobody else has them here.
        for scope in ["all", "default"] {
            namespace.exec(&format!("sysctl -qw net.ipv6.conf.{scope}.accept_dad=0"));
        }
        namespace
    }

    /// Its name, for `ip netns exec`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Runs `ip` with these words inside.
    pub(crate) fn ip(&self, words: &str) {
        let mut arguments = vec!["-n", &self.name];
        arguments.extend(words.split_whitespace());
        command("ip", &arguments);
    }

    /// Runs a program inside and returns what it printed.
    pub(crate) fn exec(&self, words: &str) -> String {
        self.exec_words(&words.split_whitespace().collect::<Vec<_>>())
    }

    /// The same where words have spaces in them.
    pub(crate) fn exec_words(&self, words: &[&str]) -> String {
        command("ip", &[&["netns", "exec", &self.name], words].concat())
    }

    /// Runs `work` on a thread of its own inside, and waits for it. Sockets made there stay there.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                enter(&self.name);
                work()
            });
            match thread.join() {
                Ok(value) => value,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Connects two namespaces with a veth pair whose ends behave like NICs: no checksums left undone, and NAPI on,
    /// which `XDP_TX` and redirects towards them need.
    pub(crate) fn connect(&self, device: &str, other: &Self, other_device: &str) {
        self.ip(&format!(
            "link add {device} type veth peer name {other_device} netns {}",
            other.name
        ));
        for (namespace, device) in [(self, device), (other, other_device)] {
            namespace.ip(&format!("link set {device} up"));
            namespace.exec(&format!("ethtool -K {device} tx off gro on"));
        }
    }

    /// Adds an address; IPv6 ones are usable at once.
    pub(crate) fn address(&self, device: &str, address: &str) {
        let nodad = if address.contains(':') { " nodad" } else { "" };
        self.ip(&format!("address add {address} dev {device}{nodad}"));
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let removed = Command::new("ip")
            .args(["netns", "del", &self.name])
            .status();
        debug_assert!(
            removed.is_ok_and(|status| status.success()),
            "the namespace is removed"
        );
    }
}

/// Moves the calling thread into a namespace for good.
pub(crate) fn enter(name: &str) {
    let file = File::open(format!("/run/netns/{name}")).expect("the namespace exists");
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .expect("entering needs root");
}

/// Whether this machine lets tests make namespaces. Says why not, or fails where kernel tests must run.
pub(crate) fn available() -> bool {
    let reason = if !rustix::process::geteuid().is_root() {
        "not root"
    } else if Command::new("ip").arg("-V").output().is_err() {
        "no ip command"
    } else {
        return true;
    };
    skip(reason);
    false
}

/// Says why a kernel test does not run; a failure under `cargo xtask test --kernel`.
#[expect(
    clippy::print_stderr,
    reason = "the reason is for the person who runs the tests"
)]
pub(crate) fn skip(reason: &str) {
    assert!(
        std::env::var_os("TIDEGATE_KERNEL_TESTS").is_none(),
        "kernel tests must run here: {reason}"
    );
    eprintln!("skipped: {reason}");
}

/// Asks again and again until `question` answers, for at most ten seconds.
#[expect(
    clippy::disallowed_methods,
    reason = "the test waits in real time for the kernel"
)]
pub(crate) fn eventually<T>(what: &str, mut question: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = question() {
            return answer;
        }
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "waited in vain: {what}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn command(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .expect("the program exists");
    assert!(
        output.status.success(),
        "{program} {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
