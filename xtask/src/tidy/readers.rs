//! Every setting of the model has a reader: what the configuration says is never parsed and then ignored.
//!
//! Input is the public structs and enums of `userspace/src/model`; output is each field nobody reads, and each variant
//! nobody tells apart, outside `lang` and `model`. It goes by names, so a field called like another one may hide behind
//! it; what is settled in `lang` already is listed with the reason.

use super::Violation;
use super::tree::{File, Tree, is_word_byte, words};

/// Settings without a reader.
pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let readers: Vec<&str> = tree
        .rust()
        .filter(|file| is_reader(&file.path))
        .map(without_tests)
        .collect();
    let model = tree
        .rust()
        .filter(|file| file.path.starts_with("userspace/src/model/"));
    let mut found = Vec::new();
    let mut settled: Vec<&str> = SETTLED.iter().map(|(name, _)| *name).collect();
    for file in model {
        for setting in settings(&file.code) {
            let name = format!("{}.{}", setting.of, setting.name);
            if let Some(known) = settled.iter().position(|settled| *settled == name) {
                settled.swap_remove(known);
                continue;
            }
            if !readers.iter().any(|code| setting.is_read(code)) {
                let message = format!("'{name}' is set and read by nobody");
                found.push(file.at(setting.at, message));
            }
        }
    }
    if let Some(this) = tree.file("xtask/src/tidy/readers.rs") {
        let gone = settled
            .into_iter()
            .map(|name| this.whole(format!("'{name}' is excused but is no setting")));
        found.extend(gone);
    }
    found
}

/// Settings whose whole effect happens in `lang`, and where.
const SETTLED: &[(&str, &str)] = &[
    (
        "Tune.http_cookielen",
        "cuts the length of 'capture cookie' once a proxy is complete",
    ),
    (
        "Model.http_errors",
        "'errorfiles' and replies copy the pages; kept so that a model tells everything it was made of",
    ),
    (
        "Compression.direction",
        "asked through the model's own queries",
    ),
    (
        "CompressionDirection.Request",
        "asked through the model's own queries",
    ),
    (
        "CompressionDirection.Response",
        "asked through the model's own queries",
    ),
    (
        "CompressionDirection.Both",
        "asked through the model's own queries",
    ),
    ("Deny.Answer", "what is left when the other is told apart"),
    (
        "LogStep.TcpRequestConnection",
        "a step of 'do-log': rules carry it to the logger, which looks it up in the profile",
    ),
    (
        "LogStep.TcpRequestSession",
        "a step of 'do-log': rules carry it to the logger, which looks it up in the profile",
    ),
    (
        "LogStep.TcpRequestContent",
        "a step of 'do-log': rules carry it to the logger, which looks it up in the profile",
    ),
    (
        "LogStep.TcpResponseContent",
        "a step of 'do-log': rules carry it to the logger, which looks it up in the profile",
    ),
    (
        "LogStep.HttpRequest",
        "a step of 'do-log': rules carry it to the logger, which looks it up in the profile",
    ),
    (
        "LogStep.HttpResponse",
        "a step of 'do-log': rules carry it to the logger, which looks it up in the profile",
    ),
    (
        "LogStep.HttpAfterResponse",
        "a step of 'do-log': rules carry it to the logger, which looks it up in the profile",
    ),
    (
        "HttpReuse.Always",
        "what is left when the others are told apart",
    ),
    (
        "TrailingClose.Server",
        "what is left when the others are told apart",
    ),
    (
        "ProxyKind.Frontend",
        "told apart through has_frontend and has_backend",
    ),
    (
        "ProxyKind.Backend",
        "told apart through has_frontend and has_backend",
    ),
    (
        "ProxyKind.Listen",
        "told apart through has_frontend and has_backend",
    ),
];

/// A field or a variant.
#[derive(Debug, PartialEq, Eq)]
struct Setting<'a> {
    of: &'a str,
    name: &'a str,
    is_variant: bool,
    at: usize,
}

impl Setting<'_> {
    fn is_read(&self, code: &str) -> bool {
        if self.is_variant {
            let path = format!("{}::{}", self.of, self.name);
            return words(code, &path).next().is_some();
        }
        let taken = words(code, self.name).any(|at| {
            let before = code[..at].trim_end();
            before.ends_with('.')
                && !before.ends_with("..")
                && !is_written(code, at + self.name.len())
        });
        taken
            || words(code, self.of).any(|at| {
                let rest = code[at + self.of.len()..].trim_start();
                let Some(inner) = rest.strip_prefix('{') else {
                    return false;
                };
                let end = inner.find('}').unwrap_or(inner.len());
                words(&inner[..end], self.name).next().is_some()
            })
    }
}

