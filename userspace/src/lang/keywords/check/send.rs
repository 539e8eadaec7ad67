//! What checks send, and how they connect.

use std::net::SocketAddr;
use std::sync::Arc;

use super::{Kind, RequestLine};
use crate::expr::Stage;
use crate::lang::ast::Word;
use crate::lang::keywords::address::{Address, Endpoint, Ports};
use crate::lang::keywords::args::{Args, Complaint, Parsed, number};
use crate::lang::keywords::context::Context;
use crate::lang::keywords::draft::ProxyDraft;
use crate::lang::keywords::expressions::{Rules, literal};
use crate::lang::keywords::tls::alpn;
use crate::model::{CheckConnect, CheckStep, HttpSend, ServerTls, Verify};

/// `option httpchk [<method>] [<uri>] [<version>] [<host>]`
pub(super) fn httpchk(
    args: &mut Args<'_>,
    draft: &mut ProxyDraft,
    context: &mut Context<'_>,
) -> Parsed {
    let mut request = RequestLine::default();
    let words = args.rest();
    match words {
        [] => {}
        [uri] => request.uri = Some(literal(&uri.text)),
        [method, uri, ..] => {
            request.method = Some(method_name(method)?);
            request.uri = Some(literal(&uri.text));
        }
    }
    if let Some(version) = words.get(2) {
        let (version_text, rest) = version
            .text
            .split_once("\r\n")
            .unwrap_or((&version.text, ""));
        request.version = Some(http_version(version, version_text)?);
        if !rest.is_empty() {
            let message = "headers behind the version are an old form: use 'http-check send'";
            context.warn(version.span, message);
            for line in rest.split("\r\n").filter(|line| !line.is_empty()) {
                let (name, value) = line.split_once(':').unwrap_or((line, ""));
                request
                    .headers
                    .push((name.trim().to_owned(), literal(value.trim())));
            }
        }
    }
    if let Some(host) = words.get(3) {
        let format = Rules::without_acls(context, Stage::Check).log_format(host)?;
        request.headers.push(("host".to_owned(), format));
    }
    args.skip(4);
    args.end()?;
    draft.check.kind = Kind::Http;
    draft.check.request = request;
    Ok(())
}

/// Options of a `connect` rule.
pub(super) fn connect(args: &mut Args<'_>, context: &Context<'_>) -> Parsed<CheckConnect> {
    let mut connect = CheckConnect::default();
    let mut tls = None;
    let mut sni = None;
    let mut protocols = None;
    while let Some(word) = args.take() {
        match word.text.as_str() {
            "default" => {}
            "port" => {
                let port = args.need("a port number")?;
                connect.port = Some(number(port, 1..=65_535)?);
            }
            "addr" => {
                let word = args.need("an address")?;
                let Endpoint::Inet { host, ports } = Address::of(word)?.endpoint else {
                    return Err(Complaint::new(word.span, "expects an IP address"));
                };
                let port = match ports {
                    Ports::None => 0,
                    Ports::One(port) => port,
                    _ => return Err(Complaint::new(word.span, "port range not permitted here")),
                };
                connect.address = Some(SocketAddr::new(host.resolve(context, word.span)?, port));
            }
            "send-proxy" => connect.send_proxy = true,
            "ssl" => tls = Some(word.span),
            "sni" => sni = Some(args.need("a name")?.text.clone()),
            "alpn" => protocols = Some(alpn(args.need("a comma-delimited list of protocols")?)?),
            "linger" => connect.linger = true,
            "comment" => connect.comment = Some(args.need("a comment")?.text.clone()),
            "via-socks4" => connect.via_socks4 = true,
            "proto" => {
                return Err(Complaint::new(
                    word.span,
                    format!("'{}' is not supported", word.text),
                ));
            }
            _ => {
                let known = [
                    "default",
                    "port",
                    "addr",
                    "send-proxy",
                    "via-socks4",
                    "ssl",
                    "sni",
                    "alpn",
                    "linger",
                    "comment",
                ];
                return Err(Complaint::unknown(word, "option", known));
            }
        }
    }
    connect.tls = tls.map(|_| Arc::new(check_tls(sni, protocols)));
    Ok(connect)
}

