//! Running other programs: every command is shown, every failure names the command that failed.
//!
//! Input is a [`Command`]; output is its exit or its text. Nothing is retried and nothing runs through a shell.

use std::env;
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{io, thread};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

/// Runs a command with our own stdin, stdout and stderr; its failure is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    println!("    $ {}", line(command));
    let status = patiently(|| command.status()).with_context(|| cannot_start(command))?;
    if !status.success() {
        bail!("`{}` failed: {status}", line(command));
    }
    Ok(())
}

/// Runs a command silently and returns its stdout; its failure is an error that holds its stderr.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    command.stdin(Stdio::null());
    let output = patiently(|| command.output()).with_context(|| cannot_start(command))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!(
            "`{}` failed: {}\n{}",
            line(command),
            output.status,
            stderr.trim_end()
        );
    }
    String::from_utf8(output.stdout)
        .with_context(|| format!("`{}` printed something that is not UTF-8", line(command)))
}

/// How a bounded command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Exited(ExitStatus),
    TimedOut,
}

/// Runs a command with stdout and stderr in the file `log`, in a process group of its own that is killed when the
/// command ends or when `limit` has passed: what it left behind does not survive it.
pub(crate) fn run_bounded(command: &mut Command, log: &Path, limit: Duration) -> Result<Ended> {
    let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .process_group(0);
    let mut child = patiently(|| command.spawn()).with_context(|| cannot_start(command))?;
    let group = Pid::from_child(&child);
    let start = Instant::now();
    let ended = loop {
        if let Some(status) = child.try_wait()? {
            break Ended::Exited(status);
        }
        if start.elapsed() >= limit {
            break Ended::TimedOut;
        }
        thread::sleep(WAIT_PAUSE);
    };
    // The group is gone already when nothing was left behind.
    let _ = kill_process_group(group, Signal::KILL);
    if ended == Ended::TimedOut {
        child.wait()?;
    }
    Ok(ended)
}

/// True if a command could be started and succeeded; its output is thrown away.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    patiently(|| command.status()).is_ok_and(|status| status.success())
}

/// Looks a program up in PATH, and in the directories of administration tools that a user's PATH may lack.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(program))
        .find(|candidate| {
            candidate
                .metadata()
                .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
        })
}

/// Whether we may install packages, make namespaces and load programs into the kernel without asking anyone.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Starts a program again while its file is "busy": a script we have just written may for a moment still be open in a
/// child that another thread is starting.
fn patiently<T>(mut start: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for _ in 0..BUSY_TRIES {
        match start() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                thread::sleep(BUSY_PAUSE);
            }
            other => return other,
        }
    }
    start()
}

/// The command as one could type it (without its environment).
fn line(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args().map(OsStr::to_string_lossy) {
        text.push(' ');
        if argument.is_empty() || argument.contains([' ', '\'', '"', '$']) {
            text.push('\'');
            text.push_str(&argument.replace('\'', r"'\''"));
            text.push('\'');
        } else {
            text.push_str(&argument);
        }
    }
    text
}

fn cannot_start(command: &Command) -> String {
    format!("cannot start `{}`", command.get_program().to_string_lossy())
}

const BUSY_TRIES: u32 = 50;
const WAIT_PAUSE: Duration = Duration::from_millis(20);
const BUSY_PAUSE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_command_is_an_error_that_names_it_and_shows_its_stderr() {
        let error = capture(Command::new("sh").args(["-c", "echo broken >&2; exit 3"]))
            .expect_err("the shell exits with 3");
        let text = error.to_string();
        assert!(text.contains("sh -c 'echo broken >&2; exit 3'"), "{text}");
        assert!(
            text.contains("exit status: 3") && text.ends_with("broken"),
            "{text}"
        );
    }

    #[test]
    fn a_bounded_command_leaves_its_output_and_no_process() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let log = directory.path().join("log");
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 60 & echo $!; echo broken >&2; exit 3"]);
        let ended = run_bounded(&mut command, &log, Duration::from_secs(10)).expect("it starts");
        assert!(
            matches!(ended, Ended::Exited(status) if status.code() == Some(3)),
            "{ended:?}"
        );
        let printed = std::fs::read_to_string(&log).expect("a log");
        let (sleeper, rest) = printed.split_once('\n').expect("two lines");
        assert_eq!(rest, "broken\n");
        // The signal is sent; the death takes the kernel a moment.
        let gone = (0..500).any(|_| {
            thread::sleep(WAIT_PAUSE);
            !runs(sleeper)
        });
        assert!(gone, "the sleeper was killed with its group");
    }

    #[test]
    fn a_command_over_its_limit_is_killed() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut command = Command::new("sleep");
        let limit = Duration::from_millis(50);
        let ended = run_bounded(command.arg("60"), &directory.path().join("log"), limit);
        assert_eq!(ended.expect("it starts"), Ended::TimedOut);
    }

    /// Whether a process exists and is more than a corpse that waits for its parent.
    fn runs(pid: &str) -> bool {
        std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| !stat.contains(") Z "))
    }

    #[test]
    fn a_missing_program_is_an_error_and_not_found() {
        let error = run(&mut Command::new("no-such-program-here")).expect_err("it does not exist");
        assert!(
            error
                .to_string()
                .contains("cannot start `no-such-program-here`")
        );
        assert_eq!(find("no-such-program-here"), None);
        assert!(find("sh").is_some());
    }
}
