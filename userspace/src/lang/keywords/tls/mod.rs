//! TLS settings shared by bind and server lines, and their defaults in `global` (manual §3.1, §5.1, §5.2).
//!
//! Cipher strings in OpenSSL's notation are resolved here to the suites the TLS library has: names it does not know are
//! left out, as OpenSSL does, and a string that leaves nothing is an error.

mod ciphers;

use super::args::{Args, Complaint, Parsed};
use super::catalogue::State;
use super::context::Context;
use super::logging::choose;
use super::registry::Keyword;
use crate::lang::ast::Word;
use crate::lang::diagnostics::Severity;
use crate::model::Verify;
pub(super) use ciphers::{ciphers, ciphersuites, curves};

/// TLS settings of one side, from `global` or from a line.
#[derive(Clone, Debug, Default)]
pub(in crate::lang) struct TlsSettings {
    /// Oldest version, as `0x0303` for TLS 1.2.
    pub min_version: Option<u16>,
    /// Newest version.
    pub max_version: Option<u16>,
    /// TLS 1.2 suites.
    pub ciphers: Option<Vec<String>>,
    /// TLS 1.3 suites.
    pub ciphersuites: Option<Vec<String>>,
    /// Key exchange groups.
    pub curves: Option<Vec<String>>,
    /// No session tickets.
    pub no_tickets: bool,
    /// The client's order of suites decides.
    pub prefer_client_ciphers: bool,
}

/// What `ssl-default-…` lines of `global` said.
#[derive(Clone, Debug, Default)]
pub(in crate::lang) struct TlsDefaults {
    pub bind: TlsSettings,
    pub server: TlsSettings,
    /// `ssl-server-verify none`.
    pub server_verify_none: bool,
    /// `strict-sni` of `ssl-default-bind-options`.
    pub strict_sni: bool,
}

pub(super) const KEYWORDS: &[Keyword] = &[
    Keyword::global(
        "ca-base",
        "<dir>",
        "Sets where relative 'ca-file' and 'crl-file' names begin.",
        |args, context| {
            context.global.ca_base =
                Some(context.path(args.only("a directory path as an argument")?));
            Ok(())
        },
    ),
    Keyword::global(
        "ssl-load-extra-del-ext",
        "",
        "Looks for the key of 'a.crt' in 'a.key'.",
        |args, context| {
            context.global.load_extra_del_ext = true;
            args.end()
        },
    ),
    Keyword::global(
        "tune.ssl.capture-buffer-size",
        "<number>",
        "Keeps the lists of ciphers, groups and signature algorithms of client hellos.",
        |args, context| {
            context.global.tune.tls_capture = args.number(0..=1 << 20)?;
            args.end()
        },
    ),
    Keyword::global(
        "crt-base",
        "<dir>",
        "Sets where relative 'crt' names begin.",
        |args, context| {
            context.global.crt_base =
                Some(context.path(args.only("a directory path as an argument")?));
            Ok(())
        },
    ),
    Keyword::global(
        "key-base",
        "<dir>",
        "Sets where relative 'key' names of 'crt-store' sections begin.",
        |args, context| {
            context.key_base = Some(context.path(args.only("a directory path as an argument")?));
            Ok(())
        },
    ),
    Keyword::global(
        "jwt.decrypt_alg_list",
        "<list>",
        "Sets how keys of encrypted tokens may be encrypted.",
        |args, context| {
            let word = args.only("a list of algorithms")?;
            let keys = context.patterns.keys();
            keys.allow_algorithms(&word.text)
                .map_err(|message| Complaint::new(word.span, message))
        },
    ),
    Keyword::global(
        "jwt.decrypt_enc_list",
        "<list>",
        "Sets how texts of encrypted tokens may be encrypted.",
        |args, context| {
            let word = args.only("a list of algorithms")?;
            let keys = context.patterns.keys();
            keys.allow_encryptions(&word.text)
                .map_err(|message| Complaint::new(word.span, message))
        },
    ),
    Keyword::global(
        "ssl-default-bind-ciphers",
        "<ciphers>",
        "Sets the TLS 1.2 suites of bind lines.",
        |args, context| {
            context.tls.bind.ciphers = Some(ciphers(args.only("a cipher string")?)?);
            Ok(())
        },
    ),
    Keyword::global(
        "ssl-default-bind-ciphersuites",
        "<suites>",
        "Sets the TLS 1.3 suites of bind lines.",
        |args, context| {
            context.tls.bind.ciphersuites =
                Some(ciphersuites(args.only("a cipher suite string")?)?);
            Ok(())
        },
    ),
    Keyword::global(
        "ssl-default-bind-curves",
        "<curves>",
        "Sets the key exchange groups of bind lines.",
        |args, context| {
            context.tls.bind.curves = Some(curves(args.only("a list of curves")?)?);
            Ok(())
        },
    ),
    Keyword::global(
        "ssl-default-bind-options",
        "<option> ...",
        "Sets TLS options of all bind lines.",
        |args, context| {
            args.peek().ok_or_else(|| args.missing("an option"))?;
            let mut settings = std::mem::take(&mut context.tls.bind);
            let mut result = Ok(());
            while result.is_ok() && args.peek().is_some() {
                if args.take_if("strict-sni") {
                    context.tls.strict_sni = true;
                } else if args.take_if("no-strict-sni") {
                    context.tls.strict_sni = false;
                } else {
                    result = one_option(args, &mut settings, context);
                }
            }
            context.tls.bind = settings;
            result
        },
    ),
    Keyword::global(
        "ssl-default-server-ciphers",
        "<ciphers>",
        "Sets the TLS 1.2 suites of server lines.",
        |args, context| {
            context.tls.server.ciphers = Some(ciphers(args.only("a cipher string")?)?);
            Ok(())
        },
    ),
    Keyword::global(
        "ssl-default-server-ciphersuites",
        "<suites>",
        "Sets the TLS 1.3 suites of server lines.",
        |args, context| {
            context.tls.server.ciphersuites =
                Some(ciphersuites(args.only("a cipher suite string")?)?);
            Ok(())
        },
    ),
    Keyword::global(
        "ssl-default-server-options",
        "<option> ...",
        "Sets TLS options of all server lines.",
        |args, context| {
            args.peek().ok_or_else(|| args.missing("an option"))?;
            let mut settings = std::mem::take(&mut context.tls.server);
            let result = options(args, &mut settings, context);
            context.tls.server = settings;
            result
        },
    ),
    Keyword::global(
        "ssl-server-verify",
        "none | required",
        "Sets whether servers' certificates are checked.",
        |args, context| {
            let verify = choose(
                args.only("'none' or 'required'")?,
                "verify mode",
                &[("none", true), ("required", false)],
            )?;
            context.tls.server_verify_none = verify;
            Ok(())
        },
    ),
];