/// TLS of a check that opens its own connection: the certificate is not looked at.
fn check_tls(check_sni: Option<String>, alpn: Option<Vec<Vec<u8>>>) -> ServerTls {
    ServerTls {
        verify: Verify::None,
        ca_file: None,
        certificate: None,
        sni: None,
        check_sni,
        no_sni_auto: false,
        verify_host: None,
        alpn,
        min_version: None,
        max_version: None,
        crl_file: None,
        ciphers: None,
        ciphersuites: None,
        curves: None,
    }
}

/// `http-check send …`
pub(super) fn http_send(
    args: &mut Args<'_>,
    draft: &ProxyDraft,
    context: &mut Context<'_>,
) -> Parsed<HttpSend> {
    let is_first = draft.check.http_inherited && !draft.inheriting
        || !draft
            .check
            .http
            .iter()
            .any(|step| matches!(step, CheckStep::SendHttp(_)));
    let start = if is_first {
        draft.check.request.clone()
    } else {
        RequestLine::default()
    };
    let mut send = start.to_send();
    while let Some(word) = args.take() {
        match word.text.as_str() {
            "meth" => send.method = method_name(args.need("a string as argument")?)?,
            "uri" => send.uri = literal(&args.need("a string as argument")?.text),
            "uri-lf" => {
                let format = args.need("a log-format string")?;
                send.uri = Rules::without_acls(context, Stage::Check).log_format(format)?;
            }
            "ver" => {
                let version = args.need("a string as argument")?;
                send.version = http_version(version, &version.text)?;
            }
            "hdr" => {
                let name = args.need("<name> and <value> as arguments")?;
                let value = args.need("<name> and <value> as arguments")?;
                let is_framing = ["content-length", "transfer-encoding"]
                    .iter()
                    .any(|framing| name.text.eq_ignore_ascii_case(framing));
                let format = Rules::without_acls(context, Stage::Check).log_format(value)?;
                if !is_framing {
                    send.headers.push((name.text.clone(), format));
                }
            }
            "body" => send.body = Some(literal(&args.need("a string as argument")?.text)),
            "body-lf" => {
                let format = args.need("a log-format string")?;
                send.body = Some(Rules::without_acls(context, Stage::Check).log_format(format)?);
            }
            "comment" => send.comment = Some(args.need("a comment")?.text.clone()),
            _ => {
                let known = [
                    "meth", "uri", "uri-lf", "ver", "hdr", "body", "body-lf", "comment",
                ];
                return Err(Complaint::unknown(word, "option", known));
            }
        }
    }
    Ok(send)
}

/// Pairs of hexadecimal digits as bytes.
pub(super) fn hexadecimal(word: &Word) -> Parsed<Vec<u8>> {
    let digits = word.text.as_bytes();
    let byte = |(index, pair): (usize, &[u8])| {
        let text = std::str::from_utf8(pair).ok();
        let value = text
            .filter(|_| pair.len() == 2)
            .and_then(|text| u8::from_str_radix(text, 16).ok());
        value.ok_or_else(|| {
            Complaint::new(
                word.at(index * 2),
                "expects an even number of hexadecimal digits",
            )
        })
    };
    if digits.is_empty() {
        return Err(Complaint::new(
            word.span,
            "expects an even number of hexadecimal digits",
        ));
    }
    digits.chunks(2).enumerate().map(byte).collect()
}

fn method_name(word: &Word) -> Parsed<String> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    match word.text.bytes().position(|byte| !is_token(byte)) {
        None if !word.text.is_empty() => Ok(word.text.clone()),
        offset => Err(Complaint::new(
            word.at(offset.unwrap_or(0)),
            format!("invalid method '{}'", word.text),
        )),
    }
}

fn http_version(word: &Word, text: &str) -> Parsed<String> {
    let is_version = text.strip_prefix("HTTP/").is_some_and(|number| {
        let bytes = number.as_bytes();
        matches!(bytes, [major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit())
    });
    if is_version {
        return Ok(text.to_owned());
    }
    Err(
        Complaint::new(word.span, format!("invalid version '{text}'"))
            .hint("write HTTP/1.0 or HTTP/1.1"),
    )
}
