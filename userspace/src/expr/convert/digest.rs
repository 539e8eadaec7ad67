//! Cryptographic digests.

use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::md5::md5;
use super::{Arg, Arguments, Converter, Output, Run, data, variable};
use crate::expr::args::ArgKind;
use crate::expr::{Parsing, Sample, SampleType};

pub(super) const CONVERTERS: &[Converter] = &[
    Converter {
        name: "sha1",
        doc: "The SHA-1 digest.",
        run: Run::Sample(|sample, _, _| {
            Some(digested(&digest::SHA1_FOR_LEGACY_USE_ONLY, &data(sample)?))
        }),
        ..DIGEST
    },
    Converter {
        name: "sha2",
        args: Arguments::some(0, &[ArgKind::Int]),
        doc: "A digest of the SHA-2 family, with 256 bits by default.",
        run: Run::Sample(|sample, args, _| {
            let bits = args.first().and_then(Arg::int).unwrap_or(256);
            Some(digested(sha2(bits)?, &data(sample)?))
        }),
        compile: Some(|args, _| match args.first().and_then(Arg::int) {
            Some(bits) if sha2(bits).is_none() => {
                Err(format!("Unsupported number of bits: '{bits}'"))
            }
            _ => Ok(args),
        }),
        ..DIGEST
    },
    Converter {
        name: "digest",
        args: Arguments::all(&[ArgKind::Text]),
        doc: "The digest of the named algorithm.",
        run: Run::Sample(|sample, args, _| {
            let name = args.first().and_then(Arg::text)?;
            if is_md5(name) {
                return Some(Sample::bin(md5(&data(sample)?).to_vec()));
            }
            Some(digested(algorithm(name)?, &data(sample)?))
        }),
        compile: Some(check_algorithm),
        ..DIGEST
    },
    Converter {
        name: "hmac",
        args: Arguments::all(&[ArgKind::Text, ArgKind::TextOrVariable]),
        doc: "The message authentication code of the named digest, with a key in base64.",
        run: Run::Sample(|sample, args, view| {
            let algorithm = mac_algorithm(args.first().and_then(Arg::text)?)?;
            let decoded;
            let key = match args.get(1)? {
                Arg::Bytes(key) => &**key,
                name => {
                    let text = variable(Some(name), view)?.cast(SampleType::Str)?;
                    decoded = STANDARD.decode(&*data(text)?).ok()?;
                    &decoded
                }
            };
            let tag = hmac::sign(&hmac::Key::new(algorithm, key), &data(sample)?);
            Some(Sample::bin(tag.as_ref().to_vec()))
        }),
        compile: Some(|mut args, _| {
            let name = args.first().and_then(Arg::text).unwrap_or_default();
            if mac_algorithm(name).is_none() {
                return Err(format!("the message digest '{name}' is not supported"));
            }
            if let Some(text) = args.get(1).and_then(Arg::text) {
                let key = STANDARD.decode(text).map_err(|_| {
                    "failed to parse key : argument needs to be base64 encoded, and can either be a string or a variable"
                })?;
                args[1] = Arg::Bytes(key.into());
            }
            Ok(args)
        }),
        ..DIGEST
    },
];

const DIGEST: Converter = Converter {
    input: SampleType::Bin,
    output: Output::Type(SampleType::Bin),
    ..Converter::BASE
};

fn digested<'a>(algorithm: &'static digest::Algorithm, data: &[u8]) -> Sample<'a> {
    Sample::bin(digest::digest(algorithm, data).as_ref().to_vec())
}

fn sha2(bits: i64) -> Option<&'static digest::Algorithm> {
    Some(match bits {
        224 => &digest::SHA224,
        256 => &digest::SHA256,
        384 => &digest::SHA384,
        512 => &digest::SHA512,
        _ => return None,
    })
}

/// MD5 is not in the library used here.
fn is_md5(name: &str) -> bool {
    name.eq_ignore_ascii_case("md5")
}

/// A digest by OpenSSL's name.
fn algorithm(name: &str) -> Option<&'static digest::Algorithm> {
    Some(match name.to_ascii_lowercase().replace('-', "").as_str() {
        "sha1" => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        "sha224" => &digest::SHA224,
        "sha256" => &digest::SHA256,
        "sha384" => &digest::SHA384,
        "sha512" => &digest::SHA512,
        "sha512/256" | "sha512256" => &digest::SHA512_256,
        "sha3256" => &digest::SHA3_256,
        "sha3384" => &digest::SHA3_384,
        "sha3512" => &digest::SHA3_512,
        _ => return None,
    })
}

fn mac_algorithm(name: &str) -> Option<hmac::Algorithm> {
    Some(match name.to_ascii_lowercase().replace('-', "").as_str() {
        "sha1" => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        "sha224" => hmac::HMAC_SHA224,
        "sha256" => hmac::HMAC_SHA256,
        "sha384" => hmac::HMAC_SHA384,
        "sha512" => hmac::HMAC_SHA512,
        _ => return None,
    })
}

fn check_algorithm(args: Vec<Arg>, _: &mut Parsing<'_>) -> Result<Vec<Arg>, String> {
    let name = args.first().and_then(Arg::text).unwrap_or_default();
    match algorithm(name) {
        Some(_) => Ok(args),
        None if is_md5(name) => Ok(args),
        None => Err(format!("the message digest '{name}' is not supported")),
    }
}
