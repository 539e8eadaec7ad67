//! The statements about checks.

use super::Kind;
use super::expect::{HTTP_MATCHES, TCP_MATCHES, expectation};
use super::send::{connect, hexadecimal, http_send, httpchk};
use crate::expr::Stage;
use crate::lang::keywords::args::{Args, Parsed};
use crate::lang::keywords::context::Context;
use crate::lang::keywords::draft::ProxyDraft;
use crate::lang::keywords::expressions::Rules;
use crate::lang::keywords::registry::{Effect, Keyword, Sections};
use crate::model::{CheckStep, Expect, ExpectMatch};

const fn keyword(
    name: &'static str,
    args: &'static str,
    doc: &'static str,
    parse: fn(&mut Args<'_>, &mut ProxyDraft, &mut Context<'_>) -> Parsed,
) -> Keyword {
    Keyword {
        name,
        sections: Sections::BACK,
        args,
        doc,
        effect: Effect::Proxy(parse),
    }
}

const fn refused(name: &'static str, args: &'static str, instead: &'static str) -> Keyword {
    Keyword {
        name,
        sections: Sections::BACK,
        args,
        doc: "Not in this version.",
        effect: Effect::Refused(instead),
    }
}

pub(in crate::lang::keywords) const KEYWORDS: &[Keyword] = &[
    keyword(
        "option httpchk",
        "[<method>] [<uri>] [<version>] [<host>]",
        "Checks servers with an HTTP request.",
        httpchk,
    ),
    keyword(
        "option tcp-check",
        "",
        "Checks servers with the dialogue of 'tcp-check' rules.",
        |args, draft, _| {
            draft.check.kind = Kind::Tcp;
            args.end()
        },
    ),
    keyword(
        "option redis-check",
        "",
        "Checks Redis servers.",
        |args, draft, _| {
            let steps = vec![
                send(b"*1\r\n$4\r\nPING\r\n"),
                expect(ExpectMatch::Bytes(b"+PONG\r\n".to_vec())),
            ];
            draft.check.kind = Kind::BuiltIn(steps.into());
            args.end()
        },
    ),
    keyword(
        "option ldap-check",
        "",
        "Checks LDAPv3 servers.",
        |args, draft, _| {
            let bound = regex(args, LDAP_BOUND)?;
            let steps = vec![
                send(LDAP_BIND),
                expect(ExpectMatch::Regex {
                    regex: bound,
                    binary: true,
                }),
            ];
            draft.check.kind = Kind::BuiltIn(steps.into());
            args.end()
        },
    ),
    keyword(
        "option pgsql-check",
        "user <username>",
        "Checks PostgreSQL servers.",
        pgsql,
    ),
    keyword(
        "option smtpchk",
        "[<hello> <domain>]",
        "Checks mail servers.",
        smtpchk,
    ),
    Keyword {
        name: "option log-health-checks",
        sections: Sections::BACK,
        args: "",
        doc: "Logs the result of every check.",
        effect: Effect::Switch(
            |args, draft, _| {
                draft.check.log_all = true;
                args.end()
            },
            |draft| draft.check.log_all = false,
        ),
    },
    keyword(
        "http-check comment",
        "<string>",
        "Names the step that follows.",
        |args, draft, _| {
            let step = CheckStep::Comment(args.only("a comment")?.text.clone());
            draft.check.push_http(step, draft.inheriting);
            Ok(())
        },
    ),
    keyword(
        "http-check connect",
        "[<option> ...]",
        "Opens a connection.",
        |args, draft, context| {
            let step = CheckStep::Connect(connect(args, context)?);
            draft.check.push_http(step, draft.inheriting);
            Ok(())
        },
    ),
    keyword(
        "http-check disable-on-404",
        "",
        "Drains servers that answer 404.",
        |args, draft, _| {
            draft.check.disable_on_404 = true;
            args.end()
        },
    ),
    keyword(
        "http-check expect",
        "[<option> ...] [!] <match> <pattern>",
        "Says which answers are good.",
        |args, draft, context| {
            let step = CheckStep::Expect(expectation(args, context, HTTP_MATCHES)?);
            draft.check.push_http(step, draft.inheriting);
            Ok(())
        },
    ),
    keyword(
        "http-check send",
        "[<option> ...]",
        "Says what is sent.",
        |args, draft, context| {
            let step = http_send(args, draft, context)?;
            draft
                .check
                .push_http(CheckStep::SendHttp(step), draft.inheriting);
            Ok(())
        },
    ),
    keyword(
        "http-check send-state",
        "",
        "Tells servers their state in a header.",
        |args, draft, _| {
            draft.check.send_state = true;
            args.end()
        },
    ),
    keyword(
        "tcp-check comment",
        "<string>",
        "Names the step that follows.",
        |args, draft, _| {
            let step = CheckStep::Comment(args.only("a comment")?.text.clone());
            draft.check.push_tcp(step, draft.inheriting);
            Ok(())
        },
    ),
    keyword(
        "tcp-check connect",
        "[<option> ...]",
        "Opens a connection.",
        |args, draft, context| {
            let step = CheckStep::Connect(connect(args, context)?);
            draft.check.push_tcp(step, draft.inheriting);
            Ok(())
        },
    ),
    keyword(
        "tcp-check expect",
        "[<option> ...] [!] <match> <pattern>",
        "Says which answers are good.",
        |args, draft, context| {
            let step = CheckStep::Expect(expectation(args, context, TCP_MATCHES)?);
            draft.check.push_tcp(step, draft.inheriting);
            Ok(())
        },
    ),
    keyword(
        "tcp-check send",
        "<data> [comment <msg>]",
        "Sends a text.",
        |args, draft, _| {
            let data = args.need("a string as argument")?.text.clone().into_bytes();
            draft
                .check
                .push_sent(CheckStep::Send(data), args, draft.inheriting)
        },
    ),
    keyword(
        "tcp-check send-binary",
        "<hexstring> [comment <msg>]",
        "Sends bytes.",
        |args, draft, _| {
            let data = hexadecimal(args.need("a hexadecimal string")?)?;
            draft
                .check
                .push_sent(CheckStep::Send(data), args, draft.inheriting)
        },
    ),
    keyword(
        "tcp-check send-lf",
        "<fmt> [comment <msg>]",
        "Sends a text made of samples.",
        |args, draft, context| {
            let format = Rules::without_acls(context, Stage::Check)
                .log_format(args.need("a log-format string")?)?;
            draft.check.push_sent(
                CheckStep::SendFormat {
                    format,
                    binary: false,
                },
                args,
                draft.inheriting,
            )
        },
    ),
    keyword(
        "tcp-check send-binary-lf",
        "<hexfmt> [comment <msg>]",
        "Sends bytes made of samples.",
        |args, draft, context| {
            let format = Rules::without_acls(context, Stage::Check)
                .log_format(args.need("a log-format string")?)?;
            draft.check.push_sent(
                CheckStep::SendFormat {
                    format,
                    binary: true,
                },
                args,
                draft.inheriting,
            )
        },
    ),
    refused(
        "http-check set-var",
        "",
        "variables cannot be set during checks",
    ),
    refused(
        "http-check unset-var",
        "",
        "variables cannot be set during checks",
    ),
    refused(
        "tcp-check set-var",
        "",
        "variables cannot be set during checks",
    ),
    refused(
        "tcp-check unset-var",
        "",
        "variables cannot be set during checks",
    ),
    refused(
        "option external-check",
        "",
        "no program is started; use 'tcp-check' rules or 'agent-check'",
    ),
    refused(
        "option mysql-check",
        "[user <username>]",
        "use 'option tcp-check' with 'tcp-check' rules",
    ),
    refused("option spop-check", "", "there are no SPOP servers"),
    refused(
        "option ssl-hello-chk",
        "",
        "use 'check-ssl', or 'option tcp-check' with 'tcp-check' rules",
    ),
    refused(
        "external-check command",
        "<command>",
        "no program is started",
    ),
    refused("external-check path", "<path>", "no program is started"),
];

