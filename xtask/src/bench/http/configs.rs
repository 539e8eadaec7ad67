//! The same configuration for every proxy, each in its own language.

use std::fmt::Write as _;
use std::path::Path;

use super::rows::Port;

/// haproxy's and ours: the very same text.
pub(super) fn haproxy(ports: &[(Port, u16)], origin: u16, certificate: &Path) -> String {
    let mut text = String::from(
        "global\n    maxconn 7000\n    nbthread 1\n\
         defaults\n    mode http\n    timeout connect 5s\n    timeout client 60s\n    timeout server 60s\n    \
         timeout http-keep-alive 60s\n\
         backend origin\n    http-reuse always\n",
    );
    // Writing to a String cannot fail.
    let _ = writeln!(text, "    server o 127.0.0.1:{origin}");
    for (port, number) in ports {
        let _ = match port {
            Port::Http => writeln!(
                text,
                "frontend http\n    bind 127.0.0.1:{number}\n    default_backend origin"
            ),
            Port::Tls => writeln!(
                text,
                "frontend tls\n    bind 127.0.0.1:{number} ssl crt {}\n    default_backend origin",
                certificate.display()
            ),
            Port::Http2 => writeln!(
                text,
                "frontend http2\n    bind 127.0.0.1:{number} proto h2\n    default_backend origin"
            ),
            Port::Tcp => writeln!(
                text,
                "listen tcp\n    mode tcp\n    option splice-auto\n    bind 127.0.0.1:{number}\n    \
                 server o 127.0.0.1:{origin}"
            ),
            Port::Gzip => writeln!(
                text,
                "listen gzip\n    bind 127.0.0.1:{number}\n    compression algo gzip\n    \
                 compression type text/plain\n    server o 127.0.0.1:{origin}"
            ),
        };
    }
    text
}

/// nginx's; it has no listener for bytes.
pub(super) fn nginx(ports: &[(Port, u16)], origin: u16, certificate: &Path, home: &Path) -> String {
    let mut text = nginx_head(home, 14000);
    let _ = writeln!(
        text,
        "  upstream origin {{ server 127.0.0.1:{origin}; keepalive 256; }}\n  proxy_http_version 1.1;\n  \
         proxy_set_header Connection \"\";\n  proxy_buffering on;\n  keepalive_requests 1000000;"
    );
    for (port, number) in ports {
        let (listen, extra) = match port {
            Port::Http => ("", String::new()),
            Port::Tls => (
                " ssl",
                format!(
                    "ssl_certificate {0}; ssl_certificate_key {0}; ssl_session_cache off; ssl_session_tickets off;",
                    certificate.display()
                ),
            ),
            Port::Http2 => (" http2", String::new()),
            Port::Gzip => (
                "",
                "gzip on; gzip_types text/plain; gzip_proxied any;".to_owned(),
            ),
            Port::Tcp => continue,
        };
        let _ = writeln!(
            text,
            "  server {{ listen 127.0.0.1:{number}{listen}; {extra} location / {{ proxy_pass http://origin; }} }}"
        );
    }
    text.push_str("}\n");
    text
}

/// The origin: nginx with a few files.
pub(super) fn origin(port: u16, home: &Path) -> String {
    let mut text = nginx_head(home, 15000);
    let _ = writeln!(
        text,
        "  keepalive_requests 100000000;\n  default_type text/plain;\n  sendfile on;\n  tcp_nopush on;\n  \
         open_file_cache max=16;\n  server {{ listen 127.0.0.1:{port}; root {}; }}\n}}",
        home.join("files").display()
    );
    text
}

fn nginx_head(home: &Path, connections: u32) -> String {
    let home = home.display();
    format!(
        "daemon off;\nmaster_process off;\npid {home}/nginx.pid;\nerror_log stderr crit;\n\
         worker_rlimit_nofile 20000;\nevents {{ worker_connections {connections}; }}\nhttp {{\n  access_log off;\n  \
         client_body_temp_path {home}/body;\n  proxy_temp_path {home}/proxy;\n  fastcgi_temp_path {home}/fastcgi;\n  \
         uwsgi_temp_path {home}/uwsgi;\n  scgi_temp_path {home}/scgi;\n"
    )
}

/// Text that compresses like text, not like zeros: words from a small vocabulary in a fixed pseudo-random order.
pub(super) fn prose(length: usize) -> String {
    const WORDS: [&str; 24] = [
        "harbour", "tide", "gate", "lock", "water", "level", "ship", "pilot", "rope", "quay",
        "crane", "cargo", "light", "signal", "north", "wind", "keeper", "chart", "depth", "anchor",
        "buoy", "river", "bridge", "storm",
    ];
    let mut text = String::with_capacity(length + 16);
    let mut state: u32 = 0x2545_f491;
    while text.len() < length {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        text.push_str(WORDS[state as usize % WORDS.len()]);
        let _ = write!(text, " {} ", state % 1000);
    }
    text.truncate(length);
    text
}
