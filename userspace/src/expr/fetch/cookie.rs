//! Finding cookies in the fields of a message.

use super::header::{current_field, fields};
use super::{Cursor, Direction};
use crate::proto::http::Head;
use crate::proto::http::cookie::{Cookie, cookies, set_cookie};

fn cookie_field(direction: Direction) -> &'static [u8] {
    match direction {
        Direction::Request => b"cookie",
        Direction::Response => b"set-cookie",
    }
}

fn has_name(cookie: &Cookie<'_>, name: &[u8]) -> bool {
    name.is_empty() || cookie.name == name
}

pub(super) fn all_cookies<'a>(
    head: &'a Head,
    direction: Direction,
    name: &'a [u8],
) -> impl Iterator<Item = Cookie<'a>> {
    let values = fields(head, cookie_field(direction));
    values
        .flat_map(move |value| {
            let (sent, set) = match direction {
                Direction::Request => (Some(cookies(value)), None),
                Direction::Response => (None, set_cookie(value)),
            };
            sent.into_iter().flatten().chain(set)
        })
        .filter(move |cookie| has_name(cookie, name))
}

/// The last cookie of that name; the first one where no name is given.
pub(super) fn cookie<'a>(head: &'a Head, direction: Direction, name: &'a [u8]) -> Option<&'a [u8]> {
    let mut all = all_cookies(head, direction, name);
    let found = if name.is_empty() {
        all.next()
    } else {
        all.last()
    };
    found.map(|cookie| cookie.value)
}

/// The next cookie of that name on a walk over all of them.
pub(super) fn next_cookie<'a>(
    head: &'a Head,
    direction: Direction,
    name: &[u8],
    cursor: &mut Cursor,
) -> Option<&'a [u8]> {
    loop {
        let value = current_field(head, cookie_field(direction), cursor)?;
        let from = cursor.offset.min(value.len());
        let found = match direction {
            Direction::Request => cookies(&value[from..]).find(|cookie| has_name(cookie, name)),
            Direction::Response => set_cookie(value).filter(|cookie| has_name(cookie, name)),
        };
        match (found, direction) {
            (Some(cookie), Direction::Request) => {
                cursor.offset = from + cookie.place.end;
                return Some(cookie.value);
            }
            (found, _) => {
                cursor.next_field();
                if let Some(cookie) = found {
                    return Some(cookie.value);
                }
            }
        }
    }
}
