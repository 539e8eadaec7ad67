//! Commands that change backends.

use super::{Answer, Call, Command};
use crate::admin::lookup;
use crate::model::Level;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        words: &["publish", "backend"],
        usage: "publish backend <backend>",
        doc: "let content switching choose a backend",
        level: Level::Operator,
        run: |call| publish(call, true),
    },
    Command {
        words: &["unpublish", "backend"],
        usage: "unpublish backend <backend>",
        doc: "keep content switching from choosing a backend",
        level: Level::Operator,
        run: |call| publish(call, false),
    },
];

fn publish(call: &Call<'_>, published: bool) -> Answer {
    let running = call.running();
    let Some(backend) = lookup::backend_of(&running.model, call.word(0)) else {
        return Answer::error("No such backend.");
    };
    if backend.disabled {
        return Answer::error("No effect on a disabled backend.");
    }
    running
        .state
        .proxy(backend.id)
        .backend
        .set_published(published);
    Answer::info(match published {
        true => "Backend published.",
        false => "Backend unpublished.",
    })
}
