//! The `tidegate` program: everything is in the library, this only passes the words on.

use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args_os()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    tidegate::cli::run(&words)
}
