//! Names of cipher suites, versions and curves: OpenSSL's, as configurations and logs write them, to and from rustls's.
//!
//! A cipher string is read as OpenSSL reads it as far as it speaks of suites that exist here: names, groups such as `HIGH`
//! or `ECDHE+AESGCM`, and the operators `!`, `-` and `+`. What names other suites selects nothing.

use rustls::crypto::aws_lc_rs::{ALL_CIPHER_SUITES, ALL_KX_GROUPS};
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CipherSuite, NamedGroup, ProtocolVersion, SupportedCipherSuite, SupportedProtocolVersion,
};

use super::Warnings;

/// OpenSSL's name of a suite.
pub(super) fn name(suite: CipherSuite) -> &'static str {
    SUITES
        .iter()
        .find(|known| known.suite == suite)
        .map_or("UNKNOWN", |known| known.name)
}

/// The secret bits of a suite's cipher.
pub(super) fn key_bits(suite: CipherSuite) -> i64 {
    if name(suite).contains("128") {
        128
    } else {
        256
    }
}

/// A version as OpenSSL writes it.
pub(super) const fn version_name(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::TLSv1_3 => "TLSv1.3",
        ProtocolVersion::TLSv1_2 => "TLSv1.2",
        _ => "unknown",
    }
}

/// A key exchange group as OpenSSL writes it.
pub(super) const fn group_name(group: NamedGroup) -> &'static str {
    match group {
        NamedGroup::X25519 => "X25519",
        NamedGroup::secp256r1 => "P-256",
        NamedGroup::secp384r1 => "P-384",
        NamedGroup::secp521r1 => "P-521",
        NamedGroup::X25519MLKEM768 => "X25519MLKEM768",
        NamedGroup::secp256r1MLKEM768 => "SecP256r1MLKEM768",
        _ => "unknown",
    }
}

/// The versions between two bounds (`0x0303` = TLS 1.2); `Err` when none of them exists here.
pub(super) fn versions(
    min: Option<u16>,
    max: Option<u16>,
    warnings: &mut Warnings<'_>,
) -> Result<Vec<&'static SupportedProtocolVersion>, String> {
    let chosen: Vec<_> = [(0x0303, &TLS12), (0x0304, &TLS13)]
        .into_iter()
        .filter(|(number, _)| {
            min.is_none_or(|min| *number >= min) && max.is_none_or(|max| *number <= max)
        })
        .map(|(_, version)| version)
        .collect();
    if chosen.is_empty() {
        return Err("no usable TLS version: versions before TLSv1.2 are not supported".to_owned());
    }
    if min.is_some_and(|min| min < 0x0303) {
        warnings
            .warn("versions before TLSv1.2 are not supported: the lowest one offered is TLSv1.2");
    }
    Ok(chosen)
}

/// The provider restricted to what `ciphers`, `ciphersuites` and `curves` allow; all of it where they are silent.
pub(super) fn provider(
    ciphers: Option<&[String]>,
    ciphersuites: Option<&[String]>,
    curves: Option<&[String]>,
    warnings: &mut Warnings<'_>,
) -> Result<CryptoProvider, String> {
    let mut provider = aws_lc_rs::default_provider();
    let of_version = |tls13: bool| {
        ALL_CIPHER_SUITES
            .iter()
            .copied()
            .filter(move |suite| is_tls13(*suite) == tls13)
    };
    let new = match ciphersuites {
        Some(names) => named(names, of_version(true).collect(), "ciphersuites", warnings)?,
        None => of_version(true).collect(),
    };
    let old = match ciphers {
        Some(words) => selected(words, of_version(false).collect(), warnings)?,
        None => of_version(false).collect(),
    };
    provider.cipher_suites = new.into_iter().chain(old).collect();
    if let Some(curves) = curves {
        provider.kx_groups = groups(curves, warnings)?;
    }
    Ok(provider)
}

/// Suites by their exact names, in the order given.
fn named(
    names: &[String],
    offered: Vec<SupportedCipherSuite>,
    keyword: &str,
    warnings: &mut Warnings<'_>,
) -> Result<Vec<SupportedCipherSuite>, String> {
    let mut chosen = Vec::new();
    for name in names.iter().flat_map(|word| word.split(':')) {
        match offered
            .iter()
            .find(|suite| self::name(suite.suite()) == name)
        {
            Some(suite) => chosen.push(*suite),
            None => warnings.warn(format!(
                "'{keyword}': cipher suite '{name}' is not supported and ignored"
            )),
        }
    }
    if chosen.is_empty() {
        return Err(format!(
            "'{keyword}': none of the cipher suites is supported"
        ));
    }
    Ok(chosen)
}