/// Whether what follows a name makes it a place written to, or a call of a method of that name.
fn is_written(code: &str, after: usize) -> bool {
    let rest = code[after..].trim_start();
    rest.starts_with('(')
        || (rest.starts_with('=') && !rest.starts_with("==") && !rest.starts_with("=>"))
}

fn is_reader(path: &str) -> bool {
    path.starts_with("userspace/src/")
        && !path.starts_with("userspace/src/lang/")
        && !path.starts_with("userspace/src/model/")
        && !path.ends_with("/tests.rs")
        && !path.ends_with("/testing.rs")
        && !path.contains("/tests/")
}

/// The code without the unit tests at its end.
fn without_tests(file: &File) -> &str {
    let end = file.code.find("#[cfg(test)]\nmod tests {");
    end.map_or(file.code.as_str(), |end| &file.code[..end])
}

/// The public fields and the variants of a file's public types.
fn settings(code: &str) -> Vec<Setting<'_>> {
    let mut found = Vec::new();
    let mut of = None;
    let mut at = 0;
    for line in code.split_inclusive('\n') {
        let text = line.trim_end();
        if let Some(rest) = text.strip_prefix("pub struct ") {
            of = name(rest)
                .filter(|_| text.ends_with('{'))
                .map(|name| (name, false));
        } else if let Some(rest) = text.strip_prefix("pub enum ") {
            of = name(rest)
                .filter(|_| text.ends_with('{'))
                .map(|name| (name, true));
        } else if text.starts_with('}') {
            of = None;
        } else if let (Some((of, is_variant)), Some(inner)) = (of, text.strip_prefix("    ")) {
            let member = if is_variant {
                inner
                    .starts_with(|first: char| first.is_ascii_uppercase())
                    .then_some(inner)
            } else {
                inner.strip_prefix("pub ")
            };
            if let Some(name) = member.and_then(name) {
                found.push(Setting {
                    of,
                    name,
                    is_variant,
                    at: at + line.find(name).unwrap_or(0),
                });
            }
        }
        at += line.len();
    }
    found
}

fn name(text: &str) -> Option<&str> {
    let end = text.bytes().position(|byte| !is_word_byte(byte));
    let name = &text[..end.unwrap_or(text.len())];
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: &str = "//! Model.\n/// One.\npub struct Server {\n    /// Weight.\n    pub weight: u32,\n    \
        pub backup: bool,\n}\npub enum Reuse {\n    Never,\n    Safe(u8),\n}\n";

    fn said(reader: &str) -> Vec<String> {
        let tree = Tree::of(&[
            ("userspace/src/model/server.rs", MODEL),
            ("userspace/src/session/mod.rs", reader),
            ("userspace/src/lang/mod.rs", "server.weight + server.backup"),
        ]);
        check(&tree).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_nobody_reads_outside_of_lang_is_a_violation() {
        let said = said("fn f(s: &mut Server) { s.weight = 1; s.backup(); }");
        assert_eq!(
            said,
            [
                "userspace/src/model/server.rs:5: 'Server.weight' is set and read by nobody",
                "userspace/src/model/server.rs:6: 'Server.backup' is set and read by nobody",
                "userspace/src/model/server.rs:9: 'Reuse.Never' is set and read by nobody",
                "userspace/src/model/server.rs:10: 'Reuse.Safe' is set and read by nobody",
            ]
        );
    }

    #[test]
    fn fields_patterns_and_paths_are_readers() {
        let said = said(
            "fn f(s: &Server) { let Server { weight, .. } = s; if s\n.backup == true {} \
             match r { Reuse::Never => 1, Reuse::Safe(_) => 2 } }",
        );
        assert!(said.is_empty(), "{said:?}");
    }

    #[test]
    fn a_units_test_is_no_reader() {
        let said = said(
            "use Reuse::{Never, Safe};\n#[cfg(test)]\nmod tests { fn f() { s.weight; s.backup; Reuse::Never; Reuse::Safe(1); } }",
        );
        assert_eq!(said.len(), 4, "{said:?}");
    }
}
