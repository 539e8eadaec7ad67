//! Random and damaged configurations and HTTP/1 messages: no panic, no hang, no time that grows faster than the input.
//!
//! Each target runs for `FUZZ_SECONDS` (a fraction of a second without it) from `FUZZ_SEED`; a failure names the seed of the
//! input, which alone repeats it. `cargo xtask fuzz` runs them for as long as one likes.
#![expect(
    clippy::print_stdout,
    reason = "seeds and counts are for the person who runs this"
)]

mod http1;

use std::time::{Duration, Instant};

use tidegate::lang::{
    Abilities, Machine, Settings, catalogue, check_condition, load_sources, source::Sources,
};

#[test]
fn lexer() {
    fuzz(|random| {
        let mut text = String::new();
        for _ in 0..random.below(40) {
            text.push_str(random.word(LEXICAL));
        }
        load(&text);
    });
}

#[test]
fn parser() {
    let words = vocabulary();
    fuzz(|random| {
        let mut text = String::new();
        for _ in 0..random.below(30) {
            for _ in 0..random.below(9) {
                text.push_str(random.word(&words));
                text.push(' ');
            }
            text.push('\n');
        }
        load(&text);
    });
}

#[test]
fn damaged() {
    let whole = [
        include_str!("../../conf/tutorial.cfg"),
        include_str!("../config/cases/rules.cfg"),
        include_str!("../config/cases/servers.cfg"),
        include_str!("../config/cases/checks.cfg"),
        include_str!("../config/cases/bind.cfg"),
    ];
    fuzz(|random| {
        let mut text = random.pick(&whole).as_bytes().to_vec();
        for _ in 0..=random.below(12) {
            let at = random.below(text.len().max(1));
            match random.below(4) {
                0 if at < text.len() => text[at] = random.next() as u8,
                1 if at < text.len() => drop(text.remove(at)),
                2 => text.truncate(at),
                _ => {
                    let part = random.pick(LEXICAL);
                    text.splice(at..at, part.bytes());
                }
            }
            if text.is_empty() {
                break;
            }
        }
        load(&String::from_utf8_lossy(&text));
    });
}

#[test]
fn condition() {
    fuzz(|random| {
        let mut text = String::new();
        for _ in 0..random.below(30) {
            text.push_str(random.word(CONDITIONAL));
        }
        let _ = check_condition(&text, &Machine::default(), &Abilities::OURS);
    });
}

#[test]
fn expression() {
    let all = catalogue();
    let names = |kind: &str| -> Vec<String> {
        let of_kind = all.iter().filter(|entry| entry.kind == kind);
        of_kind.map(|entry| entry.name.clone()).collect()
    };
    let (fetches, converters) = (names("fetch"), names("converter"));
    fuzz(|random| {
        let mut text = String::from("defaults\n mode http\nfrontend f\n bind 127.0.0.1:1\n");
        for _ in 0..=random.below(4) {
            let mut expression = random.pick(&fetches).clone();
            expression.push_str(random.word(ARGUMENTS));
            for _ in 0..random.below(5) {
                expression.push(',');
                expression.push_str(random.word(&converters));
                expression.push_str(random.word(ARGUMENTS));
            }
            let line = match random.below(4) {
                0 => format!(" acl a {expression} {}\n", random.pick(PATTERNS)),
                1 => format!(" http-request set-header x %[{expression}]\n"),
                2 => format!(" http-request set-var(txn.a) {expression}\n"),
                _ => format!(
                    " http-request deny if {{ {expression} {} }}\n",
                    random.pick(PATTERNS)
                ),
            };
            text.push_str(&line);
        }
        load(&text);
    });
}

#[test]
fn http1_request() {
    fuzz(http1::request);
}

#[test]
fn http1_response() {
    fuzz(http1::response);
}

#[test]
fn http1_body() {
    fuzz(http1::body);
}

/// Runs inputs until the time is over; an input that takes longer than [`LONGEST`] fails.
fn fuzz(mut run: impl FnMut(&mut Random)) {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let limit = number("FUZZ_SECONDS").map_or(Duration::from_millis(300), Duration::from_secs);
    let mut seed = number("FUZZ_SEED").unwrap_or(1);
    let began = now();
    let mut inputs = 0_u64;
    while began.elapsed() < limit {
        let started = now();
        let guard = Guard(Some(seed));
        run(&mut Random(seed));
        guard.disarm();
        let taken = started.elapsed();
        assert!(
            taken < LONGEST,
            "the input of FUZZ_SEED={seed} took {taken:?}"
        );
        seed += 1;
        inputs += 1;
    }
    println!("{inputs} inputs, next seed {seed}");
    assert!(inputs > 0);
}

