//! Captures of the real program: what the file says of packets whose fate is known.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tidegate::proto::pcapng::{self, Block};

use super::lab::{Lab, VIP};
use super::netns::eventually;
use super::process::Process;

const LISTED: &str = "192.0.2.10";
const WELCOME: &str = "192.0.2.11";

fn sections() -> String {
    let rule = format!("tcp-request connection reject if {{ src {LISTED} }}");
    format!(
        "listen web\n mode l4\n bind {VIP}:80\n server s1 10.0.0.1:80\n {rule}\n\
         listen local\n mode tcp\n bind 192.0.2.1:8080\n server s1 10.0.0.1:80\n {rule}"
    )
}

/// `tidegate capture` with these words.
fn capture(process: &Process, words: &[&str], file: &std::path::Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .arg("capture")
        .arg("--socket")
        .arg(process.socket())
        .args(words)
        .arg("--write")
        .arg(file)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs")
}

/// A captured frame: its comment, its length on the wire, and its bytes.
type Captured = (String, u32, Vec<u8>);

/// A file taken apart: its frames, and how many packets were counted and lost.
fn read(file: &std::path::Path) -> (Vec<Captured>, Option<(u64, u64)>) {
    let bytes = std::fs::read(file).unwrap();
    let (mut frames, mut counts) = (Vec::new(), None);
    let mut rest = &bytes[..];
    while let Some((block, length)) = pcapng::read(rest).unwrap() {
        match block {
            Block::Frame(frame) => {
                frames.push((frame.comment.to_owned(), frame.length, frame.bytes.to_vec()));
            }
            Block::Statistics { received, lost } => counts = Some((received, lost)),
            Block::Interface(_) | Block::Other => {}
        }
        rest = &rest[length..];
    }
    assert!(rest.is_empty(), "the file is complete");
    (frames, counts)
}

/// A connection attempt of little patience.
fn knock(lab: &Lab, source: &str, target: &str) {
    let source: IpAddr = source.parse().unwrap();
    let target: SocketAddr = target.parse().unwrap();
    lab.client.inside(move || {
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(source, 0).into()).unwrap();
        // Refused or not, its packets have been sent.
        let _ = socket.connect_timeout(&target.into(), Duration::from_millis(20));
    });
}

#[test]
fn file_tells_what_became_of_every_packet() {
    let Some(lab) = Lab::new("capture") else {
        return;
    };
    lab.serve("s1", "10.0.0.1:80");
    let process = Process::start(&lab, "", &sections());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("all.pcapng");
    let mut running = capture(&process, &[], &file);
    let (forwarded, local) = (format!("{VIP}:80"), "192.0.2.1:8080");
    let wanted = [
        "drop source-listed, service web",
        "drop source-listed, service local",
        "forward, service web",
        "pass, service local",
    ];
    eventually("every fate is in the file", || {
        for target in [&forwarded, local] {
            knock(&lab, LISTED, target);
            knock(&lab, WELCOME, target);
        }
        let known = std::fs::read(&file).unwrap_or_default();
        let told = |text: &&str| known.windows(text.len()).any(|at| at == text.as_bytes());
        wanted.iter().all(told).then_some(())
    });
    kill_process(Pid::from_child(&running), Signal::INT).unwrap();
    assert!(running.wait().unwrap().success());
    let (frames, counts) = read(&file);
    let comments: BTreeSet<&str> = frames
        .iter()
        .map(|(comment, ..)| comment.as_str())
        .collect();
    assert!(
        comments.is_superset(&BTreeSet::from(wanted)),
        "{comments:?}"
    );
    let (received, lost) = counts.expect("statistics at the end");
    assert_eq!(received, frames.len() as u64 + lost);
    for (comment, length, bytes) in &frames {
        assert_eq!(
            *length as usize,
            bytes.len(),
            "{comment}: nothing is cut off"
        );
    }
    // Nobody asks any more: the next capture begins with what comes next.
    let file = directory.path().join("few.pcapng");
    let words = [
        "--drops",
        "--src",
        LISTED,
        "--service",
        "web",
        "--count",
        "3",
        "--snaplen",
        "40",
    ];
    let mut running = capture(&process, &words, &file);
    eventually("it has what it wants", || {
        knock(&lab, LISTED, &forwarded);
        knock(&lab, LISTED, local);
        knock(&lab, WELCOME, &forwarded);
        running.try_wait().unwrap()
    });
    let (frames, _) = read(&file);
    assert_eq!(frames.len(), 3);
    for (comment, length, bytes) in frames {
        assert_eq!(comment, "drop source-listed, service web");
        assert_eq!(bytes.len(), 40);
        assert!(length > 40);
        assert_eq!(bytes[26..30], [192, 0, 2, 10]);
    }
}

#[test]
fn captures_that_cannot_be_are_refused_with_the_reason() {
    let Some(lab) = Lab::new("nocapture") else {
        return;
    };
    lab.serve("s1", "10.0.0.1:80");
    let process = Process::start(&lab, "", &sections());
    let directory = tempfile::tempdir().unwrap();
    let refused = |words: &[&str]| {
        let file = directory.path().join("none.pcapng");
        let output = capture(&process, words, &file).wait_with_output().unwrap();
        assert!(!output.status.success() && !file.exists());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(refused(&["--service", "nobody"]).contains("no service of a frontend 'nobody'"));
    assert!(refused(&["--src", "somewhere"]).contains("'somewhere' is no address or network"));
    let file = directory.path().join("one.pcapng");
    let mut running = capture(&process, &[], &file);
    eventually("it has begun", || file.exists().then_some(()));
    assert!(refused(&[]).contains("another capture is running"));
    kill_process(Pid::from_child(&running), Signal::TERM).unwrap();
    assert!(running.wait().unwrap().success());
    assert_eq!(read(&file).1, Some((0, 0)));
    assert!(
        process
            .ask("capture; show info")
            .contains("the only command")
    );
}

#[test]
fn log_has_lines_about_dropped_packets() {
    let Some(lab) = Lab::new("droplog") else {
        return;
    };
    lab.serve("s1", "10.0.0.1:80");
    let directory = tempfile::tempdir().unwrap();
    let socket = UnixDatagram::bind(directory.path().join("log")).unwrap();
    socket.set_nonblocking(true).unwrap();
    let global = format!(
        " xdp log-drops 2\n log {} local0",
        directory.path().join("log").display()
    );
    let sections = sections().replace("listen web\n", "listen web\n log global\n");
    let _process = Process::start(&lab, &global, &sections);
    let wanted = format!("Kernel dropped a packet from {LISTED} to {VIP} at web: source-listed");
    let mut lines = 0;
    eventually("lines of several samples", || {
        knock(&lab, LISTED, &format!("{VIP}:80"));
        let mut line = [0; 2048];
        while let Ok(length) = socket.recv(&mut line) {
            let text = String::from_utf8_lossy(&line[..length]).into_owned();
            lines += usize::from(text.contains(&wanted));
        }
        (lines >= 3).then_some(())
    });
}
