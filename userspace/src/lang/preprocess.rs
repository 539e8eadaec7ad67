//! Conditional blocks and messages: the lines that begin with a dot (manual §2.4).
//!
//! The words of such a line come in; the state of the blocks changes, or a message is due. Whether the ordinary lines
//! in between count is asked with [`Blocks::are_active`].

use super::ast::Line;
use super::condition::{Abilities, evaluate};
use super::diagnostics::{Diagnostic, Diagnostics, Severity};
use super::environment::Variables;
use super::source::Span;

/// The `.if` blocks open at some line of a file.
#[derive(Debug, Default)]
pub struct Blocks {
    open: Vec<Block>,
}

#[derive(Clone, Copy, Debug)]
struct Block {
    opened: Span,
    state: State,
    /// `.else` was seen: neither `.elif` nor `.else` may follow.
    last: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The lines count.
    Taken,
    /// An earlier branch was taken, or the block is inside one that does not count.
    Done,
    /// No branch was taken so far.
    Waiting,
}

impl Blocks {
    /// Whether ordinary lines count here.
    pub fn are_active(&self) -> bool {
        self.open
            .last()
            .is_none_or(|block| block.state == State::Taken)
    }

    /// Handles a line that begins with a dot.
    pub fn directive(
        &mut self,
        line: &Line,
        abilities: &Abilities,
        variables: &Variables<'_>,
        diagnostics: &mut Diagnostics,
    ) {
        let condition = |diagnostics: &mut Diagnostics| {
            let value = condition_of(line, abilities, variables);
            value.unwrap_or_else(|diagnostic| {
                diagnostics.push(*diagnostic);
                false
            })
        };
        match line.keyword().text.as_str() {
            ".if" => {
                let state = match self.are_active() {
                    false => State::Done,
                    true if condition(diagnostics) => State::Taken,
                    true => State::Waiting,
                };
                if self.open.len() == DEEPEST {
                    diagnostics.alert(
                        line.span(),
                        format!("too many nested '.if', max is {DEEPEST}."),
                    );
                }
                self.open.push(Block {
                    opened: line.span(),
                    state,
                    last: false,
                });
            }
            ".elif" => {
                let Some(mut block) = self.branch(line, diagnostics) else {
                    return;
                };
                block.state = match block.state {
                    State::Taken | State::Done => State::Done,
                    State::Waiting if condition(diagnostics) => State::Taken,
                    State::Waiting => State::Waiting,
                };
                self.open.push(block);
            }
            ".else" => {
                no_argument(line, diagnostics);
                let Some(mut block) = self.branch(line, diagnostics) else {
                    return;
                };
                block.last = true;
                block.state = if block.state == State::Waiting {
                    State::Taken
                } else {
                    State::Done
                };
                self.open.push(block);
            }
            ".endif" => {
                no_argument(line, diagnostics);
                if self.open.pop().is_none() {
                    alone(line, diagnostics);
                }
            }
            _ if !self.are_active() => {}
            ".diag" => message(line, Severity::Diagnostic, diagnostics),
            ".notice" => message(line, Severity::Notice, diagnostics),
            ".warning" => message(line, Severity::Warning, diagnostics),
            ".alert" => message(line, Severity::Alert, diagnostics),
            unknown => diagnostics.push(
                Diagnostic::at(
                    Severity::Alert,
                    line.span(),
                    format!("unknown directive '{unknown}'."),
                )
                .showing(line.keyword().span),
            ),
        }
    }

    /// Tells of blocks left open at the end of a file.
    pub fn finish(self, diagnostics: &mut Diagnostics) {
        for block in self.open {
            diagnostics.push(
                Diagnostic::at(Severity::Alert, block.opened, "non-terminated '.if' block.")
                    .showing(block.opened)
                    .labelled(Some("this block has no '.endif'".to_owned())),
            );
        }
    }

    /// The block an `.elif` or `.else` continues, taken off the stack.
    fn branch(&mut self, line: &Line, diagnostics: &mut Diagnostics) -> Option<Block> {
        let Some(block) = self.open.pop() else {
            alone(line, diagnostics);
            return None;
        };
        if block.last {
            let keyword = &line.keyword().text;
            let message = format!("'{keyword}' after '.else' is not permitted.");
            diagnostics.push(
                Diagnostic::at(Severity::Alert, line.span(), message).showing(line.keyword().span),
            );
        }
        Some(block)
    }
}

fn condition_of(
    line: &Line,
    abilities: &Abilities,
    variables: &Variables<'_>,
) -> Result<bool, Box<Diagnostic>> {
    let (text, starts) = joined(line);
    evaluate(&text, abilities, variables).map_err(|error| {
        let index = starts
            .partition_point(|start| *start <= error.offset)
            .max(1);
        let shown = match line.words.get(index) {
            Some(word) => word.at(error.offset - starts[index - 1]),
            None => line.span(),
        };
        let keyword = &line.keyword().text;
        let message = format!("{} in '{keyword}'", error.message);
        Box::new(Diagnostic::at(Severity::Alert, line.span(), message).showing(shown))
    })
}

/// The words after the keyword with one space between them, and where each begins in that text.
fn joined(line: &Line) -> (String, Vec<usize>) {
    let mut text = String::new();
    let mut starts = Vec::new();
    for word in &line.words[1..] {
        if !starts.is_empty() {
            text.push(' ');
        }
        starts.push(text.len());
        text.push_str(&word.text);
    }
    (text, starts)
}

fn message(line: &Line, severity: Severity, diagnostics: &mut Diagnostics) {
    if let Some(extra) = line.words.get(2) {
        let keyword = &line.keyword().text;
        let message = format!(
            "unexpected argument '{}' for '{keyword}': put the message between quotes.",
            extra.text
        );
        diagnostics.push(Diagnostic::at(Severity::Alert, line.span(), message).showing(extra.span));
        return;
    }
    let text = line.words.get(1).map_or("", |word| word.text.as_str());
    diagnostics.push(Diagnostic::at(severity, line.span(), format!("'{text}'.")));
}

fn no_argument(line: &Line, diagnostics: &mut Diagnostics) {
    if let Some(extra) = line.words.get(1) {
        let message = format!(
            "Unexpected argument '{}' for '{}'.",
            extra.text,
            line.keyword().text
        );
        diagnostics.push(Diagnostic::at(Severity::Alert, line.span(), message).showing(extra.span));
    }
}

fn alone(line: &Line, diagnostics: &mut Diagnostics) {
    let keyword = line.keyword();
    let message = format!("lone '{}' with no matching '.if'.", keyword.text);
    diagnostics.push(Diagnostic::at(Severity::Alert, line.span(), message).showing(keyword.span));
}

/// Blocks within blocks before it is taken for a mistake.
const DEEPEST: usize = 1024;
