//! Whole dialogues, byte by byte.

use proptest::prelude::*;

use super::*;

/// Plays a server that says these things, each after the bytes that went out before; a dialogue must not care in which
/// pieces they come.
fn play(protocol: &Protocol, server: &[&[u8]]) -> (Vec<Vec<u8>>, Verdict) {
    let mut outcome = None;
    for size in [1, 3, usize::MAX] {
        let found = play_in_pieces(protocol, server, size);
        assert_eq!(
            *outcome.get_or_insert_with(|| found.clone()),
            found,
            "in pieces of {size}"
        );
    }
    outcome.expect("played")
}

fn play_in_pieces(protocol: &Protocol, server: &[&[u8]], size: usize) -> (Vec<Vec<u8>>, Verdict) {
    let mut dialogue = Dialogue::new(protocol);
    let mut sent = Vec::new();
    let mut server = server.iter().copied();
    let mut coming: &[u8] = server.next().unwrap_or_default();
    let mut received = Vec::new();
    loop {
        let closed = coming.is_empty() && server.len() == 0;
        match dialogue.step(&received, closed) {
            Step::Send(bytes) => {
                sent.push(bytes);
                received.clear();
                if coming.is_empty() {
                    coming = server.next().unwrap_or_default();
                }
            }
            Step::Receive => {
                if coming.is_empty() {
                    coming = server.next().unwrap_or_default();
                }
                let (piece, rest) = coming.split_at(size.min(coming.len()));
                received.extend_from_slice(piece);
                coming = rest;
            }
            Step::Done(verdict) => return (sent, verdict),
            Step::Leave(bytes, verdict) => {
                sent.push(bytes);
                return (sent, verdict);
            }
        }
    }
}

fn passed(code: u16, text: &str) -> Verdict {
    Verdict::Passed {
        code,
        text: text.to_owned(),
    }
}

fn refused(code: u16, text: &str) -> Verdict {
    Verdict::Refused {
        code,
        text: text.to_owned(),
    }
}

fn invalid(text: &str) -> Verdict {
    Verdict::Invalid {
        text: text.to_owned(),
    }
}

#[test]
fn smtp_greets_and_leaves() {
    let smtp = Protocol::Smtp {
        hello: "EHLO domain.tld".to_owned(),
    };
    let (sent, verdict) = play(
        &smtp,
        &[
            b"220 ready\r\n",
            b"250-a\r\n250-B\r\n250 c\r\n",
            b"221 bye now\r\n",
        ],
    );
    assert_eq!(
        sent,
        [b"EHLO domain.tld\r\n".to_vec(), b"QUIT\r\n".to_vec()]
    );
    assert_eq!(verdict, passed(221, "bye now"));
    assert_eq!(
        play(&smtp, &[b"421 Try again later\r\n"]).1,
        refused(421, "Try again later")
    );
    assert_eq!(
        play(&smtp, &[b"220 x\r\n", b"512 DNS error\r\n"]).1,
        refused(512, "DNS error")
    );
    assert_eq!(
        play(&smtp, &[b"I'm not a server\r\n"]).1,
        invalid("I'm not a server")
    );
    assert_eq!(play(&smtp, &[b""]).1, invalid(""));
}

#[test]
fn postgresql_is_asked_to_authenticate() {
    let pgsql = Protocol::Pgsql {
        user: "postgres".to_owned(),
    };
    let (sent, verdict) = play(&pgsql, &[b"", b"R\0\0\0\x08\0\0\0\0"]);
    assert_eq!(sent, [b"\0\0\0\x17\0\x03\0\0user\0postgres\0\0".to_vec()]);
    assert_eq!(verdict, passed(0, "PostgreSQL server is ok"));
    assert_eq!(
        play(&pgsql, &[b"", b"E\0\0\0\x0bSFATAL\0"]).1,
        invalid("FATAL")
    );
    assert_eq!(
        play(&pgsql, &[b"", b"E\0\0\0\x10SFATAL\0Mno\0\0"]).1,
        invalid("FATAL: no")
    );
    assert_eq!(
        play(&pgsql, &[b"", b"Not a PostgreSQL response"]).1,
        refused(0, "PostgreSQL unknown error")
    );
}