/// What a cipher string selects.
fn selected(
    words: &[String],
    offered: Vec<SupportedCipherSuite>,
    warnings: &mut Warnings<'_>,
) -> Result<Vec<SupportedCipherSuite>, String> {
    let mut chosen: Vec<SupportedCipherSuite> = Vec::new();
    let mut banned: Vec<SupportedCipherSuite> = Vec::new();
    let mut ignored = Vec::new();
    for word in words
        .iter()
        .flat_map(|words| words.split([':', ',', ' ']))
        .filter(|word| !word.is_empty())
    {
        let (operator, tags) = match word.as_bytes()[0] {
            b'!' | b'-' | b'+' => word.split_at(1),
            _ => ("", word),
        };
        if word.starts_with('@') {
            continue;
        }
        let matching: Vec<_> = offered
            .iter()
            .copied()
            .filter(|suite| has_tags(*suite, tags))
            .collect();
        match operator {
            "!" => {
                chosen.retain(|suite| !matching.contains(suite));
                banned.extend(matching);
            }
            "-" => chosen.retain(|suite| !matching.contains(suite)),
            "+" => {
                let (last, first) = chosen
                    .into_iter()
                    .partition(|suite| matching.contains(suite));
                let (mut first, last): (Vec<_>, Vec<_>) = (first, last);
                first.extend(last);
                chosen = first;
            }
            _ => {
                if matching.is_empty() {
                    ignored.push(tags);
                }
                let new: Vec<_> = matching
                    .into_iter()
                    .filter(|suite| !banned.contains(suite) && !chosen.contains(suite))
                    .collect();
                chosen.extend(new);
            }
        }
    }
    if chosen.is_empty() {
        return Err("'ciphers': none of the cipher suites is supported (only ECDHE with AES-GCM or ChaCha20 is)".to_owned());
    }
    if !ignored.is_empty() {
        warnings.warn(format!(
            "'ciphers': not supported and ignored: {}",
            ignored.join(":")
        ));
    }
    Ok(chosen)
}

/// Whether a suite has all of the `+`-joined tags, which may be one full name.
fn has_tags(suite: SupportedCipherSuite, tags: &str) -> bool {
    let Some(known) = SUITES.iter().find(|known| known.suite == suite.suite()) else {
        return false;
    };
    tags.split('+')
        .all(|tag| known.name == tag || COMMON_TAGS.contains(&tag) || known.tags.contains(&tag))
}

fn groups(
    curves: &[String],
    warnings: &mut Warnings<'_>,
) -> Result<Vec<&'static dyn SupportedKxGroup>, String> {
    let mut chosen = Vec::new();
    for name in curves.iter().flat_map(|word| word.split(':')) {
        let wanted = CURVES
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, group)| *group);
        match ALL_KX_GROUPS
            .iter()
            .find(|group| Some(group.name()) == wanted)
        {
            Some(group) => chosen.push(*group),
            None => warnings.warn(format!("'curves': '{name}' is not supported and ignored")),
        }
    }
    if chosen.is_empty() {
        return Err("'curves': none of the curves is supported".to_owned());
    }
    Ok(chosen)
}

fn is_tls13(suite: SupportedCipherSuite) -> bool {
    suite.version().version == ProtocolVersion::TLSv1_3
}

struct Suite {
    suite: CipherSuite,
    name: &'static str,
    tags: &'static [&'static str],
}

