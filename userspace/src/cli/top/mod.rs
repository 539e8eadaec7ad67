//! `tidegate top`: what the kernel tier does right now.
//!
//! Input are the counters of a running process, asked for once a second, and a sample of the packets it drops; output is a
//! panel on the terminal, or the same as text or JSON. What the numbers mean together is worked out in [`panel`], what is
//! on the terminal in [`screen`].
#![expect(
    clippy::print_stdout,
    reason = "this is a part that talks to the terminal"
)]

mod panel;
mod screen;
mod sources;

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use self::panel::{Panel, Sample};
use self::screen::Screen;
use self::sources::Sources;
use crate::clock;
use crate::log::notice;

/// What is shown, and how.
#[derive(Debug, Args)]
pub struct Wanted {
    /// Path of the stats socket. At level admin, the sources of dropped packets are shown as well.
    #[arg(short = 'S', long)]
    socket: PathBuf,
    /// Show one second and end.
    #[arg(long)]
    once: bool,
    /// One JSON object a second instead of a panel.
    #[arg(long)]
    json: bool,
}

/// Shows the panel until SIGINT, SIGTERM or 'q'.
pub(super) fn run(wanted: &Wanted) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let done = runtime.and_then(|runtime| {
        let shown = runtime.block_on(show(wanted));
        // A read of the keyboard is still waiting.
        runtime.shutdown_background();
        shown
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            notice::alert(format_args!("top: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn show(wanted: &Wanted) -> io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut before = ask(&wanted.socket).await?;
    let mut sources = Sources::of(&wanted.socket);
    let interactive = !wanted.once && !wanted.json && io::stdout().is_terminal();
    // Before this is dropped the terminal is not as it was.
    let mut screen = interactive.then(Screen::take).transpose()?;
    let mut seconds = interval(SECOND);
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    seconds.tick().await;
    loop {
        let key = async {
            match &mut screen {
                Some(screen) => screen.quits().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = seconds.tick() => {}
            () = sources.collect() => {}
            () = key => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
        }
        let after = ask(&wanted.socket).await?;
        let panel = Panel::between(&before, &after, &mut sources);
        if wanted.json {
            println!("{}", serde_json::to_string(&panel)?);
        } else if let Some(screen) = &screen {
            screen.draw(&panel.to_string())?;
        } else {
            print!("{panel}");
        }
        io::stdout().flush()?;
        if wanted.once {
            return Ok(());
        }
        before = after;
    }
}

async fn ask(socket: &Path) -> io::Result<Sample> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(b"show xdp json\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Sample::read(&answer, clock::now()).map_err(io::Error::other)
}

const SECOND: Duration = Duration::from_secs(1);
