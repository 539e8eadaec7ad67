//! `option external-check`: a program is started and its exit status is the verdict (manual §4.2 `external-check command`).

use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout_at};

use super::Runner;
use crate::model::{BindAddress, ExternalCheck, HttpProtocol, Mode, ServerAddress};
use crate::state::{CheckReport, CheckStatus};

impl Runner<'_> {
    /// Runs the program to its end, which is enforced when the check's time is up.
    pub(super) async fn start(&self, external: &ExternalCheck) -> CheckReport {
        let limit = self.check.timeout.unwrap_or(self.check.inter);
        let deadline = Instant::now() + limit.duration();
        let mut child = match self.command(external).spawn() {
            Ok(child) => child,
            Err(error) => {
                let text = format!("cannot run '{}': {error}", external.command);
                return report(CheckStatus::SocketError, None, text);
            }
        };
        match timeout_at(deadline, child.wait()).await {
            Ok(Ok(status)) => {
                let code = status.code().and_then(|code| u16::try_from(code).ok());
                let verdict = match status.success() {
                    true => CheckStatus::ProcessOk,
                    false => CheckStatus::ProcessError,
                };
                report(verdict, code, String::new())
            }
            Ok(Err(error)) => report(CheckStatus::SocketError, None, error.to_string()),
            Err(_) => {
                kill_all(&child);
                report(CheckStatus::ProcessTimeout, None, String::new())
            }
        }
    }

    fn command(&self, external: &ExternalCheck) -> Command {
        let model = &self.running.model;
        let proxy = model.proxy(self.server.proxy);
        let bind = proxy.binds.first().map(|bind| &model.bind(*bind).address);
        let (proxy_address, proxy_port) = bind.map_or_else(Default::default, listener);
        let (address, port) = match self.state.address() {
            ServerAddress::Inet { address, .. } => {
                (address.ip().to_string(), address.port().to_string())
            }
            ServerAddress::Unix(path) => (path.display().to_string(), String::new()),
            _ => Default::default(),
        };
        let protocol = match (proxy.mode, self.server.proto) {
            (Mode::Http, Some(HttpProtocol::Http2)) => "h2",
            (Mode::Http, _) => "h1",
            (Mode::Log, _) => "syslog",
            _ => "tcp",
        };
        let maxconn = self.state.maxconn().unwrap_or(0);
        let mut command = Command::new(&external.command);
        let arguments = [&proxy_address, &proxy_port, &address, &port];
        command.args(arguments.map(|argument| match argument.as_str() {
            "" => "NOT_USED",
            other => other,
        }));
        if model.global.external_check != Some(true) {
            command.env_clear();
        }
        command
            .env("HAPROXY_PROXY_ADDR", &proxy_address)
            .env("HAPROXY_PROXY_ID", proxy.number.to_string())
            .env("HAPROXY_PROXY_NAME", &proxy.name)
            .env("HAPROXY_PROXY_PORT", &proxy_port)
            .env("HAPROXY_SERVER_ADDR", &address)
            .env(
                "HAPROXY_SERVER_CURCONN",
                self.state.current.current().to_string(),
            )
            .env("HAPROXY_SERVER_ID", self.server.number.to_string())
            .env("HAPROXY_SERVER_MAXCONN", maxconn.to_string())
            .env("HAPROXY_SERVER_NAME", &self.server.name)
            .env("HAPROXY_SERVER_PORT", &port)
            .env(
                "HAPROXY_SERVER_SSL",
                if self.server.tls.is_some() { "1" } else { "0" },
            )
            .env("HAPROXY_SERVER_PROTO", protocol);
        if let Some(path) = &external.path {
            command.env("PATH", path);
        }
        // In a group of its own, so that whatever it starts ends with it.
        command
            .stdin(Stdio::null())
            .process_group(0)
            .kill_on_drop(true);
        command
    }
}

/// Where the proxy listens, as the program is told: a port only where there is one.
fn listener(address: &BindAddress) -> (String, String) {
    let path = |path: &Path| (path.display().to_string(), String::new());
    match address {
        BindAddress::Tcp(address) | BindAddress::Udp(address) => {
            (address.ip().to_string(), address.port().to_string())
        }
        BindAddress::PortRange { first, .. } => (first.ip().to_string(), first.port().to_string()),
        BindAddress::Unix(socket) => path(socket),
        BindAddress::Network { .. }
        | BindAddress::Abstract(_)
        | BindAddress::AbstractUnpadded(_)
        | BindAddress::Inherited(_)
        | BindAddress::Reverse { .. } => Default::default(),
    }
}

fn kill_all(child: &Child) {
    let group = child.id().and_then(|id| i32::try_from(id).ok());
    if let Some(group) = group.and_then(Pid::from_raw) {
        // It may have ended this very moment.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

fn report(status: CheckStatus, code: Option<u16>, text: String) -> CheckReport {
    CheckReport {
        status,
        code,
        text,
        duration: None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::health::conversation::{run, tests::running};
    use crate::model::{Check, CheckSteps};
    use crate::tls::Contexts;
    use crate::types::{Millis, ServerId};

    /// What comes of a shell script as a check.
    async fn outcome(script: &str, limit: u64) -> (&'static str, Option<u16>) {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), format!("#!/bin/sh\n{script}\n")).expect("written");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(file.path(), mode).expect("executable");
        // A file that is open for writing cannot be run.
        let path = file.into_temp_path();
        let check = Check {
            timeout: Some(Millis(limit)),
            steps: CheckSteps::External(Arc::new(ExternalCheck {
                command: path.display().to_string(),
                path: Some("/bin:/usr/bin".to_owned()),
            })),
            ..crate::health::conversation::tests::check(CheckSteps::Connect)
        };
        let report = run(&running(17), &Contexts::default(), ServerId(0), &check).await;
        (report.status.name(), report.code)
    }

    #[tokio::test]
    async fn the_exit_status_decides() {
        assert_eq!(outcome("exit 0", 5000).await, ("PROCOK", Some(0)));
        assert_eq!(outcome("exit 3", 5000).await, ("PROCERR", Some(3)));
        assert_eq!(outcome("sleep 60 & wait", 50).await, ("PROCTOUT", None));
    }

    #[tokio::test]
    async fn the_program_is_told_where_the_server_is_and_nothing_else() {
        let script = "test \"$1 $2 $4\" = 'NOT_USED NOT_USED 17' \
            && test $HAPROXY_SERVER_PORT = 17 && test $PATH = /bin:/usr/bin && test -z \"$HOME\"";
        assert_eq!(outcome(script, 5000).await, ("PROCOK", Some(0)));
    }
}
