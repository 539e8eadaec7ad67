//! TLS on both sides; hides rustls from everyone else.
