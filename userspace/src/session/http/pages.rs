//! The answers the proxy gives by itself for each status, when the configuration names no other.
//!
//! A status goes in, its reason phrase and an HTML body come out, in the shape HAProxy's have:
//! operators and probes look for the heading. `errorfile` and its kin replace them in
//! [`super::replies`].

/// The built-in body for a status HAProxy can generate (manual §4.2 `errorfile`); `None` for others.
pub(crate) fn body(status: u16) -> Option<&'static str> {
    PAGES
        .iter()
        .find(|page| page.0 == status)
        .map(|page| page.2)
}

/// The reason phrase of a status line.
pub(crate) fn reason(status: u16) -> &'static str {
    if let Some(page) = PAGES.iter().find(|page| page.0 == status) {
        return page.1;
    }
    REASONS
        .iter()
        .find(|entry| entry.0 == status)
        .map_or("Other", |entry| entry.1)
}

macro_rules! page {
    ($status:literal, $reason:literal, $text:literal) => {
        (
            $status,
            $reason,
            concat!(
                "<html><body><h1>",
                $status,
                " ",
                $reason,
                "</h1>\n",
                $text,
                "\n</body></html>\n"
            ),
        )
    };
}

const PAGES: &[(u16, &str, &str)] = &[
    (
        200,
        "OK",
        "<html><body><h1>200 OK</h1>\nThe service is ready.\n</body></html>\n",
    ),
    page!(400, "Bad request", "The request could not be understood."),
    page!(
        401,
        "Unauthorized",
        "This resource needs a user name and a password."
    ),
    page!(
        403,
        "Forbidden",
        "The rules of this site forbid the request."
    ),
    page!(404, "Not Found", "There is nothing at this address."),
    page!(
        405,
        "Method Not Allowed",
        "This method cannot be used here."
    ),
    page!(
        407,
        "Unauthorized",
        "This proxy needs a user name and a password."
    ),
    page!(
        408,
        "Request Time-out",
        "The request did not arrive in time."
    ),
    page!(410, "Gone", "What was here has been removed for good."),
    page!(
        413,
        "Payload Too Large",
        "The request is larger than what is accepted here."
    ),
    page!(
        414,
        "URI Too Long",
        "The address is longer than what is accepted here."
    ),
    page!(
        421,
        "Misdirected Request",
        "The request was sent to a server that does not serve it."
    ),
    page!(
        422,
        "Unprocessable Content",
        "The request is well formed but cannot be processed."
    ),
    page!(
        425,
        "Too Early",
        "The request came in early data and must be sent again."
    ),
    page!(
        429,
        "Too Many Requests",
        "Too many requests came in a short time."
    ),
    page!(
        431,
        "Request Header Fields Too Large",
        "The header fields are larger than what is accepted here."
    ),
    page!(
        500,
        "Internal Server Error",
        "The request could not be processed."
    ),
    page!(501, "Not Implemented", "This method is not known here."),
    page!(
        502,
        "Bad Gateway",
        "The server's response was invalid or incomplete."
    ),
    page!(
        503,
        "Service Unavailable",
        "There is no server to take this request."
    ),
    page!(
        504,
        "Gateway Time-out",
        "The server did not respond in time."
    ),
];

/// Reason phrases of statuses without a page (RFC 9110 §15 and its registry).
const REASONS: &[(u16, &str)] = &[
    (100, "Continue"),
    (101, "Switching Protocols"),
    (102, "Processing"),
    (103, "Early Hints"),
    (201, "Created"),
    (202, "Accepted"),
    (203, "Non-Authoritative Information"),
    (204, "No Content"),
    (205, "Reset Content"),
    (206, "Partial Content"),
    (207, "Multi-Status"),
    (210, "Content Different"),
    (226, "IM Used"),
    (300, "Multiple Choices"),
    (301, "Moved Permanently"),
    (302, "Found"),
    (303, "See Other"),
    (304, "Not Modified"),
    (305, "Use Proxy"),
    (307, "Temporary Redirect"),
    (308, "Permanent Redirect"),
    (402, "Payment Required"),
    (406, "Not Acceptable"),
    (409, "Conflict"),
    (411, "Length Required"),
    (412, "Precondition Failed"),
    (415, "Unsupported Media Type"),
    (416, "Requested range unsatisfiable"),
    (417, "Expectation failed"),
    (418, "I'm a teapot"),
    (423, "Locked"),
    (424, "Failed Dependency"),
    (426, "Upgrade Required"),
    (428, "Precondition Required"),
    (451, "Unavailable For Legal Reasons"),
    (505, "HTTP Version Not Supported"),
    (506, "Variant Also Negotiates"),
    (507, "Insufficient storage"),
    (508, "Loop Detected"),
    (510, "Not Extended"),
    (511, "Network Authentication Required"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_of_the_manual_has_a_page_with_its_heading() {
        let listed = [
            200, 400, 401, 403, 404, 405, 407, 408, 410, 413, 414, 425, 429, 431, 500, 501, 502,
            503, 504,
        ];
        for status in listed {
            let heading = format!("<h1>{status} {}</h1>", reason(status));
            assert!(body(status).unwrap().contains(&heading), "{status}");
        }
    }

    #[test]
    fn other_statuses_have_a_reason_at_least() {
        assert_eq!(body(302), None);
        assert_eq!(reason(302), "Found");
        assert_eq!(reason(299), "Other");
    }
}
