//! A message that was published, on its way to those who listen.

use bytes::Bytes;

use super::registry::{Kind, Name};
use crate::commands::client::Client;
use crate::commands::post::Message;
use crate::memory::{self, Counted, taken};
use crate::resp::{LARGE_ARG, ReplyBuffer};
use crate::sync::Arc;

/// What all who get a message share of it.
pub(super) struct Content {
    channel: Box<[u8]>,
    payload: Bytes,
    /// As long as it is under way to anybody.
    _counted: Counted,
}

impl Content {
    pub(super) fn new(channel: &[u8], payload: Bytes) -> Arc<Content> {
        let mut counted = Counted::new(memory::Kind::Clients);
        counted.set(taken(channel.len()) + taken(payload.len()) + taken(size_of::<Content>()));
        Arc::new(Content { channel: channel.into(), payload, _counted: counted })
    }
}

/// A message for those who listen to one name.
pub(super) struct Published {
    /// What the name is.
    pub(super) kind: Kind,
    /// The channel or the pattern that they listen to.
    pub(super) name: Name,
    /// What was published where.
    pub(super) content: Arc<Content>,
    /// The number of the last subscription before it was published.
    pub(super) number: u64,
}

/// What the lines around the parts of a message take, about.
const FRAME_BYTES: usize = 48;

impl Message for Published {
    fn write(&self, client: &mut Client, out: &mut ReplyBuffer) {
        let subscriptions = client.subscriptions.as_deref();
        if !subscriptions.is_some_and(|own| own.wants(self.kind, &self.name, self.number)) {
            return;
        }
        match self.kind {
            Kind::Pattern => {
                out.push(4);
                out.bulk(b"pmessage");
                out.bulk(&self.name);
            }
            kind => {
                out.push(3);
                out.bulk(if kind == Kind::Shard { b"smessage" } else { b"message" });
            }
        }
        out.bulk(&self.content.channel);
        match self.content.payload.len() < LARGE_ARG {
            true => out.bulk(&self.content.payload),
            false => out.bulk_large(self.content.payload.clone()),
        }
    }

    fn bytes(&self) -> usize {
        let content = self.content.channel.len() + self.content.payload.len();
        FRAME_BYTES + self.name.len() + content
    }
}
