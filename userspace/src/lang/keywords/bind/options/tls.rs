//! Options about TLS with clients.

use super::{BindOption, BindSettings, option, refused};
use crate::lang::keywords::args::{Args, Complaint, Parsed};
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
            bind.certificates.push(context.certificate(word)?);
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
    option(
        "crt-ignore-err",
        "all | <error>[,<error>]*",
        "Serves clients in spite of errors of their certificates.",
        |args, bind, _| ignore(args, bind),
    ),
    option(
        "ca-ignore-err",
        "all | <error>[,<error>]*",
        "Serves clients in spite of errors of those who signed their certificates.",
        |args, bind, _| ignore(args, bind),
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
            bind.strict_sni = Some(true);
            Ok(())
        },
    ),
    option(
        "no-strict-sni",
        "",
        "Serves the first certificate to unknown names.",
        |_, bind, _| {
            bind.strict_sni = Some(false);
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
        "ca-sign-file",
        "<file>",
        "name every certificate with 'crt'",
    ),
    refused(
        "ca-sign-pass",
        "<passphrase>",
        "name every certificate with 'crt'",
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

/// OpenSSL's verification errors by number or name, or `all`. The TLS library does not tell which certificate of a chain is
/// at fault, so both keywords mean all of them.
fn ignore(args: &mut Args<'_>, bind: &mut BindSettings) -> Parsed {
    let word = args.need("'all' or a list of error numbers or names")?;
    for error in word.text.split(',') {
        let bits = match error.parse::<u8>() {
            _ if error == "all" => u128::MAX,
            Ok(number) if number < 128 => 1 << number,
            _ => {
                let known = ERRORS.iter().find(|(name, _)| *name == error);
                let unknown = || Complaint::new(word.span, format!("unknown error '{error}'"));
                1 << known.ok_or_else(unknown)?.1
            }
        };
        bind.ignored_errors.0 |= bits;
    }
    Ok(())
}

const ERRORS: &[(&str, u8)] = &[
    ("X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT", 2),
    ("X509_V_ERR_UNABLE_TO_GET_CRL", 3),
    ("X509_V_ERR_CERT_SIGNATURE_FAILURE", 7),
    ("X509_V_ERR_CERT_NOT_YET_VALID", 9),
    ("X509_V_ERR_CERT_HAS_EXPIRED", 10),
    ("X509_V_ERR_CRL_HAS_EXPIRED", 12),
    ("X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT", 18),
    ("X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN", 19),
    ("X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY", 20),
    ("X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE", 21),
    ("X509_V_ERR_CERT_REVOKED", 23),
    ("X509_V_ERR_INVALID_PURPOSE", 26),
];
