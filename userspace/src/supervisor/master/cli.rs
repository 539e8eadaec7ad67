//! The master CLI (management.txt §9.4): a few commands of the master's own, and `@` to reach the workers.
//!
//! A command for a worker travels over a connection of its own that the master hands down. Lines, payloads and answers are
//! bounded as on the Runtime API. Workers are named by number (`@1` is the one that serves) or by process id (`@!123`).

use std::io;
use std::rc::Rc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::super::link::Rights;
use super::{Realm, Reload, show};
use crate::admin::cli::{Socket, payload_mark};
use crate::log::notice;
use crate::model::Level;
use crate::net::{Stream, handover};

/// Serves one socket of the master CLI until the process ends.
pub(super) async fn listen(realm: Rc<Realm>, socket: Socket) {
    let level = socket.level();
    let listener = match socket.listener() {
        Ok(listener) => listener,
        Err(error) => {
            notice::alert(format_args!("cannot listen for the master CLI: {error}"));
            return;
        }
    };
    let mut clients = tokio::task::JoinSet::new();
    loop {
        while clients.len() >= MOST_CLIENTS {
            clients.join_next().await;
        }
        match listener.accept().await {
            Ok(incoming) => {
                let client = Client::new(Rc::clone(&realm), level);
                clients.spawn_local(async move {
                    let _how_it_ended = client.talk(incoming.stream).await;
                });
            }
            Err(error) => {
                notice::warning(format_args!("accepting a master CLI client: {error}"));
                tokio::time::sleep(AFTER_ERROR).await;
            }
        }
        while clients.try_join_next().is_some() {}
    }
}

/// One client of the master CLI.
struct Client {
    realm: Rc<Realm>,
    rights: Rights,
    debug: bool,
    /// Whether the connection stays open after a line, and with a prompt.
    interactive: bool,
    prompt: bool,
    target: Target,
}

/// Which process a command is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Master,
    /// The n-th worker that is not leaving, from 1.
    Number(u32),
    Pid(u32),
}

/// What comes after a command.
enum Next {
    More(String),
    Close(String),
}

type Lines = BufReader<tokio::io::ReadHalf<Stream>>;

impl Client {
    fn new(realm: Rc<Realm>, level: Level) -> Self {
        let rights = Rights {
            level,
            expert: false,
            experimental: false,
        };
        Self {
            realm,
            rights,
            debug: false,
            interactive: false,
            prompt: false,
            target: Target::Master,
        }
    }

    async fn talk(mut self, stream: Stream) -> io::Result<()> {
        let (reader, mut writer) = tokio::io::split(stream);
        let mut lines = BufReader::new(reader);
        while let Some(line) = next_line(&mut lines).await? {
            let (line, payload) = match payload_mark(&line) {
                None => (line, None),
                Some((command, mark)) => {
                    let Some(payload) = read_payload(&mut lines, mark).await? else {
                        return Ok(());
                    };
                    (command.to_owned(), Some(payload))
                }
            };
            if let Some(rest) = line.trim_start().strip_prefix("@@") {
                self.tunnel(rest, lines, &mut writer).await?;
                return writer.shutdown().await;
            }
            for command in commands(&line) {
                match self.command(command, payload.as_deref()).await {
                    Next::More(text) => writer.write_all(text.as_bytes()).await?,
                    Next::Close(text) => {
                        writer.write_all(text.as_bytes()).await?;
                        return writer.shutdown().await;
                    }
                }
            }
            if self.prompt {
                writer.write_all(self.prompt().as_bytes()).await?;
            }
            if !self.interactive && lines.buffer().is_empty() {
                return writer.shutdown().await;
            }
        }
        Ok(())
    }

    async fn command(&mut self, command: &str, payload: Option<&str>) -> Next {
        if let Some(rest) = command.strip_prefix('@') {
            let (name, command) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
            let Some(target) = target(name) else {
                return Next::More(format!("Can't find the target process '@{name}'\n\n"));
            };
            let command = command.trim();
            if command.is_empty() {
                self.target = target;
                return Next::More(String::new());
            }
            return self.run(target, command, payload).await;
        }
        self.run(self.target, command, payload).await
    }

