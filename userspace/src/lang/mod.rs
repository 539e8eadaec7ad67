//! Text to model: reads `haproxy.cfg` (manual chapters 2 to 5, 7, 11, 12).
//!
//! Configuration files come in; a [`Model`](crate::model::Model) and [`Diagnostics`](diagnostics::Diagnostics) come out.
//! The way is: [`source`] (files), [`lexer`] (words), [`preprocess`] and [`condition`] (`.if`), [`parser`] (sections),
//! [`keywords`] (what each statement means), [`resolve`] (names, defaults, checks). It opens no socket, starts no task and
//! knows nothing of the kernel; files, names and users are asked of an [`environment::Environment`].

pub mod ast;
pub mod condition;
pub mod diagnostics;
pub mod environment;
mod hints;
pub mod keywords;
pub mod lexer;
pub mod parser;
pub mod preprocess;
pub mod resolve;
pub mod source;
mod suggest;
#[cfg(test)]
pub(crate) mod testing;

pub use condition::Abilities;
pub use diagnostics::{Diagnostic, Diagnostics, Severity, Style};
pub use environment::{Environment, Machine};
pub use hints::{Hint, hints};
pub use keywords::catalogue::{Entry, State, catalogue, services};
pub use keywords::listing::{Listed, keywords};
pub use resolve::{Foundry, Loaded, NoEffect, Settings, check_condition, load, load_sources};
