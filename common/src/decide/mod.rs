//! What happens to one packet. The whole policy is visible in [`careful`] and [`treat`]; [`quick`] takes what is plain
//! before them.
//!
//! Input is a frame and the tables; output is a verdict, the frame rewritten if it is sent on, and the tables brought up to
//! date. Nothing is ever forwarded that is not a consistent TCP segment or UDP datagram for a service of ours, a fragment of
//! one, or an ICMP error about one; echo requests to addresses that nobody else answers for are answered. All that we do
//! not know goes to the stack as it came, ARP and neighbour discovery first of all.

mod answer;
mod choose;
mod forward;
mod guard;
mod mapping;
mod owner;
mod part;
mod quick;
mod syn;
mod work;

pub use quick::quick;
pub use work::Work;

use crate::action::Action;
use crate::bind::{BindKey, Target};
use crate::config::BindView;
use crate::counters::ServerCounters;
use crate::frame::{Frame, Tables};
use crate::nat::NatEntry;
use crate::parse::{self, Parsed};
use crate::reply;
use crate::rewrite;
use crate::service::{Guard, ListedFlows, Nature, ServiceIndex, Treatment};
use crate::tunnel::Inner;
use crate::verdict::{DropReason, Verdict};
use guard::Deed;
use owner::{answers_for, exact, find, is_ours, ranged};
use work::{Mode, Scene};

/// Decides about one frame. What `work` held before does not matter.
#[inline(always)]
pub fn decide<T: Tables>(frame: &mut impl Frame, tables: &T, work: &mut Work) -> Verdict {
    match quick(frame, tables, |verdict| verdict) {
        Some(verdict) => verdict,
        None => careful(frame, tables, work),
    }
}

/// Decides about any frame, plain or not.
///
/// The ways through the decision meet in one word. A verdict would have parts that most of them leave open, and the kernel's
/// verifier wants to have seen everything written that is ever read.
#[inline(always)]
pub fn careful<T: Tables>(frame: &mut impl Frame, tables: &T, work: &mut Work) -> Verdict {
    Verdict::from_word(verdict(frame, tables, work))
}

/// The same, as a word.
#[inline(always)]
fn verdict<T: Tables>(frame: &mut impl Frame, tables: &T, work: &mut Work) -> u64 {
    let Some(scene) = Scene::new(tables) else {
        return Verdict::Pass.word();
    };
    let Some(ingress) = scene.ingress(frame) else {
        return Verdict::Pass.word();
    };
    work.ingress = ingress;
    work.now = tables.now();
    let parsed = parse::parse(frame, &mut work.packet);
    match parsed {
        Parsed::Packet | Parsed::Part => {}
        Parsed::Echo => return echo(frame, &scene, work).word(),
        Parsed::Broken(reason) => return broken(frame, &scene, work, reason).word(),
        Parsed::Foreign => return Verdict::Pass.word(),
    }
    tables.settle(work);
    let step = if parsed == Parsed::Part {
        part::follow(frame, &scene, work)
    } else {
        let (mapping, service) = whose(frame, &scene, work);
        if let Some(entry) = mapping {
            answer::send_back(&scene, work, entry)
        } else if let Some(service) = service {
            work.service = service;
            // Other frames are those that a promiscuous port shows us besides.
            if !scene.is_for_us(frame, work.ingress) {
                return Verdict::Pass.word();
            }
            tables.settle(work);
            treat(frame, &scene, work)
        } else {
            return Verdict::Pass.word();
        }
    };
    match step {
        Ok(Step::Pass) => Verdict::Pass.word(),
        Ok(Step::Answer) => {
            tables.settle(work);
            match reply::segment(frame, &work.packet, &work.reply) {
                Some(()) => Verdict::Transmit.word(),
                None => refuse(DropReason::Unwritable, work).word(),
            }
        }
        Ok(Step::Reset(reason)) => {
            tables.settle(work);
            match reply::segment(frame, &work.packet, &work.reply) {
                Some(()) => Verdict::Reply {
                    reason,
                    service: work.service,
                }
                .word(),
                None => refuse(DropReason::Unwritable, work).word(),
            }
        }
        Ok(Step::TooBig) => {
            tables.settle(work);
            too_big(frame, work).word()
        }
        Ok(Step::Send) => {
            tables.settle(work);
            if work.packet.network.is_part && parsed == Parsed::Packet {
                part::remember(&scene, work);
            }
            match send(frame, tables, work) {
                Some(verdict) => verdict.word(),
                None => refuse(DropReason::Unwritable, work).word(),
            }
        }
        Err(reason) => refuse(reason, work).word(),
    }
}

