use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::model::{BindAddress, Principal, ServerAddress, SocketOptions};

#[test]
fn every_thread_gets_its_own_socket_on_the_same_kernel_chosen_port() {
    run(async {
        let bound = Bound::new(&any_port(), &SocketOptions::default(), 16, 3).unwrap();
        assert_eq!(bound.sockets().len(), 3);
        let address = bound.address().unwrap();
        assert_ne!(address.port(), 0);
        let listeners: Vec<Listener> = (0..3)
            .map(|thread| bound.listener(thread).unwrap())
            .collect();
        for _ in 0..20 {
            let client = TcpStream::connect(address).await.unwrap();
            let incoming = poll_fn(|context| {
                listeners
                    .iter()
                    .map(|listener| listener.poll_accept(context))
                    .find(Poll::is_ready)
                    .unwrap_or(Poll::Pending)
            });
            assert_eq!(
                incoming.await.unwrap().peer,
                Some(client.local_addr().unwrap())
            );
        }
    });
}

#[test]
fn an_accepted_stream_is_watched_only_once_there_is_something_to_wait_for() {
    run(async {
        let bound = Bound::new(&any_port(), &SocketOptions::default(), 16, 1).unwrap();
        let listener = bound.listener(0).unwrap();
        let mut client = TcpStream::connect(bound.address().unwrap()).await.unwrap();
        client.write_all(b"question").await.unwrap();
        let mut accepted = listener.accept().await.unwrap().stream;
        let mut buffer = [0; 64];
        accepted.readable().await.unwrap();
        assert_eq!(accepted.read(&mut buffer).await.unwrap(), 8);
        accepted.write_all(b"answer").await.unwrap();
        client.read_exact(&mut buffer[..6]).await.unwrap();
        assert!(!accepted.is_watched());
        // It was read empty: whoever waits now waits for what is not there yet.
        let mut waits = Box::pin(accepted.readable());
        assert!(poll_fn(|context| Poll::Ready(waits.as_mut().poll(context).is_pending())).await);
        client.write_all(b"more").await.unwrap();
        waits.await.unwrap();
        assert!(accepted.is_watched());
        assert_eq!(accepted.read(&mut buffer).await.unwrap(), 4);
        drop(client);
        assert_eq!(accepted.read(&mut buffer).await.unwrap(), 0);
    });
}

#[test]
fn a_write_that_must_wait_has_the_stream_watched_and_ends() {
    run(async {
        let bound = Bound::new(&any_port(), &SocketOptions::default(), 16, 1).unwrap();
        let listener = bound.listener(0).unwrap();
        let mut client = TcpStream::connect(bound.address().unwrap()).await.unwrap();
        let mut accepted = listener.accept().await.unwrap().stream;
        let large = vec![7; 32 << 20];
        let mut received = vec![0; large.len()];
        let (sent, taken) =
            tokio::join!(accepted.write_all(&large), client.read_exact(&mut received));
        sent.unwrap();
        taken.unwrap();
        assert!(accepted.is_watched() && received == large);
    });
}

#[test]
fn a_port_in_use_is_named_as_haproxy_names_it() {
    run(async {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = BindAddress::Tcp(taken.local_addr().unwrap());
        let error = Bound::new(&address, &SocketOptions::default(), 16, 1).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot bind socket (Address already in use)"
        );
    });
}

#[test]
fn a_unix_socket_has_the_mode_asked_for_from_its_first_moment() {
    use std::os::unix::fs::PermissionsExt;
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let options = SocketOptions {
            mode: Some(0o600),
            user: Some(Principal::Id(rustix::process::getuid().as_raw())),
            ..SocketOptions::default()
        };
        let bound = Bound::new(&BindAddress::Unix(path.clone()), &options, 16, 2).unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            1,
            "no temporary name is left"
        );
        let listener = bound.listener(1).unwrap();
        let stream = connect(&Destination::Unix(path.clone()), Outgoing::default(), None)
            .await
            .unwrap();
        assert!(listener.accept().await.unwrap().peer.is_none());
        assert!(!stream.is_tcp());
        bound.unlink();
        assert!(!path.exists());
    });
}

#[test]
fn an_unknown_owner_is_refused_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let options = SocketOptions {
        user: Some(Principal::Name("no such user".into())),
        ..SocketOptions::default()
    };
    let error =
        Bound::new(&BindAddress::Unix(folder.path().join("s")), &options, 16, 1).unwrap_err();
    assert_eq!(error.to_string(), "unknown user or group 'no such user'");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn abstract_sockets_pad_their_names_or_do_not() {
    run(async {
        let name = format!("tidegate-net-test-{}", std::process::id()).into_bytes();
        for (bind, server) in [
            (
                BindAddress::Abstract(name.clone()),
                ServerAddress::Abstract(name.clone()),
            ),
            (
                BindAddress::AbstractUnpadded(name.clone()),
                ServerAddress::AbstractUnpadded(name),
            ),
        ] {
            let bound = Bound::new(&bind, &SocketOptions::default(), 16, 1).unwrap();
            let listener = bound.listener(0).unwrap();
            let destination = Destination::of(&server, None).unwrap();
            connect(&destination, Outgoing::default(), None)
                .await
                .unwrap();
            listener.accept().await.unwrap();
        }
    });
}

