//! What `-v` and `-vv` print.

/// The version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The first line of `-v`. Called `haproxy`, the program introduces itself as what scripts ask for: the version of the
/// configuration language it implements.
pub fn banner(program: &str) -> String {
    if program == "haproxy" {
        format!("HAProxy version {LANGUAGE_VERSION}-tidegate-{VERSION}")
    } else {
        format!("tidegate version {VERSION} (configuration language of HAProxy {LANGUAGE_VERSION})")
    }
}

/// The lines of `-vv` after the first.
pub fn build_description() -> String {
    let kernel_part = crate::dataplane::describe_build();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "Build options :\n  TARGET  = linux-glibc\n  RUST    = {}\n\n\
         Feature list : {}\n\n\
         Default settings :\n  bufsize = 16384, maxrewrite = 1024\n\n\
         Built with multi-threading support (default={threads}).\n\
         Built with TLS library : rustls (aws-lc-rs)\n\
         TLS library supports : TLSv1.2 TLSv1.3\n\
         Kernel part : {kernel_part}\n",
        env!("CARGO_PKG_RUST_VERSION"),
        FEATURES.join(" "),
    )
}

/// The version of the configuration language's manual this program follows.
pub const LANGUAGE_VERSION: &str = "3.4";

/// What `-vv` answers about optional parts; `-cc feature(X)` must agree.
const FEATURES: &[&str] = &[
    "+ACCEPT4",
    "+EPOLL",
    "-FCGI",
    "+GETADDRINFO",
    "+LINUX_SPLICE",
    "-LUA",
    "-OPENSSL",
    "-QUIC",
    "-SPOE",
    "+THREAD",
    "+XDP",
];
