//! Numbers and strings about the process, the connection and the transaction.

use super::SessionView;
use crate::clock;
use crate::expr::{Data, Number, Text};
use crate::net::TcpInfo;
use crate::proto::proxy_protocol::tlv;
use crate::session::transaction::Transaction;
use crate::types::Millis;

/// See [`crate::expr::View::number`].
pub(super) fn number(view: &SessionView<'_>, which: Number) -> Option<i64> {
    process(view, which)
        .or_else(|| identity(view, which))
        .or_else(|| timer(view, which))
        .or_else(|| transaction(view, which))
        .or_else(|| socket(view, which))
        .or_else(|| timeout(view, which))
}

/// See [`crate::expr::View::text`].
pub(super) fn text<'a>(view: &SessionView<'a>, which: Text) -> Option<Data<'a>> {
    let connection = view.connection;
    let generation = &connection.generation;
    let owned = |text: &str| Some(Data::from(text.to_owned()));
    match which {
        Text::FrontendName => Some(Data::from(connection.frontend().name.as_str())),
        Text::BackendName => {
            let backend = view
                .transaction
                .and_then(Transaction::backend)
                .unwrap_or(connection.frontend);
            Some(Data::from(generation.proxy(backend).name.as_str()))
        }
        Text::ServerName => {
            if let Some(service) = view.http.and_then(|http| http.service) {
                return Some(Data::from(service));
            }
            let server = view.transaction?.server.get()?;
            Some(Data::from(generation.model().server(server).name.as_str()))
        }
        Text::ListenerName => connection.bind().name.as_deref().map(Data::from),
        Text::DefaultBackend => {
            let backend = connection.frontend().default_backend?;
            Some(Data::from(generation.proxy(backend).name.as_str()))
        }
        Text::UniqueId => unique_id(view).map(Data::from),
        Text::ProxyAuthority => view
            .connection
            .proxy_header
            .get()?
            .tlv(tlv::AUTHORITY)
            .map(Data::from),
        Text::ProxyUniqueId => view
            .connection
            .proxy_header
            .get()?
            .tlv(tlv::UNIQUE_ID)
            .map(Data::from),
        Text::TerminationState => {
            let [cause, stage] = view.transaction?.termination.get().0;
            Some(Data::from(vec![cause, stage]))
        }
        Text::TerminationCookie => Some(Data::from(
            view.transaction?
                .cookie_flags
                .get()
                .unwrap_or(*b"--")
                .to_vec(),
        )),
        Text::LogOrigin => owned(connection.log_step.get().origin()),
        Text::CacheName => match &view.http?.cache {
            Some(cache) => Some(Data::from(cache.name.as_str())),
            None => owned(""),
        },
        Text::CompressionAlgorithm => {
            let algorithm = view.http?.compressed?;
            Some(Data::from(algorithm.name()))
        }
        Text::LastRuleFile => {
            let place = view.transaction?.last_rule.borrow();
            owned(place.as_deref()?.rsplit_once(':')?.0)
        }
        Text::RequestLine => some_text(&view.http?.line),
        Text::CapturedRequestCookie => some_text(&view.http?.request_cookie),
        Text::CapturedResponseCookie => some_text(&view.http?.response_cookie),
        _ => None,
    }
}

/// A text that is empty while it is not known.
fn some_text(text: &[u8]) -> Option<Data<'_>> {
    (!text.is_empty()).then(|| Data::from(text))
}

/// The transaction's unique id, made when it is first asked for.
fn unique_id<'a>(view: &SessionView<'a>) -> Option<&'a [u8]> {
    let format = view.connection.frontend().unique_id_format.as_deref()?;
    let transaction = view.transaction?;
    if transaction.unique_id.get().is_none() {
        if transaction.making_unique_id.replace(true) {
            // The format asks for the id it is making.
            return None;
        }
        let mut id = Vec::new();
        format.render(view, &mut id);
        // Only this place sets it, and it was not set a moment ago.
        let _ = transaction.unique_id.set(id.into_boxed_slice());
    }
    transaction.unique_id.get().map(|id| &**id)
}

