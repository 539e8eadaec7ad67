//! The project's own commands: `cargo xtask <command>`.
//!
//! Input is the command line and the checkout; output is build products under `target/`, a report on the terminal and an
//! exit code that CI can trust. Nothing here is part of the product, and nothing touches the system outside `target/` and
//! the user's cache directory unless the line that says so is printed first.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks to its user through the terminal"
)]

mod build;
mod ebpf;
mod lab;
mod process;
mod setup;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    about = "Build, test and check tidegate",
    version
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Prepare the compiler and linker for the kernel object under target/bpf-toolchain
    Setup(setup::Options),
    /// Compile and link the kernel object to target/bpf/tidegate-xdp
    BuildEbpf(ebpf::Options),
    /// Check the project's own rules: room order, file length, islands of unsafe, links, leftovers
    Tidy,
    /// Run the main job in a lab of network namespaces, or serve a real interface
    Run(lab::Options),
    #[command(hide = true)]
    LabOrigin(lab::origin::Options),
    #[command(hide = true)]
    LabDaemon(lab::daemon::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> anyhow::Result<()> {
    let workspace = Workspace::find()?;
    match command {
        Command::Setup(options) => setup::run(&workspace, options),
        Command::BuildEbpf(options) => ebpf::run(&workspace, options),
        Command::Tidy => tidy::run(&workspace),
        Command::Run(options) => lab::run(&workspace, options),
        Command::LabOrigin(options) => lab::origin::run(options),
        Command::LabDaemon(options) => lab::daemon::exec(options),
    }
}
