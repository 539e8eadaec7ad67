//! Matching methods against the oracle's answers, and indexes against naive searches.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::expr::NoFiles;
use crate::expr::testing::Texts;

fn set_of(matching: Match, case: Case, patterns: &[&str]) -> Result<Arc<PatternSet>, PatternError> {
    let words: Vec<String> = patterns.iter().map(|word| (*word).to_owned()).collect();
    let list = Patterns::default().inline(None, &words).unwrap();
    PatternSet::new(matching, case, MapOutput::None, &list)
}

fn matches(matching: Match, patterns: &[&str], sample: &Sample<'_>) -> bool {
    set_of(matching, Case::Sensitive, patterns)
        .unwrap()
        .matches(sample)
}

#[test]
fn directories_and_domains_are_found_between_delimiters() {
    let path = Sample::str("/images/png/logo/32x32.png");
    for (pattern, expected) in [
        ("/images", true),
        ("images/png", true),
        ("/png/", true),
        ("png", true),
        ("/png/logo", true),
        ("32x32", false),
        ("32x32.png", true),
        ("logo/32x32.png", true),
        ("mages", false),
        ("/", false),
    ] {
        assert_eq!(
            matches(Match::Dir, &[pattern], &path),
            expected,
            "dir {pattern}"
        );
    }
    assert!(matches(
        Match::Dir,
        &["png"],
        &Sample::str("/images/png?x=1")
    ));
    let url = Sample::str("http://www1.dc-eu.example.com:80/blah");
    for (pattern, expected) in [
        ("http", true),
        ("www1", true),
        (".www1", true),
        ("dc-eu", true),
        ("eu", false),
        ("dc", false),
        (":www1:", true),
        ("example.com", true),
        ("80", true),
        ("blah", true),
        ("dc-eu.example", true),
    ] {
        assert_eq!(
            matches(Match::Dom, &[pattern], &url),
            expected,
            "dom {pattern}"
        );
    }
}

#[test]
fn strings_match_in_their_ways_and_cases() {
    let text = Sample::str("AbcDef");
    let cases = [
        (Match::Str, "AbcDef", true, "abcdef", true),
        (Match::Str, "abcdef", false, "ABCDEF", true),
        (Match::Beg, "Abc", true, "aBC", true),
        (Match::Beg, "abc", false, "bc", false),
        (Match::End, "Def", true, "dEF", true),
        (Match::End, "def", false, "de", false),
        (Match::Sub, "cD", true, "Cd", true),
        (Match::Sub, "cd", false, "x", false),
        (Match::Reg, "^A.*f$", true, "^a.*F$", true),
        (Match::Reg, "^a", false, "^b", false),
        (Match::Dom, "AbcDef", true, "abcdef", true),
    ];
    for (matching, exact, expected, folded, expected_folded) in cases {
        let sensitive = set_of(matching, Case::Sensitive, &[exact]).unwrap();
        assert_eq!(sensitive.matches(&text), expected, "{matching:?} {exact}");
        let ignored = set_of(matching, Case::Ignored, &[folded]).unwrap();
        assert_eq!(
            ignored.matches(&text),
            expected_folded,
            "{matching:?} -i {folded}"
        );
    }
}

#[test]
fn samples_are_cast_to_what_the_method_compares() {
    let address = Sample::Ip([1, 2, 3, 4].into());
    assert!(matches(Match::Str, &["1.2.3.4"], &address));
    assert!(matches(Match::Beg, &["1.2."], &address));
    assert!(matches(Match::Len, &["7"], &address));
    assert!(matches(Match::Bin, &["01020304"], &address));
    assert!(matches(Match::Int, &["16909060"], &address));
    assert!(matches(Match::Ip, &["1.2.3.0/24"], &Sample::str("1.2.3.4")));
    assert!(!matches(Match::Ip, &["1.2.3.0/24"], &Sample::str("x")));
    assert!(matches(Match::Int, &["3"], &Sample::str("3x")));
    assert!(matches(Match::Int, &["1"], &Sample::Bool(true)));
    assert!(matches(Match::Str, &["3"], &Sample::Int(3)));
    assert!(matches(Match::Bin, &["616263"], &Sample::str("abc")));
    assert!(!matches(Match::Bin, &["61"], &Sample::str("abc")));
    assert!(
        matches(Match::Str, &["A"], &Sample::bin(b"A\0B")),
        "a string ends at the first null byte"
    );
    assert!(matches(
        Match::Method,
        &["POST", "GET"],
        &Sample::Method(b"GET".into())
    ));
    assert!(!matches(
        Match::Method,
        &["get"],
        &Sample::Method(b"GET".into())
    ));
    assert!(
        set_of(Match::Method, Case::Ignored, &["xx"])
            .unwrap()
            .matches(&Sample::Method(b"XX".into()))
    );
}

