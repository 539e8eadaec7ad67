//! Variants of a resource: what `Vary` names and what requests say of it (manual §6.2.1 `process-vary`).

use crate::proto::http::{Head, items};
use crate::state::{Accepts, Encodings, Selecting, Vary};

/// What of a request chooses among variants.
pub(super) fn selecting(request: &Head) -> Selecting {
    let whole = |name: &[u8]| request.first(name).unwrap_or_default().into();
    Selecting {
        accepts: accepted(request),
        referer: whole(b"referer"),
        origin: whole(b"origin"),
    }
}

/// What a response varies on: `Ok(None)` when on nothing, and an error when it cannot be told from
/// other variants, or was not meant for this client.
pub(super) fn vary(response: &Head, selecting: &Selecting) -> Result<Option<Vary>, Unmanaged> {
    let mut vary = None;
    for name in response.values(b"vary").flat_map(items) {
        let vary = vary.get_or_insert(Vary {
            encodings: None,
            referer: None,
            origin: None,
        });
        match name.to_ascii_lowercase().as_slice() {
            b"accept-encoding" => vary.encodings = Some(encodings(response)?),
            b"referer" => vary.referer = Some(selecting.referer.clone()),
            b"origin" => vary.origin = Some(selecting.origin.clone()),
            b"" => {}
            _ => return Err(Unmanaged),
        }
    }
    match vary {
        Some(vary) if !vary.suits(selecting) => Err(Unmanaged),
        vary => Ok(vary),
    }
}

/// The response varies on something that is not managed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unmanaged;

/// The codings of a response; an error when one is not known.
fn encodings(response: &Head) -> Result<Encodings, Unmanaged> {
    let mut set = 0;
    for coding in response.elements(b"content-encoding") {
        set |= bit(coding).ok_or(Unmanaged)?;
    }
    Ok(Encodings(if set == 0 { IDENTITY } else { set }))
}

/// The codings a client accepts: all of them when it does not say, `identity` unless it says no.
fn accepted(request: &Head) -> Accepts {
    if !request.contains(b"accept-encoding") {
        return Accepts::default();
    }
    let (mut named, mut accepted, mut others) = (0, 0, None);
    for element in request.elements(b"accept-encoding").take(MOST_CODINGS) {
        let mut parts = element.split(|byte| *byte == b';');
        let coding = parts.next().unwrap_or_default().trim_ascii();
        let refused = parts.any(is_zero_weight);
        if coding == b"*" {
            others = Some(!refused);
        } else if let Some(bit) = bit(coding) {
            named |= bit;
            accepted |= if refused { 0 } else { bit };
        }
    }
    let unnamed = match others {
        None => IDENTITY,
        Some(true) => u16::MAX,
        Some(false) => 0,
    };
    Accepts(Encodings(accepted | (unnamed & !named)))
}

fn is_zero_weight(parameter: &[u8]) -> bool {
    let Some((name, value)) = parameter.trim_ascii().split_at_checked(2) else {
        return false;
    };
    name.eq_ignore_ascii_case(b"q=")
        && value.starts_with(b"0")
        && value.iter().all(|byte| matches!(byte, b'0' | b'.'))
}

/// The bit of a registered content coding.
fn bit(coding: &[u8]) -> Option<u16> {
    let coding = coding.to_ascii_lowercase();
    let known = |name: &&[u8]| **name == coding;
    let at = match coding.as_slice() {
        b"x-gzip" => 1,
        b"x-compress" => 3,
        _ => CODINGS.iter().position(known)?,
    };
    Some(1 << at)
}

const IDENTITY: u16 = 1;

/// <https://www.iana.org/assignments/http-parameters/http-parameters.xhtml>
const CODINGS: [&[u8]; 11] = [
    b"identity",
    b"gzip",
    b"deflate",
    b"compress",
    b"br",
    b"zstd",
    b"aes128gcm",
    b"exi",
    b"pack200-gzip",
    b"dcb",
    b"dcz",
];

/// More codings in one request are not looked at.
const MOST_CODINGS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::http::Version;

    fn request(accept: Option<&str>) -> Selecting {
        let mut head = Head::default();
        head.start_request(b"GET", b"/", Version::Http11);
        head.add(b"referer", b"here");
        if let Some(accept) = accept {
            head.add(b"accept-encoding", accept.as_bytes());
        }
        selecting(&head)
    }

    fn response(vary: &str, coding: &str) -> Head {
        let mut head = Head::default();
        head.start_response(200, b"OK", Version::Http11);
        head.add(b"vary", vary.as_bytes());
        if !coding.is_empty() {
            head.add(b"content-encoding", coding.as_bytes());
        }
        head
    }

    #[test]
    fn a_variant_is_for_whoever_accepts_its_coding() {
        let stored = vary(
            &response("Accept-Encoding", "gzip"),
            &request(Some("gzip, br")),
        );
        let stored = stored.unwrap().unwrap();
        assert!(stored.suits(&request(Some("br, X-GZIP;q=0.5"))));
        assert!(stored.suits(&request(None)));
        assert!(stored.suits(&request(Some("*"))));
        assert!(!stored.suits(&request(Some("br"))));
        assert!(!stored.suits(&request(Some("gzip;q=0, *"))));
        assert!(!stored.suits(&request(Some(""))));
        let plain = vary(&response("accept-encoding", ""), &request(Some("other")));
        let plain = plain.unwrap().unwrap();
        assert!(plain.suits(&request(Some("br"))));
        assert!(!plain.suits(&request(Some("identity;q=0"))));
        assert!(!plain.suits(&request(Some("*;q=0.0"))));
    }

    #[test]
    fn what_cannot_be_told_apart_is_not_kept() {
        let gzip = request(Some("gzip"));
        assert_eq!(vary(&response("user-agent", ""), &gzip), Err(Unmanaged));
        assert_eq!(vary(&response("*", ""), &gzip), Err(Unmanaged));
        assert_eq!(
            vary(&response("accept-encoding", "rot13"), &gzip),
            Err(Unmanaged)
        );
        assert_eq!(
            vary(&response("accept-encoding", "br"), &gzip),
            Err(Unmanaged)
        );
        let referer = vary(&response("referer, origin", "br"), &gzip)
            .unwrap()
            .unwrap();
        assert_eq!(referer.referer.as_deref(), Some(&b"here"[..]));
        assert_eq!(referer.encodings, None);
    }
}
