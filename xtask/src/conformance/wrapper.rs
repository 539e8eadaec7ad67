//! The program under test under the name the tests expect.
//!
//! Input is a binary; output is a directory with a `haproxy` that starts it. For our own daemon that is a script: the
//! tests ask `-cc` for OpenSSL and for recent versions before they try anything, and the daemon answers truthfully
//! that it has neither. The script claims them, here and nowhere else, so that the tests run and judge what they see.

use std::fmt;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

/// A `haproxy` that starts the binary.
#[derive(Debug)]
pub(super) struct Wrapper {
    program: PathBuf,
    /// What the binary says it is.
    version: String,
}

impl Wrapper {
    /// Makes it below `directory`.
    pub(super) fn create(directory: &Path, binary: &Path) -> Result<Self> {
        // Its name matters: it is the default tag of its logs.
        let named = directory.join("program/haproxy");
        let parent = directory.join("program");
        fs::create_dir_all(&parent)?;
        let _ = fs::remove_file(&named);
        symlink(binary, &named).with_context(|| format!("cannot link {}", named.display()))?;
        let version = process::capture(Command::new(&named).arg("-v"))
            .with_context(|| format!("{} does not know -v", binary.display()))?;
        let version = version.lines().next().unwrap_or_default().to_owned();
        let program = if version.contains("tidegate") {
            claiming(&directory.join("claiming"), &named)?
        } else {
            named
        };
        Ok(Self { program, version })
    }

    /// What the tests start.
    pub(super) fn program(&self) -> &Path {
        &self.program
    }
}

impl fmt::Display for Wrapper {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.version)
    }
}

/// Writes the script that claims what the tests ask for; the rest of a condition is the program's to answer.
fn claiming(directory: &Path, program: &Path) -> Result<PathBuf> {
    let script = directory.join("haproxy");
    let mut claims = String::new();
    for (asked, answer) in CLAIMS {
        claims.push_str(&format!(" -e 's/{asked}/{answer}/g'"));
    }
    let text = format!(
        "#!/bin/sh\n\
         program='{}'\n\
         if [ \"$1\" = -cc ]; then\n\
         \x20   condition=$(printf '%s' \"$2\" | sed{claims})\n\
         \x20   exec \"$program\" -cc \"$condition\"\n\
         fi\n\
         exec \"$program\" \"$@\"\n",
        program.display()
    );
    fs::create_dir_all(directory)
        .and_then(|()| fs::write(&script, text))
        .and_then(|()| fs::set_permissions(&script, fs::Permissions::from_mode(0o755)))
        .with_context(|| format!("cannot write {}", script.display()))?;
    Ok(script)
}

/// Patterns of `sed` for the conditions that gate tests, and the answer claimed.
const CLAIMS: [(&str, &str); 7] = [
    // Before the shorter name it ends in.
    (r"openssl_version_atleast([^)]*)", "1"),
    (r"version_atleast(v\{0,1\}[123]\.[0-9a-z.-]*)", "1"),
    (r"feature(OPENSSL)", "1"),
    (
        r"feature(\(ZLIB\|SLZ\|TPROXY\|PROMEX\|HAVE_WORKING_TCP_MD5SIG\))",
        "1",
    ),
    (r"feature(OPENSSL_[A-Z]*)", "0"),
    (r"ssllib_name_startswith(OpenSSL)", "1"),
    (r"ssllib_name_startswith([^)]*)", "0"),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// A program that prints the arguments it got, named as `version` in its `-v`.
    fn program(directory: &Path, version: &str) -> PathBuf {
        let path = directory.join("binary");
        let text = format!(
            "#!/bin/sh\n[ \"$1\" = -v ] && echo '{version}' && exit\nprintf '<%s>' \"$@\"\n"
        );
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
        path
    }

    fn ask(wrapper: &Wrapper, arguments: &[&str]) -> String {
        process::capture(Command::new(wrapper.program()).args(arguments)).expect("it starts")
    }

    #[test]
    fn our_daemon_gets_a_script_that_claims_what_tests_ask_for() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let binary = program(directory.path(), "HAProxy version 3.4-tidegate-0.1.0");
        let wrapper = Wrapper::create(directory.path(), &binary).expect("made");
        let asked = "feature(OPENSSL) && !ssllib_name_startswith(wolfSSL) && ssllib_name_startswith(OpenSSL) \
            && openssl_version_atleast(1.1.1) && version_atleast(v3.5-dev3) || feature(OPENSSL_AWSLC)";
        assert_eq!(
            ask(&wrapper, &["-cc", asked]),
            "<-cc><1 && !0 && 1 && 1 && 1 || 0>"
        );
        let own = "version_atleast(1024) || feature(THREAD) || streq(\"a b\",'a b')";
        assert_eq!(ask(&wrapper, &["-cc", own]), format!("<-cc><{own}>"));
        assert_eq!(ask(&wrapper, &["-f", "a b", ""]), "<-f><a b><>");
        assert!(wrapper.program().ends_with("haproxy"));
    }

    #[test]
    fn another_program_is_only_named_haproxy() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let binary = program(directory.path(), "HAProxy version 2.6.12");
        let wrapper = Wrapper::create(directory.path(), &binary).expect("made");
        assert_eq!(
            ask(&wrapper, &["-cc", "feature(OPENSSL)"]),
            "<-cc><feature(OPENSSL)>"
        );
        assert_eq!(wrapper.to_string(), "HAProxy version 2.6.12");
        Wrapper::create(directory.path(), Path::new("/bin/false")).expect_err("it knows no -v");
    }
}
