//! The `resolvers` section, and the words of server lines that use it (manual §5.3).

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use super::address::{Address, Endpoint, Ports, Transport};
use super::args::{Args, Complaint, Parsed, Unit};
use super::context::Context;
use super::options::network;
use super::registry::{Effect, Keyword, Sections};
use crate::lang::ast::Word;
use crate::model::{NameServer, Resolution, Resolvers};

type Parse = fn(&mut Args<'_>, &mut Resolvers, &mut Context<'_>) -> Parsed;

const fn keyword(
    name: &'static str,
    args: &'static str,
    doc: &'static str,
    parse: Parse,
) -> Keyword {
    Keyword {
        name,
        sections: Sections::RESOLVERS,
        args,
        doc,
        effect: Effect::Resolvers(parse),
    }
}

pub(super) const KEYWORDS: &[Keyword] = &[
    keyword(
        "nameserver",
        "<name> <address>[:<port>]",
        "Adds a name server, asked over UDP unless the address begins with tcp@.",
        |args, resolvers, context| {
            let name = args.need("<name> and <address>[:<port>] as arguments")?;
            if resolvers
                .nameservers
                .iter()
                .any(|known| known.name == name.text)
            {
                let message = format!("another nameserver is called '{}'", name.text);
                return Err(Complaint::new(name.span, message));
            }
            let word = args.need("<name> and <address>[:<port>] as arguments")?;
            let server = name_server(&name.text, word, context)?;
            args.end()?;
            resolvers.nameservers.push(server);
            Ok(())
        },
    ),
    keyword(
        "parse-resolv-conf",
        "",
        "Adds the name servers of /etc/resolv.conf.",
        |args, resolvers, context| {
            args.end()?;
            let text = context
                .environment
                .read(Path::new(RESOLV_CONF))
                .map_err(|error| args.wrong(format!("cannot read {RESOLV_CONF} : {error}")))?;
            resolvers.nameservers.extend(system_servers(&text));
            Ok(())
        },
    ),
    keyword(
        "hold",
        "{ nx | refused | timeout | other | valid | obsolete } <period>",
        "Says for how long an earlier answer counts more than this status.",
        |args, resolvers, context| {
            let status = args.need("a status")?;
            let hold = &mut resolvers.hold;
            let field = match status.text.as_str() {
                "nx" => &mut hold.nx,
                "refused" => &mut hold.refused,
                "timeout" => &mut hold.timeout,
                "other" => &mut hold.other,
                "valid" => {
                    context.ignore(status, "it counts for 'do-resolve' only");
                    args.time(Unit::Milliseconds)?;
                    return args.end();
                }
                "obsolete" => &mut hold.obsolete,
                _ => {
                    let known = ["nx", "refused", "timeout", "other", "valid", "obsolete"];
                    return Err(Complaint::unknown(status, "status", known));
                }
            };
            *field = args.time(Unit::Milliseconds)?;
            args.end()
        },
    ),
    keyword(
        "timeout resolve",
        "<time>",
        "Sets the time between two resolutions of a name.",
        |args, resolvers, _| {
            resolvers.resolve = args.time(Unit::Milliseconds)?;
            args.end()
        },
    ),
    keyword(
        "timeout retry",
        "<time>",
        "Sets how long an answer is waited for.",
        |args, resolvers, _| {
            resolvers.retry = args.time(Unit::Milliseconds)?;
            args.end()
        },
    ),
    keyword(
        "resolve_retries",
        "<number>",
        "Sets how often a name is asked for before giving up.",
        |args, resolvers, _| {
            resolvers.retries = args.number(1..=1000)?;
            args.end()
        },
    ),
    keyword(
        "accepted_payload_size",
        "<bytes>",
        "Sets the longest answer taken from a datagram.",
        |args, resolvers, _| {
            resolvers.payload_size = args.number(512..=u16::MAX)?;
            args.end()
        },
    ),
];

fn name_server(name: &str, word: &Word, context: &Context<'_>) -> Parsed<NameServer> {
    let wrong = |message: &str| Complaint::new(word.span, format!("{message} in '{}'", word.text));
    let address = Address::of(word)?;
    let Endpoint::Inet { host, ports } = address.endpoint else {
        return Err(wrong("an IP address is needed"));
    };
    let port = match ports {
        Ports::None => DNS_PORT,
        Ports::One(port) => port,
        Ports::Range(..) | Ports::Offset(_) => return Err(wrong("one port is needed")),
    };
    Ok(NameServer {
        name: name.to_owned(),
        address: SocketAddr::new(host.resolve(context, word.span)?, port),
        stream: address.transport == Some(Transport::Stream),
    })
}

