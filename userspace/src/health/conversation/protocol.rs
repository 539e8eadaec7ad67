//! The dialogues of `option smtpchk` and its kin: bytes moved for [`crate::proto::checks`].

use super::{Place, Runner};
use crate::model::CheckConnect;
use crate::proto::checks::{Dialogue, Protocol, Step, Verdict};
use crate::state::{CheckReport, CheckStatus};

impl Runner<'_> {
    /// Holds a protocol's dialogue to its end.
    pub(super) async fn converse(&mut self, protocol: &Protocol) -> CheckReport {
        if let Err(report) = self.connect(&CheckConnect::default(), Place::Plain).await {
            return report;
        }
        let mut dialogue = Dialogue::new(protocol);
        loop {
            let full = self.received.len() >= self.most();
            match dialogue.step(&self.received, self.closed || full) {
                Step::Send(bytes) => {
                    if let Err(report) = self.send(&bytes).await {
                        // A dialogue has no numbered steps.
                        return CheckReport {
                            text: String::new(),
                            ..report
                        };
                    }
                }
                Step::Receive => {
                    if self.read().await.is_err() {
                        let status = CheckStatus::L7Timeout;
                        return CheckReport {
                            status,
                            ..CheckReport::default()
                        };
                    }
                }
                Step::Done(verdict) => return report(verdict),
                Step::Leave(bytes, verdict) => {
                    let _said_goodbye = self.send(&bytes).await;
                    self.linger = true;
                    return report(verdict);
                }
            }
        }
    }
}

/// The report of a dialogue that is over.
fn report(verdict: Verdict) -> CheckReport {
    let (status, code, text) = match verdict {
        Verdict::Passed { code, text } => (CheckStatus::L7Ok, Some(code), text),
        Verdict::Refused { code, text } => (CheckStatus::L7Status, Some(code), text),
        Verdict::Invalid { text } => (CheckStatus::L7Response, None, text),
    };
    CheckReport {
        status,
        code,
        text,
        duration: None,
    }
}
