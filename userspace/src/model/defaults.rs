//! What a proxy or a server is when its lines say nothing (the defaults of manual §4 and §5).

use super::{
    Affinity, Balance, BalanceKind, Forward, HashType, HttpReuse, Mode, Proxy, ProxyKind,
    ProxyRecords, Redispatch, RetryOn, Server, ServerAddress, Timeouts, TrailingClose, WebSocket,
};
use crate::types::{Millis, ProxyId, ServerId, Weight};

impl Proxy {
    /// A proxy without any line of its own. Its number is its position, counted from 1 up.
    pub fn new(id: ProxyId, name: impl Into<String>, kind: ProxyKind) -> Self {
        Self {
            id,
            name: name.into(),
            number: id.0 + 1,
            kind,
            mode: Mode::Tcp,
            disabled: false,
            description: None,
            place: String::new(),
            timeouts: Timeouts::default(),
            logs: Vec::new(),
            log_tag: None,
            log_format: None,
            error_log_format: None,
            log_format_sd: None,
            dont_log_null: false,
            dont_log_normal: false,
            log_asap: false,
            log_separate_errors: false,
            log_steps: None,
            unique_id_format: None,
            unique_id_header: None,
            table: None,
            error_files: Vec::new(),
            binds: Vec::new(),
            maxconn: None,
            backlog: None,
            rate_limit_sessions: None,
            tcp_request_connection: Vec::new(),
            tcp_request_session: Vec::new(),
            use_backends: Vec::new(),
            force_switching: Vec::new(),
            unpublished: false,
            default_backend: None,
            monitor_uri: None,
            monitor_fail: Vec::new(),
            captures: Vec::new(),
            capture_cookie: None,
            http_ignore_probes: false,
            accept_invalid_request: false,
            use_proxy_header: false,
            client_keepalive: false,
            client_nolinger: false,
            contstats: false,
            socket_stats: false,
            inspect_delay: None,
            tcp_request_content: Vec::new(),
            response_inspect_delay: None,
            tcp_response_content: Vec::new(),
            http_request: Vec::new(),
            http_response: Vec::new(),
            http_after_response: Vec::new(),
            redirects: Vec::new(),
            trailing_close: TrailingClose::KeepAlive,
            forwarded_for: None,
            forwarded: None,
            original_to: None,
            buffer_request: false,
            compression: None,
            stats: None,
            servers: Vec::new(),
            balance: Balance::default(),
            retries: 3,
            retry_on: RetryOn {
                connection_failure: true,
                ..RetryOn::default()
            },
            redispatch: Redispatch::Off,
            fullconn: None,
            source: None,
            cookie: None,
            persist: false,
            persist_rules: Vec::new(),
            stick_rules: Vec::new(),
            use_servers: Vec::new(),
            http_reuse: HttpReuse::Safe,
            send_name_header: None,
            all_backups: false,
            abort_on_close: false,
            prefer_last_server: false,
            server_keepalive: false,
            server_nolinger: false,
            accept_invalid_response: false,
            check_cache: false,
            forward: Forward::Nat,
        }
    }
}

impl Default for Balance {
    fn default() -> Self {
        Self {
            kind: BalanceKind::Random { draws: 2 },
            hash_type: HashType::default(),
            balance_factor: 0,
            affinity: Affinity::Always,
        }
    }
}

impl Server {
    /// A server with a name and an address and no option.
    pub fn new(
        id: ServerId,
        proxy: ProxyId,
        number: u32,
        name: impl Into<String>,
        address: ServerAddress,
    ) -> Self {
        Self {
            id,
            proxy,
            name: name.into(),
            number,
            address,
            hostname: None,
            resolution: None,
            weight: Weight(1),
            backup: false,
            disabled: false,
            maxconn: None,
            minconn: None,
            maxqueue: None,
            cookie: None,
            non_stick: false,
            slowstart: None,
            check: None,
            agent: None,
            track: None,
            observe: None,
            on_marked_down: None,
            on_marked_up: None,
            tls: None,
            proto: None,
            websocket: WebSocket::default(),
            send_proxy: None,
            proxy_records: ProxyRecords::default(),
            socks4: None,
            source: None,
            pool_max: None,
            pool_purge_delay: Millis(5000),
            pool_name: None,
            max_reuse: None,
            redirect_prefix: None,
            place: String::new(),
        }
    }
}
