//! What the expressions of a check can read: names, the check's variables, and what the server said.

use std::net::SocketAddr;

use super::http::Received;
use crate::expr::{
    Address, Body, Buffer, Data, Direction, Fetched, Number, Scope, Text, VariableMap, Variables,
    View,
};
use crate::proto::http::Head;
use crate::state::Running;
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

    fn variables(&self, scope: Scope) -> Option<&dyn Variables> {
        match scope {
            Scope::Check => Some(self.variables),
            Scope::Process => Some(&*self.running.state.variables),
            _ => None,
        }
    }
}
