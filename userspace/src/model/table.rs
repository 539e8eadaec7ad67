//! `stick-table` lines (manual §11.1 in 3.x, §4.2 `stick-table`).

use crate::expr::StickData;
use crate::types::{Millis, ProxyId, TableId};

/// One stick table.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its index in [`super::Model::tables`].
    pub id: TableId,
    /// Its name: that of the proxy it was declared in.
    pub name: String,
    /// The proxy it was declared in.
    pub proxy: Option<ProxyId>,
    /// What its keys are.
    pub key: TableKeyType,
    /// `size`: most entries.
    pub size: u32,
    /// `expire`: how long an untouched entry lives; `None` = for ever.
    pub expire: Option<Millis>,
    /// `nopurge`: a full table refuses new entries instead of dropping the oldest.
    pub nopurge: bool,
    /// `store`: what each entry keeps, in the order of the line.
    pub data: Vec<StickData>,
}

/// The type of a table's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableKeyType {
    /// `ip` (IPv4).
    Ip,
    /// `ipv6`.
    Ipv6,
    /// `integer`: 32 bits.
    Integer,
    /// `string [len N]`: cut to that many bytes (31 by default).
    String(usize),
    /// `binary [len N]`: cut or padded with zeros to that many bytes (32 by default).
    Binary(usize),
}
