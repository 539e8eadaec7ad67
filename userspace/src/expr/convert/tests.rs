//! What converters make of their input; the expected values were compared with HAProxy 2.6 or stand in the manual.

use crate::expr::testing::{Literal, eval, expression};
use crate::expr::{Scope, VariableName, Variables};

fn view() -> Literal {
    let view = Literal::default();
    for (name, value) in [("v", "vv"), ("key", "a2V5"), ("one", "1"), ("three", "3")] {
        view.variables.write(
            &VariableName::new(Scope::Transaction, name),
            crate::expr::Sample::str(value).into_shared(),
        );
    }
    view
}

fn check(cases: &[(&str, Option<&str>)]) {
    let view = view();
    for (word, expected) in cases {
        assert_eq!(eval(word, &view).as_deref(), *expected, "{word}");
    }
}

#[test]
fn types_are_cast_on_the_way() {
    check(&[
        ("ipv4(1.2.3.4),base64", Some("AQIDBA==")),
        ("meth(GET),hex", Some("474554")),
        ("str(12abc),add(1)", Some("13")),
        ("str(abc),add(1)", Some("1")),
        ("str(\" 12\"),add(1)", Some("1")),
        ("str(-12),add(1)", Some("-11")),
        ("str(+12),add(1)", Some("13")),
        ("str(),add(1)", None),
        (
            "str(99999999999999999999),add(1)",
            Some("9223372036854775807"),
        ),
        ("int(258),hex", Some("0000000000000102")),
        ("bool(true),hex", Some("0000000000000001")),
        ("bool(true),add(3)", Some("4")),
        ("bool(true),length", Some("1")),
        ("ipv4(1.2.3.4),add(0)", Some("16909060")),
        ("int(16909060),ipmask(32)", Some("1.2.3.4")),
        ("str(1.2.3.4),ipmask(24)", Some("1.2.3.0")),
        ("str(1.2),ipmask(32)", None),
        ("bin(410042),lower", Some("a")),
        ("bin(410042),length", Some("1")),
        ("bin(410042),hex", Some("410042")),
        ("str(true),bool", Some("0")),
        ("str(4),bool", Some("1")),
    ]);
}

#[test]
fn arithmetic_stops_at_the_limits() {
    check(&[
        (
            "int(9223372036854775807),add(1)",
            Some("9223372036854775807"),
        ),
        (
            "int(-9223372036854775807),sub(5)",
            Some("-9223372036854775808"),
        ),
        (
            "int(-9223372036854775807),mul(3)",
            Some("-9223372036854775808"),
        ),
        ("int(5),div(0)", Some("9223372036854775807")),
        ("int(-5),div(0)", Some("9223372036854775807")),
        (
            "int(-9223372036854775808),div(-1)",
            Some("9223372036854775807"),
        ),
        ("int(-9223372036854775808),mod(-1)", Some("0")),
        ("int(5),mod(0)", Some("0")),
        ("int(-7),div(2)", Some("-3")),
        ("int(-7),mod(3)", Some("-1")),
        ("int(5),cpl", Some("-6")),
        ("int(-9223372036854775808),neg", Some("9223372036854775807")),
        ("int(6),odd", Some("0")),
        ("int(6),even", Some("1")),
        ("int(6),not", Some("0")),
        ("int(6),and(3)", Some("2")),
        ("int(6),or(9)", Some("15")),
        ("int(6),xor(3)", Some("5")),
        ("int(5),add(txn.three)", Some("8")),
        ("int(5),add(txn.none)", None),
        ("int(1),htonl,hex", Some("00000001")),
    ]);
}

