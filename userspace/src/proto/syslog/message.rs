//! Received syslog messages taken apart (RFC 3164, RFC 5424).
//!
//! A message comes in without its frame. Whatever cannot be told stays empty; what remains is the text. Nothing is refused:
//! RFC 3164 §4.3.3 asks relays to take any line.

/// A received message; texts that were not there are empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Message<'a> {
    /// The facility's number, 0 to 23; `None` when there was no priority.
    pub facility: Option<u8>,
    /// The severity's number, 0 to 7.
    pub severity: u8,
    /// What the header looked like.
    pub origin: Origin,
    /// The time, as it was written.
    pub stamp: &'a str,
    /// The sender's name.
    pub host: &'a str,
    /// The program.
    pub tag: &'a str,
    /// Its process id.
    pub pid: &'a str,
    /// RFC 5424 message id.
    pub message_id: &'a str,
    /// RFC 5424 structured data, in its brackets.
    pub structured: &'a [u8],
    /// The rest.
    pub text: &'a [u8],
}

/// The kind of a received header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// None, or only a priority.
    #[default]
    Bare,
    /// RFC 3164, with or without a host name.
    Rfc3164,
    /// RFC 5424.
    Rfc5424,
}

impl<'a> Message<'a> {
    /// A message that is not looked into.
    pub const fn opaque(text: &'a [u8]) -> Self {
        Self {
            facility: None,
            severity: NOTICE,
            origin: Origin::Bare,
            stamp: "",
            host: "",
            tag: "",
            pid: "",
            message_id: "",
            structured: b"",
            text,
        }
    }

    /// Takes a message apart.
    pub fn parse(bytes: &'a [u8]) -> Self {
        let mut message = Self::opaque(bytes);
        let Some((priority, rest)) = priority(bytes) else {
            return message;
        };
        message.facility = Some(priority / 8);
        message.severity = priority % 8;
        message.text = rest;
        if let Some(parsed) = message.modern(rest) {
            return parsed;
        }
        message.traditional(rest).unwrap_or(message)
    }

    /// `1 TIME HOST APP PROCID MSGID DATA TEXT`.
    fn modern(self, rest: &'a [u8]) -> Option<Self> {
        let mut rest = rest.strip_prefix(b"1 ")?;
        let mut next = || -> Option<&'a str> {
            let (field, after) = field(rest)?;
            rest = after;
            Some(if field == "-" { "" } else { field })
        };
        let [stamp, host, tag, pid, message_id] = [next()?, next()?, next()?, next()?, next()?];
        let (structured, text) = structured(rest)?;
        Some(Self {
            origin: Origin::Rfc5424,
            stamp,
            host,
            tag,
            pid,
            message_id,
            structured,
            text: text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text),
            ..self
        })
    }

    /// `Mmm dd hh:mm:ss [HOST ]TAG[PID]: TEXT`.
    fn traditional(self, rest: &'a [u8]) -> Option<Self> {
        let (stamp, rest) = rest.split_at_checked(STAMP)?;
        let rest = rest.strip_prefix(b" ")?;
        let stamp = std::str::from_utf8(stamp)
            .ok()
            .filter(|stamp| is_stamp(stamp.as_bytes()))?;
        let mut message = Self {
            origin: Origin::Rfc3164,
            stamp,
            text: rest,
            ..self
        };
        if let Some((tag, pid, text)) = tag(rest) {
            return Some(Self {
                tag,
                pid,
                text,
                ..message
            });
        }
        if let Some((host, rest)) = field(rest) {
            message.host = host;
            message.text = rest;
            if let Some((tag, pid, text)) = tag(rest) {
                message = Self {
                    tag,
                    pid,
                    text,
                    ..message
                };
            }
        }
        Some(message)
    }
}

/// `<N>` at the beginning, at most 191 (RFC 5424 §6.2.1).
fn priority(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let rest = bytes.strip_prefix(b"<")?;
    let end = rest.iter().take(4).position(|byte| *byte == b'>')?;
    let digits = std::str::from_utf8(&rest[..end]).ok()?;
    let number = digits.parse().ok().filter(|number| *number <= 191)?;
    (!digits.starts_with('+')).then_some((number, &rest[end + 1..]))
}

/// A word of printable characters up to a space, which there must be.
fn field(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().position(|byte| !byte.is_ascii_graphic())?;
    let (word, rest) = bytes.split_at(end);
    let word = std::str::from_utf8(word).ok()?;
    let rest = rest.strip_prefix(b" ")?;
    (!word.is_empty()).then_some((word, rest))
}

/// `TAG[PID]: ` or `TAG: `.
fn tag(bytes: &[u8]) -> Option<(&str, &str, &[u8])> {
    let end = bytes
        .iter()
        .position(|byte| !byte.is_ascii_graphic() || matches!(byte, b':' | b'['))?;
    let name = std::str::from_utf8(&bytes[..end]).ok()?;
    let (pid, rest) = match bytes[end..].strip_prefix(b"[") {
        None => ("", &bytes[end..]),
        Some(rest) => {
            let close = rest
                .iter()
                .position(|byte| *byte == b']' || !byte.is_ascii_graphic())?;
            let pid = std::str::from_utf8(&rest[..close]).ok()?;
            (pid, rest[close..].strip_prefix(b"]")?)
        }
    };
    let rest = rest.strip_prefix(b":")?;
    let text = rest.strip_prefix(b" ").unwrap_or(rest);
    (!name.is_empty()).then_some((name, pid, text))
}

