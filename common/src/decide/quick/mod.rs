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
use super::work::Scene;
use crate::action::Action;
use crate::bind::BindKey;
use crate::config::{BindView, Config, NatSizes};
use crate::frame::{Frame, Tables};
use crate::parse::{IPV4, IPV6, SERVICE_TAG, TAG, TcpFlags};
use crate::service::{Forward, Guard, ListedFlows, Nature};
use crate::verdict::{DropReason, Verdict};
use head::{Head, V4, V6, Version};

/// What `act` makes of the verdict on a plain packet; `None` leaves frame and tables as they are, for [`super::careful`].
///
/// `act` is called where the verdict is found, so that no verdict has to be kept and told from the others again.
#[inline(always)]
pub fn quick<T: Tables, R>(
    frame: &mut impl Frame,
    tables: &T,
    act: impl Fn(Verdict) -> R,
) -> Option<R> {
    let scene = Scene::new(tables)?;
    let [.., k, l] = *frame.front::<14>()?;
    // Each version on its own: what is known of one is not asked again.
    if [k, l] == IPV4 {
        plain::<V4, T, R>(frame, &scene, act)
    } else if [k, l] == IPV6 {
        plain::<V6, T, R>(frame, &scene, act)
    } else if [k, l] == TAG || [k, l] == SERVICE_TAG {
        None
    } else {
        Some(act(Verdict::Pass))
    }
}

#[inline(always)]
fn plain<V: Version, T: Tables, R>(
    frame: &mut impl Frame,
    scene: &Scene<'_, T>,
    act: impl Fn(Verdict) -> R,
) -> Option<R> {
    let head = Head::<V>::of(frame)?;
    let sizes = NatSizes::from_word(scene.config.nat.load());
    if sizes.has(u16::from_be_bytes(head.destination_port_be())) {
        return answer::send_back::<V, T, R>(frame, scene, sizes, act);
    }
    if is_foreign(scene.config, head) {
        return Some(act(Verdict::Pass));
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
        return Some(act(Verdict::Pass));
    }
    let goes_on = !head.is_tcp() || goes_on(head.flags());
    let refuse = |reason| Some(act(Verdict::Drop { reason, service }));
    let record = scene.tables.service(service)?;
    // What is different about some services is done where there is time for it.
    if record.treatment.load() != 0 {
        return None;
    }
    if let Some(reason) = head.defect(goes_on) {
        return refuse(reason);
    }
    let nature = Nature::from_word(record.nature.load())?;
    let guard = Guard::from_word(record.guard.load());
    if guard.policy != 0 {
        let class = super::guard::class(scene, head.source());
        let action = super::guard::action(scene, class, guard.policy)?;
        let cuts = head.flags().opens() || nature.listed_flows == ListedFlows::Cut;
        if cuts && matches!(action, Action::Refuse | Action::Reset) {
            return if action == Action::Reset && head.flags().opens() {
                None
            } else {
                refuse(DropReason::SourceListed)
            };
        }
    }
    if nature.forward == Forward::Local {
        let is_asked = nature.cookies && super::syn::checks(scene, service);
        return if head.flags().opens() || is_asked {
            None
        } else {
            Some(act(Verdict::Pass))
        };
    }
    // Datagrams that name their server are read further.
    let names = !head.is_tcp() && nature.server_ids.length != 0;
    if !goes_on || names {
        return None;
    }
    known::send::<V, T, R>(frame, scene, ingress, record, nature, act)
}

/// Whether a packet that answers to no source port of ours is neither for an address in the tables nor from a server that
/// answers its clients through here.
#[inline(always)]
fn is_foreign<V: Version>(config: &Config, head: Head<'_, V>) -> bool {
    let view = BindView::from_word(config.bind_view.load());
    view.prefixes == 0
        && !config.may_be_bound(head.destination())
        && !(view.answers && config.may_be_bound(head.source()))
}

/// Whether a segment neither begins a connection nor ends one.
#[inline(always)]
const fn goes_on(flags: TcpFlags) -> bool {
    flags.0 & (TcpFlags::ACK | TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST) == TcpFlags::ACK
}
