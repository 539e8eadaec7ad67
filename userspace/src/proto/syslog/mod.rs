//! Syslog lines in HAProxy's eight formats (manual §4.2 `log`, RFC 3164, RFC 5424).
//!
//! A [`Header`] and a finished message come in, one line comes out, cut to the target's length. Escaping is done by whoever
//! made the message; where a line goes and whether it is wanted is [`crate::log`]'s business.

mod framing;
mod message;

use std::time::Duration;

use crate::clock::LocalTime;

pub use framing::{Framing, FramingError, next_frame, write_frame};
pub use message::{Message, Origin};

/// How a line is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// RFC 3164 without the host name.
    Local,
    /// RFC 3164.
    Rfc3164,
    /// RFC 5424.
    Rfc5424,
    /// The priority, then the message.
    Priority,
    /// The level, then the message.
    Short,
    /// The level and the ISO date, then the message.
    Timed,
    /// The ISO date, then the message.
    Iso,
    /// The message.
    Raw,
}

/// What stands before the message.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    /// How the line is framed.
    pub format: Format,
    /// The facility's number, 0 to 23.
    pub facility: u8,
    /// The severity's number, 0 (emerg) to 7 (debug).
    pub severity: u8,
    /// The time of the line, since 1970-01-01 00:00 UTC.
    pub wall: Duration,
    /// The same moment as local time.
    pub local: LocalTime,
    /// The time as it was received, already in the form that `format` writes; `None` = `wall` and `local` are written.
    pub stamp: Option<&'a str>,
    /// The host name; `None` = not sent.
    pub host: Option<&'a str>,
    /// The program's name; empty = none.
    pub tag: &'a str,
    /// The process id; empty = none.
    pub pid: &'a str,
    /// RFC 5424 message id; empty = none.
    pub message_id: &'a str,
    /// RFC 5424 structured data; empty = none.
    pub structured: &'a [u8],
}

impl Header<'_> {
    /// Appends a whole line, newline included, of at most `limit` bytes.
    pub fn write_line(&self, message: &[u8], limit: usize, line: &mut Vec<u8>) {
        let start = line.len();
        self.write(line);
        line.extend_from_slice(message);
        while line.len() > start && matches!(line.last(), Some(b'\n' | b'\r')) {
            line.pop();
        }
        line.truncate(start + limit.saturating_sub(1));
        line.push(b'\n');
    }

    fn write(&self, line: &mut Vec<u8>) {
        let priority = self.facility * 8 + self.severity;
        match self.format {
            Format::Local => {
                self.write_stamp(line, priority, syslog_time);
                self.write_tag(line);
            }
            Format::Rfc3164 => {
                self.write_stamp(line, priority, syslog_time);
                let host = self.host.unwrap_or("localhost");
                append(line, format_args!("{host} "));
                self.write_tag(line);
            }
            Format::Rfc5424 => {
                let time = |local: &LocalTime| iso_time(local, self.wall);
                append(line, format_args!("<{priority}>1 "));
                match self.stamp {
                    Some(stamp) => line.extend_from_slice(stamp.as_bytes()),
                    None => append(line, format_args!("{}", time(&self.local))),
                }
                let host = self.host.unwrap_or("-");
                let [tag, pid, id] = [self.tag, self.pid, self.message_id].map(or_nil);
                append(line, format_args!(" {host} {tag} {pid} {id} "));
                match self.structured {
                    [] => line.push(b'-'),
                    data => line.extend_from_slice(data),
                }
                line.push(b' ');
            }
            Format::Priority => append(line, format_args!("<{priority}>")),
            Format::Short => append(line, format_args!("<{}>", self.severity)),
            Format::Timed => {
                let time = iso_time(&self.local, self.wall);
                append(line, format_args!("<{}>{time} ", self.severity));
            }
            Format::Iso => append(line, format_args!("{} ", iso_time(&self.local, self.wall))),
            Format::Raw => {}
        }
    }

    /// Priority and time of RFC 3164.
    fn write_stamp(&self, line: &mut Vec<u8>, priority: u8, time: fn(&LocalTime) -> String) {
        match self.stamp {
            Some(stamp) => append(line, format_args!("<{priority}>{stamp} ")),
            None => append(line, format_args!("<{priority}>{} ", time(&self.local))),
        }
    }

    /// `tag[pid]: `, as far as there is a tag and a process id.
    fn write_tag(&self, line: &mut Vec<u8>) {
        match (self.tag, self.pid) {
            ("", _) => {}
            (tag, "") => append(line, format_args!("{tag}: ")),
            (tag, pid) => append(line, format_args!("{tag}[{pid}]: ")),
        }
    }
}