#[test]
fn an_inherited_listener_is_duplicated_and_a_closed_number_refused() {
    use std::os::fd::AsRawFd;
    run(async {
        let inherited = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = BindAddress::Inherited(inherited.as_raw_fd());
        let bound = Bound::new(&address, &SocketOptions::default(), 16, 2).unwrap();
        drop(inherited);
        let listener = bound.listener(0).unwrap();
        TcpStream::connect(bound.address().unwrap()).await.unwrap();
        listener.accept().await.unwrap();
    });
    for number in [-1, 1_000_000] {
        assert!(
            Bound::new(
                &BindAddress::Inherited(number),
                &SocketOptions::default(),
                16,
                1
            )
            .is_err()
        );
    }
}

#[test]
fn a_refused_connection_and_a_missing_path_are_told_apart_from_lack_of_resources() {
    run(async {
        let gone = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        for destination in [
            Destination::Tcp(gone),
            Destination::Unix("/nonexistent/socket".into()),
        ] {
            let error = connect(&destination, Outgoing::default(), None)
                .await
                .err()
                .unwrap();
            assert!(matches!(error, ConnectError::Refused(_)), "{error}");
        }
    });
}

#[test]
fn the_source_address_is_bound_before_connecting() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let source = crate::model::Source {
            address: Some("127.0.0.9:0".parse().unwrap()),
            interface: None,
            shown: None,
        };
        let options = Outgoing {
            source: Some(&source),
            ..Outgoing::default()
        };
        let stream = connect(
            &Destination::Tcp(listener.local_addr().unwrap()),
            options,
            None,
        )
        .await
        .unwrap();
        let (_, peer) = listener.accept().await.unwrap();
        assert_eq!(peer.ip().to_string(), "127.0.0.9");
        assert_eq!(stream.local_address(), Some(peer));
    });
}

#[test]
#[expect(clippy::print_stdout, reason = "says why it is skipped")]
fn only_who_signs_alike_gets_through() {
    run(async {
        let options = SocketOptions {
            md5: Some("secret".into()),
            ..SocketOptions::default()
        };
        let bound = match Bound::new(
            &BindAddress::Tcp(SocketAddr::from(([127, 0, 0, 1], 0))),
            &options,
            16,
            1,
        ) {
            Ok(bound) => bound,
            Err(error) => {
                println!("skipped: this kernel does not sign segments ({error})");
                return;
            }
        };
        let destination = Destination::Tcp(bound.address().unwrap());
        for (password, passes) in [
            (Some("secret"), true),
            (Some("other"), false),
            (None, false),
        ] {
            let socket = crate::model::ServerSocket {
                md5: password.map(str::to_owned),
                ..Default::default()
            };
            let options = Outgoing {
                socket: Some(&socket),
                ..Outgoing::default()
            };
            // Segments that are not signed as they should be are not even answered.
            let limit = Some(Duration::from_millis(if passes { 10_000 } else { 100 }));
            let connected = connect(&destination, options, limit).await;
            assert_eq!(connected.is_ok(), passes, "{password:?}");
        }
    });
}

#[test]
#[expect(clippy::print_stdout, reason = "says why it is skipped")]
fn several_paths_are_offered_where_the_address_says_so() {
    run(async {
        let options = SocketOptions {
            multipath: true,
            ..SocketOptions::default()
        };
        let address = BindAddress::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)));
        let bound = match Bound::new(&address, &options, 16, 1) {
            Ok(bound) => bound,
            Err(error) => {
                println!("skipped: this kernel has no MPTCP ({error})");
                return;
            }
        };
        let socket = crate::model::ServerSocket {
            multipath: true,
            ..Default::default()
        };
        let options = Outgoing {
            socket: Some(&socket),
            ..Outgoing::default()
        };
        let destination = Destination::Tcp(bound.address().unwrap());
        let mut ours = connect(&destination, options, None).await.unwrap();
        let listener = bound.listener(0).unwrap();
        let mut theirs = listener.accept().await.unwrap().stream;
        ours.write_all(b"both ways").await.unwrap();
        let mut nine = [0; 9];
        theirs.read_exact(&mut nine).await.unwrap();
        assert_eq!(&nine, b"both ways");
        let protocol = socket2::SockRef::from(&ours.descriptor().unwrap()).protocol();
        assert_eq!(protocol.unwrap(), Some(262.into()));
    });
}

