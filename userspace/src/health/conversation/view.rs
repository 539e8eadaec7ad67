//! What the expressions of a check can read: names, the check's variables, and what the server said.

use std::net::SocketAddr;

use super::expect::rendered;
use super::http::Received;
use crate::clock;
use crate::expr::{
    Address, BackendNumber, Body, Buffer, Data, Direction, Fetched, Number, Scope, ServerNumber,
    Text, VariableMap, Variables, View,
};
use crate::proto::http::Head;
use crate::state::{Running, WEIGHT_SCALE};
use crate::types::ServerId;

/// A check at the moment an expression is evaluated.
pub(super) struct CheckView<'a> {
    pub(super) running: &'a Running,
    pub(super) server: ServerId,
    pub(super) variables: &'a VariableMap,
    /// Where the check is connected to.
    pub(super) destination: Option<SocketAddr>,
    /// The HTTP response, in HTTP checks.
    pub(super) response: Option<&'a Received>,
    /// The bytes received, in TCP checks.
    pub(super) received: &'a [u8],
    /// The unique id is being made, and cannot be part of itself.
    pub(super) making_id: bool,
}

impl View for CheckView<'_> {
    fn address(&self, which: Address) -> Option<SocketAddr> {
        match which {
            Address::Destination | Address::BackDestination => self.destination,
            _ => None,
        }
    }

    fn number(&self, which: Number) -> Option<i64> {
        let model = &self.running.model;
        let server = model.server(self.server);
        match which {
            Number::BackendId => Some(model.proxy(server.proxy).number.into()),
            Number::ServerId => Some(server.number.into()),
            Number::Pid => Some(std::process::id().into()),
            _ => None,
        }
    }

    fn text(&self, which: Text) -> Option<Data<'_>> {
        let model = &self.running.model;
        let server = model.server(self.server);
        match which {
            Text::BackendName => Some(model.proxy(server.proxy).name.as_str().into()),
            Text::ServerName => Some(server.name.as_str().into()),
            Text::UniqueId if !self.making_id => {
                let format = model.proxy(server.proxy).unique_id_format.as_ref()?;
                let view = CheckView {
                    making_id: true,
                    ..*self
                };
                Some(rendered(format, &view).into())
            }
            _ => None,
        }
    }

    fn head(&self, direction: Direction) -> Fetched<&Head> {
        match (direction, self.response) {
            (Direction::Response, Some(received)) if received.has_head() => {
                Fetched::Value(&received.head)
            }
            _ => Fetched::Absent,
        }
    }

    fn buffer(&self, direction: Direction) -> Option<Buffer<'_>> {
        (direction == Direction::Response).then_some(Buffer {
            bytes: self.received,
            may_grow: false,
        })
    }

    fn body(&self, direction: Direction) -> Option<Body<'_>> {
        let received = self.response.filter(|_| direction == Direction::Response)?;
        Some(Body {
            bytes: &received.body,
            size: received.body.len() as u64,
            complete: received.is_complete(),
        })
    }

    fn backend_number(&self, backend: Option<&str>, which: BackendNumber) -> Option<i64> {
        let Running { model, state } = self.running;
        let proxy = match backend {
            Some(name) => model.backend_named(name)?,
            None => model.proxy(model.server(self.server).proxy),
        };
        let live = &state.proxy(proxy.id).backend;
        Some(match which {
            BackendNumber::Connections => live.current.current().into(),
            BackendNumber::SessionRate => live.rate.read(clock::now()).into(),
            BackendNumber::UsableServers => {
                let usable = state.usable_servers(model, proxy.id);
                let used = if usable.active > 0 {
                    usable.active
                } else {
                    usable.backup
                };
                used.into()
            }
            BackendNumber::Queue => {
                let servers = proxy
                    .servers
                    .iter()
                    .map(|id| state.server(id).queue.current());
                i64::from(live.queue.current() + servers.sum::<u32>())
            }
            BackendNumber::ConnectionsFree | BackendNumber::ConnectionSlots => return None,
        })
    }

    fn server_number(
        &self,
        backend: Option<&str>,
        server: &str,
        which: ServerNumber,
    ) -> Option<i64> {
        let Running { model, state } = self.running;
        let own = &model.proxy(model.server(self.server).proxy).name;
        let id = model.server_named(backend.unwrap_or(own), server)?.id;
        let live = state.server(id);
        let connections = i64::from(live.current.current());
        Some(match which {
            ServerNumber::Connections => connections,
            ServerNumber::ConnectionsFree => live
                .maxconn()
                .map_or(-1, |most| i64::from(most) - connections),
            ServerNumber::IsUp => live.accepts_persistent().into(),
            ServerNumber::InitialWeight => live.initial_weight().into(),
            ServerNumber::UserWeight => live.user_weight().into(),
            ServerNumber::Weight => live.effective_weight().div_ceil(WEIGHT_SCALE).into(),
            ServerNumber::Queue => live.queue.current().into(),
            ServerNumber::SessionRate => live.rate.read(clock::now()).into(),
        })
    }

    fn variables(&self, scope: Scope) -> Option<&dyn Variables> {
        match scope {
            Scope::Check => Some(self.variables),
            Scope::Process => Some(&*self.running.state.variables),
            _ => None,
        }
    }
}
