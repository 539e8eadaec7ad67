//! A line in the log for some of the packets that the kernel drops (`xdp log-drops`).
//!
//! Once a second the program is asked for a sample, for a moment; what it shows becomes lines of the frontends' loggers, as
//! many as the configuration allows. Nothing is asked while nobody wants lines, nor while somebody captures.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::dataplane::{Capture, Dataplane, Wish};
use crate::log::Logs;
use crate::model::{Model, Severity};
use crate::proto::ends;

/// Logs a sample until dropped.
pub(super) async fn log(kernel: Arc<Dataplane>, logs: Arc<Logs>, model: Arc<Model>) {
    let most = model.global.xdp.log_drops as usize;
    let wish = Wish {
        drops: true,
        sampled: true,
        bytes: BYTES,
        ..Wish::default()
    };
    if most == 0 {
        return;
    }
    loop {
        sleep(BETWEEN).await;
        let feedback = Arc::clone(&kernel.feedback());
        let Ok(mut capture) = feedback.capture(&wish) else {
            continue;
        };
        sleep(SAMPLE).await;
        lines(&mut capture, most, |frontend, line| {
            let proxy = model
                .proxies
                .iter()
                .find(|proxy| Some(proxy.name.as_str()) == frontend);
            let logger = proxy.map_or_else(|| logs.global(), |proxy| logs.proxy(proxy.id));
            logger.send(Severity::Info, line.as_bytes(), b"");
        });
    }
}

/// Tells the lines for the frames that were captured, each with its frontend.
fn lines(capture: &mut Capture, most: usize, mut tell: impl FnMut(Option<&str>, String)) {
    capture.drain(most, |frame| {
        let (frontend, reason) = (frame.frontend, frame.reason.unwrap_or(frame.verdict));
        let place = frontend.map_or_else(String::new, |name| format!(" at {name}"));
        let line = match ends::addresses(frame.bytes) {
            Some((source, target)) => {
                format!("Kernel dropped a packet from {source} to {target}{place}: {reason}")
            }
            None => format!("Kernel dropped a packet{place}: {reason}"),
        };
        tell(frontend, line);
    });
}

/// Bytes that show where a packet comes from.
const BYTES: u16 = 64;
/// Time between two samples.
const BETWEEN: Duration = Duration::from_millis(900);
/// How long one is taken.
const SAMPLE: Duration = Duration::from_millis(100);