/// The options of `ssl-default-bind-options` and `ssl-default-server-options`, up to the end of the line.
fn options(args: &mut Args<'_>, settings: &mut TlsSettings, context: &mut Context<'_>) -> Parsed {
    while args.peek().is_some() {
        one_option(args, settings, context)?;
    }
    Ok(())
}

fn one_option(
    args: &mut Args<'_>,
    settings: &mut TlsSettings,
    context: &mut Context<'_>,
) -> Parsed {
    let word = args.need("an option")?;
    args.back();
    if settings.option(args, context)? {
        return Ok(());
    }
    let known = OPTIONS.iter().map(|option| option.name);
    Err(Complaint::unknown(word, "TLS option", known))
}

impl TlsSettings {
    /// Takes a word that sets versions or tickets, with its argument; false if it is none.
    pub(crate) fn option(
        &mut self,
        args: &mut Args<'_>,
        context: &mut Context<'_>,
    ) -> Parsed<bool> {
        let Some(word) = args.peek() else {
            return Ok(false);
        };
        let Some(option) = OPTIONS.iter().find(|option| option.name == word.text) else {
            return Ok(false);
        };
        args.skip(1);
        match option.set {
            Some(set) => set(self, args, context)?,
            None => {
                let message = "TLS versions below 1.2 are not spoken";
                return Err(Complaint::new(word.span, message));
            }
        }
        Ok(true)
    }

    /// These settings over defaults.
    #[must_use]
    pub(crate) fn over(&self, defaults: &Self) -> Self {
        Self {
            min_version: self.min_version.or(defaults.min_version),
            max_version: self.max_version.or(defaults.max_version),
            ciphers: self.ciphers.clone().or_else(|| defaults.ciphers.clone()),
            ciphersuites: self
                .ciphersuites
                .clone()
                .or_else(|| defaults.ciphersuites.clone()),
            curves: self.curves.clone().or_else(|| defaults.curves.clone()),
            no_tickets: self.no_tickets || defaults.no_tickets,
            prefer_client_ciphers: self.prefer_client_ciphers || defaults.prefer_client_ciphers,
        }
    }
}

/// `verify none|optional|required`
pub(super) fn verify(args: &mut Args<'_>, known: &[(&'static str, Verify)]) -> Parsed<Verify> {
    choose(args.need("a verify method")?, "verify method", known)
}

/// A comma-separated list of ALPN names.
pub(super) fn alpn(word: &Word) -> Parsed<Vec<Vec<u8>>> {
    let names: Vec<Vec<u8>> = word
        .text
        .split(',')
        .map(|name| name.as_bytes().to_vec())
        .collect();
    if names.iter().any(|name| name.is_empty() || name.len() > 255) {
        return Err(Complaint::new(
            word.span,
            "protocol names have 1 to 255 bytes each",
        ));
    }
    Ok(names)
}