/// What is left to do with a packet that is not dropped.
enum Step {
    /// Nothing: it is the stack's.
    Pass,
    /// Rewrite it and send it on.
    Send,
    /// Tell its sender that it does not fit.
    TooBig,
    /// Answer it with [`Work::reply`].
    Answer,
    /// Refuse it with [`Work::reply`].
    Reset(DropReason),
}

/// The mapping the packet answers to, or the service it is for. A port that is bound by itself is no client's, whatever a
/// server that knows its clients may send there.
#[inline(always)]
fn whose<'a, T: Tables>(
    frame: &impl Frame,
    scene: &Scene<'a, T>,
    work: &mut Work,
) -> (Option<&'a NatEntry>, Option<ServiceIndex>) {
    let mapping = answer::entry_of(frame, scene, work);
    if mapping.is_some() {
        return (mapping, None);
    }
    let service = exact(scene, BindKey::exact(&work.packet));
    if service.is_some() {
        return (None, service);
    }
    let mapping = direct_answer(frame, scene, work);
    if mapping.is_some() {
        return (mapping, None);
    }
    (None, ranged(scene, work))
}

/// What a service does with a packet that is addressed to it.
#[inline(always)]
fn treat<T: Tables>(
    frame: &impl Frame,
    scene: &Scene<'_, T>,
    work: &mut Work,
) -> Result<Step, DropReason> {
    let service = scene
        .tables
        .service(work.service)
        .ok_or(DropReason::Inconsistent)?;
    let treatment = Treatment::from_word(service.treatment.load());
    if let Some(reason) = work.packet.defect(treatment.lenient) {
        return Err(reason);
    }
    let nature = Nature::from_word(service.nature.load()).ok_or(DropReason::Inconsistent)?;
    let guard = Guard::from_word(service.guard.load());
    let opens = work.packet.transport.flags.opens();
    let mut action = Action::Accept;
    if guard.policy != 0 {
        work.class = guard::class(scene, work.packet.network.source);
        scene.tables.settle(work);
        action = guard::action(scene, work.class, guard.policy).ok_or(DropReason::Inconsistent)?;
    }
    work.listed = matches!(action, Action::Refuse | Action::Reset);
    work.rate = match action {
        Action::Exempt => 0,
        Action::Accept | Action::Refuse | Action::Reset => guard.rate,
    };
    if work.listed && (opens || nature.listed_flows == ListedFlows::Cut) {
        return match action {
            Action::Reset => syn::refuse(frame, scene, work, DropReason::SourceListed),
            _ => Err(DropReason::SourceListed),
        };
    }
    work.flooded = false;
    if opens {
        if let Err(refused) = guard::account(scene, work, Deed::Ask) {
            return match refused {
                guard::Over::Silently => Err(DropReason::RateExceeded),
                guard::Over::Told => syn::refuse(frame, scene, work, DropReason::RateExceeded),
            };
        }
        work.flooded = syn::count(scene, work);
    }
    // Who is charged for a connection to userspace is decided where it is accepted.
    let Some(mode) = Mode::of(nature, treatment.to_server) else {
        return if nature.cookies {
            scene.tables.settle(work);
            syn::local(frame, scene, work)
        } else {
            Ok(Step::Pass)
        };
    };
    work.mode = mode;
    scene.tables.settle(work);
    forward::forward(frame, scene, work, service)
}

/// Answers an echo request to an address that nobody else answers for.
#[inline(always)]
fn echo(frame: &mut impl Frame, scene: &Scene<'_, impl Tables>, work: &mut Work) -> Verdict {
    work.service = ServiceIndex::default();
    if !answers_for(scene, work) || !scene.is_for_us(frame, work.ingress) {
        return Verdict::Pass;
    }
    if let Some(reason) = work.packet.network.defect(false) {
        return refuse(reason, work);
    }
    match reply::echo(frame, &work.packet) {
        Some(()) => Verdict::Transmit,
        None => refuse(DropReason::Unwritable, work),
    }
}

