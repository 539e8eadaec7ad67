//! Mistakes as they are shown.

use super::*;

#[test]
fn mistakes_of_every_family_are_shown_at_once() {
    let (loaded, said) = load_text(concat!(
        "global\n",
        "    deamon\n",
        "    maxconn many\n",
        "    user nobody-here\n",
        "    lua-load x.lua\n",
        "defaults\n",
        "    mode htp\n",
        "    timeout clientt 5s\n",
        "    timeout client 5 seconds\n",
        "    timeout server 5x\n",
        "    option httplogs\n",
        "frontend web from base\n",
        "    bind 127.0.0.1\n",
        "    bind :8080 sll crt x\n",
        "    acl blog path_bg /blog\n",
        "    http-request set-hdr X-A b\n",
        "    http-request set-header X-A \"%[scr]\"\n",
        "    http-request deny if blgo\n",
        "    use_backend aps if { src 10.0.0.1 }\n",
        "    tcp-request connection track-sc0 src table nowhere\n",
        "backend app\n",
        "    balance roundrobbin\n",
        "    server one 10.0.0.1:80 chekc\n",
        "    server two 10.0.0.1:80 weight 300\n",
        "    cookie SRV insrt\n",
        "    stick-table type ip size 1x\n",
        "cache c\n",
    ));
    assert!(loaded.model.is_none());
    insta::assert_snapshot!(said);
}

#[test]
fn warnings_show_where_they_come_from() {
    let (loaded, said) = load_text(concat!(
        "defaults\n",
        "    mode http\n",
        "frontend web\n",
        "    use_backend app if TRUE\n",
        "    http-request deny if FALSE\n",
        "    http-request allow\n",
        "    http-request deny\n",
        "    balance roundrobin\n",
        "    option httplog\n",
        "backend app\n",
        "    server s 10.0.0.1:80\n",
        "listen old 127.0.0.1:8080\n",
        "    mode tcp\n",
        "    cookie SRV insert\n",
        "    timeout client 1s\n",
    ));
    assert!(loaded.model.is_some());
    insta::assert_snapshot!(said);
}

#[test]
fn a_mistake_in_defaults_is_told_once_however_many_proxies_use_them() {
    let (_, said) = load_text("defaults\n timeout client 5x\nbackend a\nbackend b\nbackend c\n");
    assert_eq!(
        said.matches("unexpected character 'x'").count(),
        1,
        "{said}"
    );
}

#[test]
fn a_wrong_acl_is_not_told_of_again_where_it_is_used() {
    let (_, said) = load_text(&format!(
        "{BASE}frontend f\n bind :1\n acl a nosuch\n http-request deny if a\n"
    ));
    assert_eq!(
        said.matches("[ALERT]").count(),
        3,
        "the ACL, the file, the verdict: {said}"
    );
}

#[test]
fn names_in_expressions_must_exist() {
    for (expression, message) in [
        (
            "nbsrv(nowhere) gt 1",
            "unable to find backend 'nowhere' referenced in arg 1 of 'nbsrv'",
        ),
        (
            "src_conn_rate(nowhere) gt 1",
            "unable to find table 'nowhere'",
        ),
        ("srv_is_up(b/nobody)", "unable to find server 'b/nobody'"),
        ("http_auth(nobody)", "unable to find userlist 'nobody'"),
    ] {
        let text = format!(
            "{BASE}frontend f\n bind :1\n acl a {expression}\nbackend b\n server s 1.1.1.1:1\n"
        );
        let (_, said) = load_text(&text);
        assert!(said.contains(message), "{expression}: {said}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let loaded = load(
        &["/nonexistent.cfg".into()],
        &Table::default(),
        &Settings::default(),
    );
    let style = Style {
        pid: 1,
        color: false,
        diagnostic_mode: false,
    };
    insta::assert_snapshot!(loaded.diagnostics.render(&loaded.sources, style), @r"
    [ALERT]    (1) : config : Cannot open configuration file/directory /nonexistent.cfg : No such file or directory
    [ALERT]    (1) : config : Fatal errors found in configuration.
    ");
}

#[test]
fn a_condition_on_the_command_line_is_answered() {
    let environment = Table::with(&[("TESTVAR", "1")]);
    let check = |text: &str| check_condition(text, &environment, &Abilities::OURS);
    assert_eq!(check("streq(\"foo bar\",'foo bar')"), Ok(true));
    assert_eq!(
        check("defined(TESTVAR) && streq(\"$TESTVAR\",\"1\")"),
        Ok(true)
    );
    assert_eq!(check(""), Ok(false));
    assert!(check("streq(a,\"a)").is_err());
    assert!(check("200rrr").is_err());
}
