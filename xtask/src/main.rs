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

mod bench;
mod build;
mod conformance;
mod docs;
mod ebpf;
mod fuzz;
mod lab;
mod lint;
mod packets;
mod process;
mod programs;
mod setup;
mod test;
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
    BuildEbpf,
    /// Build the daemon with the kernel object inside
    Build(build::Options),
    /// Run every test and count them by layer
    Test(test::Options),
    /// Run HAProxy's own regression tests from a checkout beside the project
    Conformance(conformance::Options),
    /// Measure beside others, in the same run
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Compare the language with a table of HAProxy's keywords
    Coverage(docs::coverage::Options),
    /// Write the reference and the manual pages from the program's own lists
    Docs(docs::Options),
    /// Feed the language with random and damaged text
    Fuzz(fuzz::Options),
    /// Malformed, well-formed and random frames against the kernel program, run by hand
    Packets(packets::Options),
    /// Check format, clippy for host and kernel crates, licences
    Lint,
    /// Check the project's own rules: room order, file length, islands of unsafe, links, leftovers
    Tidy,
    /// Run the main job in a lab of network namespaces, or serve a real interface
    Run(lab::Options),
    #[command(hide = true)]
    LabOrigin(lab::origin::Options),
    #[command(hide = true)]
    LabDaemon(lab::daemon::Options),
    #[command(hide = true)]
    BenchFloodSource(bench::flood::source::Options),
}

/// What a command found out, when it did its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Passed,
    /// The command has said what is wrong, its last line included.
    Failed,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments.command) {
        Ok(Verdict::Passed) => ExitCode::SUCCESS,
        Ok(Verdict::Failed) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> anyhow::Result<Verdict> {
    let workspace = Workspace::find()?;
    match command {
        Command::Setup(options) => setup::run(&workspace, options)?,
        Command::BuildEbpf => drop(ebpf::build(&workspace)?),
        Command::Build(options) => build::run(&workspace, options)?,
        Command::Test(options) => return test::run(&workspace, options),
        Command::Conformance(options) => return conformance::run(&workspace, options),
        Command::Bench(bench) => bench::run(&workspace, bench)?,
        Command::Coverage(options) => return docs::coverage::run(&workspace, options),
        Command::Docs(options) => return docs::run(&workspace, *options),
        Command::Fuzz(options) => fuzz::run(&workspace, options)?,
        Command::Packets(options) => return packets::run(&workspace, options),
        Command::Lint => lint::run(&workspace)?,
        Command::Tidy => return tidy::run(&workspace),
        Command::Run(options) => lab::run(&workspace, options)?,
        Command::LabOrigin(options) => lab::origin::run(options)?,
        Command::LabDaemon(options) => lab::daemon::exec(options)?,
        Command::BenchFloodSource(options) => bench::flood::source::run(options)?,
    }
    Ok(Verdict::Passed)
}
