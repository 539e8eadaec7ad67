//! `tidegate ctl`: one command to a running process, its answer on the terminal.
#![expect(clippy::print_stdout, reason = "the answer belongs on the terminal")]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use crate::log::notice;

/// Sends the command and prints the answer.
pub(super) fn ask(socket: &Path, command: &str) -> ExitCode {
    match answer(socket, command) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            notice::alert(format_args!("{}: {error}", socket.display()));
            ExitCode::FAILURE
        }
    }
}

fn answer(socket: &Path, command: &str) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    writeln!(stream, "{command}")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

const PATIENCE: Duration = Duration::from_secs(30);
