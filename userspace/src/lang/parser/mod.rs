//! Lines to sections; never fails.
//!
//! All files come in, cut into words line by line; sections of statements come out, with everything that is wrong in
//! the diagnostics. It knows which keywords open a section and the four that change the environment of the lines that
//! follow; all other keywords are looked at later ([`super::keywords`]).

#[cfg(test)]
mod tests;

use super::ast::{Line, Section, SectionKind};
use super::condition::Abilities;
use super::diagnostics::{Diagnostic, Diagnostics, Severity};
use super::environment::Variables;
use super::lexer::{LexErrorKind, Position, words};
use super::preprocess::Blocks;
use super::source::{Source, SourceId, Sources, Span};
use super::suggest::closest;

/// Reads all files into sections. Variables keep what `setenv` and its kin changed.
pub fn parse(
    sources: &Sources,
    abilities: &Abilities,
    variables: &mut Variables<'_>,
    diagnostics: &mut Diagnostics,
) -> Vec<Section> {
    let mut parser = Parser {
        abilities,
        variables,
        diagnostics,
        sections: Vec::new(),
        is_open: false,
    };
    for (id, file) in sources.iter() {
        parser.file(id, file);
    }
    parser.sections
}

struct Parser<'a, 'e> {
    abilities: &'a Abilities,
    variables: &'a mut Variables<'e>,
    diagnostics: &'a mut Diagnostics,
    sections: Vec<Section>,
    /// Whether the last section of the list belongs to this file: a file ends its sections.
    is_open: bool,
}

impl Parser<'_, '_> {
    fn file(&mut self, id: SourceId, file: &Source) {
        self.is_open = false;
        let mut blocks = Blocks::default();
        for number in 1..=file.line_count() {
            let Some(line) = self.line(id, file, number) else {
                continue;
            };
            if line.keyword().text.starts_with('.') {
                blocks.directive(&line, self.abilities, self.variables, self.diagnostics);
            } else if blocks.are_active() {
                self.statement(line);
            }
        }
        blocks.finish(self.diagnostics);
        if file.is_cut_off() {
            let line = file.line_count();
            let end = u32::try_from(file.line(line).len()).unwrap_or(u32::MAX);
            let span = Span {
                source: id,
                line,
                start: end,
                end: end + 1,
            };
            let message = "Missing LF on last line, file might have been truncated";
            self.diagnostics.push(
                Diagnostic::at(
                    Severity::Alert,
                    span,
                    format!("{message} at position {}.", end + 1),
                )
                .showing(span)
                .hinted(Some(
                    "check the end of the file and add a line feed".to_owned(),
                )),
            );
        }
    }

    /// One line's words, or `None` when it has none or is broken.
    fn line(&mut self, id: SourceId, file: &Source, number: u32) -> Option<Line> {
        let section = if self.is_open {
            self.sections.last()
        } else {
            None
        };
        let position = Position {
            source: id,
            file: &file.name,
            line: number,
            section: section.map_or("", Section::name),
        };
        match words(file.line(number), position, self.variables) {
            Ok(words) if words.is_empty() => None,
            Ok(words) => Some(self.ended(Line { words })),
            Err(error) => {
                let span = Span {
                    source: id,
                    line: number,
                    start: error.column,
                    end: error.column + 1,
                };
                let message = match error.kind {
                    LexErrorKind::Nul => {
                        format!("Stray NUL character at position {}.", error.column + 1)
                    }
                    kind => format!("{kind} at position {}", error.column + 1),
                };
                self.diagnostics.push(
                    Diagnostic::at(Severity::Alert, span, message)
                        .showing(span)
                        .hinted(error.kind.hint().map(str::to_owned)),
                );
                None
            }
        }
    }

    /// An empty word ends the statement, as in HAProxy; when more follows, somebody should know.
    fn ended(&mut self, mut line: Line) -> Line {
        let is_directive = line.keyword().text.starts_with('.');
        let empty = line
            .words
            .iter()
            .skip(1)
            .position(|word| word.text.is_empty());
        if let Some(index) = empty.map(|index| index + 1)
            && !is_directive
        {
            if line.words[index..].iter().any(|word| !word.text.is_empty()) {
                let message = format!(
                    "argument number {index} at position {} is empty and ends the statement: \
                     what follows is ignored",
                    line.words[index].span.start + 1
                );
                let place = line.span();
                self.diagnostics.push(
                    Diagnostic::at(Severity::Warning, place, message)
                        .showing(line.words[index].span.to(place)),
                );
            }
            line.words.truncate(index);
        }
        line
    }

    fn statement(&mut self, line: Line) {
        if let Some(kind) = SectionKind::of(&line.keyword().text) {
            self.sections.push(Section {
                kind,
                header: line,
                lines: Vec::new(),
            });
            self.is_open = true;
            return;
        }
        let Some(section) = self.sections.last_mut().filter(|_| self.is_open) else {
            let keyword = line.keyword();
            let message = format!("unknown keyword '{}' out of section.", keyword.text);
            let near = closest(&keyword.text, SectionKind::supported());
            self.diagnostics.push(
                Diagnostic::at(Severity::Alert, line.span(), message)
                    .showing(keyword.span)
                    .labelled(near.map(|near| format!("did you mean `{near}`?"))),
            );
            return;
        };
        if section.kind == SectionKind::Global {
            change_environment(&line, self.variables);
        }
        section.lines.push(line);
    }
}

impl Section {
    /// The section's name, or its keyword when it has none (`${.SECTION}`).
    pub fn name(&self) -> &str {
        self.header
            .words
            .get(1)
            .map_or_else(|| self.kind.keyword(), |word| word.text.as_str())
    }
}

/// Lets `setenv`, `presetenv`, `unsetenv` and `resetenv` act on the lines that follow; their arguments are checked with
/// all other keywords later.
fn change_environment(line: &Line, variables: &mut Variables<'_>) {
    let words: Vec<&str> = line.words.iter().map(|word| word.text.as_str()).collect();
    match words.as_slice() {
        ["setenv", name, value] => variables.set(name, value),
        ["presetenv", name, value] => variables.preset(name, value),
        ["unsetenv", names @ ..] => names.iter().for_each(|name| variables.unset(name)),
        ["resetenv", keep @ ..] => variables.reset(keep),
        _ => {}
    }
}
