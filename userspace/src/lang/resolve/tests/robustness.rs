//! Whatever comes in, an answer comes out, and soon.

use proptest::prelude::*;

use super::*;
use crate::clock;
use crate::lang::keywords::listing::{Listed, keywords};

/// Words that configurations are made of, so that random lines get past the first word.
fn vocabulary() -> Vec<String> {
    let mut words: Vec<String> = keywords()
        .iter()
        .flat_map(|keyword| {
            keyword
                .name
                .split(' ')
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    let more = [
        "global",
        "defaults",
        "frontend",
        "backend",
        "listen",
        "userlist",
        "http-errors",
        "from",
        "no",
        "default",
        "if",
        "unless",
        "{",
        "}",
        "!",
        "src",
        "path",
        "hdr(host)",
        "-m",
        "-f",
        "-i",
        "127.0.0.1:80",
        "*:80",
        "/tmp/x",
        "fd@3",
        "udp@1.1.1.1:53",
        "a",
        "b",
        "10s",
        "5",
        "-1",
        "0",
        "99999999999999999999",
        "%[src]",
        "%[",
        "%ci",
        "(",
        ")",
        "a(b",
        "set-var(txn.a)",
        "sc-inc-gpc(0,9)",
        "len",
        "\"\"",
        "'",
        "\"",
        "\\",
        "${HOME}",
        "\"${HOME[*]}\"",
        "[::1]:80",
        "é",
        "ssl",
        "crt",
        "type",
        "size",
        "store",
        "conn_rate(10s)",
        "gpc(5)",
        "table",
        "l4",
        "http",
        "tcp",
    ];
    words.extend(more.map(str::to_owned));
    words.sort();
    words.dedup();
    words
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn lines_of_known_words_never_panic(
        lines in prop::collection::vec(prop::collection::vec(prop::sample::select(vocabulary()), 1..7), 0..25)
    ) {
        let text: String = lines.iter().map(|line| line.join(" ") + "\n").collect();
        let (loaded, said) = load_text(&text);
        prop_assert_eq!(loaded.model.is_none(), loaded.diagnostics.are_fatal(), "{}", said);
    }

    #[test]
    fn arguments_of_every_keyword_never_panic(
        section in prop::sample::select(vec!["global", "backend b", "frontend f", "listen l", "defaults d", "userlist u"]),
        lines in prop::collection::vec(
            (0..keywords().len(), prop::collection::vec(prop::sample::select(vocabulary()), 0..6)), 1..12),
    ) {
        let all = keywords();
        let line = |(index, words): &(usize, Vec<String>)| {
            let name = all[*index].name.replace("<addr>", ":80").replace("<name>", "s");
            format!(" {name} {}\n", words.join(" "))
        };
        let text: String = format!("{section}\n") + &lines.iter().map(line).collect::<String>();
        load_text(&text);
    }
}

#[test]
fn every_keyword_without_arguments_gets_an_answer() {
    for section in [
        "global",
        "frontend f",
        "backend b",
        "listen l",
        "defaults d",
        "userlist u",
        "http-errors e",
    ] {
        let lines = |keyword: &Listed| {
            let name = keyword.name.replace("<addr>", ":80").replace("<name>", "s");
            format!(" {name}\n no {name}\n {name} \"\" x\n")
        };
        load_text(&format!(
            "{section}\n{}",
            keywords().iter().map(lines).collect::<String>()
        ));
    }
}

#[test]
fn time_grows_with_the_length_of_the_file_only() {
    let servers: String = (0..10_000)
        .map(|n| format!(" server s{n} 10.0.0.1:80 check track s{}\n", n / 2))
        .collect();
    let backends: String = (0..3_000)
        .map(|n| format!("backend b{n}\n server s 10.0.0.1:80\n"))
        .collect();
    let rules: String = (0..5_000)
        .map(|n| {
            format!(
                " acl a{n} src 10.0.0.1\n use_backend b{} if a{n}\n",
                n % 3_000
            )
        })
        .collect();
    let defaults: String = (0..40)
        .map(|_| " option forwardfor\n timeout queue 5s\n")
        .collect();
    let text = format!("{BASE}{defaults}listen l\n bind :1\n{rules}{servers}{backends}");
    let start = clock::now();
    load_text(&text);
    assert!(
        clock::now().since(start) < 60_000,
        "a quadratic step would take minutes"
    );
}

#[test]
fn endless_words_and_lines_are_bounded() {
    let long = "x".repeat(2 << 20);
    let (_, said) = load_text(&format!("global\n description {long}\n"));
    assert!(said.contains("line too long"), "the line is refused");
    load_text(&format!("{long}\nglobal\n {}\n", "a ".repeat(200_000)));
}
