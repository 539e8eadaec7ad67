use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

async fn pair() -> (TcpStream, Stream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let far = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (near, _) = listener.accept().await.unwrap();
    (far, Stream::tcp(near))
}

/// Relays what `wire` says, sent in pieces, and gives what the sink got.
async fn relayed(
    wire: &[u8],
    piece: usize,
    framing: Framing,
    encoding: Encoding,
) -> (Result<(), RelayError>, Vec<u8>, Relay) {
    let (mut far_source, mut source) = pair().await;
    let (mut far_sink, mut sink) = pair().await;
    let mut input = Input::default();
    let mut relay = Relay::default();
    relay.writer.prefix().extend_from_slice(b"HEAD:");
    relay.start(framing, encoding, &Limits::default());
    let send = async {
        for part in wire.chunks(piece) {
            far_source.write_all(part).await.unwrap();
            tokio::task::yield_now().await;
        }
        far_source.shutdown().await.unwrap();
    };
    let run = async {
        let result =
            std::future::poll_fn(|context| relay.poll(context, &mut source, &mut input, &mut sink))
                .await;
        sink.shutdown().await.unwrap();
        result
    };
    let mut got = Vec::new();
    let (_, result, read) = tokio::join!(send, run, far_sink.read_to_end(&mut got));
    read.unwrap();
    (result, got, relay)
}

#[tokio::test]
async fn the_head_and_a_counted_body_go_out_together() {
    let (result, got, relay) =
        relayed(b"hello, next", 100, Framing::Length(5), Encoding::Plain).await;
    result.unwrap();
    assert_eq!(got, b"HEAD:hello");
    assert_eq!((relay.received, relay.sent, relay.spliced), (5, 10, 0));
}

#[tokio::test]
async fn chunks_are_taken_apart_and_made_anew() {
    let wire = b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n";
    let (result, got, _) = relayed(wire, 1000, Framing::Chunked, Encoding::Chunked).await;
    result.unwrap();
    assert_eq!(got, b"HEAD:5\r\nabcde\r\n0\r\nx-t: 1\r\n\r\n");
    let (result, got, _) = relayed(wire, 1, Framing::Chunked, Encoding::Plain).await;
    result.unwrap();
    assert_eq!(got, b"HEAD:abcde");
    let (result, got, _) = relayed(wire, 7, Framing::Chunked, Encoding::Discard).await;
    result.unwrap();
    assert_eq!(got, b"HEAD:");
}

#[tokio::test]
async fn the_end_of_the_connection_ends_only_what_it_may() {
    let (result, got, _) = relayed(b"abc", 3, Framing::UntilClose, Encoding::Chunked).await;
    result.unwrap();
    assert_eq!(got, b"HEAD:3\r\nabc\r\n0\r\n\r\n");
    let (result, got, _) = relayed(b"abc", 3, Framing::Length(4), Encoding::Plain).await;
    assert!(matches!(result, Err(RelayError::Truncated)));
    assert_eq!(got, b"HEAD:abc");
    let (result, ..) = relayed(b"zz\r\n", 9, Framing::Chunked, Encoding::Chunked).await;
    assert!(matches!(
        result,
        Err(RelayError::Malformed(BodyError::ChunkSize))
    ));
}

#[tokio::test]
async fn large_bodies_are_spliced_and_arrive_whole() {
    let body: Vec<u8> = (0..3_000_000u32).map(|n| (n ^ (n >> 8)) as u8).collect();
    for framing in [Framing::Length(body.len() as u64), Framing::UntilClose] {
        let (result, got, relay) = relayed(&body, 1 << 20, framing, Encoding::Plain).await;
        result.unwrap();
        assert!(got[5..] == body[..], "{framing:?}");
        assert_eq!(relay.received, body.len() as u64);
        assert_eq!(relay.sent, body.len() as u64 + 5);
        assert!(framing == Framing::UntilClose || relay.spliced > 0);
    }
}

#[tokio::test]
async fn a_spliced_body_that_is_cut_short_is_noticed() {
    let body = vec![7; 600_000];
    let (result, got, _) = relayed(&body, 1 << 20, Framing::Length(700_000), Encoding::Plain).await;
    assert!(matches!(result, Err(RelayError::Truncated)));
    assert_eq!(got.len(), body.len() + 5);
}