fn process(view: &SessionView<'_>, which: Number) -> Option<i64> {
    let state = view.connection.generation.state();
    Some(match which {
        Number::ActiveConnections => state.process.connections.current().into(),
        Number::Pid => i64::from(std::process::id()),
        Number::Thread => view.connection.worker.number as i64,
        Number::ThreadGroup => 1,
        Number::Stopping => i64::from(state.process.is_stopping()),
        Number::Uptime => (clock::now().since(state.process.started) / 1000) as i64,
        _ => return None,
    })
}

fn identity(view: &SessionView<'_>, which: Number) -> Option<i64> {
    let connection = view.connection;
    let generation = &connection.generation;
    Some(match which {
        Number::FrontendId => connection.frontend().number.into(),
        Number::BackendId => {
            let backend = view
                .transaction
                .and_then(Transaction::backend)
                .unwrap_or(connection.frontend);
            generation.proxy(backend).number.into()
        }
        Number::ServerId => generation
            .model()
            .server(view.transaction?.server.get()?)
            .number
            .into(),
        Number::ListenerId => connection.bind().number.into(),
        Number::ListenerConnections => generation
            .state()
            .listener(connection.bind)
            .current
            .current()
            .into(),
        Number::TransactionId => view.transaction?.number.get().into(),
        Number::LogCounter => view.transaction?.log_counter.get().into(),
        Number::AcceptDate => connection.accept_date.as_micros() as i64,
        Number::RequestDate => match view
            .transaction
            .map(|transaction| transaction.timeline.get())
        {
            Some(timeline) if timeline.first_byte.is_some() => {
                timeline.request_date.as_micros() as i64
            }
            _ => connection.accept_date.as_micros() as i64,
        },
        Number::FrontHttpMajor => match connection.http_major.get() {
            0 => return None,
            major => major.into(),
        },
        Number::FrontGlitches => connection.glitches.get().into(),
        Number::ReceivedProxyHeader => i64::from(connection.proxy_header.get().is_some()),
        Number::SourceIsLocal => i64::from(is_local(connection.ends.get().source?.ip())),
        Number::DestinationIsLocal => i64::from(is_local(connection.ends.get().destination?.ip())),
        Number::FrontendConnections => generation
            .state()
            .proxy(connection.frontend)
            .frontend
            .current
            .current()
            .into(),
        Number::BackendConnections => {
            let backend = view
                .transaction
                .and_then(Transaction::backend)
                .unwrap_or(connection.frontend);
            generation
                .state()
                .proxy(backend)
                .backend
                .current
                .current()
                .into()
        }
        Number::ServerConnections => match view.transaction?.server.get() {
            Some(server) => generation.state().server(server).current.current().into(),
            None => 0,
        },
        _ => return None,
    })
}

fn timer(view: &SessionView<'_>, which: Number) -> Option<i64> {
    let timeline = view.transaction?.timeline.get();
    let now = clock::now();
    let timer = |milliseconds: Option<u64>| milliseconds.map_or(-1, |value| value as i64);
    Some(match which {
        Number::TimerHandshake => timeline.handshake as i64,
        Number::TimerIdle => timer(timeline.idle()),
        Number::TimerRequest => timer(timeline.request()),
        Number::TimerTq => timer(timeline.whole_request()),
        Number::TimerQueue => timer(timeline.queue()),
        Number::TimerConnect => timer(timeline.connect()),
        Number::TimerResponse => timer(timeline.response()),
        Number::TimerData => timer(timeline.data(now)),
        Number::TimerActive => timeline.active(now) as i64,
        Number::TimerTotal => timeline.total(now) as i64,
        Number::TimerUser => timeline.user(now) as i64,
        _ => return None,
    })
}

