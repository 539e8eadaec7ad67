//! Accepting: one task per listener and thread.
//!
//! It takes connections as long as the limits leave room, gives each its own task, and stops between two connections, never
//! with one in its hands. Errors of the system make it wait a little, not end.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::client;
use super::limits::{Admitted, Limits, Places};
use super::worker::{Place, Worker};
use crate::net::{Bound, Incoming, Listener, connection_is_gone};
use crate::state::FrontendStatus;
use crate::types::BindId;

/// Accepts connections for one listener on this thread until the task is ended.
pub(super) async fn accept(
    worker: Rc<Worker>,
    bind: BindId,
    bound: Arc<Bound>,
    listener: Listener,
    places: Arc<Places>,
) {
    let generation = worker.current();
    let frontend = generation.model().bind(bind).proxy;
    let batch = generation.model().global.tune.maxaccept.max(1);
    let local = bound
        .address()
        .filter(|address| !address.ip().is_unspecified());
    let limits = Rc::new(Limits {
        generation: Rc::clone(&generation),
        frontend,
        bind,
        places,
    });
    let mut in_a_row = 0;
    loop {
        limits.room().await;
        let incoming = match listener.accept().await {
            Ok(incoming) => incoming,
            Err(error) if connection_is_gone(&error) => continue,
            Err(error) => {
                trouble(&error, &generation.proxy(frontend).name);
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        if generation.state().proxy(frontend).frontend.status() == FrontendStatus::Open {
            begin(&worker, &limits, incoming, local);
        }
        in_a_row += 1;
        if in_a_row == batch {
            in_a_row = 0;
            tokio::task::yield_now().await;
        }
    }
}

/// Serves the connection in a task of its own; if another thread took the last place under the limits, it waits for one.
fn begin(worker: &Rc<Worker>, limits: &Rc<Limits>, incoming: Incoming, local: Option<SocketAddr>) {
    let place = worker.place();
    if let Some(admitted) = limits.try_admit() {
        serve(place, limits, incoming, local, admitted);
        return;
    }
    let limits = Rc::clone(limits);
    worker.spawn(async move {
        let admitted = limits.admit().await;
        serve(place, &limits, incoming, local, admitted);
    });
}

fn serve(
    place: Place,
    limits: &Limits,
    incoming: Incoming,
    local: Option<SocketAddr>,
    admitted: Admitted,
) {
    let worker = Rc::clone(place.worker());
    let (connection, stream) = client::receive(
        Rc::clone(&worker),
        Rc::clone(&limits.generation),
        limits.bind,
        incoming,
        local,
        admitted,
    );
    let mut stream = Some(stream);
    // Captured, not passed: what is passed to an asynchronous function takes its room twice.
    worker.spawn(async move {
        client::serve(&connection, &mut stream).await;
        drop(connection);
        drop(place);
    });
}

/// Says once in a while what keeps connections from being accepted. A paused listener is no news.
fn trouble(error: &io::Error, frontend: &str) {
    if error.raw_os_error() != Some(libc::EINVAL) {
        crate::log::notice::warning(format_args!(
            "Proxy {frontend} cannot accept connections: {error}"
        ));
    }
}

/// Wait after an error that will not go away at once, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);
