//! How the values that are no plain counter are read.

use std::borrow::Cow;

use super::{Object, Row, Value, backend_status, clamp, server_status};
use crate::model::{BalanceKind, BindAddress, Mode, ServerAddress};
use crate::state::freq::SecondRate;
use crate::state::{Counter, FrontendStatus, Gauge, WEIGHT_SCALE};

type Read<'a> = Value<'a>;

pub(super) fn proxy_name<'a>(row: &Row<'a>) -> Read<'a> {
    Value::Text(Cow::Borrowed(&row.proxy().name))
}

pub(super) fn service_name<'a>(row: &Row<'a>) -> Read<'a> {
    Value::Text(match row.object {
        Object::Frontend(_) => "FRONTEND".into(),
        Object::Backend(_) => "BACKEND".into(),
        Object::Server(server) => Cow::Borrowed(&*server.name),
        Object::Listener(bind) => match &bind.name {
            Some(name) => Cow::Borrowed(&**name),
            None => format!("sock-{}", bind.number).into(),
        },
    })
}

pub(super) fn queue<'a>(row: &Row<'a>) -> Read<'a> {
    queue_gauge(row).map_or(Value::None, |gauge| Value::U32(gauge.current()))
}

pub(super) fn queue_highest<'a>(row: &Row<'a>) -> Read<'a> {
    queue_gauge(row).map_or(Value::None, |gauge| Value::U32(gauge.highest()))
}

pub(super) fn sessions<'a>(row: &Row<'a>) -> Read<'a> {
    Value::U32(session_gauge(row).current())
}

pub(super) fn sessions_highest<'a>(row: &Row<'a>) -> Read<'a> {
    Value::U32(session_gauge(row).highest())
}

pub(super) fn session_limit<'a>(row: &Row<'a>) -> Read<'a> {
    let state = &row.running.state;
    let limit = match row.object {
        Object::Frontend(proxy) => Some(state.proxy(proxy.id).frontend.maxconn()),
        Object::Backend(proxy) => proxy.fullconn,
        Object::Server(server) => state.server(server.id).maxconn(),
        Object::Listener(bind) => bind.maxconn,
    };
    limit.map_or(Value::None, Value::U32)
}

pub(super) fn status<'a>(row: &Row<'a>) -> Read<'a> {
    let (model, state) = (&row.running.model, &row.running.state);
    Value::Text(match row.object {
        Object::Frontend(_) | Object::Listener(_) => {
            match state.proxy(row.proxy().id).frontend.status() {
                FrontendStatus::Open => "OPEN",
                FrontendStatus::Paused => "STOP",
                FrontendStatus::Stopped => "STOP",
            }
            .into()
        }
        Object::Backend(proxy) => backend_status(state, proxy.id).into(),
        Object::Server(server) => server_status(model, state, server),
    })
}

pub(super) fn weight<'a>(row: &Row<'a>) -> Read<'a> {
    let state = &row.running.state;
    match row.object {
        Object::Server(server) => {
            let weight = state.server(server.id).effective_weight();
            Value::U32(weight.div_ceil(WEIGHT_SCALE))
        }
        Object::Backend(_) => Value::U32(
            usable(row)
                .map(|id| state.server(id).effective_weight())
                .sum::<u32>()
                / WEIGHT_SCALE,
        ),
        _ => Value::None,
    }
}

pub(super) fn user_weight<'a>(row: &Row<'a>) -> Read<'a> {
    let state = &row.running.state;
    match row.object {
        Object::Server(server) => Value::U32(state.server(server.id).user_weight().into()),
        Object::Backend(_) => Value::U32(
            usable(row)
                .map(|id| u32::from(state.server(id).user_weight()))
                .sum(),
        ),
        _ => Value::None,
    }
}

pub(super) fn active<'a>(row: &Row<'a>) -> Read<'a> {
    match row.object {
        Object::Server(server) => Value::U32(u32::from(!server.backup)),
        Object::Backend(proxy) => Value::U32(
            row.running
                .state
                .usable_servers(&row.running.model, proxy.id)
                .active,
        ),
        _ => Value::None,
    }
}

