//! Redis: PING, answered by PONG.

use super::{Step, Verdict, first_line};

pub(super) fn step(stage: u8, received: &[u8], closed: bool) -> Step {
    if stage == 0 {
        return Step::Send(b"*1\r\n$4\r\nPING\r\n".to_vec());
    }
    if received.starts_with(PONG) {
        return Step::Done(Verdict::Passed {
            code: 0,
            text: "Redis server is ok".to_owned(),
        });
    }
    if PONG.starts_with(received) && !closed {
        return Step::Receive;
    }
    Step::Done(Verdict::Refused {
        code: 0,
        text: first_line(received),
    })
}

const PONG: &[u8] = b"+PONG\r\n";
