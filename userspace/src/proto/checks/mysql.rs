//! MySQL: the server's greeting, and a login without password where a user is given.

use super::{Step, Verdict};

/// Which generation of clients is played (manual §4.2 `option mysql-check`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MysqlClient {
    /// `pre-41`
    Before41,
    /// `post-41`
    #[default]
    Since41,
    /// `post-80`: names the `mysql_native_password` plugin.
    Since80,
}

pub(super) fn step(stage: u8, user: Option<&(String, MysqlClient)>, received: &[u8]) -> Step {
    let (sequence, payload) = match packet(received) {
        Some(packet) => packet,
        None => return Step::Receive,
    };
    match (payload.first(), stage, user) {
        (Some(0xff), ..) => refused(payload),
        (Some(10), 0, None) => Step::Done(passed()),
        (Some(10), 0, Some((user, client))) => {
            Step::Send(framed(sequence.wrapping_add(1), &login(user, *client)))
        }
        // The server prefers another authentication plugin: for an empty password all answer with nothing.
        (Some(0xfe), 1, Some(_)) => Step::Send(framed(sequence.wrapping_add(1), &[])),
        (Some(0), 1.., Some(_)) => Step::Leave(framed(0, &[COM_QUIT]), passed()),
        _ => Step::Done(Verdict::Invalid {
            text: "MySQL server sent something else than a greeting".to_owned(),
        }),
    }
}

fn passed() -> Verdict {
    Verdict::Passed {
        code: 0,
        text: "MySQL server is ok".to_owned(),
    }
}

/// An error packet: a number, and a message behind an optional `#` and five characters of state.
fn refused(payload: &[u8]) -> Step {
    let code = match payload.get(1..3) {
        Some([low, high]) => u16::from_le_bytes([*low, *high]),
        _ => 0,
    };
    let message = match payload.get(3..).unwrap_or_default() {
        [b'#', rest @ ..] => rest.get(5..).unwrap_or_default(),
        message => message,
    };
    let text = String::from_utf8_lossy(message).into_owned();
    Step::Done(Verdict::Refused { code, text })
}

/// The first whole packet: its sequence number and payload.
fn packet(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let [a, b, c, sequence, rest @ ..] = bytes else {
        return None;
    };
    let length = u32::from_le_bytes([*a, *b, *c, 0]) as usize;
    Some((*sequence, rest.get(..length)?))
}

fn framed(sequence: u8, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_le_bytes();
    let mut packet = vec![length[0], length[1], length[2], sequence];
    packet.extend_from_slice(payload);
    packet
}

/// A login with an empty password.
fn login(user: &str, client: MysqlClient) -> Vec<u8> {
    let user = user.as_bytes();
    if client == MysqlClient::Before41 {
        let flags = (LONG_PASSWORD as u16).to_le_bytes();
        return [&flags[..], &[0, 0, 1], user, &[0, 0]].concat();
    }
    let plugin = client == MysqlClient::Since80;
    let flags =
        LONG_PASSWORD | PROTOCOL_41 | SECURE_CONNECTION | if plugin { PLUGIN_AUTH } else { 0 };
    let mut payload = flags.to_le_bytes().to_vec();
    payload.extend_from_slice(&MOST_PACKET.to_le_bytes());
    payload.push(UTF8);
    payload.extend_from_slice(&[0; 23]);
    payload.extend_from_slice(user);
    payload.extend_from_slice(&[0, 0]);
    if plugin {
        payload.extend_from_slice(b"mysql_native_password\0");
    }
    payload
}

const LONG_PASSWORD: u32 = 0x1;
const PROTOCOL_41: u32 = 0x200;
const SECURE_CONNECTION: u32 = 0x8000;
const PLUGIN_AUTH: u32 = 0x8_0000;
const MOST_PACKET: u32 = 1 << 24;
const UTF8: u8 = 33;
const COM_QUIT: u8 = 1;
