//! Lookups of the input in a stick table (`in_table`, `table_*`).

use super::{Arguments, Converter, Output, Run};
use crate::expr::SampleType;
use crate::expr::StickOperation as Op;
use crate::expr::args::ArgKind;
use crate::expr::fetch::{Stick, check_index};

pub(super) const CONVERTERS: &[Converter] = &[
    Converter {
        output: Output::Type(SampleType::Bool),
        ..ask(
            "in_table",
            "Whether the table has the key.",
            Stick::Flag(Op::Exists),
        )
    },
    ask(
        "table_bytes_in_rate",
        "The client-to-server bytes rate.",
        Stick::Ask(Op::BytesInRate),
    ),
    ask(
        "table_bytes_out_rate",
        "The server-to-client bytes rate.",
        Stick::Ask(Op::BytesOutRate),
    ),
    ask(
        "table_clr_gpc0",
        "Clears gpc0 and yields its former value.",
        Stick::Ask(Op::ClearGpc0),
    ),
    ask(
        "table_clr_gpc1",
        "Clears gpc1 and yields its former value.",
        Stick::Ask(Op::ClearGpc1),
    ),
    ask(
        "table_conn_cnt",
        "The number of connections.",
        Stick::Ask(Op::ConnCnt),
    ),
    ask(
        "table_conn_cur",
        "The number of concurrent connections.",
        Stick::Ask(Op::ConnCur),
    ),
    ask(
        "table_conn_rate",
        "The connection rate.",
        Stick::Ask(Op::ConnRate),
    ),
    ask(
        "table_glitch_cnt",
        "The number of glitches.",
        Stick::Ask(Op::GlitchCnt),
    ),
    ask(
        "table_glitch_rate",
        "The glitch rate.",
        Stick::Ask(Op::GlitchRate),
    ),
    ask("table_gpc0", "The counter gpc0.", Stick::Ask(Op::Gpc0)),
    ask(
        "table_gpc0_rate",
        "The rate of gpc0.",
        Stick::Ask(Op::Gpc0Rate),
    ),
    ask("table_gpc1", "The counter gpc1.", Stick::Ask(Op::Gpc1)),
    ask(
        "table_gpc1_rate",
        "The rate of gpc1.",
        Stick::Ask(Op::Gpc1Rate),
    ),
    ask("table_gpt0", "The tag gpt0.", Stick::Ask(Op::Gpt0)),
    ask(
        "table_http_err_cnt",
        "The number of HTTP errors.",
        Stick::Ask(Op::HttpErrCnt),
    ),
    ask(
        "table_http_err_rate",
        "The rate of HTTP errors.",
        Stick::Ask(Op::HttpErrRate),
    ),
    ask(
        "table_http_fail_cnt",
        "The number of HTTP failures.",
        Stick::Ask(Op::HttpFailCnt),
    ),
    ask(
        "table_http_fail_rate",
        "The rate of HTTP failures.",
        Stick::Ask(Op::HttpFailRate),
    ),
    ask(
        "table_http_req_cnt",
        "The number of HTTP requests.",
        Stick::Ask(Op::HttpReqCnt),
    ),
    ask(
        "table_http_req_rate",
        "The rate of HTTP requests.",
        Stick::Ask(Op::HttpReqRate),
    ),
    ask(
        "table_inc_gpc0",
        "Increments gpc0 and yields its new value.",
        Stick::Ask(Op::IncrementGpc0),
    ),
    ask(
        "table_inc_gpc1",
        "Increments gpc1 and yields its new value.",
        Stick::Ask(Op::IncrementGpc1),
    ),
    ask(
        "table_kbytes_in",
        "The client-to-server kilobytes.",
        Stick::Kilo(Op::BytesIn),
    ),
    ask(
        "table_kbytes_out",
        "The server-to-client kilobytes.",
        Stick::Kilo(Op::BytesOut),
    ),
    ask(
        "table_server_id",
        "The server's id, 0 for none.",
        Stick::Ask(Op::ServerId),
    ),
    ask(
        "table_sess_cnt",
        "The number of sessions.",
        Stick::Ask(Op::SessCnt),
    ),
    ask(
        "table_sess_rate",
        "The session rate.",
        Stick::Ask(Op::SessRate),
    ),
    ask(
        "table_trackers",
        "How many connections track the key.",
        Stick::Ask(Op::Trackers),
    ),
    indexed(
        "table_clr_gpc",
        "Clears a counter and yields its former value.",
        Op::ClearGpc,
    ),
    indexed("table_gpc", "A counter of the gpc array.", Op::Gpc),
    indexed(
        "table_gpc_rate",
        "The rate of a counter of the gpc array.",
        Op::GpcRate,
    ),
    indexed("table_gpt", "A tag of the gpt array.", Op::Gpt),
    indexed(
        "table_inc_gpc",
        "Increments a counter and yields its new value.",
        Op::IncrementGpc,
    ),
    or_default(
        "table_expire",
        "Milliseconds until the entry expires.",
        Op::Expire,
    ),
    or_default(
        "table_idle",
        "Milliseconds since the entry was last updated.",
        Op::Idle,
    ),
];

const fn ask(name: &'static str, doc: &'static str, stick: Stick) -> Converter {
    Converter {
        name,
        args: Arguments::some(0, &[ArgKind::Table]),
        input: SampleType::Any,
        output: Output::Type(SampleType::Int),
        doc,
        run: Run::Table(stick),
        ..Converter::BASE
    }
}

const fn indexed(name: &'static str, doc: &'static str, operation: fn(u8) -> Op) -> Converter {
    Converter {
        args: Arguments::some(1, &[ArgKind::Int, ArgKind::Table]),
        compile: Some(check_index),
        ..ask(name, doc, Stick::Indexed(operation))
    }
}

const fn or_default(name: &'static str, doc: &'static str, operation: Op) -> Converter {
    Converter {
        args: Arguments::some(0, &[ArgKind::Table, ArgKind::Int]),
        ..ask(name, doc, Stick::OrDefault(operation))
    }
}
