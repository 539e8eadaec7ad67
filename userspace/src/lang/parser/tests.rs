//! Sections, blocks and the environment, with the messages HAProxy has for what is wrong.

use proptest::prelude::*;

use super::*;
use crate::lang::diagnostics::Style;
use crate::lang::testing::Table;

fn read(text: impl Into<Vec<u8>>) -> (Vec<Section>, String) {
    let environment = Table::with(&[("HOME", "/root"), ("OPTIONS", "rise 2")]);
    let mut sources = Sources::default();
    sources.add("t.cfg", text);
    let mut variables = Variables::new(&environment, &[("HAPROXY_BRANCH", "3.4".to_owned())]);
    let mut diagnostics = Diagnostics::default();
    let sections = parse(&sources, &Abilities::OURS, &mut variables, &mut diagnostics);
    let style = Style {
        pid: 1,
        color: false,
        diagnostic_mode: true,
    };
    (sections, diagnostics.render(&sources, style))
}

/// Sections as `keyword name: line | line`.
fn outline(sections: &[Section]) -> Vec<String> {
    let line = |line: &Line| {
        line.words
            .iter()
            .map(AsRef::as_ref)
            .collect::<Vec<&str>>()
            .join(" ")
    };
    sections
        .iter()
        .map(|section| {
            let lines: Vec<_> = section.lines.iter().map(line).collect();
            format!("{}: {}", line(&section.header), lines.join(" | "))
        })
        .collect()
}

#[test]
fn indentation_and_comments_do_not_matter() {
    let (sections, said) = read("global#x\n   daemon#y\n frontend    foo\nmode   http  # or tcp\n");
    assert_eq!(said, "");
    assert_eq!(
        outline(&sections),
        ["global: daemon", "frontend foo: mode http"]
    );
}

#[test]
fn the_environment_changes_for_the_lines_that_follow() {
    let (sections, said) = read(
        "global\n description \"$A\"\n setenv A one\n presetenv A two\n description \"$A\"\n unsetenv A HOME\n \
         description \"x$A$HOME\"\n resetenv\n description \"${HAPROXY_BRANCH-gone}\"\ndefaults\n setenv A three\n \
         description \"${A-gone}\"\n",
    );
    assert_eq!(said, "");
    assert_eq!(
        outline(&sections)[0],
        "global: description | setenv A one | presetenv A two | description one | unsetenv A HOME | description x | \
         resetenv | description gone"
    );
    assert_eq!(
        outline(&sections)[1],
        "defaults: setenv A three | description gone"
    );
}

#[test]
fn blocks_choose_lines_and_may_cross_sections() {
    let (sections, said) = read(
        ".if streq(a,b)\nglobal\n.elif 1\nbackend a\n .if 0\n foo\n .else\n bar\n .endif\n.elif nonsense(\n.else\n \
         baz\n.endif\n qux\n",
    );
    assert_eq!(said, "");
    assert_eq!(outline(&sections), ["backend a: bar | qux"]);
}

#[test]
fn skipped_branches_are_cut_into_words_but_not_understood() {
    let (_, said) = read(
        ".if 0\n.foo\n.if nonsense(\n.elif nonsense(\n.else\n.notice no\n.endif\n.elif 1\n.notice yes\n.endif\n",
    );
    assert_eq!(
        said,
        "[NOTICE]   (1) : config : parsing [t.cfg:9] : 'yes'.\n"
    );
    let (_, said) = read(".if 0\n log \"abc\n.endif\n");
    assert!(said.contains("unmatched quote at position 6"), "{said}");
}

#[test]
fn everything_wrong_is_told_at_once() {
    let (_, said) = read(concat!(
        "daemn\n",
        "glbal\n",
        "global\n",
        "\tlog \"abc\n",
        "\tlog-tag \"${FOO\"\n",
        ".endif\n",
        ".if foo(\n",
        ".else x\n",
        ".elif 1\n",
        ".endif\n",
        ".foo\n",
        ".warning a b\n",
        ".alert \"stop here\"\n",
        ".diag 'look at me'\n",
        "backend b\n",
        "\tserver s \"${NOPE}\" check\n",
        "\tserver s 127.0.0.1 \"${NOPE}\"\n",
        ".if 1\n",
        "\tmode http",
    ));
    insta::assert_snapshot!(said);
}

#[test]
fn a_file_ends_its_sections() {
    let environment = Table::default();
    let mut sources = Sources::default();
    sources.add("a.cfg", "global\n");
    sources.add("b.cfg", "daemon\n");
    let mut diagnostics = Diagnostics::default();
    let mut variables = Variables::new(&environment, &[]);
    let sections = parse(&sources, &Abilities::OURS, &mut variables, &mut diagnostics);
    assert_eq!(outline(&sections), ["global: "]);
    assert!(diagnostics.are_fatal());
}

#[test]
fn ten_thousand_nested_blocks_are_refused_without_harm() {
    let (_, said) = read(".if 1\n".repeat(10_000) + &".endif\n".repeat(10_000));
    assert!(said.contains("too many nested '.if'"));
}

proptest! {
    #[test]
    fn any_bytes_end_in_sections_and_messages(text in prop::collection::vec(any::<u8>(), 0..400)) {
        read(text);
    }

    #[test]
    fn lines_of_known_words_never_panic(
        words in prop::collection::vec("(global|backend|\\.if|\\.elif|\\.else|\\.endif|setenv|\"\\$A\"|[(!1x]|\n){1,3}", 0..60)
    ) {
        read(words.join(" "));
    }
}
