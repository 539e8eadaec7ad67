//! What a byte stream must do that is one of many on another connection: an HTTP/2 stream.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::ReadBuf;

use crate::expr::Tls;
use crate::proto::http::Head;

/// One of the streams of a connection that carries several. Reading and writing are those of any stream; the end of
/// what is written is said beforehand, so that it can travel with the last bytes.
pub trait Carried {
    /// See [`super::Stream::poll_readable`].
    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Reads; nothing at the end of the message.
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>>;

    /// Writes as much as the peer lets us.
    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>>;

    /// Ends what is written.
    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ready once the peer has given the stream up.
    fn poll_abandoned(&mut self, context: &mut Context<'_>) -> Poll<io::Error>;

    /// Says that the message being written ends after this many more bytes.
    fn ends_after(&mut self, bytes: u64);

    /// Ends the message being written, unless it has ended.
    fn end_with(&mut self, trailers: &Head) -> io::Result<()>;

    /// The trailers that ended the message read.
    fn take_trailers(&mut self) -> Option<Head>;

    /// What TLS knows of the connection underneath.
    fn tls(&self) -> Option<Arc<dyn Tls>>;

    /// The socket of the connection underneath, for its options.
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;
}
