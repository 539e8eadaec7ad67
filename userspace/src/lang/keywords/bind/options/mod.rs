//! The options of bind lines (manual §5.1).

mod general;
mod tls;

use std::path::PathBuf;

use crate::lang::ast::Word;
use crate::lang::keywords::args::{Args, Complaint, Parsed, number};
use crate::lang::keywords::catalogue::State;
use crate::lang::keywords::context::Context;
use crate::lang::keywords::tls::{TlsSettings, needs_ssl};
use crate::model::{
    BindTls, HttpProtocol, IgnoredErrors, Level, MD5_PASSWORD_MAX, Principal, SocketOptions, Verify,
};

/// One option of a bind line.
pub(in crate::lang) struct BindOption {
    /// The word.
    pub name: &'static str,
    /// Its arguments, in the manual's notation.
    pub args: &'static str,
    /// What it does.
    pub doc: &'static str,
    effect: BindEffect,
}

enum BindEffect {
    Set(fn(&mut Args<'_>, &mut BindSettings, &mut Context<'_>) -> Parsed),
    NoOp(&'static str),
    Refused(&'static str),
}

impl BindOption {
    /// What becomes of it.
    pub(in crate::lang) fn state(&self) -> State {
        match self.effect {
            BindEffect::Set(_) => State::Works,
            BindEffect::NoOp(why) => State::NoEffect(why),
            BindEffect::Refused(instead) => State::Refused(instead),
        }
    }
}

/// What the options of a line said.
#[derive(Default)]
pub(in crate::lang::keywords) struct BindSettings {
    pub(super) name: Option<String>,
    pub(super) number: Option<u32>,
    pub(super) options: SocketOptions,
    pub(super) proto: Option<HttpProtocol>,
    pub(super) accept_proxy: bool,
    pub(super) netscaler: Option<u32>,
    pub(super) maxconn: Option<u32>,
    /// `nbconn`.
    pub(super) connections: Option<u32>,
    pub(super) ssl: bool,
    pub(super) tls: TlsSettings,
    pub(super) certificates: Vec<PathBuf>,
    pub(super) certificate_lists: Vec<PathBuf>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) ca_verify_file: Option<PathBuf>,
    pub(super) crl_file: Option<PathBuf>,
    pub(super) verify: Verify,
    pub(super) alpn: Option<Vec<Vec<u8>>>,
    pub(super) strict_sni: Option<bool>,
    pub(super) ignored_errors: IgnoredErrors,
    pub(super) level: Option<Level>,
    pub(super) expose_listeners: bool,
}

pub(in crate::lang::keywords) fn settings(
    args: &mut Args<'_>,
    context: &mut Context<'_>,
) -> Parsed<BindSettings> {
    let mut settings = BindSettings::default();
    while let Some(word) = args.peek() {
        let Some(option) = all().find(|option| option.name == word.text) else {
            if settings.tls.option(args, context)? {
                continue;
            }
            return Err(Complaint::unknown(
                word,
                "keyword",
                all().map(|option| option.name),
            ));
        };
        args.skip(1);
        match option.effect {
            BindEffect::Set(parse) => {
                parse(args, &mut settings, context)
                    .map_err(|complaint| complaint.about(&format!("'{}'", word.text)))?;
            }
            BindEffect::NoOp(why) => {
                context.ignore(word, why);
                args.skip(if option.args.is_empty() { 0 } else { 1 });
            }
            BindEffect::Refused(instead) => {
                let message = format!("'{}' is not supported", word.text);
                return Err(Complaint::new(word.span, message).hint(instead));
            }
        }
    }
    settings.check(args, context)?;
    Ok(settings)
}

impl BindSettings {
    fn check(&self, args: &Args<'_>, context: &mut Context<'_>) -> Parsed {
        let keyed = !self.certificates.is_empty() || !self.certificate_lists.is_empty();
        let strict = self.strict_sni.unwrap_or(context.tls.strict_sni);
        if self.ssl && !keyed && !strict {
            return Err(args.wrong("no SSL certificate specified (use 'crt')"));
        }
        if self.ssl && self.verify != Verify::None && self.authorities().is_none() {
            return Err(args.wrong("'verify' is set but no CA file was given (use 'ca-file')"));
        }
        needs_ssl(context, args, keyed && !self.ssl);
        Ok(())
    }

