//! Where each stored datum of a table lives inside an entry.
//!
//! A table's `store` list becomes a [`Layout`] once; entries are then plain arrays. The order of [`Kind`] is the order of
//! `show table`'s columns.

use crate::expr::StickData;

/// A kind of datum; arrays are one kind with several elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(usize)]
pub enum Kind {
    /// `server_id`
    ServerId,
    /// `gpt0`
    Gpt0,
    /// `gpc0`
    Gpc0,
    /// `gpc0_rate`
    Gpc0Rate,
    /// `conn_cnt`
    ConnCnt,
    /// `conn_rate`
    ConnRate,
    /// `conn_cur`
    ConnCur,
    /// `sess_cnt`
    SessCnt,
    /// `sess_rate`
    SessRate,
    /// `http_req_cnt`
    HttpReqCnt,
    /// `http_req_rate`
    HttpReqRate,
    /// `http_err_cnt`
    HttpErrCnt,
    /// `http_err_rate`
    HttpErrRate,
    /// `bytes_in_cnt`
    BytesInCnt,
    /// `bytes_in_rate`
    BytesInRate,
    /// `bytes_out_cnt`
    BytesOutCnt,
    /// `bytes_out_rate`
    BytesOutRate,
    /// `gpc1`
    Gpc1,
    /// `gpc1_rate`
    Gpc1Rate,
    /// `server_key`: the server's name.
    ServerKey,
    /// `http_fail_cnt`
    HttpFailCnt,
    /// `http_fail_rate`
    HttpFailRate,
    /// `gpt(n)`
    GptArray,
    /// `gpc(n)`
    GpcArray,
    /// `gpc_rate(n, period)`
    GpcRateArray,
    /// `glitch_cnt`
    GlitchCnt,
    /// `glitch_rate`
    GlitchRate,
}

impl Kind {
    /// The word after `data.` and in `show table`.
    pub const fn name(self) -> &'static str {
        NAMES[self as usize].1
    }

    /// The kind a word names.
    pub fn named(name: &str) -> Option<Self> {
        NAMES
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(kind, _)| *kind)
    }

    /// True for rates over a period.
    pub const fn is_rate(self) -> bool {
        matches!(
            self,
            Self::Gpc0Rate
                | Self::Gpc1Rate
                | Self::GpcRateArray
                | Self::ConnRate
                | Self::SessRate
                | Self::HttpReqRate
                | Self::HttpErrRate
                | Self::HttpFailRate
                | Self::BytesInRate
                | Self::BytesOutRate
                | Self::GlitchRate
        )
    }

    /// True for arrays, whose elements are named by an index.
    pub const fn is_array(self) -> bool {
        matches!(self, Self::GptArray | Self::GpcArray | Self::GpcRateArray)
    }

    const fn of(data: StickData) -> (Self, u8, u64) {
        match data {
            StickData::ServerId => (Self::ServerId, 1, 0),
            StickData::ServerKey => (Self::ServerKey, 1, 0),
            StickData::Gpt0 => (Self::Gpt0, 1, 0),
            StickData::Gpt(length) => (Self::GptArray, length, 0),
            StickData::Gpc0 => (Self::Gpc0, 1, 0),
            StickData::Gpc0Rate(period) => (Self::Gpc0Rate, 1, period.0),
            StickData::Gpc1 => (Self::Gpc1, 1, 0),
            StickData::Gpc1Rate(period) => (Self::Gpc1Rate, 1, period.0),
            StickData::Gpc(length) => (Self::GpcArray, length, 0),
            StickData::GpcRate(length, period) => (Self::GpcRateArray, length, period.0),
            StickData::ConnCnt => (Self::ConnCnt, 1, 0),
            StickData::ConnRate(period) => (Self::ConnRate, 1, period.0),
            StickData::ConnCur => (Self::ConnCur, 1, 0),
            StickData::SessCnt => (Self::SessCnt, 1, 0),
            StickData::SessRate(period) => (Self::SessRate, 1, period.0),
            StickData::HttpReqCnt => (Self::HttpReqCnt, 1, 0),
            StickData::HttpReqRate(period) => (Self::HttpReqRate, 1, period.0),
            StickData::HttpErrCnt => (Self::HttpErrCnt, 1, 0),
            StickData::HttpErrRate(period) => (Self::HttpErrRate, 1, period.0),
            StickData::HttpFailCnt => (Self::HttpFailCnt, 1, 0),
            StickData::HttpFailRate(period) => (Self::HttpFailRate, 1, period.0),
            StickData::BytesInCnt => (Self::BytesInCnt, 1, 0),
            StickData::BytesInRate(period) => (Self::BytesInRate, 1, period.0),
            StickData::BytesOutCnt => (Self::BytesOutCnt, 1, 0),
            StickData::BytesOutRate(period) => (Self::BytesOutRate, 1, period.0),
            StickData::GlitchCnt => (Self::GlitchCnt, 1, 0),
            StickData::GlitchRate(period) => (Self::GlitchRate, 1, period.0),
        }
    }
}

