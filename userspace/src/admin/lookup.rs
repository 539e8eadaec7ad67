//! Finding what a command's arguments name: by name, or by number behind `#`.

use crate::model::{Model, Proxy, Server};

/// `backend/server`.
pub(super) fn server<'a>(model: &'a Model, name: &str) -> Result<&'a Server, String> {
    let Some((backend, server)) = name.split_once('/') else {
        return Err("Require 'backend/server'.".to_owned());
    };
    let backend = backend_of(model, backend).ok_or("No such backend.")?;
    backend
        .servers
        .iter()
        .map(|id| model.server(id))
        .find(|candidate| names(server, &candidate.name, candidate.number))
        .ok_or_else(|| "No such server.".to_owned())
}

/// A frontend.
pub(super) fn frontend<'a>(model: &'a Model, name: &str) -> Result<&'a Proxy, String> {
    if name.is_empty() {
        return Err("A frontend name is expected.".to_owned());
    }
    model
        .proxies
        .iter()
        .find(|proxy| proxy.kind.has_frontend() && names(name, &proxy.name, proxy.number))
        .ok_or_else(|| "No such frontend.".to_owned())
}

/// A backend.
pub(super) fn backend_of<'a>(model: &'a Model, name: &str) -> Option<&'a Proxy> {
    model
        .proxies
        .iter()
        .find(|proxy| proxy.kind.has_backend() && names(name, &proxy.name, proxy.number))
}

/// Whether a word is a thing's name, or its number behind `#`.
pub(super) fn names(word: &str, name: &str, number: u32) -> bool {
    match word.strip_prefix('#') {
        Some(digits) => digits.parse() == Ok(number),
        None => word == name,
    }
}
