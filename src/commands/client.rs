//! What the server knows of one connection.

use super::long::Work;
use super::multi::Watches;
use super::queue::Queue;
use crate::resp::Protocol;
use crate::store::Ownership;

/// The state of a connection that its commands read and change.
#[derive(Debug)]
pub struct Client {
    /// The number of the connection: unique while the server runs, rising.
    pub id: u64,
    /// The peer's address, as text; for logs and CLIENT.
    pub peer: String,
    /// The name given by CLIENT SETNAME or HELLO; empty when there is none.
    pub name: Vec<u8>,
    /// The client library's name, given by CLIENT SETINFO; empty when there is none.
    pub library_name: Vec<u8>,
    /// The client library's version, given by CLIENT SETINFO; empty when there is none.
    pub library_version: Vec<u8>,
    /// The selected database.
    pub database: usize,
    /// The protocol of the replies.
    pub protocol: Protocol,
    /// Set when the connection is to be closed once its replies are written.
    pub close_after_reply: bool,
    /// The command under way that goes on over several turns.
    pub(super) work: Option<Box<dyn Work>>,
    /// How long it has taken so far, in nanoseconds.
    pub(super) work_nanoseconds: u64,
    /// What is queued, between MULTI and EXEC.
    pub(super) queue: Option<Box<Queue>>,
    /// The keys that the next EXEC looks at first.
    pub(super) watches: Watches,
    /// The right to be the only one who runs commands, while it has or waits for it.
    pub(super) ownership: Option<Ownership>,
}

impl Client {
    /// A new connection: database 0, RESP2, no name.
    pub fn new(id: u64, peer: String) -> Client {
        Client {
            id,
            peer,
            name: Vec::new(),
            library_name: Vec::new(),
            library_version: Vec::new(),
            database: 0,
            protocol: Protocol::Resp2,
            close_after_reply: false,
            work: None,
            work_nanoseconds: 0,
            queue: None,
            watches: Watches::new(),
            ownership: None,
        }
    }

    /// Bytes of the commands that wait for EXEC, about.
    pub fn queued_bytes(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.taken_bytes())
    }

    /// Lets the other clients run commands again, if this one had them out.
    pub fn give_back_exclusion(&mut self) {
        self.ownership = None;
    }
}
