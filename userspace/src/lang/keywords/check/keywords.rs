//! The statements about checks.

use super::Kind;
use super::expect::{HTTP_MATCHES, TCP_MATCHES, expectation};
use super::send::{connect, hexadecimal, http_send, httpchk};
use crate::expr::{Stage, VariableName};
use crate::lang::keywords::args::{Args, Complaint, Parsed};
use crate::lang::keywords::context::Context;
use crate::lang::keywords::draft::ProxyDraft;
use crate::lang::keywords::expressions::Rules;
use crate::lang::keywords::registry::{Effect, Keyword, Sections};
use crate::model::CheckStep;
use crate::proto::checks::{MysqlClient, Protocol};

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

/// A keyword that `healthcheck` sections have too.
const fn rule(
    name: &'static str,
    args: &'static str,
    doc: &'static str,
    parse: fn(&mut Args<'_>, &mut ProxyDraft, &mut Context<'_>) -> Parsed,
) -> Keyword {
    Keyword {
        sections: Sections::BACK.or(Sections::HEALTHCHECK),
        ..keyword(name, args, doc, parse)
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
    Keyword {
        name: "external-check",
        sections: Sections::GLOBAL,
        args: "[preserve-env]",
        doc: "Lets programs check servers.",
        effect: Effect::Global(|args, context| {
            context.global.external_check = Some(args.take_if("preserve-env"));
            args.end()
        }),
    },
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
            draft.check.kind = Kind::BuiltIn(Protocol::Redis);
            args.end()
        },
    ),
    keyword(
        "option ldap-check",
        "",
        "Checks LDAPv3 servers.",
        |args, draft, _| {
            draft.check.kind = Kind::BuiltIn(Protocol::Ldap);
            args.end()
        },
    ),
    keyword(
        "option mysql-check",
        "[user <username> [pre-41|post-41|post-80]]",
        "Checks MySQL servers.",
        mysql,
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
    rule(
        "http-check comment",
        "<string>",
        "Names the step that follows.",
        |args, draft, _| {
            let step = CheckStep::Comment(args.only("a comment")?.text.clone());
            draft.check.push_http(step, draft.inheriting);
            Ok(())
        },
    ),
    rule(
        "http-check connect",
        "[<option> ...]",
        "Opens a connection.",
        |args, draft, context| {
            let step = CheckStep::Connect(connect(args, context)?);
            draft.check.push_http(step, draft.inheriting);
            Ok(())
        },
    ),
    rule(
        "http-check disable-on-404",
        "",
        "Drains servers that answer 404.",
        |args, draft, _| {
            draft.check.disable_on_404 = true;
            args.end()
        },
    ),
    rule(
        "http-check expect",
        "[<option> ...] [!] <match> <pattern>",
        "Says which answers are good.",
        |args, draft, context| {
            let step = CheckStep::Expect(expectation(args, context, HTTP_MATCHES)?);
            draft.check.push_http(step, draft.inheriting);
            Ok(())
        },
    ),
    rule(
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
    rule(
        "http-check send-state",
        "",
        "Tells servers their state in a header.",
        |args, draft, _| {
            draft.check.send_state = true;
            args.end()
        },
    ),
    rule(
        "tcp-check comment",
        "<string>",
        "Names the step that follows.",
        |args, draft, _| {
            let step = CheckStep::Comment(args.only("a comment")?.text.clone());
            draft.check.push_tcp(step, draft.inheriting);
            Ok(())
        },
    ),
    rule(
        "tcp-check connect",
        "[<option> ...]",
        "Opens a connection.",
        |args, draft, context| {
            let step = CheckStep::Connect(connect(args, context)?);
            draft.check.push_tcp(step, draft.inheriting);
            Ok(())
        },
    ),
    rule(
        "tcp-check expect",
        "[<option> ...] [!] <match> <pattern>",
        "Says which answers are good.",
        |args, draft, context| {
            let step = CheckStep::Expect(expectation(args, context, TCP_MATCHES)?);
            draft.check.push_tcp(step, draft.inheriting);
            Ok(())
        },
    ),
    rule(
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
    rule(
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
    rule(
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
    rule(
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
    rule(
        "http-check set-var",
        "(<var-name>) <expr>",
        "Sets a variable to a sample.",
        |args, draft, context| {
            let step = set_variable(args, context)?;
            draft.check.push_http(step, draft.inheriting);
            Ok(())
        },
    ),
    rule(
        "http-check set-var-fmt",
        "(<var-name>) <fmt>",
        "Sets a variable to a text.",
        |args, draft, context| {
            let step = set_variable_format(args, context)?;
            draft.check.push_http(step, draft.inheriting);
            Ok(())
        },
    ),
    rule(
        "http-check unset-var",
        "(<var-name>)",
        "Forgets a variable.",
        |args, draft, _| {
            let name = variable(args)?;
            args.end()?;
            draft
                .check
                .push_http(CheckStep::UnsetVariable(name), draft.inheriting);
            Ok(())
        },
    ),
    rule(
        "tcp-check set-var",
        "(<var-name>) <expr>",
        "Sets a variable to a sample.",
        |args, draft, context| {
            let step = set_variable(args, context)?;
            draft.check.push_tcp(step, draft.inheriting);
            Ok(())
        },
    ),
    rule(
        "tcp-check set-var-fmt",
        "(<var-name>) <fmt>",
        "Sets a variable to a text.",
        |args, draft, context| {
            let step = set_variable_format(args, context)?;
            draft.check.push_tcp(step, draft.inheriting);
            Ok(())
        },
    ),
    rule(
        "tcp-check unset-var",
        "(<var-name>)",
        "Forgets a variable.",
        |args, draft, _| {
            let name = variable(args)?;
            args.end()?;
            draft
                .check
                .push_tcp(CheckStep::UnsetVariable(name), draft.inheriting);
            Ok(())
        },
    ),
    keyword(
        "option external-check",
        "",
        "Checks servers with a program.",
        |args, draft, _| {
            draft.check.kind = Kind::External;
            args.end()
        },
    ),
    keyword(
        "external-check command",
        "<command>",
        "Sets the program that checks servers.",
        |args, draft, _| {
            draft.check.external.command = args.only("a command")?.text.clone();
            Ok(())
        },
    ),
    keyword(
        "external-check path",
        "<path>",
        "Sets the PATH of the program that checks servers.",
        |args, draft, _| {
            draft.check.external.path = Some(args.only("a path")?.text.clone());
            Ok(())
        },
    ),
    keyword(
        "option ssl-hello-chk",
        "",
        "Checks whether servers answer a client hello of SSLv3.",
        |args, draft, _| {
            draft.check.kind = Kind::Hello;
            args.end()
        },
    ),
    refused("option spop-check", "", "there are no SPOP servers"),
];

fn smtpchk(args: &mut Args<'_>, draft: &mut ProxyDraft, _: &mut Context<'_>) -> Parsed {
    let hello = match (args.take(), args.take()) {
        (Some(hello), Some(domain)) if ["HELO", "EHLO"].contains(&hello.text.as_str()) => {
            format!("{} {}", hello.text, domain.text)
        }
        _ => "HELO localhost".to_owned(),
    };
    args.end()?;
    draft.check.kind = Kind::BuiltIn(Protocol::Smtp { hello });
    Ok(())
}

fn pgsql(args: &mut Args<'_>, draft: &mut ProxyDraft, _: &mut Context<'_>) -> Parsed {
    if !args.take_if("user") {
        return Err(args.missing("'user' <username>"));
    }
    let user = args.only("a user name")?.text.clone();
    draft.check.kind = Kind::BuiltIn(Protocol::Pgsql { user });
    Ok(())
}

fn mysql(args: &mut Args<'_>, draft: &mut ProxyDraft, _: &mut Context<'_>) -> Parsed {
    let mut user = None;
    if args.take_if("user") {
        let name = args.need("a user name")?.text.clone();
        let clients = [
            ("pre-41", MysqlClient::Before41),
            ("post-41", MysqlClient::Since41),
            ("post-80", MysqlClient::Since80),
        ];
        let client = clients.into_iter().find(|(word, _)| args.take_if(word));
        user = Some((
            name,
            client.map_or_else(MysqlClient::default, |(_, client)| client),
        ));
    }
    args.end()?;
    draft.check.kind = Kind::BuiltIn(Protocol::Mysql { user });
    Ok(())
}

fn set_variable(args: &mut Args<'_>, context: &mut Context<'_>) -> Parsed<CheckStep> {
    let name = variable(args)?;
    let value = Rules::without_acls(context, Stage::Check).expression(args)?;
    args.end()?;
    Ok(CheckStep::SetVariable(name, value))
}

fn set_variable_format(args: &mut Args<'_>, context: &mut Context<'_>) -> Parsed<CheckStep> {
    let name = variable(args)?;
    let format =
        Rules::without_acls(context, Stage::Check).log_format(args.need("a log-format string")?)?;
    args.end()?;
    Ok(CheckStep::SetVariableFormat(name, format))
}

/// The variable between the parentheses of the statement's own words.
fn variable(args: &Args<'_>) -> Parsed<VariableName> {
    let missing = || args.missing("a variable name between parentheses");
    let word = args.keyword_word().ok_or_else(missing)?;
    let inside = word
        .text
        .split_once('(')
        .and_then(|(_, rest)| rest.strip_suffix(')'));
    let name = VariableName::parse(inside.ok_or_else(missing)?);
    name.map_err(|error| Complaint::new(word.span, error.message))
}