pub(super) fn backup<'a>(row: &Row<'a>) -> Read<'a> {
    match row.object {
        Object::Server(server) => Value::U32(u32::from(server.backup)),
        Object::Backend(proxy) => Value::U32(
            row.running
                .state
                .usable_servers(&row.running.model, proxy.id)
                .backup,
        ),
        _ => Value::None,
    }
}

pub(super) fn last_change<'a>(row: &Row<'a>) -> Read<'a> {
    let state = &row.running.state;
    let changed = match row.object {
        Object::Server(server) => state.server(server.id).last_change(),
        Object::Backend(proxy) => state.proxy(proxy.id).backend.last_change(),
        _ => return Value::None,
    };
    Value::U32(clamp(row.now.since(changed) / 1000))
}

/// Servers without checks have no such numbers.
pub(super) fn failed_checks<'a>(row: &Row<'a>) -> Read<'a> {
    checked(row, Counter::FailedChecks)
}

pub(super) fn went_down<'a>(row: &Row<'a>) -> Read<'a> {
    checked(row, Counter::WentDown)
}

fn checked<'a>(row: &Row<'a>, counter: Counter) -> Read<'a> {
    match row.object {
        Object::Server(server) if server.check.is_none() && server.track.is_none() => Value::None,
        _ => Value::U64(row.counters().sum(counter)),
    }
}

pub(super) fn downtime<'a>(row: &Row<'a>) -> Read<'a> {
    let state = &row.running.state;
    let milliseconds = match row.object {
        Object::Server(server) if server.check.is_some() => {
            state.server(server.id).downtime(row.now)
        }
        Object::Backend(proxy) if !proxy.servers.is_empty() => {
            state.proxy(proxy.id).backend.downtime(row.now)
        }
        _ => return Value::None,
    };
    Value::U32(clamp(milliseconds / 1000))
}

pub(super) fn last_session<'a>(row: &Row<'a>) -> Read<'a> {
    let state = &row.running.state;
    let age = match row.object {
        Object::Server(server) => state.server(server.id).last_session_age(row.now),
        Object::Backend(proxy) => state.proxy(proxy.id).backend.last_session_age(row.now),
        _ => return Value::None,
    };
    Value::S32(age.map_or(-1, |seconds| i32::try_from(seconds).unwrap_or(i32::MAX)))
}

pub(super) fn queue_limit<'a>(row: &Row<'a>) -> Read<'a> {
    match row.object {
        Object::Server(server) => server.maxqueue.map_or(Value::None, Value::U32),
        _ => Value::None,
    }
}

pub(super) fn process<'a>(_: &Row<'a>) -> Read<'a> {
    Value::U32(1)
}

pub(super) fn proxy_number<'a>(row: &Row<'a>) -> Read<'a> {
    Value::U32(row.proxy().number)
}

pub(super) fn number<'a>(row: &Row<'a>) -> Read<'a> {
    Value::U32(row.number())
}

pub(super) fn kind<'a>(row: &Row<'a>) -> Read<'a> {
    Value::U32(row.kind() as u32)
}

pub(super) fn throttle<'a>(row: &Row<'a>) -> Read<'a> {
    match row.object {
        Object::Server(server) => {
            let slowstart = server.slowstart.map(|time| time.0);
            let percent = row
                .running
                .state
                .server(server.id)
                .throttle(slowstart, row.now);
            percent.map_or(Value::None, |percent| Value::U32(percent.into()))
        }
        _ => Value::None,
    }
}

pub(super) fn tracked<'a>(row: &Row<'a>) -> Read<'a> {
    match row.object {
        Object::Server(server) => server.track.map_or(Value::None, |id| {
            let tracked = row.running.model.server(id);
            let backend = &row.running.model.proxy(tracked.proxy).name;
            Value::Text(format!("{backend}/{}", tracked.name).into())
        }),
        _ => Value::None,
    }
}

pub(super) fn rate<'a>(row: &Row<'a>) -> Read<'a> {
    session_rate(row).map_or(Value::None, |rate| Value::U32(rate.read(row.now)))
}

