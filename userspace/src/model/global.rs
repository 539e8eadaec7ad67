//! The `global` section: process-wide settings (manual §3).

use std::path::PathBuf;

use super::{LogTarget, StatusClasses};
use crate::expr::{Expression, LogFormat, VariableName};
use crate::proto::http::http1::FieldCases;
use crate::types::Millis;

/// Process-wide settings; a field is `None` when the file does not set it and the default depends on the machine.
#[derive(Debug, Default)]
pub struct Global {
    /// `daemon`: go to the background.
    pub daemon: bool,
    /// `master-worker`.
    pub master_worker: bool,
    /// `nbthread`: worker threads; by default one per usable core.
    pub threads: Option<u16>,
    /// `maxconn`: client connections of the whole process.
    pub maxconn: Option<u32>,
    /// `maxconnrate`: connections taken per second; 0 = no limit.
    pub maxconnrate: u32,
    /// `maxsessrate`: sessions taken per second; 0 = no limit.
    pub maxsessrate: u32,
    /// `maxsslrate`: TLS handshakes begun with clients per second; 0 = no limit.
    pub maxsslrate: u32,
    /// `maxcomprate`: kilobytes compressed per second; 0 = no limit.
    pub maxcomprate: u32,
    /// `user` or `uid`.
    pub user: Option<Principal>,
    /// `group` or `gid`.
    pub group: Option<Principal>,
    /// `chroot`.
    pub chroot: Option<PathBuf>,
    /// `setcap`: what the process keeps as a user other than root.
    pub capabilities: Vec<Capability>,
    /// `pidfile`.
    pub pidfile: Option<PathBuf>,
    /// `node`: shown on the stats page; by default the host name.
    pub node: Option<String>,
    /// `description`.
    pub description: Option<String>,
    /// `localpeer`, also settable by `-L`.
    pub localpeer: Option<String>,
    /// `log` lines, used by proxies that say `log global`.
    pub logs: Vec<LogTarget>,
    /// `log-tag`: by default the program's name.
    pub log_tag: Option<String>,
    /// `log-send-hostname`: `None` = not sent; the empty string = the machine's own name.
    pub log_send_hostname: Option<String>,
    /// `stats socket` lines.
    pub stats_sockets: Vec<StatsSocket>,
    /// `stats timeout`: idle limit of a CLI connection; 10 s by default.
    pub stats_timeout: Option<Millis>,
    /// `stats maxconn`: simultaneous CLI connections; 10 by default.
    pub stats_maxconn: Option<u32>,
    /// `hard-stop-after`: limit of a soft stop.
    pub hard_stop_after: Option<Millis>,
    /// `grace`: how long listeners stay open after SIGUSR1.
    pub grace: Option<Millis>,
    /// `ca-base`: prefix of relative CA file names.
    pub ca_base: Option<PathBuf>,
    /// `crt-base`: prefix of relative certificate file names.
    pub crt_base: Option<PathBuf>,
    /// `external-check`: programs may be started to check servers; true = with the environment of this process.
    pub external_check: Option<bool>,
    /// `ssl-load-extra-del-ext`: what is beside `a.crt` is called `a.key`, not `a.crt.key`.
    pub load_extra_del_ext: bool,
    /// `spread-checks`: percentage of random spread added to check intervals, 0 to 50.
    pub spread_checks: u8,
    /// `set-var` and `set-var-fmt`, in order.
    pub variables: Vec<(VariableName, ProcessValue)>,
    /// `http-err-codes` and `http-fail-codes`.
    pub statuses: StatusClasses,
    /// `zero-warning`: any warning refuses the start, as `-dW`.
    pub zero_warning: bool,
    /// `tune.*` values that have a meaning here.
    pub tune: Tune,
    /// `xdp …` lines of this project's own extension.
    pub xdp: XdpGlobal,
}