#[test]
fn ldap_must_bind() {
    let short = b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\0\x04\0";
    let (sent, verdict) = play(&Protocol::Ldap, &[b"", short]);
    assert_eq!((sent[0].len(), verdict), (14, passed(0, "Success")));
    let long = b"\x30\x84\0\0\0\x10\x02\x01\x01\x61\x84\0\0\0\x07\x0a\x01\x00\x04\0\x04\0";
    assert_eq!(play(&Protocol::Ldap, &[b"", long]).1, passed(0, "Success"));
    let other = b"\x30\x0c\x02\x01\x01\x60\x07\x0a\x01\x00\x04\0\x04\0";
    assert_eq!(
        play(&Protocol::Ldap, &[b"", other]).1,
        invalid("Not LDAPv3 protocol")
    );
    let no = b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x01\x04\0\x04\0";
    let text = "See RFC: http://tools.ietf.org/html/rfc4511#section-4.1.9";
    assert_eq!(play(&Protocol::Ldap, &[b"", no]).1, refused(1, text));
}

#[test]
fn redis_must_answer_the_ping() {
    let (sent, verdict) = play(&Protocol::Redis, &[b"", b"+PONG\r\n"]);
    assert_eq!(sent, [b"*1\r\n$4\r\nPING\r\n".to_vec()]);
    assert_eq!(verdict, passed(0, "Redis server is ok"));
    let loading = b"-LOADING";
    assert_eq!(
        play(&Protocol::Redis, &[b"", &loading[..1]]).1,
        refused(0, "-")
    );
}

#[test]
fn mysql_is_greeted_or_logged_into() {
    let greeting = b"\x05\0\0\0\x0a8.0\0";
    let plain = Protocol::Mysql { user: None };
    assert_eq!(
        play(&plain, &[greeting]),
        (vec![], passed(0, "MySQL server is ok"))
    );
    let error = b"\x10\0\0\0\xff\x10\x04Too many conn";
    assert_eq!(play(&plain, &[error]).1, refused(1040, "Too many conn"));
    let user = |client| Protocol::Mysql {
        user: Some(("u".to_owned(), client)),
    };
    let ok = b"\x01\0\0\x02\0";
    let (sent, verdict) = play(&user(MysqlClient::Since41), &[greeting, ok]);
    assert_eq!(verdict, passed(0, "MySQL server is ok"));
    assert_eq!(sent[0][..8], [35, 0, 0, 1, 0x01, 0x82, 0, 0]);
    assert_eq!(sent[1], [1, 0, 0, 0, 1]);
    let (sent, _) = play(&user(MysqlClient::Before41), &[greeting, ok]);
    assert_eq!(sent[0], [8, 0, 0, 1, 1, 0, 0, 0, 1, b'u', 0, 0]);
    let switch = b"\x04\0\0\x02\xfeabc";
    let (sent, verdict) = play(
        &user(MysqlClient::Since80),
        &[greeting, switch, b"\x01\0\0\x04\0"],
    );
    assert_eq!(verdict, passed(0, "MySQL server is ok"));
    assert_eq!(sent[1], [0, 0, 0, 3]);
    let denied = b"\x0f\0\0\x02\xff\x15\x04#28000denied";
    assert_eq!(
        play(&user(MysqlClient::Since41), &[greeting, denied]).1,
        refused(1045, "denied")
    );
}

proptest! {
    #[test]
    fn any_server_is_borne(answers in prop::collection::vec(any::<Vec<u8>>(), 0..5), which in 0usize..5) {
        let protocol = [
            Protocol::Smtp { hello: "HELO localhost".to_owned() },
            Protocol::Pgsql { user: "u".to_owned() },
            Protocol::Ldap,
            Protocol::Redis,
            Protocol::Mysql { user: Some(("u".to_owned(), MysqlClient::Since80)) },
        ][which].clone();
        let answers: Vec<&[u8]> = answers.iter().map(Vec::as_slice).collect();
        play_in_pieces(&protocol, &answers, 2);
    }
}
