//! JSON web keys (RFC 7517): secrets, RSA and EC keys.

use aws_lc_rs::{agreement, rsa};

use super::{decoded, der};
use crate::expr::convert::json::member;

/// A key tokens are decrypted with.
pub(super) enum Jwk {
    /// `oct`
    Secret(Vec<u8>),
    /// `RSA`
    Rsa(rsa::PrivateDecryptingKey),
    /// `EC`
    Ec(agreement::PrivateKey),
}

impl Jwk {
    /// Reads a key; nothing where a part of it is missing or wrong.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let part = |name: &str| decoded(&member(text, name)?);
        match &*member(text, "kty")? {
            b"oct" => part("k").map(Self::Secret),
            b"RSA" => {
                let (n, e, d) = (part("n")?, part("e")?, part("d")?);
                let (p, q) = (part("p")?, part("q")?);
                let (dp, dq, qi) = (part("dp")?, part("dq")?, part("qi")?);
                let key = der::rsa_private_key([&n, &e, &d, &p, &q, &dp, &dq, &qi]);
                rsa::PrivateDecryptingKey::from_pkcs8(&key)
                    .ok()
                    .map(Self::Rsa)
            }
            b"EC" => {
                let (curve, length) = curve(&member(text, "crv")?)?;
                let key = padded(&part("d")?, length)?;
                agreement::PrivateKey::from_private_key(curve, &key)
                    .ok()
                    .map(Self::Ec)
            }
            _ => None,
        }
    }
}

/// The public key in a token's header (`epk`), as an uncompressed point.
pub(super) fn point(text: &[u8]) -> Option<(&'static agreement::Algorithm, Vec<u8>)> {
    let (curve, length) = curve(&member(text, "crv")?)?;
    let coordinate = |name: &str| padded(&decoded(&member(text, name)?)?, length);
    let mut point = vec![4];
    point.extend(coordinate("x")?);
    point.extend(coordinate("y")?);
    Some((curve, point))
}

/// The curve of that name, and the length of its numbers.
fn curve(name: &[u8]) -> Option<(&'static agreement::Algorithm, usize)> {
    Some(match name {
        b"P-256" => (&agreement::ECDH_P256, 32),
        b"P-384" => (&agreement::ECDH_P384, 48),
        b"P-521" => (&agreement::ECDH_P521, 66),
        _ => return None,
    })
}

fn padded(number: &[u8], length: usize) -> Option<Vec<u8>> {
    let missing = length.checked_sub(number.len())?;
    let mut out = vec![0; missing];
    out.extend_from_slice(number);
    Some(out)
}