/// What stands for nothing in RFC 5424.
const fn or_nil(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

/// `Nov  2 10:55:42`: the day is padded with a space (RFC 3164 §4.1.2).
fn syslog_time(local: &LocalTime) -> String {
    format!(
        "{} {:2} {:02}:{:02}:{:02}",
        local.month_name(),
        local.day,
        local.hour,
        local.minute,
        local.second
    )
}

/// `2026-11-22T10:55:48.166172+00:00` (RFC 5424 §6.2.3).
fn iso_time(local: &LocalTime, wall: Duration) -> String {
    let zone = local.zone();
    let (hours, minutes) = zone.split_at(3);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}{hours}:{minutes}",
        local.year,
        local.month,
        local.day,
        local.hour,
        local.minute,
        local.second,
        wall.subsec_micros()
    )
}

fn append(line: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    use std::io::Write as _;
    line.write_fmt(text)
        .expect("writing to a vector does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(format: Format, change: impl FnOnce(&mut Header<'_>), limit: usize) -> String {
        let mut header = Header {
            format,
            facility: 16,
            severity: 6,
            wall: Duration::new(1_795_345_002, 18_468_000),
            local: LocalTime {
                year: 2026,
                month: 11,
                day: 2,
                hour: 10,
                minute: 57,
                second: 4,
                weekday: 0,
                offset: 3600,
            },
            stamp: None,
            host: None,
            tag: "haproxy",
            pid: "42",
            message_id: "",
            structured: b"",
        };
        change(&mut header);
        let mut line = Vec::new();
        header.write_line(b"hello", limit, &mut line);
        String::from_utf8(line).expect("ascii")
    }

    #[test]
    fn every_format_is_framed_as_haproxy_frames_it() {
        let cases = [
            (Format::Local, "<134>Nov  2 10:57:04 haproxy[42]: hello\n"),
            (
                Format::Rfc3164,
                "<134>Nov  2 10:57:04 localhost haproxy[42]: hello\n",
            ),
            (
                Format::Rfc5424,
                "<134>1 2026-11-02T10:57:04.018468+01:00 - haproxy 42 - - hello\n",
            ),
            (Format::Priority, "<134>hello\n"),
            (Format::Short, "<6>hello\n"),
            (Format::Timed, "<6>2026-11-02T10:57:04.018468+01:00 hello\n"),
            (Format::Iso, "2026-11-02T10:57:04.018468+01:00 hello\n"),
            (Format::Raw, "hello\n"),
        ];
        for (format, expected) in cases {
            assert_eq!(line(format, |_| {}, 1024), expected);
        }
    }

    #[test]
    fn host_name_and_structured_data_take_their_places() {
        let full = line(
            Format::Rfc5424,
            |header| {
                header.host = Some("edge.example");
                header.structured = b"[x@1 m=\"GET\"]";
            },
            1024,
        );
        assert_eq!(
            full,
            "<134>1 2026-11-02T10:57:04.018468+01:00 edge.example haproxy 42 - [x@1 m=\"GET\"] hello\n"
        );
    }

    #[test]
    fn what_was_received_is_written_again_and_what_is_missing_is_left_out() {
        let relayed = |header: &mut Header<'_>| {
            header.stamp = Some("Oct 11 22:14:15");
            header.host = Some("mymachine");
            header.tag = "su";
            header.pid = "";
        };
        assert_eq!(
            line(Format::Rfc3164, relayed, 1024),
            "<134>Oct 11 22:14:15 mymachine su: hello\n"
        );
        let nobody = |header: &mut Header<'_>| (header.tag, header.pid) = ("", "");
        assert_eq!(
            line(Format::Local, nobody, 1024),
            "<134>Nov  2 10:57:04 hello\n"
        );
        assert_eq!(
            line(Format::Rfc5424, nobody, 1024),
            "<134>1 2026-11-02T10:57:04.018468+01:00 - - - - - hello\n"
        );
    }

    #[test]
    fn a_long_line_is_cut_and_still_ends_with_a_newline() {
        assert_eq!(line(Format::Raw, |_| {}, 4), "hel\n");
        assert_eq!(line(Format::Short, |_| {}, 80), "<6>hello\n");
    }
}
