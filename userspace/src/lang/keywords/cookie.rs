//! `cookie` of a backend (manual §4.2).

use super::args::{Args, Complaint, Parsed, Unit};
use super::registry::{Effect, Keyword, Sections};
use crate::model::{Cookie, CookieMode};

pub(super) const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "cookie",
        sections: Sections::BACK,
        args: "<name> [rewrite|insert|prefix] [indirect] [nocache] [postonly] [preserve] [httponly] [secure] [domain <domain>]* [maxidle <idle>] [maxlife <life>] [dynamic] [attr <value>]*",
        doc: "Keeps clients at their server with a cookie.",
        effect: Effect::Proxy(|args, draft, _| {
            draft.proxy.cookie = Some(cookie(args)?);
            Ok(())
        }),
    },
    Keyword {
        name: "dynamic-cookie-key",
        sections: Sections::BACK,
        args: "<string>",
        doc: "Sets the secret of dynamic cookies.",
        effect: Effect::Proxy(|args, draft, _| {
            let key = args.only("a secret key")?.text.clone();
            draft.dynamic_cookie_key = Some(key);
            Ok(())
        }),
    },
];

fn cookie(args: &mut Args<'_>) -> Parsed<Cookie> {
    let name = args.need("<cookie_name> as argument")?;
    let mut cookie = Cookie {
        name: name.text.clone(),
        mode: CookieMode::Passive,
        indirect: false,
        nocache: false,
        postonly: false,
        preserve: false,
        httponly: false,
        secure: false,
        domains: Vec::new(),
        max_idle: None,
        max_life: None,
        attributes: Vec::new(),
        dynamic_key: None,
    };
    let mut modes = 0;
    while let Some(word) = args.take() {
        match word.text.as_str() {
            "rewrite" => (cookie.mode, modes) = (CookieMode::Rewrite, modes + 1),
            "insert" => (cookie.mode, modes) = (CookieMode::Insert, modes + 1),
            "prefix" => (cookie.mode, modes) = (CookieMode::Prefix, modes + 1),
            "indirect" => cookie.indirect = true,
            "nocache" => cookie.nocache = true,
            "postonly" => cookie.postonly = true,
            "preserve" => cookie.preserve = true,
            "httponly" => cookie.httponly = true,
            "secure" => cookie.secure = true,
            "domain" => {
                let domain = args.need("<domain> as argument")?;
                if domain.text.contains([';', ',', ' ']) {
                    return Err(Complaint::new(
                        domain.span,
                        "domain contains an invalid character",
                    ));
                }
                cookie.domains.push(domain.text.clone());
            }
            "maxidle" => cookie.max_idle = args.optional_time(Unit::Seconds)?,
            "maxlife" => cookie.max_life = args.optional_time(Unit::Seconds)?,
            "attr" => {
                let attribute = args.need("<value> as argument")?;
                if attribute
                    .text
                    .contains(|c: char| c == ';' || c.is_control())
                {
                    return Err(Complaint::new(
                        attribute.span,
                        "attribute contains an invalid character",
                    ));
                }
                cookie.attributes.push(attribute.text.clone());
            }
            "dynamic" => cookie.dynamic_key = Some(String::new()),
            _ => return Err(Complaint::unknown(word, "option", OPTIONS.iter().copied())),
        }
    }
    if modes > 1 {
        return Err(args.wrong("only one of 'rewrite', 'insert' and 'prefix' can be given"));
    }
    Ok(cookie)
}

const OPTIONS: &[&str] = &[
    "rewrite", "insert", "prefix", "indirect", "nocache", "postonly", "preserve", "httponly",
    "secure", "domain", "maxidle", "maxlife", "dynamic", "attr",
];
