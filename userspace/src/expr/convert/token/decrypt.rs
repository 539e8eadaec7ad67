//! Encrypted tokens (RFC 7516, algorithms of RFC 7518 §4 and §5).

use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, DecryptingKey, DecryptionContext, UnboundCipherKey,
};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, Pkcs1PrivateDecryptingKey,
};
use aws_lc_rs::{agreement, digest, hmac};

use super::super::aes;
use super::decoded;
use super::jwk::{self, Jwk};
use super::keys::TokenKeys;
use crate::expr::convert::json::member;

/// The five parts of a token, decoded.
struct Token<'t> {
    /// The header as it was sent: what is authenticated beside the text.
    authenticated: &'t [u8],
    header: Vec<u8>,
    key: Vec<u8>,
    nonce: Vec<u8>,
    text: Vec<u8>,
    tag: Vec<u8>,
    algorithm: Vec<u8>,
    encryption: Encryption,
}

/// How the text is encrypted.
#[derive(Clone, Copy)]
enum Encryption {
    Gcm {
        bits: i64,
    },
    /// CBC, authenticated by an HMAC.
    Cbc {
        bits: i64,
        hash: hmac::Algorithm,
    },
}

pub(super) fn by_secret(token: &[u8], secret: &[u8], keys: &TokenKeys) -> Option<Vec<u8>> {
    let token = Token::allowed(token, keys)?;
    let key = token.unwrap_with(secret)?;
    token.open(&key)
}

pub(super) fn by_key(token: &[u8], key: &Jwk, keys: &TokenKeys) -> Option<Vec<u8>> {
    let token = Token::allowed(token, keys)?;
    let key = match key {
        Jwk::Secret(secret) => token.unwrap_with(secret)?,
        // Off unless `jwt.decrypt_alg_list` allows it (RFC 8725 §3.2).
        Jwk::Rsa(key) if token.algorithm == b"RSA1_5" => {
            let key = Pkcs1PrivateDecryptingKey::new(key.clone()).ok()?;
            let mut out = vec![0; key.min_output_size()];
            key.decrypt(&token.key, &mut out).ok()?.to_vec()
        }
        Jwk::Rsa(key) => {
            let algorithm = match &token.algorithm[..] {
                b"RSA-OAEP" => &OAEP_SHA1_MGF1SHA1,
                b"RSA-OAEP-256" => &OAEP_SHA256_MGF1SHA256,
                _ => return None,
            };
            let key = OaepPrivateDecryptingKey::new(key.clone()).ok()?;
            let mut out = vec![0; key.min_output_size()];
            key.decrypt(algorithm, &token.key, &mut out, None)
                .ok()?
                .to_vec()
        }
        Jwk::Ec(key) => token.agree_with(key)?,
    };
    token.open(&key)
}

impl<'t> Token<'t> {
    /// A token that is made in ways the configuration allows.
    fn allowed(token: &'t [u8], keys: &TokenKeys) -> Option<Self> {
        let token = Self::parse(token)?;
        let encryption = member(&token.header, "enc")?;
        keys.allows(&token.algorithm, &encryption).then_some(token)
    }

    fn parse(token: &'t [u8]) -> Option<Self> {
        let parts: Vec<&[u8]> = token.split(|byte| *byte == b'.').collect();
        let [authenticated, key, nonce, text, tag] = parts[..] else {
            return None;
        };
        let header = decoded(authenticated)?;
        Some(Self {
            authenticated,
            key: decoded(key)?,
            nonce: decoded(nonce)?,
            text: decoded(text)?,
            tag: decoded(tag)?,
            algorithm: member(&header, "alg")?,
            encryption: Encryption::named(&member(&header, "enc")?)?,
            header,
        })
    }

    /// The content's key out of a shared secret (RFC 7518 §4.4, §4.5, §4.7).
    fn unwrap_with(&self, secret: &[u8]) -> Option<Vec<u8>> {
        let exact = |bits: i64| (secret.len() as i64 * 8 == bits).then_some(bits);
        match &self.algorithm[..] {
            b"dir" if self.key.is_empty() => Some(secret.to_vec()),
            b"A128KW" => unwrap(exact(128)?, secret, &self.key),
            b"A192KW" => unwrap(exact(192)?, secret, &self.key),
            b"A256KW" => unwrap(exact(256)?, secret, &self.key),
            b"A128GCMKW" => self.unwrap_gcm(exact(128)?, secret),
            b"A192GCMKW" => self.unwrap_gcm(exact(192)?, secret),
            b"A256GCMKW" => self.unwrap_gcm(exact(256)?, secret),
            _ => None,
        }
    }

