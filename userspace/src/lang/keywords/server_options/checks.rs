//! Options about health: checks, agent, observation, tracking.

use std::net::IpAddr;

use super::{CheckOptions, ServerOption, option, refused};
use crate::lang::keywords::address::{Address, Endpoint, Ports};
use crate::lang::keywords::args::{Args, Complaint, Parsed, Unit, number};
use crate::lang::keywords::context::Context;
use crate::lang::keywords::logging::choose;
use crate::model::{ErrorReaction, OnMarkedDown, OnMarkedUp, Window};
use crate::types::Millis;

pub(super) const OPTIONS: &[ServerOption] = &[
    option(
        "addr",
        "<ip>",
        "Sends checks to another address.",
        |args, server, context| {
            server.check.address = Some(ip(args, context)?);
            Ok(())
        },
    ),
    option(
        "agent-addr",
        "<addr>",
        "Sets the address of the agent.",
        |args, server, context| {
            server.agent.address = Some(ip(args, context)?);
            Ok(())
        },
    ),
    option(
        "agent-check",
        "",
        "Asks an agent for the server's state and weight.",
        |_, server, _| {
            server.agent.enabled = true;
            Ok(())
        },
    ),
    option(
        "no-agent-check",
        "",
        "Does not ask the agent.",
        |_, server, _| {
            server.agent.enabled = false;
            Ok(())
        },
    ),
    option(
        "agent-inter",
        "<delay>",
        "Sets the interval of agent checks.",
        |args, server, _| {
            server.agent.inter = Some(interval(args)?);
            Ok(())
        },
    ),
    option(
        "agent-port",
        "<port>",
        "Sets the port of the agent.",
        |args, server, _| {
            server.agent.port = Some(args.number(1..=65_535)?);
            Ok(())
        },
    ),
    option(
        "agent-send",
        "<string>",
        "Sets what is sent to the agent.",
        |args, server, _| {
            server.agent.send = Some(args.need("a string")?.text.clone());
            Ok(())
        },
    ),
    option("check", "", "Checks the server.", |_, server, _| {
        server.check.enabled = true;
        Ok(())
    }),
    option(
        "no-check",
        "",
        "Does not check the server.",
        |_, server, _| {
            server.check.enabled = false;
            Ok(())
        },
    ),
    option(
        "check-via-socks4",
        "",
        "Checks the server through its SOCKS 4 proxy.",
        |_, server, _| {
            server.check.via_socks4 = true;
            Ok(())
        },
    ),
    option(
        "check-send-proxy",
        "",
        "Sends a PROXY header with checks.",
        |_, server, _| {
            server.check.send_proxy = true;
            Ok(())
        },
    ),
    option(
        "check-sni",
        "<sni>",
        "Sets the name checks ask for.",
        |args, server, _| {
            server.check.sni = Some(args.need("a name")?.text.clone());
            Ok(())
        },
    ),
    option("check-ssl", "", "Checks over TLS.", |_, server, _| {
        server.check.ssl = Some(true);
        Ok(())
    }),
    option("no-check-ssl", "", "Checks without TLS.", |_, server, _| {
        server.check.ssl = Some(false);
        Ok(())
    }),
    option(
        "healthcheck",
        "<name>",
        "Checks the server as a 'healthcheck' section says.",
        |args, server, context| {
            let word = args.need("a healthcheck's name")?;
            let known = context.healthchecks.iter();
            let Some((_, steps)) = known.clone().find(|(name, _)| *name == word.text) else {
                let names: Vec<_> = known.map(|(name, _)| name.as_str()).collect();
                return Err(Complaint::unknown(word, "healthcheck", names));
            };
            server.check.steps = Some(steps.clone());
            Ok(())
        },
    ),
    option(
        "downinter",
        "<delay>",
        "Sets the interval of checks while the server is down.",
        |args, server, _| {
            server.check.down_inter = Some(interval(args)?);
            Ok(())
        },
    ),
    option(
        "error-limit",
        "<count>",
        "Sets how many observed errors count.",
        |args, server, _| {
            server.error_limit = args.number(1..=i32::MAX as u32)?;
            Ok(())
        },
    ),
    option(
        "fall",
        "<count>",
        "Sets how many failed checks take the server down.",
        |args, server, _| {
            server.check.fall = Some(args.number(1..=i32::MAX as u32)?);
            Ok(())
        },
    ),
    option(
        "fastinter",
        "<delay>",
        "Sets the interval of checks while the state changes.",
        |args, server, _| {
            server.check.fast_inter = Some(interval(args)?);
            Ok(())
        },
    ),
    option(
        "inter",
        "<delay>",
        "Sets the interval of checks.",
        |args, server, _| {
            server.check.inter = Some(interval(args)?);
            Ok(())
        },
    ),
    option(
        "observe",
        "layer4 | layer7",
        "Watches the traffic for errors.",
        |args, server, _| {
            let layers = [
                ("none", None),
                ("layer4", Some(false)),
                ("layer7", Some(true)),
            ];
            server.observe_layer7 =
                choose(args.need("'layer4' or 'layer7'")?, "observe mode", &layers)?;
            Ok(())
        },
    ),
    option(
        "on-error",
        "<mode>",
        "Sets what observed errors do.",
        |args, server, _| {
            let modes = [
                ("fastinter", ErrorReaction::FastInter),
                ("fail-check", ErrorReaction::FailCheck),
                ("sudden-death", ErrorReaction::SuddenDeath),
                ("mark-down", ErrorReaction::MarkDown),
            ];
            server.on_error = choose(args.need("a mode")?, "on-error mode", &modes)?;
            Ok(())
        },
    ),
    option(
        "on-marked-down",
        "shutdown-sessions",
        "Sets what happens when the server goes down.",
        |args, server, _| {
            let actions = [("shutdown-sessions", OnMarkedDown::ShutdownSessions)];
            server.on_marked_down = Some(choose(
                args.need("'shutdown-sessions'")?,
                "action",
                &actions,
            )?);
            Ok(())
        },
    ),
    option(
        "on-marked-up",
        "shutdown-backup-sessions",
        "Sets what happens when the server comes up.",
        |args, server, _| {
            let actions = [(
                "shutdown-backup-sessions",
                OnMarkedUp::ShutdownBackupSessions,
            )];
            server.on_marked_up = Some(choose(
                args.need("'shutdown-backup-sessions'")?,
                "action",
                &actions,
            )?);
            Ok(())
        },
    ),
    option(
        "port",
        "<port>",
        "Sends checks to another port.",
        |args, server, _| {
            server.check.port = Some(args.number(1..=65_535)?);
            Ok(())
        },
    ),
    option(
        "rise",
        "<count>",
        "Sets how many passed checks bring the server up.",
        |args, server, _| {
            server.check.rise = Some(args.number(1..=i32::MAX as u32)?);
            Ok(())
        },
    ),
    option(
        "threshold",
        "<count>",
        "Sets how many checks of the window must pass.",
        |args, server, _| {
            let word = args.need("an integer argument")?;
            server.check.threshold = Some((number(word, 1..=64)?, word.clone()));
            Ok(())
        },
    ),
    option(
        "track",
        "[<backend>/]<server>",
        "Follows the state of another server.",
        |args, server, _| {
            server.track = Some(args.need("[<proxy>/]<server> as argument")?.clone());
            Ok(())
        },
    ),
    option(
        "window",
        "<count>",
        "Decides by the last checks instead of 'rise' and 'fall'.",
        |args, server, _| {
            let word = args.need("an integer argument")?;
            server.check.window = Some((number(word, 1..=64)?, word.clone()));
            Ok(())
        },
    ),
    refused("check-alpn", "<protocols>", "checks speak HTTP/1"),
    refused("check-proto", "<name>", "checks speak HTTP/1"),
    option(
        "no-check-send-proxy",
        "",
        "Sends no PROXY header with checks.",
        |_, server, _| {
            server.check.send_proxy = false;
            Ok(())
        },
    ),
    refused(
        "via-tunnel",
        "",
        "checks connect to the server's own address; what its tunnel does is not checked",
    ),
    refused(
        "check-reuse-pool",
        "",
        "checks have connections of their own",
    ),
];

