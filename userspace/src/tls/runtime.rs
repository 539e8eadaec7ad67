//! Changing certificates, authorities, revocation lists and `crt-list`s while they are in use (management.txt `set ssl …`).
//!
//! A change is staged first; when it is committed, every context that used one of the changed files is made anew, and only
//! when all could be made do they take the place of the old ones. Connections that are open keep theirs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::Role;
use super::{Contexts, describe, pem};

/// Changes that are staged, at most one of each role.
#[derive(Debug, Default)]
pub(super) struct Transactions(BTreeMap<u8, Transaction>);

struct Transaction {
    main: PathBuf,
    parts: BTreeMap<PathBuf, (Role, Arc<[u8]>)>,
}

impl std::fmt::Debug for Transaction {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Transaction")
            .field("main", &self.main)
            .finish_non_exhaustive()
    }
}

/// What became of a staged change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Staged {
    Created,
    Updated,
}

impl Contexts {
    /// The file a transaction of a role is about, and all files of that role.
    pub fn listed(&self, role: Role) -> (Option<PathBuf>, Vec<PathBuf>) {
        let transactions = self.transactions.lock();
        let staged = transactions
            .0
            .get(&(role as u8))
            .map(|staged| staged.main.clone());
        (staged, self.files.of(role))
    }

    /// The content of a certificate's file, as it is in force.
    pub fn certificate(&self, name: &str) -> Option<Arc<[u8]>> {
        self.files.content(Path::new(name), Role::Certificate)
    }

    /// Whether a context uses a file.
    pub fn is_used(&self, path: &Path) -> bool {
        let acceptors = self.acceptors.iter().flatten().map(|slot| &slot.used);
        let connectors = self.connectors.iter().flatten().map(|slot| &slot.used);
        let mut all = acceptors
            .chain(connectors)
            .chain(self.checks.iter().map(|slot| &slot.used));
        all.any(|used| used.lock().contains(path))
    }

    /// Stages a new content for a file, or for one beside a certificate.
    ///
    /// # Errors
    /// What is wrong with it, in HAProxy's words.
    pub fn stage(
        &self,
        role: Role,
        name: &str,
        text: &str,
        append: bool,
    ) -> Result<Staged, String> {
        let (main, part, part_role) = self.find(role, name)?;
        let mut transactions = self.transactions.lock();
        let current = transactions.0.get(&(role as u8));
        if let Some(current) = current.filter(|current| current.main != main) {
            return Err(format!(
                "The ongoing transaction is about '{}' but you are trying to set '{}'",
                current.main.display(),
                main.display()
            ));
        }
        let staged = current
            .and_then(|current| current.parts.get(&part).map(|(_, bytes)| Arc::clone(bytes)));
        let before = staged.or_else(|| self.files.content(&part, part_role));
        let bytes = self.content_of(&main, &part, part_role, text, before.as_deref(), append)?;
        let known = current.is_some();
        let transaction = transactions
            .0
            .entry(role as u8)
            .or_insert_with(|| Transaction {
                main,
                parts: BTreeMap::new(),
            });
        transaction.parts.insert(part, (part_role, bytes));
        Ok(if known {
            Staged::Updated
        } else {
            Staged::Created
        })
    }

    /// Puts a staged change in force.
    ///
    /// # Errors
    /// There is none for that file, or it cannot be used: it then stays staged.
    pub fn commit(&self, role: Role, name: &str) -> Result<(), String> {
        let mut transactions = self.transactions.lock();
        let Some(transaction) = transactions.0.get(&(role as u8)) else {
            return Err("No ongoing transaction!".to_owned());
        };
        if transaction.main != Path::new(name) {
            return Err(format!(
                "The ongoing transaction is about '{}' but you are trying to set '{name}'",
                transaction.main.display()
            ));
        }
        self.change(&transaction.parts)?;
        transactions.0.remove(&(role as u8));
        Ok(())
    }

    /// Drops a staged change; false when there is none for that file.
    ///
    /// # Errors
    /// There is none, or it is about another file.
    pub fn abort(&self, role: Role, name: &str) -> Result<(), String> {
        let mut transactions = self.transactions.lock();
        match transactions.0.get(&(role as u8)) {
            None => Err("No ongoing transaction!".to_owned()),
            Some(current) if current.main != Path::new(name) => Err(format!(
                "The ongoing transaction is about '{}' but you are trying to abort a transaction for '{name}'",
                current.main.display()
            )),
            Some(_) => {
                transactions.0.remove(&(role as u8));
                Ok(())
            }
        }
    }

    /// Makes an empty file; false when it exists.
    pub fn create(&self, role: Role, name: &str) -> bool {
        let path = Path::new(name);
        let is_new = self.files.content(path, role).is_none();
        if is_new {
            self.files.put(path, role, Arc::from(&[][..]));
        }
        is_new
    }

