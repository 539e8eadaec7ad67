//! AES in CBC and GCM mode, as converters (manual §7.3.1, `aes_*`) and for tokens.
//!
//! A key that is longer than the algorithm's is cut, as the oracle does; a shorter one decrypts nothing. GCM takes nonces
//! of any length: those of 12 bytes go straight to the library, others through GHASH here (NIST SP 800-38D §7.1).

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{
    self, DecryptionContext, EncryptingKey, EncryptionContext, PaddedBlockDecryptingKey,
    PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::iv::FixedLength;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Arg, Arguments, Converter, Output, Run, data, variable};
use crate::expr::args::ArgKind;
use crate::expr::{Parsing, Sample, SampleType, View};

pub(super) const CONVERTERS: &[Converter] = &[
    Converter {
        name: "aes_cbc_dec",
        args: Arguments::some(3, CBC),
        doc: "Decrypts with AES in CBC mode, which authenticates nothing: <aad> is accepted and not used.",
        run: Run::Sample(|sample, args, view| {
            let key = bytes(args.get(2), view)?;
            let nonce = bytes(args.get(1), view)?;
            cbc_decrypt(bits(args), &key, &nonce, &data(sample)?).map(Sample::bin)
        }),
        ..AES
    },
    Converter {
        name: "aes_cbc_enc",
        args: Arguments::some(3, CBC),
        doc: "Encrypts with AES in CBC mode, which authenticates nothing: <aad> is accepted and not used.",
        run: Run::Sample(|sample, args, view| {
            let key = bytes(args.get(2), view)?;
            let nonce = bytes(args.get(1), view)?;
            cbc_encrypt(bits(args), &key, &nonce, &data(sample)?).map(Sample::bin)
        }),
        ..AES
    },
    Converter {
        name: "aes_gcm_dec",
        args: Arguments::some(4, GCM),
        doc: "Decrypts with AES in GCM mode.",
        run: Run::Sample(|sample, args, view| {
            let (nonce, key) = (bytes(args.get(1), view)?, bytes(args.get(2), view)?);
            let tag = bytes(args.get(3), view)?;
            let aad = associated(args, view)?;
            gcm_decrypt(bits(args), &key, &nonce, &aad, &data(sample)?, &tag).map(Sample::bin)
        }),
        ..AES
    },
    Converter {
        name: "aes_gcm_enc",
        args: Arguments::some(4, GCM),
        doc: "Encrypts with AES in GCM mode; the tag goes to a variable.",
        run: Run::Sample(|sample, args, view| {
            let (nonce, key) = (bytes(args.get(1), view)?, bytes(args.get(2), view)?);
            let aad = associated(args, view)?;
            let (text, tag) = gcm_encrypt(bits(args), &key, &nonce, &aad, &data(sample)?)?;
            if let Some(Arg::Variable(name)) = args.get(3)
                && let Some(variables) = view.variables(name.scope())
            {
                variables.write(name, Sample::str(STANDARD.encode(tag)).into_shared());
            }
            Some(Sample::bin(text))
        }),
        compile: Some(|args, parsing| match args.get(3) {
            Some(Arg::Variable(_)) => check(args, parsing),
            _ => Err("the tag needs a variable".into()),
        }),
        ..AES
    },
];

const AES: Converter = Converter {
    input: SampleType::Bin,
    output: Output::Type(SampleType::Bin),
    compile: Some(check),
    ..Converter::BASE
};

const CBC: &[ArgKind] = &[
    ArgKind::Int,
    ArgKind::TextOrVariable,
    ArgKind::TextOrVariable,
    ArgKind::TextOrVariable,
];

const GCM: &[ArgKind] = &[
    ArgKind::Int,
    ArgKind::TextOrVariable,
    ArgKind::TextOrVariable,
    ArgKind::TextOrVariable,
    ArgKind::TextOrVariable,
];

/// The size must be one AES has, and what is written must be base64; it is decoded once.
fn check(args: Vec<Arg>, _: &mut Parsing<'_>) -> Result<Vec<Arg>, String> {
    if !matches!(args.first().and_then(Arg::int), Some(128 | 192 | 256)) {
        return Err("key size must be 128, 192 or 256 (bits)".into());
    }
    args.into_iter()
        .map(|arg| match &arg {
            Arg::Text(text) => match STANDARD.decode(text.as_bytes()) {
                Ok(bytes) => Ok(Arg::Bytes(bytes.into())),
                Err(_) => Err(format!("'{text}' is not encoded in base64")),
            },
            _ => Ok(arg),
        })
        .collect()
}

fn bits(args: &[Arg]) -> i64 {
    args.first().and_then(Arg::int).unwrap_or(0)
}

/// What an argument, or the variable it names, encodes in base64.
fn bytes(arg: Option<&Arg>, view: &dyn View) -> Option<Vec<u8>> {
    match arg? {
        Arg::Bytes(bytes) => Some(bytes.to_vec()),
        arg => {
            let text = data(variable(Some(arg), view)?.cast(SampleType::Str)?)?;
            STANDARD.decode(&*text).ok()
        }
    }
}

