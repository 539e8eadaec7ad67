//! The way to a server through a SOCKS 4 proxy.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Stream;
use crate::proto::socks4;

/// Asks the proxy at the other end of a fresh connection for one to `to`.
///
/// # Errors
/// The proxy refused, left, or cannot reach such addresses.
pub async fn through_socks4(stream: &mut Stream, to: SocketAddr) -> io::Result<()> {
    let request = socks4::request(to)
        .ok_or_else(|| io::Error::new(io::ErrorKind::AddrNotAvailable, "SOCKS 4 knows no IPv6"))?;
    stream.write_all(&request).await?;
    stream.flush().await?;
    let mut answer = [0; socks4::ANSWER];
    stream.read_exact(&mut answer).await?;
    match socks4::is_granted(&answer) {
        true => Ok(()),
        false => Err(io::Error::new(
            io::ErrorKind::ConnectionRefused,
            "the SOCKS 4 proxy refused",
        )),
    }
}
