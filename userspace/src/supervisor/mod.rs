//! Process life: start, reload, signals, privileges.
