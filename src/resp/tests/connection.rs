//! A connection without a socket: keeps the decoder's contract and collects what it decodes.

use bytes::BufMut;

use crate::resp::{Batch, Decoder, Limits, ProtocolError};

/// How the rest of a large argument is handed over.
#[derive(Clone, Copy, Debug)]
pub(super) enum Feed {
    /// Read into the argument's buffer, as a server does.
    Buffer,
    /// Pushed.
    Push,
    /// Left in the input, against the advice.
    Input,
}

pub(super) struct Connection {
    decoder: Decoder,
    batch: Batch,
    input: Vec<u8>,
    max_commands: usize,
    feed: Feed,
    pub(super) commands: Vec<Vec<Vec<u8>>>,
    pub(super) error: Option<ProtocolError>,
}

impl Connection {
    pub(super) fn new(limits: Limits, max_commands: usize, feed: Feed) -> Self {
        Self {
            decoder: Decoder::new(limits),
            batch: Batch::new(),
            input: Vec::new(),
            max_commands,
            feed,
            commands: Vec::new(),
            error: None,
        }
    }

    pub(super) fn input_len(&self) -> usize {
        self.input.len()
    }

    /// Bytes held for the client, wherever they are.
    pub(super) fn held(&self) -> usize {
        self.input.len() + self.decoder.room() + self.batch.room()
    }

    /// What happens when `bytes` arrive.
    pub(super) fn receive(&mut self, mut bytes: &[u8]) {
        if !matches!(self.feed, Feed::Input) {
            while let Some(mut large) = self.decoder.large()
                && !bytes.is_empty()
            {
                let taken = match self.feed {
                    Feed::Push => large.push(bytes),
                    _ => {
                        let mut buffer = large.buffer();
                        let taken = buffer.remaining_mut().min(bytes.len());
                        buffer.put_slice(&bytes[..taken]);
                        taken
                    }
                };
                assert!(taken > 0, "a buffer just given out has room");
                bytes = &bytes[taken..];
            }
        }
        self.input.extend_from_slice(bytes);
        while self.error.is_none() {
            let input = &self.input;
            match self.decoder.decode(input, &mut self.batch, self.max_commands) {
                Ok(decoded) => {
                    assert!(decoded.consumed + decoded.moved <= input.len());
                    assert!(self.batch.len() <= self.max_commands);
                    for index in 0..self.batch.len() {
                        // The consumed bytes alone must be enough.
                        let args = self.batch.args(index, &input[..decoded.consumed]);
                        self.commands.push(args.iter().map(<[u8]>::to_vec).collect());
                    }
                    self.batch.clear();
                    self.input.truncate(input.len() - decoded.moved);
                    self.input.drain(..decoded.consumed);
                    if !decoded.more {
                        break;
                    }
                }
                Err(error) => {
                    assert!(self.batch.is_empty());
                    self.error = Some(error);
                }
            }
        }
    }
}

/// Decodes a stream that arrives in one piece.
pub(super) fn decode_all(
    stream: &[u8],
    limits: Limits,
) -> (Vec<Vec<Vec<u8>>>, Option<ProtocolError>) {
    let mut connection = Connection::new(limits, usize::MAX, Feed::Buffer);
    connection.receive(stream);
    (connection.commands, connection.error)
}
