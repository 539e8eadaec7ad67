//! Cipher strings, suites and curves in OpenSSL's notation, as what the TLS library has.

use crate::lang::ast::Word;
use crate::lang::keywords::args::{Complaint, Parsed};

/// An OpenSSL cipher string as the suites the TLS library has, most preferred first.
pub(in crate::lang::keywords) fn ciphers(word: &Word) -> Parsed<Vec<String>> {
    let mut chosen: Vec<&Suite> = Vec::new();
    let mut killed: Vec<&str> = Vec::new();
    for part in word
        .text
        .split([':', ',', ' '])
        .filter(|part| !part.is_empty() && !part.starts_with('@'))
    {
        let (sign, text) = match part.as_bytes()[0] {
            sign @ (b'!' | b'-' | b'+') => (sign, &part[1..]),
            // A list of the system's crypto policy (Red Hat): the library decides here.
            _ if part.starts_with("PROFILE=") => (b' ', "DEFAULT"),
            _ => (b' ', part),
        };
        let named = |suite: &&Suite| {
            text.split('+')
                .all(|tag| suite.name == tag || suite.tags.contains(&tag))
        };
        let matching: Vec<&Suite> = SUITES.iter().filter(named).collect();
        match sign {
            b'!' => {
                chosen.retain(|suite| !matching.iter().any(|other| other.name == suite.name));
                killed.extend(matching.iter().map(|suite| suite.name));
            }
            b'-' => chosen.retain(|suite| !matching.iter().any(|other| other.name == suite.name)),
            b'+' => {
                let moved = |suite: &&Suite| matching.iter().any(|other| other.name == suite.name);
                let (last, mut first): (Vec<_>, Vec<_>) = chosen.drain(..).partition(moved);
                first.extend(last);
                chosen = first;
            }
            _ => {
                for suite in matching {
                    if !killed.contains(&suite.name)
                        && !chosen.iter().any(|known| known.name == suite.name)
                    {
                        chosen.push(suite);
                    }
                }
            }
        }
    }
    if chosen.is_empty() {
        let known: Vec<_> = SUITES.iter().map(|suite| suite.name).collect();
        return Err(
            Complaint::new(word.span, "no cipher of this list is available")
                .hint(format!("available are {}", known.join(":"))),
        );
    }
    Ok(chosen
        .into_iter()
        .map(|suite| suite.name.to_owned())
        .collect())
}

/// A list of TLS 1.3 suites; unknown ones are left out as long as one is known.
pub(in crate::lang::keywords) fn ciphersuites(word: &Word) -> Parsed<Vec<String>> {
    known_of(word, "cipher suite", SUITES_13)
}

/// A list of key exchange groups.
pub(in crate::lang::keywords) fn curves(word: &Word) -> Parsed<Vec<String>> {
    known_of(word, "curve", CURVES)
}

fn known_of(word: &Word, what: &str, known: &[(&str, &str)]) -> Parsed<Vec<String>> {
    let find = |name: &str| {
        known
            .iter()
            .find(|(alias, _)| alias.eq_ignore_ascii_case(name))
            .map(|(_, name)| *name)
    };
    let mut chosen: Vec<String> = Vec::new();
    for name in word.text.split([':', ',']).filter_map(find) {
        if !chosen.iter().any(|known| known == name) {
            chosen.push(name.to_owned());
        }
    }
    if chosen.is_empty() {
        let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
        let complaint = Complaint::new(word.span, format!("no {what} of this list is available"));
        return Err(complaint.hint(format!("available are {}", names.join(":"))));
    }
    Ok(chosen)
}

/// A TLS 1.2 suite and the words of a cipher string that choose it.
struct Suite {
    name: &'static str,
    tags: &'static [&'static str],
}

