//! What configurations become: settings, inheritance, names, and what is said of mistakes.

mod inheritance;
mod messages;
mod proxies;
mod resolvers;
mod robustness;

use super::*;
use crate::lang::diagnostics::Style;
use crate::lang::testing::Table;

/// An outcome, and everything said as it would be printed.
pub(super) fn load_text(text: &str) -> (Loaded, String) {
    load_in(&Table::default(), text)
}

pub(super) fn load_in(environment: &Table, text: &str) -> (Loaded, String) {
    let mut sources = Sources::default();
    sources.add("t.cfg", text);
    let loaded = load_sources(sources, environment, &Settings::default());
    let style = Style {
        pid: 1,
        color: false,
        diagnostic_mode: false,
    };
    let said = loaded.diagnostics.render(&loaded.sources, style);
    (loaded, said)
}

/// The model of a configuration nothing is said of.
pub(super) fn model(text: &str) -> Model {
    let (loaded, said) = load_text(text);
    assert_eq!(said, "");
    loaded.model.expect("nothing was said")
}

/// The model of a configuration that only lacks the settings nobody would leave out.
pub(super) fn model_of(text: &str) -> Model {
    model(&format!("{BASE}{text}"))
}

pub(super) const BASE: &str =
    "defaults\n mode http\n timeout client 1s\n timeout server 1s\n timeout connect 1s\n";
