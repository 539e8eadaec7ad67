//! `crt-list` files (manual §5.1): one certificate a line, with TLS options of its own and the names it is for.
//!
//! Text comes in, lines go out; files are not opened here, and options the room cannot honour are errors.

use std::path::PathBuf;

use super::Bases;
use crate::model::{BindTls, Verify};

/// One line.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// The certificate's file.
    pub(super) certificate: PathBuf,
    /// The settings of the bind line with this line's options applied.
    pub(super) options: BindTls,
    /// Whether the line had options: otherwise it shares the bind line's context.
    pub(super) has_options: bool,
    /// The names it is for; empty = the certificate's own. `*` makes it a default.
    pub(super) filters: Vec<String>,
    /// Names excluded from its wildcards.
    pub(super) excluded: Vec<String>,
}

/// Reads a list. `bind` are the settings its lines inherit.
pub(super) fn parse(text: &str, bind: &BindTls, bases: Bases<'_>) -> Result<Vec<Line>, String> {
    text.lines()
        .enumerate()
        .map(|(number, line)| (number + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| {
            parse_line(line, bind, bases).map_err(|message| format!("line {number}: {message}"))
        })
        .collect()
}

fn parse_line(line: &str, bind: &BindTls, bases: Bases<'_>) -> Result<Line, String> {
    let (file, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim_start();
    let (options, filters) = match rest.strip_prefix('[') {
        Some(inside) => inside
            .split_once(']')
            .ok_or("missing ']' after the options")?,
        None => ("", rest),
    };
    let mut parsed = Line {
        certificate: bases.certificate(file),
        options: bind.clone(),
        has_options: !options.trim().is_empty(),
        filters: Vec::new(),
        excluded: Vec::new(),
    };
    let mut words = options.split_whitespace();
    while let Some(keyword) = words.next() {
        let mut argument = || {
            words
                .next()
                .ok_or_else(|| format!("'{keyword}' expects an argument"))
        };
        let settings = &mut parsed.options;
        match keyword {
            "alpn" => {
                settings.alpn = Some(
                    argument()?
                        .split(',')
                        .map(|name| name.as_bytes().to_vec())
                        .collect(),
                );
            }
            "no-alpn" => settings.alpn = Some(Vec::new()),
            "ca-file" => settings.ca_file = Some(bases.authority(argument()?)),
            "ca-verify-file" => settings.ca_verify_file = Some(bases.authority(argument()?)),
            "crl-file" => settings.crl_file = Some(bases.authority(argument()?)),
            "ciphers" => settings.ciphers = Some(vec![argument()?.to_owned()]),
            "ciphersuites" => settings.ciphersuites = Some(vec![argument()?.to_owned()]),
            "curves" | "ecdhe" => settings.curves = Some(vec![argument()?.to_owned()]),
            "ssl-min-ver" => settings.min_version = Some(version(argument()?)?),
            "ssl-max-ver" => settings.max_version = Some(version(argument()?)?),
            "verify" => settings.verify = verify(argument()?)?,
            "no-ca-names" => {}
            other => return Err(format!("option '{other}' is not supported in a crt-list")),
        }
    }
    for filter in filters.split_whitespace() {
        let lower = filter.to_ascii_lowercase();
        match lower.strip_prefix('!') {
            // "Having a ! in front of a * is ignored" (manual).
            Some(name) if name.starts_with('*') => {}
            Some(name) => parsed.excluded.push(name.to_owned()),
            None => parsed.filters.push(lower),
        }
    }
    Ok(parsed)
}

fn version(word: &str) -> Result<u16, String> {
    Ok(match word {
        "SSLv3" => 0x0300,
        "TLSv1.0" => 0x0301,
        "TLSv1.1" => 0x0302,
        "TLSv1.2" => 0x0303,
        "TLSv1.3" => 0x0304,
        other => return Err(format!("unknown TLS version '{other}'")),
    })
}

fn verify(word: &str) -> Result<Verify, String> {
    Ok(match word {
        "none" => Verify::None,
        "optional" => Verify::Optional,
        "required" => Verify::Required,
        other => return Err(format!("unknown argument '{other}' of 'verify'")),
    })
}