    /// Forgets a file nobody uses.
    ///
    /// # Errors
    /// It is not known, or used.
    pub fn delete(&self, role: Role, name: &str) -> Result<(), String> {
        let path = Path::new(name);
        if self.files.content(path, role).is_none() {
            return Err("doesn't exist!".to_owned());
        }
        if self.is_used(path) || self.tokens.is_usable(name) {
            return Err("in use, can't be deleted!".to_owned());
        }
        self.files.forget(path);
        Ok(())
    }

    /// What is known of a file, entry by entry; `staged` asks for the content that is not in force yet.
    pub fn described(&self, role: Role, name: &str, staged: bool) -> Option<Vec<String>> {
        let path = Path::new(name);
        let bytes = match staged {
            true => {
                let transactions = self.transactions.lock();
                let current = transactions.0.get(&(role as u8))?;
                Arc::clone(&current.parts.get(path)?.1)
            }
            false => self.files.content(path, role)?,
        };
        Some(match role {
            Role::Certificate => {
                let chain = pem::certificates(&bytes, path).unwrap_or_default();
                let mut chain = chain.iter();
                let mut text = chain
                    .next()
                    .map_or_else(String::new, |first| describe::certificate(first));
                chain.for_each(|link| text.push_str(&describe::link(link)));
                vec![text]
            }
            Role::Revocation => {
                let lists = pem::lists(&bytes, path).unwrap_or_default();
                lists
                    .iter()
                    .map(|list| describe::revocation_list(list))
                    .collect()
            }
            Role::Authority | Role::Beside | Role::List => {
                let all = pem::certificates(&bytes, path).unwrap_or_default();
                all.iter()
                    .map(|certificate| describe::certificate(certificate))
                    .collect()
            }
        })
    }

    /// The lines of a `crt-list`, numbered from 1.
    pub fn list(&self, name: &str) -> Option<Vec<(usize, String)>> {
        let bytes = self.files.content(Path::new(name), Role::List)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let numbered = text
            .lines()
            .enumerate()
            .map(|(at, line)| (at + 1, line.trim().to_owned()));
        Some(
            numbered
                .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
                .collect(),
        )
    }

    /// Adds a line to a `crt-list` and puts it in force.
    ///
    /// # Errors
    /// The list or the certificate is not known, or the line cannot be used.
    pub fn add_to_list(&self, name: &str, line: &str) -> Result<(), String> {
        let path = Path::new(name);
        let bytes = self
            .files
            .content(path, Role::List)
            .ok_or_else(|| format!("crt-list '{name}' does not exist!"))?;
        let certificate = line.split_whitespace().next().unwrap_or_default();
        let certificate_path = self.bases().certificate(certificate);
        match self.files.content(&certificate_path, Role::Certificate) {
            None => return Err(format!("certificate '{certificate}' does not exist!")),
            Some(content) if content.is_empty() => {
                return Err(format!("certificate '{certificate}' is empty!"));
            }
            Some(_) => {}
        }
        let mut text = bytes.to_vec();
        if !text.is_empty() && !text.ends_with(b"\n") {
            text.push(b'\n');
        }
        text.extend_from_slice(line.trim().as_bytes());
        text.push(b'\n');
        self.change(&BTreeMap::from([(
            path.to_owned(),
            (Role::List, text.into()),
        )]))
    }

    /// Removes the line of a certificate, with its number where there are several.
    ///
    /// # Errors
    /// There is no such line, it is ambiguous, or what is left cannot be used.
    pub fn remove_from_list(&self, name: &str, entry: &str) -> Result<String, String> {
        let lines = self
            .list(name)
            .ok_or_else(|| format!("crt-list '{name}' does not exist!"))?;
        let (certificate, number) = match entry.rsplit_once(':') {
            Some((certificate, number)) if number.parse::<usize>().is_ok() => {
                (certificate, number.parse::<usize>().ok())
            }
            _ => (entry, None),
        };
        let is_it =
            |(at, line): &&(usize, String)| {
                line.split_whitespace().next() == Some(certificate)
                    || line.split_whitespace().next().is_some_and(|word| {
                        self.bases().certificate(word) == Path::new(certificate)
                    }) && number.is_none_or(|number| number == *at)
            };
        let found: Vec<usize> = lines
            .iter()
            .filter(is_it)
            .map(|(at, _)| *at)
            .filter(|at| number.is_none_or(|number| number == *at))
            .collect();
        let at = match found.as_slice() {
            [at] => *at,
            [] => return Err(format!("certificate '{certificate}' does not exist!")),
            _ => {
                return Err(format!(
                    "certificate '{certificate}' is used several times: give its line, as in '{certificate}:{}'",
                    found[0]
                ));
            }
        };
        let frontends =
            self.defaults_in(name, lines.first().is_some_and(|(first, _)| *first == at));
        if !frontends.is_empty() {
            return Err(format!(
                "certificate '{certificate}' cannot be deleted, it is used as default certificate by the following frontends:\n{}",
                frontends
                    .iter()
                    .map(|frontend| format!("\t- {frontend}\n"))
                    .collect::<String>()
            ));
        }
        let path = Path::new(name);
        let bytes = self
            .files
            .content(path, Role::List)
            .unwrap_or_else(|| Arc::from(&[][..]));
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let kept = text
            .lines()
            .enumerate()
            .map(|(index, line)| if index + 1 == at { "" } else { line });
        let kept: String = kept.flat_map(|line| [line, "\n"]).collect();
        self.change(&BTreeMap::from([(
            path.to_owned(),
            (Role::List, kept.into_bytes().into()),
        )]))?;
        Ok(certificate.to_owned())
    }