/// One stored datum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// What it is.
    pub kind: Kind,
    /// Its elements; 1 but for arrays.
    pub length: u8,
    /// The period of a rate, in milliseconds; 0 for other kinds.
    pub period: u64,
    /// The position of its first element among the values, or among the rates.
    pub(super) at: usize,
}

/// Every stored datum of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    slots: [Option<Slot>; KINDS],
    /// Counters and tags of an entry.
    pub(super) values: usize,
    /// Rates of an entry.
    pub(super) rates: usize,
}

impl Layout {
    /// The layout of a `store` list; a datum named twice is stored once.
    pub fn new(data: &[StickData]) -> Self {
        let mut layout = Self {
            slots: [None; KINDS],
            values: 0,
            rates: 0,
        };
        for (kind, length, period) in data.iter().map(|data| Kind::of(*data)) {
            if layout.slots[kind as usize].is_some() {
                continue;
            }
            let end = if kind.is_rate() {
                &mut layout.rates
            } else {
                &mut layout.values
            };
            layout.slots[kind as usize] = Some(Slot {
                kind,
                length,
                period,
                at: *end,
            });
            *end += usize::from(length);
        }
        layout
    }

    /// Where a kind is stored, if it is.
    pub fn slot(&self, kind: Kind) -> Option<Slot> {
        self.slots[kind as usize]
    }

    /// Every stored kind, in the order of `show table`.
    pub fn slots(&self) -> impl Iterator<Item = Slot> {
        self.slots.iter().copied().flatten()
    }
}

const KINDS: usize = Kind::GlitchRate as usize + 1;

const NAMES: [(Kind, &str); KINDS] = [
    (Kind::ServerId, "server_id"),
    (Kind::Gpt0, "gpt0"),
    (Kind::Gpc0, "gpc0"),
    (Kind::Gpc0Rate, "gpc0_rate"),
    (Kind::ConnCnt, "conn_cnt"),
    (Kind::ConnRate, "conn_rate"),
    (Kind::ConnCur, "conn_cur"),
    (Kind::SessCnt, "sess_cnt"),
    (Kind::SessRate, "sess_rate"),
    (Kind::HttpReqCnt, "http_req_cnt"),
    (Kind::HttpReqRate, "http_req_rate"),
    (Kind::HttpErrCnt, "http_err_cnt"),
    (Kind::HttpErrRate, "http_err_rate"),
    (Kind::BytesInCnt, "bytes_in_cnt"),
    (Kind::BytesInRate, "bytes_in_rate"),
    (Kind::BytesOutCnt, "bytes_out_cnt"),
    (Kind::BytesOutRate, "bytes_out_rate"),
    (Kind::Gpc1, "gpc1"),
    (Kind::Gpc1Rate, "gpc1_rate"),
    (Kind::ServerKey, "server_key"),
    (Kind::HttpFailCnt, "http_fail_cnt"),
    (Kind::HttpFailRate, "http_fail_rate"),
    (Kind::GptArray, "gpt"),
    (Kind::GpcArray, "gpc"),
    (Kind::GpcRateArray, "gpc_rate"),
    (Kind::GlitchCnt, "glitch_cnt"),
    (Kind::GlitchRate, "glitch_rate"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Millis;

    #[test]
    fn names_stand_in_the_order_of_kinds() {
        for (position, (kind, name)) in NAMES.iter().enumerate() {
            assert_eq!(*kind as usize, position, "{name}");
            assert_eq!(Kind::named(name), Some(*kind));
        }
    }

    #[test]
    fn a_layout_places_counters_and_rates_apart() {
        let layout = Layout::new(&[
            StickData::ConnRate(Millis(10)),
            StickData::Gpc(3),
            StickData::Gpc0Rate(Millis(20)),
            StickData::ConnCnt,
            StickData::ConnCnt,
        ]);
        assert_eq!((layout.values, layout.rates), (4, 2));
        let kinds: Vec<_> = layout.slots().map(|slot| slot.kind.name()).collect();
        assert_eq!(kinds, ["gpc0_rate", "conn_cnt", "conn_rate", "gpc"]);
        assert_eq!(layout.slot(Kind::ConnCnt).map(|slot| slot.at), Some(3));
        assert_eq!(layout.slot(Kind::SessCnt), None);
    }
}
