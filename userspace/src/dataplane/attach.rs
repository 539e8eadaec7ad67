//! Puts the program on interfaces, takes it off, and swaps it for another without a packet in between.
//!
//! Input are interfaces with the mode the configuration asks for and, after a restart, the links that are pinned from
//! before; output are links that outlive the process. Which program and which maps is [`super::loader`]'s business.

use std::fs;
use std::io;

use aya::programs::links::{FdLink, LinkError, PinnedLink};
use aya::programs::xdp::XdpLink;
use aya::programs::{ProgramError, Xdp, XdpMode};

use super::netlink::Interface;
use super::pins::{LinkPin, Pins};
use crate::model;

/// How the program sits on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attachment {
    /// In the driver, before the kernel makes anything of the packet.
    Native,
    /// In the stack: works on every device, saves less.
    Generic,
}

/// A link in force. Dropping it detaches, unless it is pinned.
pub(super) struct Attached {
    /// Where.
    pub interface: Interface,
    /// How.
    pub attachment: Attachment,
    /// What the driver said when it was asked to run the program, where it refused.
    pub refused: Option<String>,
    link: Held,
}

enum Held {
    Pinned(LinkPin),
    /// Lives as long as this process.
    Process(XdpLink),
}

/// Why the program is not on an interface.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// Another program is there.
    #[error("interface '{0}' already runs another XDP program; see 'ip link show dev {0}'")]
    Busy(String),
    /// The driver has no XDP.
    #[error("interface '{0}' has no native XDP; use 'xdp interface {0} mode generic' or 'auto'")]
    NotNative(String),
    /// The kernel refused.
    #[error("cannot attach to interface '{interface}'")]
    Kernel {
        /// The interface.
        interface: String,
        /// Its answer.
        source: ProgramError,
    },
    /// The link could not be kept.
    #[error("cannot pin the link of interface '{interface}'")]
    Pin {
        /// The interface.
        interface: String,
        /// Why.
        source: aya::pin::PinError,
    },
    /// A link pinned by an earlier process could not be read or removed.
    #[error("cannot use the pinned link '{}'", pin.path.display())]
    Link {
        /// The link.
        pin: LinkPin,
        /// Why.
        source: LinkError,
    },
}

impl Attachment {
    /// Its name in `show xdp` and in pins.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }

    /// The attachment of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Native, Self::Generic]
            .into_iter()
            .find(|attachment| attachment.name() == name)
    }

    const fn flag(self) -> XdpMode {
        match self {
            Self::Native => XdpMode::Driver,
            Self::Generic => XdpMode::Skb,
        }
    }
}

/// The links of the program that runs now, of this process or an earlier one.
#[derive(Default)]
pub(super) struct Earlier {
    /// Those that are pinned.
    pub pinned: Vec<LinkPin>,
    /// Those that live as long as this process.
    pub held: Vec<Attached>,
}

impl Earlier {
    /// Takes the link of an interface whose way of attaching `mode` allows.
    fn take(
        &mut self,
        interface: u32,
        mode: model::XdpMode,
    ) -> Option<(Attachment, Option<String>, Held)> {
        let fits = |index, attachment| index == interface && allows(mode, attachment);
        if let Some(at) = self
            .pinned
            .iter()
            .position(|pin| fits(pin.interface, pin.attachment))
        {
            let pin = self.pinned.swap_remove(at);
            return Some((pin.attachment, None, Held::Pinned(pin)));
        }
        let at = self
            .held
            .iter()
            .position(|held| fits(held.interface.index, held.attachment))?;
        let held = self.held.swap_remove(at);
        Some((held.attachment, held.refused, held.link))
    }

    /// Whether an interface can be taken over in place.
    pub(super) fn has(&self, interface: u32, mode: model::XdpMode) -> bool {
        let held = self
            .held
            .iter()
            .map(|held| (held.interface.index, held.attachment));
        let mut all = self
            .pinned
            .iter()
            .map(|pin| (pin.interface, pin.attachment))
            .chain(held);
        all.any(|(index, attachment)| index == interface && allows(mode, attachment))
    }

    /// Takes the earlier program off where it still is: interfaces that are no longer named, or attached otherwise.
    pub(super) fn detach(self) -> Result<(), AttachError> {
        // Those this process holds go by being dropped.
        self.pinned.iter().try_for_each(detach)
    }

    fn detach_from(&mut self, interface: u32) -> Result<(), AttachError> {
        self.held.retain(|held| held.interface.index != interface);
        self.pinned
            .iter()
            .filter(|pin| pin.interface == interface)
            .try_for_each(detach)?;
        self.pinned.retain(|pin| pin.interface != interface);
        Ok(())
    }
}

impl Attached {
    /// Puts `program` on `interface`: by swapping it into the earlier link where there is one and the mode allows, else
    /// by a new link. The earlier program handles packets until the new one does.
    pub(super) fn new(
        program: &mut Xdp,
        interface: &Interface,
        mode: model::XdpMode,
        pins: Option<&Pins>,
        earlier: &mut Earlier,
    ) -> Result<Self, AttachError> {
        if let Some((attachment, refused, held)) = earlier.take(interface.index, mode)
            && let Some(link) = swap(program, held)?
        {
            return Ok(Self {
                interface: interface.clone(),
                attachment,
                refused,
                link,
            });
        }
        earlier.detach_from(interface.index)?;
        let (attachment, refused, link) = attach(program, interface, mode)?;
        let link = match pins {
            None => Held::Process(link),
            Some(pins) => {
                let pin = pins.link(interface.index, attachment);
                keep(link, &pin, interface)?;
                Held::Pinned(pin)
            }
        };
        Ok(Self {
            interface: interface.clone(),
            attachment,
            refused,
            link,
        })
    }

