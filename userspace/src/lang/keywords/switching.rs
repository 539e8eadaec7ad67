//! Which way a session goes: ACLs, `use_backend`, `use-server`, `redirect`, `monitor fail` and kin (manual §4.2, §7).

use super::actions::{named_defaults_only, redirect};
use super::args::{Args, Complaint, Parsed, number};
use super::expressions::Rules;
use super::registry::{Effect, Keyword, Sections};
use crate::expr::{Acl, Stage};
use crate::model::{BackendTarget, Capture, UseBackend};

pub(super) const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "acl",
        sections: Sections::ANY_PROXY,
        args: "<aclname> <criterion> [flags] [operator] <value> ...",
        doc: "Declares a test under a name.",
        effect: Effect::Proxy(|args, draft, context| {
            named_defaults_only(args, draft)?;
            let name =
                args.need("<name> <criterion> [flags] [operator] <value> ... as arguments")?;
            if let Some(message) = Acl::invalid_name(&name.text) {
                return Err(Complaint::new(name.span, message));
            }
            let acl = Rules::new(context, &draft.acls, Stage::Request).acl(&name.text, args);
            let acl = acl.inspect_err(|_| draft.acls.fail(&name.text))?;
            draft.acls.insert(acl);
            Ok(())
        }),
    },
    Keyword {
        name: "use_backend",
        sections: Sections::FRONTEND.or(Sections::LISTEN),
        args: "<backend> [{if | unless} <condition>]",
        doc: "Sends sessions to a backend.",
        effect: Effect::Proxy(|args, draft, context| {
            let word = args.need("a backend name")?;
            let target = if word.text.contains('%') {
                let format = Rules::new(context, &draft.acls, Stage::Request).log_format(word)?;
                BackendTarget::Dynamic(format)
            } else {
                let missing = || {
                    let known = context.names.backends().collect::<Vec<_>>();
                    let near = Complaint::unknown(word, "backend", known);
                    Complaint {
                        message: format!("unable to find required use_backend: '{}'", word.text),
                        ..near
                    }
                };
                BackendTarget::Fixed(context.names.backend(&word.text).ok_or_else(missing)?)
            };
            let condition = Rules::new(context, &draft.acls, Stage::Request).condition(args)?;
            let place = context.place(args.line().span());
            draft.proxy.use_backends.push(UseBackend {
                target,
                condition,
                place,
            });
            draft.backend_words.push(word.clone());
            draft.order(args, context, "use_backend");
            Ok(())
        }),
    },
    Keyword {
        name: "force-be-switch",
        sections: Sections::FRONTEND.or(Sections::LISTEN),
        args: "{ if | unless } <condition>",
        doc: "Lets some sessions be sent to backends that are disabled or unpublished.",
        effect: Effect::Proxy(|args, draft, context| {
            let condition = Rules::new(context, &draft.acls, Stage::Request).condition(args)?;
            let condition = condition
                .ok_or_else(|| args.missing("either 'if' or 'unless' followed by a condition"))?;
            draft.proxy.force_switching.push(condition);
            Ok(())
        }),
    },
    Keyword {
        name: "be-unpublished",
        sections: Sections::LISTEN.or(Sections::BACKEND),
        args: "",
        doc: "Keeps other proxies from sending sessions here until it is published.",
        effect: Effect::Proxy(|args, draft, _| {
            draft.proxy.unpublished = true;
            args.end()
        }),
    },
    Keyword {
        name: "default_backend",
        sections: Sections::FRONT,
        args: "<backend>",
        doc: "Sends sessions to a backend when no 'use_backend' does.",
        effect: Effect::Proxy(|args, draft, context| {
            let word = args.only("<backend_name> as argument")?;
            let missing = || {
                let known = context.names.backends().collect::<Vec<_>>();
                let near = Complaint::unknown(word, "backend", known);
                Complaint {
                    message: format!("unable to find required default_backend: '{}'", word.text),
                    ..near
                }
            };
            draft.proxy.default_backend =
                Some(context.names.backend(&word.text).ok_or_else(missing)?);
            draft.default_backend_word = Some(word.clone());
            Ok(())
        }),
    },
    Keyword {
        name: "use-server",
        sections: Sections::LISTEN.or(Sections::BACKEND),
        args: "<server> [{if | unless} <condition>]",
        doc: "Sends sessions to a server.",
        effect: Effect::Proxy(|args, draft, context| {
            let word = args.need("a server name")?;
            let format = if word.text.contains('%') {
                Some(Rules::new(context, &draft.acls, Stage::Request).log_format(word)?)
            } else {
                None
            };
            let condition = Rules::new(context, &draft.acls, Stage::Request).condition(args)?;
            draft.use_servers.push((word.clone(), format, condition));
            Ok(())
        }),
    },
    Keyword {
        name: "redirect",
        sections: Sections::PROXY_ONLY,
        args: "location|prefix|scheme <to> [code <code>] <option> [{if | unless} <condition>]",
        doc: "Redirects clients.",
        effect: Effect::Proxy(|args, draft, context| {
            let redirect =
                redirect::redirect(args, draft, context, Stage::Request, redirect::Texts::Plain)?;
            let condition = Rules::new(context, &draft.acls, Stage::Request).condition(args)?;
            draft.proxy.redirects.push((redirect, condition));
            draft.order(args, context, "redirect");
            Ok(())
        }),
    },
    Keyword {
        name: "monitor fail",
        sections: Sections::FRONTEND.or(Sections::LISTEN),
        args: "{ if | unless } <condition>",
        doc: "Answers monitor requests with an error.",
        effect: Effect::Proxy(|args, draft, context| {
            let condition = Rules::new(context, &draft.acls, Stage::Request).condition(args)?;
            let condition = condition
                .ok_or_else(|| args.missing("either 'if' or 'unless' followed by a condition"))?;
            draft.proxy.monitor_fail.push(condition);
            draft.order(args, context, "monitor fail");
            Ok(())
        }),
    },
    Keyword {
        name: "force-persist",
        sections: Sections::LISTEN.or(Sections::BACKEND),
        args: "{ if | unless } <condition>",
        doc: "Lets some clients reach servers that are down.",
        effect: Effect::Proxy(|args, draft, context| {
            let condition = Rules::new(context, &draft.acls, Stage::Request).condition(args)?;
            let condition = condition
                .ok_or_else(|| args.missing("either 'if' or 'unless' followed by a condition"))?;
            draft.proxy.persist_rules.push((true, condition));
            Ok(())
        }),
    },
    Keyword {
        name: "ignore-persist",
        sections: Sections::LISTEN.or(Sections::BACKEND),
        args: "{ if | unless } <condition>",
        doc: "Ignores the persistence of some clients.",
        effect: Effect::Proxy(|args, draft, context| {
            let condition = Rules::new(context, &draft.acls, Stage::Request).condition(args)?;
            let condition = condition
                .ok_or_else(|| args.missing("either 'if' or 'unless' followed by a condition"))?;
            draft.proxy.persist_rules.push((false, condition));
            Ok(())
        }),
    },
    Keyword {
        name: "capture request header",
        sections: Sections::FRONTEND.or(Sections::LISTEN),
        args: "<name> len <length>",
        doc: "Keeps a request's header for the log.",
        effect: Effect::Proxy(|args, draft, _| {
            let capture = header_capture(args, false)?;
            draft.proxy.captures.push(capture);
            Ok(())
        }),
    },
    Keyword {
        name: "capture response header",
        sections: Sections::FRONTEND.or(Sections::LISTEN),
        args: "<name> len <length>",
        doc: "Keeps a response's header for the log.",
        effect: Effect::Proxy(|args, draft, _| {
            let capture = header_capture(args, true)?;
            draft.proxy.captures.push(capture);
            Ok(())
        }),
    },
    Keyword {
        name: "capture cookie",
        sections: Sections::FRONTEND.or(Sections::LISTEN),
        args: "<name> len <length>",
        doc: "Keeps a cookie for the log.",
        effect: Effect::Proxy(|args, draft, _| {
            let name = args
                .need("'cookie' <cookie_name> 'len' <len>")?
                .text
                .clone();
            let length = length(args)?;
            draft.proxy.capture_cookie = Some((name, length));
            Ok(())
        }),
    },
    Keyword {
        name: "declare capture",
        sections: Sections::FRONTEND.or(Sections::LISTEN),
        args: "[ request | response ] len <length>",
        doc: "Declares a slot that rules fill.",
        effect: Effect::Proxy(|args, draft, _| {
            let sides = [("request", false), ("response", true)];
            let response =
                super::logging::choose(args.need("'request' or 'response'")?, "side", &sides)?;
            let length = length(args)?;
            draft.proxy.captures.push(Capture {
                header: None,
                response,
                length,
            });
            Ok(())
        }),
    },
];

fn header_capture(args: &mut Args<'_>, response: bool) -> Parsed<Capture> {
    let header = Some(
        args.need("'header' <header_name> 'len' <len>")?
            .text
            .clone(),
    );
    let length = length(args)?;
    Ok(Capture {
        header,
        response,
        length,
    })
}

fn length(args: &mut Args<'_>) -> Parsed<usize> {
    if !args.take_if("len") {
        return Err(args.missing("'len' <length>"));
    }
    let word = args.only("a length")?;
    number(word, 1..=65_535)
}
