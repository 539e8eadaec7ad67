//! Internal states: the process, the stream, variables, live numbers of proxies and servers (manual §7.3.2).

use super::{
    Arg, Arguments, BackendNumber, Fetch, Fetched, FrontendNumber, Needs, Number, Parsing, Read,
    Sample, SampleType, ServerNumber, Text, View, flag, int, number, text,
};
use crate::expr::acl::Outcome;
use crate::expr::args::ArgKind;
use crate::expr::condition;
use crate::expr::{Inspection, Scope, VariableName};

pub(super) const FETCHES: &[Fetch] = &[
    Fetch {
        name: "acl",
        args: Arguments::some(1, &[ArgKind::Text; 12]),
        output: SampleType::Bool,
        doc: "True where all the named ACLs match.",
        read: Read::One(acls),
        compile: Some(compile_acls),
        ..Fetch::BASE
    },
    number(
        "act_conn",
        Needs::INTERNAL,
        Number::ActiveConnections,
        "Connections of the whole process.",
    ),
    Fetch {
        name: "always_false",
        output: SampleType::Bool,
        doc: "False.",
        read: Read::One(|_, _| Fetched::Value(Sample::Bool(false))),
        ..Fetch::BASE
    },
    Fetch {
        name: "always_true",
        output: SampleType::Bool,
        doc: "True.",
        read: Read::One(|_, _| Fetched::Value(Sample::Bool(true))),
        ..Fetch::BASE
    },
    // --- process ---
    Fetch {
        name: "pid",
        doc: "The process's id.",
        read: Read::One(|view, _| Fetched::Value(Sample::Int(process_id(view)))),
        ..Fetch::BASE
    },
    Fetch {
        name: "proc",
        aliases: &["nbproc"],
        doc: "1.",
        read: Read::One(|_, _| Fetched::Value(Sample::Int(1))),
        ..Fetch::BASE
    },
    Fetch {
        name: "quic_enabled",
        output: SampleType::Bool,
        doc: "Whether QUIC listeners can be used.",
        read: Read::One(|_, _| Fetched::Value(Sample::Bool(false))),
        ..Fetch::BASE
    },
    flag(
        "stopping",
        Needs::INTERNAL,
        Number::Stopping,
        "Whether the process is stopping.",
    ),
    number(
        "thread",
        Needs::INTERNAL,
        Number::Thread,
        "The calling thread, from 0.",
    ),
    number(
        "tgroup",
        Needs::INTERNAL,
        Number::ThreadGroup,
        "The calling thread's group, from 0.",
    ),
    number(
        "uptime",
        Needs::INTERNAL,
        Number::Uptime,
        "Seconds since the process started.",
    ),
    // --- stream ---
    text(
        "last_entity",
        Needs::INTERNAL,
        Text::LastEntity,
        "What ended the analysis: a rule's place or a filter.",
    ),
    text(
        "last_rule_file",
        Needs::INTERNAL,
        Text::LastRuleFile,
        "The file of the last final rule that matched.",
    ),
    number(
        "last_rule_line",
        Needs::INTERNAL,
        Number::LastRuleLine,
        "The line of the last final rule that matched.",
    ),
    text(
        "waiting_entity",
        Needs::INTERNAL,
        Text::WaitingEntity,
        "What waited when an error or timeout struck.",
    ),
    number(
        "prio_class",
        Needs::INTERNAL,
        Number::PriorityClass,
        "The stream's priority class.",
    ),
    number(
        "prio_offset",
        Needs::INTERNAL,
        Number::PriorityOffset,
        "The stream's priority offset.",
    ),
    number(
        "txn.id32",
        Needs::INTERNAL,
        Number::TransactionId,
        "The transaction's number.",
    ),
    text(
        "txn.sess_term_state",
        Needs::INTERNAL,
        Text::TerminationState,
        "How the stream ended, in two characters.",
    ),
    Fetch {
        name: "wait_end",
        output: SampleType::Bool,
        doc: "True once content inspection is over; does not decide before.",
        read: Read::One(|view, _| match view.inspection() {
            Inspection::Open => Fetched::Wait,
            Inspection::Over => Fetched::Value(Sample::Bool(true)),
        }),
        ..Fetch::BASE
    },
    // --- variables ---
    Fetch {
        name: "var",
        args: Arguments::some(1, &[ArgKind::Text, ArgKind::Text]),
        output: SampleType::Any,
        doc: "A variable, with the type it was set with, or a default.",
        read: Read::One(variable),
        compile: Some(|mut args, _| {
            let name = args.first().and_then(Arg::text).unwrap_or_default();
            if name.is_empty() {
                return Err("Empty variable name cannot be accepted".into());
            }
            args[0] = Arg::Variable(VariableName::parse(name).map_err(|error| error.message)?);
            Ok(args)
        }),
        ..Fetch::BASE
    },
    Fetch {
        name: "dump_all_vars",
        args: Arguments::some(0, &[ArgKind::Text, ArgKind::Text, ArgKind::Text]),
        output: SampleType::Str,
        doc: "All variables of a scope as `name=value`.",
        read: Read::One(dump),
        compile: Some(|args, _| match args.first().and_then(Arg::text) {
            None | Some("") => Ok(args),
            Some(word) if DUMPED.iter().any(|scope| scope.name() == word) => Ok(args),
            Some(word) => Err(format!("unknown scope '{word}'")),
        }),
        ..Fetch::BASE
    },
    // --- frontends, backends, servers ---
    frontend(
        "fe_conn",
        FrontendNumber::Connections,
        "Connections of the frontend.",
    ),
    frontend(
        "fe_req_rate",
        FrontendNumber::RequestRate,
        "The frontend's requests per second.",
    ),
    frontend(
        "fe_sess_rate",
        FrontendNumber::SessionRate,
        "The frontend's new sessions per second.",
    ),
    Fetch {
        name: "avg_queue",
        args: Arguments::some(0, &[ArgKind::Backend]),
        doc: "Queued connections of the backend per active server.",
        read: Read::One(average_queue),
        ..Fetch::BASE
    },
    backend(
        "be_conn",
        BackendNumber::Connections,
        "Connections of the backend.",
    ),
    backend(
        "be_conn_free",
        BackendNumber::ConnectionsFree,
        "Connections the backend's servers still have room for.",
    ),
    backend(
        "be_sess_rate",
        BackendNumber::SessionRate,
        "The backend's new sessions per second.",
    ),
    backend(
        "connslots",
        BackendNumber::ConnectionSlots,
        "Connection and queue slots the backend still has.",
    ),
    backend(
        "nbsrv",
        BackendNumber::UsableServers,
        "Usable servers of the backend.",
    ),
    backend(
        "queue",
        BackendNumber::Queue,
        "Queued connections of the backend and its servers.",
    ),
    server(
        "srv_conn",
        ServerNumber::Connections,
        "Connections of the server.",
    ),
    server(
        "srv_conn_free",
        ServerNumber::ConnectionsFree,
        "Connections the server still has room for.",
    ),
    server(
        "srv_iweight",
        ServerNumber::InitialWeight,
        "The server's configured weight.",
    ),
    server(
        "srv_queue",
        ServerNumber::Queue,
        "Connections queued for the server.",
    ),
    server(
        "srv_sess_rate",
        ServerNumber::SessionRate,
        "The server's new sessions per second.",
    ),
    server(
        "srv_uweight",
        ServerNumber::UserWeight,
        "The server's weight as the user sees it.",
    ),
    server(
        "srv_weight",
        ServerNumber::Weight,
        "The server's effective weight.",
    ),
    Fetch {
        output: SampleType::Bool,
        read: Read::ServerFlag(ServerNumber::IsUp),
        ..server("srv_is_up", ServerNumber::IsUp, "Whether the server is up.")
    },
];

