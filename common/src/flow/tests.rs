use super::*;
use crate::word::HostAtomics;

fn track(expires: u32, server: u16) -> Track {
    Track {
        expires: Tick(expires),
        server: ServerIndex(server),
        nat_port: 4711,
    }
}

#[test]
fn an_entry_is_found_by_its_own_hash_only() {
    let bucket = FlowBucket::default();
    assert_eq!(bucket.find(FlowHash(0)), NO_WAY);
    let hash = FlowHash(0x1234_5678_9abc_de00);
    let entry = bucket.way(2);
    assert!(entry.write(&HostAtomics, 0, hash, FlowState::OPENING, track(100, 7)));
    assert_eq!(bucket.find(FlowHash(hash.0 | 0x77)), 2);
    assert_eq!(bucket.way(2).read(), (FlowState::OPENING, track(100, 7)));
    assert_eq!(bucket.find(FlowHash(hash.0 ^ 0x100)), NO_WAY);
}

#[test]
fn free_and_expired_entries_go_first_and_established_ones_never() {
    let now = Tick(1000);
    let bucket = FlowBucket::default();
    let fill = |way: u32, state, expires| {
        let hash = FlowHash((way as u64 + 1) << 32);
        let entry = bucket.way(way);
        entry.write(
            &HostAtomics,
            entry.identity(),
            hash,
            state,
            track(expires, 1),
        );
    };
    for way in 0..4 {
        fill(way, FlowState::ESTABLISHED, 5000);
    }
    assert_eq!(bucket.victim(now), NO_WAY);
    fill(3, FlowState::DATAGRAM, 1001);
    assert_eq!(bucket.victim(now), 3);
    fill(1, FlowState::OPENING, 4000);
    assert_eq!(bucket.victim(now), 1);
    fill(2, FlowState::ESTABLISHED, 999);
    assert_eq!(bucket.victim(now), 2);
}

#[test]
fn an_entry_that_changed_meanwhile_is_left_alone() {
    let bucket = FlowBucket::default();
    let (first, second) = (FlowHash(0x100), FlowHash(0x200));
    let entry = bucket.way(0);
    let found = entry.identity();
    assert!(entry.write(&HostAtomics, found, first, FlowState::OPENING, track(1, 1)));
    assert!(!entry.write(&HostAtomics, found, second, FlowState::OPENING, track(2, 2)));
    assert_eq!(entry.read(), (FlowState::OPENING, track(1, 1)));
    assert!(entry.is(first) && !entry.is(second));
    entry.identity.store(CLAIMED);
    assert!(!entry.write(
        &HostAtomics,
        CLAIMED,
        second,
        FlowState::OPENING,
        track(2, 2)
    ));
    assert_eq!(bucket.find(FlowHash(CLAIMED)), NO_WAY);
}

#[test]
fn threads_in_each_others_way_never_mix_two_flows() {
    let bucket = FlowBucket::default();
    std::thread::scope(|scope| {
        for number in 1..=4u16 {
            let bucket = &bucket;
            scope.spawn(move || {
                let hash = FlowHash(u64::from(number) << 32);
                for round in 0..20_000 {
                    let entry = bucket.way(0);
                    let found = entry.identity();
                    entry.write(
                        &HostAtomics,
                        found,
                        hash,
                        FlowState::OPENING,
                        track(round, number),
                    );
                    let (_, seen) = entry.read();
                    if entry.is(hash) && entry.identity() == found {
                        assert_eq!(seen.server, ServerIndex(number));
                    }
                }
            });
        }
    });
}

#[test]
fn every_transition_is_a_row() {
    use FlowState as S;
    let (syn, ack, fin, rst) = (TcpFlags::SYN, TcpFlags::ACK, TcpFlags::FIN, TcpFlags::RST);
    // State, flags; then what it is after the client sent them (answers seen, not seen) and after the server did.
    let rows = [
        (S::OPENING, syn, S::OPENING, S::OPENING, S::OPENING),
        (S::OPENING, ack, S::OPENING, S::ESTABLISHED, S::OPENING),
        (
            S::OPENING,
            syn | ack,
            S::OPENING,
            S::ESTABLISHED,
            S::ANSWERED,
        ),
        (S::OPENING, rst, S::RESET, S::RESET, S::RESET),
        (S::OPENING, rst | ack, S::RESET, S::RESET, S::RESET),
        (S::OPENING, fin | ack, S::CLOSING, S::CLOSING, S::CLOSING),
        (S::ANSWERED, syn, S::ANSWERED, S::ANSWERED, S::ANSWERED),
        (
            S::ANSWERED,
            ack,
            S::ESTABLISHED,
            S::ESTABLISHED,
            S::ANSWERED,
        ),
        (
            S::ANSWERED,
            syn | ack,
            S::ESTABLISHED,
            S::ESTABLISHED,
            S::ANSWERED,
        ),
        (S::ANSWERED, rst, S::RESET, S::RESET, S::RESET),
        (S::ANSWERED, fin | ack, S::CLOSING, S::CLOSING, S::CLOSING),
        (
            S::ESTABLISHED,
            syn,
            S::ESTABLISHED,
            S::ESTABLISHED,
            S::ESTABLISHED,
        ),
        (
            S::ESTABLISHED,
            ack,
            S::ESTABLISHED,
            S::ESTABLISHED,
            S::ESTABLISHED,
        ),
        (
            S::ESTABLISHED,
            fin | ack,
            S::CLOSING,
            S::CLOSING,
            S::CLOSING,
        ),
        (S::ESTABLISHED, rst, S::CLOSING, S::CLOSING, S::CLOSING),
        (S::CLOSING, ack, S::CLOSING, S::CLOSING, S::CLOSING),
        (S::CLOSING, fin | ack, S::CLOSING, S::CLOSING, S::CLOSING),
        (S::CLOSING, rst, S::CLOSING, S::CLOSING, S::CLOSING),
        (S::RESET, ack, S::RESET, S::RESET, S::RESET),
        (S::RESET, fin | ack, S::RESET, S::RESET, S::RESET),
        (S::RESET, rst, S::RESET, S::RESET, S::RESET),
        (S::DATAGRAM, 0, S::DATAGRAM, S::DATAGRAM, S::DATAGRAM),
    ];
    for (state, flags, seen, unseen, server) in rows {
        let flags = TcpFlags(flags);
        let after = [
            state.after_client(flags, true),
            state.after_client(flags, false),
            state.after_server(flags),
        ];
        assert_eq!(after, [seen, unseen, server], "{state:?} {flags:?}");
    }
}

#[test]
fn places_name_bucket_and_way() {
    let place = FlowPlace::new(123_456, 3);
    assert_eq!((place.bucket(), place.way()), (123_456, 3));
    assert_eq!(FlowPlace::new(5, NO_WAY), FlowPlace::NONE);
}
