//! JSON web tokens: signatures verified, contents decrypted (manual §7.3.1, `jwt_verify`, `jwt_decrypt_*`; RFC 7515–7518).
//!
//! A token comes in, in its compact form. Keys are literal secrets, JSON web keys, or files that were read with the
//! configuration: nothing is read while traffic flows. A token that cannot be decrypted is as good as none.

mod allowed;
mod decrypt;
mod der;
mod jwk;
mod keys;
mod verify;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::{Arg, Arguments, Converter, Data, Output, Run, data, variable};
use crate::expr::args::ArgKind;
use crate::expr::{Sample, SampleType, View};
pub use keys::TokenKeys;

pub(super) const CONVERTERS: &[Converter] = &[
    Converter {
        name: "jwt_verify",
        doc: "1 where the token's signature is right, 0 where it is not, less where that cannot be said.",
        run: Run::Sample(|sample, args, view| {
            let token = data(sample)?;
            let algorithm = text(args.first(), view)?;
            let key = text(args.get(1), view)?;
            let keys = keys(args)?;
            Some(Sample::Int(
                verify::verify(&token, &algorithm, verify::Key::Any(&key, keys)) as i64,
            ))
        }),
        compile: Some(|args, parsing| {
            let keys = parsing.patterns.keys().clone();
            if let Some(Arg::Text(name)) = args.get(1) {
                keys.load_public(name, parsing.files);
            }
            Ok(with_keys(args, keys))
        }),
        ..VERIFY
    },
    Converter {
        name: "jwt_verify_cert",
        doc: "The same, by the key of a certificate.",
        run: Run::Sample(|sample, args, view| {
            let token = data(sample)?;
            let algorithm = text(args.first(), view)?;
            let name = text(args.get(1), view)?;
            let keys = keys(args)?;
            Some(Sample::Int(verify::verify(
                &token,
                &algorithm,
                verify::Key::Certificate(&name, keys),
            ) as i64))
        }),
        compile: Some(|args, parsing| {
            let keys = parsing.patterns.keys().clone();
            if let Some(Arg::Text(name)) = args.get(1) {
                keys.load_certificate(name, parsing.files)?;
            }
            Ok(with_keys(args, keys))
        }),
        ..VERIFY
    },
    Converter {
        name: "jwt_decrypt_secret",
        doc: "What a token holds, encrypted with a secret.",
        run: Run::Sample(|sample, args, view| {
            let token = data(sample)?;
            let secret = STANDARD.decode(&*text(args.first(), view)?).ok();
            let keys = keys(args)?;
            let plain = secret.and_then(|secret| decrypt::by_secret(&token, &secret, keys));
            Some(Sample::bin(plain.unwrap_or_default()))
        }),
        ..DECRYPT
    },
    Converter {
        name: "jwt_decrypt_jwk",
        doc: "What a token holds, encrypted for a JSON web key.",
        run: Run::Sample(|sample, args, view| {
            let token = data(sample)?;
            let key = text(args.first(), view)?;
            let keys = keys(args)?;
            let plain = jwk::Jwk::parse(&key).and_then(|key| decrypt::by_key(&token, &key, keys));
            Some(Sample::bin(plain.unwrap_or_default()))
        }),
        ..DECRYPT
    },
    Converter {
        name: "jwt_decrypt_cert",
        doc: "What a token holds, encrypted for a certificate.",
        run: Run::Sample(|sample, args, view| {
            let token = data(sample)?;
            let name = text(args.first(), view)?;
            let keys = keys(args)?;
            let key = keys.private(&name).ok();
            let plain = key.and_then(|key| decrypt::by_key(&token, &key, keys));
            Some(Sample::bin(plain.unwrap_or_default()))
        }),
        compile: Some(|args, parsing| {
            let keys = parsing.patterns.keys().clone();
            if let Some(Arg::Text(name)) = args.first() {
                keys.load_certificate(name, parsing.files)?;
            }
            Ok(with_keys(args, keys))
        }),
        ..DECRYPT
    },
];

const VERIFY: Converter = Converter {
    args: Arguments::all(&[ArgKind::TextOrVariable, ArgKind::TextOrVariable]),
    output: Output::Type(SampleType::Int),
    ..Converter::BASE
};

const DECRYPT: Converter = Converter {
    args: Arguments::all(&[ArgKind::TextOrVariable]),
    output: Output::Type(SampleType::Bin),
    compile: Some(|args, parsing| Ok(with_keys(args, parsing.patterns.keys().clone()))),
    ..Converter::BASE
};

fn with_keys(mut args: Vec<Arg>, keys: TokenKeys) -> Vec<Arg> {
    args.push(Arg::Compiled(std::sync::Arc::new(keys)));
    args
}

fn keys(args: &[Arg]) -> Option<&TokenKeys> {
    match args.last()? {
        Arg::Compiled(keys) => keys.downcast_ref(),
        _ => None,
    }
}

/// The text an argument is, or that the variable it names holds.
fn text<'a>(arg: Option<&'a Arg>, view: &dyn View) -> Option<Data<'a>> {
    match arg? {
        Arg::Text(text) => Some(Data::Borrowed(text.as_bytes())),
        arg => data(variable(Some(arg), view)?.cast(SampleType::Str)?),
    }
}

/// Base64 for URLs, without padding.
fn decoded(part: &[u8]) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(part).ok()
}