    async fn run(&mut self, target: Target, command: &str, payload: Option<&str>) -> Next {
        if target == Target::Master || self.is_for_master_too(command) {
            return self.obey(command).await;
        }
        let mut line = command.to_owned();
        if let Some(payload) = payload {
            line.push_str(" <<");
            line.push_str(END_OF_PAYLOAD);
            line.push('\n');
            line.push_str(payload);
            line.push_str(END_OF_PAYLOAD);
        }
        line.push('\n');
        let answer = timeout(LONGEST_ANSWER, self.ask(target, &line)).await;
        Next::More(match answer {
            Ok(Ok(text)) => text,
            Ok(Err(error)) => format!("Can't connect to the target CLI: {error}\n\n"),
            Err(_) => "The target process does not answer.\n\n".to_owned(),
        })
    }

    /// Commands that concern this connection wherever it is.
    fn is_for_master_too(&self, command: &str) -> bool {
        let word = command.split_whitespace().next().unwrap_or_default();
        [
            "prompt",
            "quit",
            "expert-mode",
            "experimental-mode",
            "mcli-debug-mode",
        ]
        .contains(&word)
    }

    /// One line to a worker, and everything it answers.
    async fn ask(&self, target: Target, line: &str) -> io::Result<String> {
        let mut stream = self.connect(target)?;
        stream.write_all(line.as_bytes()).await?;
        stream.shutdown().await?;
        let mut answer = Vec::new();
        stream.take(LONGEST_TEXT).read_to_end(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// Hands a connection to a worker.
    fn connect(&self, target: Target) -> io::Result<UnixStream> {
        let state = self.realm.state.borrow();
        let mut current = state.workers.iter().filter(|worker| !worker.leaving);
        let worker = match target {
            Target::Master => None,
            Target::Number(number) => current.nth(number.saturating_sub(1) as usize),
            Target::Pid(pid) => state.workers.iter().find(|worker| worker.pid() == pid),
        };
        let worker = worker.ok_or(io::ErrorKind::NotFound)?;
        let (ours, theirs) = handover::stream_pair()?;
        worker.link().hand_down(&theirs, self.rights)?;
        let stream = std::os::unix::net::UnixStream::from(ours);
        stream.set_nonblocking(true)?;
        UnixStream::from_std(stream)
    }

    /// `@@`: the rest of the connection belongs to the worker.
    async fn tunnel(
        &self,
        line: &str,
        mut client: Lines,
        writer: &mut tokio::io::WriteHalf<Stream>,
    ) -> io::Result<()> {
        let (name, command) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        let connected = target(name).map_or(Err(io::ErrorKind::NotFound.into()), |target| {
            self.connect(target)
        });
        let mut worker = match connected {
            Ok(worker) => worker,
            Err(error) => {
                let text = format!("Can't connect to the target CLI: {error}\n\n");
                return writer.write_all(text.as_bytes()).await;
            }
        };
        let command = match (command.trim(), self.prompt, self.interactive) {
            ("", true, _) => "prompt p",
            ("", false, _) => "prompt i",
            (command, _, _) => command,
        };
        worker.write_all(format!("{command}\n").as_bytes()).await?;
        let (mut from_worker, mut to_worker) = worker.split();
        let up = async {
            let copied = tokio::io::copy_buf(&mut client, &mut to_worker).await;
            to_worker.shutdown().await?;
            copied
        };
        let down = tokio::io::copy(&mut from_worker, writer);
        tokio::pin!(up, down);
        tokio::select! {
            ended = &mut down => ended.map(|_| ()),
            _ = &mut up => down.await.map(|_| ()),
        }
    }

    /// The master's own commands.
    async fn obey(&mut self, command: &str) -> Next {
        let words: Vec<&str> = command.split_whitespace().collect();
        let answer = match words.as_slice() {
            ["quit"] => return Next::Close(String::new()),
            ["prompt", rest @ ..] => {
                self.set_prompt(rest);
                return Next::More(String::new());
            }
            ["help", ..] => HELP.to_owned(),
            ["show", "proc", ..] => show::processes(&self.realm),
            ["show", "version"] => format!("{}\n", self.realm.version),
            ["show", "startup-logs"] => self.realm.state.borrow().lines.clone(),
            ["show", "cli", "level"] => format!("{}\n", level_name(self.rights.level)),
            ["user"] => self.lower(Level::User),
            ["operator"] => self.lower(Level::Operator),
            ["reload"] => return self.reload(Signal::USR1).await,
            ["hard-reload"] => return self.reload(Signal::TERM).await,
            ["expert-mode", rest @ ..] => switch("Expert mode", &mut self.rights.expert, rest),
            ["experimental-mode", rest @ ..] => {
                switch("Experimental mode", &mut self.rights.experimental, rest)
            }
            ["mcli-debug-mode", rest @ ..] => switch("Debug mode", &mut self.debug, rest),
            _ => format!(
                "Unknown command: '{command}', use '@1 {command}' to send it to the worker.\n{HELP}"
            ),
        };
        Next::More(answer + "\n")
    }

    fn lower(&mut self, level: Level) -> String {
        if level > self.rights.level {
            return "Permission denied\n".to_owned();
        }
        self.rights = Rights {
            level,
            expert: false,
            experimental: false,
        };
        String::new()
    }

    async fn reload(&self, farewell: Signal) -> Next {
        if self.rights.level < Level::Operator {
            return Next::More("Permission denied\n\n".to_owned());
        }
        let (answer, answered) = oneshot::channel();
        let asked = self.realm.reloads.send(Reload { farewell, answer }).await;
        let outcome = match asked {
            Ok(()) => answered.await.ok(),
            Err(_) => None,
        };
        Next::Close(match outcome {
            Some(outcome) => {
                let success = u8::from(outcome.success);
                format!("Success={success}\n--\n{}\n", outcome.lines)
            }
            None => "Success=0\n--\nThe reload was given up.\n\n".to_owned(),
        })
    }

    fn set_prompt(&mut self, words: &[&str]) {
        match words.first() {
            Some(&"n") => (self.interactive, self.prompt) = (false, false),
            Some(&"i") => (self.interactive, self.prompt) = (true, false),
            Some(&("p" | "timed")) => (self.interactive, self.prompt) = (true, true),
            _ => {
                self.prompt = !self.prompt;
                self.interactive = self.prompt;
            }
        }
    }

    fn prompt(&self) -> String {
        let state = self.realm.state.borrow();
        let mut name = match self.target {
            Target::Master if state.last_failed => "master[ReloadFailed]".to_owned(),
            Target::Master => "master".to_owned(),
            Target::Pid(pid) => pid.to_string(),
            Target::Number(_) => state.current().map_or(0, |worker| worker.pid()).to_string(),
        };
        let flags: String = [
            (self.rights.experimental, 'x'),
            (self.rights.expert, 'e'),
            (self.debug, 'd'),
        ]
        .into_iter()
        .filter_map(|(on, flag)| on.then_some(flag))
        .collect();
        if !flags.is_empty() {
            name.push_str(&format!("({flags})"));
        }
        name + "> "
    }
}

fn target(name: &str) -> Option<Target> {
    match name.strip_prefix('!') {
        _ if name.is_empty() || name == "master" => Some(Target::Master),
        Some(pid) => pid.parse().ok().map(Target::Pid),
        None => match name.parse().ok()? {
            0 => Some(Target::Master),
            number => Some(Target::Number(number)),
        },
    }
}

/// The commands of a line, as they are written; a backslash keeps a semicolon from ending one.
fn commands(line: &str) -> Vec<&str> {
    let bytes = line.as_bytes();
    let mut commands = Vec::new();
    let mut start = 0;
    for at in 0..=bytes.len() {
        let ends = at == bytes.len() || (bytes[at] == b';' && (at == 0 || bytes[at - 1] != b'\\'));
        if ends {
            let command = line[start..at].trim();
            if !command.is_empty() {
                commands.push(command);
            }
            start = at + 1;
        }
    }
    commands
}

fn switch(what: &str, flag: &mut bool, words: &[&str]) -> String {
    match words {
        [] => format!("{what} is {}\n", if *flag { "ON" } else { "OFF" }),
        ["on"] => {
            *flag = true;
            String::new()
        }
        ["off"] => {
            *flag = false;
            String::new()
        }
        _ => "'on' or 'off' expected.\n".to_owned(),
    }
}

const fn level_name(level: Level) -> &'static str {
    match level {
        Level::User => "user",
        Level::Operator => "operator",
        Level::Admin => "admin",
    }
}

/// A line without its end; `None` at the end of the input or when nothing comes.
async fn next_line(lines: &mut Lines) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    let mut limited = lines.take(LONGEST_LINE);
    match timeout(IDLE, limited.read_until(b'\n', &mut line)).await {
        Ok(read) => read?,
        Err(_) => return Ok(None),
    };
    if line.pop() != Some(b'\n') {
        return Ok(None);
    }
    Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()))
}