#[test]
fn integers_match_ranges_and_operators() {
    for (patterns, value, expected) in [
        (&["2:4"][..], 3, true),
        (&["2:4"], 5, false),
        (&["3:"], i64::MAX, true),
        (&[":3"], -9, true),
        (&["gt 2"], 3, true),
        (&["gt 3"], 3, false),
        (&["ge 2:9"], 3, true),
        (&["lt 0"], -3, true),
        (&["le 3"], 3, true),
        (&["gt 5", "2", "3"], 3, true),
        (&["gt 9223372036854775807"], i64::MAX, false),
        (&["lt -9223372036854775808"], i64::MIN, false),
    ] {
        assert_eq!(
            matches(Match::Int, patterns, &Sample::Int(value)),
            expected,
            "{patterns:?} {value}"
        );
    }
    assert!(matches(
        Match::Version,
        &["3:3.1"],
        &Sample::Int(3 << 16 | 1)
    ));
    assert!(!matches(
        Match::Version,
        &["3:3.1"],
        &Sample::Int(3 << 16 | 2)
    ));
    for (wrong, message) in [
        (":", "':' is not a valid number range"),
        ("5:1", "'5:1' is not a valid number range"),
        ("x", "'x' is neither a number nor a supported operator"),
        (
            "over 5",
            "'over 5' is neither a number nor a supported operator",
        ),
    ] {
        assert_eq!(
            set_of(Match::Int, Case::Sensitive, &[wrong])
                .unwrap_err()
                .message,
            message
        );
    }
}

#[test]
fn addresses_match_networks_of_both_families() {
    for (pattern, address, expected) in [
        ("127.0.0.1", "127.0.0.1", true),
        ("127.1", "127.0.0.1", true),
        ("127/8", "127.0.0.1", false),
        ("127.0.0.5/8", "127.0.0.1", true),
        ("10.12", "10.0.0.12", true),
        ("192.168.1/22", "192.168.4.0", false),
        ("192.168.1/22", "192.168.0.7", true),
        ("127.0.0.1/255.0.0.255", "127.9.9.1", true),
        ("127.0.0.0/255.0.0.255", "127.0.0.1", false),
        ("0.0.0.0/0", "9.9.9.9", true),
        ("::ffff:127.0.0.1", "127.0.0.1", true),
        ("::/0", "127.0.0.1", true),
        ("::1", "127.0.0.1", false),
        ("1.2.3.4", "::ffff:1.2.3.4", true),
        ("1.2.3.4", "2002:102:304::", true),
        ("1.2.3.4", "::1.2.3.4", true),
        ("0.0.0.1", "::1", true),
        ("2001:db8::/32", "2001:db8:5::1", true),
        ("2001:db8::/32", "2001:db9::1", false),
        ("::/0", "2001:db9::1", true),
    ] {
        let sample = Sample::Ip(address.parse().unwrap());
        assert_eq!(
            matches(Match::Ip, &[pattern], &sample),
            expected,
            "{address} in {pattern}"
        );
    }
    for wrong in [
        "1.2.3.4/33",
        "1.2.3.4.5",
        "300.1.1.1",
        "::1/129",
        "127.0.0.1/",
        "::1/ffff::",
        "",
        "a",
        "1..2",
        "/8",
    ] {
        assert!(
            set_of(Match::Ip, Case::Sensitive, &[wrong]).is_err(),
            "{wrong}"
        );
    }
}

#[test]
fn the_offload_compiler_sees_networks_and_ranges() {
    let nets = set_of(
        Match::Ip,
        Case::Sensitive,
        &["10.1.2.3/8", "2001:db8::1/32", "127.1"],
    )
    .unwrap();
    let mut shown = Vec::new();
    let networks = nets.networks().unwrap();
    networks.within_v4(0, u32::MAX, |first, last| shown.push((first, last)));
    assert_eq!(
        shown,
        [(0x0a00_0000, 0x0aff_ffff), (0x7f00_0001, 0x7f00_0001)]
    );
    assert!(networks.are_prefixes());
    assert_eq!(networks.count(), (2, 1));
    let odd = set_of(Match::Ip, Case::Sensitive, &["10.0.0.1/255.0.0.255"]).unwrap();
    assert!(!odd.networks().unwrap().are_prefixes());

    assert_eq!(nets.ranges(), None);
    let ranges = set_of(Match::Int, Case::Sensitive, &["gt 100"])
        .unwrap()
        .ranges()
        .unwrap();
    assert_eq!(
        ranges,
        [IntRange {
            low: 101,
            high: i64::MAX
        }]
    );
}

