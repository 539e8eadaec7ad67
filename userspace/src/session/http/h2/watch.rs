//! What passes on an HTTP/2 connection, counted: floods and mistakes.
//!
//! [`Watched`] sits between the `h2` crate and the client's stream. It reads frame headers as they
//! pass in both directions, holds back nothing, and puts frames of its own between the crate's: a
//! stream's window is announced small, and raised only once its request turned out to need more.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::halves::Base;
use super::server::Waiting;
use crate::proto::http::http2::{
    Frame, FrameReader, Kind, PREFACE, lower_initial_window, window_update,
};
use crate::session::connection::Connection;

/// What was seen of a client.
#[derive(Default)]
pub(super) struct Traffic {
    /// Frames that brought nothing, less those that did.
    noise: Cell<u32>,
    glitches: Cell<u32>,
    reported: Cell<u32>,
    settings: Cell<bool>,
    /// Who waits for the first SETTINGS.
    waiting: Waiting,
    /// Frames of ours that wait for their turn.
    pending: RefCell<Vec<u8>>,
}

impl Traffic {
    /// That of a peer whose first SETTINGS came elsewhere.
    pub(super) fn introduced() -> Self {
        Self {
            settings: Cell::new(true),
            ..Self::default()
        }
    }

    /// Abnormal events so far (`fc_glitches`).
    pub(super) fn glitches(&self) -> u32 {
        self.glitches.get()
    }

    /// Whether the client does nothing but keep us busy.
    pub(super) fn is_flooded(&self) -> bool {
        self.noise.get() > NOISE_MAX
    }

    /// Tells rules and stick tables of what is new.
    pub(super) fn report(&self, connection: &Connection) {
        let new = self.glitches.get() - self.reported.replace(self.glitches.get());
        if new > 0 {
            connection.glitch(new);
        }
    }

    pub(super) fn glitch(&self) {
        self.glitches.set(self.glitches.get().saturating_add(1));
    }

    /// Lets the client send more on a stream than was announced.
    pub(super) fn raise_window(&self, stream: u32, by: u32) {
        if by > 0 {
            let frame = window_update(stream, by);
            self.pending.borrow_mut().extend_from_slice(&frame);
        }
    }

    pub(super) fn has_pending(&self) -> bool {
        !self.pending.borrow().is_empty()
    }

    /// Whether the peer's first SETTINGS have come.
    pub(super) fn is_introduced(&self) -> bool {
        self.settings.get()
    }

    pub(super) fn wake_when_introduced(&self, waker: &Waker) {
        self.waiting.add(waker);
    }

    fn make_noise(&self, weight: u32) {
        let noise = self.noise.get().saturating_add(weight);
        self.noise.set(noise);
        if noise > NOISE_FREE {
            self.glitch();
        }
    }

    fn received(&self, frame: Frame) {
        match frame.kind {
            Kind::Data if frame.length == 0 && !frame.has_first_flag() => {
                self.glitch();
                self.make_noise(1);
            }
            Kind::Data => self.noise.set(self.noise.get().saturating_sub(1)),
            Kind::Continuation => {
                self.glitch();
                self.make_noise(1);
            }
            Kind::Settings if frame.has_first_flag() => {}
            Kind::Settings => {
                if self.settings.replace(true) {
                    self.glitch();
                    self.make_noise(1);
                } else {
                    self.waiting.wake();
                }
            }
            Kind::ResetStream => self.make_noise(RESET_WEIGHT),
            Kind::Ping if frame.has_first_flag() => {}
            Kind::Priority
            | Kind::Ping
            | Kind::WindowUpdate
            | Kind::PushPromise
            | Kind::Unknown => {
                self.make_noise(1);
            }
            Kind::Headers | Kind::GoAway => {}
        }
    }

    fn sent(&self, frame: Frame) {
        match (frame.kind, frame.code) {
            (Kind::Data | Kind::Headers, _) => {
                self.noise.set(self.noise.get().saturating_sub(2));
            }
            (Kind::ResetStream | Kind::GoAway, Some(code)) if is_reproach(code) => self.glitch(),
            _ => {}
        }
    }
}

/// Whether an error code says that the peer did something wrong.
fn is_reproach(code: u32) -> bool {
    matches!(
        h2::Reason::from(code),
        h2::Reason::PROTOCOL_ERROR
            | h2::Reason::FLOW_CONTROL_ERROR
            | h2::Reason::SETTINGS_TIMEOUT
            | h2::Reason::STREAM_CLOSED
            | h2::Reason::FRAME_SIZE_ERROR
            | h2::Reason::COMPRESSION_ERROR
            | h2::Reason::ENHANCE_YOUR_CALM
    )
}

