//! Handing descriptors to another process over a Unix socket: listening sockets from an old process to a new one, and
//! connections from a master to its worker.
//!
//! Listening sockets travel over a stream in frames: four bytes of length, then one name a line, with the sockets of these
//! names attached; a frame of length zero ends them. Single messages travel over a sequenced-packet pair. What the names
//! mean is the caller's business; both ends are processes of the same program.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread;
use std::time::Duration;

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

/// A pair of ends for single messages.
///
/// # Errors
/// The system is out of descriptors.
pub fn message_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    pair(SocketType::SEQPACKET)
}

/// A pair of ends of a stream.
///
/// # Errors
/// The system is out of descriptors.
pub fn stream_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    pair(SocketType::STREAM)
}

fn pair(kind: SocketType) -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(
        AddressFamily::UNIX,
        kind,
        SocketFlags::CLOEXEC,
        None,
    )?)
}

/// Sends one message, with a descriptor or without.
///
/// # Errors
/// The other end is gone, or has no room for it.
pub fn send_message(to: impl AsFd, text: &[u8], with: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let attached: Vec<BorrowedFd<'_>> = with.into_iter().collect();
    send_part(to.as_fd(), text, &attached).map(|_| ())
}

/// Receives one message into the buffer: its length, 0 at the end, and the descriptor that came with it.
///
/// # Errors
/// Nothing is there on a non-blocking socket, or the system refused.
pub fn receive_message(from: impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut attached = Vec::new();
    let length = receive_part(from.as_fd(), buffer, &mut attached)?;
    Ok((length, attached.pop()))
}

/// Sends listening sockets, each under its name.
///
/// # Errors
/// The other end is gone or does not read.
pub fn send_sockets(to: impl AsFd, sockets: &[(String, BorrowedFd<'_>)]) -> io::Result<()> {
    for group in sockets.chunks(SOCKETS_PER_FRAME) {
        let names: String = group.iter().map(|(name, _)| format!("{name}\n")).collect();
        let descriptors: Vec<_> = group.iter().map(|(_, socket)| *socket).collect();
        send_frame(to.as_fd(), names.as_bytes(), &descriptors)?;
    }
    send_frame(to.as_fd(), b"", &[])
}

/// Receives what [`send_sockets`] sent.
///
/// # Errors
/// The other end is gone, says nothing within the socket's limit, or something else than names and sockets.
pub fn receive_sockets(from: impl AsFd) -> io::Result<Vec<(String, OwnedFd)>> {
    let mut sockets = Vec::new();
    loop {
        let mut descriptors = Vec::new();
        let mut length = [0; 4];
        receive_exactly(from.as_fd(), &mut length, &mut descriptors)?;
        let length = u32::from_le_bytes(length) as usize;
        if length == 0 {
            return Ok(sockets);
        }
        if length > LONGEST_FRAME || sockets.len() > MOST_SOCKETS {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut names = vec![0; length];
        receive_exactly(from.as_fd(), &mut names, &mut descriptors)?;
        let names = String::from_utf8(names).map_err(|_| io::ErrorKind::InvalidData)?;
        if names.lines().count() != descriptors.len() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        sockets.extend(names.lines().map(str::to_owned).zip(descriptors));
    }
}

fn send_frame(to: BorrowedFd<'_>, text: &[u8], with: &[BorrowedFd<'_>]) -> io::Result<()> {
    let length = u32::try_from(text.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let frame = [&length.to_le_bytes()[..], text].concat();
    let mut sent = send_part(to, &frame, with)?;
    while sent < frame.len() {
        sent += send_part(to, &frame[sent..], &[])?;
    }
    Ok(())
}

/// Sends what fits; waits for room for a while where the socket does not block.
fn send_part(to: BorrowedFd<'_>, bytes: &[u8], with: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut tries = 0;
    loop {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_PER_FRAME))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !with.is_empty() && !control.push(SendAncillaryMessage::ScmRights(with)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        match sendmsg(
            to,
            &[IoSlice::new(bytes)],
            &mut control,
            SendFlags::NOSIGNAL,
        ) {
            Ok(sent) => return Ok(sent),
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) if tries < MOST_TRIES => {
                tries += 1;
                thread::sleep(BETWEEN_TRIES);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn receive_exactly(
    from: BorrowedFd<'_>,
    mut buffer: &mut [u8],
    attached: &mut Vec<OwnedFd>,
) -> io::Result<()> {
    while !buffer.is_empty() {
        match receive_part(from, buffer, attached)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => buffer = &mut buffer[length..],
        }
    }
    Ok(())
}

fn receive_part(
    from: BorrowedFd<'_>,
    buffer: &mut [u8],
    attached: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    loop {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_PER_FRAME))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = recvmsg(
            from,
            &mut [IoSliceMut::new(buffer)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        );
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                attached.extend(descriptors);
            }
        }
        match received {
            Ok(received) => return Ok(received.bytes),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Well below the kernel's limit for one message (253).
const SOCKETS_PER_FRAME: usize = 64;
const LONGEST_FRAME: usize = 65_536;
const MOST_SOCKETS: usize = 1 << 17;
const MOST_TRIES: u32 = 5_000;
const BETWEEN_TRIES: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn many_sockets_arrive_under_their_names() {
        let (old, new) = UnixStream::pair().expect("a pair");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let names: Vec<_> = (0..150)
            .map(|number| format!("127.0.0.1:{number}"))
            .collect();
        let sender = thread::spawn(move || {
            let sockets: Vec<_> = names
                .into_iter()
                .map(|name| (name, listener.as_fd()))
                .collect();
            send_sockets(&old, &sockets)
        });
        let received = receive_sockets(&new).expect("all of them");
        sender.join().expect("no panic").expect("sent");
        assert_eq!(received.len(), 150);
        assert_eq!(received[149].0, "127.0.0.1:149");
        let copy = TcpListener::from(received.into_iter().next().expect("one").1);
        let _client = TcpStream::connect(address).expect("still listening");
        assert!(copy.accept().is_ok());
    }

    #[test]
    fn frames_that_lie_are_refused() {
        for bytes in [
            &[5, 0, 0, 0, b'a', b'\n', b'b', b'\n', b'c'][..],
            &[255; 8],
            &[1, 0],
        ] {
            let (old, new) = UnixStream::pair().expect("a pair");
            io::Write::write_all(&mut &old, bytes).expect("room");
            drop(old);
            assert!(receive_sockets(&new).is_err());
        }
    }

    #[test]
    fn a_message_carries_a_descriptor() {
        let (ours, theirs) = message_pair().expect("a pair");
        let (one, other) = UnixStream::pair().expect("a pair");
        send_message(&ours, b"cli admin", Some(one.as_fd())).expect("room");
        drop(one);
        let mut buffer = [0; 64];
        let (length, came) = receive_message(&theirs, &mut buffer).expect("a message");
        assert_eq!(&buffer[..length], b"cli admin");
        let mut came = UnixStream::from(came.expect("a descriptor"));
        io::Write::write_all(&mut came, b"x").expect("connected");
        let mut byte = [0];
        io::Read::read_exact(&mut &other, &mut byte).expect("connected");
        assert_eq!(&byte, b"x");
        drop(ours);
        assert_eq!(receive_message(&theirs, &mut buffer).expect("the end").0, 0);
    }
}
