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
use crate::parse::{IPV4, IPV6, SERVICE_TAG, TAG};
use crate::service::{Forward, Guard, ListedFlows, Nature, Service};
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
    let record = scene.tables.service(service)?;
    // What is different about some services is done where there is time for it.
    if record.treatment.load() != 0 {
        return None;
    }
    let ends_here = Nature::forward_of(record.nature.load())? == Forward::Local;
    if !ends_here && head.turn() != 0 && Guard::from_word(record.guard.load()).policy == 0 {
        // It begins or ends a flow: not here, but the place of that is on its way.
        known::Flow::of(scene, head, false)?;
        return None;
    }
    let flow = known::Flow::of(scene, head, ends_here)?;
    let ingress = scene.ingress(frame)?;
    if !scene.is_for_us(frame, ingress) {
        return Some(act(Verdict::Pass));
    }
    if !head.is_sound() || head.turn() != 0 && !head.flags().are_possible() {
        return None;
    }
    let guard = Guard::from_word(record.guard.load());
    if guard.policy != 0 && is_listed(scene, head, record, guard)? {
        let reason = DropReason::SourceListed;
        return Some(act(Verdict::Drop { reason, service }));
    }
    // Asked once more: what was known of it until here would make the verifier follow all the way since then once more.
    let nature = scene.tables.reload(&record.nature);
    if Nature::forward_of(nature)? == Forward::Local {
        let is_asked = Nature::from_word(nature)?.cookies && super::syn::checks(scene, service);
        return if head.flags().opens() || is_asked {
            None
        } else {
            Some(act(Verdict::Pass))
        };
    }
    if head.turn() != 0 {
        return None;
    }
    known::send::<V, T, R>(frame, scene, ingress, record, flow, act)
}

/// Whether a policy refuses the packet's source, and what it began as well.
#[inline(always)]
fn is_listed<V: Version, T: Tables>(
    scene: &Scene<'_, T>,
    head: Head<'_, V>,
    record: &Service,
    guard: Guard,
) -> Option<bool> {
    let class = super::guard::class(scene, head.source());
    let opens = head.flags().opens();
    match super::guard::action(scene, class, guard.policy)? {
        Action::Accept | Action::Exempt => Some(false),
        // Who asks for a connection is told.
        Action::Reset if opens => None,
        Action::Refuse | Action::Reset => {
            let nature = Nature::from_word(record.nature.load())?;
            Some(opens || nature.listed_flows == ListedFlows::Cut)
        }
    }
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