#[test]
fn files_are_read_once_and_shared() {
    let files = Texts(std::collections::HashMap::from([(
        "list",
        "# c\n a \n\n# d\n #kept\nb c\r\n",
    )]));
    let mut patterns = Patterns::default();
    let first = patterns.named("list", ListKind::Acl, &files).unwrap();
    let again = patterns.named("file@list", ListKind::Acl, &files).unwrap();
    assert!(Arc::ptr_eq(&first, &again));
    let entries: Vec<_> = first
        .entries()
        .iter()
        .map(|entry| (entry.line, entry.pattern.to_string()))
        .collect();
    assert_eq!(
        entries,
        [(2, "a ".into()), (5, "#kept".into()), (6, "b c".into())]
    );
    assert!(
        patterns
            .named("list", ListKind::Map, &files)
            .unwrap_err()
            .contains("already used as an ACL")
    );
    assert!(patterns.named("missing", ListKind::Acl, &files).is_err());
    assert!(
        patterns
            .named("opt@missing", ListKind::Acl, &files)
            .unwrap()
            .entries()
            .is_empty()
    );
    assert!(patterns.named("virt@x", ListKind::Acl, &NoFiles).is_ok());
    assert_eq!(patterns.by_name("virt@x").map(|list| list.id()), Some(2));
}

#[test]
fn a_change_is_seen_by_every_use_or_by_none() {
    let mut patterns = Patterns::default();
    let list = patterns
        .inline(Some(7), &["10.0.0.0/8".to_owned()])
        .unwrap();
    let nets = PatternSet::new(Match::Ip, Case::Sensitive, MapOutput::None, &list).unwrap();
    let texts = PatternSet::new(Match::Str, Case::Sensitive, MapOutput::None, &list).unwrap();
    list.add("192.0.2.1", None).unwrap();
    assert!(nets.matches(&Sample::Ip([192, 0, 2, 1].into())));
    assert!(texts.matches(&Sample::str("192.0.2.1")));
    assert_eq!(list.version(), 1);
    // What is no address is refused by one of the two, so the other does not see it either.
    assert!(list.add("host", None).is_err());
    assert!(!texts.matches(&Sample::str("host")));
    assert_eq!((list.entries().len(), list.version()), (2, 1));
    assert_eq!(list.remove(|entry| &*entry.pattern == "10.0.0.0/8"), 1);
    assert!(!nets.matches(&Sample::Ip([10, 1, 1, 1].into())));
    assert_eq!(list.id(), 7);
    assert!(patterns.inline(Some(7), &[]).is_err());
    // A number that was only given by us makes room.
    let unnumbered = patterns.inline(None, &[]).unwrap();
    let number = unnumbered.id();
    let numbered = patterns.inline(Some(number), &[]).unwrap();
    assert_eq!(numbered.id(), number);
    assert_ne!(unnumbered.id(), number);
}

#[test]
fn map_values_change_at_run_time() {
    let files = Texts(std::collections::HashMap::from([("map", "a 1\nb 2\n")]));
    let list = Patterns::default()
        .named("map", ListKind::Map, &files)
        .unwrap();
    let set = PatternSet::new(Match::Str, Case::Sensitive, MapOutput::Int, &list).unwrap();
    let value = |key: &str| set.lookup(&Sample::str(key)).map(|hit| hit.value);
    assert_eq!(value("b"), Some(Sample::Int(2)));
    assert_eq!(list.set("b", "3"), Ok(1));
    assert_eq!(value("b"), Some(Sample::Int(3)));
    assert!(list.set("b", "three").is_err());
    assert_eq!(value("b"), Some(Sample::Int(3)));
    list.replace([("c", Some("9"))]).unwrap();
    assert_eq!((value("a"), value("c")), (None, Some(Sample::Int(9))));
}

/// Which entry matches, found without any index.
fn naive(matching: Match, patterns: &[String], text: &str) -> bool {
    patterns.iter().any(|pattern| match matching {
        Match::Str => text == pattern,
        Match::Beg => text.starts_with(&**pattern),
        Match::End => text.ends_with(&**pattern),
        _ => text.contains(&**pattern),
    })
}

fn naive_longest_prefix<'a>(patterns: &'a [String], text: &str) -> Option<&'a str> {
    let fitting = patterns
        .iter()
        .filter(|pattern| text.starts_with(&***pattern));
    fitting
        .max_by_key(|pattern| pattern.len())
        .map(String::as_str)
}

