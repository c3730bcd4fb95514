//! How one worker reaches the clients of another: by parcels, which that worker hands out.
//!
//! A worker alone touches its connections. Whoever has something for a client of another worker
//! (a message that was published, the order to close) sends that worker a parcel, which never
//! waits. Parcels from one sender to one worker arrive in the order in which they were sent.

use std::fmt;

use super::client::Client;
use crate::resp::ReplyBuffer;
use crate::sync::{Arc, OnceLock};

/// Something that clients are told without having asked.
pub trait Message: Send + Sync {
    /// Writes it for one client, in its protocol (that of `out`), if it still wants it.
    fn write(&self, client: &mut Client, out: &mut ReplyBuffer);

    /// About how many bytes it takes, here and when written.
    fn bytes(&self) -> usize;
}

/// A message on its way to a client.
#[derive(Clone)]
pub struct Letter {
    /// What it is told.
    pub message: Arc<dyn Message>,
    /// The position of the log that the message must not precede; 0 if there is none.
    pub exposed: u64,
}

/// What a worker is asked to do.
pub enum Parcel {
    /// Send a message to these clients of its own, those that are still there. It is written
    /// between replies.
    Deliver(Arc<[u64]>, Letter),
    /// Close the connection of this client now.
    Close(u64),
    /// Have this client look again whether it still has to wait.
    Wake(u64),
}

/// Takes a parcel to one worker.
pub type Carrier = Box<dyn Fn(Parcel) + Send + Sync>;

/// The ways to all workers.
#[derive(Default)]
pub struct Post {
    carriers: OnceLock<Vec<Carrier>>,
}

impl Post {
    /// Opens the ways, in the order of the workers. To be called once.
    pub fn open(&self, carriers: Vec<Carrier>) {
        // A second call would be a bug without consequence: the first ways stay.
        let _ = self.carriers.set(carriers);
    }

    /// Sends a parcel to a worker; lost when there is no such worker (yet, or any more).
    pub fn send(&self, worker: usize, parcel: Parcel) {
        if let Some(carrier) = self.carriers.get().and_then(|all| all.get(worker)) {
            carrier(parcel);
        }
    }
}

impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Post").finish_non_exhaustive()
    }
}
