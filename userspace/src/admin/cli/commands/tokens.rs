//! Commands about the certificates that tokens are verified and decrypted with (management.txt `show ssl jwt`).

use super::{Answer, Call, Command};
use crate::model::Level;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        words: &["show", "ssl", "jwt"],
        usage: "show ssl jwt",
        doc: "show the certificates for tokens",
        level: Level::Admin,
        run: |call| {
            let mut text = String::from("#filename\n");
            for (name, usable) in call.running().model.patterns.keys().certificates() {
                if usable {
                    text.push_str(&name);
                    text.push('\n');
                }
            }
            Answer::Output(text)
        },
    },
    Command {
        words: &["add", "ssl", "jwt"],
        usage: "add ssl jwt <certfile>",
        doc: "use a certificate for tokens",
        level: Level::Admin,
        run: |call| Answer::of(set(call, true)),
    },
    Command {
        words: &["del", "ssl", "jwt"],
        usage: "del ssl jwt <certfile>",
        doc: "use a certificate no more for tokens",
        level: Level::Admin,
        run: |call| Answer::of(set(call, false)),
    },
];

fn set(call: &Call<'_>, usable: bool) -> Result<(), String> {
    let name = call.word(0);
    if name.is_empty() {
        return Err("a certificate's file name is expected".to_owned());
    }
    let keys = call.running().model.patterns.keys();
    if keys.set_usable(name, usable) {
        return Ok(());
    }
    let unknown = || format!("certificate '{name}' does not exist!");
    let contexts = call.world.tls.load_full().ok_or_else(unknown)?;
    if !usable {
        return Err(unknown());
    }
    let pem = contexts.certificate(name).ok_or_else(unknown)?;
    keys.define(name, &pem, None, true)
}