/// A stream of HTTP/2 frames, watched.
pub(super) struct Watched {
    base: Rc<Base>,
    traffic: Rc<Traffic>,
    reader: FrameReader,
    writer: FrameReader,
    /// Our first frame, SETTINGS, while it is held to be changed, and the window it is to announce.
    greeting: Option<(Vec<u8>, u32)>,
    /// Bytes at the beginning that the peer is not to get: the preface, when the peer has sent it.
    withheld: usize,
}

impl Watched {
    pub(super) fn new(base: Rc<Base>, traffic: Rc<Traffic>, window: u32) -> Self {
        Self {
            base,
            traffic,
            reader: FrameReader::after_preface(),
            writer: FrameReader::default(),
            greeting: Some((Vec::new(), window)),
            withheld: 0,
        }
    }

    /// The same for a server's stream, of which only the mistakes are counted.
    pub(super) fn to_server(base: Rc<Base>, traffic: Rc<Traffic>) -> Self {
        Self {
            base,
            traffic,
            reader: FrameReader::default(),
            writer: FrameReader::after_preface(),
            greeting: None,
            withheld: 0,
        }
    }

    /// The same where the server has opened the connection, and so begun it.
    pub(super) fn to_attached(base: Rc<Base>, traffic: Rc<Traffic>) -> Self {
        Self {
            withheld: PREFACE.len(),
            ..Self::to_server(base, traffic)
        }
    }

    /// Writes frames of ours, if the crate is not in the middle of one.
    fn poll_pending(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.writer.is_between_frames() && self.traffic.has_pending() {
            let mut pending = self.traffic.pending.borrow_mut();
            let mut stream = self.base.stream.borrow_mut();
            let written = ready!(Pin::new(&mut *stream).poll_write(context, &pending))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            pending.drain(..written);
        }
        Poll::Ready(Ok(()))
    }

    fn note_written(&mut self, bytes: &[u8]) {
        let traffic = &self.traffic;
        self.writer.feed(bytes, |frame| traffic.sent(frame));
    }

    /// Takes the bytes of the first frame; true while it did.
    fn hold_greeting(&mut self, bytes: &[u8]) -> bool {
        let Some((held, window)) = &mut self.greeting else {
            return false;
        };
        held.extend_from_slice(bytes);
        let mut frames = FrameReader::default();
        let mut whole = false;
        frames.feed(held, |_| whole = true);
        if whole && frames.is_between_frames() || held.len() > GREETING_MAX {
            lower_initial_window(held, *window);
            self.traffic.pending.borrow_mut().append(held);
            self.greeting = None;
        }
        true
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.traffic.is_flooded() {
            // Nothing more is wanted; the connection is about to be told so.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let this = &mut *self;
        ready!(Pin::new(&mut *this.base.stream.borrow_mut()).poll_read(context, buffer))?;
        let traffic = &this.traffic;
        let gained = &buffer.filled()[before..];
        this.reader.feed(gained, |frame| traffic.received(frame));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.hold_greeting(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        if self.withheld > 0 {
            let length = bytes.len().min(self.withheld);
            self.withheld -= length;
            self.note_written(&bytes[..length]);
            return Poll::Ready(Ok(length));
        }
        ready!(self.poll_pending(context))?;
        let written = {
            let mut stream = self.base.stream.borrow_mut();
            ready!(Pin::new(&mut *stream).poll_write(context, bytes))?
        };
        self.note_written(&bytes[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.greeting.is_some() || self.withheld > 0 {
            let first = slices.iter().find(|slice| !slice.is_empty());
            return self.poll_write(context, first.map_or(&[], |slice| &**slice));
        }
        ready!(self.poll_pending(context))?;
        let written = {
            let mut stream = self.base.stream.borrow_mut();
            ready!(Pin::new(&mut *stream).poll_write_vectored(context, slices))?
        };
        let mut left = written;
        for slice in slices {
            let taken = slice.len().min(left);
            self.note_written(&slice[..taken]);
            left -= taken;
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.base.stream.borrow().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_pending(context))?;
        Pin::new(&mut *self.base.stream.borrow_mut()).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_pending(context))?;
        Pin::new(&mut *self.base.stream.borrow_mut()).poll_shutdown(context)
    }
}

/// Noise that any client may make.
const NOISE_FREE: u32 = 100;

/// Noise at which a client is sent away.
const NOISE_MAX: u32 = 1000;

/// A request that is taken back cost more than a frame.
const RESET_WEIGHT: u32 = 5;

/// The crate's SETTINGS frame is far smaller; without this bound a change of its habits could fill memory.
const GREETING_MAX: usize = 1024;
