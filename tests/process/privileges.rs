//! What the process may still do once it is somebody else.

use super::support::Program;

#[test]
#[expect(clippy::print_stderr, reason = "a test that is skipped says why")]
fn another_user_keeps_the_capabilities_that_setcap_names_and_no_others() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root becomes somebody else");
        return;
    }
    let program = Program::start(
        &["-db"],
        "http-request return content-type text/plain string x
global
  user nobody
  group nogroup
  setcap cap_net_bind_service,cap_net_raw",
    );
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.pid()));
    let status = status.expect("it runs");
    let line = |name: &str| {
        let found = status.lines().find_map(|line| line.strip_prefix(name));
        found.expect("every process has it").trim()
    };
    // CAP_NET_BIND_SERVICE and CAP_NET_RAW of linux/capability.h.
    let kept = format!("{:016x}", (1_u64 << 10) | (1 << 13));
    assert_eq!((line("CapPrm:"), line("CapEff:")), (&*kept, &*kept));
    assert_ne!(line("Uid:").split_whitespace().next(), Some("0"));
}
