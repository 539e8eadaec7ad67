//! The `crt-store` section: certificates with their files and names (manual §12.7).

use std::path::{Path, PathBuf};

use super::args::{Args, Complaint, Parsed};
use super::catalogue::State;
use super::context::Context;
use super::registry::{Effect, Keyword, Sections};
use crate::lang::ast::Word;
use crate::model::StoredCertificate;

/// A section while its lines are read.
#[derive(Debug, Default)]
pub(in crate::lang) struct StoreDraft {
    name: Option<String>,
    certificates: Option<PathBuf>,
    keys: Option<PathBuf>,
}

impl StoreDraft {
    pub(in crate::lang) fn new(name: Option<String>) -> Self {
        Self {
            name,
            ..Self::default()
        }
    }

    /// What a certificate of this section is called elsewhere: its alias or, in a named section, its file behind the
    /// section's name; else the file.
    fn name_of(&self, written: &str, alias: Option<&Word>, file: &Path) -> PathBuf {
        let store = self.name.as_deref().unwrap_or_default();
        match alias {
            Some(alias) => PathBuf::from(format!("@{store}/{}", alias.text)),
            None if store.is_empty() => file.to_owned(),
            None => PathBuf::from(format!("@{store}/{}", written.trim_start_matches('/'))),
        }
    }
}

pub(super) const KEYWORDS: &[Keyword] = &[
    keyword(
        "crt-base",
        "<dir>",
        "Sets where relative 'crt' names begin.",
        |args, store, context| {
            let word = args.only("a directory path as an argument")?;
            store.certificates = Some(context.path(word));
            Ok(())
        },
    ),
    keyword(
        "key-base",
        "<dir>",
        "Sets where relative 'key' names begin.",
        |args, store, context| {
            let word = args.only("a directory path as an argument")?;
            store.keys = Some(context.path(word));
            Ok(())
        },
    ),
    keyword(
        "load",
        "crt <file> [param*]",
        "Defines a certificate: its files, its name, and whether it is for tokens.",
        load,
    ),
];

const fn keyword(
    name: &'static str,
    args: &'static str,
    doc: &'static str,
    parse: fn(&mut Args<'_>, &mut StoreDraft, &mut Context<'_>) -> Parsed,
) -> Keyword {
    Keyword {
        name,
        sections: Sections::CRT_STORE,
        args,
        doc,
        effect: Effect::CrtStore(parse),
    }
}

fn load(args: &mut Args<'_>, store: &mut StoreDraft, context: &mut Context<'_>) -> Parsed {
    let place = args.line().span();
    let (mut crt, mut key, mut ocsp, mut alias) = (None, None, None, None);
    let mut jwt = false;
    while let Some(option) = args.take() {
        match option.text.as_str() {
            "crt" => crt = Some(args.need("a file name")?),
            "key" => key = Some(args.need("a file name")?),
            "ocsp" => ocsp = Some(args.need("a file name")?),
            "alias" => alias = Some(args.need("a name")?),
            "issuer" => {
                args.need("a file name")?;
                context.ignore(option, NOT_VERIFIED);
            }
            "jwt" => jwt = switch(args)?,
            "ocsp-update" | "generate-dummy" => {
                if switch(args)? {
                    return Err(refused(option));
                }
            }
            "sctl" | "acme" | "domains" | "ips" | "keytype" | "bits" | "curves" => {
                return Err(refused(option));
            }
            _ => {
                return Err(Complaint::unknown(
                    option,
                    "parameter",
                    LOAD.iter().map(|(name, ..)| *name),
                ));
            }
        }
    }
    let Some(crt) = crt else {
        return Err(Complaint::new(place, "'load' needs 'crt <file>'"));
    };
    let of_certificates = store.certificates.as_ref();
    let of_certificates = of_certificates.or(context.global.crt_base.as_ref());
    let of_keys = store.keys.as_ref().or(context.key_base.as_ref());
    let file = context.existing(of_certificates, crt)?;
    let existing = |base, word: Option<&Word>| match word {
        Some(word) => context.existing(base, word).map(Some),
        None => Ok(None),
    };
    let certificate = StoredCertificate {
        name: store.name_of(&crt.text, alias, &file),
        key: existing(of_keys, key)?,
        ocsp: existing(of_certificates, ocsp)?,
        file,
        place: context.place(crt.span),
    };
    let mut known = context.certificates.iter();
    if let Some((known, _)) = known.find(|(known, _)| known.name == certificate.name) {
        let message = format!(
            "certificate '{}' is already defined at {}",
            known.name.display(),
            known.place
        );
        return Err(Complaint::new(crt.span, message));
    }
    for_tokens(&certificate, crt, jwt, context)?;
    context.certificates.push((certificate, place));
    Ok(())
}

/// Makes the certificate known to the converters for tokens, whether they may use it or not yet.
fn for_tokens(
    certificate: &StoredCertificate,
    word: &Word,
    usable: bool,
    context: &Context<'_>,
) -> Parsed {
    let read = |path: &Path| {
        context.environment.read(path).map_err(|error| {
            let message = format!("cannot read file '{}' : {error}", path.display());
            Complaint::new(word.span, message)
        })
    };
    let name = certificate.name.to_string_lossy();
    let pem = read(&certificate.file)?;
    let key = certificate.key.as_deref().map(read).transpose()?;
    let keys = context.patterns.keys();
    match keys.define(&name, &pem, key.as_deref(), usable) {
        Err(message) if usable => Err(Complaint::new(word.span, message)),
        _ => Ok(()),
    }
}

fn switch(args: &mut Args<'_>) -> Parsed<bool> {
    let word = args.need("'on' or 'off'")?;
    match word.text.as_str() {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(Complaint::unknown(word, "value", ["on", "off"])),
    }
}

fn refused(option: &Word) -> Complaint {
    let known = LOAD.iter().find(|(name, ..)| *name == option.text);
    let hint = known.map_or("", |(.., state)| state.reason());
    Complaint::new(option.span, format!("'{}' is not supported", option.text)).hint(hint)
}

/// The parameters of `load`: the word, what it does, what becomes of it.
pub(super) const LOAD: &[(&str, &str, State)] = &[
    ("crt", "The file of the certificate.", State::Works),
    ("key", "The file of its key.", State::Works),
    ("alias", "The name it goes by elsewhere.", State::Works),
    (
        "ocsp",
        "The file of the OCSP response sent with it.",
        State::Works,
    ),
    (
        "issuer",
        "The file of its issuer.",
        State::NoEffect(NOT_VERIFIED),
    ),
    (
        "jwt",
        "Lets tokens be verified and decrypted with it.",
        State::Works,
    ),
    (
        "ocsp-update",
        "Only 'off' can be said.",
        State::Refused("OCSP responses are read from files: see 'ocsp'"),
    ),
    ("generate-dummy", "Only 'off' can be said.", NOT_MADE),
    ("keytype", "Not in this version.", NOT_MADE),
    ("bits", "Not in this version.", NOT_MADE),
    ("curves", "Not in this version.", NOT_MADE),
    (
        "sctl",
        "Not in this version.",
        State::Refused("the TLS library sends no signed certificate timestamps"),
    ),
    ("acme", "Not in this version.", FROM_FILES),
    ("domains", "Not in this version.", FROM_FILES),
    ("ips", "Not in this version.", FROM_FILES),
];

const NOT_VERIFIED: &str = "OCSP responses are sent as they are, not verified";
const NOT_MADE: State = State::Refused("certificates are not made: give one with 'crt'");
const FROM_FILES: State = State::Refused("certificates are read from files");
