//! `option ssl-hello-chk`: the client hello of SSLv3 that is sent, and what counts as an answer (manual §4.2).

use crate::expr::{Case, compile_regex};
use crate::lang::keywords::expressions::literal;
use crate::model::{CheckStep, Expect, ExpectMatch};

/// The two steps of the check. A server that only speaks newer versions answers with an alert: it speaks TLS all the same.
pub(super) fn steps() -> Vec<CheckStep> {
    let regex = compile_regex("^(15|16)", Case::Sensitive).expect("a constant expression");
    vec![
        CheckStep::Send(client_hello()),
        CheckStep::Expect(Expect {
            negated: false,
            matching: ExpectMatch::Regex {
                regex,
                binary: true,
            },
            min_recv: Some(5),
            ok_status: Some("L6OK"),
            error_status: Some("L6RSP"),
            timeout_status: Some("L6TOUT"),
            on_success: Some(literal("")),
            on_error: Some(literal("")),
            status_code: None,
            comment: None,
        }),
    ]
}

/// A record with one handshake message (RFC 6101 §5.2, §5.6.1.2).
fn client_hello() -> Vec<u8> {
    let mut body = VERSION.to_vec();
    body.extend_from_slice(RANDOM);
    body.push(0);
    let suites: Vec<u8> = SUITES
        .iter()
        .flat_map(|suite| suite.to_be_bytes())
        .collect();
    body.extend_from_slice(&(suites.len() as u16).to_be_bytes());
    body.extend_from_slice(&suites);
    // One compression method: none.
    body.extend_from_slice(&[1, 0]);
    let mut record = vec![HANDSHAKE];
    record.extend_from_slice(&VERSION);
    record.extend_from_slice(&(body.len() as u16 + 4).to_be_bytes());
    record.push(CLIENT_HELLO);
    record.extend_from_slice(&(body.len() as u32).to_be_bytes()[1..]);
    record.extend_from_slice(&body);
    record
}

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const VERSION: [u8; 2] = [3, 0];
/// Nothing is encrypted with it.
const RANDOM: &[u8; 32] = b"tidegate checks whether you talk";
/// RSA, DHE and anonymous suites with every cipher of SSLv3, and AES.
const SUITES: [u16; 12] = [
    0x0004, 0x0005, 0x0009, 0x000a, 0x0013, 0x0016, 0x002f, 0x0032, 0x0033, 0x0035, 0x0038, 0x0039,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lengths_of_the_hello_are_right() {
        let hello = client_hello();
        let record = usize::from(u16::from_be_bytes([hello[3], hello[4]]));
        assert_eq!(hello.len(), 5 + record);
        let message = u32::from_be_bytes([0, hello[6], hello[7], hello[8]]) as usize;
        assert_eq!(record, 4 + message);
        assert_eq!(message, 2 + 32 + 1 + 2 + 2 * SUITES.len() + 2);
    }
}
