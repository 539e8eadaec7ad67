//! How a backend chooses its servers: `balance`, `hash-type`, `hash-balance-factor`, `forward` (manual §4.2).

use super::args::{Args, Complaint, Parsed, number};
use super::context::Context;
use super::draft::ProxyDraft;
use super::expressions::Rules;
use super::logging::choose;
use super::registry::{Effect, Keyword, Sections};
use crate::expr::Stage;
use crate::lang::ast::Word;
use crate::model::{
    Affinity, BalanceKind, Forward, HashFunction, HashType, QuicServerIds, UriHash,
};

pub(super) const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "balance",
        sections: Sections::BACK,
        args: "<algorithm> [ <arguments> ]",
        doc: "Chooses the server for each new session or request.",
        effect: Effect::Proxy(|args, draft, context| {
            draft.proxy.balance.kind = algorithm(args, draft, context)?;
            args.end()
        }),
    },
    Keyword {
        name: "hash-type",
        sections: Sections::BACK,
        args: "<method> <function> <modifier>",
        doc: "Says how hashes are made and mapped to servers.",
        effect: Effect::Proxy(|args, draft, _| {
            let methods = [("consistent", true), ("map-based", false)];
            let consistent = choose(
                args.need("'consistent' or 'map-based'")?,
                "method",
                &methods,
            )?;
            // A consistent hash without a named function is mixed further: the manual's default for it.
            let mut hash = HashType {
                consistent,
                function: HashFunction::Sdbm,
                avalanche: consistent,
            };
            if let Some(word) = args.take() {
                hash.avalanche = word.text == "avalanche";
                if !hash.avalanche {
                    hash.function = choose(word, "hash function", FUNCTIONS)?;
                    hash.avalanche = args.take_if("avalanche");
                }
            }
            args.end()?;
            draft.proxy.balance.hash_type = hash;
            Ok(())
        }),
    },
    Keyword {
        name: "hash-balance-factor",
        sections: Sections::BACK,
        args: "<factor>",
        doc: "Bounds the load of a server, in percent of the average.",
        effect: Effect::Proxy(|args, draft, _| {
            let word = args.only("an integer argument")?;
            let factor = number(word, 0..=u32::from(u16::MAX))?;
            if factor != 0 && factor <= 100 {
                return Err(Complaint::new(
                    word.span,
                    "expects a value greater than 100, or 0",
                ));
            }
            draft.proxy.balance.balance_factor = factor;
            Ok(())
        }),
    },
    Keyword {
        name: "hash-preserve-affinity",
        sections: Sections::BACK,
        args: "{ always | maxconn | maxqueue }",
        doc: "Says when a hash may lead to another server because its own is busy.",
        effect: Effect::Proxy(|args, draft, _| {
            let choices = [
                ("always", Affinity::Always),
                ("maxconn", Affinity::Maxconn),
                ("maxqueue", Affinity::Maxqueue),
            ];
            let word = args.only("'always', 'maxconn' or 'maxqueue'")?;
            draft.proxy.balance.affinity = choose(word, "affinity", &choices)?;
            Ok(())
        }),
    },
    Keyword {
        name: "forward",
        sections: Sections::BACK,
        args: "nat | dnat | dsr | ipip | gue [ port <port> ]",
        doc: "Says how the kernel hands packets of 'mode l4' to servers.",
        effect: Effect::Proxy(|args, draft, _| {
            let word = args.need("'nat', 'dnat', 'dsr', 'ipip' or 'gue'")?;
            draft.proxy.forward = match word.text.as_str() {
                "nat" => Forward::Nat,
                "dnat" => Forward::Dnat,
                "dsr" => Forward::Dsr,
                "ipip" => Forward::Ipip,
                "gue" => Forward::Gue {
                    port: if args.take_if("port") {
                        args.number(1..=u16::MAX)?
                    } else {
                        GUE_PORT
                    },
                },
                _ => return Err(Complaint::unknown(word, "way to forward", FORWARDS)),
            };
            args.end()
        }),
    },
    Keyword {
        name: "quic-server-id",
        sections: Sections::BACK,
        args: "length <bytes> [ configuration <number> ]",
        doc: "Says that servers of 'mode l4' put their 'id' into the connection ids of QUIC, behind its first byte.",
        effect: Effect::Proxy(|args, draft, _| {
            let word = args.need("'length'")?;
            if word.text != "length" {
                return Err(Complaint::new(word.span, "expects 'length'"));
            }
            let length = args.number(1..=8)?;
            let configuration = if args.take_if("configuration") {
                args.number(0..=6)?
            } else {
                0
            };
            draft.proxy.quic_server_ids = Some(QuicServerIds {
                length,
                configuration,
            });
            args.end()
        }),
    },
];

/// Stands for the log line in front of the converters of `log-hash`.
const LOG_LINE: &str = "str(),";

const FORWARDS: [&str; 5] = ["nat", "dnat", "dsr", "ipip", "gue"];

/// Where generic UDP encapsulation is taken (IANA).
const GUE_PORT: u16 = 6080;