/// Associated data; none where the argument is left out.
fn associated(args: &[Arg], view: &dyn View) -> Option<Vec<u8>> {
    match args.get(4) {
        Some(arg) => bytes(Some(arg), view),
        None => Some(Vec::new()),
    }
}

fn cipher(bits: i64, key: &[u8]) -> Option<UnboundCipherKey> {
    let (algorithm, length) = match bits {
        128 => (&cipher::AES_128, 16),
        192 => (&cipher::AES_192, 24),
        256 => (&cipher::AES_256, 32),
        _ => return None,
    };
    UnboundCipherKey::new(algorithm, key.get(..length)?).ok()
}

/// A nonce as CBC takes it: cut or filled with zeros to a block.
fn block(nonce: &[u8]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    for (to, from) in block.iter_mut().zip(nonce) {
        *to = *from;
    }
    block
}

fn cbc_encrypt(bits: i64, key: &[u8], nonce: &[u8], text: &[u8]) -> Option<Vec<u8>> {
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(cipher(bits, key)?).ok()?;
    let mut out = text.to_vec();
    let context = EncryptionContext::Iv128(FixedLength::from(block(nonce)));
    key.less_safe_encrypt(&mut out, context).ok()?;
    Some(out)
}

/// What was encrypted in CBC mode with PKCS#7 padding.
pub(super) fn cbc_decrypt(bits: i64, key: &[u8], nonce: &[u8], text: &[u8]) -> Option<Vec<u8>> {
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(cipher(bits, key)?).ok()?;
    let mut out = text.to_vec();
    let context = DecryptionContext::Iv128(FixedLength::from(block(nonce)));
    let plain = key.decrypt(&mut out, context).ok()?.len();
    out.truncate(plain);
    Some(out)
}

/// The encrypted text and its tag.
fn gcm_encrypt(
    bits: i64,
    key: &[u8],
    nonce: &[u8],
    aad: &[u8],
    text: &[u8],
) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut out = text.to_vec();
    if let Ok(nonce) = Nonce::try_assume_unique_for_key(nonce) {
        let key = aead_key(bits, key)?;
        let tag = key
            .seal_in_place_separate_tag(nonce, Aad::from(aad), &mut out)
            .ok()?;
        return Some((out, tag.as_ref().to_vec()));
    }
    let counter = Counter::new(bits, key, nonce)?;
    counter.apply(&mut out)?;
    let tag = counter.tag(aad, &out)?;
    Some((out, tag.to_vec()))
}

/// What was encrypted in GCM mode; nothing where the tag does not fit.
pub(super) fn gcm_decrypt(
    bits: i64,
    key: &[u8],
    nonce: &[u8],
    aad: &[u8],
    text: &[u8],
    tag: &[u8],
) -> Option<Vec<u8>> {
    let mut out = text.to_vec();
    if let (Ok(nonce), BLOCK) = (Nonce::try_assume_unique_for_key(nonce), tag.len()) {
        out.extend_from_slice(tag);
        let key = aead_key(bits, key)?;
        let plain = key
            .open_in_place(nonce, Aad::from(aad), &mut out)
            .ok()?
            .len();
        out.truncate(plain);
        return Some(out);
    }
    // Shorter tags are allowed from 4 bytes on (SP 800-38D §5.2.1.2).
    if !(4..=BLOCK).contains(&tag.len()) {
        return None;
    }
    let counter = Counter::new(bits, key, nonce)?;
    let expected = counter.tag(aad, text)?;
    verify_slices_are_equal(&expected[..tag.len()], tag).ok()?;
    counter.apply(&mut out)?;
    Some(out)
}

fn aead_key(bits: i64, key: &[u8]) -> Option<LessSafeKey> {
    let (algorithm, length) = match bits {
        128 => (&aead::AES_128_GCM, 16),
        192 => (&aead::AES_192_GCM, 24),
        256 => (&aead::AES_256_GCM, 32),
        _ => return None,
    };
    UnboundKey::new(algorithm, key.get(..length)?)
        .ok()
        .map(LessSafeKey::new)
}

/// GCM's pieces for nonces the library does not take.
struct Counter {
    key: EncryptingKey,
    /// The hash's key: the encrypted zero block.
    hash: u128,
    /// The counter block before the first one of the text.
    start: u128,
}

impl Counter {
    fn new(bits: i64, key: &[u8], nonce: &[u8]) -> Option<Self> {
        if nonce.is_empty() {
            return None;
        }
        let key = EncryptingKey::ctr(cipher(bits, key)?).ok()?;
        let mut zero = [0; BLOCK];
        stream(&key, 0, &mut zero)?;
        let hash = u128::from_be_bytes(zero);
        let start = match <[u8; 12]>::try_from(nonce) {
            Ok(nonce) => {
                let mut first = [0; BLOCK];
                first[..12].copy_from_slice(&nonce);
                first[15] = 1;
                u128::from_be_bytes(first)
            }
            Err(_) => ghash(hash, &[], nonce, 0, nonce.len()),
        };
        Some(Self { key, hash, start })
    }

