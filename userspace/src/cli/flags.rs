//! HAProxy's flags (management.txt §3), one table row each.

use std::path::PathBuf;

use super::UsageError;

/// Everything HAProxy's flags can say.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// `-f` and `--`: files and directories, in order.
    pub files: Vec<PathBuf>,
    /// `-C`: directory to change to before reading.
    pub directory: Option<PathBuf>,
    /// `-c`: check and exit.
    pub check: bool,
    /// `-cc COND`: evaluate a condition and exit.
    pub condition: Option<String>,
    /// `-V`: say more.
    pub verbose: bool,
    /// `-q`: say nothing.
    pub quiet: bool,
    /// `-d`: debug; stays in the foreground.
    pub debug: bool,
    /// `-db`: stays in the foreground whatever the file says.
    pub foreground: bool,
    /// `-D`: to the background.
    pub daemon: bool,
    /// `-dW`: a warning is an error.
    pub zero_warning: bool,
    /// `-dD`: more warnings.
    pub diagnostics: bool,
    /// `-dr`: a server name that does not resolve is no error.
    pub ignore_resolution: bool,
    /// `-dV`: server certificates are not checked.
    pub no_server_verify: bool,
    /// `-dR`: no SO_REUSEPORT.
    pub no_reuseport: bool,
    /// `-dS`, `-dF`, `-dZ`: no splice(2).
    pub no_splice: bool,
    /// `-dK…`: the classes of keywords to print.
    pub dump_keywords: Option<String>,
    /// `-L`: local peer name.
    pub localpeer: Option<String>,
    /// `-n`: overrides the global maxconn.
    pub maxconn: Option<u32>,
    /// `-N`: the default maxconn of proxies.
    pub proxy_maxconn: Option<u32>,
    /// `-m`: limit of the address space, in megabytes.
    pub memory: Option<u32>,
    /// `-p`: pid file.
    pub pidfile: Option<PathBuf>,
    /// `-sf`: processes asked to finish.
    pub finish: Vec<i32>,
    /// `-st`: processes told to stop.
    pub terminate: Vec<i32>,
    /// `-W` and `-Ws`: a master, and a worker it replaces on request.
    pub master: bool,
    /// `-Ws`: the service manager is told what happens.
    pub notify: bool,
    /// `-S`: the master CLI, with its options behind commas.
    pub master_socket: Option<String>,
    /// `-x`: the stats socket of a process to take the listening sockets over from.
    pub transfer: Option<PathBuf>,
    /// `-v` (1) or `-vv` (2): the version.
    pub version: u8,
    /// `-h`: the help page.
    pub help: bool,
}

/// Parses the words after the program's name.
///
/// # Errors
/// An option that does not exist, lacks its value, or has a value it cannot take.
pub(super) fn parse(words: &[String]) -> Result<Flags, UsageError> {
    let mut flags = Flags::default();
    let mut words = Words { words, next: 0 };
    while let Some(word) = words.take() {
        if word == "--" {
            while let Some(file) = words.take() {
                flags.files.push(file.into());
            }
            break;
        }
        let row = ROWS
            .iter()
            .find(|row| row.name == word)
            .or_else(|| {
                ROWS.iter()
                    .find(|row| row.glued && word.starts_with(row.name))
            })
            .ok_or_else(|| UsageError::Unknown(word.to_owned()))?;
        (row.apply)(&mut flags, word, &mut words)?;
    }
    Ok(flags)
}

/// The lines of the help page.
pub(super) fn help() -> String {
    ROWS.iter()
        .filter(|row| !row.doc.is_empty())
        .map(|row| format!("        {}{} {}\n", row.name, row.value, row.doc))
        .collect()
}

/// Every flag: its name, its value, and what it does; nothing is said of those that are refused.
pub(super) fn listed() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    ROWS.iter().map(|row| (row.name, row.value, row.doc))
}

/// The words not yet used.
struct Words<'a> {
    words: &'a [String],
    next: usize,
}