/// The first value of a variable of the process.
#[derive(Clone, Debug)]
pub enum ProcessValue {
    /// `set-var`.
    Sample(Expression),
    /// `set-var-fmt`.
    Format(LogFormat),
}

/// A user or group by name or by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// `user` / `group`.
    Name(String),
    /// `uid` / `gid`.
    Id(u32),
}

/// What the kernel can let a process do that is not root's, of the words of `setcap` (capabilities(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Transparent proxying, binding to an interface, `set-mark`.
    NetAdmin,
    /// Ports below 1024.
    NetBindService,
    /// Transparent proxying alone.
    NetRaw,
    /// Sockets in other network namespaces.
    SysAdmin,
}

impl Capability {
    /// All of them, by name.
    pub const ALL: [(&str, Self); 4] = [
        ("cap_net_admin", Self::NetAdmin),
        ("cap_net_bind_service", Self::NetBindService),
        ("cap_net_raw", Self::NetRaw),
        ("cap_sys_admin", Self::SysAdmin),
    ];
}

/// One `stats socket` line (manual §3.1).
#[derive(Clone, Debug)]
pub struct StatsSocket {
    /// Where it listens.
    pub address: super::BindAddress,
    /// `level`: what its clients may do; `operator` by default.
    pub level: Level,
    /// Mode and owner of a Unix socket, and the other socket options of a bind line.
    pub options: super::SocketOptions,
    /// `expose-fd listeners`.
    pub expose_listeners: bool,
}

/// What a CLI client may do (manual §9.3 of management.txt).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Sees non-sensitive statistics only.
    User,
    /// Sees all, changes only what does no harm.
    Operator,
    /// May do everything.
    Admin,
}

/// `tune.*` settings that change behaviour here.
#[derive(Clone, Debug)]
pub struct Tune {
    /// `tune.bufsize` in bytes: the largest head plus the rewrite reserve.
    pub bufsize: usize,
    /// `tune.maxrewrite` in bytes: reserve for added header fields.
    pub maxrewrite: usize,
    /// `h1-case-adjust`, `h1-case-adjust-file`: how HTTP/1 field names are written for those who mind the case.
    pub field_cases: FieldCases,
    /// `tune.http.maxhdr`: most header fields of a message.
    pub http_maxhdr: usize,
    /// `tune.http.logurilen`: longest request line that is remembered, in bytes.
    pub http_logurilen: usize,
    /// `tune.http.cookielen`: longest captured cookie, in bytes.
    pub http_cookielen: usize,
    /// `tune.idle-pool.shared`: whether a thread may take the idle server connections of another.
    pub share_idle: bool,
    /// `tune.maxaccept`: connections taken per wake-up of a listener.
    pub maxaccept: usize,
    /// `tune.comp.maxlevel`: how hard bodies are compressed, 1 to 9.
    pub compression_level: u32,
    /// `tune.ssl.capture-buffer-size`: bytes kept of each list in a client hello.
    pub tls_capture: usize,
    /// `tune.h2.*`.
    pub h2: Http2Tune,
}

/// `tune.h2.*`: the bounds of HTTP/2 connections.
#[derive(Clone, Copy, Debug)]
pub struct Http2Tune {
    /// `tune.h2.initial-window-size` in bytes.
    pub window: u32,
    /// `tune.h2.max-concurrent-streams`.
    pub streams: u32,
    /// `tune.h2.fe.*`.
    pub front: Http2Side,
    /// `tune.h2.be.*`.
    pub back: Http2Side,
    /// `tune.h2.fe.max-total-streams`; 0 = no limit.
    pub total_streams: u32,
    /// `tune.h2.max-frame-size` in bytes.
    pub frame_size: u32,
    /// `tune.h2.header-table-size` in bytes.
    pub header_table: u32,
}

