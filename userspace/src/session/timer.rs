//! One lazily armed timer per connection.
//!
//! Deadlines move with every byte, and moving a runtime timer costs more than a system call should.
//! So the runtime's timer is only moved when a deadline comes closer; when it fires too early
//! because the deadline went further away meanwhile, it is armed again for the rest.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::clock::{self, Moment};

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    /// What the runtime's timer is set to, if it is running.
    armed: Option<Moment>,
}

impl Timer {
    /// Ready once `deadline` has passed; `None` never is.
    pub(super) fn poll(&mut self, context: &mut Context<'_>, deadline: Option<Moment>) -> Poll<()> {
        let Some(deadline) = deadline else {
            return Poll::Pending;
        };
        loop {
            if clock::now() >= deadline {
                return Poll::Ready(());
            }
            if self.armed.is_none_or(|armed| armed > deadline) {
                self.arm(deadline);
            }
            let Some(sleep) = &mut self.sleep else {
                return Poll::Pending;
            };
            if sleep.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            self.armed = None;
        }
    }

    fn arm(&mut self, deadline: Moment) {
        let instant = Instant::from_std(clock::started() + Duration::from_millis(deadline.0));
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().reset(instant),
            None => self.sleep = Some(Box::pin(sleep_until(instant))),
        }
        self.armed = Some(deadline);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn wait(timer: &mut Timer, deadline: Moment) {
        std::future::poll_fn(|context| timer.poll(context, Some(deadline))).await;
    }

    #[tokio::test]
    async fn a_deadline_that_moves_away_is_kept_and_one_that_comes_closer_too() {
        let mut timer = Timer::default();
        let start = clock::now();
        let polled = |timer: &mut Timer, deadline: u64| {
            let mut context = Context::from_waker(std::task::Waker::noop());
            timer.poll(&mut context, Some(start.after(deadline)))
        };
        assert!(polled(&mut timer, 20).is_pending());
        assert!(polled(&mut timer, 60_000).is_pending());
        wait(&mut timer, start.after(50)).await;
        assert!(clock::now() >= start.after(50));
        wait(&mut timer, start.after(10)).await;
        assert!(clock::now() < start.after(30_000));
    }

    #[tokio::test]
    async fn without_a_deadline_nothing_ever_happens() {
        let mut timer = Timer::default();
        let mut context = Context::from_waker(std::task::Waker::noop());
        assert!(timer.poll(&mut context, None).is_pending());
    }
}
