//! PostgreSQL: a startup message, answered by an authentication request or an error (protocol 3.0).

use super::{Step, Verdict};

pub(super) fn step(stage: u8, user: &str, received: &[u8]) -> Step {
    if stage == 0 {
        return Step::Send(startup(user));
    }
    let Some(kind) = received.first() else {
        return Step::Receive;
    };
    match kind {
        b'E' => error(received),
        b'R' => match received.get(..AUTHENTICATION) {
            None => Step::Receive,
            Some(_) => Step::Done(Verdict::Passed {
                code: 0,
                text: "PostgreSQL server is ok".to_owned(),
            }),
        },
        _ => Step::Done(Verdict::Refused {
            code: 0,
            text: "PostgreSQL unknown error".to_owned(),
        }),
    }
}

fn startup(user: &str) -> Vec<u8> {
    let mut body = VERSION_3.to_vec();
    body.extend_from_slice(b"user\0");
    body.extend_from_slice(user.as_bytes());
    body.extend_from_slice(b"\0\0");
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], &body].concat()
}

/// The severity and message of an ErrorResponse: fields of a letter and a text ended by a null byte.
fn error(received: &[u8]) -> Step {
    let Some([a, b, c, d]) = received.get(1..5) else {
        return Step::Receive;
    };
    let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
    if received.len() <= length && length <= LONGEST {
        return Step::Receive;
    }
    let fields = received.get(5..).unwrap_or_default();
    let field = |wanted: u8| {
        let texts = fields
            .split(|byte| *byte == 0)
            .filter_map(|field| field.split_first());
        texts
            .filter(|(letter, _)| **letter == wanted)
            .map(|(_, text)| String::from_utf8_lossy(text).into_owned())
            .next()
    };
    let severity = field(b'S').unwrap_or_else(|| "PostgreSQL unknown error".to_owned());
    let text = match field(b'M') {
        Some(message) => format!("{severity}: {message}"),
        None => severity,
    };
    Step::Done(Verdict::Invalid { text })
}

const VERSION_3: [u8; 4] = [0, 3, 0, 0];
/// Type, length and code of an authentication request.
const AUTHENTICATION: usize = 9;
const LONGEST: usize = 8192;