    /// The file of those who may sign client certificates.
    fn authorities(&self) -> Option<&PathBuf> {
        self.ca_file.as_ref().or(self.ca_verify_file.as_ref())
    }

    pub(super) fn tls(&self, context: &Context<'_>) -> BindTls {
        let tls = self.tls.over(&context.tls.bind);
        BindTls {
            certificates: self.certificates.clone(),
            certificate_lists: self.certificate_lists.clone(),
            ca_file: self.ca_file.clone(),
            ca_verify_file: self.ca_verify_file.clone(),
            ignored_errors: self.ignored_errors,
            crl_file: self.crl_file.clone(),
            verify: self.verify,
            alpn: self.alpn.clone(),
            min_version: tls.min_version,
            max_version: tls.max_version,
            ciphers: tls.ciphers,
            ciphersuites: tls.ciphersuites,
            curves: tls.curves,
            prefer_client_ciphers: tls.prefer_client_ciphers,
            strict_sni: self.strict_sni.unwrap_or(context.tls.strict_sni),
            no_tickets: tls.no_tickets,
        }
    }
}

pub(super) const fn option(
    name: &'static str,
    args: &'static str,
    doc: &'static str,
    parse: fn(&mut Args<'_>, &mut BindSettings, &mut Context<'_>) -> Parsed,
) -> BindOption {
    BindOption {
        name,
        args,
        doc,
        effect: BindEffect::Set(parse),
    }
}

pub(super) const fn no_op(name: &'static str, args: &'static str, why: &'static str) -> BindOption {
    BindOption {
        name,
        args,
        doc: "Accepted without effect.",
        effect: BindEffect::NoOp(why),
    }
}

pub(super) const fn refused(
    name: &'static str,
    args: &'static str,
    instead: &'static str,
) -> BindOption {
    BindOption {
        name,
        args,
        doc: "Not in this version.",
        effect: BindEffect::Refused(instead),
    }
}

/// All options of bind lines.
pub(in crate::lang) fn all() -> impl Iterator<Item = &'static BindOption> {
    [general::OPTIONS, tls::OPTIONS].into_iter().flatten()
}

pub(in crate::lang::keywords) fn mode(args: &mut Args<'_>) -> Parsed<u32> {
    let word = args.need("an octal mode")?;
    match u32::from_str_radix(&word.text, 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        _ => Err(Complaint::new(
            word.span,
            format!(
                "missing or invalid mode '{}' (octal integer expected)",
                word.text
            ),
        )),
    }
}

pub(in crate::lang::keywords) fn owner(
    keyword: &Word,
    args: &mut Args<'_>,
    context: &Context<'_>,
) -> Parsed<Principal> {
    let word = args.need("a user or group")?;
    match keyword.text.as_str() {
        "user" => named_user(word, context),
        "group" => named_group(word, context),
        _ => number(word, 0..=u32::MAX).map(Principal::Id),
    }
}

/// What segments are signed with.
pub(in crate::lang::keywords) fn md5_password(args: &mut Args<'_>) -> Parsed<String> {
    let word = args.need("a password")?;
    if word.text.len() <= MD5_PASSWORD_MAX {
        Ok(word.text.clone())
    } else {
        Err(Complaint::new(
            word.span,
            format!("the password is too long (at most {MD5_PASSWORD_MAX} bytes)"),
        ))
    }
}

pub(in crate::lang::keywords) fn named_user(
    word: &Word,
    context: &Context<'_>,
) -> Parsed<Principal> {
    let unknown = || Complaint::new(word.span, format!("unknown user name '{}'", word.text));
    context
        .environment
        .user(&word.text)
        .map(Principal::Id)
        .ok_or_else(unknown)
}

pub(in crate::lang::keywords) fn named_group(
    word: &Word,
    context: &Context<'_>,
) -> Parsed<Principal> {
    let unknown = || Complaint::new(word.span, format!("unknown group name '{}'", word.text));
    context
        .environment
        .group(&word.text)
        .map(Principal::Id)
        .ok_or_else(unknown)
}
