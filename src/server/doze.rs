//! A connection that waits for a moment, or for the end of the process.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use socket2::SockRef;
use tokio::time::{Sleep, sleep_until};

use super::socket::Socket;

/// A wait for a moment; the timer is there only while somebody waits.
#[derive(Debug, Default)]
pub(super) struct Doze {
    timer: Option<Pin<Box<Sleep>>>,
}

/// How it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Woken {
    /// The moment has come.
    ByTime,
    /// The client is gone.
    ByDeparture,
}

impl Doze {
    /// Waits until `moment` from now on.
    pub(super) fn begin(&mut self, moment: Instant) {
        self.timer = Some(Box::pin(sleep_until(moment.into())));
    }

    /// Waits for the moment, or for the client to go.
    pub(super) fn poll(&mut self, stream: &Socket, cx: &mut Context<'_>) -> Poll<Woken> {
        let is_over = self.timer.as_mut().is_none_or(|timer| timer.as_mut().poll(cx).is_ready());
        let woken = if is_over {
            Woken::ByTime
        } else {
            ready!(poll_departure(stream, cx));
            Woken::ByDeparture
        };
        self.timer = None;
        Poll::Ready(woken)
    }
}

/// Waits for the end of the stream; to be asked again whenever the task of `cx` is woken. It is not
/// seen behind commands that wait to be received: a client that has sent some is still there for
/// them.
pub(super) fn poll_departure(stream: &Socket, cx: &mut Context<'_>) -> Poll<()> {
    // Ends: when nothing is there to be read, the readiness is gone.
    loop {
        if ready!(stream.poll_read_ready(cx)).is_err() {
            return Poll::Ready(());
        }
        let peek = || SockRef::from(stream).peek(&mut [MaybeUninit::uninit()]);
        match stream.try_to_read(peek) {
            Ok(0) => return Poll::Ready(()),
            Ok(_) => return Poll::Pending,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return Poll::Ready(()),
        }
    }
}

/// Has the peer see the connection end when the process does. It costs a descriptor of a server
/// that is about to end.
pub(super) fn leave_open(stream: &Socket) {
    // Where no descriptor is left, the client sees the end a little early.
    if let Ok(socket) = stream.as_fd().try_clone_to_owned() {
        std::mem::forget(socket);
    }
}
