//! Listening elsewhere while the server runs.
//!
//! A wish of CONFIG SET comes to the main thread, which has a thread of its own open the sockets,
//! since a name may take seconds to be resolved. The command gets them, and sends them back when
//! nothing can fail any more; from then on the acceptor has them in the place of the old ones.

use std::net;
use std::thread;

use log::warn;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::listen;
use crate::commands::{ListenWish, Listening, Opened};
use crate::error::Error;
use crate::sync::mpsc::Sender;

/// What the main thread is asked for. They come in the order in which they are to be done.
#[derive(Debug)]
pub(super) enum Request {
    /// Sockets beside those there are.
    Open(ListenWish, UnboundedSender<Request>),
    /// To accept at these and no others over TCP, and to say when that is so.
    TakeOver(Vec<TcpListener>, Sender<()>),
}

/// Opens the way for requests, of which few can wait: each client has one at most.
pub(super) fn requests(listening: &Listening) -> UnboundedReceiver<Request> {
    let (sender, requests) = unbounded_channel();
    listening.on_wish(Box::new(move |wish| {
        // Nobody takes it only when the server stops: the wish is dropped, and its client told so.
        let _ = sender.send(Request::Open(wish, sender.clone()));
    }));
    requests
}

/// Has a thread open what is wished for beside `old`, the sockets there are. Must be called within
/// the runtime that is to watch the sockets.
pub(super) fn open(
    wish: ListenWish,
    old: Vec<net::TcpListener>,
    backlog: u32,
    requests: UnboundedSender<Request>,
) {
    let runtime = Handle::current();
    let body = move || {
        let _within = runtime.enter();
        let opened = listen::open_beside(&wish.bind, wish.port, backlog, old).and_then(watched);
        let opened = opened.map_err(|error| warn!("CONFIG SET: {error}")).ok();
        wish.end(opened.map(|sockets| Box::new(Ready { sockets, requests }) as Box<dyn Opened>));
    };
    const THREAD: &str = "listen";
    if let Err(error) = thread::Builder::new().name(THREAD.to_owned()).spawn(body) {
        // The wish is gone with the body, which its client sees.
        warn!("CONFIG SET: cannot start the thread {THREAD}: {error}");
    }
}

fn watched(sockets: Vec<net::TcpListener>) -> Result<Vec<TcpListener>, Error> {
    let watched = sockets.into_iter().map(TcpListener::from_std).collect::<Result<_, _>>();
    watched.map_err(|source| Error::EventLoop { name: "main".to_owned(), source })
}

/// Sockets that the event loop watches already.
#[derive(Debug)]
struct Ready {
    sockets: Vec<TcpListener>,
    requests: UnboundedSender<Request>,
}

impl Opened for Ready {
    fn take_over(self: Box<Self>, done: Sender<()>) {
        // Nobody takes them only when the server stops, and listens nowhere then.
        let _ = self.requests.send(Request::TakeOver(self.sockets, done));
    }
}