/// Tells the sender of a packet that it does not fit on the way to its server, if it can be told.
#[inline(always)]
fn too_big(frame: &mut impl Frame, work: &Work) -> Verdict {
    let (reason, service) = (DropReason::TooBig, work.service);
    let packet = &work.packet;
    let limit = work.sending.limit;
    // No news about news (RFC 1122 §3.2.2), nor about what only the first fragment tells; and none of a size that every
    // link must take.
    let is_news = packet.quote.is_there || packet.network.offset != 0;
    let smallest = if packet.network.is_v4 { 68 } else { 1280 };
    if is_news || limit < smallest {
        return refuse(reason, work);
    }
    match reply::too_big(frame, packet, limit) {
        Some(()) => Verdict::Reply { reason, service },
        None => refuse(DropReason::Unwritable, work),
    }
}

/// A packet whose ports cannot be told: dropped if its address is one of ours.
#[inline(always)]
fn broken(
    frame: &impl Frame,
    scene: &Scene<'_, impl Tables>,
    work: &mut Work,
    reason: DropReason,
) -> Verdict {
    work.service = ServiceIndex::default();
    if is_ours(scene, work) && scene.is_for_us(frame, work.ingress) {
        refuse(reason, work)
    } else {
        Verdict::Pass
    }
}

#[inline(always)]
fn refuse(reason: DropReason, work: &Work) -> Verdict {
    Verdict::Drop {
        reason,
        service: work.service,
    }
}

/// The mapping of an answer to a client whose address the server knows, where there are such servers.
#[inline(always)]
fn direct_answer<'a, T: Tables>(
    frame: &impl Frame,
    scene: &Scene<'a, T>,
    work: &mut Work,
) -> Option<&'a NatEntry> {
    if !BindView::from_word(scene.config.bind_view.load()).answers {
        return None;
    }
    match find(scene, BindKey::answers(work.packet.network.source)) {
        Some(Target::Answers) => answer::direct_entry_of(frame, scene, work),
        _ => None,
    }
}

/// Rewrites the frame, counts it and names its exit.
#[inline(always)]
fn send(frame: &mut impl Frame, tables: &impl Tables, work: &Work) -> Option<Verdict> {
    let (packet, sending) = (&work.packet, &work.sending);
    if !sending.mark.is_none() {
        let at = packet.link.length as usize;
        sending.mark.write(frame, at, packet.network.is_v4)?;
    }
    if sending.rewrites {
        if packet.quote.is_there {
            rewrite::quoted(frame, packet, &sending.ends, sending.keeps_source)?;
        } else if packet.network.offset != 0 {
            rewrite::addresses(frame, packet, &sending.ends)?;
        } else {
            rewrite::ends(frame, packet, &sending.ends)?;
        }
    }
    if sending.tunnels {
        let is_v4 = work.tunnel.destination.is_v4();
        let inner = Inner::of(frame, packet)?;
        let at = rewrite::link(
            frame,
            packet,
            &sending.outgoing,
            work.tunnel.overhead() as i32,
            is_v4,
        )?;
        work.tunnel
            .write(frame, at, &inner, work.flow.hash.spread())?;
    } else {
        rewrite::link(frame, packet, &sending.outgoing, 0, packet.network.is_v4)?;
    }
    let length = packet.network.length as u64;
    let counts = if sending.is_answer {
        ServerCounters {
            packets_out: 1,
            bytes_out: length,
            ..ServerCounters::default()
        }
    } else {
        ServerCounters {
            packets_in: 1,
            bytes_in: length,
            flows: work.flow.began as u64,
            established: work.flow.proven as u64,
            ..ServerCounters::default()
        }
    };
    tables.count(sending.server, counts);
    Some(if sending.interface as u32 == work.ingress {
        Verdict::Transmit
    } else {
        Verdict::Redirect(sending.interface)
    })
}
