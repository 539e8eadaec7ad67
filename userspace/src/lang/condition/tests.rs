//! Values and errors, checked against HAProxy's own answers.

use proptest::prelude::*;

use super::*;
use crate::lang::testing::Table;

fn value(text: &str) -> Result<bool, String> {
    let environment = Table::with(&[("HOME", "/root")]);
    let variables = Variables::new(&environment, &[]);
    let abilities = Abilities {
        version: "2.6.12",
        ..Abilities::OURS
    };
    evaluate(text, &abilities, &variables).map_err(|error| error.message)
}

#[test]
fn values_agree_with_haproxy() {
    let cases = [
        ("", false),
        ("1", true),
        ("0", false),
        ("-0", false),
        ("+1", true),
        ("00", false),
        ("0x0", false),
        ("9999999999999999999999", true),
        ("-1000 && 200", true),
        ("( 1 )", true),
        ("!0", true),
        ("!!0", false),
        ("! 0", true),
        ("1 &&1", true),
        ("0||0||1", true),
        ("(0) || (1)", true),
        ("((((1))))", true),
        ("!(1 && 0)", true),
        (" streq(a,a) ", true),
        ("streq(,)", true),
        ("streq(a,b) || streq(b,b) && 0", false),
        ("strneq(a,b)", true),
        ("strstr(abc,b)", true),
        ("streq(a;b,a;b)", true),
        ("streq(a(b,a(b)", true),
        ("streq( a, a)", true),
        ("streq(a,'a')", true),
        ("streq(\"a,b\",\"a,b\")", true),
        ("streq('a)','a)')", true),
        ("defined(HOME)", true),
        ("defined(NOPE)", false),
        ("defined", false),
        ("feature(THREAD)", true),
        ("feature(thread)", false),
        ("enabled(EPOLL)", true),
        ("enabled(FOO)", false),
        ("version_atleast(2.6)", true),
        ("version_atleast(2.6.12)", true),
        ("version_atleast(2.6.13)", false),
        ("version_atleast(2.6.12-1)", false),
        ("version_atleast(2.6-dev1)", true),
        ("version_atleast(2.7-dev1)", false),
        ("version_before(2.7)", true),
        ("version_before(2.6.12)", false),
        ("version_atleast(2)", true),
        ("version_atleast(x)", true),
        ("version_atleast(3)", false),
        ("version_before(2.7-dev1)", true),
        ("ssllib_name_startswith(OpenSSL)", false),
        ("1&&!0&&!((streq(a,b)||!streq(a,a)&&1)||strneq(a,a))", true),
    ];
    for (text, expected) in cases {
        assert_eq!(value(text), Ok(expected), "{text:?}");
    }
}

#[test]
fn what_cannot_be_understood_is_an_error() {
    for text in [
        "1a",
        "a",
        "(1",
        "1)",
        "!",
        "&&",
        "1&&",
        "&& 1",
        "1 & 1",
        "1 | 1",
        "0 && foo",
        "1 || foo",
        "streq (a,a)",
        "streq()",
        "streq(a,a,a)",
        "streq",
        "streq(a,a)x",
        "1 1",
        "1.5",
        " ",
        "streq((a),(a))",
        "streq(a,b",
        "streq(a,\"a)",
        "200rrr",
        "!(0))",
        "fips_mode(1)",
    ] {
        assert!(value(text).is_err(), "{text:?} is {:?}", value(text));
    }
}

#[test]
fn parentheses_nest_only_so_deep() {
    let nested = |depth: usize| format!("{}1{}", "(".repeat(depth), ")".repeat(depth));
    assert_eq!(value(&nested(64)), Ok(true));
    assert!(value(&nested(65)).is_err());
    assert!(value(&nested(100_000)).is_err());
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,40}") {
        let _ = value(&text);
    }

    #[test]
    fn no_condition_like_text_panics(text in "(streq|defined|[01a!&|(),'\"\\\\ ]){0,30}") {
        let _ = value(&text);
    }
}
