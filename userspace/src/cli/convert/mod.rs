//! `tidegate convert vcl FILE`: Varnish's backends and their probes as sections of a configuration.
//!
//! The text of a VCL file comes in; backend sections come out, one per VCL backend and one per director, with a comment for
//! everything that has no counterpart. What VCL does with requests (`sub vcl_recv` and so on) is not translated.

mod vcl;

use std::fmt::Write as _;

use vcl::{Backend, File, Probe};

/// The configuration for a VCL text.
///
/// # Errors
/// What cannot be read, with its line.
pub(super) fn from_vcl(text: &str) -> Result<String, String> {
    let file = vcl::parse(text)?;
    if file.backends.is_empty() {
        return Err("there is no 'backend' in it".to_owned());
    }
    let mut out = String::from("# Converted from VCL.\n");
    for backend in &file.backends {
        section(&mut out, &file, &backend.name, "", &[backend]);
    }
    for director in &file.directors {
        let members: Vec<&Backend> = director
            .members
            .iter()
            .filter_map(|name| file.backends.iter().find(|known| known.name == *name))
            .collect();
        let balance = match director.kind.as_str() {
            "round_robin" | "round-robin" => "roundrobin",
            "random" => "random",
            "hash" | "shard" => "uri",
            "client" => "source",
            "fallback" => "first",
            _ => "roundrobin",
        };
        section(&mut out, &file, &director.name, balance, &members);
    }
    for (line, what) in &file.left_out {
        put(
            &mut out,
            format_args!("# line {line}: '{what}' is not converted"),
        );
    }
    Ok(out)
}

/// One backend section. Members of one section share its check, which is the first member's.
fn section(out: &mut String, file: &File, name: &str, balance: &str, members: &[&Backend]) {
    put(out, format_args!("\nbackend {name}"));
    put(out, format_args!("    mode http"));
    if !balance.is_empty() {
        put(out, format_args!("    balance {balance}"));
    }
    let Some(first) = members.first() else {
        put(
            out,
            format_args!("    # no backend of this director is known"),
        );
        return;
    };
    put(
        out,
        format_args!(
            "    timeout connect {}",
            first.connect_timeout.as_deref().unwrap_or("3500ms")
        ),
    );
    put(
        out,
        format_args!(
            "    timeout server {}",
            first.first_byte_timeout.as_deref().unwrap_or("60s")
        ),
    );
    let probe = first.probe(file);
    if let Some(probe) = probe {
        check(out, probe, first);
    }
    for server in members {
        let own = server.probe(file);
        if own != probe {
            put(
                out,
                format_args!(
                    "    # {} has a probe of its own in VCL; a section has one",
                    server.name
                ),
            );
        }
        let mut options = String::new();
        if let Some(probe) = probe {
            // Writing to a String cannot fail.
            let _ = write!(
                options,
                " check inter {} window {} threshold {}",
                probe.interval.as_deref().unwrap_or("5s"),
                probe.window.unwrap_or(8),
                probe.threshold.unwrap_or(3)
            );
        }
        if let Some(limit) = server.max_connections {
            let _ = write!(options, " maxconn {limit}");
        }
        let port = server.port.as_deref().unwrap_or("80");
        put(
            out,
            format_args!(
                "    server {} {}{options}",
                server.name,
                address(&server.host, port)
            ),
        );
    }
}

fn check(out: &mut String, probe: &Probe, backend: &Backend) {
    let host = backend.host_header.as_deref().unwrap_or(&backend.host);
    put(out, format_args!("    option httpchk"));
    if probe.request.is_empty() {
        let url = probe.url.as_deref().unwrap_or("/");
        put(
            out,
            format_args!(
                "    http-check send meth GET uri {} ver HTTP/1.1 hdr Host {}",
                word(url),
                word(host)
            ),
        );
    } else {
        send(out, &probe.request);
    }
    put(
        out,
        format_args!(
            "    http-check expect status {}",
            probe.expected.unwrap_or(200)
        ),
    );
    put(
        out,
        format_args!(
            "    timeout check {}",
            probe.timeout.as_deref().unwrap_or("2s")
        ),
    );
}

