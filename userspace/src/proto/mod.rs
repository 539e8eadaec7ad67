//! Sans-io codecs and state machines: bytes in, events out; time is an argument.
