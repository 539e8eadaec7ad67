//! Reads compiled conditions: which of them the client's address alone decides, and which are a connection rate.
//!
//! Input is a condition of [`crate::expr`]; output is a [`Formula`] over address sets, or a limit, or the [`Reason`] why
//! neither has the same meaning. Rules and their order are [`super::connection`]'s business.

use std::sync::Arc;

use super::report::Reason;
use crate::dataplane::source_rules::{Formula, Question, Term};
use crate::expr::{
    Acl, Arg, Condition, Expression, IntRange, Match, Networks, Operand, PatternSet, Polarity, Test,
};

/// The address sets that the formulas of one frontend name.
#[derive(Debug, Default)]
pub(super) struct Sets(Vec<Vec<Arc<PatternSet>>>);

/// Which counter a rate is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Counter {
    /// The entry that `track-sc<N>` tracks.
    Tracked(u8),
    /// The entry of the client's address in this table; none is the proxy's own.
    Source(Option<String>),
}

/// `reject if { sc0_conn_rate gt 100 } …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RateCondition {
    /// What is compared.
    pub counter: Counter,
    /// The largest rate that is still accepted.
    pub limit: u32,
    /// Whom the limit is for, besides.
    pub sources: Formula,
}

impl Sets {
    /// The sets, in the order of their numbers.
    pub(super) fn into_sets(self) -> Vec<Vec<Arc<PatternSet>>> {
        self.0
    }

    /// The formula with the same answer as `condition` for every client address.
    pub(super) fn formula(&mut self, condition: Option<&Condition>) -> Result<Formula, Reason> {
        let Some(condition) = condition else {
            return Ok(Formula::ALWAYS);
        };
        let any = condition
            .terms()
            .iter()
            .map(|all| self.terms(all))
            .collect::<Result<Vec<_>, _>>()?;
        let any = any.into_iter().flatten().collect();
        Ok(Formula {
            unless: condition.polarity() == Polarity::Unless,
            any,
        })
    }

    /// The limit that `condition` is, if it is one: a single list of terms, of which one is a rate and the others
    /// look at the client's address.
    pub(super) fn rate(&mut self, condition: &Condition) -> Result<RateCondition, Reason> {
        let [all] = condition.terms() else {
            return Err(Reason::Comparison("or".to_owned()));
        };
        if condition.polarity() == Polarity::Unless {
            return Err(Reason::Comparison("unless".to_owned()));
        }
        let (rates, sources): (Vec<&Operand>, Vec<&Operand>) =
            all.iter().partition(|one| is_rate(&one.acl));
        let [rate] = rates[..] else {
            return Err(Reason::Comparison("and".to_owned()));
        };
        let (counter, limit) = limit(rate)?;
        let any = self.terms(sources)?;
        Ok(RateCondition {
            counter,
            limit,
            sources: Formula { unless: false, any },
        })
    }

    /// The terms of ANDed operands, multiplied out where one is an OR of several tests.
    fn terms<'a>(
        &mut self,
        operands: impl IntoIterator<Item = &'a Operand>,
    ) -> Result<Vec<Vec<Term>>, Reason> {
        let mut lists = vec![Vec::new()];
        for operand in operands {
            let questions = operand
                .acl
                .tests()
                .iter()
                .map(|test| self.question(test))
                .collect::<Result<Vec<_>, _>>()?;
            let term = |question| Term {
                negated: operand.negated,
                question,
            };
            if operand.negated {
                // Not any of them: all of them negated.
                lists.iter_mut().for_each(|list: &mut Vec<Term>| {
                    list.extend(questions.iter().copied().map(term))
                });
            } else {
                lists = lists
                    .iter()
                    .flat_map(|list| {
                        questions.iter().map(move |question| {
                            let mut list = list.clone();
                            list.push(Term {
                                negated: false,
                                question: *question,
                            });
                            list
                        })
                    })
                    .collect();
            }
            if lists.len() > MAX_TERMS {
                return Err(Reason::Comparison("and".to_owned()));
            }
        }
        Ok(lists)
    }

    fn question(&mut self, test: &Test) -> Result<Question, Reason> {
        let expression = test.expression();
        let known = match expression.fetch_name() {
            "always_true" => Some(true),
            "always_false" => Some(false),
            _ => None,
        };
        if let (Some(answer), Match::Bool, 0) =
            (known, test.matching(), expression.converters().len())
        {
            return Ok(Question::Known(answer));
        }
        is_source(expression)?;
        if test.matching() != Match::Ip {
            return Err(Reason::Match(expression.text().to_owned()));
        }
        let are_prefixes =
            |set: &Arc<PatternSet>| set.networks().as_ref().is_some_and(Networks::are_prefixes);
        if !test.sets().iter().all(are_prefixes) {
            return Err(Reason::Match(expression.text().to_owned()));
        }
        self.0.push(test.sets().to_vec());
        Ok(Question::In(self.0.len() - 1))
    }
}

