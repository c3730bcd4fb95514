//! A connection whose replies are understood.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::harness::{PATIENCE, encode};

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// A status or an error, with its first byte.
    Line(String),
    Number(i64),
    Text(String),
    Nil,
    Many(Vec<Reply>),
}

impl Reply {
    pub(crate) fn is_ok(&self) -> bool {
        matches!(self, Reply::Line(text) if text == "+OK")
    }

    pub(crate) fn is_error(&self) -> bool {
        matches!(self, Reply::Line(text) if text.starts_with('-'))
    }

    pub(crate) fn number(&self) -> i64 {
        match self {
            Reply::Number(number) => *number,
            other => panic!("not a number: {other:?}"),
        }
    }

    /// The text, or none if it is nil.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Reply::Text(text) => Some(text),
            Reply::Nil => None,
            other => panic!("not a value: {other:?}"),
        }
    }

    /// The number that the text is; 0 if it is nil.
    pub(crate) fn value(&self) -> i64 {
        self.text().map_or(0, |text| text.parse().unwrap_or_else(|_| panic!("value {text}")))
    }

    pub(crate) fn many(self) -> Vec<Reply> {
        match self {
            Reply::Many(replies) => replies,
            other => panic!("not an array: {other:?}"),
        }
    }
}

/// A command: its arguments.
pub(crate) type Arguments = Vec<String>;

/// A command of these arguments, apart by spaces.
pub(crate) fn line(text: &str) -> Arguments {
    text.split(' ').map(str::to_owned).collect()
}

/// One connection.
pub(crate) struct Link {
    writer: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Link {
    pub(crate) fn open(address: SocketAddr) -> Link {
        Link::try_open(address).expect("the server accepts")
    }

    /// To a server that may be gone.
    pub(crate) fn try_open(address: SocketAddr) -> Option<Link> {
        let writer = TcpStream::connect(address).ok()?;
        writer.set_nodelay(true).ok()?;
        writer.set_read_timeout(Some(PATIENCE)).ok()?;
        let reader = BufReader::new(writer.try_clone().ok()?);
        Some(Link { writer, reader })
    }

    /// Runs one command, its arguments apart by spaces.
    pub(crate) fn ask(&mut self, command: &str) -> Reply {
        self.run(&line(command))
    }

    /// Runs one command.
    pub(crate) fn run(&mut self, command: &Arguments) -> Reply {
        self.try_run(std::slice::from_ref(command)).expect("a reply").remove(0)
    }

    /// Runs several commands that are sent at once.
    pub(crate) fn run_all(&mut self, commands: &[Arguments]) -> Vec<Reply> {
        self.try_run(commands).expect("replies")
    }

    /// The same with a server that may be killed meanwhile: none if it is.
    pub(crate) fn try_run(&mut self, commands: &[Arguments]) -> Option<Vec<Reply>> {
        let requests: Vec<u8> = commands.iter().flat_map(|command| encode(command)).collect();
        self.writer.write_all(&requests).ok()?;
        commands.iter().map(|_| self.reply()).collect()
    }

    fn reply(&mut self) -> Option<Reply> {
        let mut line = String::new();
        self.reader.read_line(&mut line).ok()?;
        let line = line.strip_suffix("\r\n")?;
        let (kind, rest) = line.split_at(1);
        let count = || rest.parse::<i64>().expect("a number");
        Some(match kind {
            "+" | "-" => Reply::Line(line.to_owned()),
            ":" => Reply::Number(count()),
            "$" | "*" if count() < 0 => Reply::Nil,
            "$" => {
                let mut value = vec![0; count() as usize + 2];
                self.reader.read_exact(&mut value).ok()?;
                value.truncate(count() as usize);
                Reply::Text(String::from_utf8(value).expect("text"))
            }
            "*" => Reply::Many((0..count()).map(|_| self.reply()).collect::<Option<_>>()?),
            _ => panic!("no reply begins with '{line}'"),
        })
    }
}
