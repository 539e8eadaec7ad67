//! Floods of SYNs: what is remembered of them, how they are answered, and what refused clients see.

use tidegate::dataplane::trial::{Fate, InMemory, Outcome};
use tidegate_common::verdict::DropReason;

use super::fixtures::packet::{ACK, FIN, Packet, RST, SYN};
use super::fixtures::{World, from_client, place};

const WEB4: &str = "198.51.100.80:80";
const LOCAL4: &str = "192.0.2.1:8000";
const LOCAL6: &str = "[2001:db8:1::1]:8000";
const COOKIE: u32 = 0x1234_5678;

/// SYNs a second that are no flood yet.
const RATE: usize = 5;

const DIRECT: World = World {
    config: "
listen web
    mode l4
    bind 198.51.100.80:80
    forward dsr
    server s1 10.0.0.1:80
    server s2 10.0.0.2:80
    server s3 10.0.0.3:80
",
    nat_ports: 0,
};

const MAPPED: World = World {
    config: "
listen web
    mode l4
    bind 198.51.100.80:80
    timeout client-fin 1m
    server s1 10.0.0.1:8080
",
    nat_ports: 8,
};

const LOCAL: World = World {
    config: "
listen web
    mode tcp
    bind 192.0.2.1:8000 mss 1200
    bind [2001:db8:1::1]:8000
    acl abuser src 203.0.113.64/26
    acl pest src 203.0.113.128/26
    tcp-request connection reject if abuser
    tcp-request connection silent-drop if pest
    server s1 10.0.0.1:8080
",
    nat_ports: 0,
};

fn trial(world: World, global: &str) -> InMemory {
    let global = format!("    xdp syn-rate {RATE}\n{global}");
    let (compiled, running) = world.load(&global);
    InMemory::new(&compiled, &running, place(world, CLIENT, SERVER)).unwrap()
}

fn client(number: usize) -> String {
    format!("203.0.113.{}:{}", number % 50 + 1, 1024 + number)
}

fn run(trial: &mut InMemory, packet: &Packet) -> Outcome {
    trial.run(&packet.bytes(), CLIENT).unwrap()
}

/// The server that a frame was sent to.
fn server(outcome: &Outcome) -> [u8; 6] {
    assert_eq!(outcome.fate, Fate::Redirect);
    outcome.frame[..6].try_into().unwrap()
}

#[test]
fn syns_of_a_flood_are_forwarded_without_a_state() {
    let mut trial = trial(DIRECT, "");
    let mut chosen = Vec::new();
    for number in 0..100 {
        let outcome = run(&mut trial, &from_client(&client(number), WEB4, SYN));
        chosen.push(server(&outcome));
    }
    assert_eq!(trial.flows(), (RATE, 0));
    assert_eq!(trial.syns(), [(100 - RATE as u64, 0, 0)]);
    // The first packet after the SYN goes where the SYN went and makes the flow; the next shows that somebody is there.
    for (number, chosen) in (0..).zip(&chosen).skip(50).take(10) {
        let ack = from_client(&client(number), WEB4, ACK);
        assert_eq!(server(&run(&mut trial, &ack)), *chosen);
    }
    assert_eq!(trial.flows(), (RATE + 10, 0));
    for number in 50..60 {
        run(&mut trial, &from_client(&client(number), WEB4, ACK));
    }
    assert_eq!(trial.flows(), (RATE + 10, 10));
}

#[test]
fn nothing_but_an_acknowledgement_makes_a_flow_under_a_flood() {
    let mut trial = trial(DIRECT, "");
    for number in 0..10 {
        run(&mut trial, &from_client(&client(number), WEB4, SYN));
    }
    let before = trial.flows();
    for flags in [RST, RST | ACK, FIN | ACK] {
        run(&mut trial, &from_client(&client(77), WEB4, flags));
    }
    assert_eq!(trial.flows(), before);
    // And when it is over, not even that does.
    trial.elapse(3000);
    run(&mut trial, &from_client(&client(77), WEB4, ACK));
    assert_eq!(trial.flows(), before);
}

