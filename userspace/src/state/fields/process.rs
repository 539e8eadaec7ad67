//! What `show info` tells about the process, declared once as the other statistics are.
//!
//! Positions are HAProxy's, and so are the holes between them: what this program does not have is not shown.

use super::{Tags, Value};
use crate::clock::Moment;
use crate::state::{Counter, ProcessRate, Running};

/// One line of `show info`.
pub struct InfoField {
    /// Its number in typed output.
    pub position: u16,
    /// Its name.
    pub name: &'static str,
    /// The Prometheus name without `haproxy_process_`; empty where the exporter has none.
    pub metric: &'static str,
    /// What kind of value it is.
    pub tags: Tags,
    /// What it tells.
    pub doc: &'static str,
    /// Reads it.
    pub read: for<'a> fn(&InfoRow<'a>) -> Value<'a>,
}

/// The process at one moment.
#[derive(Clone, Copy, Debug)]
pub struct InfoRow<'a> {
    /// The configuration in force.
    pub running: &'a Running,
    /// The program's version.
    pub version: &'a str,
    /// The moment rates and ages are read at.
    pub now: Moment,
}

impl InfoRow<'_> {
    fn uptime(&self) -> u64 {
        self.now.since(self.running.state.process.started) / 1000
    }

    fn counter(&self, counter: Counter) -> u64 {
        self.running.state.process.counters.sum(counter)
    }
}

