//! What expressions see of a session: the one implementation of [`View`] for TCP and HTTP.
//!
//! Built for the moment of one evaluation from references to the connection, the transaction and whatever messages and
//! streams are at hand; what is not at hand is absent. It changes only what expressions may change: variables, captures,
//! counters.

mod numbers;
mod proxies;
mod tables;

use std::net::SocketAddr;

use super::connection::Connection;
use super::http::HttpFacts;
use super::password;
use super::transaction::{Captures, Transaction};
use crate::expr::{
    Address, BackendNumber, Body, Buffer, Data, Direction, Fetched, FrontendNumber, Inspection,
    Number, Sample, Scope, ServerNumber, Side, StickAnswer, StickOperation, TableNumber, Text, Tls,
    Variables, View,
};
use crate::model::Password;
use crate::net::Stream;
use crate::proto::http::Head;
use crate::types::ProxyId;

/// A session at the moment an expression is evaluated.
#[derive(Clone, Copy)]
pub struct SessionView<'a> {
    /// The client's connection.
    pub connection: &'a Connection,
    /// The request or TCP session; `None` for rules that come before there is one.
    pub transaction: Option<&'a Transaction>,
    /// The client's stream, for what only the socket knows.
    pub client: Option<&'a Stream>,
    /// The server's stream.
    pub server: Option<&'a Stream>,
    /// The request as far as it is there.
    pub request: MessageView<'a>,
    /// The response as far as it is there.
    pub response: MessageView<'a>,
    /// What is known of an HTTP request beside its head.
    pub http: Option<&'a HttpFacts>,
    /// Whether more of them may come.
    pub inspection: Inspection,
}

/// A message at the moment an expression is evaluated.
#[derive(Clone, Copy)]
pub struct MessageView<'a> {
    /// Its head.
    pub head: Fetched<&'a Head>,
    /// Its raw bytes (TCP mode).
    pub buffer: Option<Buffer<'a>>,
    /// Its body.
    pub body: Option<Body<'a>>,
}

impl MessageView<'_> {
    /// No message.
    pub const NONE: Self = Self {
        head: Fetched::Absent,
        buffer: None,
        body: None,
    };
}

impl<'a> SessionView<'a> {
    /// A view of the connection alone.
    pub const fn of(connection: &'a Connection) -> Self {
        Self {
            connection,
            transaction: None,
            client: None,
            server: None,
            request: MessageView::NONE,
            response: MessageView::NONE,
            http: None,
            inspection: Inspection::Over,
        }
    }

    /// The same with a transaction.
    #[must_use]
    pub const fn with(mut self, transaction: &'a Transaction) -> Self {
        self.transaction = Some(transaction);
        self
    }

    /// The proxy whose rules are running: the backend once there is one.
    fn proxy(&self) -> ProxyId {
        self.transaction
            .and_then(Transaction::backend)
            .unwrap_or(self.connection.frontend)
    }
}