/// The bounds of one side, where they differ from the common ones.
#[derive(Clone, Copy, Debug, Default)]
pub struct Http2Side {
    /// `initial-window-size` in bytes.
    pub window: Option<u32>,
    /// `max-concurrent-streams`.
    pub streams: Option<u32>,
    /// `glitches-threshold`; 0 = none.
    pub glitches: u32,
}

impl Default for Http2Tune {
    fn default() -> Self {
        Self {
            window: 16_384,
            streams: 100,
            front: Http2Side::default(),
            back: Http2Side::default(),
            total_streams: 0,
            frame_size: 16_384,
            header_table: 4096,
        }
    }
}

impl Default for Tune {
    fn default() -> Self {
        Self {
            bufsize: 16_384,
            maxrewrite: 1024,
            field_cases: FieldCases::default(),
            http_maxhdr: 101,
            http_logurilen: 1023,
            http_cookielen: 63,
            share_idle: true,
            maxaccept: 64,
            compression_level: 1,
            tls_capture: 0,
            h2: Http2Tune::default(),
        }
    }
}

/// The `xdp …` lines of `global` (DESIGN: extensions).
#[derive(Clone, Debug)]
pub struct XdpGlobal {
    /// `xdp interface NAME [mode auto|native|generic]`; empty = no kernel tier.
    pub interfaces: Vec<XdpInterface>,
    /// `xdp flows N`: entries of the flow table, rounded up to a power of two.
    pub flows: u32,
    /// `xdp sources N`: entries of the per-source table, rounded up to a power of two.
    pub sources: u32,
    /// `xdp pin DIR`: where maps, links and programs are pinned.
    pub pin: PathBuf,
    /// `xdp listed-flows cut|keep`: what an open flow may do once its source is listed.
    pub listed_flows: ListedFlows,
    /// `xdp syn-rate N`: SYNs a second of one service above which they are a flood; 0 for never.
    pub syn_rate: u32,
    /// `xdp syn-cookies off|auto|always`.
    pub syn_cookies: SynCookies,
    /// `xdp reject drop|rst`: what a client sees that a `reject` refuses in the kernel.
    pub reject: Reject,
    /// `xdp deny answer|drop`: whether `http-request deny` may be done by the kernel, which gives no answer.
    pub deny: Deny,
    /// `xdp log-drops N`: lines a second at most about dropped packets; 0 = none.
    pub log_drops: u32,
}

/// When SYNs for services that end here are answered with cookies from the driver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SynCookies {
    /// Never.
    Off,
    /// Under a flood.
    #[default]
    Auto,
    /// Always.
    Always,
}

/// What a client sees that a `reject` refuses in the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reject {
    /// Nothing.
    #[default]
    Drop,
    /// A reset.
    Reset,
}

/// What `http-request deny` is where the kernel could do it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Deny {
    /// An answer with a status, from userspace.
    #[default]
    Answer,
    /// Silence, from the kernel.
    Drop,
}

/// What an open flow may still do once its source is listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListedFlows {
    /// Its packets are dropped.
    #[default]
    Cut,
    /// It goes on, as a connection does in userspace.
    Keep,
}

/// One NIC the program is attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XdpInterface {
    /// The interface's name in this network namespace.
    pub name: String,
    /// How to attach.
    pub mode: XdpMode,
}

/// How the program is attached to an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum XdpMode {
    /// Native when the driver can, else generic with a notice.
    #[default]
    Auto,
    /// In the driver, or an error.
    Native,
    /// In the stack, for any driver.
    Generic,
}

impl Default for XdpGlobal {
    fn default() -> Self {
        Self {
            interfaces: Vec::new(),
            flows: 262_144,
            sources: 262_144,
            pin: PathBuf::from("/sys/fs/bpf/tidegate"),
            listed_flows: ListedFlows::Cut,
            syn_rate: 10_000,
            syn_cookies: SynCookies::Auto,
            reject: Reject::Drop,
            deny: Deny::Answer,
            log_drops: 0,
        }
    }
}