fn smtpchk(args: &mut Args<'_>, draft: &mut ProxyDraft, _: &mut Context<'_>) -> Parsed {
    let hello = match (args.take(), args.take()) {
        (Some(hello), Some(domain)) if ["HELO", "EHLO"].contains(&hello.text.as_str()) => {
            format!("{} {}\r\n", hello.text, domain.text)
        }
        _ => "HELO localhost\r\n".to_owned(),
    };
    args.end()?;
    let line = |text: &str| {
        Ok(expect(ExpectMatch::Regex {
            regex: regex(args, text)?,
            binary: false,
        }))
    };
    let steps = vec![
        line("^[0-9]{3}[ \r]")?,
        line("^2[0-9]{2}[ \r]")?,
        send(hello.as_bytes()),
        line("^2[0-9]{2}[- \r]")?,
        send(b"QUIT\r\n"),
        line("^2[0-9]{2}[- \r]")?,
    ];
    draft.check.kind = Kind::BuiltIn(steps.into());
    Ok(())
}

/// Starts a session as a user: any answer but an error is good.
fn pgsql(args: &mut Args<'_>, draft: &mut ProxyDraft, _: &mut Context<'_>) -> Parsed {
    if !args.take_if("user") {
        return Err(args.missing("'user' <username>"));
    }
    let user = args.only("a user name")?.text.as_bytes();
    let mut packet = [b"\0\x03\0\0user\0", user, b"\0\0"].concat();
    let length = u32::try_from(packet.len() + 4).unwrap_or(u32::MAX);
    packet.splice(0..0, length.to_be_bytes());
    let answer = |text: &str, negated: bool| {
        let matching = ExpectMatch::Regex {
            regex: regex(args, text)?,
            binary: false,
        };
        Ok(CheckStep::Expect(Expect {
            negated,
            min_recv: Some(1),
            ..expectation_of(matching)
        }))
    };
    let steps = vec![send(&packet), answer("^E", true)?, answer("^R", false)?];
    draft.check.kind = Kind::BuiltIn(steps.into());
    Ok(())
}

fn regex(args: &Args<'_>, text: &str) -> Parsed<regex::bytes::Regex> {
    regex::bytes::Regex::new(text).map_err(|error| args.wrong(error.to_string()))
}

fn send(bytes: &[u8]) -> CheckStep {
    CheckStep::Send(bytes.to_vec())
}

fn expect(matching: ExpectMatch) -> CheckStep {
    CheckStep::Expect(expectation_of(matching))
}

fn expectation_of(matching: ExpectMatch) -> Expect {
    Expect {
        negated: false,
        matching,
        min_recv: None,
        ok_status: None,
        error_status: None,
        timeout_status: None,
        on_success: None,
        on_error: None,
        status_code: None,
        comment: None,
    }
}

/// An anonymous simple bind of LDAPv3 (RFC 4511 §4.2).
const LDAP_BIND: &[u8] = b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\0\x80\0";

/// The hexadecimal dump of a bind response with result code success, lengths in short or long form.
const LDAP_BOUND: &str = "(?i)^30(84[0-9a-f]{8}|81[0-9a-f]{2}|[0-7][0-9a-f])02010161(84[0-9a-f]{8}|81[0-9a-f]{2}|[0-7][0-9a-f])0a0100";
