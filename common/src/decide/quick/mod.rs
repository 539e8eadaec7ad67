//! The packets that come most, decided in a straight line.
//!
//! Nearly every packet of a busy balancer belongs to a flow that is known, changes nothing about it, and has headers
//! without options, tags or fragments; or it is nobody's here, or from a listed source. For those the answer needs no
//! record of the work in memory, and no step that only the others need. Whatever is not as plain as that is left to
//! [`super::careful`], which would have come to the same result: that both agree is tested frame by frame.
//!
//! Nothing is changed, neither frame nor tables, before it is certain that the packet can be dealt with here.

mod answer;
mod head;
mod known;
mod write;

use super::owner::exact;
use super::work::{Mode, Scene};
use crate::action::Action;
use crate::bind::BindKey;
use crate::config::NatSizes;
use crate::frame::{Frame, Tables};
use crate::parse::{IPV4, IPV6, TcpFlags};
use crate::service::{Guard, ListedFlows, Nature};
use crate::verdict::{DropReason, Verdict};
use head::{Head, V4, V6, Version};

/// The verdict on a plain packet; `None` leaves frame and tables as they are, for [`super::careful`].
#[inline(always)]
pub fn quick<T: Tables>(frame: &mut impl Frame, tables: &T) -> Option<Verdict> {
    let scene = Scene::new(tables)?;
    let [.., k, l] = *frame.front::<14>()?;
    // Each version on its own: what is known of one is not asked again.
    if [k, l] == IPV4 {
        plain::<V4, T>(frame, &scene)
    } else if [k, l] == IPV6 {
        plain::<V6, T>(frame, &scene)
    } else {
        None
    }
}

#[inline(always)]
fn plain<V: Version, T: Tables>(frame: &mut impl Frame, scene: &Scene<'_, T>) -> Option<Verdict> {
    let head = Head::<V>::of(frame)?;
    let sizes = NatSizes::from_word(scene.config.nat.load());
    if sizes.has(u16::from_be_bytes(head.destination_port_be())) {
        return answer::send_back::<V, T>(frame, scene, sizes);
    }
    let service = exact(
        scene,
        BindKey {
            address: head.destination(),
            port_be: head.destination_port_be(),
            protocol: head.protocol(),
        },
    )?;
    let ingress = scene.ingress(frame)?;
    if !scene.is_for_us(frame, ingress) {
        return Some(Verdict::Pass);
    }
    let refuse = |reason| Some(Verdict::Drop { reason, service });
    if let Some(reason) = head.defect() {
        return refuse(reason);
    }
    let record = scene.tables.service(service)?;
    let nature = Nature::from_word(record.nature.load())?;
    let guard = Guard::from_word(record.guard.load());
    if guard.policy != 0 {
        let class = super::guard::class(scene, head.source());
        let action = super::guard::action(scene, class, guard.policy)?;
        let cuts = head.flags().opens() || nature.listed_flows == ListedFlows::Cut;
        if action == Action::Refuse && cuts {
            return refuse(DropReason::SourceListed);
        }
    }
    let Some(mode) = Mode::of(nature) else {
        return if head.flags().opens() {
            None
        } else {
            Some(Verdict::Pass)
        };
    };
    if head.is_tcp() {
        if !goes_on(head.flags()) {
            return None;
        }
    } else if mode.server_ids.length != 0 {
        return None;
    }
    known::send::<V, T>(frame, scene, ingress, record, mode)
}

/// Whether a segment neither begins a connection nor ends one.
#[inline(always)]
const fn goes_on(flags: TcpFlags) -> bool {
    flags.0 & (TcpFlags::ACK | TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST) == TcpFlags::ACK
}
