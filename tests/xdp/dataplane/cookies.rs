//! SYN cookies from the driver, taken by the real stack: handshakes of real clients while the listener is flooded.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::time::Duration;

use super::flood::syn;
use super::lab::{Lab, VIP};
use super::netns::{Namespace, eventually};
use super::process::Process;

const PORT: u16 = 8080;
const SERVICE: &str = "listen local\n mode tcp\n bind 192.0.2.1:8080\n bind [2001:db8:1::1]:8080\n server s1 10.0.0.1:80";

/// What the client's stack negotiated: timestamps, selective acknowledgements, both window scales.
fn negotiated(lab: &Lab, stream: &TcpStream) -> Vec<String> {
    let port = stream.local_addr().unwrap().port();
    let told = lab
        .client
        .exec(&format!("ss -tinoH state established sport = :{port}"));
    let words = told.split_whitespace();
    words
        .filter(|word| ["ts", "sack"].contains(word) || word.starts_with("wscale:"))
        .map(str::to_owned)
        .collect()
}

fn setting(namespace: &Namespace, name: &str) -> String {
    namespace
        .exec(&format!("sysctl -n {name}"))
        .trim()
        .to_owned()
}

fn settings(lab: &Lab) -> [String; 2] {
    ["net.ipv4.tcp_syncookies", "net.ipv4.tcp_timestamps"].map(|name| setting(&lab.balancer, name))
}

/// One number of the line of `show xdp` about the SYNs of a service.
fn count(process: &Process, what: &str) -> u64 {
    let answer = process.ask("show xdp");
    let words: Vec<&str> = answer.split_whitespace().collect();
    let of_a_service = words
        .windows(2)
        .filter(|pair| pair[0] == what)
        .map(|pair| pair[1].parse::<u64>().unwrap());
    of_a_service.sum()
}

/// A number of `show info`.
fn info(process: &Process, name: &str) -> u64 {
    let answer = process.ask("show info");
    let line = answer
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.expect(name).trim().parse().expect("a number")
}

/// How many packets were dropped for a reason.
fn dropped(process: &Process, reason: &str) -> u64 {
    let answer = process.ask("show xdp");
    let words: Vec<&str> = answer.split_whitespace().collect();
    let of_a_service = words
        .windows(2)
        .filter(|pair| pair[1] == reason)
        .map(|pair| pair[0].parse::<u64>().unwrap());
    of_a_service.sum()
}

/// Connects, exchanges a megabyte, and tells what was negotiated.
fn exchange(lab: &Lab, target: &str) -> std::io::Result<Vec<String>> {
    let mut session = lab.connect(target)?;
    session.exchange(1 << 20)?;
    Ok(negotiated(lab, session.stream()))
}

#[test]
fn clients_connect_by_cookies_with_all_their_options() {
    let Some(lab) = Lab::new("cookie") else {
        return;
    };
    lab.serve("s1", "10.0.0.1:80");
    let targets = ["192.0.2.1:8080", "[2001:db8:1::1]:8080"];
    let process = Process::start(&lab, " xdp syn-cookies off", SERVICE);
    let usual = targets.map(|target| exchange(&lab, target).expect("the stack answers"));
    let before = settings(&lab);
    assert_eq!(before, ["1", "1"]);
    process.stop();

    let process = Process::start(&lab, " xdp syn-cookies always", SERVICE);
    assert_eq!(settings(&lab), ["2", "2"]);
    for (number, target) in targets.into_iter().enumerate() {
        let found = exchange(&lab, target).expect("the driver answers");
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!(found, usual[number], "as the stack by itself");
        assert_eq!(count(&process, "cookies"), number as u64 + 1);
        assert!(count(&process, "proven") > number as u64);
    }
    // Nobody listens here, and an acknowledgement that was never asked for comes to nobody.
    assert!(lab.connect("192.0.2.1:8081").is_err());
    let target = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), PORT);
    send(
        &lab,
        &[acknowledgement(Ipv4Addr::new(192, 0, 2, 11), 4000, target)],
        target,
    );
    eventually("a forged cookie is counted", || {
        (dropped(&process, "bad-cookie") == 1).then_some(())
    });
    process.stop();
    assert_eq!(settings(&lab), before, "what was changed is put back");
}

#[test]
fn clients_without_timestamps_connect_by_cookies_too() {
    let Some(lab) = Lab::new("plain") else { return };
    lab.serve("s1", "10.0.0.1:80");
    lab.client.exec("sysctl -qw net.ipv4.tcp_timestamps=0");
    let process = Process::start(&lab, " xdp syn-cookies always", SERVICE);
    let found = exchange(&lab, "192.0.2.1:8080").expect("the driver answers");
    assert_eq!(found, [] as [&str; 0]);
    assert_eq!(count(&process, "cookies"), 1);
}

/// Sends as many SYNs as it is told to, each from another source.
fn flood(lab: &Lab, target: SocketAddrV4) -> impl FnMut(usize) {
    let mut serial = 0;
    move |packets| {
        let spoofed: Vec<Vec<u8>> = (0..packets)
            .map(|_| {
                serial += 1;
                let source = Ipv4Addr::new(198, 18, (serial >> 8) as u8, serial as u8);
                syn(source, 1024 + (serial % 60_000) as u16, target, serial)
            })
            .collect();
        send(lab, &spoofed, target);
    }
}