    fn unwrap_gcm(&self, bits: i64, secret: &[u8]) -> Option<Vec<u8>> {
        let part = |name: &str| decoded(&member(&self.header, name)?);
        let (nonce, tag) = (part("iv")?, part("tag")?);
        aes::gcm_decrypt(bits, secret, &nonce, &[], &self.key, &tag)
    }

    /// The content's key out of an agreement (RFC 7518 §4.6).
    fn agree_with(&self, key: &agreement::PrivateKey) -> Option<Vec<u8>> {
        let name = &self.algorithm[..];
        let (id, bits) = match name {
            b"ECDH-ES" => (member(&self.header, "enc")?, self.encryption.key_bits()),
            b"ECDH-ES+A128KW" => (name.to_vec(), 128),
            b"ECDH-ES+A192KW" => (name.to_vec(), 192),
            b"ECDH-ES+A256KW" => (name.to_vec(), 256),
            _ => return None,
        };
        let (curve, point) = jwk::point(&object(&self.header, "epk")?)?;
        if curve != key.algorithm() {
            return None;
        }
        let party = |name: &str| {
            member(&self.header, name)
                .and_then(|text| decoded(&text))
                .unwrap_or_default()
        };
        let (apu, apv) = (party("apu"), party("apv"));
        let peer = agreement::UnparsedPublicKey::new(curve, &point);
        let derived = agreement::agree(key, peer, (), |secret| {
            Ok(derive(secret, &id, &apu, &apv, bits))
        });
        let derived = derived.ok()?;
        if name == b"ECDH-ES" {
            return self.key.is_empty().then_some(derived);
        }
        unwrap(bits as i64, &derived, &self.key)
    }

    fn open(&self, key: &[u8]) -> Option<Vec<u8>> {
        if key.len() * 8 != self.encryption.key_bits() {
            return None;
        }
        match self.encryption {
            Encryption::Gcm { bits } => aes::gcm_decrypt(
                bits,
                key,
                &self.nonce,
                self.authenticated,
                &self.text,
                &self.tag,
            ),
            Encryption::Cbc { bits, hash } => {
                // The first half authenticates, the second encrypts (RFC 7518 §5.2.2.2).
                let (authentication, encryption) = key.split_at(key.len() / 2);
                let mut context = hmac::Context::with_key(&hmac::Key::new(hash, authentication));
                context.update(self.authenticated);
                context.update(&self.nonce);
                context.update(&self.text);
                context.update(&(self.authenticated.len() as u64 * 8).to_be_bytes());
                let tag = context.sign();
                let expected = &tag.as_ref()[..authentication.len()];
                verify_slices_are_equal(expected, &self.tag).ok()?;
                (self.nonce.len() == 16).then_some(())?;
                aes::cbc_decrypt(bits, encryption, &self.nonce, &self.text)
            }
        }
    }
}

impl Encryption {
    fn named(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"A128GCM" => Self::Gcm { bits: 128 },
            b"A192GCM" => Self::Gcm { bits: 192 },
            b"A256GCM" => Self::Gcm { bits: 256 },
            b"A128CBC-HS256" => Self::Cbc {
                bits: 128,
                hash: hmac::HMAC_SHA256,
            },
            b"A192CBC-HS384" => Self::Cbc {
                bits: 192,
                hash: hmac::HMAC_SHA384,
            },
            b"A256CBC-HS512" => Self::Cbc {
                bits: 256,
                hash: hmac::HMAC_SHA512,
            },
            _ => return None,
        })
    }

    fn key_bits(self) -> usize {
        match self {
            Self::Gcm { bits } => bits as usize,
            Self::Cbc { bits, .. } => bits as usize * 2,
        }
    }
}

/// The Concat KDF with SHA-256 (NIST SP 800-56A §5.8.1, RFC 7518 §4.6.2).
fn derive(secret: &[u8], id: &[u8], apu: &[u8], apv: &[u8], bits: usize) -> Vec<u8> {
    let mut key = Vec::new();
    let mut round: u32 = 1;
    while key.len() * 8 < bits {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&round.to_be_bytes());
        context.update(secret);
        for part in [id, apu, apv] {
            context.update(&(part.len() as u32).to_be_bytes());
            context.update(part);
        }
        context.update(&(bits as u32).to_be_bytes());
        key.extend_from_slice(context.finish().as_ref());
        round += 1;
    }
    key.truncate(bits / 8);
    key
}