impl View for SessionView<'_> {
    fn address(&self, which: Address) -> Option<SocketAddr> {
        let ends = self.connection.ends.get();
        let back = self
            .transaction
            .and_then(|transaction| transaction.back_ends.get());
        match which {
            Address::Source => ends.source,
            Address::Destination => ends.destination,
            Address::FrontSource => self.connection.own_ends().source,
            Address::FrontDestination => self.connection.own_ends().destination,
            Address::BackSource => back.map(|(source, _)| source),
            Address::BackDestination => back.map(|(_, destination)| destination),
        }
    }

    fn number(&self, which: Number) -> Option<i64> {
        numbers::number(self, which)
    }

    fn text(&self, which: Text) -> Option<Data<'_>> {
        numbers::text(self, which)
    }

    fn proxy_tlv(&self, kind: u8) -> Option<&[u8]> {
        self.connection.proxy_header.get()?.tlv(kind)
    }

    fn tls(&self, side: Side) -> Option<&dyn Tls> {
        match side {
            Side::Front => self.connection.tls.get().map(|tls| &**tls),
            Side::Back => self.transaction?.back_tls.get().map(|tls| &**tls),
        }
    }

    fn head(&self, direction: Direction) -> Fetched<&Head> {
        self.message(direction).head
    }

    fn buffer(&self, direction: Direction) -> Option<Buffer<'_>> {
        self.message(direction).buffer
    }

    fn body(&self, direction: Direction) -> Option<Body<'_>> {
        self.message(direction).body
    }

    fn inspection(&self) -> Inspection {
        self.inspection
    }

    fn variables(&self, scope: Scope) -> Option<&dyn Variables> {
        match scope {
            Scope::Process => Some(&*self.connection.generation.state().variables),
            Scope::Session => Some(&self.connection.variables),
            Scope::Transaction => Some(&self.transaction?.variables),
            Scope::Request => Some(&self.transaction?.request_variables),
            Scope::Response => Some(&self.transaction?.response_variables),
            Scope::Check
            | Scope::ParentSession
            | Scope::ParentTransaction
            | Scope::ParentRequest
            | Scope::ParentResponse => None,
        }
    }

    fn capture_slots(&self, direction: Direction) -> usize {
        let response = direction == Direction::Response;
        self.connection
            .frontend()
            .captures
            .iter()
            .filter(|slot| slot.response == response)
            .count()
    }

    fn capture(&self, direction: Direction, slot: usize) -> Option<Data<'_>> {
        let captures = self.captures(direction)?.borrow();
        let value = captures.get(slot)?.as_deref()?;
        Some(Data::from(value.to_vec()))
    }

    fn set_capture(&self, direction: Direction, slot: usize, value: &[u8]) -> bool {
        let response = direction == Direction::Response;
        let declared = self
            .connection
            .frontend()
            .captures
            .iter()
            .filter(|slot| slot.response == response)
            .nth(slot);
        let (Some(declared), Some(captures)) = (declared, self.captures(direction)) else {
            return false;
        };
        let mut captures = captures.borrow_mut();
        let Some(place) = captures.get_mut(slot) else {
            return false;
        };
        *place = Some(value[..value.len().min(declared.length)].into());
        true
    }

    fn tracked(&self, counter: u8, table: Option<&str>, operation: StickOperation) -> StickAnswer {
        tables::tracked(self, counter, table, operation)
    }

    fn tracked_key(&self, counter: u8) -> Option<Sample<'_>> {
        Some(tables::entry(self, counter)?.key().into_shared())
    }

    fn table(
        &self,
        table: Option<&str>,
        key: &Sample<'_>,
        operation: StickOperation,
    ) -> StickAnswer {
        tables::ask(self, table, key, operation)
    }

    fn table_number(&self, table: Option<&str>, which: TableNumber) -> Option<i64> {
        let table = tables::named(self, table)?;
        Some(i64::from(match which {
            TableNumber::Used => table.used(),
            TableNumber::Available => table.size().saturating_sub(table.used()),
        }))
    }

    fn frontend_number(&self, frontend: Option<&str>, which: FrontendNumber) -> Option<i64> {
        proxies::frontend_number(self, frontend, which)
    }

    fn backend_number(&self, backend: Option<&str>, which: BackendNumber) -> Option<i64> {
        proxies::backend_number(self, backend, which)
    }

    fn server_number(
        &self,
        backend: Option<&str>,
        server: &str,
        which: ServerNumber,
    ) -> Option<i64> {
        proxies::server_number(self, backend, server, which)
    }

    fn authenticates(&self, userlist: &str, user: &[u8], given: &[u8]) -> Option<bool> {
        let userlist = self.userlist(userlist)?;
        let known = userlist
            .users
            .iter()
            .find(|candidate| candidate.name.as_bytes() == user);
        Some(known.is_some_and(|user| match &user.password {
            Password::Clear(expected) => same_in_constant_time(expected.as_bytes(), given),
            Password::Crypt(hash) => password::verify(hash, given),
        }))
    }

    fn in_group(&self, userlist: &str, user: &[u8], group: &[u8]) -> bool {
        self.userlist(userlist).is_some_and(|userlist| {
            userlist
                .users
                .iter()
                .filter(|candidate| candidate.name.as_bytes() == user)
                .any(|user| user.groups.iter().any(|name| name.as_bytes() == group))
        })
    }
}

impl<'a> SessionView<'a> {
    const fn message(&self, direction: Direction) -> &MessageView<'a> {
        match direction {
            Direction::Request => &self.request,
            Direction::Response => &self.response,
        }
    }

    fn captures(&self, direction: Direction) -> Option<&'a Captures> {
        let transaction = self.transaction?;
        Some(match direction {
            Direction::Request => &transaction.request_captures,
            Direction::Response => &transaction.response_captures,
        })
    }

    fn userlist(&self, name: &str) -> Option<&crate::model::Userlist> {
        let lists = &self.connection.generation.model().userlists;
        lists
            .iter()
            .find(|list| list.name == name)
            .map(|list| &**list)
    }
}

/// Compares without telling by its duration where two secrets differ.
fn same_in_constant_time(a: &[u8], b: &[u8]) -> bool {
    let difference = a
        .iter()
        .zip(b)
        .fold(a.len() ^ b.len(), |difference, (a, b)| {
            difference | usize::from(a ^ b)
        });
    std::hint::black_box(difference) == 0
}
