//! Whole frames in and out of a device (`AF_PACKET`), which no safe library does.
//!
//! A [`Raw`] belongs to one device of the network namespace it was made in. What it receives are the frames that came in
//! there and that no XDP program took away, with the VLAN tag that the kernel takes out of a frame put back in its place;
//! what left through the device is not among them.

use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, Socket, Type};

/// A device's frames.
pub(crate) struct Raw(Socket);

impl Raw {
    /// Opens the device with this number, in the calling thread's network namespace.
    pub(crate) fn open(interface: u32) -> io::Result<Self> {
        // Nothing is received before it is bound: until then it would be every device's.
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?;
        set(&socket, libc::PACKET_IGNORE_OUTGOING)?;
        set(&socket, libc::PACKET_AUXDATA)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.bind(&address(interface))?;
        Ok(Self(socket))
    }

    /// Sends a frame.
    pub(crate) fn send(&self, frame: &[u8]) -> io::Result<()> {
        let sent = self.0.send(frame)?;
        if sent == frame.len() {
            Ok(())
        } else {
            Err(io::ErrorKind::WriteZero.into())
        }
    }

    /// The next frame; an error when none comes for as long as anything may take.
    pub(crate) fn receive(&self) -> io::Result<Vec<u8>> {
        self.next(0)
    }

    /// The next frame that is there already.
    pub(crate) fn waiting(&self) -> io::Result<Option<Vec<u8>>> {
        match self.next(libc::MSG_DONTWAIT) {
            Ok(frame) => Ok(Some(frame)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    #[expect(unsafe_code, reason = "no safe library tells of the VLAN tag")]
    fn next(&self, flags: i32) -> io::Result<Vec<u8>> {
        let mut frame = vec![0_u8; LARGEST];
        let mut control = [0_u64; 8];
        let mut part = libc::iovec {
            iov_base: frame.as_mut_ptr().cast(),
            iov_len: frame.len(),
        };
        // SAFETY: plain numbers and pointers, for which zero is a value.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control);
        // SAFETY: the message points at buffers of the lengths it says, which outlive the call.
        let length = unsafe { libc::recvmsg(self.0.as_raw_fd(), &raw mut message, flags) };
        let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
        if message.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0 {
            return Err(io::Error::other(
                "the frame is larger than any that was sent",
            ));
        }
        frame.truncate(length);
        if let Some(tag) = tag(&control, message.msg_controllen) {
            frame.splice(12..12, tag);
        }
        Ok(frame)
    }
}

/// The tag that was taken out of a frame: EtherType and control information, as on the wire.
fn tag(control: &[u64; 8], length: usize) -> Option<[u8; 4]> {
    let bytes: Vec<u8> = control.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let number =
        |at: usize| i32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let short = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
    // `struct cmsghdr`, then `struct tpacket_auxdata`: status, two lengths, two offsets, control information, EtherType.
    let is_auxdata =
        length >= 36 && (number(8), number(12)) == (libc::SOL_PACKET, libc::PACKET_AUXDATA);
    if !is_auxdata || number(16) as u32 & libc::TP_STATUS_VLAN_VALID == 0 {
        return None;
    }
    let ([a, b], [c, d]) = (short(34).to_be_bytes(), short(32).to_be_bytes());
    Some([a, b, c, d])
}

#[expect(unsafe_code, reason = "no safe library has addresses of devices")]
fn address(interface: u32) -> SockAddr {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: the storage is large enough for every kind of address, and any bytes are one of this kind.
    let link = unsafe { storage.view_as::<libc::sockaddr_ll>() };
    link.sll_family = libc::AF_PACKET as u16;
    link.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    link.sll_ifindex = interface as i32;
    // SAFETY: the storage holds an address of this length, as was just written.
    unsafe { SockAddr::new(storage, size_of::<libc::sockaddr_ll>() as u32) }
}

/// Switches something on.
#[expect(unsafe_code, reason = "no safe library has options of packet sockets")]
fn set(socket: &Socket, option: i32) -> io::Result<()> {
    let on: i32 = 1;
    // SAFETY: the option is a number, and the kernel reads no more than its size from where it is.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            option,
            (&raw const on).cast(),
            size_of::<i32>() as u32,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// More than any fixture has.
const LARGEST: usize = 4096;

/// How long anything may take that should happen.
const PATIENCE: Duration = Duration::from_secs(5);