#[test]
fn fields_and_words_are_cut_out() {
    check(&[
        ("str(f1_f2_f3__f5),field(4,_)", Some("")),
        ("str(f1_f2_f3__f5),field(5,_)", Some("f5")),
        ("str(f1_f2_f3__f5),field(6,_)", None),
        ("str(f1_f2_f3__f5),field(2,_,0)", Some("f2_f3__f5")),
        ("str(f1_f2_f3__f5),field(2,_,2)", Some("f2_f3")),
        ("str(f1_f2_f3__f5),field(-2,_,3)", Some("f2_f3_")),
        ("str(f1_f2_f3__f5),field(-3,_,0)", Some("f1_f2_f3")),
        ("str(f1_f2_f3__f5),field(-9,_)", None),
        ("str(f1_f2_f3__f5),field(1,_,9)", Some("f1_f2_f3__f5")),
        ("str(f1_f2_f3__f5),field(4,_,2)", Some("_f5")),
        ("str(f1_f2_f3__f5),field(-1,_,2)", Some("_f5")),
        ("str(f1_f2),field(1,_,-1)", Some("f1_f2")),
        ("str(a.b-c),field(3,\".-\")", Some("c")),
        ("str(f1_f2_f3__f5),word(4,_)", Some("f5")),
        ("str(f1_f2_f3__f5),word(5,_)", None),
        ("str(f1_f2_f3__f5),word(2,_,0)", Some("f2_f3__f5")),
        ("str(f1_f2_f3__f5),word(3,_,2)", Some("f3__f5")),
        ("str(f1_f2_f3__f5),word(-2,_,3)", Some("f1_f2_f3")),
        ("str(f1_f2_f3__f5),word(-3,_,0)", Some("f1_f2")),
        ("str(/f1/f2/f3/f4),word(1,/)", Some("f1")),
        ("str(/f1////f2/f3/f4),word(2,/)", Some("f2")),
        ("str(__f1__f2__),word(1,_,0)", Some("f1__f2__")),
        ("str(__f1__f2__),word(-1,_)", Some("f2")),
        ("str(__f1__f2__),word(-1,_,0)", Some("__f1__f2")),
        ("str(__f1__f2__),word(1,_,5)", Some("f1__f2__")),
        ("str(___),word(1,_)", None),
        ("str(abcdef),bytes(1)", Some("bcdef")),
        ("str(abcdef),bytes(1,2)", Some("bc")),
        ("str(abcdef),bytes(txn.one,txn.three)", Some("bcd")),
        ("str(abcdef),bytes(1,99)", Some("bcdef")),
        ("str(abcdef),bytes(6)", Some("")),
        ("str(abcdef),bytes(0,-1)", Some("")),
    ]);
}

#[test]
fn strings_are_joined_compared_and_trimmed() {
    check(&[
        ("str(a),concat(-,txn.v,+)", Some("a-vv+")),
        ("str(a),concat(,txn.v)", Some("avv")),
        ("str(a),concat(-,txn.none,+)", Some("a-+")),
        ("str(a),concat", Some("a")),
        ("int(5),concat(x)", Some("5x")),
        ("str(a),add_item(-,txn.v)", Some("a-vv")),
        ("str(a),add_item(-,txn.none)", Some("a")),
        ("str(a),add_item(-,txn.none,s)", Some("a-s")),
        ("str(),add_item(-,txn.v,s)", Some("vvs")),
        ("str(a),add_item(-,,s)", Some("a-s")),
        ("str(b),strcmp(txn.v)", Some("-20")),
        ("str(vv),strcmp(txn.v)", Some("0")),
        ("str(vvx),strcmp(txn.v)", Some("1")),
        ("str(z),strcmp(txn.v)", Some("4")),
        ("str(z),strcmp(txn.none)", None),
        ("str(vv),secure_memcmp(txn.v)", Some("1")),
        ("str(vx),secure_memcmp(txn.v)", Some("0")),
        ("int(3),iif(a,b)", Some("a")),
        ("bool(false),iif(a,b)", Some("b")),
        ("str(\" a b \"),ltrim(\" \")", Some("a b ")),
        ("str(\" a b \"),rtrim(\" \")", Some(" a b")),
        ("str(\"a\\r\\nb\"),cut_crlf", Some("a")),
        ("str(ab cd),reverse", Some("dc ba")),
        (
            "str(mail.example.com.),reverse_dom",
            Some("com.example.mail"),
        ),
        ("str(a..b),reverse_dom", None),
        ("str(H:80),host_only", Some("h")),
        ("str(\"[::1]:80\"),host_only", Some("[::1]")),
        ("str(h:80),port_only", Some("80")),
        ("str(h),port_only", Some("0")),
        ("str(AbC),lower", Some("abc")),
        ("str(AbC),upper", Some("ABC")),
        ("str(a=b&c=d&a=r),param(a)", Some("b")),
        ("str(a&b=c),param(a)", Some("")),
        ("str(a=&b&c=a),param(b)", Some("")),
        ("str(a=1;b=2;c=4),param(b,;)", Some("2")),
        ("str(a=1;b=2;c=4),param(b,0x3b)", Some("2")),
        ("str(a=1),param(b)", None),
    ]);
}

