//! Signatures of tokens (RFC 7515, algorithms of RFC 7518 §3.1).

use aws_lc_rs::{hmac, signature};

use super::keys::{NoKey, PublicKey, TokenKeys};

/// What is said of a signature; the numbers are the converter's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Right = 1,
    Wrong = 0,
    UnknownAlgorithm = -1,
    InvalidToken = -3,
    UnknownKey = -5,
    UnavailableCertificate = -7,
}

/// What a signature is verified with.
#[derive(Clone, Copy)]
pub(super) enum Key<'a> {
    /// A secret for HMAC, else the name of a public key.
    Any(&'a [u8], &'a TokenKeys),
    /// The name of a certificate.
    Certificate(&'a [u8], &'a TokenKeys),
}

enum Algorithm {
    None,
    Hmac(hmac::Algorithm),
    Rsa(&'static signature::RsaParameters),
    /// With the length of a signature.
    Ec(&'static signature::EcdsaVerificationAlgorithm, usize),
}

pub(super) fn verify(token: &[u8], algorithm: &[u8], key: Key<'_>) -> Verdict {
    let Some(algorithm) = named(algorithm) else {
        return Verdict::UnknownAlgorithm;
    };
    let parts: Vec<&[u8]> = token.split(|byte| *byte == b'.').collect();
    let [header, payload, encoded] = parts[..] else {
        return Verdict::InvalidToken;
    };
    if header.is_empty() || payload.is_empty() {
        return Verdict::InvalidToken;
    }
    let signed = &token[..header.len() + 1 + payload.len()];
    let Some(signature) = super::decoded(encoded) else {
        return Verdict::InvalidToken;
    };
    let judge = |right: bool| {
        if right {
            Verdict::Right
        } else {
            Verdict::Wrong
        }
    };
    match (algorithm, key) {
        (Algorithm::None, _) => judge(signature.is_empty()),
        _ if signature.is_empty() => Verdict::InvalidToken,
        (Algorithm::Hmac(algorithm), Key::Any(secret, _)) => {
            let secret = hmac::Key::new(algorithm, secret);
            judge(hmac::verify(&secret, signed, &signature).is_ok())
        }
        (Algorithm::Hmac(_), Key::Certificate(..)) => Verdict::UnknownKey,
        (algorithm, key) => {
            let found = match key {
                Key::Any(name, keys) => keys.public(name).ok_or(NoKey::Unknown),
                Key::Certificate(name, keys) => keys.certificate(name),
            };
            let found = match found {
                Ok(found) => found,
                Err(NoKey::Unknown) => return Verdict::UnknownKey,
                Err(NoKey::Unavailable) => return Verdict::UnavailableCertificate,
            };
            if let Algorithm::Ec(_, length) = algorithm
                && signature.len() != length
            {
                return Verdict::InvalidToken;
            }
            match (algorithm, &*found) {
                (Algorithm::Rsa(parameters), PublicKey::Rsa(key)) => {
                    let key = signature::UnparsedPublicKey::new(parameters, key);
                    judge(key.verify(signed, &signature).is_ok())
                }
                (Algorithm::Ec(parameters, _), PublicKey::Ec(key)) => {
                    let key = signature::UnparsedPublicKey::new(parameters, key);
                    judge(key.verify(signed, &signature).is_ok())
                }
                _ => Verdict::Wrong,
            }
        }
    }
}

fn named(name: &[u8]) -> Option<Algorithm> {
    Some(match name {
        b"none" => Algorithm::None,
        b"HS256" => Algorithm::Hmac(hmac::HMAC_SHA256),
        b"HS384" => Algorithm::Hmac(hmac::HMAC_SHA384),
        b"HS512" => Algorithm::Hmac(hmac::HMAC_SHA512),
        b"RS256" => Algorithm::Rsa(&signature::RSA_PKCS1_2048_8192_SHA256),
        b"RS384" => Algorithm::Rsa(&signature::RSA_PKCS1_2048_8192_SHA384),
        b"RS512" => Algorithm::Rsa(&signature::RSA_PKCS1_2048_8192_SHA512),
        b"PS256" => Algorithm::Rsa(&signature::RSA_PSS_2048_8192_SHA256),
        b"PS384" => Algorithm::Rsa(&signature::RSA_PSS_2048_8192_SHA384),
        b"PS512" => Algorithm::Rsa(&signature::RSA_PSS_2048_8192_SHA512),
        b"ES256" => Algorithm::Ec(&signature::ECDSA_P256_SHA256_FIXED, 64),
        b"ES384" => Algorithm::Ec(&signature::ECDSA_P384_SHA384_FIXED, 96),
        b"ES512" => Algorithm::Ec(&signature::ECDSA_P521_SHA512_FIXED, 132),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::testing::{Literal, eval};

    /// RFC 7515 §A.3.
    const TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

    fn keys() -> TokenKeys {
        let mut point = vec![4];
        for coordinate in [
            "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        ] {
            point.extend(super::super::decoded(coordinate.as_bytes()).unwrap());
        }
        TokenKeys::default().with("ec.pem", PublicKey::Ec(point))
    }

    #[test]
    fn the_elliptic_signature_of_rfc_7515_is_right() {
        let keys = keys();
        let judge = |token: &str, algorithm: &str, key: &str| {
            verify(
                token.as_bytes(),
                algorithm.as_bytes(),
                Key::Any(key.as_bytes(), &keys),
            )
        };
        assert_eq!(judge(TOKEN, "ES256", "ec.pem"), Verdict::Right);
        assert_eq!(
            judge(
                &TOKEN.replace("joe", "jon").replace("FUzI", "FUzJ"),
                "ES256",
                "ec.pem"
            ),
            Verdict::Wrong
        );
        assert_eq!(judge(TOKEN, "ES256", "other.pem"), Verdict::UnknownKey);
        assert_eq!(judge(TOKEN, "ES512", "ec.pem"), Verdict::InvalidToken);
        assert_eq!(judge(TOKEN, "RS256", "ec.pem"), Verdict::Wrong);
        assert_eq!(judge(TOKEN, "ES999", "ec.pem"), Verdict::UnknownAlgorithm);
        for broken in ["", "a.b", "a.b.", "a.b.c.d", ".b.c", "a.b.$$"] {
            assert_eq!(
                judge(broken, "ES256", "ec.pem"),
                Verdict::InvalidToken,
                "{broken}"
            );
        }
    }

    #[test]
    fn both_kinds_of_rsa_signatures_are_verified() {
        use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
        use aws_lc_rs::rsa::KeySize;
        use aws_lc_rs::signature::{KeyPair as _, RsaKeyPair};
        use base64::Engine as _;
        use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

        let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
        let info: PublicKeyX509Der<'_> = pair.public_key().as_der().expect("its public half");
        let pem = format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            STANDARD.encode(info.as_ref())
        );
        let keys = TokenKeys::default().with(
            "rsa.pem",
            super::super::keys::public_key(pem.as_bytes()).expect("a key"),
        );
        let random = aws_lc_rs::rand::SystemRandom::new();
        let encodings: [(&str, &dyn signature::RsaEncoding); 6] = [
            ("RS256", &signature::RSA_PKCS1_SHA256),
            ("RS384", &signature::RSA_PKCS1_SHA384),
            ("RS512", &signature::RSA_PKCS1_SHA512),
            ("PS256", &signature::RSA_PSS_SHA256),
            ("PS384", &signature::RSA_PSS_SHA384),
            ("PS512", &signature::RSA_PSS_SHA512),
        ];
        for (made_as, encoding) in encodings {
            let mut bytes = vec![0; pair.public_modulus_len()];
            pair.sign(encoding, &random, b"e30.e30", &mut bytes)
                .expect("a signature");
            let token = format!("e30.e30.{}", URL_SAFE_NO_PAD.encode(&bytes));
            for (algorithm, _) in encodings {
                let expected = match algorithm == made_as {
                    true => Verdict::Right,
                    false => Verdict::Wrong,
                };
                let key = Key::Any(b"rsa.pem", &keys);
                let verdict = verify(token.as_bytes(), algorithm.as_bytes(), key);
                assert_eq!(verdict, expected, "{made_as} as {algorithm}");
            }
        }
    }

    #[test]
    fn secrets_are_written_or_in_variables() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"top secret");
        let tag = hmac::sign(&key, b"e30.e30");
        let digits: String = tag
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let made = eval(&format!("bin({digits}),ub64enc"), &Literal::default()).unwrap();
        for (secret, expected) in [("top secret", "1"), ("another", "0")] {
            let word = format!("str(e30.e30.{made}),jwt_verify(HS256,\"{secret}\")");
            assert_eq!(eval(&word, &Literal::default()).as_deref(), Some(expected));
        }
    }
}
