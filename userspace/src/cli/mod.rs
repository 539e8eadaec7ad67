//! The command line: HAProxy's own flags, and this program's subcommands.
//!
//! Single-dash words such as `-Ws` or `-sf 12 13` follow management.txt §3 and are parsed from the table in [`flags`];
//! `explain`, `check` and other words come from clap. The result is an [`Invocation`]; nothing is read or started here.

mod capture;
mod completions;
mod convert;
mod ctl;
mod decap;
mod flags;
mod keywords;
mod man;
mod run;
mod subcommands;
mod top;
mod version;

pub use completions::Shell;
pub use flags::Flags;
pub use run::run;
pub use subcommands::{ConfigurationFiles, DecapMode, Subcommand};
pub use version::{LANGUAGE_VERSION, VERSION, banner, build_description};

/// What the user asked for.
#[derive(Debug)]
pub enum Invocation {
    /// Serve, or only check: HAProxy's command line.
    Proxy(Box<Flags>),
    /// One of this program's own subcommands.
    Subcommand(Subcommand),
}

/// Why a command line was refused; the text says what and, where it can, what instead.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum UsageError {
    /// No such flag.
    #[error("unknown option '{0}'")]
    Unknown(String),
    /// A flag that needs a value stands at the end.
    #[error("option '{0}' needs {1}")]
    MissingValue(String, &'static str),
    /// A value that is not what the flag takes.
    #[error("option '{0}': '{1}' is not {2}")]
    BadValue(String, String, &'static str),
    /// A flag HAProxy has and this version does not.
    #[error("option '{0}' ({1}) is not supported by this version")]
    Unsupported(String, &'static str),
}

/// Parses the whole command line, the program's name first.
///
/// # Errors
/// What was wrong with it, or the help page or version that was asked for with `--help` or `--version`.
pub fn parse(words: &[String]) -> Result<Invocation, CommandLineError> {
    if let Some(subcommand) = subcommands::parse(words) {
        return Ok(Invocation::Subcommand(subcommand?));
    }
    let flags = flags::parse(words.get(1..).unwrap_or_default())?;
    Ok(Invocation::Proxy(Box::new(flags)))
}

/// Why the command line leads to nothing being run.
#[derive(Debug, thiserror::Error)]
pub enum CommandLineError {
    /// HAProxy's flags.
    #[error(transparent)]
    Flags(#[from] UsageError),
    /// The subcommands; also how clap shows its help.
    #[error(transparent)]
    Subcommand(#[from] clap::Error),
}

/// The help page HAProxy's users expect when no option is given.
pub fn usage(program: &str) -> String {
    let mut text =
        format!("Usage : {program} [-f <cfgfile|cfgdir>]* [ -vdVDcq ] [ -n <maxconn> ]\n");
    text.push_str("        [ -p <pidfile> ] [ -C <dir> ] [-- <cfgfile>*]\n");
    text.push_str(&flags::help());
    text.push_str(&format!(
        "        {program} check|explain|decap|help : see '{program} help'\n"
    ));
    text
}