/// `.request` spells the request out, line by line.
fn send(out: &mut String, request: &[String]) {
    let mut line = request[0].split_whitespace();
    let method = line.next().unwrap_or("GET");
    let uri = line.next().unwrap_or("/");
    let version = line.next().unwrap_or("HTTP/1.1");
    let mut text = format!(
        "    http-check send meth {} uri {} ver {}",
        word(method),
        word(uri),
        word(version)
    );
    for field in &request[1..] {
        let Some((name, value)) = field.split_once(':') else {
            continue;
        };
        // The connection is closed after every check anyway.
        if !name.trim().eq_ignore_ascii_case("connection") {
            let _ = write!(text, " hdr {} {}", word(name.trim()), word(value.trim()));
        }
    }
    put(out, format_args!("{text}"));
}

fn address(host: &str, port: &str) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// A word as a configuration has it.
fn word(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"\"'\\#$%".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    let escaped = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('$', "\\$");
    format!("\"{}\"", escaped.replace('%', "%%"))
}

fn put(out: &mut String, line: std::fmt::Arguments<'_>) {
    let _ = writeln!(out, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::source::Sources;
    use crate::lang::{Machine, Settings, load_sources};

    const TUTORIAL: &str = "backend server1 {\n  .host = \"127.0.0.1\";\n    .probe = {\n .url = \"/\";\n\
        .interval = 5s;\n .timeout = 1 s;\n .window = 5;\n .threshold = 3;\n }\n }\n backend server2 {\n .host = \"127.0.0.2\";\n\
        .port = \"8080\"; .max_connections = 20;\n .probe = { .url = \"/x y\"; .timeout = 0.3s; } }\n";

    #[test]
    fn backends_with_probes_become_sections_that_load() {
        let text = from_vcl(TUTORIAL).expect("VCL");
        for line in [
            "backend server1\n    mode http\n",
            "    timeout check 1s\n",
            "    server server1 127.0.0.1:80 check inter 5s window 5 threshold 3\n",
            "    http-check send meth GET uri \"/x y\" ver HTTP/1.1 hdr Host 127.0.0.2\n",
            "    timeout check 300ms\n",
            "    server server2 127.0.0.2:8080 check inter 5s window 8 threshold 3 maxconn 20\n",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        let mut sources = Sources::default();
        sources.add("converted.cfg", text);
        let loaded = load_sources(sources, &Machine::default(), &Settings::default());
        let said = loaded.diagnostics.render(
            &loaded.sources,
            crate::lang::Style {
                pid: 1,
                color: false,
                diagnostic_mode: false,
            },
        );
        assert_eq!(said, "");
        let model = loaded.model.expect("it loads");
        let check = model.servers[0].check.as_ref().expect("a check");
        let window = check.window.as_ref().expect("Varnish's rule");
        assert_eq!((window.size, window.threshold), (5, 3));
    }

    #[test]
    fn directors_and_named_probes_are_followed() {
        let text = from_vcl(
            "vcl 4.1;\nimport directors;\nprobe p { .request = \"HEAD /ok HTTP/1.1\" \"Host: a\" \"Connection: close\"; }\n\
             backend a { .host = \"::1\"; .probe = p; }\nbackend b { .host = \"127.0.0.1\"; .probe = p; }\n\
             sub vcl_init { new pool = directors.round_robin(); pool.add_backend(a); pool.add_backend(b); }\n\
             sub vcl_recv { set req.backend_hint = pool.backend(); }\n",
        )
        .expect("VCL");
        assert!(
            text.contains("backend pool\n    mode http\n    balance roundrobin\n"),
            "{text}"
        );
        assert!(
            text.contains("http-check send meth HEAD uri /ok ver HTTP/1.1 hdr Host a\n"),
            "{text}"
        );
        assert!(
            text.contains("server a [::1]:80 check")
                && text.contains("server b 127.0.0.1:80 check")
        );
        assert!(
            text.contains("# line 7: 'sub vcl_recv' is not converted"),
            "{text}"
        );
    }

    #[test]
    fn what_is_no_vcl_is_told_with_its_line() {
        assert_eq!(
            from_vcl("sub x {}").unwrap_err(),
            "there is no 'backend' in it"
        );
        let said = from_vcl("backend a {\n .host \"x\";\n}").unwrap_err();
        assert!(said.starts_with("line 2: "), "{said}");
        assert!(
            from_vcl("backend a { .host = \"x\";")
                .unwrap_err()
                .starts_with("line 1: ")
        );
    }
}
