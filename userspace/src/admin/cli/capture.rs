//! `capture`: frames as the kernel tier decides about them, streamed to the client as a capture file.
//!
//! Input are the words of the command; output is the file (pcapng), written while the client reads it, until it has as many
//! frames as it asked for, ends its half of the connection, or another program takes over. What is wrong is said in a line
//! of text instead.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{sleep, timeout};

use super::{World, words};
use crate::clock;
use crate::dataplane::{Capture, CaptureError, Captured, Chain, Wish};
use crate::expr::parse_network;
use crate::model::Level;
use crate::proto::pcapng;

/// The command's words, if the line is this command and nothing else.
pub(super) fn asked(line: &str) -> Option<Vec<String>> {
    let mut commands = words::commands(line);
    match (commands.pop(), commands.is_empty()) {
        (Some(words), true) if words.first().is_some_and(|word| word == WORD) => Some(words),
        _ => None,
    }
}

/// Answers the command.
///
/// # Errors
/// The client is gone.
pub(super) async fn answer(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    world: &World,
    level: Level,
    words: &[String],
) -> io::Result<()> {
    let mut begun = begin(world, level, words);
    // A sample for the log takes a moment.
    for _ in 0..TRIES {
        if !matches!(&begun, Err(Refusal::Capture(CaptureError::Busy))) {
            break;
        }
        sleep(PAUSE * 3).await;
        begun = begin(world, level, words);
    }
    match begun {
        Ok((capture, most)) => send(stream, world, capture, most).await,
        Err(reason) => stream.write_all(format!("{reason}\n\n").as_bytes()).await,
    }
}

/// Why there is no capture.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("{0}")]
    Words(String),
    #[error("{}", Chain(.0))]
    Capture(#[from] CaptureError),
}

impl From<String> for Refusal {
    fn from(text: String) -> Self {
        Self::Words(text)
    }
}

fn begin(world: &World, level: Level, words: &[String]) -> Result<(Capture, u64), Refusal> {
    if level < Level::Admin {
        return Err("Permission denied".to_owned().into());
    }
    let (wish, most) = wish(&words[1..])?;
    let kernel = world.kernel.as_ref();
    let kernel = kernel.ok_or_else(|| "No kernel part: there is nothing to capture.".to_owned())?;
    let feedback = std::sync::Arc::clone(&kernel.feedback());
    Ok((feedback.capture(&wish)?, most))
}

/// What is asked for, and how many frames of it.
fn wish(words: &[String]) -> Result<(Wish, u64), String> {
    let (mut wish, mut most) = (Wish::default(), u64::MAX);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || {
            words
                .next()
                .ok_or_else(|| format!("'{word}' expects a value"))
        };
        match word.as_str() {
            "drops" => wish.drops = true,
            "sampled" => wish.sampled = true,
            "service" => wish.frontend = Some(value()?.clone()),
            "src" => {
                let value = value()?;
                let network = parse_network(value);
                let network =
                    network.ok_or_else(|| format!("'{value}' is no address or network"))?;
                wish.source = Some(network);
            }
            "count" => most = number(value()?, 1..=u64::MAX)?,
            "bytes" => wish.bytes = number(value()?, 1..=u64::from(wish.bytes))? as u16,
            _ => {
                return Err(format!(
                    "'{word}' is not one of 'drops', 'sampled', 'service', 'src', 'count', 'bytes'"
                ));
            }
        }
    }
    Ok((wish, most))
}

fn number(word: &str, allowed: std::ops::RangeInclusive<u64>) -> Result<u64, String> {
    let number = word.parse().ok().filter(|number| allowed.contains(number));
    number.ok_or_else(|| format!("'{word}' is not a number the command takes"))
}

async fn send(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    world: &World,
    mut capture: Capture,
    most: u64,
) -> io::Result<()> {
    let mut out = Vec::new();
    let program = format!("tidegate {}", world.version);
    let snap = u32::from(Wish::default().bytes);
    pcapng::begin(&mut out, &program, capture.interfaces(), snap);
    let mut left = most;
    let mut ended = false;
    while left > 0 && !ended {
        let at_once = usize::try_from(left).unwrap_or(usize::MAX).min(AT_ONCE);
        let taken = capture.drain(at_once, |frame| add(&mut out, &frame));
        left -= taken as u64;
        if !out.is_empty() {
            write(stream, &out).await?;
            out.clear();
        }
        // What was there before the program was replaced has been sent.
        ended = taken == 0
            && world
                .kernel
                .as_ref()
                .is_none_or(|kernel| capture.is_over(kernel));
        if taken < at_once && left > 0 {
            let mut byte = [0];
            tokio::select! {
                // The client ends by closing its half; it has nothing else to say.
                read = stream.read(&mut byte) => ended |= matches!(read, Ok(0) | Err(_)),
                () = sleep(PAUSE) => {}
            }
        }
    }
    let when = clock::wall().as_nanos() as u64;
    let (received, lost) = capture.counts().unwrap_or_default();
    drop(capture);
    pcapng::statistics(&mut out, 0, when, received, lost);
    write(stream, &out).await?;
    stream.shutdown().await
}

async fn write(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    // A client that does not read any more must not keep the capture from others.
    timeout(PATIENCE, stream.write_all(bytes))
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

fn add(out: &mut Vec<u8>, captured: &Captured<'_>) {
    let mut comment = captured.verdict.to_owned();
    if let Some(reason) = captured.reason {
        comment.push(' ');
        comment.push_str(reason);
    }
    if let Some(frontend) = captured.frontend {
        comment.push_str(", service ");
        comment.push_str(frontend);
    }
    let frame = pcapng::Frame {
        interface: captured.interface,
        when: captured.when,
        length: captured.length,
        bytes: captured.bytes,
        comment: &comment,
    };
    pcapng::frame(out, &frame);
}

const WORD: &str = "capture";
/// How often it is tried while there is another one.
const TRIES: u32 = 10;
/// Frames taken before they are sent.
const AT_ONCE: usize = 512;
/// How long frames are collected.
const PAUSE: Duration = Duration::from_millis(10);
/// How long a client may take to read what was sent.
const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<(Wish, u64), String> {
        wish(&asked(line).expect("the command")[1..])
    }

    #[test]
    fn words_become_a_wish() {
        let (wish, most) =
            of("capture drops service web src 192.0.2.0/24 count 5 bytes 96").unwrap();
        let wanted = Wish {
            drops: true,
            sampled: false,
            frontend: Some("web".to_owned()),
            source: Some("192.0.2.0/24".parse().unwrap()),
            bytes: 96,
        };
        assert_eq!((wish, most), (wanted, 5));
        assert_eq!(of("capture"), Ok((Wish::default(), u64::MAX)));
        assert!(of("capture count 0").unwrap_err().contains("'0'"));
        assert!(of("capture src").unwrap_err().contains("expects a value"));
        assert!(of("capture bytes 9000").is_err());
        assert!(
            of("capture everything")
                .unwrap_err()
                .contains("'everything'")
        );
        assert_eq!(asked("show xdp"), None);
    }

    #[test]
    fn comment_has_verdict_reason_and_service() {
        let mut out = Vec::new();
        add(
            &mut out,
            &Captured {
                interface: 0,
                when: 7,
                length: 60,
                bytes: &[1, 2],
                verdict: "drop",
                reason: Some("land"),
                frontend: Some("web"),
            },
        );
        let (block, _) = pcapng::read(&out).unwrap().unwrap();
        let pcapng::Block::Frame(frame) = block else {
            panic!("{block:?}")
        };
        assert_eq!(frame.comment, "drop land, service web");
    }
}