/// Tells when a setting has no effect because the line does not say `ssl`.
pub(super) fn needs_ssl(context: &mut Context<'_>, args: &Args<'_>, is_used: bool) {
    if is_used {
        let span = args.line().span();
        context.diagnostics.push(
            crate::lang::diagnostics::Diagnostic::at(
                Severity::Diagnostic,
                span,
                "TLS settings without 'ssl' have no effect",
            )
            .showing(span),
        );
    }
}

/// A word about TLS that bind lines, server lines and the defaults of both know.
pub(in crate::lang) struct TlsOption {
    /// The word.
    pub(crate) name: &'static str,
    /// Its arguments, in the manual's notation.
    pub(crate) args: &'static str,
    /// What it does.
    pub(crate) doc: &'static str,
    /// `None` for what cannot be done.
    set: Option<Set>,
}

type Set = fn(&mut TlsSettings, &mut Args<'_>, &mut Context<'_>) -> Parsed;

impl TlsOption {
    /// What becomes of it.
    pub(in crate::lang) fn state(&self) -> State {
        match self.set {
            Some(_) => State::Works,
            None => State::Refused("TLS versions below 1.2 are not spoken"),
        }
    }
}

const fn option(name: &'static str, doc: &'static str, set: Set) -> TlsOption {
    TlsOption {
        name,
        args: "",
        doc,
        set: Some(set),
    }
}

const fn refused(name: &'static str) -> TlsOption {
    TlsOption {
        name,
        args: "",
        doc: "Not in this version.",
        set: None,
    }
}

/// The words about versions, tickets and order that both sides know.
pub(in crate::lang) const OPTIONS: &[TlsOption] = &[
    TlsOption {
        name: "ssl-min-ver",
        args: "<version>",
        doc: "Sets the oldest TLS version.",
        set: Some(|tls, args, context| {
            let word = args.need("a TLS version")?;
            let version = choose(word, "TLS version", VERSIONS)?;
            if version < TLS_12 {
                context.ignore(word, "TLS versions below 1.2 are not spoken");
            }
            tls.min_version = Some(version.max(TLS_12));
            Ok(())
        }),
    },
    TlsOption {
        name: "ssl-max-ver",
        args: "<version>",
        doc: "Sets the newest TLS version.",
        set: Some(|tls, args, _| {
            let word = args.need("a TLS version")?;
            let version = choose(word, "TLS version", VERSIONS)?;
            if version < TLS_12 {
                return Err(Complaint::new(
                    word.span,
                    "TLS versions below 1.2 are not spoken",
                ));
            }
            tls.max_version = Some(version);
            Ok(())
        }),
    },
    option(
        "no-sslv3",
        "Does not speak SSLv3, which is never spoken.",
        |_, _, _| Ok(()),
    ),
    option(
        "no-tlsv10",
        "Does not speak TLS 1.0, which is never spoken.",
        |_, _, _| Ok(()),
    ),
    option(
        "no-tlsv11",
        "Does not speak TLS 1.1, which is never spoken.",
        |_, _, _| Ok(()),
    ),
    option("no-tlsv12", "Does not speak TLS 1.2.", |tls, _, _| {
        tls.min_version = Some(TLS_13);
        Ok(())
    }),
    option("no-tlsv13", "Does not speak TLS 1.3.", |tls, _, _| {
        tls.max_version = Some(TLS_12);
        Ok(())
    }),
    option("force-tlsv12", "Speaks TLS 1.2 only.", |tls, _, _| {
        (tls.min_version, tls.max_version) = (Some(TLS_12), Some(TLS_12));
        Ok(())
    }),
    option("force-tlsv13", "Speaks TLS 1.3 only.", |tls, _, _| {
        (tls.min_version, tls.max_version) = (Some(TLS_13), Some(TLS_13));
        Ok(())
    }),
    refused("force-sslv3"),
    refused("force-tlsv10"),
    refused("force-tlsv11"),
    option(
        "no-tls-tickets",
        "Resumes sessions without tickets.",
        |tls, _, _| {
            tls.no_tickets = true;
            Ok(())
        },
    ),
    option(
        "tls-tickets",
        "Resumes sessions with tickets.",
        |tls, _, _| {
            tls.no_tickets = false;
            Ok(())
        },
    ),
    option(
        "prefer-client-ciphers",
        "Lets the client choose the cipher.",
        |tls, _, _| {
            tls.prefer_client_ciphers = true;
            Ok(())
        },
    ),
];

const VERSIONS: &[(&str, u16)] = &[
    ("SSLv3", 0x0300),
    ("TLSv1.0", 0x0301),
    ("TLSv1.1", 0x0302),
    ("TLSv1.2", TLS_12),
    ("TLSv1.3", TLS_13),
];

const TLS_12: u16 = 0x0303;
const TLS_13: u16 = 0x0304;