async fn read_payload(lines: &mut Lines, mark: &str) -> io::Result<Option<String>> {
    let mut payload = String::new();
    while let Some(line) = next_line(lines).await? {
        if line == mark {
            return Ok(Some(payload));
        }
        if payload.len() + line.len() > MOST_PAYLOAD {
            return Ok(None);
        }
        payload.push_str(&line);
        payload.push('\n');
    }
    Ok(None)
}

const HELP: &str = "The following commands are valid at this level:\n\
    \x20 @!<pid> [command]                       : send a command to the <pid> process\n\
    \x20 @<relative pid> [command]               : send a command to the <relative pid> process\n\
    \x20 @@<[!]pid> [command...]                 : enter the process and leave the connection to it\n\
    \x20 @master                                 : (also '@') go back to the master\n\
    \x20 expert-mode [on|off]                    : expert mode on the workers\n\
    \x20 experimental-mode [on|off]              : experimental mode on the workers\n\
    \x20 hard-reload                             : reload, the former worker ends at once\n\
    \x20 mcli-debug-mode [on|off]                : debug mode of this CLI\n\
    \x20 operator                                : lower the level to operator\n\
    \x20 reload                                  : start a new worker and let the former one finish\n\
    \x20 show cli level                          : display the level of this session\n\
    \x20 show proc                               : show the processes\n\
    \x20 show startup-logs                       : what the last start printed\n\
    \x20 show version                            : show the version of the master\n\
    \x20 user                                    : lower the level to user\n\
    \x20 help [<command>]                        : this list\n\
    \x20 prompt [help | n | i | p | timed]*      : toggle interactive mode with prompt\n\
    \x20 quit                                    : disconnect\n";

/// A mark no line of a payload equals, for the way to the worker.
const END_OF_PAYLOAD: &str = "-end-of-payload-";
const MOST_CLIENTS: usize = 10;
const LONGEST_LINE: u64 = 16_384;
const MOST_PAYLOAD: usize = 1 << 20;
const LONGEST_TEXT: u64 = 1 << 28;
const LONGEST_ANSWER: Duration = Duration::from_secs(300);
const IDLE: Duration = Duration::from_secs(300);
const AFTER_ERROR: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_where_no_backslash_forbids_it() {
        assert_eq!(commands(" @1 show info; ;quit"), ["@1 show info", "quit"]);
        assert_eq!(commands(r"@1 add acl #1 a\;b"), [r"@1 add acl #1 a\;b"]);
        assert!(commands("").is_empty());
    }

    #[test]
    fn processes_are_named_by_number_or_id() {
        assert_eq!(target(""), Some(Target::Master));
        assert_eq!(target("1"), Some(Target::Number(1)));
        assert_eq!(target("!77"), Some(Target::Pid(77)));
        assert_eq!(target("x"), None);
    }
}
