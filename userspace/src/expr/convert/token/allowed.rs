//! Which encrypted tokens are decrypted at all: `jwt.decrypt_alg_list`, `jwt.decrypt_enc_list` (manual §3.1).

/// The algorithms in use.
pub(super) struct Allowed {
    algorithms: Vec<&'static str>,
    encryptions: Vec<&'static str>,
}

impl Default for Allowed {
    fn default() -> Self {
        let safe = ALGORITHMS.iter().copied().filter(|name| *name != UNSAFE);
        Self {
            algorithms: safe.collect(),
            encryptions: ENCRYPTIONS.to_vec(),
        }
    }
}

impl Allowed {
    pub(super) fn set_algorithms(&mut self, list: &str) -> Result<(), String> {
        self.algorithms = chosen(list, ALGORITHMS)?;
        Ok(())
    }

    pub(super) fn set_encryptions(&mut self, list: &str) -> Result<(), String> {
        self.encryptions = chosen(list, ENCRYPTIONS)?;
        Ok(())
    }

    pub(super) fn allows(&self, algorithm: &[u8], encryption: &[u8]) -> bool {
        let holds = |list: &[&str], name: &[u8]| list.iter().any(|known| known.as_bytes() == name);
        holds(&self.algorithms, algorithm) && holds(&self.encryptions, encryption)
    }
}

/// The names of a list between colons: `ALL` stands for all, `!` takes one away.
fn chosen(list: &str, all: &[&'static str]) -> Result<Vec<&'static str>, String> {
    let mut chosen = Vec::new();
    let mut excluded = Vec::new();
    for word in list.split(':') {
        let (name, list) = match word.strip_prefix('!') {
            Some(name) => (name, &mut excluded),
            None => (word, &mut chosen),
        };
        match all.iter().find(|known| **known == name) {
            Some(known) => list.push(*known),
            None if word == "ALL" => list.extend_from_slice(all),
            None => return Err(format!("unknown algorithm '{name}'")),
        }
    }
    chosen.retain(|name| !excluded.contains(name));
    Ok(chosen)
}

/// Off unless it is asked for (RFC 8725 §3.2).
const UNSAFE: &str = "RSA1_5";

/// RFC 7518 §4.1.
const ALGORITHMS: &[&str] = &[
    UNSAFE,
    "RSA-OAEP",
    "RSA-OAEP-256",
    "A128KW",
    "A192KW",
    "A256KW",
    "dir",
    "ECDH-ES",
    "ECDH-ES+A128KW",
    "ECDH-ES+A192KW",
    "ECDH-ES+A256KW",
    "A128GCMKW",
    "A192GCMKW",
    "A256GCMKW",
];

/// RFC 7518 §5.1.
const ENCRYPTIONS: &[&str] = &[
    "A128CBC-HS256",
    "A192CBC-HS384",
    "A256CBC-HS512",
    "A128GCM",
    "A192GCM",
    "A256GCM",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_say_what_is_allowed() {
        let mut allowed = Allowed::default();
        assert!(allowed.allows(b"RSA-OAEP", b"A128GCM"));
        assert!(!allowed.allows(b"RSA1_5", b"A128GCM"));
        allowed.set_algorithms("ALL:!ECDH-ES").expect("known");
        assert!(allowed.allows(b"RSA1_5", b"A128GCM"));
        assert!(!allowed.allows(b"ECDH-ES", b"A128GCM"));
        allowed.set_encryptions("A256GCM").expect("known");
        assert!(!allowed.allows(b"dir", b"A128GCM"));
        assert!(allowed.allows(b"dir", b"A256GCM"));
        assert_eq!(
            allowed.set_algorithms("dir:A1"),
            Err("unknown algorithm 'A1'".to_owned())
        );
    }
}