impl CheckOptions {
    /// `window N threshold M`: both or neither, and not beside `rise` or `fall`.
    pub(crate) fn window(&self, context: &mut Context<'_>) -> Option<Window> {
        match (&self.window, &self.threshold) {
            (None, None) => None,
            (Some((size, _)), Some((threshold, _))) if threshold <= size => Some(Window {
                size: *size,
                threshold: *threshold,
            }),
            (Some((size, _)), Some((threshold, word))) => {
                let message =
                    format!("'threshold {threshold}' cannot be reached within 'window {size}'");
                context.alert(word.span, message);
                None
            }
            (Some((_, word)), None) => {
                context.alert(word.span, "'window' needs 'threshold'");
                None
            }
            (None, Some((_, word))) => {
                context.alert(word.span, "'threshold' needs 'window'");
                None
            }
        }
    }
}

/// An address without a port.
fn ip(args: &mut Args<'_>, context: &Context<'_>) -> Parsed<IpAddr> {
    let word = args.need("an address")?;
    match Address::of(word)?.endpoint {
        Endpoint::Inet {
            host,
            ports: Ports::None,
        } => host.resolve(context, word.span),
        _ => Err(Complaint::new(
            word.span,
            "expects an IP address without a port",
        )),
    }
}

fn interval(args: &mut Args<'_>) -> Parsed<Millis> {
    let word = args.peek().map(|word| word.span);
    let time = args.time(Unit::Milliseconds)?;
    match word {
        Some(span) if time == Millis(0) => {
            Err(Complaint::new(span, "expects a delay of at least 1 ms"))
        }
        _ => Ok(time),
    }
}
