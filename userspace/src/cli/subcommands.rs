//! The words this program adds to HAProxy's command line.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, CommandFactory as _, Parser};

use super::completions::Shell;

/// What is done instead of serving.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version = super::VERSION, disable_help_flag = false)]
#[command(about = "A load balancer that runs haproxy.cfg, with its L4 data path inside the kernel")]
#[command(
    after_help = "With HAProxy's own flags (-f FILE, -c, -D, -vv, …) the program serves; '-h' lists them."
)]
pub enum Subcommand {
    /// Check a configuration, as -c -V does.
    Check(ConfigurationFiles),
    /// Say for every rule whether it runs in the kernel or in userspace, and why.
    Explain {
        /// The configuration.
        #[command(flatten)]
        files: ConfigurationFiles,
        /// Machine-readable output.
        #[arg(long)]
        json: bool,
    },
    /// On a server behind 'forward ipip' or 'forward gue': take packets out of the tunnels until SIGINT or SIGTERM.
    ///
    /// The service's address must be on the server, too, where nobody on the link is told of it: 'ip address add
    /// 198.51.100.80/32 dev lo'. Loading needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON. The program goes with this process,
    /// however it ends; what it did is told at the end.
    Decap {
        /// The interface tunnels come in through.
        #[arg(short, long)]
        interface: String,
        /// Where the program sits: in the driver or in the stack. Without it, in the driver if that can.
        #[arg(long, value_enum)]
        mode: Option<DecapMode>,
        /// The UDP port of GUE.
        #[arg(long, default_value_t = tidegate_common::tunnel::GUE_PORT, value_parser = clap::value_parser!(u16).range(1..))]
        port: u16,
        /// An address of this machine that tunnels end at; repeatable. Without it, all of them.
        #[arg(long)]
        address: Vec<IpAddr>,
    },
    /// Write the packets a running process decides about in the kernel to a pcapng file, each with what became of it.
    Capture(super::capture::Wanted),
    /// Show what the kernel part of a running process drops and forwards, second by second; 'q' ends it.
    Top(super::top::Wanted),
    /// Turn the backends of another program's configuration into sections of this one's, on standard output.
    Convert {
        /// Whose configuration it is.
        #[arg(value_parser = ["vcl"])]
        from: String,
        /// The file.
        file: PathBuf,
    },
    /// List every word of the language with what it does, and why what is refused is.
    Keywords,
    /// Print a manual page in roff: section 8 is the program, section 5 the configuration.
    Man {
        /// 8 or 5.
        #[arg(default_value = "8", value_parser = ["5", "8"])]
        section: String,
    },
    /// Print a script that lets a shell complete flags and commands.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Send a command to the stats socket of a running process and print the answer.
    Ctl {
        /// Path of the stats socket.
        #[arg(short, long)]
        socket: PathBuf,
        /// The command, such as: show info
        #[arg(required = true, trailing_var_arg = true)]
        command: Vec<String>,
    },
}

/// `--mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum DecapMode {
    /// In the driver.
    Native,
    /// In the stack.
    Generic,
}

/// The names of the subcommands, each with what it does.
pub(super) fn listed() -> Vec<(String, String)> {
    let command = Subcommand::command();
    let subcommands = command.get_subcommands().filter(|one| !one.is_hide_set());
    subcommands
        .map(|one| {
            let about = one.get_about().map(ToString::to_string);
            (one.get_name().to_owned(), about.unwrap_or_default())
        })
        .collect()
}

/// `-f FILE`, repeatable.
#[derive(Debug, Args)]
pub struct ConfigurationFiles {
    /// A configuration file or directory.
    #[arg(short = 'f', long = "file", required = true)]
    pub files: Vec<PathBuf>,
}

/// Parses the words when the first one is not a flag; `None` means the line is HAProxy's.
///
/// # Errors
/// clap's own error, which also carries the help page and the version.
pub(super) fn parse(words: &[String]) -> Option<Result<Subcommand, clap::Error>> {
    let first = words.get(1)?;
    if first.starts_with('-') && !first.starts_with("--h") && !first.starts_with("--v") {
        return None;
    }
    Some(Subcommand::try_parse_from(words))
}
