//! A connection that sends requests and counts whole replies.

use memchr::memchr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Bytes that are received at once, at most.
const RECEIVE_BYTES: usize = 64 * 1024;

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("a server at the port");
        stream.set_nodelay(true).expect("an option of the socket");
        Self { stream, received: Vec::with_capacity(RECEIVE_BYTES) }
    }

    /// Sends a request and waits for so many replies. An error among them ends the process: a
    /// figure of refusals is worth nothing.
    pub(crate) async fn ask(&mut self, request: &[u8], replies: usize) -> &[u8] {
        self.stream.write_all(request).await.expect("the server listens");
        self.received.clear();
        let (mut at, mut missing) = (0, replies);
        loop {
            while missing > 0
                && let Some(end) = end_of_reply(&self.received, at)
            {
                (at, missing) = (end, missing - 1);
            }
            if missing == 0 {
                assert_eq!(at, self.received.len(), "more replies than requests");
                return &self.received;
            }
            self.received.reserve(RECEIVE_BYTES);
            let got = self.stream.read_buf(&mut self.received).await.expect("the server answers");
            assert!(got > 0, "the server has closed the connection");
        }
    }
}

/// Where the reply that begins at `at` ends, if it is all there.
fn end_of_reply(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut missing = 1;
    while missing > 0 {
        let kind = *bytes.get(at)?;
        let line = at + 1..at + memchr(b'\n', &bytes[at..])? - 1;
        at = line.end + 2;
        missing -= 1;
        match kind {
            b'*' => missing += length(&bytes[line]).unwrap_or(0),
            b'$' => at += length(&bytes[line]).map_or(0, |length| length + 2),
            b'-' => panic!("the server says {}", String::from_utf8_lossy(&bytes[line])),
            _ => {}
        }
    }
    (at <= bytes.len()).then_some(at)
}

/// The length of a bulk string or an array; none of a null one.
fn length(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}
