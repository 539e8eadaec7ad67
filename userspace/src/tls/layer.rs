//! An established TLS connection as a [`Layer`] under a [`Stream`].

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;

use super::info::Info;
use crate::expr::Tls;
use crate::net::{Bare, Layer, Stream};

/// A TLS connection over a stream.
pub(super) struct Encrypted {
    stream: TlsStream<Bare>,
    info: Arc<Info>,
}

impl Encrypted {
    /// Wraps it up as a stream.
    pub(super) fn wrap(stream: TlsStream<Bare>, info: Info) -> Stream {
        Stream::layered(Box::new(Self {
            stream,
            info: Arc::new(info),
        }))
    }
}

impl Layer for Encrypted {
    fn inner(&self) -> &Bare {
        self.stream.get_ref().0
    }

    fn inner_mut(&mut self) -> &mut Bare {
        self.stream.get_mut().0
    }

    fn tls(&self) -> Arc<dyn Tls> {
        Arc::clone(&self.info) as Arc<dyn Tls>
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream)
            .poll_read(context, buffer)
            .map(|result| forgive(result, ()))
    }
}

impl AsyncBufRead for Encrypted {
    fn poll_fill_buf(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        Pin::new(&mut self.get_mut().stream)
            .poll_fill_buf(context)
            .map(|result| forgive(result, &[][..]))
    }

    fn consume(self: Pin<&mut Self>, amount: usize) {
        Pin::new(&mut self.get_mut().stream).consume(amount);
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

/// Many clients close without TLS's own goodbye; HAProxy takes that for an ordinary end, and so do we.
fn forgive<T>(result: io::Result<T>, end: T) -> io::Result<T> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(end),
        result => result,
    }
}
