//! A slow parser of logs, to compare the reader with: byte by byte over the whole file, without
//! chunks, a batch or look-ahead.

use super::super::{End, Place, Reason, Torn, TornPart};
use super::{Outcome, Wrong, known};

/// Why there is no further item.
#[derive(Clone, Copy, Debug)]
enum Stop {
    End,
    Fault(usize, Reason),
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
}

enum Item {
    Annotation,
    Command(Vec<Vec<u8>>),
}

impl Parser<'_> {
    fn byte(&mut self) -> Result<u8, Stop> {
        let byte = *self.bytes.get(self.at).ok_or(Stop::End)?;
        self.at += 1;
        Ok(byte)
    }

    /// The byte just read was wrong.
    fn wrong<T>(&self, reason: Reason) -> Result<T, Stop> {
        Err(Stop::Fault(self.at - 1, reason))
    }

    fn must(&mut self, expected: &[u8], reason: Reason) -> Result<(), Stop> {
        for &wanted in expected {
            if self.byte()? != wanted {
                return self.wrong(reason);
            }
        }
        Ok(())
    }

    fn number(&mut self, least: u64, most: u64, reason: Reason) -> Result<u64, Stop> {
        let mut text = String::new();
        loop {
            let byte = self.byte()?;
            if byte == b'\r' && !text.is_empty() {
                self.must(b"\n", reason)?;
                return Ok(text.parse().expect("digits"));
            }
            if !byte.is_ascii_digit() {
                return self.wrong(reason);
            }
            text.push(char::from(byte));
            let value: u64 = text.parse().expect("digits");
            let is_canonical = text == value.to_string();
            if !is_canonical || value < least || value > most {
                return self.wrong(reason);
            }
        }
    }

    fn item(&mut self) -> Result<Item, Stop> {
        match self.byte()? {
            b'#' => {
                for _ in 1..1024 {
                    match self.byte()? {
                        b'\n' => return Ok(Item::Annotation),
                        0 => return self.wrong(Reason::Annotation),
                        _ => {}
                    }
                }
                self.wrong(Reason::Annotation)
            }
            b'*' => {
                let count = self.number(1, 1 << 20, Reason::Count)?;
                let mut args = Vec::new();
                for _ in 0..count {
                    self.must(b"$", Reason::NotAnArgument)?;
                    let length = self.number(0, 1 << 29, Reason::Length)?;
                    let arg: Result<Vec<u8>, Stop> = (0..length).map(|_| self.byte()).collect();
                    args.push(arg?);
                    self.must(b"\r\n", Reason::ArgumentEnd)?;
                }
                Ok(Item::Command(args))
            }
            _ => self.wrong(Reason::NotACommand),
        }
    }
}

fn is(args: &[Vec<u8>], name: &str) -> bool {
    args[0].eq_ignore_ascii_case(name.as_bytes())
}

/// What is to be said of a file with these bytes.
pub(super) fn outcome(bytes: &[u8]) -> Outcome {
    let mut parser = Parser { bytes, at: 0 };
    let mut commands = Vec::new();
    let mut number = 0;
    let mut blocks = 0;
    // Where a block began, and its commands.
    let mut block: Option<(usize, Vec<_>)> = None;
    let (start, stop) = loop {
        let start = parser.at;
        let args = match parser.item() {
            Ok(Item::Annotation) => continue,
            Ok(Item::Command(args)) => args,
            Err(stop) => break (start, stop),
        };
        let is_limit = is(&args, "multi") || is(&args, "exec");
        if is_limit && args.len() > 1 {
            break (start, Stop::Fault(start, Reason::BlockArguments));
        } else if is(&args, "multi") {
            if block.is_some() {
                break (start, Stop::Fault(start, Reason::NestedMulti));
            }
            block = Some((start, Vec::new()));
        } else if is(&args, "exec") {
            let Some((_, inside)) = block.take() else {
                break (start, Stop::Fault(start, Reason::ExecWithoutMulti));
            };
            commands.extend(inside);
            blocks += 1;
        } else if !known(&args[0]) {
            break (start, Stop::Fault(start, Reason::UnknownCommand));
        } else {
            let place = Place { offset: start as u64, command: number + 1 };
            match &mut block {
                Some((_, inside)) => inside.push((place, args)),
                None => commands.push((place, args)),
            }
        }
        number += 1;
    };
    let valid = block.as_ref().map_or(start, |(start, _)| *start);
    let end = judge(bytes, start, valid, stop, block.map(|(_, inside)| inside.len()));
    let end = end.map_err(|(at, reason)| Wrong {
        offset: at as u64,
        command: number + 1,
        valid: valid as u64,
        reason,
    });
    Outcome { commands, blocks, end }
}

fn judge(
    bytes: &[u8],
    start: usize,
    valid: usize,
    stop: Stop,
    in_block: Option<usize>,
) -> Result<End, (usize, Reason)> {
    let torn = |part| {
        Ok(End::Torn(Torn { offset: valid as u64, bytes: (bytes.len() - valid) as u64, part }))
    };
    match stop {
        Stop::Fault(at, _) if bytes[at..].iter().all(|&byte| byte == 0) => torn(TornPart::Zeros),
        Stop::Fault(at, reason) => Err((at, reason)),
        Stop::End if holds_command(&bytes[start..]) => Err((start, Reason::HoldsCommands)),
        Stop::End => match in_block {
            Some(commands) => torn(TornPart::Block { commands: commands as u64 }),
            None if start == bytes.len() => Ok(End::Clean),
            None => torn(TornPart::Command),
        },
    }
}

fn holds_command(unfinished: &[u8]) -> bool {
    (0..unfinished.len()).any(|at| {
        let rest = &unfinished[at..];
        let starts = at >= 2 && &unfinished[at - 2..at] == b"\r\n" && rest[0] == b'*';
        starts
            && match (Parser { bytes: rest, at: 0 }).item() {
                Ok(Item::Command(args)) => {
                    let is_limit = is(&args, "multi") || is(&args, "exec");
                    (is_limit && args.len() == 1) || known(&args[0])
                }
                _ => false,
            }
    })
}
