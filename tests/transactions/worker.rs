//! One client that runs random transactions and remembers what it saw.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::command::{Chooser, Command, Meaning, would_write};
use super::history::{Step, Transaction};
use super::link::{Arguments, Link, Reply, line};
use super::shuffle::Shuffler;

/// What the clients of one run share.
pub(crate) struct Shared {
    started: Instant,
    /// Commands chosen so far, by all: what the keys of the lists depend on.
    time: AtomicU64,
}

impl Shared {
    pub(crate) fn new() -> Shared {
        Shared { started: Instant::now(), time: AtomicU64::new(0) }
    }

    /// Nanoseconds since the start. Never 0, which is before everything.
    pub(crate) fn now(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64 + 1
    }
}

/// A client at work.
pub(crate) struct Worker<'s> {
    shared: &'s Shared,
    link: Link,
    client: usize,
    chooser: Chooser,
    pub(crate) history: Vec<Transaction>,
    pub(crate) shuffler: Shuffler,
}

impl<'s> Worker<'s> {
    pub(crate) fn new(address: SocketAddr, shared: &'s Shared, client: usize, seed: u64) -> Self {
        Worker {
            shared,
            link: Link::open(address),
            client,
            chooser: Chooser::new(client, seed),
            history: Vec::new(),
            shuffler: Shuffler::default(),
        }
    }

    /// Runs so many transactions.
    pub(crate) fn work(&mut self, transactions: u64) {
        while (self.history.len() as u64) < transactions {
            match self.chooser.random.below(10) {
                0..3 => self.one_command(),
                3..7 => self.block(),
                7..9 => self.watch(),
                _ => self.shuffle(),
            }
        }
    }

    /// Reads these keys, as the last transaction of all.
    pub(crate) fn read_all(&mut self, keys: Vec<u32>) {
        for keys in keys.chunks(1_000) {
            self.run_one(&Command::get_all(keys.to_vec()));
        }
    }

    fn command(&mut self) -> Command {
        // Relaxed: about the same for all is enough.
        let time = self.shared.time.fetch_add(1, Ordering::Relaxed);
        self.chooser.command(time)
    }

    fn note(&mut self, began: u64, is_committed: bool, steps: Vec<Step>) {
        let (client, ended) = (self.client, self.shared.now());
        self.history.push(Transaction { client, began, ended, is_committed, steps });
    }

    fn one_command(&mut self) {
        let command = self.command();
        self.run_one(&command);
    }

    fn run_one(&mut self, command: &Command) {
        let began = self.shared.now();
        let reply = self.link.run(&command.arguments);
        let mut steps = Vec::new();
        self.chooser.understand(&command.meaning, reply, &mut steps);
        self.note(began, true, steps);
    }

    /// MULTI, commands, EXEC; now and then DISCARD, or a command that makes EXEC refuse.
    fn block(&mut self) {
        let commands: Vec<_> =
            (0..1 + self.chooser.random.below(5)).map(|_| self.command()).collect();
        match self.chooser.random.below(20) {
            0 => {
                let replies = self.send(&commands, &[line("DISCARD")]);
                assert!(replies.1.is_ok(), "{replies:?}");
                self.note_nothing(replies.0, &commands);
            }
            1 => {
                let replies = self.send(&commands, &[line("NO-SUCH-COMMAND"), line("EXEC")]);
                let is_refused =
                    matches!(&replies.1, Reply::Line(text) if text.starts_with("-EXECABORT"));
                assert!(is_refused, "{replies:?}");
                self.note_nothing(replies.0, &commands);
            }
            _ => {
                let (began, reply) = self.send(&commands, &[line("EXEC")]);
                self.finish(began, Vec::new(), &commands, reply);
            }
        }
    }

    /// WATCH some keys, read them, MULTI, commands, EXEC. Mostly it replaces what it has read.
    fn watch(&mut self) {
        let mut keys = match self.chooser.random.below(3) {
            0 => self.chooser.some_keys(self.shared.time.load(Ordering::Relaxed)),
            _ => Vec::new(),
        };
        let register = self.chooser.register();
        keys.push(register);
        keys.sort_unstable();
        keys.dedup();
        let read = Command::get_all(keys.clone());
        let mut watch = read.arguments.clone();
        watch[0] = "WATCH".to_owned();
        let replies = match self.chooser.random.below(2) {
            0 => self.link.run_all(&[watch, read.arguments.clone()]).remove(1),
            _ => {
                assert!(self.link.run(&watch).is_ok());
                self.link.run(&read.arguments)
            }
        };
        let mut steps = Vec::new();
        self.chooser.understand(&read.meaning, replies, &mut steps);
        let mut commands = Vec::new();
        if self.chooser.random.below(4) > 0 {
            let found = steps.iter().find_map(|step| match step {
                Step::Read { key, version } if *key == register => Some(*version),
                _ => None,
            });
            self.chooser.expect(register, found.expect("it was read"));
            commands.push(Command::set(register, self.chooser.fresh()));
        }
        commands.extend((0..self.chooser.random.below(3)).map(|_| self.command()));
        if self.chooser.random.below(30) == 0 {
            // And then does nothing with it.
            assert!(self.link.ask("UNWATCH").is_ok());
            return;
        }
        let (began, reply) = self.send(&commands, &[line("EXEC")]);
        self.finish(began, steps, &commands, reply);
    }

    /// Sends a block that ends with these commands, in one piece or each command by itself. Returns
    /// when it sent the last one, and the reply to that.
    fn send(&mut self, commands: &[Command], end: &[Arguments]) -> (u64, Reply) {
        let mut all = vec![line("MULTI")];
        all.extend(commands.iter().map(|command| command.arguments.clone()));
        all.extend_from_slice(end);
        let mut began = self.shared.now();
        let mut replies = match self.chooser.random.below(2) {
            0 => self.link.run_all(&all),
            _ => {
                let run = |command| {
                    began = self.shared.now();
                    self.link.run(command)
                };
                all.iter().map(run).collect()
            }
        };
        let queued = Reply::Line("+QUEUED".to_owned());
        assert!(replies[0].is_ok(), "{replies:?}");
        let all_queued = replies[1..=commands.len()].iter().all(|reply| *reply == queued);
        assert!(all_queued, "{commands:?} {replies:?}");
        (began, replies.pop().expect("of the last command"))
    }

    fn finish(&mut self, began: u64, before: Vec<Step>, commands: &[Command], reply: Reply) {
        if reply == Reply::Nil {
            return self.note_nothing(began, commands);
        }
        let replies = reply.many();
        assert_eq!(replies.len(), commands.len());
        let mut steps = before;
        for (command, reply) in commands.iter().zip(replies) {
            self.chooser.understand(&command.meaning, reply, &mut steps);
        }
        self.note(began, true, steps);
    }

    /// Notes a block that has not happened.
    fn note_nothing(&mut self, began: u64, commands: &[Command]) {
        let meanings = commands.iter().map(|command| &command.meaning);
        let steps = meanings.flat_map(|meaning: &Meaning| would_write(meaning)).collect();
        self.note(began, false, steps);
    }

    fn shuffle(&mut self) {
        let began = self.shared.now();
        let token = self.chooser.fresh();
        if let Some(step) = self.shuffler.step(&mut self.link, &mut self.chooser.random, token) {
            self.note(began, true, vec![step]);
        }
    }
}