pub(super) fn rate_highest<'a>(row: &Row<'a>) -> Read<'a> {
    session_rate(row).map_or(Value::None, |rate| Value::U32(rate.highest(row.now)))
}

pub(super) fn rate_limit<'a>(row: &Row<'a>) -> Read<'a> {
    Value::U32(row.proxy().rate_limit_sessions.unwrap_or(0))
}

pub(super) fn request_rate<'a>(row: &Row<'a>) -> Read<'a> {
    http_frontend(row).map_or(Value::None, |front| {
        Value::U32(front.request_rate.read(row.now))
    })
}

pub(super) fn request_rate_highest<'a>(row: &Row<'a>) -> Read<'a> {
    http_frontend(row).map_or(Value::None, |front| {
        Value::U32(front.request_rate.highest(row.now))
    })
}

pub(super) fn connection_rate<'a>(row: &Row<'a>) -> Read<'a> {
    let rate = &row
        .running
        .state
        .proxy(row.proxy().id)
        .frontend
        .connection_rate;
    Value::U32(rate.read(row.now))
}

pub(super) fn connection_rate_highest<'a>(row: &Row<'a>) -> Read<'a> {
    let rate = &row
        .running
        .state
        .proxy(row.proxy().id)
        .frontend
        .connection_rate;
    Value::U32(rate.highest(row.now))
}

pub(super) fn address<'a>(row: &Row<'a>) -> Read<'a> {
    Value::Text(match row.object {
        Object::Server(server) => match row.running.state.server(server.id).address() {
            ServerAddress::Inet { address, .. } => address.to_string().into(),
            ServerAddress::Unresolved { .. } => return Value::None,
            ServerAddress::Reverse => "rhttp@".into(),
            _ => "unix".into(),
        },
        Object::Listener(bind) => match &bind.address {
            BindAddress::Tcp(address) | BindAddress::Udp(address) => address.to_string().into(),
            BindAddress::PortRange { first, last, .. } => format!("{first}-{last}").into(),
            BindAddress::Network {
                network,
                first,
                last,
                ..
            } => format!("{network}:{first}-{last}").into(),
            BindAddress::Inherited(number) => format!("fd@{number}").into(),
            BindAddress::Reverse {
                backend, server, ..
            } => format!("rhttp@{backend}/{server}").into(),
            _ => "unix".into(),
        },
        _ => return Value::None,
    })
}

pub(super) fn cookie<'a>(row: &Row<'a>) -> Read<'a> {
    let text = match row.object {
        Object::Server(server) => {
            let cookie = row.proxy().cookie.as_ref();
            crate::state::cookie_value(cookie, server, || {
                row.running.state.server(server.id).address()
            })
        }
        Object::Backend(proxy) => proxy
            .cookie
            .as_ref()
            .map(|cookie| Cow::Borrowed(&*cookie.name)),
        _ => None,
    };
    text.map_or(Value::None, Value::Text)
}

pub(super) fn mode<'a>(row: &Row<'a>) -> Read<'a> {
    Value::Text(
        match row.proxy().mode {
            Mode::Tcp => "tcp",
            Mode::Http => "http",
            Mode::L4 => "l4",
            Mode::Log => "log",
            Mode::Syslog => "syslog",
        }
        .into(),
    )
}

pub(super) fn algorithm<'a>(row: &Row<'a>) -> Read<'a> {
    Value::Text(
        match &row.proxy().balance.kind {
            BalanceKind::RoundRobin => "roundrobin",
            BalanceKind::StaticRoundRobin => "static-rr",
            BalanceKind::LeastConnections => "leastconn",
            BalanceKind::First => "first",
            BalanceKind::Source => "source",
            BalanceKind::Uri(_) => "uri",
            BalanceKind::UrlParameter { .. } => "url_param",
            BalanceKind::Header { .. } => "hdr",
            BalanceKind::Random { .. } => "random",
            BalanceKind::RdpCookie(_) => "rdp-cookie",
            BalanceKind::Hash(_) => "hash",
            BalanceKind::LogHash(_) => "log-hash",
            BalanceKind::Sticky => "sticky",
            BalanceKind::Maglev => "maglev",
        }
        .into(),
    )
}