#[test]
fn a_server_port_of_zero_or_an_offset_follows_the_clients_port() {
    let at = |port, port_offset| ServerAddress::Inet {
        address: SocketAddr::from(([10, 0, 0, 1], port)),
        port_offset,
    };
    let port = |address: &ServerAddress, client: Option<u16>| match Destination::of(
        address,
        client.map(|port| SocketAddr::from(([10, 9, 9, 9], port))),
    ) {
        Some(Destination::Tcp(address)) => Some(address.port()),
        _ => None,
    };
    assert_eq!(port(&at(80, None), Some(9)), Some(80));
    assert_eq!(port(&at(0, None), Some(9)), Some(9));
    assert_eq!(port(&at(0, Some(1000)), Some(9)), Some(1009));
    assert_eq!(port(&at(0, Some(-1000)), Some(9)), None);
    assert_eq!(port(&at(0, None), None), None);
}

#[test]
fn a_server_without_an_address_of_its_own_is_where_the_client_went() {
    let anywhere = ServerAddress::Inet {
        address: SocketAddr::from(([0, 0, 0, 0], 0)),
        port_offset: None,
    };
    let client_to = SocketAddr::from(([10, 0, 0, 7], 81));
    assert_eq!(
        Destination::of(&anywhere, Some(client_to)),
        Some(Destination::Tcp(client_to))
    );
    assert_eq!(Destination::of(&anywhere, None), None);
}

#[test]
fn bytes_put_back_are_read_first() {
    run(async {
        let (mut client, server) = pair().await;
        client.write_all(b"world").await.unwrap();
        let mut stream = server;
        stream.unread(b"lo ".to_vec());
        stream.unread(b"hel".to_vec());
        let mut read = vec![0; 11];
        stream.read_exact(&mut read).await.unwrap();
        assert_eq!(read, b"hello world");
    });
}

#[test]
fn a_pump_carries_bulk_through_splice_and_passes_the_end_on() {
    run(async {
        const SIZE: usize = 24 << 20;
        let (mut client, mut front) = pair().await;
        let (mut server, mut back) = pair().await;
        let sender = async move {
            let chunk: Vec<u8> = (0..1 << 20).map(|n: u32| (n % 251) as u8).collect();
            for _ in 0..SIZE / chunk.len() {
                client.write_all(&chunk).await.unwrap();
            }
            client.shutdown().await.unwrap();
            client
        };
        let receiver = async move {
            let mut total = 0_usize;
            let mut buffer = vec![0; 1 << 16];
            loop {
                let read = server.read(&mut buffer).await.unwrap();
                if read == 0 {
                    return (server, total);
                }
                for (offset, byte) in buffer[..read].iter().enumerate() {
                    assert_eq!(usize::from(*byte), (total + offset) % (1 << 20) % 251);
                }
                total += read;
            }
        };
        let mut pump = Pump::default();
        let relay = poll_fn(|context| pump.poll(context, &mut front, &mut back));
        let (_client, (_server, total), result) = tokio::join!(sender, receiver, relay);
        result.unwrap();
        assert_eq!(total, SIZE);
        assert!(pump.is_done());
        assert_eq!(
            (pump.received(), pump.delivered()),
            (SIZE as u64, SIZE as u64)
        );
    });
}

#[test]
fn a_pump_tells_which_side_failed() {
    run(async {
        let (client, mut front) = pair().await;
        let (_server, mut back) = pair().await;
        let socket = client.into_std().unwrap();
        socket2::SockRef::from(&socket)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(socket);
        let mut pump = Pump::default();
        let error = poll_fn(|context| pump.poll(context, &mut front, &mut back))
            .await
            .unwrap_err();
        assert!(matches!(error, PumpError::Read(_)));
    });
}

#[test]
fn filling_appends_until_the_source_ends() {
    run(async {
        let (mut client, mut front) = pair().await;
        let mut pump = Pump::default();
        client.write_all(b"SSH-").await.unwrap();
        while pump.pending().len() < 4 {
            poll_fn(|context| pump.poll_fill(context, &mut front))
                .await
                .unwrap();
        }
        client.write_all(b"2.0").await.unwrap();
        client.shutdown().await.unwrap();
        while poll_fn(|context| pump.poll_fill(context, &mut front))
            .await
            .unwrap()
            > 0
        {}
        assert_eq!(pump.pending(), b"SSH-2.0");
        assert!(pump.source_ended());
        let (mut server, mut back) = pair().await;
        poll_fn(|context| pump.poll(context, &mut front, &mut back))
            .await
            .unwrap();
        let mut got = Vec::new();
        server.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, b"SSH-2.0");
    });
}

#[test]
fn the_systems_own_user_is_found_by_name() {
    assert_eq!(user_id("root"), Some(0));
    assert_eq!(group_id("root"), Some(0));
    assert_eq!(user_id("no such user"), None);
    assert_eq!(user_id("nul\0inside"), None);
}

/// A client's end and our end of one TCP connection.
async fn pair() -> (TcpStream, Stream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    (client.unwrap(), Stream::tcp(accepted.unwrap().0))
}

fn any_port() -> BindAddress {
    BindAddress::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)))
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(20), test)
            .await
            .expect("in time")
    });
}
