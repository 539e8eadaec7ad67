//! Options about TLS with clients.

use super::{BindOption, option, refused};
use crate::lang::keywords::tls::{alpn, ciphers, ciphersuites, curves, verify};
use crate::model::Verify;

pub(super) const OPTIONS: &[BindOption] = &[
    option(
        "alpn",
        "<protocols>",
        "Sets the protocols offered during the TLS handshake.",
        |args, bind, _| {
            bind.alpn = Some(alpn(args.need("a comma-delimited list of protocols")?)?);
            Ok(())
        },
    ),
    option(
        "no-alpn",
        "",
        "Offers no protocols during the TLS handshake.",
        |_, bind, _| {
            bind.alpn = Some(Vec::new());
            Ok(())
        },
    ),
    option(
        "ca-file",
        "<cafile>",
        "Sets who may sign client certificates.",
        |args, bind, context| {
            let path =
                context.existing(context.global.ca_base.as_ref(), args.need("a file name")?)?;
            bind.ca_file = Some(path);
            Ok(())
        },
    ),
    option(
        "ca-verify-file",
        "<cafile>",
        "As 'ca-file', without naming the authorities to clients.",
        |args, bind, context| {
            let path =
                context.existing(context.global.ca_base.as_ref(), args.need("a file name")?)?;
            bind.ca_verify_file = Some(path);
            Ok(())
        },
    ),
    option(
        "ciphers",
        "<ciphers>",
        "Sets the TLS 1.2 suites.",
        |args, bind, _| {
            bind.tls.ciphers = Some(ciphers(args.need("a cipher string")?)?);
            Ok(())
        },
    ),
    option(
        "ciphersuites",
        "<suites>",
        "Sets the TLS 1.3 suites.",
        |args, bind, _| {
            bind.tls.ciphersuites = Some(ciphersuites(args.need("a cipher suite string")?)?);
            Ok(())
        },
    ),
    option(
        "crl-file",
        "<crlfile>",
        "Sets which client certificates are revoked.",
        |args, bind, context| {
            let path =
                context.existing(context.global.ca_base.as_ref(), args.need("a file name")?)?;
            bind.crl_file = Some(path);
            Ok(())
        },
    ),
    option(
        "crt",
        "<cert>",
        "Adds certificates: a PEM file or a directory of them.",
        |args, bind, context| {
            let word = args.need("a certificate location")?;
            bind.certificates
                .push(context.existing(context.global.crt_base.as_ref(), word)?);
            Ok(())
        },
    ),
    option(
        "crt-list",
        "<file>",
        "Adds the certificates of a list.",
        |args, bind, context| {
            let word = args.need("a list file")?;
            bind.certificate_lists
                .push(context.existing(context.global.crt_base.as_ref(), word)?);
            Ok(())
        },
    ),
    option(
        "curves",
        "<curves>",
        "Sets the key exchange groups.",
        |args, bind, _| {
            bind.tls.curves = Some(curves(args.need("a list of curves")?)?);
            Ok(())
        },
    ),
    option(
        "ecdhe",
        "<curve>",
        "Sets the key exchange group.",
        |args, bind, _| {
            bind.tls.curves = Some(curves(args.need("a named curve")?)?);
            Ok(())
        },
    ),
    option("ssl", "", "Speaks TLS.", |_, bind, _| {
        bind.ssl = true;
        Ok(())
    }),
    option(
        "strict-sni",
        "",
        "Refuses clients whose name no certificate has.",
        |_, bind, _| {
            bind.strict_sni = true;
            Ok(())
        },
    ),
    option(
        "no-strict-sni",
        "",
        "Serves the first certificate to unknown names.",
        |_, bind, _| {
            bind.strict_sni = false;
            Ok(())
        },
    ),
    option(
        "verify",
        "none | optional | required",
        "Asks clients for certificates.",
        |args, bind, _| {
            bind.verify = verify(
                args,
                &[
                    ("none", Verify::None),
                    ("optional", Verify::Optional),
                    ("required", Verify::Required),
                ],
            )?;
            Ok(())
        },
    ),
    refused("allow-0rtt", "", "early data is not accepted"),
    refused(
        "generate-certificates",
        "",
        "name every certificate with 'crt'",
    ),
    refused("npn", "<protocols>", "use 'alpn'"),
    refused(
        "ca-ignore-err",
        "<errors>",
        "every error of a client's certificate counts",
    ),
    refused(
        "ca-sign-file",
        "<file>",
        "name every certificate with 'crt'",
    ),
    refused(
        "ca-sign-pass",
        "<passphrase>",
        "name every certificate with 'crt'",
    ),
    refused(
        "crt-ignore-err",
        "<errors>",
        "every error of a client's certificate counts",
    ),
    refused("no-ca-names", "", "use 'ca-verify-file'"),
    refused(
        "tls-ticket-keys",
        "<file>",
        "ticket keys are made and changed by the process",
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
    refused("default-crt", "<cert>", "the first 'crt' is the default"),
    refused(
        "ocsp-update",
        "on | off",
        "OCSP answers are read from files",
    ),
];