const fn frontend(name: &'static str, which: FrontendNumber, doc: &'static str) -> Fetch {
    Fetch {
        name,
        args: Arguments::some(0, &[ArgKind::Frontend]),
        doc,
        read: Read::Frontend(which),
        ..Fetch::BASE
    }
}

const fn backend(name: &'static str, which: BackendNumber, doc: &'static str) -> Fetch {
    Fetch {
        name,
        args: Arguments::some(0, &[ArgKind::Backend]),
        doc,
        read: Read::Backend(which),
        ..Fetch::BASE
    }
}

const fn server(name: &'static str, which: ServerNumber, doc: &'static str) -> Fetch {
    Fetch {
        name,
        args: Arguments::all(&[ArgKind::Server]),
        doc,
        read: Read::Server(which),
        ..Fetch::BASE
    }
}

/// The id of the process.
pub(in crate::expr) fn process_id(view: &dyn View) -> i64 {
    view.number(Number::Pid)
        .unwrap_or_else(|| std::process::id().into())
}

/// Looks the names up, each with its `!`.
fn compile_acls(args: Vec<Arg>, parsing: &mut Parsing<'_>) -> Result<Vec<Arg>, String> {
    let mut acls = Vec::new();
    for word in args.iter().filter_map(Arg::text) {
        let (negated, name) = match word.strip_prefix('!') {
            Some(name) => (true, name),
            None => (false, word),
        };
        let acl = condition::named(name, parsing).map_err(|error| error.message)?;
        acls.push((negated, acl));
    }
    Ok(vec![Arg::Acls(acls)])
}