#[test]
fn languages_are_chosen_by_quality() {
    check(&[
        (
            "str(\"es;q=0.5, fr;q=0.8, en\"),language(es;fr)",
            Some("fr"),
        ),
        (
            "str(\"es;q=0.5, fr;q=0.8, en\"),language(es;fr;en)",
            Some("en"),
        ),
        ("str(\"es;q=0, fr;q=0\"),language(es;fr,dd)", Some("dd")),
        ("str(\"de-CH, fr-FR;q=0.9\"),language(de;fr-FR)", Some("de")),
        (
            "str(\"fr-FR;q=0.9,de-CH;q=0.9\"),language(de;fr-FR)",
            Some("fr-FR"),
        ),
        ("str(fr-FR),language(fr-CA;fr)", Some("fr")),
        ("str(FR),language(fr)", None),
    ]);
}

#[test]
fn encodings_are_applied_and_undone() {
    check(&[
        ("str(abc),hex", Some("616263")),
        ("str(616),hex2i", Some("1558")),
        ("str(1xyz),hex2i", Some("0")),
        ("str(ffffffffffffffff),hex2i", Some("-1")),
        ("bin(8f),base2", Some("10001111")),
        ("str(abc),base64", Some("YWJj")),
        ("str(YWJj),b64dec", Some("abc")),
        ("str(YWJ),b64dec", None),
        ("str(YWI),b64dec", None),
        ("str(YWI),ub64dec", Some("ab")),
        ("str(\"??>\"),ub64enc", Some("Pz8-")),
        ("str(\"Pz8-\"),ub64dec", Some("??>")),
        ("str(\"Pz8+\"),ub64dec", None),
        ("str(a%20b+c?d+e),url_dec", Some("a b+c?d e")),
        ("str(a%20b+c?d+e),url_dec(1)", Some("a b c?d e")),
        ("str(a%zz),url_dec", None),
        ("str(a%2),url_dec", None),
        (
            "str(\"a b/c?d=e&f_g~h-i.j+k%é\"),url_enc",
            Some("a%20b%2Fc%3Fd%3De%26f_g~h-i.j%2Bk%25%C3%A9"),
        ),
        ("bin(01020304050607),be2dec(:,2)", Some("258:772:1286:7")),
        ("bin(01020304050607),be2dec(-,2,1)", Some("258-772-1286")),
        ("bin(01020304050607),be2dec(,2,1)", Some("2587721286")),
        ("bin(7f000001),be2dec(.,1)", Some("127.0.0.1")),
        ("bin(01020304050607),le2dec(:,2)", Some("513:1027:1541:7")),
        ("bin(01020304050607),be2hex", Some("01020304050607")),
        ("bin(01020304050607),be2hex(:,2)", Some("0102:0304:0506:07")),
        (
            "bin(01020304050607),be2hex(--,2,1)",
            Some("0102--0304--0506"),
        ),
        ("bin(0102030405060708),be2hex(,3,1)", Some("010203040506")),
        ("str(abc),has_ctl", Some("0")),
        ("str(\"a\\tc\"),has_ctl", Some("0")),
        ("str(\"a\\tc\"),has_ctl(any)", Some("1")),
        ("bin(7f),has_ctl", Some("1")),
        ("bin(7f),has_ctl(http)", Some("0")),
    ]);
}