    /// Encrypts or decrypts: the counter is the last 32 bits alone, so a text may have to be cut where it wraps.
    fn apply(&self, text: &mut [u8]) -> Option<()> {
        let low = self.start as u32;
        let before_wrap = usize::try_from(u32::MAX - low).ok()?.saturating_mul(BLOCK);
        let (first, rest) = text.split_at_mut(before_wrap.min(text.len()));
        if !first.is_empty() {
            stream(&self.key, self.block_after(1), first)?;
        }
        if !rest.is_empty() {
            stream(&self.key, self.start & !u128::from(u32::MAX), rest)?;
        }
        Some(())
    }

    fn block_after(&self, blocks: u32) -> u128 {
        let low = (self.start as u32).wrapping_add(blocks);
        self.start & !u128::from(u32::MAX) | u128::from(low)
    }

    fn tag(&self, aad: &[u8], text: &[u8]) -> Option<[u8; BLOCK]> {
        let sum = ghash(self.hash, aad, text, aad.len(), text.len());
        let mut tag = sum.to_be_bytes();
        stream(&self.key, self.start, &mut tag)?;
        Some(tag)
    }
}

/// Adds the key stream that begins at a counter block.
fn stream(key: &EncryptingKey, start: u128, text: &mut [u8]) -> Option<()> {
    let context = EncryptionContext::Iv128(FixedLength::from(start.to_be_bytes()));
    key.less_safe_encrypt(text, context).ok()?;
    Some(())
}

/// GHASH over two padded byte strings and their lengths (SP 800-38D §6.4).
fn ghash(key: u128, aad: &[u8], text: &[u8], aad_length: usize, text_length: usize) -> u128 {
    let bits = |length: usize| (length as u128).wrapping_mul(8);
    let mut sum = 0;
    for chunk in aad.chunks(BLOCK).chain(text.chunks(BLOCK)) {
        sum = multiply(sum ^ u128::from_be_bytes(block(chunk)), key);
    }
    multiply(sum ^ (bits(aad_length) << 64 | bits(text_length)), key)
}

/// A product in GCM's field, without branches on the operands.
fn multiply(x: u128, y: u128) -> u128 {
    const REDUCTION: u128 = 0xe1 << 120;
    let (mut product, mut factor) = (0, y);
    for place in (0..128).rev() {
        product ^= factor & (x >> place & 1).wrapping_neg();
        factor = factor >> 1 ^ (REDUCTION & (factor & 1).wrapping_neg());
    }
    product
}

const BLOCK: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn unhex(text: &str) -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect()
    }

    /// Test cases 5 and 6 of the GCM specification.
    #[test]
    fn gcm_takes_short_and_long_nonces() {
        let key = unhex("feffe9928665731c6d6a8f9467308308");
        let text = unhex(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        );
        let aad = unhex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
        for (nonce, tag) in [
            ("cafebabefacedbad", "3612d2e79e3b0785561be14aaca2fccb"),
            (
                "9313225df88406e555909c5aff5269aa6a7a9538534f7da1e4c303d2a318a728c3c0c95156809539fcf0e2429a6b525416aedbf5a0de6a57a637b39b",
                "619cc5aefffe0bfa462af43c1699d050",
            ),
        ] {
            let (nonce, tag) = (unhex(nonce), unhex(tag));
            let (sealed, made) = gcm_encrypt(128, &key, &nonce, &aad, &text).unwrap();
            assert_eq!(made, tag);
            assert_eq!(
                gcm_decrypt(128, &key, &nonce, &aad, &sealed, &tag).as_ref(),
                Some(&text)
            );
            assert_eq!(
                gcm_decrypt(128, &key, &nonce, b"other", &sealed, &tag),
                None
            );
        }
    }

    #[test]
    fn both_ways_to_gcm_agree() {
        let (key, nonce, text) = ([7; 32], [9; 12], [1; 100]);
        for bits in [128, 192, 256] {
            let (sealed, tag) = gcm_encrypt(bits, &key, &nonce, b"aad", &text).unwrap();
            let counter = Counter::new(bits, &key, &nonce).unwrap();
            assert_eq!(counter.tag(b"aad", &sealed).unwrap().to_vec(), tag);
            // A shorter tag takes the other way.
            let opened = gcm_decrypt(bits, &key, &nonce, b"aad", &sealed, &tag[..12]);
            assert_eq!(opened.unwrap(), text);
        }
    }

    #[test]
    fn a_counter_that_wraps_leaves_the_nonce_alone() {
        let key = EncryptingKey::ctr(cipher(128, &[3; 16]).unwrap()).unwrap();
        let start = 5 << 32 | u128::from(u32::MAX - 1);
        let counter = Counter {
            key,
            hash: 0,
            start,
        };
        let mut text = [0; 3 * BLOCK];
        counter.apply(&mut text).unwrap();
        let mut third = [0; BLOCK];
        stream(&counter.key, 5 << 32 | 1, &mut third).unwrap();
        assert_eq!(text[2 * BLOCK..], third);
    }
}
