//! HAProxy's test language as Debian's `varnishtest` understands it.
//!
//! Input is the text of a `.vtc` file and a way to read others; output is one text without `include` in which the
//! test's directory is spelled out, because the text is run from elsewhere. Nothing else of the language is touched.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// Translates a test that lies in `directory`.
pub(super) fn translate(
    text: &str,
    directory: &Path,
    read: &dyn Fn(&Path) -> Result<String>,
) -> Result<String> {
    let directory_text = directory
        .to_str()
        .context("the suite's path is not UTF-8")?;
    let mut script = String::with_capacity(text.len());
    append(text, directory_text, read, DEPTH, &mut script)?;
    Ok(script)
}

fn append(
    text: &str,
    directory: &str,
    read: &dyn Fn(&Path) -> Result<String>,
    depth: usize,
    script: &mut String,
) -> Result<()> {
    for line in text.lines() {
        let line = line.replace("${testdir}", directory);
        let mut words = line.split_whitespace();
        match words.next() {
            Some("include") => {
                let included = PathBuf::from(words.next().context("`include` names no file")?);
                ensure!(depth > 0, "{} is included too deep", included.display());
                append(&read(&included)?, directory, read, depth - 1, script)?;
            }
            // The form of `-W` that tells a service manager; varnishtest knows the plain one.
            Some("haproxy") => script.push_str(&master_worker(&line)),
            _ => script.push_str(&line),
        }
        script.push('\n');
    }
    Ok(())
}

fn master_worker(line: &str) -> String {
    line.split(' ')
        .map(|word| if word == "-Ws" { "-W" } else { word })
        .collect::<Vec<_>>()
        .join(" ")
}

/// Deeper than any test includes, and an end for those that include themselves.
const DEPTH: usize = 8;

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    fn translated(text: &str) -> Result<String> {
        translate(text, Path::new("/suite/ssl"), &|path| match path.to_str() {
            Some("/suite/ssl/../common.vtci") => Ok("shell { ls ${testdir} }\n".to_owned()),
            Some("/suite/ssl/itself.vtci") => Ok("include ${testdir}/itself.vtci\n".to_owned()),
            _ => bail!("{} was not expected", path.display()),
        })
    }

    #[test]
    fn includes_are_inlined_with_the_directory_of_the_test() {
        let script = translated("setenv A b\ninclude ${testdir}/../common.vtci\n").expect("known");
        assert_eq!(script, "setenv A b\nshell { ls /suite/ssl }\n\n");
    }

    #[test]
    fn only_the_flag_of_a_haproxy_line_is_changed() {
        let script = translated("haproxy h1 -Ws -S -conf {\n  # -Ws\n  include-me\n}\n");
        assert_eq!(
            script.expect("valid"),
            "haproxy h1 -W -S -conf {\n  # -Ws\n  include-me\n}\n"
        );
    }

    #[test]
    fn endless_and_nameless_includes_are_errors() {
        translated("include ${testdir}/itself.vtci\n").expect_err("it includes itself");
        translated("include\n").expect_err("it includes nothing");
        translated("include /missing\n").expect_err("it is not there");
    }
}
