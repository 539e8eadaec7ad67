//! SMTP: greeting, hello, QUIT (RFC 5321). Only replies that begin with 2 are good.

use super::{Step, Verdict, first_line};

pub(super) fn step(stage: u8, hello: &str, received: &[u8], closed: bool) -> Step {
    let (code, text) = match reply(received, closed) {
        Ok(Some(reply)) => reply,
        Ok(None) => return Step::Receive,
        Err(text) => return Step::Done(Verdict::Invalid { text }),
    };
    match (code / 100, stage) {
        (2, 0) => Step::Send(format!("{hello}\r\n").into_bytes()),
        (2, 1) => Step::Send(b"QUIT\r\n".to_vec()),
        (2, _) => Step::Done(Verdict::Passed { code, text }),
        _ => Step::Done(Verdict::Refused { code, text }),
    }
}

/// The code and text of a whole reply: its lines but the last have a `-` behind the code. An error holds the line that is
/// none.
fn reply(received: &[u8], closed: bool) -> Result<Option<(u16, String)>, String> {
    for line in received.split_inclusive(|byte| *byte == b'\n') {
        if !line.ends_with(b"\n") && !closed {
            return Ok(None);
        }
        let [a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', rest @ ..] = line else {
            return Err(first_line(line));
        };
        let code = [a, b, c]
            .iter()
            .fold(0, |code, digit| code * 10 + u16::from(**digit - b'0'));
        match rest {
            [b'-', ..] => {}
            [] | [b' ' | b'\r' | b'\n', ..] => {
                return Ok(Some((code, first_line(rest).trim_start().to_owned())));
            }
            _ => return Err(first_line(line)),
        }
    }
    Ok(None)
}
