//! The conditions of `.if`, `.elif` and `-cc` (manual §2.4).
//!
//! A text whose quotes and variables are already resolved comes in, true or false comes out, or what cannot be
//! understood. What the program is and can do is told by [`Abilities`]; nothing is asked of the machine here.

#[cfg(test)]
mod tests;

use super::environment::Variables;

/// What `version_atleast`, `feature`, `enabled` and the TLS library predicates answer from.
#[derive(Clone, Copy, Debug)]
pub struct Abilities {
    /// Version of HAProxy's language that is followed, as `haproxy -v` would show it.
    pub version: &'static str,
    /// Names for `feature()`, as a features list shows them after `+`.
    pub features: &'static [&'static str],
    /// Names for `enabled()`.
    pub enabled: &'static [&'static str],
    /// Name of the TLS library; its OpenSSL and AWS-LC numbers are answered with false.
    pub tls_library: &'static str,
}

impl Abilities {
    /// What this program is and can do.
    pub const OURS: Self = Self {
        version: "3.4.0",
        features: &[
            "ACCEPT4",
            "EPOLL",
            "GETADDRINFO",
            "LINUX_SPLICE",
            "PROMEX",
            "THREAD",
            "TFO",
        ],
        enabled: &[
            "EPOLL",
            "FAST-FORWARD",
            "GETADDRINFO",
            "REUSEPORT",
            "SPLICE",
        ],
        tls_library: "rustls",
    };
}

/// Why a condition has no value, with the byte of the text at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConditionError {
    /// Offset in the condition's text.
    pub offset: usize,
    /// What is wrong.
    pub message: String,
}

/// Evaluates a condition; the empty text is false. Both sides of `&&` and `||` must be understandable.
pub fn evaluate(
    text: &str,
    abilities: &Abilities,
    variables: &Variables<'_>,
) -> Result<bool, ConditionError> {
    if text.is_empty() {
        return Ok(false);
    }
    let mut evaluator = Evaluator {
        text,
        at: 0,
        depth: 0,
        abilities,
        variables,
    };
    let value = evaluator.any()?;
    evaluator.skip_blanks();
    match evaluator.rest().chars().next() {
        None => Ok(value),
        Some(extra) => Err(evaluator.error(format!(
            "unexpected character '{extra}' at the end of conditional expression '{text}'"
        ))),
    }
}

/// The names of all predicates.
pub(super) fn predicates() -> impl Iterator<Item = &'static str> {
    PREDICATES.iter().map(|predicate| predicate.name)
}

struct Evaluator<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
    abilities: &'a Abilities,
    variables: &'a Variables<'a>,
}

impl<'a> Evaluator<'a> {
    fn any(&mut self) -> Result<bool, ConditionError> {
        let mut value = self.all()?;
        while self.take_operator("||") {
            value |= self.all()?;
        }
        Ok(value)
    }

    fn all(&mut self) -> Result<bool, ConditionError> {
        let mut value = self.term()?;
        while self.take_operator("&&") {
            value &= self.term()?;
        }
        Ok(value)
    }

    fn term(&mut self) -> Result<bool, ConditionError> {
        self.skip_blanks();
        let mut negated = false;
        while self.rest().starts_with('!') {
            negated = !negated;
            self.at += 1;
            self.skip_blanks();
        }
        let value = if self.rest().starts_with('(') {
            self.group()?
        } else if let Some((value, length)) = integer(self.rest()) {
            self.at += length;
            value
        } else {
            self.predicate()?
        };
        Ok(value != negated)
    }

    fn group(&mut self) -> Result<bool, ConditionError> {
        let start = self.at;
        if self.depth == DEEPEST {
            return Err(
                self.error("too many nested parentheses in conditional expression".to_owned())
            );
        }
        self.depth += 1;
        self.at += 1;
        let value = self.any()?;
        self.skip_blanks();
        if !self.rest().starts_with(')') {
            let group = &self.text[start..];
            return Err(self.error(format!(
                "expected ')' after conditional expression '{group}'"
            )));
        }
        self.at += 1;
        self.depth -= 1;
        Ok(value)
    }

    fn predicate(&mut self) -> Result<bool, ConditionError> {
        let rest = self.rest();
        let length = rest
            .find(|character: char| !character.is_ascii_alphanumeric() && character != '_')
            .unwrap_or(rest.len());
        let Some(predicate) = PREDICATES
            .iter()
            .find(|known| known.name == &rest[..length])
        else {
            return Err(self.error(format!("unparsable conditional expression '{rest}'")));
        };
        self.at += length;
        let arguments = if self.rest().starts_with('(') {
            self.arguments(predicate.name)?
        } else {
            Vec::new()
        };
        if arguments.len() < predicate.needed || arguments.len() > predicate.most {
            return Err(self.error(format!(
                "predicate '{}' takes {} argument(s), got {}",
                predicate.name,
                predicate.most,
                arguments.len()
            )));
        }
        let argument = |index: usize| arguments.get(index).map_or("", String::as_str);
        Ok((predicate.test)(self, argument(0), argument(1)))
    }

