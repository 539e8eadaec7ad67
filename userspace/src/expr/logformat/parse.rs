//! From the string to items.

use super::encode::{Encoding, Kind, Named};
use super::{Alias, Item, LogFormat, Options, Purpose};
use crate::expr::{Expression, ParseError, Parsing};
use crate::expr::{raw, suggest};

impl LogFormat {
    /// Compiles a format. Offsets of errors are bytes of `text`.
    ///
    /// # Errors
    /// Unknown aliases and flags, malformed expressions, and expressions whose data do not exist at `parsing.stage`.
    pub fn parse(
        text: &str,
        purpose: Purpose,
        parsing: &mut Parsing<'_>,
    ) -> Result<Self, ParseError> {
        let mut reader = Reader {
            text,
            at: 0,
            purpose,
            defaults: Options::default(),
            name: None,
            items: Vec::new(),
            literal: Vec::new(),
        };
        reader.items(parsing)?;
        Ok(Self {
            text: text.into(),
            purpose,
            object: reader
                .defaults
                .encoding
                .map(|encoding| (encoding, reader.defaults.binary)),
            items: reader.items,
        })
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    purpose: Purpose,
    /// What `%o` set for the items that follow.
    defaults: Options,
    /// The name in front of the item being read.
    name: Option<(Box<str>, Option<Kind>)>,
    items: Vec<Item>,
    literal: Vec<u8>,
}

impl Reader<'_> {
    fn items(&mut self, parsing: &mut Parsing<'_>) -> Result<(), ParseError> {
        while let Some(&byte) = self.text.as_bytes().get(self.at) {
            match byte {
                b'%' => self.item(parsing)?,
                b' ' if self.purpose.merges_spaces() => {
                    self.end_literal();
                    self.items.push(Item::Space);
                    self.at += self.text[self.at..].len()
                        - self.text[self.at..].trim_start_matches(' ').len();
                }
                _ => {
                    self.literal.push(byte);
                    self.at += 1;
                }
            }
        }
        self.end_literal();
        Ok(())
    }

    fn end_literal(&mut self) {
        if !self.literal.is_empty() {
            let text = std::mem::take(&mut self.literal);
            // Cut at ASCII characters only, it still is UTF-8.
            let text = String::from_utf8_lossy(&text);
            self.items.push(Item::Literal(raw::bytes(&text).into()));
        }
    }

    /// What begins with a percent sign.
    fn item(&mut self, parsing: &mut Parsing<'_>) -> Result<(), ParseError> {
        let start = self.at;
        self.at += 1;
        self.item_name()?;
        let mut options = self.defaults;
        let has_options = self.rest().starts_with('{');
        if has_options {
            options = self.options(start)?;
        }
        let Some(next) = self.rest().chars().next() else {
            return Err(if has_options {
                self.error(
                    start,
                    format!(
                        "parse argument modifier without variable name near '{}'",
                        &self.text[start..]
                    ),
                )
            } else {
                self.error(start, "truncated line after '%'".into())
            });
        };
        match next {
            '[' => self.expression(options, parsing),
            c if c.is_ascii_alphanumeric() => self.alias(start, options),
            _ if self.at > start + 1 => Err(self.error(
                start,
                format!(
                    "parse argument modifier without variable name near '{}'",
                    &self.text[start..self.at]
                ),
            )),
            ' ' | '\t' => Err(self
                .error(
                    start,
                    format!(
                        "unexpected variable name near '{next}' at position {}",
                        start + 1
                    ),
                )
                .hinted(Some("to emit a verbatim '%', write '%%'".into()))),
            // Any other character stands for itself, the percent sign included.
            _ => {
                self.literal
                    .extend_from_slice(next.encode_utf8(&mut [0; 4]).as_bytes());
                self.at += next.len_utf8();
                Ok(())
            }
        }
    }

    /// `(name:type)`: used by encodings only.
    fn item_name(&mut self) -> Result<(), ParseError> {
        self.name = None;
        if !self.rest().starts_with('(') {
            return Ok(());
        }
        let Some(end) = self.rest().find(')') else {
            return Err(self.error(self.at, "missing ')' after an item's name".into()));
        };
        let inside = &self.rest()[1..end];
        let (name, kind) = match inside.split_once(':') {
            None => (inside, None),
            Some((name, "str")) => (name, Some(Kind::Text)),
            Some((name, "sint")) => (name, Some(Kind::Int)),
            Some((name, "bool")) => (name, Some(Kind::Bool)),
            Some((_, kind)) => {
                let message =
                    format!("unknown item type '{kind}': expected 'str', 'sint' or 'bool'");
                return Err(self.error(self.at, message));
            }
        };
        self.name = Some((name.into(), kind));
        self.at += end + 1;
        Ok(())
    }

