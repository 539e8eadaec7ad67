//! The numbers and strings a view may have about the process, the connection, the stream and the transaction.

/// Numbers about the process, the connection, the stream and the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Number {
    // --- process ---
    /// `act_conn`, `%ac`: connections of the whole process.
    ActiveConnections,
    /// `pid`, `%pid`: the worker's, where the view knows better than the system.
    Pid,
    /// `thread`: the calling thread, from 0.
    Thread,
    ThreadGroup,
    Stopping,
    /// Seconds since the process started.
    Uptime,
    // --- ids ---
    FrontendId,
    BackendId,
    ServerId,
    /// `so_id`: the bind line's id.
    ListenerId,
    /// `dst_conn`: connections on the same bind line.
    ListenerConnections,
    /// `txn.id32`, `%rt`.
    TransactionId,
    /// `%lc`: the frontend's log counter.
    LogCounter,
    // --- dates, in microseconds since 1970 ---
    AcceptDate,
    RequestDate,
    // --- timers, in milliseconds, -1 where the event did not happen ---
    /// `%Th`, `fc.timer.handshake`.
    TimerHandshake,
    /// `%Ti`, `req.timer.idle`.
    TimerIdle,
    /// `%TR`, `req.timer.hdr`.
    TimerRequest,
    /// `%Tq`, `req.timer.tq`.
    TimerTq,
    /// `%Tw`, `req.timer.queue`.
    TimerQueue,
    /// `%Tc`, `bc.timer.connect`.
    TimerConnect,
    /// `%Tr`, `res.timer.hdr`.
    TimerResponse,
    /// `%Td`, `res.timer.data`.
    TimerData,
    /// `%Ta`, `txn.timer.total`.
    TimerActive,
    /// `%Tt`, `fc.timer.total`.
    TimerTotal,
    /// `%Tu`, `txn.timer.user`.
    TimerUser,
    // --- bytes ---
    /// `req.bytes_in`, `%U`, `bytes_in`: from the client.
    RequestBytesIn,
    /// `req.bytes_out`: sent to the server.
    RequestBytesOut,
    /// `res.bytes_in`, `%B`: from the server.
    ResponseBytesIn,
    /// `res.bytes_out`, `bytes_out`: sent to the client.
    ResponseBytesOut,
    // --- stream and transaction ---
    /// `txn.status`, `%ST`: what the client got; -1 or absent before.
    Status,
    /// `server_status`: what the server sent, before rules changed it.
    ServerStatus,
    /// `txn.conn_retries`, `%rc`.
    Retries,
    /// `txn.redispatched`.
    Redispatched,
    /// `%sq`, `bc_srv_queue`: requests ahead in the server's queue.
    ServerQueueAhead,
    /// `%bq`, `bc_be_queue`.
    BackendQueueAhead,
    /// `%sc`: the chosen server's connections.
    ServerConnections,
    /// `%fc`.
    FrontendConnections,
    /// `%bc`.
    BackendConnections,
    /// The log line is written before the transaction's end (`option logasap`): totals get a `+`.
    LoggedEarly,
    /// `when(error)`: something went wrong; a redispatch counts.
    Failed,
    /// `when(forwarded)`: the request went to a server.
    Forwarded,
    /// `when(toapplet)`: the request was answered by a service of ours.
    ByApplet,
    PriorityClass,
    PriorityOffset,
    /// `http_first_req`.
    FirstRequest,
    /// `res.cache_hit`.
    CacheHit,
    /// `res.comp`.
    Compressed,
    // --- connections ---
    /// `fc_rcvd_proxy`.
    ReceivedProxyHeader,
    FrontHttpMajor,
    BackHttpMajor,
    FrontStreams,
    BackStreams,
    FrontStreamsLimit,
    BackStreamsLimit,
    FrontGlitches,
    BackGlitches,
    FrontError,
    BackError,
    BackReused,
    /// `src_is_local`, `fc_src_is_local`.
    SourceIsLocal,
    DestinationIsLocal,
    /// TCP_INFO of the client's connection, times in microseconds.
    FrontRtt,
    FrontRttVariance,
    FrontUnacked,
    FrontSacked,
    FrontLost,
    FrontRetransmits,
    FrontFackets,
    FrontReordering,
    BackRtt,
    BackRttVariance,
    // --- timeouts and retries in force, milliseconds ---
    BackendConnectTimeout,
    BackendQueueTimeout,
    BackendServerTimeout,
    BackendTarpitTimeout,
    BackendTunnelTimeout,
    BackendMaxRetries,
    FrontendClientTimeout,
    FrontendTarpitTimeout,
    CurrentConnectTimeout,
    CurrentClientTimeout,
    CurrentQueueTimeout,
    CurrentServerTimeout,
    CurrentTarpitTimeout,
    CurrentTunnelTimeout,
    CurrentMaxRetries,
    /// `last_rule_line`.
    LastRuleLine,
    /// `fs.aborted`.
    FrontAborted,
    /// `bs.aborted`.
    BackAborted,
    FrontStreamId,
    BackStreamId,
    FrontResetCode,
    BackResetCode,
}

/// Strings about the process, the connection, the stream and the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Text {
    /// `fe_name`, `%f`.
    FrontendName,
    /// `be_name`, `%b`.
    BackendName,
    /// `srv_name`, `%s`: the server, `<NOSRV>`, `<STATS>`, …; absent where none was chosen.
    ServerName,
    /// `so_name`.
    ListenerName,
    /// `fe_defbe`.
    DefaultBackend,
    /// `unique-id`, `%ID`.
    UniqueId,
    /// `fc_pp_authority`.
    ProxyAuthority,
    /// `fc_pp_unique_id`.
    ProxyUniqueId,
    /// `fc_saved_syn`.
    SavedSyn,
    /// `txn.sess_term_state`, `%ts`: two characters.
    TerminationState,
    /// The last two characters of `%tsc`.
    TerminationCookie,
    /// The request line as it was received: `GET /path HTTP/1.1`.
    RequestLine,
    /// `%CC`.
    CapturedRequestCookie,
    /// `%CS`.
    CapturedResponseCookie,
    /// `capture.res.ver`.
    ResponseVersion,
    CacheName,
    CompressionAlgorithm,
    LastEntity,
    LastRuleFile,
    WaitingEntity,
    FrontErrorName,
    FrontErrorText,
    BackErrorName,
    BackErrorText,
    /// `%OG`.
    LogOrigin,
}
