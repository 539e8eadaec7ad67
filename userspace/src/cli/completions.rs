//! `tidegate completions SHELL`: what a shell may offer after `tidegate`.
//!
//! Input is the tables of flags and subcommands; output is a script for bash, zsh or fish. Values are completed as files.

use std::fmt::Write as _;

use clap::ValueEnum;

use super::{flags, subcommands};

/// A shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU bash.
    Bash,
    /// Z shell.
    Zsh,
    /// fish.
    Fish,
}

/// The script for a shell.
pub(super) fn script(shell: Shell) -> String {
    let flags: Vec<(&str, &str)> = flags::listed()
        .filter(|(_, _, doc)| !doc.is_empty())
        .map(|(name, _, doc)| (name, doc))
        .collect();
    let commands = subcommands::listed();
    let mut words: Vec<&str> = commands.iter().map(|(name, _)| name.as_str()).collect();
    words.extend(flags.iter().map(|(name, _)| *name));
    match shell {
        Shell::Bash => bash(&words),
        Shell::Zsh => zsh(&flags, &commands),
        Shell::Fish => fish(&flags, &commands),
    }
}

fn bash(words: &[&str]) -> String {
    format!(
        "_tidegate() {{\n    local word=${{COMP_WORDS[COMP_CWORD]}}\n    if [[ $word == -* || $COMP_CWORD -eq 1 ]]; then\n        \
         COMPREPLY=($(compgen -W '{}' -- \"$word\"))\n    else\n        COMPREPLY=($(compgen -f -- \"$word\"))\n    fi\n}}\n\
         complete -o filenames -F _tidegate tidegate\n",
        words.join(" ")
    )
}

fn zsh(flags: &[(&str, &str)], commands: &[(String, String)]) -> String {
    let mut text = String::from("#compdef tidegate\nlocal -a words\nwords=(\n");
    let quoted = |text: &str| text.replace('\'', "'\\''").replace(':', "\\:");
    let commands = commands
        .iter()
        .map(|(name, doc)| (name.as_str(), doc.as_str()));
    for (name, doc) in commands.chain(flags.iter().copied()) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "    '{}:{}'", quoted(name), quoted(doc));
    }
    text.push_str(")\n_describe tidegate words || _files\n");
    text
}

fn fish(flags: &[(&str, &str)], commands: &[(String, String)]) -> String {
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('\'', "\\'");
    let mut text = String::new();
    for (name, doc) in commands {
        let _ = writeln!(
            text,
            "complete -c tidegate -n __fish_use_subcommand -a {name} -d '{}'",
            quoted(doc)
        );
    }
    for (name, doc) in flags {
        let _ = writeln!(
            text,
            "complete -c tidegate -o {} -d '{}'",
            name.trim_start_matches('-'),
            quoted(doc)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_is_offered_flags_and_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = script(shell);
            assert!(
                script.contains("explain") && script.contains("vv"),
                "{script}"
            );
            assert!(!script.contains("-dL"), "refused flags are not offered");
        }
    }

    #[test]
    fn the_script_is_one_bash_can_read() {
        let read = std::process::Command::new("bash")
            .args(["-n", "-c", &script(Shell::Bash)])
            .status();
        // A machine without bash has no use for it either.
        assert!(read.is_err() || read.is_ok_and(|status| status.success()));
    }
}
