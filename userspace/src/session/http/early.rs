//! What a rule set does before the answer: early hints (RFC 8297), pauses (manual §4.4 `early-hint`, `pause`).

use super::edits;
use super::errors::Failure;
use super::front::Stays;
use super::stream::HttpStream;
use crate::expr::{Expression, LogFormat, Sample, SampleType};
use crate::proto::http::{Head, Version};
use crate::types::Millis;

impl HttpStream<'_, '_> {
    /// Adds a field to the 103 response that neighbouring `early-hint` rules make together.
    pub(super) fn hint(&self, hints: &mut Option<Head>, name: &str, value: &LogFormat) {
        let mut text = Vec::new();
        value.render(&self.view(), &mut text);
        if !edits::is_field_value(&text) {
            return;
        }
        let head = hints.get_or_insert_with(|| {
            let mut head = Head::default();
            head.start_response(103, b"Early Hints", Version::Http11);
            head
        });
        head.add(name.as_bytes(), &text);
    }

    /// Sends it, if there is one.
    pub(super) async fn send_early_hints(
        &mut self,
        hints: &mut Option<Head>,
    ) -> Result<(), Failure> {
        let Some(head) = hints.take() else {
            return Ok(());
        };
        let other = std::mem::replace(&mut self.messages.response, head);
        let sent = self.interim().await;
        self.messages.response = other;
        sent
    }

    /// Holds the message for as many milliseconds as a sample says; a client that leaves ends it.
    pub(super) async fn pause(&mut self, time: &Expression) -> Result<(), Failure> {
        let time = match time
            .eval(&self.view())
            .and_then(|sample| sample.cast(SampleType::Int))
        {
            Some(Sample::Int(time)) => u64::try_from(time).ok(),
            _ => None,
        };
        let Some(time) = time else { return Ok(()) };
        let held = tokio::time::sleep(Millis(time).duration());
        self.front.attend(Stays::Yes, None, held).await
    }
}
