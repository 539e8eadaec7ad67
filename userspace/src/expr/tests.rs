//! ACLs and conditions as a whole.

use std::collections::HashMap;
use std::sync::Arc;

use super::testing::{Literal, Texts, condition, condition_with, holds};
use super::{
    Acl, Acls, Address, Condition, Inspection, Match, NoAcls, Outcome, Parsing, Patterns, Polarity,
    Stage, View,
};

#[derive(Default)]
struct Declared(HashMap<String, Arc<Acl>>);

impl Acls for Declared {
    fn find(&self, name: &str) -> Option<Arc<Acl>> {
        self.0.get(name).cloned()
    }
}

fn acl(name: &str, words: &str) -> Acl {
    let words: Vec<&str> = words.split(' ').collect();
    let mut patterns = Patterns::default();
    let mut parsing = Parsing::new(Stage::Request, &super::NoFiles, &NoAcls, &mut patterns);
    Acl::parse(name, &words, &mut parsing).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn declared(list: &[(&str, &str)]) -> Declared {
    Declared(
        list.iter()
            .map(|(name, words)| ((*name).to_owned(), Arc::new(acl(name, words))))
            .collect(),
    )
}

fn get() -> Literal {
    Literal::request("GET /x?a=1 HTTP/1.1\r\nHost: h\r\n\r\n")
        .with_address(Address::Source, "127.0.0.1:1")
}

#[test]
fn acls_match_as_the_oracle_says() {
    let view = get();
    for (words, expected) in [
        ("{ path_beg -m str /x }", true),
        ("{ path_beg,lower /x }", true),
        ("{ path_beg -i /X }", true),
        ("{ path -i -m beg /X }", true),
        ("{ path -- -i }", false),
        ("{ path /x -i /Y }", true),
        ("{ hdr(host) -m dom h }", true),
        ("{ hdr_len(host) 1 }", true),
        ("{ hdr_beg(host),lower h }", true),
        ("{ method GET }", true),
        ("{ method get }", false),
        ("{ method POST GET }", true),
        ("{ method -m beg G }", true),
        ("{ meth(xx) -m str xx }", true),
        ("{ req.ver 1.1 }", true),
        ("{ req_ver 1.1 }", true),
        ("{ str(abc) -m found }", true),
        ("{ str() -m found }", true),
        ("{ req.hdr(none) -m found }", false),
        ("{ str(1) -m bool }", true),
        ("{ str(true) -m bool }", false),
        ("{ int(3) -m bool }", true),
        ("{ bool(true) 0 }", true),
        ("{ bool(false) }", false),
        ("{ int(3) gt 2 lt 1 }", true),
        ("{ int(3) eq 1 2 3 }", true),
        ("{ int(3) gt }", false),
        ("{ str(abc) -m len gt 2 }", true),
        ("{ str(abc) -u 5 abc }", true),
        ("{ src 127.0.0.1 }", true),
        ("{ src,lower 127.0.0.1 }", true),
        ("{ src -m beg 127. }", true),
        ("{ always_true }", true),
        ("TRUE", true),
        ("FALSE", false),
        ("LOCALHOST", true),
        ("METH_GET", true),
        ("METH_POST", false),
        ("HTTP_1.1", true),
        ("HTTP_URL_ABS", false),
        ("HTTP_URL_SLASH", true),
        ("HTTP_URL_STAR", false),
        ("HTTP_CONTENT", false),
        ("HTTP", true),
    ] {
        assert_eq!(holds(words, &view), expected, "{words}");
    }
}

#[test]
fn conditions_are_an_or_of_ands() {
    let acls = declared(&[("a", "path /x"), ("b", "path /y"), ("c", "src 127.0.0.0/8")]);
    let view = get();
    for (words, expected) in [
        ("a", true),
        ("!a", false),
        ("! a", false),
        ("!!a", true),
        ("! ! a", true),
        ("a c", true),
        ("a b", false),
        ("a b or c", true),
        ("a b || b", false),
        ("b OR a", true),
        ("a or", true),
        ("or a", true),
        ("a || || b", true),
        ("a !", true),
        ("!{ path /x }", false),
        ("!{ path /y } || b", true),
        ("a { src 10.0.0.0/8 }", false),
        ("a ! { src 10.0.0.0/8 } c", true),
    ] {
        assert_eq!(
            condition_with(words, &acls).unwrap().matches(&view),
            expected,
            "{words}"
        );
    }
    let words = ["unless", "a", "b"];
    let mut patterns = Patterns::default();
    let mut parsing = Parsing::new(Stage::Request, &super::NoFiles, &acls, &mut patterns);
    let unless = Condition::parse(&words, &mut parsing).unwrap();
    assert!(unless.matches(&view));
    assert_eq!(unless.polarity(), Polarity::Unless);
    assert_eq!(unless.terms()[0].len(), 2);
}

#[test]
fn an_acl_of_several_lines_matches_where_one_of_them_does() {
    let mut both = acl("a", "path /nowhere");
    both.extend(acl("a", "src 127.0.0.1"));
    assert_eq!(both.test(&get()), Outcome::Match);
    assert_eq!(both.tests().len(), 2);
    assert_eq!(both.tests()[1].matching(), Match::Ip);
    assert_eq!(both.tests()[1].expression().fetch_name(), "src");
}

#[test]
fn mistakes_are_named_where_they_are() {
    for (words, word, expected) in [
        ("a", 1, "no such ACL : 'a'"),
        ("TRUE and FALSE", 2, "no such ACL : 'and'"),
        ("{path /x}", 1, "no such ACL : '{path'"),
        ("{ path /x}", 4, "missing closing '}' in condition"),
        ("TRUE { }", 3, "missing fetch method"),
        (
            "{ nope x }",
            2,
            "unknown fetch method 'nope' in ACL expression 'nope'",
        ),
        ("{ src_beg 1 }", 2, "unknown fetch method 'src_beg'"),
        ("{ path,foo x }", 2, "unknown converter 'foo'"),
        ("{ path/x x }", 2, "missing comma after fetch keyword"),
        ("{ hdr(host x }", 2, "expected ')'"),
        ("{ int(-3) -3 }", 3, "'-3' is not a valid ACL option"),
        (
            "{ int(3) 5 x }",
            4,
            "'x' is neither a number nor a supported operator",
        ),
        (
            "{ src 1.2.3.4 nohost }",
            4,
            "'nohost' is not a valid IPv4 or IPv6 address",
        ),
        ("{ str(a) -m foo x }", 4, "unknown matching method 'foo'"),
        ("{ str(a) -m }", 4, "unknown matching method ''"),
        (
            "{ str(a) -f /nonexistent }",
            4,
            "failed to open pattern file </nonexistent>",
        ),
        ("{ str(a) -f }", 3, "missing file name"),
        (
            "{ path -f x -m beg /x }",
            5,
            "'-m' must only be specified before patterns",
        ),
        (
            "{ bin(01) 01 }",
            2,
            "matching method must be specified first (using '-m')",
        ),
        (
            "{ bin(01) -m int 1 }",
            2,
            "matching method 'int' cannot be used with fetch keyword 'bin'",
        ),
        (
            "{ bin(01) -m bin 010 }",
            5,
            "an even number of hex digit is expected",
        ),
        ("{ str(a) -m reg ( }", 5, "regex '(' is invalid"),
    ] {
        let files = Texts(HashMap::from([("x", "")]));
        let words: Vec<&str> = std::iter::once("if").chain(words.split(' ')).collect();
        let mut patterns = Patterns::default();
        let mut parsing = Parsing::new(Stage::Request, &files, &NoAcls, &mut patterns);
        let error = Condition::parse(&words, &mut parsing).expect_err(words[1]);
        assert!(
            error.message.contains(expected),
            "{words:?}: {}",
            error.message
        );
        assert_eq!(error.word, word, "{words:?}: {}", error.message);
    }
    assert!(condition("").is_err());
    assert_eq!(
        condition("{ path_begg /x }").unwrap_err().hint.as_deref(),
        Some("did you mean `path_beg`?")
    );
    assert!(Acl::invalid_name("a!b").is_some());
    assert!(Acl::invalid_name("or").is_some());
    assert_eq!(Acl::invalid_name("a-b_c.d:e9"), None);
}

#[test]
fn what_can_never_match_is_warned_about() {
    let warnings = |stage, words: &[&str]| {
        let mut patterns = Patterns::default();
        let acls = declared(&[("n", "path /x")]);
        let mut parsing = Parsing::new(stage, &super::NoFiles, &acls, &mut patterns);
        Condition::parse(words, &mut parsing).unwrap();
        parsing
            .warnings
            .into_iter()
            .map(|warning| warning.message)
            .collect::<Vec<_>>()
    };
    assert!(warnings(Stage::Request, &["if", "n"]).is_empty());
    assert!(warnings(Stage::Request, &["if", "{", "path", "--", "}"]).is_empty());
    assert!(warnings(Stage::Request, &["if", "{", "path", "}"])[0].contains("no pattern to match"));
    let anonymous = &warnings(Stage::Response, &["if", "{", "path", "/x", "}"])[0];
    assert!(
        anonymous.contains("anonymous acl will never match because it uses keyword 'path'"),
        "{anonymous}"
    );
    let named = &warnings(Stage::Connection, &["if", "n"])[0];
    assert!(
        named.contains("acl 'n' will never match because it only involves keywords"),
        "{named}"
    );
}

#[test]
fn an_undecided_acl_waits_while_inspection_is_open() {
    let mut view = Literal {
        inspecting: true,
        ..Literal::default()
    };
    view.buffer = Some((b"\x16\x03".to_vec(), true));
    let cases = [
        ("{ req.ssl_hello_type 1 }", Outcome::Undecided),
        ("!{ req.ssl_hello_type 1 }", Outcome::Undecided),
        ("{ req.len gt 100 }", Outcome::Undecided),
        ("{ req.len gt 1 }", Outcome::Match),
        ("{ req.payload(0,1) -m bin 16 }", Outcome::Match),
        ("{ req.payload(0,3) -m bin 160301 }", Outcome::Undecided),
        ("{ req.payload(0,0) -m sub x }", Outcome::Undecided),
        ("WAIT_END", Outcome::Undecided),
        ("FALSE WAIT_END", Outcome::Mismatch),
        ("WAIT_END FALSE", Outcome::Mismatch),
        ("TRUE || WAIT_END", Outcome::Match),
        ("WAIT_END || TRUE", Outcome::Match),
        ("FALSE || WAIT_END", Outcome::Undecided),
        ("{ src 1.2.3.4 }", Outcome::Mismatch),
        ("HTTP", Outcome::Undecided),
        ("{ req.ssl_sni -m found }", Outcome::Undecided),
    ];
    for (words, expected) in cases {
        assert_eq!(condition(words).unwrap().test(&view), expected, "{words}");
    }
    view.inspecting = false;
    view.buffer = Some((b"\x16\x03".to_vec(), false));
    assert_eq!(view.inspection(), Inspection::Over);
    for (words, _) in cases {
        assert_ne!(
            condition(words).unwrap().test(&view),
            Outcome::Undecided,
            "{words}"
        );
    }
    assert!(holds("WAIT_END", &view));
}

#[test]
fn a_client_hello_is_matched_in_the_buffer() {
    let mut view = Literal {
        buffer: Some((super::fetch::client_hello("www.example.com"), true)),
        ..Literal::default()
    };
    for (words, expected) in [
        ("{ req.ssl_hello_type 1 }", true),
        ("{ req_ssl_hello_type 1 }", true),
        ("{ req.ssl_sni www.example.com }", true),
        ("{ req.ssl_sni -m end .example.com }", true),
        ("{ req_ssl_sni -i WWW.example.com }", true),
        ("{ req.ssl_ver 3.3 }", true),
        ("{ req.ssl_ver gt 3.3 }", false),
        ("{ req.ssl_alpn -m sub h2 }", true),
        ("{ req.ssl_ec_ext }", true),
        ("{ req.ssl_st_ext 1 }", true),
        ("{ req.ssl_cipherlist -m bin 13011302 }", true),
        ("{ req.proto_http }", false),
        ("RDP_COOKIE", false),
        ("REQ_CONTENT", true),
    ] {
        assert_eq!(holds(words, &view), expected, "{words}");
    }
    let rdp = b"\x03\x00\x00\x2a\x25\xe0\x00\x00\x00\x00\x00Cookie: mstshash=user\r\n\x01\x00\x08\x00\x00\x00\x00\x00";
    view.buffer = Some((rdp.to_vec(), false));
    assert!(holds("RDP_COOKIE", &view));
    assert!(holds("{ req.rdp_cookie(MSTSHASH) user }", &view));
    assert!(!holds("{ req.rdp_cookie(msts) -m found }", &view));
}

proptest::proptest! {
    #[test]
    fn no_words_panic(words in proptest::collection::vec("[a-z0-9!{}|(),._/-]{0,12}", 0..8)) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut patterns = Patterns::default();
        let mut parsing = Parsing::new(Stage::Request, &super::NoFiles, &NoAcls, &mut patterns);
        if let Ok(condition) = Condition::parse(&words, &mut parsing) {
            condition.matches(&get());
        }
        let _ = Acl::parse("x", &words, &mut parsing);
    }
}
