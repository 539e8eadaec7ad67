//! What this version cannot do.

use super::{Row, Sections};

/// Refused, with what to do instead.
pub(in crate::lang::keywords) const REFUSED: &[Row] = &[
    ("acme.scheduler", GLOBAL, "certificates are read from files"),
    (
        "close-spread-time",
        GLOBAL,
        "idle connections are closed at once",
    ),
    (
        "dns-accept-family",
        GLOBAL,
        "write ipv4@ or ipv6@ before names",
    ),
    ("h1-accept-payload-with-any-method", GLOBAL, "leave it out"),
    (
        "h1-do-not-close-on-insecure-transfer-encoding",
        GLOBAL,
        "leave it out",
    ),
    (
        "h2-workaround-bogus-websocket-clients",
        GLOBAL,
        "leave it out",
    ),
    (
        "harden.reject-privileged-ports.quic",
        GLOBAL,
        "leave it out",
    ),
    (
        "harden.reject-privileged-ports.tcp",
        GLOBAL,
        "use 'tcp-request connection reject if { src_port lt 1024 }'",
    ),
    (
        "issuers-chain-path",
        GLOBAL,
        "put the chain into the certificate's file",
    ),
    ("lua-load", GLOBAL, LUA),
    ("lua-load-per-thread", GLOBAL, LUA),
    ("lua-prepend-path", GLOBAL, LUA),
    ("maxsslconn", GLOBAL, "use 'maxconn' on the bind lines"),
    ("mworker-max-reloads", GLOBAL, "use 'hard-stop-after'"),
    ("nbproc", GLOBAL, "use 'nbthread'"),
    (
        "noreuseport",
        GLOBAL,
        "every thread needs a socket of its own",
    ),
    (
        "ocsp-update.disable",
        GLOBAL,
        "OCSP answers are read from files",
    ),
    (
        "ocsp-update.httpproxy",
        GLOBAL,
        "OCSP answers are read from files",
    ),
    (
        "ocsp-update.maxdelay",
        GLOBAL,
        "OCSP answers are read from files",
    ),
    (
        "ocsp-update.mindelay",
        GLOBAL,
        "OCSP answers are read from files",
    ),
    (
        "ocsp-update.mode",
        GLOBAL,
        "OCSP answers are read from files",
    ),
    ("pp2-never-send-local", GLOBAL, "leave it out"),
    (
        "shm-stats-file",
        GLOBAL,
        "counters survive a reload by themselves",
    ),
    (
        "shm-stats-file-max-objects",
        GLOBAL,
        "counters survive a reload by themselves",
    ),
    ("ssl-default-bind-client-sigalgs", GLOBAL, SIGNATURES),
    ("ssl-default-bind-sigalgs", GLOBAL, SIGNATURES),
    ("ssl-default-server-client-sigalgs", GLOBAL, SIGNATURES),
    (
        "ssl-default-server-curves",
        GLOBAL,
        "use 'curves' on the server lines",
    ),
    ("ssl-default-server-sigalgs", GLOBAL, SIGNATURES),
    ("ssl-engine", GLOBAL, OPENSSL),
    (
        "ssl-load-extra-files",
        GLOBAL,
        "keys are named like their certificates, with .key behind",
    ),
    ("ssl-mode-async", GLOBAL, OPENSSL),
    (
        "ssl-passphrase-cmd",
        GLOBAL,
        "store keys without a passphrase",
    ),
    ("ssl-propquery", GLOBAL, OPENSSL),
    ("ssl-provider", GLOBAL, OPENSSL),
    ("ssl-provider-path", GLOBAL, OPENSSL),
    ("ssl-security-level", GLOBAL, OPENSSL),
    (
        "ssl-skip-self-issued-ca",
        GLOBAL,
        "leave the root certificate out of the file",
    ),
    (
        "stats calculate-max-counters",
        GLOBAL,
        "maximums are always counted",
    ),
    (
        "stats-file",
        GLOBAL,
        "counters survive a reload by themselves",
    ),
    ("thread-hard-limit", GLOBAL, "use 'nbthread'"),
    ("tune.cli.max-payload-size", GLOBAL, "leave it out"),
    (
        "tune.ssl.capture-cipherlist-size",
        GLOBAL,
        "the client hello is not kept",
    ),
    (
        "tune.ssl.certificate-compression",
        GLOBAL,
        "certificates are sent as they are",
    ),
    ("tune.ssl.keylog", GLOBAL, "session keys are not shown"),
    (
        "tune.vars.check-max-size",
        GLOBAL,
        "variables have no limit of their own: leave it out",
    ),
    (
        "tune.vars.global-max-size",
        GLOBAL,
        "variables have no limit of their own: leave it out",
    ),
    (
        "tune.vars.proc-max-size",
        GLOBAL,
        "variables have no limit of their own: leave it out",
    ),
    (
        "tune.vars.reqres-max-size",
        GLOBAL,
        "variables have no limit of their own: leave it out",
    ),
    (
        "tune.vars.sess-max-size",
        GLOBAL,
        "variables have no limit of their own: leave it out",
    ),
    (
        "tune.vars.txn-max-size",
        GLOBAL,
        "variables have no limit of their own: leave it out",
    ),
    (
        "tune.h1.be.glitches-threshold",
        GLOBAL,
        "odd messages are refused, not counted: leave it out",
    ),
    (
        "tune.h1.fe.glitches-threshold",
        GLOBAL,
        "odd messages are refused, not counted: leave it out",
    ),
    (
        "tune.glitches.kill.cpu-usage",
        GLOBAL,
        "odd messages are refused, not counted: leave it out",
    ),
    ("block", ANY, "use 'http-request deny'"),
    ("clitcpka-cnt", FRONT, KEEPALIVE),
    ("clitcpka-idle", FRONT, KEEPALIVE),
    ("clitcpka-intvl", FRONT, KEEPALIVE),
    ("clitimeout", ANY, "use 'timeout client'"),
    ("contimeout", ANY, "use 'timeout connect'"),
    ("crt", FRONT, "use 'crt' on the bind line"),
    ("dispatch", ANY, "use 'server'"),
    (
        "email-alert",
        ANY,
        "no mail is sent; watch the logs or the metrics",
    ),
    (
        "filter-sequence",
        ANY,
        "the cache comes before compression; there are no other filters",
    ),
    (
        "guid",
        Sections::PROXY_ONLY,
        "objects are known by their names",
    ),
    ("max-keep-alive-queue", BACK, "leave it out"),
    ("max-session-srv-conns", FRONT, "leave it out"),
    (
        "persist rdp-cookie",
        BACK,
        "use 'stick on req.rdp_cookie(mstshash)'",
    ),
    ("quic-initial", FRONT, "there is no QUIC"),
    ("redispatch", ANY, "use 'option redispatch'"),
    ("reqadd", ANY, "use 'http-request add-header'"),
    ("reqallow", ANY, "use 'http-request allow'"),
    ("reqdel", ANY, "use 'http-request del-header'"),
    ("reqdeny", ANY, "use 'http-request deny'"),
    (
        "reqrep",
        ANY,
        "use 'http-request replace-path' or 'replace-header'",
    ),
    (
        "reqirep",
        ANY,
        "use 'http-request replace-path' or 'replace-header'",
    ),
    ("rspadd", ANY, "use 'http-response add-header'"),
    ("rspdel", ANY, "use 'http-response del-header'"),
    ("rspidel", ANY, "use 'http-response del-header'"),
    ("rspirep", ANY, "use 'http-response replace-header'"),
    ("rsprep", ANY, "use 'http-response replace-header'"),
    ("srvtcpka-cnt", BACK, KEEPALIVE),
    ("srvtcpka-idle", BACK, KEEPALIVE),
    ("srvtcpka-intvl", BACK, KEEPALIVE),
    ("srvtimeout", ANY, "use 'timeout server'"),
    ("ssl-f-use", FRONT, "use 'crt' on the bind line"),
    ("use-fcgi-app", BACK, "FastCGI servers cannot be used"),
];

const GLOBAL: Sections = Sections::GLOBAL;
const ANY: Sections = Sections::ANY_PROXY;
const FRONT: Sections = Sections::FRONT;
const BACK: Sections = Sections::BACK;
const LUA: &str = "there is no Lua";
const SIGNATURES: &str = "the TLS library chooses signature algorithms";
const OPENSSL: &str = "TLS does not use OpenSSL";
const KEEPALIVE: &str = "probes follow the system's settings";
