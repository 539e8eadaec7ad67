//! `tidegate capture`: asks a running process for frames and writes them to a file.
//!
//! Input are the words of the command line; output is a capture file, or what the process says instead. SIGINT ends the
//! capture; what was captured by then is complete, the statistics included.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::signal::unix::{SignalKind, signal};

use crate::log::notice;
use crate::proto::pcapng;

/// What to capture, and whereto.
#[derive(Debug, Args)]
pub struct Wanted {
    /// Path of the stats socket; its level must be admin.
    #[arg(short = 'S', long)]
    socket: PathBuf,
    /// Dropped packets only.
    #[arg(long)]
    drops: bool,
    /// A sample: not more than one frame per tick of the kernel's clock and CPU.
    #[arg(long)]
    sampled: bool,
    /// Packets to this frontend only.
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Packets from this address or network only.
    #[arg(long, value_name = "CIDR")]
    src: Option<String>,
    /// End after so many frames.
    #[arg(short, long, value_name = "N")]
    count: Option<u64>,
    /// Keep so many bytes of a frame.
    #[arg(short, long, value_name = "BYTES")]
    snaplen: Option<u16>,
    /// The file, or '-' for standard output.
    #[arg(short, long)]
    write: PathBuf,
}

impl Wanted {
    fn command(&self) -> String {
        let mut command = "capture".to_owned();
        for (word, wanted) in [("drops", self.drops), ("sampled", self.sampled)] {
            if wanted {
                command += &format!(" {word}");
            }
        }
        let quoted = |text: &String| text.replace('\\', "\\\\").replace(' ', "\\ ");
        let values = [
            ("service", self.service.as_ref().map(quoted)),
            ("src", self.src.as_ref().map(quoted)),
            ("count", self.count.map(|count| count.to_string())),
            ("bytes", self.snaplen.map(|bytes| bytes.to_string())),
        ];
        for (word, value) in values {
            command.extend(value.map(|value| format!(" {word} {value}")));
        }
        command + "\n"
    }
}

/// Captures until the end.
pub(super) fn run(wanted: &Wanted) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build();
    let done = runtime.and_then(|runtime| runtime.block_on(capture(wanted)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads the standard output may have seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            notice::alert(format_args!("capture: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn capture(wanted: &Wanted) -> io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut stream = UnixStream::connect(&wanted.socket).await?;
    stream.write_all(wanted.command().as_bytes()).await?;
    let mut buffer = vec![0; 1 << 16];
    let mut begun = Vec::new();
    while begun.len() < 4 {
        match stream.read_buf(&mut begun).await? {
            0 => break,
            _ => continue,
        }
    }
    if !pcapng::is_begun_by(&begun) {
        stream.read_to_end(&mut begun).await?;
        let reason = String::from_utf8_lossy(&begun);
        return Err(io::Error::other(reason.trim().to_owned()));
    }
    // Not before: what cannot be had leaves an earlier file as it was.
    let mut file = open(&wanted.write)?;
    file.write_all(&begun)?;
    let mut asked_to_end = false;
    loop {
        tokio::select! {
            read = stream.read(&mut buffer) => match read? {
                0 => return file.flush(),
                count => file.write_all(&buffer[..count])?,
            },
            _ = interrupt.recv(), if !asked_to_end => asked_to_end = true,
            _ = terminate.recv(), if !asked_to_end => asked_to_end = true,
        }
        file.flush()?;
        if asked_to_end {
            stream.shutdown().await?;
        }
    }
}

fn open(path: &Path) -> io::Result<Box<dyn Write>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdout()));
    }
    Ok(Box::new(std::fs::File::create(path)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_command_line_become_the_command() {
        let wanted = Wanted {
            socket: PathBuf::from("/run/x"),
            drops: true,
            sampled: false,
            service: Some("my web".to_owned()),
            src: Some("192.0.2.0/24".to_owned()),
            count: Some(3),
            snaplen: None,
            write: PathBuf::from("-"),
        };
        let command = "capture drops service my\\ web src 192.0.2.0/24 count 3\n";
        assert_eq!(wanted.command(), command);
    }
}
