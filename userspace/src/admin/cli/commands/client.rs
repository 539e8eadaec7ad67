//! Commands about the connection itself: rights, prompt, pauses.

use std::time::Duration;

use super::members::Condition;
use super::{Answer, Call, Command};
use crate::admin::cli::{Mode, SeverityOutput, registry};
use crate::model::Level;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        words: &["help"],
        usage: "help [<command>]",
        doc: "list matching or all commands",
        level: Level::User,
        run: |call| Answer::Output(registry::help(call.words, call.session.level)),
    },
    Command {
        words: &["prompt"],
        usage: "prompt [help | n | i | p | timed]*",
        doc: "toggle interactive mode with prompt",
        level: Level::User,
        run: prompt,
    },
    Command {
        words: &["quit"],
        usage: "quit",
        doc: "disconnect",
        level: Level::User,
        run: |_| Answer::Quit,
    },
    Command {
        words: &["echo"],
        usage: "echo <text>",
        doc: "print text",
        level: Level::User,
        run: |call| Answer::Output(call.words.join(" ")),
    },
    Command {
        words: &["wait"],
        usage: "wait <delay> [<cond>]",
        doc: "wait before the line's next command, or until a condition holds; ms unless a unit is given",
        level: Level::User,
        run: wait,
    },
    Command {
        words: &["user"],
        usage: "user",
        doc: "lower the level of the current CLI session to user",
        level: Level::User,
        run: |call| lower(call, Level::User),
    },
    Command {
        words: &["operator"],
        usage: "operator",
        doc: "lower the level of the current CLI session to operator",
        level: Level::Operator,
        run: |call| lower(call, Level::Operator),
    },
    Command {
        words: &["expert-mode"],
        usage: "expert-mode [on|off]",
        doc: "whether commands for experts are allowed",
        level: Level::Admin,
        run: |call| switch(call, "Expert mode", |session| &mut session.expert),
    },
    Command {
        words: &["experimental-mode"],
        usage: "experimental-mode [on|off]",
        doc: "whether experimental commands are allowed",
        level: Level::Admin,
        run: |call| {
            switch(call, "Experimental mode", |session| {
                &mut session.experimental
            })
        },
    },
    Command {
        words: &["set", "severity-output"],
        usage: "set severity-output [none|number|string]",
        doc: "set presence of severity level in feedback information",
        level: Level::User,
        run: severity_output,
    },
    Command {
        words: &["set", "timeout"],
        usage: "set timeout [cli] <delay>",
        doc: "change a timeout setting",
        level: Level::User,
        run: timeout,
    },
    Command {
        words: &["show", "cli", "level"],
        usage: "show cli level",
        doc: "display the level of the current CLI session",
        level: Level::User,
        run: |call| Answer::Output(level_name(call.session.level).to_owned()),
    },
    Command {
        words: &["show", "cli", "sockets"],
        usage: "show cli sockets",
        doc: "dump list of cli sockets",
        level: Level::Operator,
        run: sockets,
    },
];

fn prompt(call: &mut Call<'_>) -> Answer {
    if call.words.is_empty() {
        call.session.mode = match call.session.mode {
            Mode::Prompt => Mode::OneLine,
            Mode::OneLine | Mode::Interactive => Mode::Prompt,
        };
    }
    for word in call.words {
        match word.as_str() {
            "n" => call.session.mode = Mode::OneLine,
            "i" => call.session.mode = Mode::Interactive,
            "p" => call.session.mode = Mode::Prompt,
            "timed" => {
                call.session.timed = !call.session.timed;
                call.session.mode = Mode::Prompt;
            }
            _ => {
                return Answer::info(
                    "usage: prompt [help | n | i | p | timed]*\n\
                     \x20 n: non-interactive, i: interactive, p: interactive with prompt, timed: show the time",
                );
            }
        }
    }
    Answer::Done
}

fn wait(call: &mut Call<'_>) -> Answer {
    if call.words.is_empty() || call.words.iter().take(2).any(|word| word == "-h") {
        return Answer::info(
            "usage: wait <delay> [srv-removable <bk>/<srv>], in milliseconds or with a unit (us, ms, s, m, h, d)",
        );
    }
    let Some(time) = duration(call.word(0), 1_000) else {
        return Answer::error("Invalid delay.");
    };
    match call.words.get(1..).filter(|words| !words.is_empty()) {
        None => Answer::Pause(time, None),
        Some(words) => match Condition::of(words) {
            Ok(condition) => Answer::Pause(time, Some(condition)),
            Err(reason) => Answer::error(reason),
        },
    }
}

fn lower(call: &mut Call<'_>, level: Level) -> Answer {
    call.session.level = level;
    call.session.expert = false;
    call.session.experimental = false;
    Answer::Done
}

fn switch(
    call: &mut Call<'_>,
    what: &str,
    flag: fn(&mut crate::admin::cli::Session) -> &mut bool,
) -> Answer {
    let flag = flag(call.session);
    match call.words.first().map(String::as_str) {
        None => {
            let state = if *flag { "ON" } else { "OFF" };
            return Answer::Output(format!("{what} is {state}"));
        }
        Some("on") => *flag = true,
        Some("off") => *flag = false,
        Some(_) => return Answer::error("'on' or 'off' expected."),
    }
    Answer::Done
}

fn severity_output(call: &mut Call<'_>) -> Answer {
    call.session.severities = match call.word(0) {
        "none" => SeverityOutput::None,
        "number" => SeverityOutput::Number,
        "string" => SeverityOutput::Word,
        _ => {
            return Answer::error("one of 'none', 'number', 'string' is a required argument\n");
        }
    };
    Answer::Done
}

fn timeout(call: &mut Call<'_>) -> Answer {
    if call.word(0) != "cli" {
        return Answer::error("'set timeout' only supports 'cli'.");
    }
    match duration(call.word(1), 1_000_000).filter(|time| !time.is_zero()) {
        Some(time) => {
            call.session.timeout = time;
            Answer::Done
        }
        None => Answer::error("Invalid timeout value."),
    }
}

fn sockets(call: &mut Call<'_>) -> Answer {
    let mut text = String::from("# socket lvl processes\n");
    for (address, level) in &call.world.sockets {
        text.push_str(&format!("{address} {} all\n", level_name(*level)));
    }
    Answer::Output(text)
}

const fn level_name(level: Level) -> &'static str {
    match level {
        Level::User => "user",
        Level::Operator => "operator",
        Level::Admin => "admin",
    }
}

/// A time with an optional unit; `default` is the length of the unit in microseconds when there is none.
fn duration(word: &str, default: u64) -> Option<Duration> {
    let digits = word.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = word.split_at(digits);
    let unit = match unit {
        "" => default,
        "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        _ => return None,
    };
    let micros = number.parse::<u64>().ok()?.checked_mul(unit)?;
    Some(Duration::from_micros(micros)).filter(|time| *time <= LONGEST)
}

/// HAProxy's timers end there: a little over 24 days (manual §2.5).
const LONGEST: Duration = Duration::from_millis(i32::MAX as u64);
