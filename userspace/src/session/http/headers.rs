//! Fields the proxy adds to every request on its own account: who the client is, and the request's
//! unique id.

use std::io::Write;
use std::net::IpAddr;

use super::edits;
use super::stream::HttpStream;
use crate::expr::{Text, View};
use crate::model::{ForwardedFor, Proxy};

impl<'c> HttpStream<'c, '_> {
    /// `option forwardfor`, `option originalto`, `unique-id-header`. The backend's word counts
    /// before the frontend's.
    pub(super) fn add_forwarding_fields(&mut self, backend: &Proxy) {
        let frontend = self.proxy();
        let ends = self.connection.ends.get();
        let chosen = |of: fn(&Proxy) -> Option<&ForwardedFor>| of(backend).or_else(|| of(frontend));
        if let (Some(option), Some(source)) = (chosen(|p| p.forwarded_for.as_ref()), ends.source) {
            self.add_address(option, source.ip());
        }
        if let (Some(option), Some(to)) = (chosen(|p| p.original_to.as_ref()), ends.destination) {
            self.add_address(option, to.ip());
        }
        // Made now in any case: what it is made of is gone when the response asks for it.
        let _made = self.view().text(Text::UniqueId);
        if let (Some(field), Some(id)) =
            (&frontend.unique_id_header, self.transaction.unique_id.get())
            && edits::is_field_value(id)
        {
            self.messages.request.add(field.as_bytes(), id);
        }
    }

    fn add_address(&mut self, option: &ForwardedFor, address: IpAddr) {
        let address = address.to_canonical();
        let name = option.header.as_bytes();
        let excepted = option
            .except
            .iter()
            .any(|network| network.contains(&address));
        let head = &mut self.messages.request;
        if excepted || (option.if_none && head.contains(name)) {
            return;
        }
        let mut text = [0; ADDRESS_TEXT];
        let mut rest = &mut text[..];
        if write!(rest, "{address}").is_ok() {
            let length = ADDRESS_TEXT - rest.len();
            head.add(name, &text[..length]);
        }
    }
}

/// The longest text of an address.
const ADDRESS_TEXT: usize = 46;
