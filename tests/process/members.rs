//! Servers that are added and removed while the program runs.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};

use super::support::{Program, until};

/// An origin that answers every request with a word, and leaves connections open.
fn origin(word: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream, word, || {}));
        }
    });
    address
}

/// One whose answers wait for a word from the test each.
fn held(word: &'static str) -> (SocketAddr, Receiver<()>, Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let ((asked, was_asked), (release, released)) = (channel(), channel());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            answer(stream, word, || {
                let _ = asked.send(());
                let _ = released.recv();
            });
        }
    });
    (address, was_asked, release)
}

fn answer(mut stream: TcpStream, word: &str, before: impl Fn()) {
    let mut request = [0; 4096];
    while let Ok(1..) = stream.read(&mut request) {
        before();
        let length = word.len();
        let text = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{word}");
        if stream.write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

fn program() -> Program {
    let program = Program::start_with(&["-db"], "default_backend app", &[]);
    until("it listens", || {
        program.path("stats").exists() && TcpStream::connect(program.address).is_ok()
    });
    program.ask("stats", "disable server app/one");
    program
}

fn names(program: &Program) -> Vec<String> {
    let state = program.ask("stats", "show servers state app");
    let lines = state.lines().skip(2).filter(|line| !line.is_empty());
    let name = |line: &str| line.split(' ').nth(3).expect("a name").to_owned();
    lines.map(name).collect()
}

#[test]
fn a_server_is_added_in_maintenance_serves_once_enabled_and_can_be_removed_again() {
    let program = program();
    let ask = |line: &str| program.ask("stats", line);
    let address = origin("late");
    let add = format!("add server app/late {address} weight 7");
    assert_eq!(ask(&add), "New server registered.\n\n");
    assert_eq!(
        ask(&add),
        "Already exists a server with the same name in backend.\n\n"
    );
    assert_eq!(names(&program), ["one", "late"]);
    assert_eq!(ask("get weight app/late"), "7 (initial 7)\n\n");
    assert_eq!(program.get(), None, "it is in maintenance");
    ask("enable server app/late");
    until("it serves", || program.get().as_deref() == Some("late"));
    assert_eq!(
        ask("del server app/late"),
        "Only servers in maintenance mode can be deleted.\n\n"
    );
    assert_eq!(
        ask("wait 10s srv-removable app/late"),
        "Only servers in maintenance mode can be deleted.\n\n"
    );
    // The idle connection is closed for it.
    let gone = ask("disable server app/late; wait 10s srv-removable app/late; del server app/late");
    assert_eq!(gone, "\nDone.\n\nServer deleted.\n\n");
    assert_eq!(names(&program), ["one"]);
    assert_eq!(ask("enable server app/late"), "No such server.\n\n");
    assert_eq!(ask("wait 1s srv-removable app/late"), "No such server.\n\n");
    assert_eq!(program.get(), None);
    // Its name and its number are free again, for another one.
    for round in 0..40 {
        let other = origin("again");
        let commands = format!("add server app/late {other}; enable server app/late");
        assert_eq!(ask(&commands), "New server registered.\n\n\n");
        assert!(
            ask("show servers state app").contains(" 2 late 127.0.0.1 "),
            "{round}"
        );
        until("it serves", || program.get().as_deref() == Some("again"));
        let gone =
            ask("disable server app/late; wait 10s srv-removable app/late; del server app/late");
        assert_eq!(gone, "\nDone.\n\nServer deleted.\n\n");
    }
}

#[test]
fn a_server_with_a_request_is_not_removed() {
    let program = program();
    let ask = |line: &str| program.ask("stats", line);
    let (address, asked, release) = held("slow");
    ask(&format!(
        "add server app/slow {address}; enable server app/slow"
    ));
    std::thread::scope(|scope| {
        let request = scope.spawn(|| program.get());
        asked.recv().expect("the request comes");
        ask("disable server app/slow");
        let busy = "Server still has connections attached to it, cannot remove it.\n\n";
        assert_eq!(ask("del server app/slow"), busy);
        assert_eq!(
            ask("wait 100ms srv-removable app/slow"),
            "Wait delay expired.\n\n"
        );
        release.send(()).expect("it waits");
        assert_eq!(request.join().expect("no panic").as_deref(), Some("slow"));
    });
    assert_eq!(
        ask("wait 10s srv-removable app/slow; del server app/slow"),
        "Done.\n\nServer deleted.\n\n"
    );
}

#[test]
fn checks_of_an_added_server_begin_when_they_are_enabled() {
    let program = program();
    let ask = |line: &str| program.ask("stats", line);
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = nobody.local_addr().expect("bound");
    drop(nobody);
    ask(&format!(
        "add server app/dead {address} check inter 20ms fall 1; enable server app/dead"
    ));
    let status = || {
        let stat = ask("show stat app 4 -1");
        let line = stat.lines().find(|line| line.starts_with("app,dead,"));
        line.expect("a line")
            .split(',')
            .nth(17)
            .expect("a status")
            .to_owned()
    };
    assert_eq!(status(), "no check");
    ask("enable health app/dead");
    until("it is found dead", || status() == "DOWN");
    assert_eq!(
        ask("disable server app/dead; del server app/dead"),
        "\nServer deleted.\n\n"
    );
    assert_eq!(names(&program), ["one"]);
}

#[test]
fn a_server_in_the_maintenance_of_another_can_be_removed() {
    let program = program();
    let ask = |line: &str| program.ask("stats", line);
    let address = origin("word");
    let commands = format!(
        "add server app/watched {address} check; enable server app/watched; \
         add server app/follower {address} track app/watched"
    );
    let refused = ask(&commands);
    assert!(
        refused.ends_with("as it is a dynamic server.\n\n"),
        "{refused}"
    );
    drop(program);

    let program = Program::start_with(
        &["-db"],
        "default_backend app\nbackend other\n server two 127.0.0.1:9 check inter 1m",
        &[],
    );
    until("it listens", || TcpStream::connect(program.address).is_ok());
    let ask = |line: &str| program.ask("stats", line);
    ask(&format!(
        "add server app/late {address} track other/two; enable server app/late"
    ));
    assert_eq!(
        ask("del server other/two"),
        "This server cannot be removed at runtime due to other configuration elements pointing to it.\n\n"
    );
    assert_eq!(
        ask("disable server other/two; del server app/late; del server other/two"),
        "\nServer deleted.\n\nServer deleted.\n\n"
    );
}

#[test]
fn what_cannot_be_added_is_told() {
    let program = program();
    let refused = |words: &str| program.ask("stats", &format!("add server {words}"));
    assert_eq!(refused("nowhere/x 127.0.0.1:80"), "No such backend.\n\n");
    assert_eq!(
        refused("app/x"),
        "'server' expects <name> and <addr>[:<port>] as arguments.\n\n"
    );
    for (words, why) in [
        (
            "app/x 127.0.0.1:80 resolvers dns",
            "not accepted for dynamic server",
        ),
        ("app/x 127.0.0.1:80 colour red", "colour"),
        (
            "app/x 127.0.0.1:80 check check-via-socks4 track one",
            "exclude each other",
        ),
        (
            "app/x 127.0.0.1:80 track app/one",
            "does not have any check nor agent enabled",
        ),
        ("app/x 127.0.0.1:80 id 1", "custom id 1 already used"),
        ("app/x 127.0.0.1:80 ssl ca-file nowhere.pem", "nowhere.pem"),
    ] {
        let answer = refused(words);
        assert!(answer.contains(why), "{words}: {answer}");
    }
    assert_eq!(names(&program), ["one"]);
    let help = program.ask("stats", "add server help");
    assert!(
        help.contains("\nweight <") && !help.contains("resolvers"),
        "{help}"
    );
}
