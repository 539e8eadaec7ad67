//! Text to model.

pub mod ast;
pub mod condition;
pub mod diagnostics;
pub mod environment;
pub mod lexer;
pub mod parser;
pub mod preprocess;
pub mod source;
mod suggest;
#[cfg(test)]
pub(crate) mod testing;