/// AES Key Wrap undone (RFC 3394 §2.2.2).
fn unwrap(bits: i64, key: &[u8], wrapped: &[u8]) -> Option<Vec<u8>> {
    if wrapped.len() < 24 || !wrapped.len().is_multiple_of(8) || wrapped.len() > 1024 {
        return None;
    }
    let algorithm = match bits {
        128 => &AES_128,
        192 => &AES_192,
        256 => &AES_256,
        _ => return None,
    };
    let cipher = DecryptingKey::ecb(UnboundCipherKey::new(algorithm, key).ok()?).ok()?;
    let count = wrapped.len() / 8 - 1;
    let mut first: [u8; 8] = wrapped[..8].try_into().ok()?;
    let mut rest = wrapped[8..].to_vec();
    for round in (0..6).rev() {
        for at in (1..=count).rev() {
            let step = (count * round + at) as u64;
            let mut block = [0; 16];
            block[..8].copy_from_slice(&(u64::from_be_bytes(first) ^ step).to_be_bytes());
            block[8..].copy_from_slice(&rest[(at - 1) * 8..at * 8]);
            cipher.decrypt(&mut block, DecryptionContext::None).ok()?;
            first.copy_from_slice(&block[..8]);
            rest[(at - 1) * 8..at * 8].copy_from_slice(&block[8..]);
        }
    }
    verify_slices_are_equal(&first, &[0xA6; 8]).ok()?;
    Some(rest)
}

/// A member that is an object, as its text.
fn object(document: &[u8], name: &str) -> Option<Vec<u8>> {
    crate::expr::convert::json::raw_member(document, name).map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    #[test]
    fn the_wrapped_key_of_rfc_7516_opens_its_token() {
        // §A.3
        let token = "eyJhbGciOiJBMTI4S1ciLCJlbmMiOiJBMTI4Q0JDLUhTMjU2In0.6KB707dM9YTIgHtLvtgWQ8mKwboJW3of9locizkDTHzBC2IlrT1oOQ.AxY8DCtDaGlsbGljb3RoZQ.KDlTtXchhZTGufMYmOYGS4HffxPSUrfmqCHXaI9wOGY.U0m_YmjN04DJvceFICbCVQ";
        let key = Jwk::parse(br#"{"kty":"oct", "k":"GawgguFyGrWKav7AX4VKUg"}"#).unwrap();
        let plain = by_key(token.as_bytes(), &key, &TokenKeys::default()).unwrap();
        assert_eq!(plain, b"Live long and prosper.");
        let other = Jwk::parse(br#"{"kty":"oct", "k":"GawgguFyGrWKav7AX4VKUA"}"#).unwrap();
        assert_eq!(
            by_key(token.as_bytes(), &other, &TokenKeys::default()),
            None
        );
        for at in 0..token.len() {
            let mut changed = token.as_bytes().to_vec();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            if changed.len() != token.len() || at + 1 == token.len() {
                continue;
            }
            assert_ne!(
                by_key(&changed, &key, &TokenKeys::default()),
                Some(b"Live long and prosper.".to_vec()),
                "{at}"
            );
        }
    }

    #[test]
    fn the_agreement_of_rfc_7518_derives_its_key() {
        // Appendix C
        let header = r#"{"alg":"ECDH-ES","enc":"A128GCM","apu":"QWxpY2U","apv":"Qm9i","epk":{"kty":"EC","crv":"P-256","x":"gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0","y":"SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps"}}"#;
        let token = format!("{}....", URL_SAFE_NO_PAD.encode(header));
        let token = Token::parse(token.as_bytes()).unwrap();
        let Some(Jwk::Ec(bob)) = Jwk::parse(
            br#"{"kty":"EC","crv":"P-256","x":"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ","y":"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck","d":"VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw"}"#,
        ) else {
            panic!("an elliptic key");
        };
        let key = token.agree_with(&bob).unwrap();
        assert_eq!(URL_SAFE_NO_PAD.encode(key), "VqqN6vgjbSBcIijNcacQGg");
    }

    #[test]
    fn what_is_no_token_or_key_decrypts_nothing() {
        for token in [
            "",
            "....",
            "e30....",
            "a.b.c",
            "eyJhbGciOiJkaXIifQ....",
            "\u{fc}.\u{fc}.\u{fc}.\u{fc}.\u{fc}",
        ] {
            assert_eq!(
                by_secret(token.as_bytes(), &[0; 32], &TokenKeys::default()),
                None,
                "{token}"
            );
        }
        for key in [
            "",
            "{}",
            r#"{"kty":"oct"}"#,
            r#"{"kty":"RSA","n":"AQ"}"#,
            r#"{"kty":"EC","crv":"P-1","d":"AQ"}"#,
            r#"{"kty":"EC","crv":"P-256","d":""}"#,
        ] {
            assert!(Jwk::parse(key.as_bytes()).is_none(), "{key}");
        }
    }
}