    /// Arguments between parentheses: their own level of quotes and escapes (manual §2.2).
    fn arguments(&mut self, name: &str) -> Result<Vec<String>, ConditionError> {
        let opened = self.at;
        let mut arguments = vec![String::new()];
        let mut quote = None;
        let mut characters = self.text[opened + 1..].char_indices().peekable();
        while let Some((offset, character)) = characters.next() {
            let argument = arguments.last_mut().expect("one argument is always open");
            match (quote, character) {
                (None, ')') => {
                    self.at = opened + 1 + offset + 1;
                    if arguments.len() == 1 && arguments[0].is_empty() {
                        arguments.clear();
                    }
                    return Ok(arguments);
                }
                (None, ',') => arguments.push(String::new()),
                (None, '"' | '\'') => quote = Some(character),
                (Some(open), _) if open == character => quote = None,
                (None | Some('"'), '\\') => {
                    let escaped = characters.peek().map(|(_, next)| *next).and_then(unescape);
                    argument.push(escaped.unwrap_or('\\'));
                    if escaped.is_some() {
                        characters.next();
                    }
                }
                _ => argument.push(character),
            }
        }
        self.at = opened;
        let missing = if quote.is_some() {
            "unmatched quote"
        } else {
            "expected ')'"
        };
        let count = arguments.len();
        Err(self.error(format!(
            "{missing} in argument {count} of predicate '{name}'"
        )))
    }

    fn take_operator(&mut self, operator: &str) -> bool {
        self.skip_blanks();
        let found = self.rest().starts_with(operator);
        if found {
            self.at += operator.len();
        }
        found
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t']).len();
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn error(&self, message: String) -> ConditionError {
        ConditionError {
            offset: self.at,
            message,
        }
    }
}

struct Predicate {
    name: &'static str,
    needed: usize,
    most: usize,
    test: fn(&Evaluator<'_>, &str, &str) -> bool,
}

const PREDICATES: &[Predicate] = &[
    Predicate {
        name: "awslc_api_atleast",
        needed: 0,
        most: 1,
        test: |_, _, _| false,
    },
    Predicate {
        name: "awslc_api_before",
        needed: 0,
        most: 1,
        test: |_, _, _| false,
    },
    Predicate {
        name: "defined",
        needed: 0,
        most: 1,
        test: |evaluator, name, _| evaluator.variables.lookup(name).is_some(),
    },
    Predicate {
        name: "enabled",
        needed: 0,
        most: 1,
        test: |evaluator, name, _| evaluator.abilities.enabled.contains(&name),
    },
    Predicate {
        name: "feature",
        needed: 0,
        most: 1,
        test: |evaluator, name, _| evaluator.abilities.features.contains(&name),
    },
    Predicate {
        name: "fips_mode",
        needed: 0,
        most: 0,
        test: |_, _, _| false,
    },
    Predicate {
        name: "openssl_version_atleast",
        needed: 0,
        most: 1,
        test: |_, _, _| false,
    },
    Predicate {
        name: "openssl_version_before",
        needed: 0,
        most: 1,
        test: |_, _, _| false,
    },
    Predicate {
        name: "ssllib_name_startswith",
        needed: 0,
        most: 1,
        test: |evaluator, name, _| evaluator.abilities.tls_library.starts_with(name),
    },
    Predicate {
        name: "streq",
        needed: 2,
        most: 2,
        test: |_, one, other| one == other,
    },
    Predicate {
        name: "strneq",
        needed: 2,
        most: 2,
        test: |_, one, other| one != other,
    },
    Predicate {
        name: "strstr",
        needed: 2,
        most: 2,
        test: |_, text, part| text.contains(part),
    },
    Predicate {
        name: "version_atleast",
        needed: 0,
        most: 1,
        test: |evaluator, than, _| version(evaluator.abilities.version) >= version(than),
    },
    Predicate {
        name: "version_before",
        needed: 0,
        most: 1,
        test: |evaluator, than, _| version(evaluator.abilities.version) < version(than),
    },
];

/// A number as C's `strtol` reads it in base 0; its truth and its length.
fn integer(text: &str) -> Option<(bool, usize)> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (digits, radix) = match unsigned
        .strip_prefix("0x")
        .or_else(|| unsigned.strip_prefix("0X"))
    {
        Some(hexadecimal) if hexadecimal.starts_with(|c: char| c.is_ascii_hexdigit()) => {
            (hexadecimal, 16)
        }
        _ => (unsigned, 10),
    };
    let rest = digits.trim_start_matches(|character: char| character.is_digit(radix));
    let length = digits.len() - rest.len();
    let truth = digits[..length].contains(|digit: char| digit != '0');
    (length > 0).then_some((truth, text.len() - rest.len()))
}

/// A version as comparable numbers: `3.4-dev2` is before `3.4.0`, `3.4.0-7` (commits) after it. What cannot be read
/// counts as zero, as in HAProxy.
fn version(text: &str) -> [u64; 5] {
    let (numbers, suffix) = text.split_once('-').unwrap_or((text, ""));
    let number = |text: Option<&str>| {
        let text = text.unwrap_or_default();
        let end = text
            .find(|character: char| !character.is_ascii_digit())
            .unwrap_or(text.len());
        text[..end].parse().unwrap_or(0u64)
    };
    let mut parts = numbers.split('.');
    let (major, minor, patch) = (number(parts.next()), number(parts.next()), parts.next());
    match suffix.strip_prefix("dev") {
        Some(development) => [major, minor, 0, number(Some(development)), 0],
        None => [major, minor, 1, number(patch), number(Some(suffix))],
    }
}

fn unescape(character: char) -> Option<char> {
    match character {
        ' ' | '\\' | '"' | '\'' | ',' | ')' | '(' => Some(character),
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        _ => None,
    }
}

/// Parentheses within parentheses; bounds the recursion.
const DEEPEST: u32 = 64;
