//! Running other programs: every command is shown, every failure names the command that failed.
//!
//! Input is a [`Command`]; output is its exit or its text. Nothing is retried and nothing runs through a shell.

use std::env;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{io, thread};

use anyhow::{Context, Result, bail};

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
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| cannot_start(command))?;
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