    /// Adds an item under its name, where it has one or is encoded.
    fn add(&mut self, item: Item, options: Options) {
        let name = self.name.take();
        self.items.push(match (name, options.encoding) {
            (None, None) => item,
            (name, _) => {
                let (name, kind) = name.unwrap_or_default();
                Item::Named(Box::new(Named { name, kind, item }))
            }
        });
    }

    /// `{+Q,-X}`.
    fn options(&mut self, start: usize) -> Result<Options, ParseError> {
        let Some(end) = self.rest().find('}') else {
            return Err(self.error(
                start,
                format!("missing '}}' after '{}'", &self.text[start..]),
            ));
        };
        let list = &self.text[self.at + 1..self.at + end];
        let mut options = self.defaults;
        for word in list
            .split(',')
            .map(str::trim)
            .filter(|word| !word.is_empty())
        {
            let (set, flag) = match word.split_at_checked(1) {
                Some(("+", flag)) => (Some(true), flag),
                Some(("-", flag)) => (Some(false), flag),
                // As in HAProxy, a flag without a sign changes nothing.
                _ => (None, word),
            };
            let encoding = match flag {
                "json" => Some(Encoding::Json),
                "cbor" => Some(Encoding::Cbor),
                _ => None,
            };
            if let Some(encoding) = encoding {
                options.encoding = match set {
                    Some(true) => Some(encoding),
                    Some(false) => None,
                    None => options.encoding,
                };
                continue;
            }
            let target = match flag {
                "Q" => &mut options.quoted,
                "X" => &mut options.hexadecimal,
                "E" => &mut options.escaped,
                "bin" => &mut options.binary,
                _ => {
                    return Err(self.error(
                        self.at,
                        format!(
                            "unknown flag '{flag}': expected 'Q', 'X', 'E', 'bin', 'json' or 'cbor'"
                        ),
                    ));
                }
            };
            *target = set.unwrap_or(*target);
        }
        self.at += end + 1;
        Ok(options)
    }

    fn alias(&mut self, start: usize, options: Options) -> Result<(), ParseError> {
        let rest = self.rest();
        let length = rest
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(rest.len());
        let name = &rest[..length];
        if name == "o" {
            self.defaults = options;
            self.at += length;
            return Ok(());
        }
        let Some(alias) = Alias::find(name) else {
            return Err(self
                .error(
                    start,
                    format!(
                        "no such format alias '{name}'. If you wanted to emit the '%' character verbatim, you need to use '%%'"
                    ),
                )
                .hinted(suggest::closest(name, Alias::names().filter(|alias| alias.len() > 1))));
        };
        self.at += length;
        self.end_literal();
        let options = self.for_item(options);
        self.add(Item::Alias(alias, options), options);
        Ok(())
    }

    fn expression(
        &mut self,
        options: Options,
        parsing: &mut Parsing<'_>,
    ) -> Result<(), ParseError> {
        let start = self.at + 1;
        let body = &self.text[start..];
        let (expression, length) = Expression::parse_prefix(body, parsing).map_err(|error| {
            let message = format!(
                "failed to parse sample expression <{body}> : {}",
                error.message
            );
            ParseError { message, ..error }.shifted(start)
        })?;
        let end = start + length;
        match self.text[end..].chars().next() {
            Some(']') => {}
            Some(c) => {
                let message = format!(
                    "expected ']' after '{}', but found '{c}'",
                    expression.text()
                );
                return Err(self.error(end, message));
            }
            None => {
                return Err(self.error(end, format!("missing ']' after '{}'", expression.text())));
            }
        }
        if parsing.lacks(expression.needs()) {
            return Err(self.error(
                start,
                format!(
                    "sample fetch <{}> may not be reliably used here because it needs '{}' which is not available here",
                    expression.text(),
                    expression.needs().describe()
                ),
            ));
        }
        self.at = end + 1;
        self.end_literal();
        let options = self.for_item(options);
        self.add(Item::Expression(expression, options), options);
        Ok(())
    }

    /// `+bin` counts for the whole format only.
    fn for_item(&self, options: Options) -> Options {
        Options {
            binary: self.defaults.binary,
            ..options
        }
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn error(&self, offset: usize, message: String) -> ParseError {
        ParseError::at(0, message).shifted(offset)
    }
}
