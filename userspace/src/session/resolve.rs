//! `do-resolve`: an address for a variable, asked for while the session waits (manual §4.4).

use std::net::IpAddr;

use super::actions;
use super::view::SessionView;
use crate::expr::{Sample, SampleType};
use crate::model::NameResolution;
use crate::net::resolver;

/// The name a rule asks for; `None` where there is none.
pub(super) fn name(resolution: &NameResolution, view: &SessionView<'_>) -> Option<String> {
    match resolution.name.eval(view)?.cast(SampleType::Str)? {
        Sample::Str(name) => String::from_utf8(name.to_vec()).ok(),
        _ => None,
    }
}

/// Asks for the address of a name. A name that is an address is its own answer.
pub(super) async fn ask(resolution: &NameResolution, name: Option<String>) -> Option<IpAddr> {
    let name = name?;
    if let Ok(address) = name.parse() {
        return Some(address);
    }
    let told = resolver::addresses(&resolution.resolvers, &name, resolution.prefer_v6).await;
    told.ok()?.answer.addresses.first().copied()
}

/// Puts the answer into the rule's variable, which stays as it is without one.
pub(super) fn store(resolution: &NameResolution, address: Option<IpAddr>, view: &SessionView<'_>) {
    if let Some(address) = address {
        actions::set_variable(&resolution.variable, Sample::Ip(address), &[], view);
    }
}