/// Whether the expression is the client's address as it is.
pub(super) fn is_source(expression: &Expression) -> Result<(), Reason> {
    if expression.fetch_name() != "src" {
        let text = expression.text().to_owned();
        let is_counter = ["sc_", "sc0_", "sc1_", "sc2_", "src_"]
            .iter()
            .any(|start| expression.fetch_name().starts_with(start));
        Err(match is_counter {
            true => Reason::Counter(text),
            false => Reason::Looks(text),
        })
    } else if expression.converters().len() > 0 {
        Err(Reason::Converts(expression.text().to_owned()))
    } else {
        Ok(())
    }
}

/// Whether evaluating the condition changes something, such as `sc_inc_gpc0`.
pub(super) fn has_effects(condition: &Condition) -> bool {
    let fetches = condition
        .acls()
        .flat_map(|acl| acl.tests())
        .map(|test| test.expression().fetch_name());
    fetches
        .into_iter()
        .any(|name| EFFECTS.iter().any(|word| name.contains(word)))
}

fn is_rate(acl: &Acl) -> bool {
    matches!(acl.tests(), [test] if counter(test.expression()).is_some())
}

/// The counter of `sc0_conn_rate`, `sc_conn_rate(0)` or `src_conn_rate`.
fn counter(expression: &Expression) -> Option<Counter> {
    if expression.converters().len() > 0 {
        return None;
    }
    match (expression.fetch_name(), expression.args()) {
        ("sc0_conn_rate", []) => Some(Counter::Tracked(0)),
        ("sc1_conn_rate", []) => Some(Counter::Tracked(1)),
        ("sc2_conn_rate", []) => Some(Counter::Tracked(2)),
        ("sc_conn_rate", [slot]) => slot
            .int()
            .and_then(|slot| u8::try_from(slot).ok())
            .map(Counter::Tracked),
        ("src_conn_rate", args) => Some(Counter::Source(
            args.first().and_then(Arg::text).map(str::to_owned),
        )),
        _ => None,
    }
}

/// The largest number that a test such as `gt 100` does not match, if it matches all above and none below.
fn limit(operand: &Operand) -> Result<(Counter, u32), Reason> {
    let wrong = |what: &str| Reason::Comparison(what.to_owned());
    let [test] = operand.acl.tests() else {
        return Err(wrong("or"));
    };
    let counter = counter(test.expression()).ok_or_else(|| wrong(test.expression().text()))?;
    let [set] = test.sets() else {
        return Err(wrong(test.expression().text()));
    };
    let ranges = set
        .ranges()
        .ok_or_else(|| wrong(test.expression().text()))?;
    match (operand.negated, &ranges[..]) {
        (
            false,
            [
                IntRange {
                    low,
                    high: i64::MAX,
                },
            ],
        ) if test.matching() == Match::Int => {
            // A rate is never negative, and "more than -1" is always.
            let limit = u32::try_from(low - 1).map_err(|_| wrong(test.expression().text()))?;
            Ok((counter, limit))
        }
        _ => Err(wrong(test.expression().text())),
    }
}

/// Parts of the names of fetches that change what they read.
const EFFECTS: [&str; 4] = ["_inc_", "_clr_", "_updt_", "_add_"];

/// Lists of terms a condition may be multiplied out to.
const MAX_TERMS: usize = 64;