fn transaction(view: &SessionView<'_>, which: Number) -> Option<i64> {
    let transaction = view.transaction?;
    let known = |status: u16| (status > 0).then_some(i64::from(status));
    Some(match which {
        Number::RequestBytesIn => transaction.bytes.from_client.get() as i64,
        Number::RequestBytesOut => transaction.bytes.to_server.get() as i64,
        Number::ResponseBytesIn => transaction.bytes.from_server.get() as i64,
        Number::ResponseBytesOut => transaction.bytes.to_client.get() as i64,
        Number::Status => return known(transaction.status.get()),
        Number::ServerStatus => return known(transaction.server_status.get()),
        Number::Retries => transaction.retries.get().into(),
        Number::Redispatched => transaction.redispatched.get().into(),
        Number::ServerQueueAhead => transaction.server_queue.get().into(),
        Number::BackendQueueAhead => transaction.backend_queue.get().into(),
        Number::LoggedEarly => transaction.logged_early.get().into(),
        Number::PriorityClass => transaction.priority.get().class.into(),
        Number::PriorityOffset => transaction.priority.get().offset.into(),
        Number::BackHttpMajor => match transaction.back_http_major.get() {
            0 => return None,
            major => major.into(),
        },
        Number::FirstRequest => view.http?.first.into(),
        Number::BackGlitches => transaction.back_glitches.get().into(),
        Number::BackReused => transaction.reused.get().into(),
        Number::LastRuleLine => {
            let place = transaction.last_rule.borrow();
            return place.as_deref()?.rsplit_once(':')?.1.parse().ok();
        }
        Number::CacheHit => view.http?.cache.is_some().into(),
        Number::Compressed => view.http?.compressed.is_some().into(),
        _ => return None,
    })
}

fn socket(view: &SessionView<'_>, which: Number) -> Option<i64> {
    let front = || view.client?.socket().tcp_info();
    let back = || view.server?.socket().tcp_info();
    let field: (Option<TcpInfo>, fn(TcpInfo) -> u32) = match which {
        Number::FrontRtt => (front(), |info| info.rtt),
        Number::FrontRttVariance => (front(), |info| info.rtt_variance),
        Number::FrontUnacked => (front(), |info| info.unacked),
        Number::FrontSacked => (front(), |info| info.sacked),
        Number::FrontLost => (front(), |info| info.lost),
        Number::FrontRetransmits => (front(), |info| info.retransmits),
        Number::FrontFackets => (front(), |info| info.fackets),
        Number::FrontReordering => (front(), |info| info.reordering),
        Number::BackRtt => (back(), |info| info.rtt),
        Number::BackRttVariance => (back(), |info| info.rtt_variance),
        _ => return None,
    };
    field.0.map(|info| i64::from(field.1(info)))
}

fn timeout(view: &SessionView<'_>, which: Number) -> Option<i64> {
    let generation = &view.connection.generation;
    let front = view.connection.frontend().timeouts;
    let backend = view.transaction.and_then(Transaction::backend);
    let back = backend.map_or(front, |id| generation.proxy(id).timeouts);
    let overrides = view
        .transaction
        .map(|transaction| transaction.timeouts.get())
        .unwrap_or_default();
    let value: Option<Millis> = match which {
        Number::FrontendClientTimeout => front.client,
        Number::FrontendTarpitTimeout => front.tarpit.or(front.connect),
        Number::CurrentClientTimeout => overrides.client.or(front.client),
        Number::BackendConnectTimeout => back.connect,
        Number::CurrentConnectTimeout => overrides.connect.or(back.connect),
        Number::BackendQueueTimeout => back.queue.or(back.connect),
        Number::CurrentQueueTimeout => overrides.queue.or(back.queue).or(back.connect),
        Number::BackendServerTimeout => back.server,
        Number::CurrentServerTimeout => overrides.server.or(back.server),
        Number::BackendTarpitTimeout => back.tarpit.or(back.connect),
        Number::CurrentTarpitTimeout => overrides.tarpit.or(back.tarpit).or(back.connect),
        Number::BackendTunnelTimeout => back.tunnel,
        Number::CurrentTunnelTimeout => overrides.tunnel.or(back.tunnel),
        Number::BackendMaxRetries | Number::CurrentMaxRetries => {
            let set = view
                .transaction
                .and_then(|transaction| transaction.back.get().retries);
            if let (Number::CurrentMaxRetries, Some(retries)) = (which, set) {
                return Some(retries.into());
            }
            let id = backend.unwrap_or(view.connection.frontend);
            return Some(generation.proxy(id).retries.into());
        }
        _ => return None,
    };
    value.map(|value| value.0 as i64)
}

/// Whether an address belongs to this machine: binding to it is allowed.
fn is_local(address: std::net::IpAddr) -> bool {
    std::net::UdpSocket::bind((address, 0)).is_ok()
}