/// Every line of `show info`.
#[rustfmt::skip]
pub const INFO: &[InfoField] = &[
    field(0, "Name", "", "POS", "Product name", |_| Value::Text("tidegate".into())),
    field(1, "Version", "", "POS", "Product version", |row| Value::Text(row.version.into())),
    field(2, "Release_date", "", "POS", "Date of this version", |_| Value::Text(RELEASED.into())),
    field(3, "Nbthread", "nbthread", "CGS", "Number of worker threads", |row| Value::U32(clamp(row.running.state.threads() as u64))),
    field(4, "Nbproc", "nbproc", "CGS", "Number of worker processes, always 1", |_| Value::U32(1)),
    field(5, "Process_num", "relative_process_id", "KGP", "Number of this worker process, always 1", |_| Value::U32(1)),
    field(6, "Pid", "", "SGP", "This process's id", |_| Value::U32(std::process::id())),
    field(7, "Uptime", "", "MDP", "Time since the start in days, hours, minutes and seconds", uptime),
    field(8, "Uptime_sec", "uptime_seconds", "MDP", "Seconds since the start", |row| Value::U32(clamp(row.uptime()))),
    field(13, "Ulimit-n", "max_fds", "CLP", "Limit of file descriptors", |_| descriptors()),
    field(14, "Maxsock", "max_sockets", "CLP", "Limit of sockets", |_| descriptors()),
    field(15, "Maxconn", "max_connections", "CLP", "Limit of client connections in force", |row| Value::U32(row.running.state.process.maxconn())),
    field(16, "Hard_maxconn", "hard_max_connections", "CLP", "Limit of client connections of the configuration", |row| Value::U32(row.running.state.process.hard_maxconn())),
    field(17, "CurrConns", "current_connections", "MGP", "Client connections now", |row| Value::U32(row.running.state.process.connections.current())),
    field(18, "CumConns", "connections_total", "MCP", "Client connections so far", |row| Value::U64(row.counter(Counter::Connections))),
    field(19, "CumReq", "requests_total", "MCP", "Requests so far", |row| Value::U64(row.counter(Counter::Requests))),
    field(21, "CurrSslConns", "current_ssl_connections", "MGP", "TLS connections now, both sides", |row| Value::U32(row.running.state.process.tls_connections.current())),
    field(22, "CumSslConns", "ssl_connections_total", "MCP", "TLS connections so far, both sides", |row| Value::U64(row.counter(Counter::TlsSessions))),
    field(23, "Maxpipes", "", "CLP", "Limit of pipes for splicing, 0 for none", |_| Value::U32(0)),
    field(24, "PipesUsed", "pipes_used_total", "MGP", "Pipes in use for splicing", |row| Value::U32(row.running.state.process.pipes_used.current())),
    field(25, "PipesFree", "pipes_free_total", "MGP", "Pipes kept for splicing", |row| Value::U32(row.running.state.process.pipes_free.current())),
    field(26, "ConnRate", "current_connection_rate", "MRP", "Client connections in the last second", |row| Value::U32(row.running.state.process.connection_rate.read(row.now))),
    field(27, "ConnRateLimit", "limit_connection_rate", "CLP", "Limit of ConnRate, 0 for none", |row| limit(row, ProcessRate::Connections)),
    field(28, "MaxConnRate", "max_connection_rate", "MMP", "Most client connections in one second", |row| Value::U32(row.running.state.process.connection_rate.highest(row.now))),
    field(29, "SessRate", "current_session_rate", "MRP", "Sessions in the last second", |row| Value::U32(row.running.state.process.session_rate.read(row.now))),
    field(30, "SessRateLimit", "limit_session_rate", "CLP", "Limit of SessRate, 0 for none", |row| limit(row, ProcessRate::Sessions)),
    field(31, "MaxSessRate", "max_session_rate", "MMP", "Most sessions in one second", |row| Value::U32(row.running.state.process.session_rate.highest(row.now))),
    field(32, "SslRate", "current_ssl_rate", "MRP", "TLS handshakes in the last second", |row| Value::U32(row.running.state.process.tls_rate.read(row.now))),
    field(33, "SslRateLimit", "limit_ssl_rate", "CLP", "Limit of SslRate, 0 for none", |row| limit(row, ProcessRate::TlsSessions)),
    field(34, "MaxSslRate", "max_ssl_rate", "MMP", "Most TLS handshakes in one second", |row| Value::U32(row.running.state.process.tls_rate.highest(row.now))),
    field(35, "SslFrontendKeyRate", "current_frontend_ssl_key_rate", "MRP", "TLS keys made for clients in the last second", |row| Value::U32(row.running.state.process.tls_frontend_key_rate.read(row.now))),
    field(36, "SslFrontendMaxKeyRate", "max_frontend_ssl_key_rate", "MMP", "Most TLS keys made for clients in one second", |row| Value::U32(row.running.state.process.tls_frontend_key_rate.highest(row.now))),
    field(37, "SslFrontendSessionReuse_pct", "frontend_ssl_reuse", "MRP", "Percentage of TLS sessions with clients that were resumed", resumed),
    field(38, "SslBackendKeyRate", "current_backend_ssl_key_rate", "MRP", "TLS keys made for servers in the last second", |row| Value::U32(row.running.state.process.tls_backend_key_rate.read(row.now))),
    field(39, "SslBackendMaxKeyRate", "max_backend_ssl_key_rate", "MMP", "Most TLS keys made for servers in one second", |row| Value::U32(row.running.state.process.tls_backend_key_rate.highest(row.now))),
    field(42, "CompressBpsIn", "http_comp_bytes_in_total", "MRP", "Bytes given to compressors in the last second", |row| Value::U32(row.running.state.process.compression_in_rate.read(row.now))),
    field(43, "CompressBpsOut", "http_comp_bytes_out_total", "MRP", "Bytes compressors emitted in the last second", |row| Value::U32(row.running.state.process.compression_out_rate.read(row.now))),
    field(44, "CompressBpsRateLim", "limit_http_comp", "CLP", "Limit of CompressBpsIn, 0 for none", |row| limit(row, ProcessRate::Compression)),
    field(47, "Tasks", "current_tasks", "MGP", "Sessions being served", |row| Value::U32(clamp(row.running.state.sessions.count() as u64))),
    field(48, "Run_queue", "", "MGP", "Tasks that wait for their thread: always 0, they are not counted", |_| Value::U32(0)),
    field(50, "node", "node", "COS", "Node name", node),
    field(51, "description", "description", "COS", "Description of the node", description),
    field(52, "Stopping", "stopping", "MGP", "1 while the process is on its way out", |row| Value::U32(row.running.state.process.is_stopping().into())),
    field(53, "Jobs", "jobs", "MGP", "Client connections and listeners", jobs),
    field(55, "Listeners", "listeners", "MGP", "Listeners open", |row| Value::U32(row.running.state.process.listeners.current())),
    field(58, "DroppedLogs", "dropped_logs_total", "MCP", "Log lines that could not be sent", |row| Value::U64(row.counter(Counter::DroppedLogs))),
    field(61, "TotalBytesOut", "bytes_out_total", "MCP", "Bytes sent to clients so far", bytes_out),
    field(62, "TotalSplicedBytesOut", "spliced_bytes_out_total", "MCP", "Bytes sent through a kernel pipe so far", |row| Value::U64(row.counter(Counter::SplicedBytes))),
    field(66, "Build info", "build_info", "POS", "Build", |row| Value::Text(row.version.into())),
    field(70, "Start_time_sec", "start_time_seconds", "MDP", "When the process started, in seconds since 1970", |row| Value::U32(clamp(row.running.state.process.started_wall.as_secs()))),
    field(90, "XdpMemLocked_bytes", "", "MGP", "Memory that the tables of the kernel tier lock", |row| Value::U64(row.running.state.process.kernel_memory())),
    field(91, "XdpSynRate", "", "MRP", "SYNs that the kernel tier saw in the last second, all services", |row| Value::U32(row.running.state.process.kernel_syns.rate())),
    field(92, "XdpSynFloods", "", "MGP", "Services under a flood of SYNs", |row| Value::U32(row.running.state.process.kernel_syns.floods())),
    field(93, "XdpSynCookiesSent", "", "MCP", "SYNs that were answered from the driver with a cookie", |row| Value::U64(row.running.state.process.kernel_syns.cookies())),
    field(94, "XdpSynCookiesAccepted", "", "MCP", "Cookies that came back from clients", |row| Value::U64(row.running.state.process.kernel_syns.accepted())),
];