#[test]
fn hashes_agree_with_haproxy() {
    check(&[
        ("str(hello),crc32", Some("907060870")),
        ("str(hello),crc32(1)", Some("3902247103")),
        ("str(hello),crc32c", Some("2591144780")),
        ("str(hello),djb2", Some("261238937")),
        ("str(hello),djb2(1)", Some("1119739105")),
        ("str(),djb2", Some("5381")),
        ("str(hello),sdbm", Some("684824882")),
        ("str(hello),sdbm(1)", Some("2061535398")),
        ("str(),sdbm(1)", Some("2874071335")),
        ("str(hello),wt6", Some("3538347703")),
        ("str(hello),wt6(1)", Some("140457739")),
        ("str(),wt6", Some("4187620192")),
        ("bin(e9ff01),wt6", Some("470377271")),
        ("bin(e9ff01),sdbm", Some("1941658411")),
        ("bin(e9ff01),crc32", Some("3176267737")),
        ("str(hello),xxh32", Some("4211111929")),
        ("str(hello),xxh32(5)", Some("3191799670")),
        ("str(hello),xxh64", Some("2794345569481354659")),
        ("str(hello),xxh3", Some("-7685981735718036227")),
        ("int(1),crc32", Some("304476159")),
        ("ipv4(127.0.0.1),crc32", Some("1696554816")),
        (
            "str(abc),sha1,hex",
            Some("A9993E364706816ABA3E25717850C26C9CD0D89D"),
        ),
        (
            "str(abc),sha2,hex",
            Some("BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD"),
        ),
        (
            "str(abc),sha2(224),hex",
            Some("23097D223405D8228642A477BDA255B32AADBCE4BDA0B3F7E36C9DA7"),
        ),
        (
            "str(abc),digest(md5),hex",
            Some("900150983CD24FB0D6963F7D28E17F72"),
        ),
        (
            "str(abc),digest(SHA256),hex",
            Some("BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD"),
        ),
        (
            "str(abc),hmac(sha256,a2V5),hex",
            Some("9C196E32DC0175F86F4B1CB89289D6619DE6BEE699E4C378E68309ED97A1A6AB"),
        ),
        (
            "str(abc),hmac(sha256,txn.key),hex",
            Some("9C196E32DC0175F86F4B1CB89289D6619DE6BEE699E4C378E68309ED97A1A6AB"),
        ),
        (
            "str(abc),hmac(sha1,a2V5),hex",
            Some("4FD0B215276EF12F2B3E4C8ECAC2811498B656FC"),
        ),
    ]);
}

#[test]
fn regular_expressions_substitute() {
    check(&[
        ("str(foobar),regsub(o,0)", Some("f0obar")),
        ("str(foobar),regsub(o,0,g)", Some("f00bar")),
        ("str(fOobar),regsub(o,0,gi)", Some("f00bar")),
        ("str(foobar),regsub(\"(o+)b\",\"<\\1>\")", Some("f<oo>ar")),
        ("str(foobar),regsub(\"x*\",\"-\",g)", Some("-f-o-o-b-a-r-")),
        ("str(foobar),regsub(\"f\",\"a&b$0\")", Some("a&b$0oobar")),
        (
            "str(/////a///b/c/xzxyz/),regsub('/+','/','g')",
            Some("/a/b/c/xzxyz/"),
        ),
        ("str(),regsub(^$,x)", Some("x")),
        ("str(foo),regsub(\"o$\",x,g)", Some("fox")),
        ("str(aaa),regsub(\"^a\",x,g)", Some("xaa")),
        ("str(abc),regsub(z,x)", Some("abc")),
    ]);
}

