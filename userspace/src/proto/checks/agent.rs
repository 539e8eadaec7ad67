//! What an agent says (manual §5.2 `agent-check`).
//!
//! One line comes in: words between spaces, tabs and commas. What it asks for goes out; words that mean nothing are reported
//! as such, the others still count.

/// What one line asks for. A part the agent did not mention is not to be changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentReport {
    /// The server's weight.
    pub weight: Option<AgentWeight>,
    /// The server's `maxconn`.
    pub maxconn: Option<u32>,
    /// The administrative mode.
    pub mode: Option<AgentMode>,
    /// The operating side.
    pub side: Option<AgentSide>,
    /// Some word was not understood.
    pub unknown: bool,
    /// For people: the word about the side and its description, or the words not understood.
    pub words: String,
}

/// A weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentWeight {
    /// 0 to 256.
    Absolute(u16),
    /// Percent of the configured weight.
    Percent(u32),
}

/// An administrative mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentMode {
    /// `ready`
    Ready,
    /// `drain`
    Drain,
    /// `maint`
    Maintenance,
}

/// A side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentSide {
    /// `up`
    Up,
    /// `down`, `fail` or `stopped`
    Down,
}

/// Understands an agent's answer: its first line. When two words contradict each other, the later one counts.
pub fn parse(answer: &[u8]) -> AgentReport {
    let line = answer
        .split(|byte| matches!(byte, b'\r' | b'\n'))
        .next()
        .unwrap_or_default();
    let text = String::from_utf8_lossy(line);
    let (words, description) = match text.split_once('#') {
        Some((words, description)) => (words, Some(description.trim())),
        None => (&*text, None),
    };
    let mut report = AgentReport::default();
    let mut unknown = Vec::new();
    for word in words
        .split([' ', '\t', ','])
        .filter(|word| !word.is_empty())
    {
        if !report.obey(word) {
            unknown.push(word);
        }
    }
    report.unknown = !unknown.is_empty();
    if report.side.is_none() {
        report.words = unknown.join(" ");
    }
    if let Some(description) = description.filter(|text| !text.is_empty()) {
        report.words = format!("{} ({description})", report.words)
            .trim_start()
            .to_owned();
    }
    report
}

impl AgentReport {
    /// Takes one word; false when it means nothing.
    fn obey(&mut self, word: &str) -> bool {
        match word {
            "ready" => self.mode = Some(AgentMode::Ready),
            "drain" => self.mode = Some(AgentMode::Drain),
            "maint" => self.mode = Some(AgentMode::Maintenance),
            "up" | "down" | "fail" | "stopped" => {
                self.side = Some(if word == "up" {
                    AgentSide::Up
                } else {
                    AgentSide::Down
                });
                word.clone_into(&mut self.words);
            }
            _ => return self.set_number(word),
        }
        true
    }

    fn set_number(&mut self, word: &str) -> bool {
        if let Some(limit) = word.strip_prefix("maxconn:") {
            let limit = number(limit);
            self.maxconn = limit.or(self.maxconn);
            return limit.is_some();
        }
        let weight = match (word.strip_prefix("weight:"), word.strip_suffix('%')) {
            (Some(weight), _) => match weight.strip_suffix('%') {
                Some(percent) => number(percent).map(AgentWeight::Percent),
                None => number(weight)
                    .filter(|weight| *weight <= 256)
                    .map(|weight| AgentWeight::Absolute(weight as u16)),
            },
            (None, Some(percent)) => number(percent).map(AgentWeight::Percent),
            (None, None) => None,
        };
        self.weight = weight.or(self.weight);
        weight.is_some()
    }
}

fn number(digits: &str) -> Option<u32> {
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| digits.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_come_in_any_order_and_number() {
        let report = parse(b"ready,75%\tup maxconn:30\r\nignored");
        assert_eq!(
            report,
            AgentReport {
                weight: Some(AgentWeight::Percent(75)),
                maxconn: Some(30),
                mode: Some(AgentMode::Ready),
                side: Some(AgentSide::Up),
                unknown: false,
                words: "up".to_owned(),
            }
        );
    }

    #[test]
    fn each_word_is_understood() {
        let cases = [
            ("weight:10", Some(AgentWeight::Absolute(10)), None, None),
            ("weight:50%", Some(AgentWeight::Percent(50)), None, None),
            ("drain", None, Some(AgentMode::Drain), None),
            ("maint", None, Some(AgentMode::Maintenance), None),
            ("stopped", None, None, Some(AgentSide::Down)),
            ("fail", None, None, Some(AgentSide::Down)),
        ];
        for (line, weight, mode, side) in cases {
            let report = parse(line.as_bytes());
            assert_eq!(
                (report.weight, report.mode, report.side),
                (weight, mode, side),
                "{line}"
            );
            assert!(!report.unknown, "{line}");
        }
    }

    #[test]
    fn a_description_is_kept_and_nonsense_reported() {
        assert_eq!(
            parse(b"down # database gone\n").words,
            "down (database gone)"
        );
        let report = parse(b"blah weight:300 up");
        assert!(report.unknown);
        assert_eq!((report.weight, report.side), (None, Some(AgentSide::Up)));
        assert_eq!(parse(b"what is this").words, "what is this");
        assert_eq!(parse(b""), AgentReport::default());
    }

    proptest! {
        #[test]
        fn any_bytes_are_borne(answer: Vec<u8>) {
            parse(&answer);
        }
    }
}
