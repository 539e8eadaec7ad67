//! Live state shared by all tasks; the only room with atomics.
