//! SYNs: counted by service, given no state under a flood, answered with a cookie where the stack would, and refused with
//! a reset where a rule says so.

use super::Step;
use super::work::{Scene, Work};
use crate::config::Clock;
use crate::cookie::Admission;
use crate::flow::FlowState;
use crate::frame::{Frame, Tables};
use crate::parse::TcpFlags;
use crate::reply::Segment;
use crate::service::{Service, ServiceIndex};
use crate::syn::{Cookies, Offer, SynPolicy, SynRecord};
use crate::verdict::DropReason;

/// Counts a SYN; says whether its service is under a flood.
#[inline(always)]
pub(super) fn count<T: Tables>(scene: &Scene<'_, T>, work: &Work) -> bool {
    match scene.tables.syn_record(work.service) {
        Some(record) => record.count(scene.tables, second(scene), work.now),
        None => false,
    }
}

/// Whether a service is under a flood.
#[inline(always)]
pub(super) fn is_flooded<T: Tables>(
    scene: &Scene<'_, T>,
    service: ServiceIndex,
    work: &Work,
) -> bool {
    match scene.tables.syn_record(service) {
        Some(record) => record.is_flooded(second(scene), work.now),
        None => false,
    }
}

/// Whether the acknowledgements of a service are checked now.
#[inline(always)]
pub(super) fn checks<T: Tables>(scene: &Scene<'_, T>, service: ServiceIndex) -> bool {
    let Some(record) = scene.tables.syn_record(service) else {
        return false;
    };
    match SynPolicy::from_word(record.policy.load()).cookies {
        Cookies::Off => false,
        Cookies::Auto => record.is_flooded(second(scene), scene.tables.now()),
        Cookies::Always => true,
    }
}

/// Counts a SYN that is forwarded without keeping a state.
#[inline(always)]
pub(super) fn count_stateless<T: Tables>(scene: &Scene<'_, T>, work: &Work) {
    if let Some(record) = scene.tables.syn_record(work.service) {
        scene.tables.add(&record.stateless, 1);
    }
}

/// How long a NAT mapping that comes from `before` to `state` is kept: one of a handshake that was given up, and under a
/// flood one of a handshake that nobody has completed yet, only for a second, because it holds a port.
#[inline(always)]
pub(super) fn hold<T: Tables>(
    scene: &Scene<'_, T>,
    work: &Work,
    service: &Service,
    before: FlowState,
    state: FlowState,
) -> u32 {
    let usual = scene.lifetime(service, state);
    let short = if state.is_handshake() {
        is_flooded(scene, work.service, work)
    } else {
        before.is_handshake() && state == FlowState::CLOSING
    };
    let second = second(scene);
    if short && second < usual {
        second
    } else {
        usual
    }
}

/// What becomes of a packet for the stack, where it may use cookies: a SYN is answered in its place, and an acknowledgement
/// that acknowledges nothing is dropped.
#[inline(always)]
pub(super) fn local<T: Tables>(
    frame: &impl Frame,
    scene: &Scene<'_, T>,
    work: &mut Work,
) -> Result<Step, DropReason> {
    let Some(record) = scene.tables.syn_record(work.service) else {
        return Ok(Step::Pass);
    };
    let flags = work.packet.transport.flags;
    let acknowledges = flags.has(TcpFlags::ACK) && !flags.has(TcpFlags::SYN | TcpFlags::RST);
    let whole = !work.packet.network.is_part && !work.packet.quote.is_there;
    let answers = match SynPolicy::from_word(record.policy.load()).cookies {
        Cookies::Off => false,
        Cookies::Auto if flags.opens() => work.flooded,
        Cookies::Auto => record.is_flooded(second(scene), work.now),
        Cookies::Always => true,
    };
    if !answers || !whole || !(flags.opens() || acknowledges) {
        return Ok(Step::Pass);
    }
    work.headers
        .load(frame, &work.packet)
        .ok_or(DropReason::BadTcpHeader)?;
    scene.tables.settle(work);
    if flags.opens() {
        answer(frame, scene, work, record)
    } else {
        admit(scene, work, record)
    }
}

