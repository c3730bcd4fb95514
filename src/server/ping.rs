//! Asks a server whether it serves, for health checks that have no other client at hand.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::config::Address;
use crate::error::Error;

/// The longest reply that is looked at: an error is a line.
const REPLY_MAX_BYTES: usize = 1024;

/// What a server has answered to PING, without its line end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer(String);

impl Answer {
    /// The whole line but the mark of its type.
    pub fn text(&self) -> &str {
        self.0.get(1..).unwrap_or_default()
    }

    /// Whether it comes from a server that serves: one that wants a password first is well too.
    pub fn is_well(&self) -> bool {
        self.0 == "+PONG" || self.0.starts_with("-NOAUTH ")
    }
}

/// Sends PING to a server, after AUTH where there is a password. All of it takes at most `patience`
/// after the address has been looked up.
///
/// # Errors
/// When nobody answers: [`Error::Resolve`], [`Error::Ping`].
pub fn ping(address: &Address, password: &[u8], patience: Duration) -> Result<Answer, Error> {
    let socket = address.resolve()?;
    let failed = |source| Error::Ping { address: socket, source };
    let end = Instant::now() + patience;
    let stream = TcpStream::connect_timeout(&socket, patience).map_err(failed)?;
    converse(stream, password, end).map_err(failed)
}

fn converse(mut stream: TcpStream, password: &[u8], end: Instant) -> io::Result<Answer> {
    stream.set_write_timeout(Some(left(end)?))?;
    if !password.is_empty() {
        let header = format!("*2\r\n$4\r\nAUTH\r\n${}\r\n", password.len());
        stream.write_all(&[header.as_bytes(), password, b"\r\n"].concat())?;
        let answer = read_line(&mut stream, end)?;
        if answer.0 != "+OK" {
            return Ok(answer);
        }
    }
    stream.write_all(b"*1\r\n$4\r\nPING\r\n")?;
    read_line(&mut stream, end)
}

fn read_line(stream: &mut TcpStream, end: Instant) -> io::Result<Answer> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") && line.len() < REPLY_MAX_BYTES {
        stream.set_read_timeout(Some(left(end)?))?;
        let mut byte = [0];
        if stream.read(&mut byte)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.extend(byte);
    }
    Ok(Answer(String::from_utf8_lossy(&line).trim_end().to_owned()))
}

fn left(end: Instant) -> io::Result<Duration> {
    let left = end.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// What is made of a server that reads a line of a command and answers this.
    fn answered(reply: &'static [u8]) -> Result<Answer, Error> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        thread::scope(|scope| {
            scope.spawn(move || {
                let (mut stream, _) = listener.accept().expect("a client");
                let mut request = [0; 14];
                stream.read_exact(&mut request).expect("PING");
                stream.write_all(reply).expect("it listens");
            });
            ping(&address.parse().expect("an address"), b"", PATIENCE)
        })
    }

    #[test]
    fn a_server_that_serves_or_wants_a_password_is_well() {
        for reply in [&b"+PONG\r\n"[..], b"-NOAUTH Authentication required.\r\n"] {
            assert!(answered(reply).expect("an answer").is_well());
        }
    }

    #[test]
    fn a_server_that_loads_or_goes_away_is_not_well() {
        let loading = answered(b"-LOADING Redis is loading the dataset in memory\r\n");
        let loading = loading.expect("an answer");
        assert!(!loading.is_well());
        assert_eq!(loading.text(), "LOADING Redis is loading the dataset in memory");
        for reply in [&b""[..], b"+PO"] {
            let error = answered(reply).expect_err("no line");
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }
}