    /// The frontends for which the first line of a list is the default certificate.
    fn defaults_in(&self, name: &str, is_first: bool) -> Vec<String> {
        let slots = self.acceptors.iter().flatten().filter(|_| is_first);
        let using = slots.filter(|slot| {
            let tls = &slot.tls;
            !tls.strict_sni
                && tls.certificates.is_empty()
                && tls
                    .certificate_lists
                    .first()
                    .is_some_and(|list| list == Path::new(name))
        });
        using.map(|slot| slot.frontend.clone()).collect()
    }

    /// Puts contents in place and makes anew what used them; all or nothing.
    fn change(&self, parts: &BTreeMap<PathBuf, (Role, Arc<[u8]>)>) -> Result<(), String> {
        let before: Vec<_> = parts
            .iter()
            .map(|(path, (role, bytes))| {
                (path, *role, self.files.put(path, *role, Arc::clone(bytes)))
            })
            .collect();
        let changed: BTreeSet<PathBuf> = parts.keys().cloned().collect();
        let result = self.rebuild(&changed);
        if result.is_err() {
            for (path, role, bytes) in before {
                match bytes {
                    Some(bytes) => drop(self.files.put(path, role, bytes)),
                    None => self.files.forget(path),
                }
            }
            return result;
        }
        for (path, (role, bytes)) in parts {
            if *role == Role::Certificate {
                self.tokens.replace(&path.to_string_lossy(), bytes);
            }
        }
        result
    }

    /// The main file that a name belongs to, the file it is, and that one's role.
    fn find(&self, role: Role, name: &str) -> Result<(PathBuf, PathBuf, Role), String> {
        let path = PathBuf::from(name);
        if self.files.content(&path, role).is_some() {
            return Ok((path.clone(), path, role));
        }
        let missing = match role {
            Role::Authority => "CA file",
            Role::Revocation => "CRL file",
            Role::Certificate | Role::Beside | Role::List => "certificate",
        };
        let unknown =
            || format!("Can't replace a {missing} which is not referenced by the configuration!");
        if role != Role::Certificate {
            return Err(unknown());
        }
        let (base, extension) = name.rsplit_once('.').ok_or_else(unknown)?;
        if !matches!(extension, "key" | "ocsp") {
            return Err(unknown());
        }
        let whole = PathBuf::from(base);
        let certificate = PathBuf::from(format!("{base}.crt"));
        [whole, certificate]
            .into_iter()
            .find(|main| self.files.content(main, Role::Certificate).is_some())
            .map(|main| (main, path, Role::Beside))
            .ok_or_else(unknown)
    }

    /// What a file is to hold.
    fn content_of(
        &self,
        main: &Path,
        part: &Path,
        role: Role,
        text: &str,
        before: Option<&[u8]>,
        append: bool,
    ) -> Result<Arc<[u8]>, String> {
        if part
            .extension()
            .is_some_and(|extension| extension == "ocsp")
        {
            use base64::Engine;
            let compact: String = text.split_whitespace().collect();
            let decoded = base64::engine::general_purpose::STANDARD.decode(compact);
            return decoded
                .map(Arc::from)
                .map_err(|_| "unable to load the OCSP response: no base64".to_owned());
        }
        let mut bytes = match before.filter(|_| append) {
            Some(before) => before.to_vec(),
            None => Vec::new(),
        };
        if !bytes.is_empty() && !bytes.ends_with(b"\n") {
            bytes.push(b'\n');
        }
        bytes.extend_from_slice(text.as_bytes());
        let wrong = || {
            format!(
                "unable to load certificates from file '{}': there are none",
                part.display()
            )
        };
        match role {
            Role::Certificate => {
                if pem::certificates(&bytes, part)?.is_empty() {
                    return Err(wrong());
                }
                // A certificate alone goes on with the key it had.
                let key_beside = ["key"].iter().any(|extension| {
                    let beside = super::certificate::beside_all(main, extension);
                    beside
                        .iter()
                        .any(|path| self.files.content(path, Role::Beside).is_some())
                });
                if pem::private_key(&bytes, part)?.is_none()
                    && !key_beside
                    && let Some(key) = before.and_then(pem::key_text)
                {
                    bytes.push(b'\n');
                    bytes.extend_from_slice(key);
                }
            }
            Role::Authority if pem::certificates(&bytes, part)?.is_empty() => return Err(wrong()),
            Role::Revocation => drop(pem::lists(&bytes, part)?),
            Role::Authority | Role::Beside | Role::List => {}
        }
        Ok(bytes.into())
    }
}
