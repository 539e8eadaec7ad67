//! Rule lists of `tcp-request` and `tcp-response`: which rule applies first, and what it decides.
//!
//! A list is walked in order on one [`SessionView`]. Content rules are walked again whenever more bytes came; actions that
//! would then accumulate are performed once. What a verdict means for the sockets is the caller's business.

use smallvec::SmallVec;

use super::actions::{self, Performed};
use super::view::SessionView;
use crate::expr::{Condition, Direction, Fetched, Needs, Outcome, Sample, SampleType, View};
use crate::model::{CommonAction, TcpAction, TcpRule};

/// What a list of rules decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Go on: a rule accepted, or none decided.
    Accept,
    /// Close the client's connection.
    Reject,
    /// Let the client's connection vanish.
    SilentDrop,
    /// Close the server's connection.
    Close,
    /// Go on as HTTP.
    SwitchModeHttp,
    /// A rule cannot be decided before more bytes come.
    Wait,
    /// The rule of that place in the list asks name servers: see [`super::resolve`]. [`Walk::done`] lets the walk go on.
    Resolve(usize),
}

/// One walk, or several, over a list.
#[derive(Default)]
pub(super) struct Walk {
    /// Whether `expect-proxy` applied.
    pub(super) expects_proxy: bool,
    /// Whether `expect-netscaler-cip` applied.
    pub(super) expects_netscaler: bool,
    performed: SmallVec<[usize; 4]>,
}

impl Walk {
    /// Walks the list.
    pub(super) fn over(&mut self, rules: &[TcpRule], view: &SessionView<'_>) -> Verdict {
        for (index, rule) in rules.iter().enumerate() {
            match applies(rule.condition.as_ref(), view) {
                Outcome::Mismatch => continue,
                Outcome::Undecided => return Verdict::Wait,
                Outcome::Match => {}
            }
            let is_final = matches!(
                rule.action,
                TcpAction::Accept
                    | TcpAction::Reject
                    | TcpAction::SilentDrop
                    | TcpAction::Close
                    | TcpAction::SwitchModeHttp
            );
            if let Some(transaction) = view.transaction.filter(|_| is_final) {
                transaction.note_last_rule(&rule.place);
            }
            match &rule.action {
                TcpAction::Accept => return Verdict::Accept,
                TcpAction::Reject => return Verdict::Reject,
                TcpAction::SilentDrop => return Verdict::SilentDrop,
                TcpAction::Close => return Verdict::Close,
                TcpAction::SwitchModeHttp => return Verdict::SwitchModeHttp,
                TcpAction::ExpectProxy => self.expects_proxy = true,
                TcpAction::ExpectNetscaler => self.expects_netscaler = true,
                TcpAction::AttachServer {
                    backend,
                    server,
                    name,
                } => {
                    let name = name.as_ref().and_then(|name| name.eval(view)?.into_text());
                    view.connection.attach(backend, server, name);
                }
                TcpAction::Common(action) => {
                    if self.performed.contains(&index) {
                        continue;
                    }
                    if matches!(action, CommonAction::Resolve(_)) {
                        return Verdict::Resolve(index);
                    }
                    if actions::perform(action, view) == Performed::Wait {
                        return Verdict::Wait;
                    }
                    if actions::accumulates(action) {
                        self.performed.push(index);
                    }
                }
                TcpAction::Capture { sample, id } => match sample.fetch(view) {
                    Fetched::Wait => return Verdict::Wait,
                    Fetched::Absent => {}
                    Fetched::Value(sample) => {
                        if let Some(Sample::Str(text)) = sample.cast(SampleType::Str) {
                            view.set_capture(Direction::Request, usize::from(id.0), &text);
                        }
                    }
                },
            }
        }
        Verdict::Accept
    }
}

impl Walk {
    /// The rule of that place was performed, and is not again.
    pub(super) fn done(&mut self, index: usize) {
        self.performed.push(index);
    }
}

/// Whether any rule of a list looks at an HTTP request, so that the bytes are worth parsing.
pub(super) fn look_at_requests(rules: &[TcpRule]) -> bool {
    let http = Needs::REQUEST
        .or(Needs::REQUEST_BODY)
        .or(Needs::REQUEST_MEMORY);
    rules.iter().any(|rule| {
        let by_condition = rule
            .condition
            .as_ref()
            .is_some_and(|condition| needs(condition).meets(http));
        let by_action = match &rule.action {
            TcpAction::Common(CommonAction::Track { key, .. }) => key.needs().meets(http),
            TcpAction::Common(CommonAction::SetVariable { value, .. }) => value.needs().meets(http),
            TcpAction::Common(CommonAction::Resolve(resolution)) => {
                resolution.name.needs().meets(http)
            }
            TcpAction::Common(CommonAction::SetVariableFormat { .. }) => true,
            TcpAction::Capture { sample, .. } => sample.needs().meets(http),
            _ => false,
        };
        by_condition || by_action
    })
}

/// The sources a condition looks at.
pub(super) fn needs(condition: &Condition) -> Needs {
    condition
        .acls()
        .fold(Needs::default(), |all, acl| all.or(acl.needs()))
}

fn applies(condition: Option<&Condition>, view: &SessionView<'_>) -> Outcome {
    condition.map_or(Outcome::Match, |condition| condition.test(view))
}