    /// Takes the program off, unless another process has meanwhile swapped its own in. Tells whether it was ours.
    pub(super) fn detach(self, program: u32) -> Result<bool, AttachError> {
        let Held::Pinned(pin) = &self.link else {
            return Ok(true);
        };
        let ours = program_of(pin)? == Some(program);
        if ours {
            detach(pin)?;
        }
        Ok(ours)
    }
}

/// The number of the program a pinned link runs; `None` when there is no such link.
pub(super) fn program_of(pin: &LinkPin) -> Result<Option<u32>, AttachError> {
    match open(pin)? {
        None => Ok(None),
        Some(link) => link
            .info()
            .map(|info| Some(info.program_id()))
            .map_err(|source| unusable(pin, source)),
    }
}

/// Removes a pinned link and so detaches what it attached.
pub(super) fn detach(pin: &LinkPin) -> Result<(), AttachError> {
    match fs::remove_file(&pin.path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            let source = aya::sys::SyscallError {
                call: "unlink",
                io_error: error,
            };
            Err(unusable(pin, LinkError::SyscallError(source)))
        }
        _ => Ok(()),
    }
}

fn allows(mode: model::XdpMode, attachment: Attachment) -> bool {
    match mode {
        model::XdpMode::Auto => true,
        model::XdpMode::Native => attachment == Attachment::Native,
        model::XdpMode::Generic => attachment == Attachment::Generic,
    }
}

fn open(pin: &LinkPin) -> Result<Option<FdLink>, AttachError> {
    match PinnedLink::from_pin(&pin.path) {
        Ok(link) => Ok(Some(link.into())),
        Err(LinkError::SyscallError(error)) if error.io_error.kind() == io::ErrorKind::NotFound => {
            Ok(None)
        }
        Err(source) => Err(unusable(pin, source)),
    }
}

/// Replaces the program of a link. `None` when the link is dead because its device is gone; then its pin is removed.
fn swap(program: &mut Xdp, held: Held) -> Result<Option<Held>, AttachError> {
    let (pin, link) = match held {
        Held::Process(link) => (None, Some(link)),
        Held::Pinned(pin) => {
            let link = open(&pin)?
                .map(XdpLink::try_from)
                .transpose()
                .map_err(|source| unusable(&pin, source))?;
            (Some(pin), link)
        }
    };
    let swapped = link.and_then(|link| program.attach_to_link(link).ok());
    // A pin keeps its link, so this end of it may go.
    let link = swapped.and_then(|id| program.take_link(id).ok());
    match (pin, link) {
        (Some(pin), Some(_)) => Ok(Some(Held::Pinned(pin))),
        (None, Some(link)) => Ok(Some(Held::Process(link))),
        (Some(pin), None) => detach(&pin).map(|()| None),
        (None, None) => Ok(None),
    }
}

fn attach(
    program: &mut Xdp,
    interface: &Interface,
    mode: model::XdpMode,
) -> Result<(Attachment, Option<String>, XdpLink), AttachError> {
    let name = || interface.name.clone();
    let attachments: &[Attachment] = match mode {
        model::XdpMode::Auto => &[Attachment::Native, Attachment::Generic],
        model::XdpMode::Native => &[Attachment::Native],
        model::XdpMode::Generic => &[Attachment::Generic],
    };
    let last = Attachment::Generic;
    let mut refused = None;
    for attachment in attachments {
        match program.attach_to_if_index(interface.index, attachment.flag()) {
            Ok(id) => {
                let kernel = |source| AttachError::Kernel {
                    interface: name(),
                    source,
                };
                let link = program.take_link(id).map_err(kernel)?;
                return Ok((*attachment, refused, link));
            }
            Err(error) => match (system_error(&error), mode) {
                (Some(libc::EBUSY | libc::EEXIST), _) => return Err(AttachError::Busy(name())),
                (Some(libc::EOPNOTSUPP), model::XdpMode::Native) => {
                    return Err(AttachError::NotNative(name()));
                }
                // A driver may also refuse for its ring sizes or the MTU: the stack does not care about those.
                (Some(code), model::XdpMode::Auto)
                    if code != libc::EPERM && *attachment != last =>
                {
                    refused = Some(io::Error::from_raw_os_error(code).to_string());
                }
                _ => {
                    return Err(AttachError::Kernel {
                        interface: name(),
                        source: error,
                    });
                }
            },
        }
    }
    Err(AttachError::NotNative(name()))
}

fn keep(link: XdpLink, pin: &LinkPin, interface: &Interface) -> Result<(), AttachError> {
    let link = FdLink::try_from(link).map_err(|source| unusable(pin, source))?;
    link.pin(&pin.path)
        .map(drop)
        .map_err(|source| AttachError::Pin {
            interface: interface.name.clone(),
            source,
        })
}

fn system_error(error: &ProgramError) -> Option<i32> {
    match error {
        ProgramError::SyscallError(error) => error.io_error.raw_os_error(),
        _ => None,
    }
}

fn unusable(pin: &LinkPin, source: LinkError) -> AttachError {
    AttachError::Link {
        pin: pin.clone(),
        source,
    }
}