/// Tells the seed when an input panics.
struct Guard(Option<u64>);

impl Guard {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(seed) = self.0 {
            println!("panicked: repeat with FUZZ_SEED={seed}");
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test measures real time")]
fn now() -> Instant {
    Instant::now()
}

fn load(text: &str) {
    let mut sources = Sources::default();
    sources.add("fuzz.cfg", text);
    let loaded = load_sources(sources, &Machine::default(), &Settings::default());
    let style = tidegate::lang::Style {
        pid: 1,
        color: false,
        diagnostic_mode: false,
    };
    let said = loaded.diagnostics.render(&loaded.sources, style);
    assert!(
        loaded.model.is_some() || said.contains("[ALERT]"),
        "refused in silence"
    );
}

/// Words that configurations are made of.
fn vocabulary() -> Vec<String> {
    let mut words: Vec<String> = catalogue()
        .iter()
        .flat_map(|entry| entry.name.split(' ').map(str::to_owned).collect::<Vec<_>>())
        .collect();
    words.extend(
        LEXICAL
            .iter()
            .chain(PATTERNS)
            .map(|word| (*word).to_owned()),
    );
    // Sections and conditions are what leads further.
    for _ in 0..60 {
        let common = [
            "global", "defaults", "frontend", "backend", "listen", "\n", "if", "{", "}", "src",
            "a", "b",
        ];
        words.extend(common.map(str::to_owned));
    }
    words
}

/// A small generator of its own (splitmix64): the seed alone decides.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn word<'a>(&mut self, of: &'a [impl AsRef<str>]) -> &'a str {
        self.pick(of).as_ref()
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// No input is larger than some kilobytes: even a debug build on a busy machine reads it at once.
const LONGEST: Duration = Duration::from_secs(20);

const LEXICAL: &[&str] = &[
    "global",
    "frontend f",
    "backend b",
    "\n",
    "\r\n",
    " ",
    "\t",
    "\"",
    "'",
    "\\",
    "\\x4",
    "\\n",
    "$",
    "${",
    "}",
    "${HOME}",
    "\"${A-b}\"",
    "#",
    "\0",
    "\u{fffd}",
    "ä",
    "%[",
    "]",
    "%",
    "(",
    ")",
    ",",
    "acl a path ",
    "bind :80",
    ".if 1\n",
    ".endif\n",
    ".else\n",
    ".elif defined(A)\n",
    ".notice x\n",
    "server s 127.0.0.1:80",
    "log-format \"%ci %[src]\"",
    "0x",
    "-1",
    "9999999999",
];

const CONDITIONAL: &[&str] = &[
    "1",
    "0",
    "!",
    "(",
    ")",
    " && ",
    " || ",
    "defined(A)",
    "feature(THREAD)",
    "streq(a,b)",
    "strneq(",
    "version_atleast(2.4)",
    "enabled(EPOLL)",
    ",",
    "\\",
    "\"",
    " ",
    "-5",
    "0x1f",
    "openssl_version_atleast(1.1)",
    "strstr(abc,b)",
];

const ARGUMENTS: &[&str] = &[
    "",
    "",
    "",
    "()",
    "(1)",
    "(a)",
    "(a,b)",
    "(1,2,3)",
    "(-1)",
    "(txn.a)",
    "(a,b,c,d,e)",
    "(\\,)",
    "(\"x y\")",
    "(",
    ")",
    "(%)",
    "(^(a|b)+$,\\1,g)",
    "(99999999999999999999)",
    "(0,0)",
    "(/nonexistent)",
];

const PATTERNS: &[&str] = &[
    "",
    "a",
    "-i b c",
    "-m reg (a+)+$",
    "-m beg /x",
    "-m ip 10.0.0.0/8",
    "gt 5",
    "lt x",
    "1:5",
    "-f /nonexistent",
    "--",
    "-m found",
    "-m sub",
    "-n 1",
    "le 1.5",
    "127.0.0.1 ::1",
    "GET",
];