const fn suite(suite: CipherSuite, name: &'static str, tags: &'static [&'static str]) -> Suite {
    Suite { suite, name, tags }
}

const SUITES: [Suite; 9] = [
    suite(
        CipherSuite::TLS13_AES_256_GCM_SHA384,
        "TLS_AES_256_GCM_SHA384",
        &[],
    ),
    suite(
        CipherSuite::TLS13_AES_128_GCM_SHA256,
        "TLS_AES_128_GCM_SHA256",
        &[],
    ),
    suite(
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
        "TLS_CHACHA20_POLY1305_SHA256",
        &[],
    ),
    suite(
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        &["ECDSA", "aECDSA", "AES", "AESGCM", "AES256", "SHA384"],
    ),
    suite(
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        &["ECDSA", "aECDSA", "AES", "AESGCM", "AES128", "SHA256"],
    ),
    suite(
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        &["ECDSA", "aECDSA", "CHACHA20", "SHA256"],
    ),
    suite(
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-RSA-AES256-GCM-SHA384",
        &["RSA", "aRSA", "AES", "AESGCM", "AES256", "SHA384"],
    ),
    suite(
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-RSA-AES128-GCM-SHA256",
        &["RSA", "aRSA", "AES", "AESGCM", "AES128", "SHA256"],
    ),
    suite(
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        "ECDHE-RSA-CHACHA20-POLY1305",
        &["RSA", "aRSA", "CHACHA20", "SHA256"],
    ),
];

/// Groups every suite here belongs to.
const COMMON_TAGS: [&str; 9] = [
    "ALL",
    "DEFAULT",
    "HIGH",
    "ECDHE",
    "EECDH",
    "kECDHE",
    "kEECDH",
    "TLSv1.2",
    "COMPLEMENTOFALL",
];

const CURVES: [(&str, NamedGroup); 12] = [
    ("X25519", NamedGroup::X25519),
    ("P-256", NamedGroup::secp256r1),
    ("prime256v1", NamedGroup::secp256r1),
    ("secp256r1", NamedGroup::secp256r1),
    ("P-384", NamedGroup::secp384r1),
    ("secp384r1", NamedGroup::secp384r1),
    ("P-521", NamedGroup::secp521r1),
    ("secp521r1", NamedGroup::secp521r1),
    ("X25519MLKEM768", NamedGroup::X25519MLKEM768),
    ("SecP256r1MLKEM768", NamedGroup::secp256r1MLKEM768),
    ("MLKEM768", NamedGroup::MLKEM768),
    ("MLKEM1024", NamedGroup::MLKEM1024),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cipher_strings_of_the_usual_guides_are_understood() {
        let intermediate =
            "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES128-GCM-SHA256";
        assert_eq!(
            names(intermediate).unwrap(),
            [
                "ECDHE-ECDSA-AES128-GCM-SHA256",
                "ECDHE-RSA-AES128-GCM-SHA256"
            ]
        );
        assert_eq!(names("HIGH:!aNULL:!MD5").unwrap().len(), 6);
        assert_eq!(names("ECDHE+AESGCM:!aECDSA").unwrap().len(), 2);
        assert_eq!(
            names("ALL:!AES:+ECDSA").unwrap(),
            [
                "ECDHE-RSA-CHACHA20-POLY1305",
                "ECDHE-ECDSA-CHACHA20-POLY1305"
            ]
        );
        assert!(names("AES128-SHA:DES-CBC3-SHA").is_err());
    }

    #[test]
    fn a_ban_outlives_later_words() {
        assert_eq!(names("!CHACHA20:ALL:CHACHA20").unwrap().len(), 4);
    }

    #[test]
    fn what_is_left_out_is_said() {
        let mut list = Vec::new();
        let mut warnings = Warnings {
            place: "f:1",
            list: &mut list,
        };
        let curves = ["X25519:brainpoolP256r1".to_owned()];
        provider(None, None, Some(&curves), &mut warnings).unwrap();
        versions(Some(0x0301), None, &mut warnings).unwrap();
        assert!(versions(None, Some(0x0302), &mut warnings).is_err());
        assert_eq!(list.len(), 2);
        assert_eq!(
            list[0].message,
            "'curves': 'brainpoolP256r1' is not supported and ignored"
        );
    }

    fn names(string: &str) -> Result<Vec<&'static str>, String> {
        let mut list = Vec::new();
        let mut warnings = Warnings {
            place: "",
            list: &mut list,
        };
        let offered = ALL_CIPHER_SUITES
            .iter()
            .copied()
            .filter(|suite| !is_tls13(*suite))
            .collect();
        let chosen = selected(&[string.to_owned()], offered, &mut warnings)?;
        Ok(chosen.iter().map(|suite| name(suite.suite())).collect())
    }
}