fn algorithm(
    args: &mut Args<'_>,
    draft: &ProxyDraft,
    context: &mut Context<'_>,
) -> Parsed<BalanceKind> {
    let word = args.need("an algorithm")?;
    let (name, inside) = match word.text.split_once('(') {
        Some((name, rest)) => match rest.strip_suffix(')') {
            Some(inside) => (name, Some(inside)),
            None => return Err(Complaint::new(word.span, "missing closing parenthesis")),
        },
        None => (word.text.as_str(), None),
    };
    Ok(match (name, inside) {
        ("roundrobin", None) => BalanceKind::RoundRobin,
        ("static-rr", None) => BalanceKind::StaticRoundRobin,
        ("leastconn", None) => BalanceKind::LeastConnections,
        ("first", None) => BalanceKind::First,
        ("source", None) => BalanceKind::Source,
        ("maglev", None) => BalanceKind::Maglev,
        ("uri", None) => BalanceKind::Uri(uri(args)?),
        ("url_param", None) => url_parameter(args)?,
        ("hdr", Some(name)) if !name.is_empty() => {
            let domain_only = args.take_if("use_domain_only");
            BalanceKind::Header {
                name: name.to_owned(),
                domain_only,
            }
        }
        ("hdr", _) => {
            return Err(Complaint::new(
                word.span,
                "hdr requires an HTTP header name between parentheses",
            ));
        }
        ("random", None) => BalanceKind::Random { draws: 2 },
        ("random", Some(draws)) => match draws.parse::<u32>() {
            Ok(draws @ 1..=1000) => BalanceKind::Random { draws },
            _ => {
                return Err(Complaint::new(
                    word.span,
                    "the number of draws must be from 1 to 1000",
                ));
            }
        },
        ("rdp-cookie", name) => {
            let name = name.filter(|name| !name.is_empty()).unwrap_or("mstshash");
            BalanceKind::RdpCookie(name.to_owned())
        }
        ("hash", None) => {
            let expression = Rules::new(context, &draft.acls, Stage::Request).expression(args)?;
            BalanceKind::Hash(expression)
        }
        ("sticky", None) => BalanceKind::Sticky,
        ("log-hash", None) => {
            let converters = args.need("a list of converters")?;
            let stands_in = Word {
                text: format!("{LOG_LINE}{}", converters.text),
                ..converters.clone()
            };
            let rules = Rules::without_acls(context, Stage::Log);
            BalanceKind::LogHash(rules.whole_expression(&stands_in)?)
        }
        _ => {
            let names: Vec<&str> = ALGORITHMS.iter().map(|(name, _)| *name).collect();
            let short = Word {
                text: name.to_owned(),
                span: word.span,
                columns: None,
            };
            return Err(
                Complaint::unknown(&short, "algorithm", names.iter().copied())
                    .hint(format!("algorithms are {}", names.join(", "))),
            );
        }
    })
}

fn uri(args: &mut Args<'_>) -> Parsed<UriHash> {
    let mut hash = UriHash::default();
    while let Some(word) = args.take() {
        match word.text.as_str() {
            "len" => hash.length = Some(args.number(1..=65_535)?),
            "depth" => hash.depth = Some(args.number(1..=65_535)?),
            "whole" => hash.whole = true,
            "path-only" => hash.path_only = true,
            _ => {
                return Err(Complaint::unknown(
                    word,
                    "parameter",
                    ["len", "depth", "whole", "path-only"],
                ));
            }
        }
    }
    Ok(hash)
}

fn url_parameter(args: &mut Args<'_>) -> Parsed<BalanceKind> {
    let name = args.need("an URL parameter name")?.text.clone();
    let mut check_post = None;
    if args.take_if("check_post") {
        // The number once limited the wait; the manual says it is ignored.
        check_post = Some(match args.peek() {
            Some(_) => args.number(0..=1 << 30)?,
            None => 0,
        });
    }
    Ok(BalanceKind::UrlParameter { name, check_post })
}

const FUNCTIONS: &[(&str, HashFunction)] = &[
    ("sdbm", HashFunction::Sdbm),
    ("djb2", HashFunction::Djb2),
    ("wt6", HashFunction::Wt6),
    ("crc32", HashFunction::Crc32),
    ("none", HashFunction::None),
];

/// The words after `balance`, and what they mean.
pub(super) const ALGORITHMS: &[(&str, &str)] = &[
    (
        "roundrobin",
        "Servers take turns, by weight. In 'mode l4' exactly so among flows that the flow table remembers, and the weights may \
         change at run time.",
    ),
    (
        "static-rr",
        "Servers take turns, by the weights of the file.",
    ),
    (
        "leastconn",
        "The server with the fewest connections for its weight. In 'mode l4' flows are counted as the kernel sees them begin \
         and end, corrected every second for those that time out or end elsewhere; the next eight servers in turn are \
         compared, so with up to eight the choice is exact.",
    ),
    (
        "first",
        "The first server with a free slot. Not in 'mode l4'.",
    ),
    (
        "source",
        "A hash of the client's address. In 'mode l4' over a Maglev ring.",
    ),
    ("uri", "A hash of the URI. Not in 'mode l4'."),
    (
        "url_param",
        "A hash of a parameter of the query string. Not in 'mode l4'.",
    ),
    ("hdr", "A hash of a header field. Not in 'mode l4'."),
    (
        "random",
        "The least loaded of some servers at random, two unless told otherwise ('mode l4': eight at most).",
    ),
    ("rdp-cookie", "A hash of an RDP cookie. Not in 'mode l4'."),
    (
        "hash",
        "A hash of an expression; in 'mode l4' of 'src', 'dst' (also with 'ipmask'), 'src_port' or 'dst_port'.",
    ),
    (
        "log-hash",
        "A hash of what converters make of the log line. Only in 'mode log'.",
    ),
    (
        "sticky",
        "The first server for as long as it is up. Only in 'mode log'.",
    ),
    (
        "maglev",
        "Maglev hashing of addresses and ports, the default of 'mode l4' and only there: balancers with the same servers \
         choose alike, and the loss of a server moves no flow of another.",
    ),
];