#[test]
fn established_flows_stay_whatever_a_flood_sends() {
    let mut trial = trial(DIRECT, "");
    let established = 60;
    for number in 0..established {
        if number % 4 == 0 {
            trial.elapse(1001);
        }
        for flags in [SYN, ACK] {
            run(&mut trial, &from_client(&client(number), WEB4, flags));
        }
    }
    assert_eq!(trial.flows(), (established, established));
    for number in 0..20_000 {
        run(&mut trial, &from_client(&client(1000 + number), WEB4, SYN));
        // Half of those of the flood with a first acknowledgement that nobody asked for.
        if number > RATE && number % 2 == 0 {
            run(&mut trial, &from_client(&client(1000 + number), WEB4, ACK));
        }
    }
    let (all, still) = trial.flows();
    assert_eq!(still, established);
    assert!(
        all > established,
        "acknowledgements are remembered as long as there is room"
    );
}

#[test]
fn handshakes_that_nobody_completes_take_no_port_from_the_next_one() {
    let mut trial = trial(MAPPED, "");
    // Eight ports, and each handshake would hold one.
    for number in 0..200 {
        let outcome = run(&mut trial, &from_client(&client(number), WEB4, SYN));
        assert_eq!(outcome.fate, Fate::Redirect, "client {number}");
    }
}

#[test]
fn a_handshake_that_is_given_up_holds_its_port_for_a_second() {
    let mut trial = trial(MAPPED, "");
    for number in 0..4 {
        let outcome = run(&mut trial, &from_client(&client(number), WEB4, SYN));
        assert_eq!(outcome.fate, Fate::Redirect);
        run(&mut trial, &from_client(&client(number), WEB4, RST));
    }
    trial.elapse(1500);
    // Not `timeout client-fin`: all eight are free.
    let mut open = 0;
    for number in 10..60 {
        trial.elapse(300);
        open += usize::from(
            run(&mut trial, &from_client(&client(number), WEB4, SYN)).fate == Fate::Redirect,
        );
        if open == 8 {
            return;
        }
    }
    panic!("{open} of 8 ports");
}

#[test]
fn services_that_end_here_answer_a_flood_with_cookies() {
    let mut trial = trial(LOCAL, "");
    trial.listen(COOKIE);
    let syn = |number| from_client(&client(number), LOCAL4, SYN);
    for number in 0..RATE {
        assert_eq!(run(&mut trial, &syn(number)).fate, Fate::Pass);
    }
    let outcome = run(&mut trial, &syn(RATE).tcp_options(&[2, 4, 5, 0xb4]));
    assert_eq!(outcome.fate, Fate::Transmit);
    let segment = &outcome.frame[34..];
    assert_eq!(segment[4..8], COOKIE.to_be_bytes());
    assert_eq!(
        segment[8..12],
        1001_u32.to_be_bytes(),
        "it acknowledges the SYN"
    );
    assert_eq!(segment[13], SYN | ACK);
    assert_eq!(segment[20..24], [2, 4, 4, 0xb0], "the mss of the bind line");
    assert_eq!(trial.syns()[0], (0, 1, 0));

    let acknowledge = |number: usize, cookie: u32| {
        from_client(&client(number), LOCAL4, ACK)
            .acknowledges(cookie.wrapping_add(1))
            .bytes()
    };
    let good = trial.run(&acknowledge(RATE, COOKIE), CLIENT).unwrap();
    assert_eq!(good.fate, Fate::Pass);
    let forged = trial.run(&acknowledge(RATE, COOKIE + 7), CLIENT).unwrap();
    assert_eq!(forged.fate, Fate::Drop);
    assert_eq!(trial.syns()[0], (0, 1, 1));
    let reason = DropReason::BadCookie.name();
    assert_eq!(
        trial
            .drops()
            .iter()
            .filter(|((_, name), _)| *name == reason)
            .count(),
        1
    );
    // What was not asked for an acknowledgement's sake is the stack's.
    for flags in [RST, RST | ACK] {
        let outcome = run(&mut trial, &from_client(&client(3), LOCAL4, flags));
        assert_eq!(outcome.fate, Fate::Pass);
    }
    // The other address has a flood of its own to wait for.
    let other = from_client("[2001:db8:9::9]:1024", LOCAL6, SYN);
    assert_eq!(run(&mut trial, &other).fate, Fate::Pass);
}

