//! `show events`: what is in the rings.

use std::sync::Arc;

use super::{Answer, Call, Command};
use crate::admin::cli::Follow;
use crate::model::Level;

pub(super) const COMMANDS: &[Command] = &[Command {
    words: &["show", "events"],
    usage: "show events [<sink> [-w] [-n] [-0]]",
    doc: "show events in a ring, and wait for new ones",
    level: Level::Operator,
    run: events,
}];

fn events(call: &mut Call<'_>) -> Answer {
    let rings = call.served.logs.rings();
    let name = call.word(0);
    if name.is_empty() {
        let mut text = String::from(
            "Supported events sinks are listed below. Add -0, -w, -n after any of them.\n",
        );
        for ring in rings {
            let (name, description) = (ring.name(), ring.description());
            text.push_str(&format!(
                "    {name:<10} : type=buffer, 0 dropped, {description}\n"
            ));
        }
        return Answer::Output(text);
    }
    let Some(ring) = rings.iter().find(|ring| ring.name() == name) else {
        return Answer::error("No such event sink");
    };
    let (mut waits, mut from_end, mut delimiter) = (false, false, '\n');
    for word in &call.words[1..] {
        match word.as_str() {
            "-w" => waits = true,
            "-n" => from_end = true,
            "-wn" | "-nw" => (waits, from_end) = (true, true),
            "-0" => delimiter = '\0',
            _ => return Answer::error("unknown option: expected -w, -n, -nw or -0"),
        }
    }
    let mut follow = Follow {
        ring: Arc::clone(ring),
        seen: 0,
        delimiter,
    };
    let text = follow.news();
    let text = if from_end { String::new() } else { text };
    if waits {
        Answer::Follow(text, follow)
    } else {
        Answer::Output(text)
    }
}
