//! Newtypes for every id and unit that crosses a room's border.
//!
//! Ids are indexes valid within one [`crate::model::Model`]; they never outlive its generation. Units live in types,
//! not in suffixes. Nothing here has behaviour beyond conversion and display, but for the one table ([`Roster`]) that grows
//! while it is read.

mod roster;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

pub use roster::{Roster, RosterFull};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub u32);

        impl $name {
            /// The id as an index into the model's or the state's table.
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}

id! {
    /// A proxy: index into `Model::proxies`.
    ProxyId
}
id! {
    /// A server: index into `Model::servers`.
    ServerId
}
id! {
    /// A bind line (one address of it): index into `Model::binds`.
    BindId
}
id! {
    /// A stick table: index into `Model::tables`.
    TableId
}

/// A length of time in milliseconds, the resolution of HAProxy's timers (manual §2.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Millis(pub u64);

impl Millis {
    /// As the standard library's duration.
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}ms", self.0)
    }
}

/// A server's weight: 0 to 256 (manual §5.2 `weight`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Weight(pub u16);

/// The address a connection came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Client(pub SocketAddr);

/// The address a connection was made to, as the client saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Target(pub SocketAddr);
