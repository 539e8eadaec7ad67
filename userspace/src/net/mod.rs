//! Sockets: bind, accept, connect, options, splice.
