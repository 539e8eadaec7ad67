//! HTTP messages, independent of the version that carried them.
//!
//! [`Head`] is the one representation of a request's or response's start line and fields; the
//! codecs fill it, rules edit it, and the codecs write it out again. What a message means for a
//! connection (persistence, framing) is the codec's business; what the rules of a configuration do
//! with it is the session's.

pub mod cookie;
mod head;
pub mod http1;
pub mod http2;
mod list;
mod method;
pub mod uri;

pub use head::{Head, Version};
pub use list::{Items, items, trim};
pub use method::Method;