const SUITES: &[Suite] = &[
    Suite {
        name: "ECDHE-ECDSA-AES256-GCM-SHA384",
        tags: &[
            "ALL",
            "DEFAULT",
            "COMPLEMENTOFDEFAULT",
            "HIGH",
            "TLSv1.2",
            "ECDHE",
            "EECDH",
            "kECDHE",
            "kEECDH",
            "ECDH",
            "aECDSA",
            "ECDSA",
            "AESGCM",
            "AES",
            "AES256",
            "SHA384",
            "AEAD",
            "SUITEB192",
            "FIPS",
        ],
    },
    Suite {
        name: "ECDHE-RSA-AES256-GCM-SHA384",
        tags: &[
            "ALL", "DEFAULT", "HIGH", "TLSv1.2", "ECDHE", "EECDH", "kECDHE", "kEECDH", "ECDH",
            "aRSA", "RSA", "AESGCM", "AES", "AES256", "SHA384", "AEAD", "FIPS",
        ],
    },
    Suite {
        name: "ECDHE-ECDSA-CHACHA20-POLY1305",
        tags: &[
            "ALL", "DEFAULT", "HIGH", "TLSv1.2", "ECDHE", "EECDH", "kECDHE", "kEECDH", "ECDH",
            "aECDSA", "ECDSA", "CHACHA20", "AEAD",
        ],
    },
    Suite {
        name: "ECDHE-RSA-CHACHA20-POLY1305",
        tags: &[
            "ALL", "DEFAULT", "HIGH", "TLSv1.2", "ECDHE", "EECDH", "kECDHE", "kEECDH", "ECDH",
            "aRSA", "RSA", "CHACHA20", "AEAD",
        ],
    },
    Suite {
        name: "ECDHE-ECDSA-AES128-GCM-SHA256",
        tags: &[
            "ALL",
            "DEFAULT",
            "HIGH",
            "TLSv1.2",
            "ECDHE",
            "EECDH",
            "kECDHE",
            "kEECDH",
            "ECDH",
            "aECDSA",
            "ECDSA",
            "AESGCM",
            "AES",
            "AES128",
            "SHA256",
            "AEAD",
            "SUITEB128",
            "FIPS",
        ],
    },
    Suite {
        name: "ECDHE-RSA-AES128-GCM-SHA256",
        tags: &[
            "ALL", "DEFAULT", "HIGH", "TLSv1.2", "ECDHE", "EECDH", "kECDHE", "kEECDH", "ECDH",
            "aRSA", "RSA", "AESGCM", "AES", "AES128", "SHA256", "AEAD", "FIPS",
        ],
    },
];

const SUITES_13: &[(&str, &str)] = &[
    ("TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384"),
    (
        "TLS_CHACHA20_POLY1305_SHA256",
        "TLS_CHACHA20_POLY1305_SHA256",
    ),
    ("TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"),
];

const CURVES: &[(&str, &str)] = &[
    ("X25519", "X25519"),
    ("secp256r1", "secp256r1"),
    ("prime256v1", "secp256r1"),
    ("P-256", "secp256r1"),
    ("secp384r1", "secp384r1"),
    ("P-384", "secp384r1"),
    ("secp521r1", "secp521r1"),
    ("P-521", "secp521r1"),
    ("X25519MLKEM768", "X25519MLKEM768"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::source::{Sources, Span};

    fn word(text: &str) -> Word {
        let source = Sources::default().add("t", "");
        Word {
            text: text.to_owned(),
            span: Span {
                source,
                line: 1,
                start: 0,
                end: 1,
            },
            columns: None,
        }
    }

    #[test]
    fn cipher_strings_choose_what_the_library_has() {
        let mozilla =
            "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES128-GCM-SHA256";
        assert_eq!(
            ciphers(&word(mozilla)).expect("some"),
            [
                "ECDHE-ECDSA-AES128-GCM-SHA256",
                "ECDHE-RSA-AES128-GCM-SHA256"
            ]
        );
        assert_eq!(
            ciphers(&word("ALL:!aNULL")).expect("some").len(),
            SUITES.len()
        );
        assert_eq!(ciphers(&word("ECDH+AESGCM:!ECDSA")).expect("some").len(), 2);
        assert_eq!(ciphers(&word("!RSA:HIGH")).expect("some").len(), 3);
        assert_eq!(
            ciphers(&word("HIGH:+AES256:-CHACHA20")).expect("some")[3],
            "ECDHE-RSA-AES256-GCM-SHA384"
        );
        assert!(ciphers(&word("AES128-SHA")).is_err());
        assert!(ciphers(&word("!ALL")).is_err());
        assert!(ciphers(&word("")).is_err());
    }

    #[test]
    fn curves_have_aliases() {
        assert_eq!(
            curves(&word("X25519:P-256:prime256v1:X448")).expect("some"),
            ["X25519", "secp256r1"]
        );
        assert!(curves(&word("X448")).is_err());
    }
}
