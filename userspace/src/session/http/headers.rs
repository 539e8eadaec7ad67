//! Fields the proxy adds to every request on its own account: who the client is, and the request's
//! unique id.

use std::io::Write;
use std::net::IpAddr;

use super::edits;
use super::stream::HttpStream;
use crate::expr::{Text, View};
use crate::model::{ForwardedFor, Proxy};

impl HttpStream<'_, '_> {
    /// `option forwardfor`, `option originalto`, `option forwarded`, `unique-id-header`.
    pub(super) fn add_forwarding_fields(&mut self, backend: &Proxy) {
        let frontend = self.proxy();
        let ends = self.connection.ends.get();
        if let Some(source) = ends.source {
            let options = [
                backend.forwarded_for.as_ref(),
                frontend.forwarded_for.as_ref(),
            ];
            self.add_address(options, source.ip());
        }
        if let Some(to) = ends.destination {
            let options = [backend.original_to.as_ref(), frontend.original_to.as_ref()];
            self.add_address(options, to.ip());
        }
        if let Some(option) = &backend.forwarded {
            self.add_forwarded(option);
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

    /// Adds a field with an address, as the backend's option and the frontend's say: the first
    /// names it, any of them makes an exception, and `if-none` must be wanted by all.
    fn add_address(&mut self, options: [Option<&ForwardedFor>; 2], address: IpAddr) {
        let Some(first) = options.into_iter().flatten().next() else {
            return;
        };
        let address = address.to_canonical();
        let name = first.header.as_bytes();
        let mut options = options.into_iter().flatten();
        let excepted = options.clone().any(|option| {
            option
                .except
                .iter()
                .any(|network| network.contains(&address))
        });
        let only_if_none = options.all(|option| option.if_none);
        let head = &mut self.messages.request;
        if excepted || (only_if_none && head.contains(name)) {
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
