//! What a client accepts: `Accept-Encoding` and its weights (RFC 9110 §12.5.3), and browsers that lie.

use crate::model::CompressionAlgorithm;
use crate::proto::http::Head;

/// The algorithm to use for a client; `None` when it accepts none of them. `identity` needs no
/// consent (manual §4.2 `compression algo`).
pub(super) fn choose(
    request: &Head,
    algorithms: &[CompressionAlgorithm],
) -> Option<CompressionAlgorithm> {
    let identity = algorithms
        .iter()
        .copied()
        .find(|algorithm| *algorithm == CompressionAlgorithm::Identity);
    if is_broken_browser(request) {
        return identity;
    }
    let mut best = None;
    for algorithm in algorithms.iter().copied() {
        if algorithm == CompressionAlgorithm::Identity {
            continue;
        }
        let weight = weight_of(request, algorithm.coding().as_bytes());
        if weight > best.map_or(0, |(weight, _)| weight) {
            best = Some((weight, algorithm));
        }
    }
    best.map(|(_, algorithm)| algorithm).or(identity)
}

/// The weight a client gives to a content coding, in thousandths.
fn weight_of(request: &Head, coding: &[u8]) -> u16 {
    let mut any = 0;
    for element in request.elements(b"accept-encoding") {
        let mut parts = element.split(|byte| *byte == b';');
        let token = parts.next().unwrap_or_default().trim_ascii();
        let weight = parts
            .map(<[u8]>::trim_ascii)
            .find_map(|parameter| {
                let (name, value) = parameter.split_at_checked(2)?;
                name.eq_ignore_ascii_case(b"q=").then(|| thousandths(value))
            })
            .unwrap_or(1000);
        if token.eq_ignore_ascii_case(coding) {
            return weight;
        }
        if token == b"*" {
            any = weight;
        }
    }
    any
}

/// A weight such as `0.75`; what is no weight counts as 1, as if it were not there.
fn thousandths(text: &[u8]) -> u16 {
    let (whole, fraction) = match text.iter().position(|byte| *byte == b'.') {
        Some(dot) => (&text[..dot], &text[dot + 1..]),
        None => (text, &b""[..]),
    };
    if whole != b"0" {
        return 1000;
    }
    let mut weight = 0;
    for place in 0..3 {
        let digit = fraction.get(place).filter(|byte| byte.is_ascii_digit());
        weight = weight * 10 + digit.map_or(0, |byte| u16::from(byte - b'0'));
    }
    weight
}

/// Whether it is a `Mozilla/4` that cannot be trusted to decompress: all but MSIE 6 with XP SP2
/// and MSIE 7 and later (manual §4.2).
fn is_broken_browser(request: &Head) -> bool {
    let Some(agent) = request.first(b"user-agent") else {
        return false;
    };
    if !agent.starts_with(b"Mozilla/4") {
        return false;
    }
    let after =
        |needle: &[u8]| memchr::memmem::find(agent, needle).map(|at| &agent[at + needle.len()..]);
    let version = after(b"MSIE ").map_or(0, |rest| {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).take(4);
        digits.fold(0u32, |version, digit| {
            version * 10 + u32::from(digit - b'0')
        })
    });
    !(version >= 7 || version == 6 && after(b"SV1").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::http::Version;

    const BOTH: &[CompressionAlgorithm] =
        &[CompressionAlgorithm::Gzip, CompressionAlgorithm::Deflate];

    fn chosen(
        fields: &[(&str, &str)],
        algorithms: &[CompressionAlgorithm],
    ) -> Option<&'static str> {
        let mut head = Head::default();
        head.start_request(b"GET", b"/", Version::Http11);
        for (name, value) in fields {
            head.add(name.as_bytes(), value.as_bytes());
        }
        choose(&head, algorithms).map(CompressionAlgorithm::name)
    }

    fn accepting(value: &str) -> Option<&'static str> {
        chosen(&[("accept-encoding", value)], BOTH)
    }

    #[test]
    fn weights_decide_and_then_the_configured_order() {
        assert_eq!(accepting("gzip, deflate"), Some("gzip"));
        assert_eq!(accepting("deflate, GZIP"), Some("gzip"));
        assert_eq!(
            accepting("*;q=0, gzip;q=0.500, deflate;q=0.750"),
            Some("deflate")
        );
        assert_eq!(accepting("deflate"), Some("deflate"));
        assert_eq!(accepting("br"), None);
        assert_eq!(accepting("gzip;q=0"), None);
        assert_eq!(accepting("gzip;q=0.0, *"), Some("deflate"));
        assert_eq!(accepting("*;q=0.001"), Some("gzip"));
        assert_eq!(accepting(""), None);
        assert_eq!(chosen(&[], BOTH), None);
    }

    #[test]
    fn identity_asks_nobody() {
        let identity = &[CompressionAlgorithm::Identity];
        assert_eq!(chosen(&[], identity), Some("identity"));
        let with_gzip = &[CompressionAlgorithm::Identity, CompressionAlgorithm::Gzip];
        let fields = [("accept-encoding", "gzip")];
        assert_eq!(chosen(&fields, with_gzip), Some("gzip"));
        assert_eq!(chosen(&[], with_gzip), Some("identity"));
    }

    #[test]
    fn old_browsers_get_nothing_compressed() {
        let with = |agent| chosen(&[("accept-encoding", "gzip"), ("user-agent", agent)], BOTH);
        assert_eq!(with("Mozilla/4"), None);
        assert_eq!(
            with("Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)"),
            None
        );
        assert_eq!(
            with("Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1; SV1)"),
            Some("gzip")
        );
        assert_eq!(with("Mozilla/4.0 (compatible; MSIE 10.0)"), Some("gzip"));
        assert_eq!(with("Mozilla/5.0 (X11)"), Some("gzip"));
    }
}
