//! Options about TLS to the server.

use super::{ServerOption, no_op, option, refused};
use crate::expr::Stage;
use crate::lang::keywords::expressions::Rules;
use crate::lang::keywords::tls::{alpn, ciphers, ciphersuites, curves, verify};
use crate::model::Verify;

pub(super) const OPTIONS: &[ServerOption] = &[
    option(
        "alpn",
        "<protocols>",
        "Sets the protocols offered to the server.",
        |args, server, _| {
            server.tls.alpn = Some(alpn(args.need("a comma-delimited list of protocols")?)?);
            Ok(())
        },
    ),
    option(
        "ca-file",
        "<cafile>",
        "Sets who may sign the server's certificate.",
        |args, server, context| {
            let word = args.need("a file name")?;
            server.tls.ca_file = Some(context.existing(context.global.ca_base.as_ref(), word)?);
            Ok(())
        },
    ),
    option(
        "ciphers",
        "<ciphers>",
        "Sets the TLS 1.2 suites.",
        |args, server, _| {
            server.tls.settings.ciphers = Some(ciphers(args.need("a cipher string")?)?);
            Ok(())
        },
    ),
    option(
        "ciphersuites",
        "<suites>",
        "Sets the TLS 1.3 suites.",
        |args, server, _| {
            server.tls.settings.ciphersuites =
                Some(ciphersuites(args.need("a cipher suite string")?)?);
            Ok(())
        },
    ),
    option(
        "crl-file",
        "<crlfile>",
        "Sets which server certificates are revoked.",
        |args, server, context| {
            let word = args.need("a file name")?;
            server.tls.crl_file = Some(context.existing(context.global.ca_base.as_ref(), word)?);
            Ok(())
        },
    ),
    option(
        "crt",
        "<cert>",
        "Sets the certificate shown to the server.",
        |args, server, context| {
            let word = args.need("a file name")?;
            server.tls.certificate = Some(context.certificate(word)?);
            Ok(())
        },
    ),
    option(
        "curves",
        "<curves>",
        "Sets the key exchange groups.",
        |args, server, _| {
            server.tls.settings.curves = Some(curves(args.need("a list of curves")?)?);
            Ok(())
        },
    ),
    option(
        "sni",
        "<expression>",
        "Sets the name asked for during the TLS handshake.",
        |args, server, context| {
            server.tls.sni = Some(Rules::without_acls(context, Stage::Connect).expression(args)?);
            Ok(())
        },
    ),
    option("ssl", "", "Speaks TLS to the server.", |_, server, _| {
        server.ssl = true;
        Ok(())
    }),
    option(
        "no-ssl",
        "",
        "Does not speak TLS to the server.",
        |_, server, _| {
            server.ssl = false;
            Ok(())
        },
    ),
    option(
        "verify",
        "none | required",
        "Sets whether the server's certificate is checked.",
        |args, server, _| {
            server.tls.verify = Some(verify(
                args,
                &[("none", Verify::None), ("required", Verify::Required)],
            )?);
            Ok(())
        },
    ),
    option(
        "no-sni-auto",
        "",
        "Sends no name where 'sni' gives none.",
        |_, server, _| {
            server.tls.no_sni_auto = true;
            Ok(())
        },
    ),
    option(
        "sni-auto",
        "",
        "Sends the request's host where 'sni' gives no name.",
        |_, server, _| {
            server.tls.no_sni_auto = false;
            Ok(())
        },
    ),
    option(
        "verifyhost",
        "<hostname>",
        "Sets the name the certificate must carry.",
        |args, server, _| {
            server.tls.verify_host = Some(args.need("a host name")?.text.clone());
            Ok(())
        },
    ),
    option(
        "no-verifyhost",
        "",
        "Checks the certificate against the name asked for.",
        |_, server, _| {
            server.tls.verify_host = None;
            Ok(())
        },
    ),
    no_op(
        "ssl-reuse",
        "",
        "TLS sessions are resumed whenever the server allows it",
    ),
    no_op("no-renegotiate", "", "renegotiation does not exist here"),
    refused("allow-0rtt", "", "early data is not sent"),
    refused("npn", "<protocols>", "use 'alpn'"),
    refused(
        "no-ssl-reuse",
        "",
        "TLS sessions are resumed whenever the server allows it",
    ),
    refused(
        "sigalgs",
        "<list>",
        "the TLS library chooses signature algorithms",
    ),
    refused(
        "client-sigalgs",
        "<list>",
        "the TLS library chooses signature algorithms",
    ),
    refused("renegotiate", "", "renegotiation does not exist here"),
];