proptest! {
    #[test]
    fn string_indexes_equal_a_naive_search(
        patterns in prop::collection::vec("[ab/]{0,4}", 1..30),
        text in "[ab/]{0,8}",
    ) {
        let words: Vec<&str> = patterns.iter().map(String::as_str).collect();
        for matching in [Match::Str, Match::Beg, Match::End, Match::Sub] {
            let set = set_of(matching, Case::Sensitive, &words).unwrap();
            prop_assert_eq!(set.matches(&Sample::str(&*text)), naive(matching, &patterns, &text), "{:?}", matching);
        }
    }

    #[test]
    fn map_beg_takes_the_longest_key(
        keys in prop::collection::vec("[ab]{1,4}", 1..30),
        text in "[ab]{0,8}",
    ) {
        let list = Patterns::default().named("virt@m", ListKind::Map, &NoFiles).unwrap();
        list.replace(keys.iter().map(|key| (key.as_str(), Some(key.as_str())))).unwrap();
        let set = PatternSet::new(Match::Beg, Case::Sensitive, MapOutput::Str, &list).unwrap();
        let found = set.lookup(&Sample::str(&*text)).map(|hit| String::from_utf8(hit.value.to_text().into_owned()).unwrap());
        prop_assert_eq!(found.as_deref(), naive_longest_prefix(&keys, &text));
    }

    #[test]
    fn network_index_equals_the_longest_matching_prefix(
        nets in prop::collection::vec((0u32..64, 24u8..=32), 0..40),
        address in 0u32..64,
    ) {
        // Crowded on purpose: 64 neighbouring addresses.
        let text = |(low, bits): &(u32, u8)| format!("{}/{bits}", std::net::Ipv4Addr::from(0xc000_0200 + low));
        let keys: Vec<String> = nets.iter().map(text).collect();
        let list = Patterns::default().named("virt@m", ListKind::Map, &NoFiles).unwrap();
        list.replace(keys.iter().map(|key| (key.as_str(), Some(key.as_str())))).unwrap();
        let set = PatternSet::new(Match::Ip, Case::Sensitive, MapOutput::Str, &list).unwrap();
        let address = IpAddr::from(std::net::Ipv4Addr::from(0xc000_0200 + address));
        let parsed: Vec<ipnet::Ipv4Net> = keys.iter().map(|key| key.parse().unwrap()).collect();
        let best = parsed
            .iter()
            .enumerate()
            .filter(|(_, net)| IpAddr::from(net.network()) <= address && net.contains(&match address { IpAddr::V4(a) => a, IpAddr::V6(_) => unreachable!() }))
            .max_by_key(|(at, net)| (net.prefix_len(), std::cmp::Reverse(*at)))
            .map(|(at, _)| keys[at].clone());
        let found = set.lookup(&Sample::Ip(address)).map(|hit| String::from_utf8(hit.value.to_text().into_owned()).unwrap());
        prop_assert_eq!(found, best);
    }

    #[test]
    fn wide_and_narrow_ipv6_networks_nest(bits in 0u8..=128, address: u128, other: u128) {
        let net = ipnet::Ipv6Net::new(address.into(), bits).unwrap();
        let set = set_of(Match::Ip, Case::Sensitive, &[&net.to_string()]).unwrap();
        for candidate in [address, other, address.wrapping_add(1), address ^ 1 << 64] {
            let candidate = std::net::Ipv6Addr::from(candidate);
            prop_assert_eq!(set.matches(&Sample::Ip(candidate.into())), net.contains(&candidate));
        }
    }

    #[test]
    fn integer_index_equals_a_naive_search(
        ranges in prop::collection::vec((-20i64..20, 0i64..10), 0..20),
        value in -25i64..25,
    ) {
        let words: Vec<String> = ranges.iter().map(|(low, length)| format!("{low}:{}", low + length)).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let set = set_of(Match::Int, Case::Sensitive, &words).unwrap();
        let expected = ranges.iter().any(|(low, length)| (*low..=low + length).contains(&value));
        prop_assert_eq!(set.matches(&Sample::Int(value)), expected);
    }

    #[test]
    fn no_pattern_panics(pattern in ".{0,20}", text in ".{0,20}") {
        for (_, matching) in Match::NAMES {
            if let Ok(set) = set_of(matching, Case::Ignored, &[&pattern]) {
                let _ = (set.matches(&Sample::str(&*text)), set.matches(&Sample::Int(5)));
            }
        }
    }
}