fn acls<'a>(view: &'a dyn View, args: &'a [Arg]) -> Fetched<Sample<'a>> {
    let Some(Arg::Acls(acls)) = args.first() else {
        return Fetched::Absent;
    };
    let mut all = true;
    for (negated, acl) in acls {
        match acl.test(view) {
            Outcome::Undecided => return Fetched::Wait,
            outcome => all &= (outcome == Outcome::Match) != *negated,
        }
    }
    Fetched::Value(Sample::Bool(all))
}

fn variable<'a>(view: &'a dyn View, args: &'a [Arg]) -> Fetched<Sample<'a>> {
    let Some(Arg::Variable(name)) = args.first() else {
        return Fetched::Absent;
    };
    let value = view
        .variables(name.scope())
        .and_then(|variables| variables.read(name));
    let default = || args.get(1).and_then(Arg::text).map(Sample::str);
    value.or_else(default).into()
}

/// The scopes of `dump_all_vars`, in its order.
const DUMPED: [Scope; 5] = [
    Scope::Session,
    Scope::Transaction,
    Scope::Request,
    Scope::Response,
    Scope::Process,
];

fn dump<'a>(view: &'a dyn View, args: &'a [Arg]) -> Fetched<Sample<'a>> {
    let word = |at: usize| args.get(at).and_then(Arg::text);
    let wanted = word(0).filter(|word| !word.is_empty());
    let prefix = word(1).unwrap_or_default();
    let delimiter = word(2).unwrap_or(", ");
    let mut out = Vec::new();
    for scope in DUMPED
        .into_iter()
        .filter(|scope| wanted.is_none_or(|wanted| scope.name() == wanted))
    {
        let Some(variables) = view.variables(scope) else {
            continue;
        };
        variables.each(&mut |name, value| {
            if name.name().starts_with(prefix) {
                if !out.is_empty() {
                    out.extend_from_slice(delimiter.as_bytes());
                }
                out.extend_from_slice(format!("{}.{}=", scope.name(), name.name()).as_bytes());
                dump_value(value, &mut out);
            }
        });
    }
    Fetched::Value(Sample::str(out))
}

fn dump_value(value: &Sample<'_>, out: &mut Vec<u8>) {
    match value {
        Sample::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Sample::Int(_) | Sample::Ip(_) => out.extend_from_slice(&value.to_text()),
        Sample::Bin(data) => {
            out.push(b'x');
            data.iter()
                .for_each(|byte| out.extend_from_slice(format!("{byte:02x}").as_bytes()));
        }
        Sample::Str(text) | Sample::Method(text) => {
            out.push(b'"');
            for &byte in &**text {
                match byte {
                    b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
                    b'\r' => out.extend_from_slice(b"\\r"),
                    b'\n' => out.extend_from_slice(b"\\n"),
                    8 => out.extend_from_slice(b"\\b"),
                    0 => out.extend_from_slice(b"\\0"),
                    _ => out.push(byte),
                }
            }
            out.push(b'"');
        }
    }
}

/// Rounded up; without a usable server, twice the queue (manual).
fn average_queue<'a>(view: &'a dyn View, args: &'a [Arg]) -> Fetched<Sample<'a>> {
    let name = args.first().and_then(Arg::text);
    let queued = view.backend_number(name, BackendNumber::Queue);
    let usable = view.backend_number(name, BackendNumber::UsableServers);
    int(queued.zip(usable).map(|(queued, usable)| match usable {
        1.. => (queued + usable - 1) / usable,
        _ => queued * 2,
    }))
}
