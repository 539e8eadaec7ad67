//! The resolved configuration: plain data, ids instead of pointers.
