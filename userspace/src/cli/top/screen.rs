//! The terminal: another screen for as long as this lives, keys without echo, and everything as it was afterwards.

use std::io::{self, Read as _, Write as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::sync::mpsc;

/// A terminal that is ours.
pub(super) struct Screen {
    before: Option<Termios>,
    keys: mpsc::Receiver<u8>,
}

impl Screen {
    /// Takes the terminal.
    pub(super) fn take() -> io::Result<Self> {
        let before = match tcgetattr(io::stdin()) {
            Ok(before) => {
                let mut quiet = before.clone();
                // Signals go on being made of keys: Ctrl-C ends us as it ends others.
                quiet.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
                tcsetattr(io::stdin(), OptionalActions::Now, &quiet)?;
                Some(before)
            }
            // No keyboard; the panel can be looked at all the same.
            Err(_) => None,
        };
        let (send, keys) = mpsc::channel(8);
        if before.is_some() {
            std::thread::Builder::new()
                .name("keys".to_owned())
                .spawn(move || {
                    let mut key = [0];
                    while matches!(io::stdin().read(&mut key), Ok(1)) {
                        if send.blocking_send(key[0]).is_err() {
                            return;
                        }
                    }
                })?;
        }
        let screen = Self { before, keys };
        write!(io::stdout(), "\x1b[?1049h\x1b[?25l")?;
        io::stdout().flush()?;
        Ok(screen)
    }

    /// Shows a text from the upper left corner on, as much of it as fits.
    pub(super) fn draw(&self, text: &str) -> io::Result<()> {
        let size = tcgetwinsize(io::stdout());
        let (rows, columns) = size.map_or((24, 80), |size| (size.ws_row, size.ws_col));
        let (rows, columns) = (usize::from(rows.max(1)), usize::from(columns.max(1)));
        let mut out = String::from("\x1b[H");
        for line in text.lines().take(rows - 1) {
            out.extend(line.chars().filter(|one| !one.is_control()).take(columns));
            out.push_str("\x1b[K\r\n");
        }
        out.push_str("\x1b[J");
        io::stdout().write_all(out.as_bytes())
    }

    /// Returns when the user has had enough.
    pub(super) async fn quits(&mut self) {
        while let Some(key) = self.keys.recv().await {
            if matches!(key, b'q' | b'Q') {
                return;
            }
        }
        std::future::pending().await
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Nobody can be told if this fails.
        let _ = write!(io::stdout(), "\x1b[?25h\x1b[?1049l");
        let _ = io::stdout().flush();
        if let Some(before) = &self.before {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}