#[inline(always)]
fn answer<T: Tables>(
    frame: &impl Frame,
    scene: &Scene<'_, T>,
    work: &mut Work,
    record: &SynRecord,
) -> Result<Step, DropReason> {
    let is_v4 = work.packet.network.is_v4;
    let length = work.packet.transport.length;
    let Some(cookie) = scene.tables.cookie(&work.headers, is_v4, length) else {
        return Ok(Step::Pass);
    };
    work.offered.load(frame, &work.packet);
    scene.tables.settle(work);
    let offer = Offer::from_word(record.offer.load());
    let now = scene.tables.milliseconds();
    let (options, words) = work.offered.answer(offer, segment(scene, work, offer), now);
    work.reply = Segment {
        sequence_be: cookie.to_be_bytes(),
        acknowledged_be: next(work.headers.sequence_be()),
        flags: TcpFlags::SYN | TcpFlags::ACK,
        window_be: offer.window.to_be_bytes(),
        options,
        words: words as u8,
    };
    scene.tables.add(&record.cookies, 1);
    Ok(Step::Answer)
}

#[inline(always)]
fn admit<T: Tables>(
    scene: &Scene<'_, T>,
    work: &Work,
    record: &SynRecord,
) -> Result<Step, DropReason> {
    let is_v4 = work.packet.network.is_v4;
    let length = work.packet.transport.length;
    match scene.tables.admission(&work.headers, is_v4, length) {
        Admission::Known => Ok(Step::Pass),
        Admission::Proven => {
            scene.tables.add(&record.proven, 1);
            Ok(Step::Pass)
        }
        Admission::Forged => Err(DropReason::BadCookie),
    }
}

/// A refused client is told by a reset, as many a second as are allowed; others hear nothing.
#[inline(always)]
pub(super) fn refuse<T: Tables>(
    frame: &impl Frame,
    scene: &Scene<'_, T>,
    work: &mut Work,
    reason: DropReason,
) -> Result<Step, DropReason> {
    let whole = !work.packet.network.is_part && !work.packet.quote.is_there;
    let sequence_at = work.packet.network.payload_at as usize + 4;
    let Some(record) = scene.tables.syn_record(work.service) else {
        return Err(reason);
    };
    if !whole
        || !work.packet.transport.flags.opens()
        || !record.may_reset(scene.tables, second(scene), work.now)
    {
        return Err(reason);
    }
    let sequence = frame.load::<4>(sequence_at).ok_or(reason)?;
    work.reply = Segment {
        acknowledged_be: next(sequence),
        flags: TcpFlags::RST | TcpFlags::ACK,
        ..Segment::default()
    };
    Ok(Step::Reset(reason))
}

/// The largest segment that is wanted.
#[inline(always)]
fn segment<T: Tables>(scene: &Scene<'_, T>, work: &Work, offer: Offer) -> u16 {
    let headers = if work.packet.network.is_v4 { 40 } else { 60 };
    let fits = match scene.mtu_of(work.ingress as u8) {
        0 => USUAL_MTU,
        mtu => mtu,
    }
    .saturating_sub(headers);
    if offer.segment != 0 && offer.segment < fits {
        offer.segment
    } else {
        fits
    }
}

/// What a SYN with this sequence number is acknowledged with.
#[inline(always)]
const fn next(sequence_be: [u8; 4]) -> [u8; 4] {
    u32::from_be_bytes(sequence_be)
        .wrapping_add(1)
        .to_be_bytes()
}

/// A second in ticks.
#[inline(always)]
fn second<T: Tables>(scene: &Scene<'_, T>) -> u32 {
    Clock::from_word(scene.config.clock.load()).per_second
}

const USUAL_MTU: u16 = 1500;