/// The `nameserver` lines of a resolv.conf, each called by its address as HAProxy does.
fn system_servers(text: &[u8]) -> Vec<NameServer> {
    let text = String::from_utf8_lossy(text);
    let servers = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let address = words
            .next()
            .filter(|word| *word == "nameserver")
            .and_then(|_| words.next())?;
        let ip = address.split('%').next()?.parse().ok()?;
        Some(NameServer {
            name: address.to_owned(),
            address: SocketAddr::new(ip, DNS_PORT),
            stream: false,
        })
    });
    servers.take(MOST_SYSTEM_SERVERS).collect()
}

/// What a server line says about resolving its name.
#[derive(Clone, Debug, Default)]
pub(in crate::lang) struct ResolutionOptions {
    /// `resolvers`
    pub section: Option<Word>,
    /// `resolve-prefer ipv4`
    pub prefers_v4: bool,
    /// `resolve-net`
    pub networks: Vec<ipnet::IpNet>,
    /// `resolve-opts allow-dup-ip`
    pub allow_duplicates: bool,
    /// `resolve-opts ignore-weight`
    pub ignore_weight: bool,
}

impl ResolutionOptions {
    /// `resolve-opts`
    pub(super) fn read(&mut self, word: &Word) -> Parsed {
        for option in word.text.split(',') {
            match option {
                "allow-dup-ip" => self.allow_duplicates = true,
                "prevent-dup-ip" => self.allow_duplicates = false,
                "ignore-weight" => self.ignore_weight = true,
                _ => {
                    let message = format!("unknown option '{option}'");
                    return Err(Complaint::new(word.span, message)
                        .hint("options are allow-dup-ip, prevent-dup-ip and ignore-weight"));
                }
            }
        }
        Ok(())
    }

    /// `resolve-net`
    pub(super) fn read_networks(&mut self, word: &Word) -> Parsed {
        self.networks.clear();
        for text in word.text.split(',') {
            let part = Word {
                text: text.to_owned(),
                ..word.clone()
            };
            self.networks.push(network(&part)?);
        }
        Ok(())
    }

    /// How a name is resolved at run time, if a `resolvers` section was named.
    pub(super) fn of(
        &self,
        name: &str,
        context: &mut Context<'_>,
    ) -> Parsed<Option<Arc<Resolution>>> {
        let Some(word) = &self.section else {
            return Ok(None);
        };
        let known = context
            .resolvers
            .iter()
            .find(|known| known.name == word.text);
        let resolvers = match known {
            Some(resolvers) => Arc::clone(resolvers),
            // It always exists (manual §5.3.2), made of what the system uses.
            None if word.text == "default" => {
                let mut resolvers = Resolvers::new("default");
                if let Ok(text) = context.environment.read(Path::new(RESOLV_CONF)) {
                    resolvers.nameservers = system_servers(&text);
                }
                let resolvers = Arc::new(resolvers);
                context.resolvers.push(Arc::clone(&resolvers));
                resolvers
            }
            None => {
                let names = context.resolvers.iter().map(|known| known.name.as_str());
                return Err(Complaint::unknown(word, "resolvers section", names));
            }
        };
        Ok(Some(Arc::new(Resolution {
            resolvers,
            name: name.trim_end_matches('.').to_ascii_lowercase(),
            prefer_v6: !self.prefers_v4,
            networks: self.networks.clone(),
            allow_duplicates: self.allow_duplicates,
            ignore_weight: self.ignore_weight,
        })))
    }
}

const RESOLV_CONF: &str = "/etc/resolv.conf";
const DNS_PORT: u16 = 53;
const MOST_SYSTEM_SERVERS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_servers_are_found() {
        let servers = system_servers(
            b"# x\nsearch a\nnameserver 192.0.2.9\nnameserver fe80::1%eth0\nnameserver zz\n",
        );
        assert_eq!(servers.len(), 2);
        assert_eq!(servers[0].address.port(), 53);
    }
}
