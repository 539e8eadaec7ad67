//! The part of VCL that is about backends: `backend`, `probe`, `director`, and the directors made in `vcl_init`.
//!
//! Text comes in, a [`File`] comes out, or the line that cannot be read. Everything else is stepped over, braces matched.

/// What was found in a file.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) backends: Vec<Backend>,
    pub(super) directors: Vec<Director>,
    probes: Vec<(String, Probe)>,
    /// Line and name of what was stepped over.
    pub(super) left_out: Vec<(usize, String)>,
}

/// `backend NAME { … }`
#[derive(Debug, Default)]
pub(super) struct Backend {
    pub(super) name: String,
    pub(super) host: String,
    pub(super) port: Option<String>,
    pub(super) host_header: Option<String>,
    pub(super) connect_timeout: Option<String>,
    pub(super) first_byte_timeout: Option<String>,
    pub(super) max_connections: Option<u32>,
    own: Option<Probe>,
    /// `.probe = NAME;`
    named: Option<String>,
}

/// `probe NAME { … }` or `.probe = { … }`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Probe {
    pub(super) url: Option<String>,
    pub(super) request: Vec<String>,
    pub(super) interval: Option<String>,
    pub(super) timeout: Option<String>,
    pub(super) window: Option<u32>,
    pub(super) threshold: Option<u32>,
    pub(super) expected: Option<u16>,
}

/// `director NAME KIND { … }`, or `new NAME = directors.KIND();`
#[derive(Debug)]
pub(super) struct Director {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) members: Vec<String>,
}

impl Backend {
    /// Its probe, its own or one with a name.
    pub(super) fn probe<'a>(&'a self, file: &'a File) -> Option<&'a Probe> {
        let named = || {
            let name = self.named.as_ref()?;
            let known = file.probes.iter().find(|(known, _)| known == name);
            known.map(|(_, probe)| probe)
        };
        self.own.as_ref().or_else(named)
    }
}

/// Reads a file.
pub(super) fn parse(text: &str) -> Result<File, String> {
    let tokens = tokens(text)?;
    let mut reader = Reader {
        tokens: &tokens,
        at: 0,
    };
    let mut file = File::default();
    while let Some(token) = reader.next() {
        match token.text.as_str() {
            "vcl" | "import" | "include" => reader.statement(),
            "backend" => {
                let name = reader.word()?;
                let backend = reader.backend(name)?;
                file.backends.push(backend);
            }
            "probe" => {
                let name = reader.word()?;
                reader.expect("{")?;
                let probe = reader.probe()?;
                file.probes.push((name, probe));
            }
            "director" => {
                let (name, kind) = (reader.word()?, reader.word()?);
                let members = reader.old_members()?;
                file.directors.push(Director {
                    name,
                    kind,
                    members,
                });
            }
            "sub" => {
                let name = reader.word()?;
                let body = reader.block()?;
                if name == "vcl_init" {
                    new_directors(body, &mut file.directors);
                } else {
                    file.left_out.push((token.line, format!("sub {name}")));
                }
            }
            other => {
                file.left_out.push((token.line, other.to_owned()));
                reader.statement();
            }
        }
    }
    Ok(file)
}

/// `new NAME = directors.KIND();` and `NAME.add_backend(BACKEND);`
fn new_directors(body: &[Token], directors: &mut Vec<Director>) {
    for (at, token) in body.iter().enumerate() {
        let word = |ahead: usize| body.get(at + ahead).map_or("", |token| token.text.as_str());
        if token.text == "new"
            && word(2) == "="
            && let Some(kind) = word(3).strip_prefix("directors.")
        {
            directors.push(Director {
                name: word(1).to_owned(),
                kind: kind.to_owned(),
                members: Vec::new(),
            });
        }
        if let Some(name) = token.text.strip_suffix(".add_backend")
            && let Some(director) = directors.iter_mut().find(|known| known.name == name)
        {
            director.members.push(word(2).to_owned());
        }
    }
}