#[test]
fn clients_connect_while_the_listener_is_flooded_and_the_settings_return() {
    let Some(lab) = Lab::new("flood") else { return };
    lab.serve("s1", "10.0.0.1:80");
    lab.balancer
        .exec("sysctl -qw net.ipv4.tcp_max_syn_backlog=64");
    let process = Process::start(&lab, " xdp syn-rate 500", SERVICE);
    assert_eq!(
        settings(&lab),
        ["1", "1"],
        "untouched as long as there is no flood"
    );
    let target = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), PORT);
    let mut flood = flood(&lab, target);
    eventually("the flood is answered with cookies", || {
        flood(2000);
        (count(&process, "cookies") > 1000).then_some(())
    });
    assert_eq!(settings(&lab), ["2", "2"]);
    for number in 0..20 {
        flood(1000);
        let found = exchange(&lab, "192.0.2.1:8080");
        assert!(found.is_ok(), "client {number}: {:?}", found.err());
    }
    assert!(count(&process, "proven") > 0);
    eventually("'show info' tells it too", || {
        let told = |name| info(&process, name);
        let (sent, accepted) = (told("XdpSynCookiesSent"), told("XdpSynCookiesAccepted"));
        (told("XdpSynFloods") == 1 && sent > 20_000 && accepted > 0).then_some(())
    });
    // A crash leaves the settings; the next process knows what they were.
    process.kill();
    assert_eq!(settings(&lab), ["2", "2"]);
    let process = Process::start(&lab, " xdp syn-cookies off", SERVICE);
    assert_eq!(settings(&lab), ["1", "1"]);
    process.stop();
    assert_eq!(settings(&lab), ["1", "1"]);
}

#[test]
fn clients_of_a_forwarded_service_connect_while_it_is_flooded() {
    let Some(lab) = Lab::new("floodl4") else {
        return;
    };
    lab.serve("s1", "10.0.0.1:80");
    let section = format!("listen web\n mode l4\n bind {VIP}:80\n server s1 10.0.0.1:80");
    let process = Process::start(&lab, " xdp syn-rate 500", &section);
    let target: SocketAddrV4 = format!("{VIP}:80").parse().unwrap();
    let mut flood = flood(&lab, target);
    eventually("SYNs are given no state", || {
        flood(2000);
        (count(&process, "stateless") > 1000).then_some(())
    });
    for number in 0..20 {
        flood(1000);
        let mut session = lab.connect(&target.to_string());
        let exchanged = session.as_mut().map(|session| session.exchange(1 << 16));
        assert!(
            matches!(exchanged, Ok(Ok(_))),
            "client {number}: {exchanged:?}"
        );
    }
    assert!(count(&process, "stateless") > 15_000);
    assert_eq!(settings(&lab), ["1", "1"], "nothing here needs cookies");
}

#[test]
fn rejected_clients_are_refused_at_once_where_resets_are_wanted() {
    let Some(lab) = Lab::new("reset") else { return };
    let rules = "listen local\n mode tcp\n bind 192.0.2.1:8080\n bind [2001:db8:1::1]:8080\n \
        tcp-request connection reject if { src 192.0.2.11 2001:db8:1::66 }\n server s1 10.0.0.1:80";
    let process = Process::start(&lab, " xdp reject rst", rules);
    for (source, target) in [
        ("192.0.2.11", "192.0.2.1:8080"),
        ("2001:db8:1::66", "[2001:db8:1::1]:8080"),
    ] {
        let source: IpAddr = source.parse().unwrap();
        let refused = lab.connect_from(Some(source), target).map(drop);
        let kind = refused.expect_err("it is listed").kind();
        assert_eq!(kind, std::io::ErrorKind::ConnectionRefused);
    }
    assert_eq!(dropped(&process, "source-listed"), 2);
}

/// A server that this machine's stack runs by itself, next to the cookies: its listener gives and takes none of ours.
#[test]
fn other_listeners_of_the_machine_go_on() {
    let Some(lab) = Lab::new("other") else { return };
    lab.serve("s1", "10.0.0.1:80");
    let other = lab
        .balancer
        .inside(|| TcpListener::bind("192.0.2.1:9090"))
        .unwrap();
    let _process = Process::start(&lab, " xdp syn-cookies always", SERVICE);
    let client = lab.client.inside(|| {
        let target: SocketAddr = "192.0.2.1:9090".parse().unwrap();
        TcpStream::connect_timeout(&target, Duration::from_secs(2))
    });
    let (mut served, _) = other.accept().unwrap();
    let mut client = client.expect("the stack answers");
    client.write_all(b"hello").unwrap();
    let mut heard = [0; 5];
    served.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"hello");
    assert_eq!(negotiated(&lab, &client).len(), 3);
}

/// An acknowledgement of nothing.
fn acknowledgement(source: Ipv4Addr, port: u16, target: SocketAddrV4) -> Vec<u8> {
    let mut packet = syn(source, port, target, 7);
    // The flags, and the checksum with them: ACK for SYN.
    let tcp = packet.len() - 20;
    packet[tcp + 13] = 16;
    let sum = u16::from_be_bytes([packet[tcp + 16], packet[tcp + 17]]);
    packet[tcp + 16..tcp + 18].copy_from_slice(&sum.wrapping_sub(14).to_be_bytes());
    packet
}

fn send(lab: &Lab, packets: &[Vec<u8>], target: SocketAddrV4) {
    lab.client.inside(move || {
        let raw = super::flood::raw();
        for packet in packets {
            // A full queue is waited for by trying again.
            while raw.send_to(packet, &SocketAddr::V4(target).into()).is_err() {}
        }
    });
}