/// When the version in Cargo.toml was given.
const RELEASED: &str = "2026/11/28";

const fn field(
    position: u16,
    name: &'static str,
    metric: &'static str,
    tags: &'static str,
    doc: &'static str,
    read: for<'a> fn(&InfoRow<'a>) -> Value<'a>,
) -> InfoField {
    InfoField {
        position,
        name,
        metric,
        tags: Tags(tags),
        doc,
        read,
    }
}

fn uptime<'a>(row: &InfoRow<'a>) -> Value<'a> {
    let seconds = row.uptime();
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let (minutes, seconds) = (seconds / 60 % 60, seconds % 60);
    Value::Text(format!("{days}d {hours}h{minutes:02}m{seconds:02}s").into())
}

fn descriptors<'a>() -> Value<'a> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit
        .current
        .map_or(Value::None, |most| Value::U32(clamp(most)))
}

/// The part of this second's TLS sessions with clients that needed no new key.
fn resumed<'a>(row: &InfoRow<'a>) -> Value<'a> {
    let process = &row.running.state.process;
    let sessions = process.tls_rate.read(row.now);
    let keys = process.tls_frontend_key_rate.read(row.now).min(sessions);
    Value::U32(((sessions - keys) * 100).checked_div(sessions).unwrap_or(0))
}

fn limit<'a>(row: &InfoRow<'a>, rate: ProcessRate) -> Value<'a> {
    Value::U32(row.running.state.process.rate_limit(rate).unwrap_or(0))
}

fn node<'a>(row: &InfoRow<'a>) -> Value<'a> {
    match &row.running.model.global.node {
        Some(name) => Value::Text(name.as_str().into()),
        None => {
            let system = rustix::system::uname();
            Value::Text(system.nodename().to_string_lossy().into_owned().into())
        }
    }
}

fn description<'a>(row: &InfoRow<'a>) -> Value<'a> {
    let text = row.running.model.global.description.as_deref();
    text.map_or(Value::None, |text| Value::Text(text.into()))
}

fn jobs<'a>(row: &InfoRow<'a>) -> Value<'a> {
    let process = &row.running.state.process;
    Value::U32(process.connections.current() + process.listeners.current())
}

/// Every frontend sends what its clients get.
fn bytes_out<'a>(row: &InfoRow<'a>) -> Value<'a> {
    let Running { model, state } = row.running;
    let frontends = model
        .proxies
        .iter()
        .map(|proxy| &state.proxy(proxy.id).frontend);
    Value::U64(
        frontends
            .map(|front| front.counters.sum(Counter::BytesOut))
            .sum(),
    )
}

fn clamp(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_go_up_and_names_are_unique() {
        assert!(INFO.is_sorted_by(|one, next| one.position < next.position));
        for (index, field) in INFO.iter().enumerate() {
            assert!(INFO[..index].iter().all(|other| other.name != field.name));
            assert_eq!(field.tags.0.len(), 3, "{}", field.name);
        }
    }
}