#[derive(Clone, Debug)]
struct Token {
    text: String,
    line: usize,
    is_string: bool,
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<&'a Token> {
        let token = self.tokens.get(self.at)?;
        self.at += 1;
        Some(token)
    }

    fn peek(&self) -> &'a str {
        self.tokens
            .get(self.at)
            .map_or("", |token| token.text.as_str())
    }

    fn line(&self) -> usize {
        let last = self.tokens.get(self.at).or_else(|| self.tokens.last());
        last.map_or(1, |token| token.line)
    }

    fn wrong<T>(&self, what: &str) -> Result<T, String> {
        Err(format!("line {}: {what}", self.line()))
    }

    fn word(&mut self) -> Result<String, String> {
        match self.next() {
            Some(token) => Ok(token.text.clone()),
            None => self.wrong("the file ends where a word is needed"),
        }
    }

    fn expect(&mut self, text: &str) -> Result<(), String> {
        if self.peek() == text {
            self.at += 1;
            return Ok(());
        }
        self.wrong(&format!("expected '{text}', found '{}'", self.peek()))
    }

    /// Steps over the rest of a statement, a block included.
    fn statement(&mut self) {
        let mut depth = 0usize;
        while let Some(token) = self.next() {
            match token.text.as_str() {
                "{" => depth += 1,
                "}" => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return;
                    }
                }
                ";" if depth == 0 => return,
                _ => {}
            }
        }
    }

    /// A block's tokens, its braces left out.
    fn block(&mut self) -> Result<&'a [Token], String> {
        self.expect("{")?;
        let start = self.at;
        let mut depth = 1usize;
        while let Some(token) = self.next() {
            match token.text.as_str() {
                "{" if !token.is_string => depth += 1,
                "}" if !token.is_string => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return Ok(&self.tokens[start..self.at - 1]);
            }
        }
        self.wrong("the block does not end")
    }

    fn backend(&mut self, name: String) -> Result<Backend, String> {
        let mut backend = Backend {
            name,
            ..Backend::default()
        };
        self.expect("{")?;
        while self.peek() != "}" {
            let field = self.word()?;
            self.expect("=")?;
            match field.as_str() {
                ".host" => backend.host = self.value()?,
                ".port" => backend.port = Some(self.value()?),
                ".host_header" => backend.host_header = Some(self.value()?),
                ".connect_timeout" => backend.connect_timeout = Some(self.time()?),
                ".first_byte_timeout" => backend.first_byte_timeout = Some(self.time()?),
                ".max_connections" => backend.max_connections = Some(self.number()?),
                ".probe" if self.peek() == "{" => {
                    self.at += 1;
                    backend.own = Some(self.probe()?);
                    // The semicolon behind a block may be left out.
                    if self.peek() == ";" {
                        self.at += 1;
                    }
                }
                ".probe" => backend.named = Some(self.value()?),
                _ => drop(self.value()?),
            }
        }
        self.at += 1;
        if backend.host.is_empty() {
            return self.wrong(&format!("backend '{}' has no .host", backend.name));
        }
        Ok(backend)
    }

    /// The fields up to the closing brace, which is taken too.
    fn probe(&mut self) -> Result<Probe, String> {
        let mut probe = Probe::default();
        while self.peek() != "}" {
            let field = self.word()?;
            self.expect("=")?;
            match field.as_str() {
                ".url" => probe.url = Some(self.value()?),
                ".request" => probe.request = self.values()?,
                ".interval" => probe.interval = Some(self.time()?),
                ".timeout" => probe.timeout = Some(self.time()?),
                ".window" => probe.window = Some(self.number()?),
                ".threshold" => probe.threshold = Some(self.number()?),
                ".expected_response" => probe.expected = u16::try_from(self.number()?).ok(),
                _ => drop(self.values()?),
            }
        }
        self.at += 1;
        Ok(probe)
    }

    /// Varnish 3: `{ { .backend = a; } { .backend = b; } }`
    fn old_members(&mut self) -> Result<Vec<String>, String> {
        let body = self.block()?;
        let names = body
            .windows(3)
            .filter(|three| three[0].text == ".backend" && three[1].text == "=");
        Ok(names.map(|three| three[2].text.clone()).collect())
    }

    /// Everything up to the semicolon: a string, or words that belong together (`1 s`).
    fn values(&mut self) -> Result<Vec<String>, String> {
        let mut values = Vec::new();
        loop {
            match self.next() {
                Some(token) if token.text == ";" && !token.is_string => break,
                Some(token) if matches!(token.text.as_str(), "{" | "}") && !token.is_string => {
                    return self.wrong("a ';' is missing");
                }
                Some(token) => values.push(token.text.clone()),
                None => return self.wrong("a ';' is missing"),
            }
        }
        if values.is_empty() {
            return self.wrong("a value is missing");
        }
        Ok(values)
    }

    fn value(&mut self) -> Result<String, String> {
        Ok(self.values()?.concat())
    }

    fn number(&mut self) -> Result<u32, String> {
        let value = self.value()?;
        match value.parse() {
            Ok(number) => Ok(number),
            Err(_) => self.wrong(&format!("'{value}' is no number")),
        }
    }

    /// A duration with a unit, in HAProxy's units.
    fn time(&mut self) -> Result<String, String> {
        let value = self.value()?;
        let end = value
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(value.len());
        let (number, unit) = value.split_at(end);
        let scale = match unit {
            "ms" => 1.0,
            "s" | "" => 1000.0,
            "m" => 60_000.0,
            "h" => 3_600_000.0,
            "d" => 86_400_000.0,
            _ => return self.wrong(&format!("'{value}' has no unit that is known")),
        };
        let Ok(number) = number.parse::<f64>() else {
            return self.wrong(&format!("'{value}' is no duration"));
        };
        let milliseconds = (number * scale).round();
        if !(0.0..=2_147_483_647.0).contains(&milliseconds) {
            return self.wrong(&format!("'{value}' is out of range"));
        }
        let milliseconds = milliseconds as u64;
        Ok(if milliseconds.is_multiple_of(1000) {
            format!("{}s", milliseconds / 1000)
        } else {
            format!("{milliseconds}ms")
        })
    }
}

/// Words, strings and punctuation; comments are left out.
fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let (length, token) = if first == '\n' {
            line += 1;
            (1, None)
        } else if first.is_whitespace() {
            (first.len_utf8(), None)
        } else if first == '#' || rest.starts_with("//") {
            (rest.find('\n').unwrap_or(rest.len()), None)
        } else if rest.starts_with("/*") {
            let Some(end) = rest.find("*/") else {
                return Err(format!("line {line}: the comment does not end"));
            };
            line += rest[..end].matches('\n').count();
            (end + 2, None)
        } else if first == '"' {
            let Some(end) = rest[1..]
                .find(['"', '\n'])
                .filter(|end| rest[1 + end..].starts_with('"'))
            else {
                return Err(format!("line {line}: the string does not end"));
            };
            (end + 2, Some((&rest[1..=end], true)))
        } else if "{};=(),".contains(first) {
            (1, Some((&rest[..1], false)))
        } else {
            let end = rest
                .find(|c: char| c.is_whitespace() || "{};=(),\"#".contains(c))
                .unwrap_or(rest.len());
            (end, Some((&rest[..end], false)))
        };
        if let Some((text, is_string)) = token {
            tokens.push(Token {
                text: text.to_owned(),
                line,
                is_string,
            });
        }
        rest = &rest[length..];
    }
    Ok(tokens)
}
