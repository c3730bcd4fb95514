//! A client that sees every byte.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use super::{PATIENCE, show};

/// A command as an array of bulk strings.
pub(crate) fn encode<A: AsRef<[u8]>>(arguments: &[A]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        let argument = argument.as_ref();
        bytes.extend(format!("${}\r\n", argument.len()).bytes());
        bytes.extend_from_slice(argument);
        bytes.extend(b"\r\n");
    }
    bytes
}

/// One connection. Every read fails after [`PATIENCE`].
pub(crate) struct Client {
    stream: TcpStream,
    received: Vec<u8>,
    /// How much of `received` has been taken.
    taken: usize,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).expect("the server accepts");
        stream.set_nodelay(true).expect("an option");
        stream.set_read_timeout(Some(PATIENCE)).expect("an option");
        stream.set_write_timeout(Some(PATIENCE)).expect("an option");
        Client { stream, received: Vec::new(), taken: 0 }
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).expect("the server receives");
    }

    /// Sends bytes to a server that may have closed.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends bytes on a thread of its own while `read` receives the replies: a server does not
    /// receive from a client that does not read.
    pub(crate) fn send_while<T>(&mut self, bytes: &[u8], read: impl FnOnce(&mut Client) -> T) -> T {
        let mut stream = self.stream.try_clone().expect("a connection");
        std::thread::scope(|scope| {
            let sender = scope.spawn(move || stream.write_all(bytes));
            let result = read(self);
            sender.join().expect("no panic").expect("the server receives");
            result
        })
    }

    /// Sends one command of these arguments; returns its reply as it came.
    pub(crate) fn call<A: AsRef<[u8]>>(&mut self, arguments: &[A]) -> Vec<u8> {
        self.send(&encode(arguments));
        self.reply()
    }

    /// Stores a value under a key.
    pub(crate) fn set(&mut self, key: &str, value: &[u8]) {
        assert_eq!(self.call(&[b"SET", key.as_bytes(), value]), b"+OK\r\n");
    }

    /// Sends one command, its arguments apart by spaces; returns its reply as text.
    pub(crate) fn ask(&mut self, command: &str) -> String {
        let arguments: Vec<_> = command.split(' ').collect();
        String::from_utf8(self.call(&arguments)).expect("a reply of text")
    }

    /// Sends one command, its arguments apart by spaces; returns its reply as it came.
    pub(crate) fn ask_bytes(&mut self, command: &str) -> Vec<u8> {
        let arguments: Vec<_> = command.split(' ').collect();
        self.call(&arguments)
    }

    /// Receives one whole reply, with all that is nested in it, as it came.
    pub(crate) fn reply(&mut self) -> Vec<u8> {
        self.release();
        let mut end = self.taken;
        let mut values_left = 1_usize;
        while values_left > 0 {
            values_left -= 1;
            let line_end = self.find_line_end(end);
            let (kind, text) = (self.received[end], &self.received[end + 1..line_end]);
            let count = |text| std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
            end = line_end + 2;
            match kind {
                b'$' | b'=' => {
                    let length: i64 = count(text).expect("the length of a bulk string");
                    if let Ok(length) = usize::try_from(length) {
                        end += length + 2;
                        self.receive_up_to(end);
                        assert_eq!(&self.received[end - 2..end], b"\r\n", "a bulk's end");
                    }
                }
                b'*' | b'~' | b'>' | b'%' => {
                    let length: i64 = count(text).expect("the length of an aggregate");
                    let factor = if kind == b'%' { 2 } else { 1 };
                    values_left += factor * usize::try_from(length).unwrap_or(0);
                }
                b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(' => {}
                _ => panic!("no reply begins with '{}'", char::from(kind)),
            }
        }
        self.take_up_to(end)
    }

    /// Receives exactly as many bytes as expected and compares them.
    pub(crate) fn expect(&mut self, expected: &[u8]) {
        self.release();
        let end = self.taken + expected.len();
        self.receive_up_to(end);
        let received = self.take_up_to(end);
        // No assert_eq!: a difference in 100 MiB is not to be printed whole.
        if received != expected {
            let at = received.iter().zip(expected).take_while(|(a, b)| a == b).count();
            panic!(
                "at byte {at}: received '{}', expected '{}'",
                show(&received[at..]),
                show(&expected[at..])
            );
        }
    }

    /// Receives until the server closes.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = self.received.split_off(self.taken);
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => {}
            // A server that closes before it has read everything resets the connection.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            Err(error) => panic!("the server does not close: {error}"),
        }
        rest
    }

    /// Tells the server that nothing more comes, if it still listens.
    pub(crate) fn finish_sending(&self) {
        // Fails only when the server has closed already.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    fn take_up_to(&mut self, end: usize) -> Vec<u8> {
        let taken = self.received[self.taken..end].to_vec();
        self.taken = end;
        taken
    }

    /// Drops what is taken once it is the larger part, so that a long row of short replies costs
    /// no more than its length.
    fn release(&mut self) {
        if self.taken > self.received.len() / 2 {
            self.received.drain(..self.taken);
            self.taken = 0;
        }
    }

    fn find_line_end(&mut self, start: usize) -> usize {
        let mut looked = start;
        loop {
            let found = self.received[looked..].windows(2).position(|pair| pair == b"\r\n");
            if let Some(place) = found {
                return looked + place;
            }
            looked = start.max(self.received.len().saturating_sub(1));
            self.receive();
        }
    }

    fn receive_up_to(&mut self, end: usize) {
        while self.received.len() < end {
            self.receive();
        }
    }

    fn pending(&self) -> String {
        show(&self.received[self.taken..])
    }

    fn receive(&mut self) {
        let mut buffer = [0; 64 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => panic!("the server closed after '{}'", self.pending()),
            Ok(count) => self.received.extend_from_slice(&buffer[..count]),
            // A signal that is no concern of the test's: it reads again.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => panic!("no reply: {error}; so far '{}'", self.pending()),
        }
    }
}