#[test]
fn dates_are_formatted() {
    check(&[
        (
            "int(784111777),http_date",
            Some("Sun, 06 Nov 1994 08:49:37 GMT"),
        ),
        (
            "int(784111777),http_date(60)",
            Some("Sun, 06 Nov 1994 08:50:37 GMT"),
        ),
        (
            "int(784111777123),http_date(0,ms)",
            Some("Sun, 06 Nov 1994 08:49:37.123 GMT"),
        ),
        (
            "int(784111777),utime(\"%Y-%m-%d %H:%M:%S\",60)",
            Some("1994-11-06 08:50:37"),
        ),
        ("int(784111777123),ms_utime(\"%S.%3N\")", Some("37.123")),
        (
            "int(784111777123456),us_utime(\"%S.%6N\")",
            Some("37.123456"),
        ),
        (
            "str(\"Sun, 06 Nov 1994 08:49:37 GMT\"),date",
            Some("784111777"),
        ),
    ]);
}

#[test]
fn json_is_escaped_and_queried() {
    check(&[
        (r#"str('a"b\c/d'),json"#, Some(r#"a\"b\\c\/d"#)),
        ("str(\"é~\"),json(utf8)", Some("\\u00e9~")),
        ("bin(e9),json(ascii)", Some("\\u00e9")),
        ("bin(e9),json(utf8)", None),
        ("bin(61e962),json(utf8s)", Some("ab")),
        ("bin(0109),json", Some("\\u0001\\t")),
        ("bin(7f),json", Some("\\u007f")),
        ("bin(c0af),json(utf8)", None),
        ("bin(c0af),json(utf8p)", Some("\\/")),
    ]);
    let document = r#"{"a": {"b": [1, "x", {"c":2}]}, "n":5, "f":1.5, "t":true, "z":null, "my.key":"v", "u":"\u00e9\n"}"#;
    let view = Literal::request(&format!("POST / HTTP/1.1\r\n\r\n{document}"));
    for (arguments, expected) in [
        ("'$.n','int'", Some("5")),
        ("'$.n'", Some("5")),
        ("'$.f'", Some("1.5")),
        ("'$.f','int'", Some("1")),
        ("'$.t'", Some("1")),
        ("'$.a.b[1]'", Some("x")),
        ("'$.a.b[2].c'", Some("2")),
        ("'$.a.b[3]'", None),
        ("'$.a.b'", Some(r#"[1, "x", {"c":2}]"#)),
        ("'$.a'", None),
        ("'$.z'", None),
        ("'$.none'", None),
        ("$.my\\\\.key", Some("v")),
        ("'$.u'", Some("é\n")),
    ] {
        assert_eq!(
            eval(&format!("req.body,json_query({arguments})"), &view).as_deref(),
            expected,
            "{arguments}"
        );
    }
    assert!(expression("req.body,json_query('n')").is_err());
    let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJtZSIsIm4iOjN9.sig";
    check(&[
        (
            &format!("str({token}),jwt_header_query('$.alg')"),
            Some("HS256"),
        ),
        (
            &format!("str({token}),jwt_payload_query('$.n','int'),add(1)"),
            Some("4"),
        ),
        (
            &format!("str({token}),jwt_payload_query"),
            Some("{\"iss\":\"me\",\"n\":3}"),
        ),
    ]);
}

#[test]
fn variables_are_set_under_conditions() {
    check(&[
        (
            "str(x),set-var(txn.q),length,set-var(txn.n),add(1)",
            Some("2"),
        ),
        (
            "str(y),set-var(txn.v,ifnotexists),concat(,txn.v)",
            Some("yvv"),
        ),
        ("str(y),set-var(txn.v,ifexists),concat(,txn.v)", Some("yy")),
        ("str(),set-var(txn.v,ifnotempty),concat(,txn.v)", Some("y")),
        ("str(a),unset-var(txn.v),concat(-,txn.v)", Some("a-")),
    ]);
    let view = view();
    eval("int(5),set-var(txn.count)", &view);
    eval("int(3),set-var(txn.count,iflt)", &view);
    assert_eq!(
        eval("var(txn.count)", &view).as_deref(),
        Some("5"),
        "5 is not less than 3"
    );
    eval("int(3),set-var(txn.count,ifgt)", &view);
    assert_eq!(eval("var(txn.count)", &view).as_deref(), Some("3"));
    assert_eq!(eval("var(txn.none,dflt)", &view).as_deref(), Some("dflt"));
    assert_eq!(
        eval("dump_all_vars(txn,co)", &view).as_deref(),
        Some("txn.count=3")
    );
    assert_eq!(
        eval("dump_all_vars(txn,,;)", &view).as_deref(),
        Some("txn.v=\"vv\";txn.key=\"a2V5\";txn.one=\"1\";txn.three=\"3\";txn.count=3")
    );
}

#[test]
fn addresses_are_masked() {
    check(&[
        ("ipv4(1.2.3.4),ipmask(24)", Some("1.2.3.0")),
        ("ipv4(1.2.3.4),ipmask(255.0.255.0)", Some("1.0.3.0")),
        ("ipv4(1.2.3.4),ipmask(24,64)", Some("1.2.3.0")),
        ("ipv6(2001:db8:1:2::1),ipmask(24,48)", Some("2001:db8:1::")),
        ("ipv6(2001:db8:1:2::1),ipmask(24)", None),
    ]);
}

#[test]
fn arguments_are_checked() {
    for (word, expected) in [
        (
            "str(a.b),field(1)",
            "missing arguments (got 1/2), type 'string' expected",
        ),
        ("str(a.b),field(0,.)", "Unexpected value 0 for index"),
        ("str(a),field(1,\"\")", "Empty separators list"),
        ("str(abc),sha2(100)", "Unsupported number of bits: '100'"),
        ("str(abc),digest(nope)", "'nope' is not supported"),
        ("str(abc),hmac(sha256,!)", "failed to parse key"),
        (
            "bool(true),iif(a)",
            "missing arguments (got 1/2), type 'string' expected",
        ),
        ("bin(01),be2hex(:)", "chunk_size needs to be positive (0)"),
        ("bin(01),be2dec(.,9)", "chunk_size out of [1..8] range (9)"),
        ("str(a),url_enc(x)", "Allowed value is 'query'"),
        ("str(a),regsub(a,b,x)", "invalid regex flag 'x'"),
        ("str(a),regsub(\"\",b)", "missing regex"),
        ("str(a),regsub(\"(\",b)", "is invalid"),
        ("str(a),json(latin1)", "unexpected input code type"),
        (
            "str(a),set-var(txn.x,sometimes)",
            "unknown condition 'sometimes'",
        ),
        ("str(a),set-var(x)", "invalid variable name 'x'"),
        ("str(a),when(maybe)", "unknown condition 'maybe'"),
        ("str(a),concat(a,b)", "invalid variable name 'b'"),
    ] {
        let message = expression(word).expect_err(word).message;
        assert!(message.contains(expected), "{word}: {message}");
    }
}

proptest::proptest! {
    // Each case runs every converter on several inputs.
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(8))]

    #[test]
    fn no_input_makes_a_converter_panic(text in "[ -~]{0,24}", bytes in proptest::collection::vec(0u8..=255, 0..24), number: i64) {
        let view = view();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let quoted = text.replace(['\'', '\\'], "");
        let inputs = [format!("str('{quoted}')"), format!("bin({hex})"), format!("int({number})"), "ipv6(::1)".into(), "bool(1)".into()];
        for converter in super::all() {
            for args in ["", "(1)", "(a)", "(1,a)", "(1,1)", "(-1,\" ,\",0)", "(txn.v)", "('$.a')", "(sha256)", "(24,64)"] {
                for input in &inputs {
                    if let Ok(expression) = expression(&format!("{input},{}{args}", converter.name)) {
                        expression.eval(&view);
                    }
                }
            }
        }
    }

}

proptest::proptest! {
    #[test]
    fn encodings_are_inverse(bytes in proptest::collection::vec(0u8..=255, 1..40)) {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        let view = view();
        for chain in ["base64,b64dec", "ub64enc,ub64dec"] {
            proptest::prop_assert_eq!(eval(&format!("bin({hex}),{chain},hex"), &view), Some(hex.clone()));
        }
    }
}