/// Structured data: `-`, or elements in brackets; then the text behind the space.
fn structured(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = match bytes.first()? {
        b'-' => 1,
        b'[' => elements(bytes)?,
        _ => return None,
    };
    let data = if bytes[0] == b'-' {
        &b""[..]
    } else {
        &bytes[..end]
    };
    match &bytes[end..] {
        [] => Some((data, b"")),
        [b' ', text @ ..] => Some((data, text)),
        _ => None,
    }
}

/// Where the elements end. A bracket inside a quoted value does not count (RFC 5424 §6.3.3).
fn elements(bytes: &[u8]) -> Option<usize> {
    let (mut quoted, mut escaped, mut inside) = (false, false, false);
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' if inside => quoted = !quoted,
            _ if quoted => {}
            b'[' if !inside => inside = true,
            b']' if inside => inside = false,
            _ if !inside => return (at > 0).then_some(at),
            _ => {}
        }
    }
    (!inside).then_some(bytes.len())
}

/// `Oct 11 22:14:15`.
fn is_stamp(stamp: &[u8]) -> bool {
    let pattern = b"Aaa d0 00:00:00";
    let fits = |(byte, wanted): (&u8, &u8)| match wanted {
        b'A' => byte.is_ascii_uppercase(),
        b'a' => byte.is_ascii_lowercase(),
        b'd' => *byte == b' ' || byte.is_ascii_digit(),
        b'0' => byte.is_ascii_digit(),
        other => byte == other,
    };
    stamp.len() == pattern.len() && stamp.iter().zip(pattern).all(fits)
}

/// Length of an RFC 3164 time.
const STAMP: usize = 15;

/// What a message without a priority counts as (RFC 3164 §4.3.3).
const NOTICE: u8 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(line: &str) -> String {
        let message = Message::parse(line.as_bytes());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        format!(
            "{:?} {:?}.{} stamp={} host={} tag={} pid={} id={} data={} text={}",
            message.origin,
            message.facility,
            message.severity,
            message.stamp,
            message.host,
            message.tag,
            message.pid,
            message.message_id,
            text(message.structured),
            text(message.text)
        )
    }

    #[test]
    fn traditional_messages_are_taken_apart() {
        for (line, expected) in [
            (
                "<34>Oct 11 22:14:15 mymachine su: 'su root' failed",
                "Rfc3164 Some(4).2 stamp=Oct 11 22:14:15 host=mymachine tag=su pid= id= data= text='su root' failed",
            ),
            (
                "<134>Nov  2 10:57:04 haproxy[42]: hello",
                "Rfc3164 Some(16).6 stamp=Nov  2 10:57:04 host= tag=haproxy pid=42 id= data= text=hello",
            ),
            (
                "<134>Nov  2 10:57:04 edge haproxy[42]: GET /: 200",
                "Rfc3164 Some(16).6 stamp=Nov  2 10:57:04 host=edge tag=haproxy pid=42 id= data= text=GET /: 200",
            ),
            (
                "<13>Nov  2 10:57:04 edge said nothing",
                "Rfc3164 Some(1).5 stamp=Nov  2 10:57:04 host=edge tag= pid= id= data= text=said nothing",
            ),
        ] {
            assert_eq!(parts(line), expected, "{line}");
        }
    }

    #[test]
    fn modern_messages_are_taken_apart() {
        for (line, expected) in [
            (
                "<165>1 2003-10-11T22:14:15.003Z edge app 8710 ID47 [a@1 x=\"]\\\"\"][b@1] \u{feff}An event",
                "Rfc5424 Some(20).5 stamp=2003-10-11T22:14:15.003Z host=edge tag=app pid=8710 id=ID47 data=[a@1 x=\"]\\\"\"][b@1] text=An event",
            ),
            (
                "<134>1 2026-11-02T10:57:04.018468+01:00 - haproxy 42 - - hello",
                "Rfc5424 Some(16).6 stamp=2026-11-02T10:57:04.018468+01:00 host= tag=haproxy pid=42 id= data= text=hello",
            ),
            (
                "<134>1 - - - - - -",
                "Rfc5424 Some(16).6 stamp= host= tag= pid= id= data= text=",
            ),
        ] {
            assert_eq!(parts(line), expected, "{line}");
        }
    }

    #[test]
    fn whatever_is_not_a_header_is_text() {
        for (line, expected) in [
            (
                "hello",
                "Bare None.5 stamp= host= tag= pid= id= data= text=hello",
            ),
            (
                "<192>x",
                "Bare None.5 stamp= host= tag= pid= id= data= text=<192>x",
            ),
            (
                "<13>hello",
                "Bare Some(1).5 stamp= host= tag= pid= id= data= text=hello",
            ),
            (
                "<13>1 2026 host app 1 - [broken",
                "Bare Some(1).5 stamp= host= tag= pid= id= data= text=1 2026 host app 1 - [broken",
            ),
            ("", "Bare None.5 stamp= host= tag= pid= id= data= text="),
            ("<", "Bare None.5 stamp= host= tag= pid= id= data= text=<"),
        ] {
            assert_eq!(parts(line), expected, "{line}");
        }
    }
}
