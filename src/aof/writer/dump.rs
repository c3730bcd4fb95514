//! Commands that make keys as they are, for a log that is written anew.

use super::pending::Output;
use super::translate::Translator;
use crate::store::{Effect, Value};
use std::fs::File;
use std::io::{self, Write};

/// Commands on their way into a file.
pub struct Dump {
    translator: Translator,
    output: Output,
    /// The place up to which the output is written.
    written: u64,
}

impl Default for Dump {
    fn default() -> Self {
        Self { translator: Translator::for_dump(), output: Output::new(0), written: 0 }
    }
}

impl Dump {
    /// Adds a key of a database. A large value is not copied.
    pub fn add(&mut self, database: u64, key: &[u8], value: Value<'_>, deadline: Option<u64>) {
        let (mut digits, shared);
        let (bytes, shared) = match value {
            Value::Integer(number) => {
                digits = itoa::Buffer::new();
                (digits.format(number).as_bytes(), None)
            }
            Value::Bytes(bytes) => (bytes, None),
            Value::Large(large) => {
                shared = large.to_bytes();
                (&shared[..], Some(&shared))
            }
        };
        let effect = Effect::Set(bytes, deadline);
        self.translator.write_key(database, key, effect, shared, &mut self.output);
        self.output.command_ended();
    }

    /// Bytes that are not yet written.
    pub fn bytes(&self) -> usize {
        (self.output.end() - self.written) as usize
    }

    /// Writes them.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn write_to(&mut self, file: &mut File) -> io::Result<()> {
        loop {
            let (bytes, _) = self.output.from(self.written);
            if bytes.is_empty() {
                break;
            }
            file.write_all(bytes)?;
            self.written += bytes.len() as u64;
        }
        self.output.forget(self.written);
        Ok(())
    }
}
