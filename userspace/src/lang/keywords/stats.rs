//! `stats …` of a proxy: the statistics page (manual §4.2).

use super::actions::{RuleSets, http_rule};
use super::args::{Args, Complaint, Unit};
use super::context::Context;
use super::draft::ProxyDraft;
use super::expressions::Rules;
use super::registry::{Effect, Keyword, Sections};
use crate::expr::Stage;
use crate::model::{StatsAdmin, StatsPage, UriAuth};

type Parse = fn(&mut Args<'_>, &mut ProxyDraft, &mut Context<'_>) -> super::args::Parsed;

const fn keyword(
    name: &'static str,
    args: &'static str,
    doc: &'static str,
    parse: Parse,
) -> Keyword {
    Keyword {
        name,
        sections: Sections::ANY_PROXY,
        args,
        doc,
        effect: Effect::Proxy(parse),
    }
}

pub(super) const KEYWORDS: &[Keyword] = &[
    keyword(
        "stats enable",
        "",
        "Serves the statistics page.",
        |args, draft, _| {
            draft.stats_page();
            args.end()
        },
    ),
    keyword(
        "stats uri",
        "<prefix>",
        "Sets the page's path.",
        |args, draft, _| {
            let uri = args.only("an URI prefix")?.text.clone();
            draft.stats_page().uri = uri;
            Ok(())
        },
    ),
    keyword(
        "stats realm",
        "<realm>",
        "Sets what the password is asked for.",
        |args, draft, _| {
            let realm = args
                .only("a string (put it in quotes, or escape its spaces)")?
                .text
                .clone();
            draft.stats_page().realm = realm;
            Ok(())
        },
    ),
    keyword(
        "stats auth",
        "<user>:<passwd>",
        "Asks for a password.",
        |args, draft, _| {
            let word = args.only("a user:password account")?;
            let Some((user, password)) = word.text.split_once(':') else {
                return Err(Complaint::new(word.span, "expects a user:password account")
                    .hint("separate them with a colon"));
            };
            let account = UriAuth {
                user: user.to_owned(),
                password: password.to_owned(),
            };
            draft.stats_page().auth.push(account);
            Ok(())
        },
    ),
    keyword(
        "stats scope",
        "{ <name> | . }",
        "Shows one proxy only.",
        |args, draft, _| {
            let word = args.only("a proxy name")?;
            let name = if word.text == "." {
                draft.proxy.name.clone()
            } else {
                word.text.clone()
            };
            draft.stats_page().scope.push(name);
            Ok(())
        },
    ),
    keyword(
        "stats refresh",
        "<delay>",
        "Lets the page refresh itself.",
        |args, draft, _| {
            let delay = args.optional_time(Unit::Seconds)?;
            draft.stats_page().refresh = delay;
            args.end()
        },
    ),
    keyword(
        "stats hide-version",
        "",
        "Does not show the version.",
        |args, draft, _| {
            draft.stats_page().hide_version = true;
            args.end()
        },
    ),
    keyword(
        "stats show-version",
        "",
        "Shows the version.",
        |args, draft, _| {
            draft.stats_page().hide_version = false;
            args.end()
        },
    ),
    keyword(
        "stats show-legends",
        "",
        "Shows more details.",
        |args, draft, _| {
            draft.stats_page().show_legends = true;
            args.end()
        },
    ),
    keyword(
        "stats show-modules",
        "",
        "Shows the statistics of modules.",
        |args, draft, context| {
            draft.stats_page();
            context.ignore(args.line().keyword(), "statistics are not kept by module");
            args.end()
        },
    ),
    keyword(
        "stats show-desc",
        "[<desc>]",
        "Shows a description.",
        |args, draft, _| {
            let text = super::args::join(args.rest());
            draft.stats_page().show_description = Some(text);
            Ok(())
        },
    ),
    keyword(
        "stats show-node",
        "[<name>]",
        "Shows the node's name.",
        |args, draft, _| {
            let name = args
                .take()
                .map(|word| word.text.clone())
                .unwrap_or_default();
            draft.stats_page().show_node = Some(name);
            args.end()
        },
    ),
    Keyword {
        name: "stats admin",
        sections: Sections::PROXY_ONLY,
        args: "{ if | unless } <cond>",
        doc: "Lets some clients change servers' states.",
        effect: Effect::Proxy(|args, draft, context| {
            let condition = Rules::new(context, &draft.acls, Stage::Request).condition(args)?;
            if condition.is_none() {
                return Err(args.missing("either 'if' or 'unless' followed by a condition"));
            }
            draft.stats_page().admin.push(StatsAdmin { condition });
            Ok(())
        }),
    },
    Keyword {
        name: "stats http-request",
        sections: Sections::PROXY_ONLY,
        args: "{ allow | deny | auth [realm <realm>] } [ { if | unless } <condition> ]",
        doc: "Says who may see the page.",
        effect: Effect::Proxy(|args, draft, context| {
            let rule = http_rule(args, draft, context, RuleSets::STATS)?;
            draft.stats_page().rules.push(rule);
            Ok(())
        }),
    },
];

impl ProxyDraft {
    /// The page's settings; those of `defaults` are given up with the first own line.
    fn stats_page(&mut self) -> &mut StatsPage {
        if self.stats_inherited && !self.inheriting {
            self.stats = None;
        }
        self.stats_inherited = self.inheriting;
        self.stats.get_or_insert_with(|| StatsPage {
            uri: "/haproxy?stats".to_owned(),
            realm: "HAProxy Statistics".to_owned(),
            auth: Vec::new(),
            scope: Vec::new(),
            refresh: None,
            hide_version: false,
            show_legends: false,
            show_description: None,
            show_node: None,
            admin: Vec::new(),
            rules: Vec::new(),
        })
    }
}