impl<'a> Words<'a> {
    fn take(&mut self) -> Option<&'a str> {
        let word = self.words.get(self.next)?;
        self.next += 1;
        Some(word)
    }

    fn value(&mut self, flag: &str, what: &'static str) -> Result<&'a str, UsageError> {
        self.take()
            .ok_or_else(|| UsageError::MissingValue(flag.to_owned(), what))
    }

    fn number(&mut self, flag: &str, what: &'static str) -> Result<u32, UsageError> {
        let word = self.value(flag, what)?;
        word.parse()
            .map_err(|_| UsageError::BadValue(flag.to_owned(), word.to_owned(), what))
    }

    /// The process ids up to the next option.
    fn pids(&mut self, flag: &str) -> Result<Vec<i32>, UsageError> {
        let mut pids = Vec::new();
        while let Some(word) = self
            .words
            .get(self.next)
            .filter(|word| !word.starts_with('-'))
        {
            self.next += 1;
            let pid = word.parse().ok().filter(|pid| *pid > 0).ok_or_else(|| {
                UsageError::BadValue(flag.to_owned(), word.clone(), "a process id")
            })?;
            pids.push(pid);
        }
        Ok(pids)
    }
}

type Apply = fn(&mut Flags, &str, &mut Words<'_>) -> Result<(), UsageError>;

/// One flag.
struct Row {
    name: &'static str,
    value: &'static str,
    doc: &'static str,
    /// The value is glued to the name, as in `-dKall`.
    glued: bool,
    apply: Apply,
}

const fn row(name: &'static str, value: &'static str, doc: &'static str, apply: Apply) -> Row {
    Row {
        name,
        value,
        doc,
        glued: false,
        apply,
    }
}

const fn glued(name: &'static str, value: &'static str, doc: &'static str, apply: Apply) -> Row {
    Row {
        name,
        value,
        doc,
        glued: true,
        apply,
    }
}

/// Longer names come before the names they begin with.
const ROWS: &[Row] = &[
    row(
        "-f",
        " <file|dir>",
        "adds a configuration file, or a directory's *.cfg files",
        |flags, word, words| {
            flags
                .files
                .push(words.value(word, "a file or a directory")?.into());
            Ok(())
        },
    ),
    row(
        "-c",
        "",
        "checks the configuration and exits",
        |flags, _, _| {
            flags.check = true;
            Ok(())
        },
    ),
    row(
        "-cc",
        " <cond>",
        "evaluates a condition: exits 0 if true, 1 if false, 2 on error",
        |flags, word, words| {
            flags.condition = Some(words.value(word, "a condition")?.to_owned());
            Ok(())
        },
    ),
    row("-v", "", "prints the version", |flags, _, _| {
        flags.version = flags.version.max(1);
        Ok(())
    }),
    row(
        "-vv",
        "",
        "prints the version, features and limits",
        |flags, _, _| {
            flags.version = 2;
            Ok(())
        },
    ),
    row("-h", "", "prints this page", |flags, _, _| {
        flags.help = true;
        Ok(())
    }),
    row(
        "-V",
        "",
        "says more: 'Configuration file is valid', what was offloaded",
        |flags, _, _| {
            flags.verbose = true;
            flags.quiet = false;
            Ok(())
        },
    ),
    row("-q", "", "says nothing", |flags, _, _| {
        flags.quiet = true;
        Ok(())
    }),
    row("-D", "", "goes to the background", |flags, _, _| {
        flags.daemon = true;
        Ok(())
    }),
    row("-d", "", "debug mode: foreground", |flags, _, _| {
        flags.debug = true;
        Ok(())
    }),
    row("-db", "", "stays in the foreground", |flags, _, _| {
        flags.foreground = true;
        Ok(())
    }),
    row(
        "-C",
        " <dir>",
        "changes to this directory first",
        |flags, word, words| {
            flags.directory = Some(words.value(word, "a directory")?.into());
            Ok(())
        },
    ),
    row(
        "-p",
        " <file>",
        "writes the process id to this file",
        |flags, word, words| {
            flags.pidfile = Some(words.value(word, "a file")?.into());
            Ok(())
        },
    ),
    row(
        "-n",
        " <max>",
        "limits the connections of the process",
        |flags, word, words| {
            flags.maxconn = Some(words.number(word, "a number of connections")?);
            Ok(())
        },
    ),
    row(
        "-N",
        " <max>",
        "default maxconn of the proxies",
        |flags, word, words| {
            flags.proxy_maxconn = Some(words.number(word, "a number of connections")?);
            Ok(())
        },
    ),
    row(
        "-m",
        " <MB>",
        "limits the memory of the process",
        |flags, word, words| {
            flags.memory = Some(words.number(word, "a number of megabytes")?);
            Ok(())
        },
    ),
    row(
        "-L",
        " <name>",
        "sets the local peer's name",
        |flags, word, words| {
            flags.localpeer = Some(words.value(word, "a name")?.to_owned());
            Ok(())
        },
    ),
    row(
        "-sf",
        " <pid>*",
        "asks these processes to finish",
        |flags, word, words| {
            flags.finish = words.pids(word)?;
            Ok(())
        },
    ),
    row(
        "-st",
        " <pid>*",
        "tells these processes to stop",
        |flags, word, words| {
            flags.terminate = words.pids(word)?;
            Ok(())
        },
    ),
    row(
        "-dW",
        "",
        "refuses to start after a warning",
        |flags, _, _| {
            flags.zero_warning = true;
            Ok(())
        },
    ),
    row(
        "-dD",
        "",
        "warns about suspicious statements",
        |flags, _, _| {
            flags.diagnostics = true;
            Ok(())
        },
    ),
    row(
        "-dr",
        "",
        "ignores server names that do not resolve",
        |flags, _, _| {
            flags.ignore_resolution = true;
            Ok(())
        },
    ),
    row(
        "-dV",
        "",
        "does not verify servers' certificates",
        |flags, _, _| {
            flags.no_server_verify = true;
            Ok(())
        },
    ),
    row("-dR", "", "does not use SO_REUSEPORT", |flags, _, _| {
        flags.no_reuseport = true;
        Ok(())
    }),
    row("-dS", "", "does not use splice(2)", no_splice),
    row("-dF", "", "", no_splice),
    row("-dZ", "", "", no_splice),
    glued(
        "-dK",
        "<class>",
        "prints the known keywords ('-dKhelp' lists the classes)",
        |flags, word, _| {
            flags.dump_keywords = Some(word["-dK".len()..].to_owned());
            Ok(())
        },
    ),
    // Memory poisoning, forks, resolvers, pollers and kTLS of another program: nothing here to switch.
    glued("-dM", "", "", |_, _, _| Ok(())),
    row("-dI", "", "", |_, _, _| Ok(())),
    row("-dG", "", "", |_, _, _| Ok(())),
    row("-dT", "", "", |_, _, _| Ok(())),
    row("-de", "", "", |_, _, _| Ok(())),
    row("-dp", "", "", |_, _, _| Ok(())),
    row("-W", "", "master-worker mode", |flags, _, _| {
        flags.master = true;
        Ok(())
    }),
    row(
        "-Ws",
        "",
        "master-worker mode that tells systemd",
        |flags, _, _| {
            (flags.master, flags.notify) = (true, true);
            Ok(())
        },
    ),
    row(
        "-S",
        " <bind>[,<bind options>...]",
        "binds the master CLI",
        |flags, word, words| {
            flags.master_socket = Some(words.value(word, "an address")?.to_owned());
            Ok(())
        },
    ),
    row(
        "-x",
        " <unix_socket>",
        "gets the listening sockets from the process behind this stats socket",
        |flags, word, words| {
            flags.transfer = Some(words.value(word, "a stats socket")?.into());
            Ok(())
        },
    ),
    glued("-dC", "", "", |_, word, _| {
        Err(unsupported(word, "configuration dump"))
    }),
    row("-dL", "", "", |_, word, _| {
        Err(unsupported(word, "library dump"))
    }),
    glued("-dA", "", "", |_, word, _| {
        Err(unsupported(word, "library archive"))
    }),
    glued("-dt", "", "", |_, word, _| Err(unsupported(word, "traces"))),
];

fn no_splice(flags: &mut Flags, _: &str, _: &mut Words<'_>) -> Result<(), UsageError> {
    flags.no_splice = true;
    Ok(())
}

fn unsupported(word: &str, what: &'static str) -> UsageError {
    UsageError::Unsupported(word.to_owned(), what)
}

#[cfg(test)]
mod tests;