pub(super) fn idle<'a>(row: &Row<'a>) -> Read<'a> {
    server_connections(row, |of| of.idle_safe.current() + of.idle_unsafe.current())
}

pub(super) fn idle_unsafe<'a>(row: &Row<'a>) -> Read<'a> {
    server_connections(row, |of| of.idle_unsafe.current())
}

pub(super) fn idle_safe<'a>(row: &Row<'a>) -> Read<'a> {
    server_connections(row, |of| of.idle_safe.current())
}

pub(super) fn in_use<'a>(row: &Row<'a>) -> Read<'a> {
    server_connections(row, |of| of.used.current())
}

pub(super) fn needed<'a>(row: &Row<'a>) -> Read<'a> {
    server_connections(row, |of| of.used.highest())
}

pub(super) fn pool_limit<'a>(row: &Row<'a>) -> Read<'a> {
    match row.object {
        Object::Server(server) => server.pool_max.map_or(Value::None, Value::U32),
        _ => Value::None,
    }
}

/// A column HAProxy's header has and this program has nothing to put in.
pub(super) fn nothing<'a>(_: &Row<'a>) -> Read<'a> {
    Value::None
}

pub(super) fn protocol<'a>(row: &Row<'a>) -> Read<'a> {
    Value::Text(
        match row.object {
            Object::Listener(bind) => match &bind.address {
                BindAddress::Tcp(address) if address.is_ipv4() => "tcpv4",
                BindAddress::Tcp(_) => "tcpv6",
                BindAddress::Udp(_) | BindAddress::PortRange { udp: true, .. } => "udp",
                BindAddress::Network { udp: true, .. } => "udp",
                BindAddress::PortRange { .. } | BindAddress::Network { .. } => "tcp",
                BindAddress::Inherited(_) => "fd",
                BindAddress::Reverse { .. } => "rev",
                _ => "unix_stream",
            },
            _ => return Value::None,
        }
        .into(),
    )
}

fn usable<'a>(row: &Row<'a>) -> impl Iterator<Item = crate::types::ServerId> + 'a {
    let state = &row.running.state;
    row.proxy()
        .servers
        .iter()
        .filter(move |id| state.server(*id).is_usable())
}

fn session_gauge<'a>(row: &Row<'a>) -> &'a Gauge {
    let state = &row.running.state;
    match row.object {
        Object::Frontend(proxy) => &state.proxy(proxy.id).frontend.current,
        Object::Backend(proxy) => &state.proxy(proxy.id).backend.current,
        Object::Server(server) => &state.server(server.id).current,
        Object::Listener(bind) => &state.listener(bind.id).current,
    }
}

fn queue_gauge<'a>(row: &Row<'a>) -> Option<&'a Gauge> {
    let state = &row.running.state;
    match row.object {
        Object::Backend(proxy) => Some(&state.proxy(proxy.id).backend.queue),
        Object::Server(server) => Some(&state.server(server.id).queue),
        _ => None,
    }
}

fn session_rate<'a>(row: &Row<'a>) -> Option<&'a SecondRate> {
    let state = &row.running.state;
    match row.object {
        Object::Frontend(proxy) => Some(&state.proxy(proxy.id).frontend.session_rate),
        Object::Backend(proxy) => Some(&state.proxy(proxy.id).backend.rate),
        Object::Server(server) => Some(&state.server(server.id).rate),
        Object::Listener(_) => None,
    }
}

fn http_frontend<'a>(row: &Row<'a>) -> Option<&'a crate::state::FrontendState> {
    let proxy = row.proxy();
    (proxy.mode == Mode::Http).then(|| &row.running.state.proxy(proxy.id).frontend)
}

fn server_connections<'a>(
    row: &Row<'a>,
    read: fn(&crate::state::server::ServerConnections) -> u32,
) -> Read<'a> {
    match row.object {
        Object::Server(server) => {
            Value::U32(read(&row.running.state.server(server.id).connections))
        }
        _ => Value::None,
    }
}
