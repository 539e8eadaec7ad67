//! Text to model.

pub mod ast;
pub mod environment;
pub mod lexer;
pub mod source;