#[test]
fn cookies_are_always_or_never_sent_where_the_configuration_says_so() {
    let options = [
        2, 4, 5, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7,
    ];
    let syn4 = from_client(&client(1), LOCAL4, SYN).tcp_options(&options);
    let syn6 = from_client("[2001:db8:9::9]:1024", LOCAL6, SYN).tcp_options(&options);
    let mut always = trial(LOCAL, "    xdp syn-cookies always");
    assert_eq!(run(&mut always, &syn4).fate, Fate::Pass, "nobody listens");
    always.listen(COOKIE);
    for (syn, at, largest) in [(&syn4, 34, 1200_u16), (&syn6, 54, 1440)] {
        let outcome = run(&mut always, syn);
        assert_eq!(outcome.fate, Fate::Transmit);
        let found = &outcome.frame[at + 20..];
        assert_eq!(found[..4], [[2, 4], largest.to_be_bytes()].concat());
        assert_eq!(found[4..8], [4, 2, 8, 10], "selective acknowledgements");
        assert_eq!(
            found[11] & 0x1f,
            0x10 | 7,
            "options travel in the timestamp"
        );
        assert_eq!(found[12..16], [1, 2, 3, 4], "the client's is echoed");
        assert_eq!(found[16..20], [1, 3, 3, 7], "the stack's window scale");
    }
    // Fragments are nobody's SYN.
    let part = syn4.clone().network_says(6, &[0x20, 0]);
    assert_eq!(run(&mut always, &part).fate, Fate::Pass);

    let mut never = trial(LOCAL, "    xdp syn-cookies off");
    never.listen(COOKIE);
    for number in 0..50 {
        let syn = from_client(&client(number), LOCAL4, SYN);
        assert_eq!(run(&mut never, &syn).fate, Fate::Pass);
    }
}

#[test]
fn rejected_clients_are_reset_where_that_is_wanted_and_dropped_ones_never() {
    let abuser = |port: usize| format!("203.0.113.64:{port}");
    let mut silent = trial(LOCAL, "");
    let outcome = run(&mut silent, &from_client(&abuser(1024), LOCAL4, SYN));
    assert_eq!(outcome.fate, Fate::Drop);

    let mut telling = trial(LOCAL, "    xdp reject rst");
    let outcome = run(&mut telling, &from_client(&abuser(1024), LOCAL4, SYN));
    assert_eq!(outcome.fate, Fate::Transmit);
    let segment = &outcome.frame[34..];
    assert_eq!(segment[8..12], 1001_u32.to_be_bytes());
    assert_eq!((segment[13], segment.len()), (RST | ACK, 20));
    let reason = DropReason::SourceListed.name();
    assert!(
        telling.drops().keys().any(|(_, name)| *name == reason),
        "it is counted"
    );
    let pest = from_client("203.0.113.128:1024", LOCAL4, SYN);
    assert_eq!(run(&mut telling, &pest).fate, Fate::Drop);
    let open = from_client(&abuser(1024), LOCAL4, ACK);
    assert_eq!(
        run(&mut telling, &open).fate,
        Fate::Drop,
        "only SYNs are answered"
    );

    let told = (0..3000)
        .map(|number| {
            run(
                &mut telling,
                &from_client(&abuser(2000 + number), LOCAL4, SYN),
            )
        })
        .filter(|outcome| outcome.fate == Fate::Transmit);
    assert_eq!(
        told.count(),
        999,
        "a thousand a second, one of them was above"
    );
    telling.elapse(1001);
    let outcome = run(&mut telling, &from_client(&abuser(1024), LOCAL4, SYN));
    assert_eq!(outcome.fate, Fate::Transmit);
}

const CLIENT: u32 = 7;
const SERVER: u32 = 8;
