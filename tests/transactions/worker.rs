//! One client that runs random transactions and remembers what it saw.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::command::{Chooser, Command, Meaning, would_write};
use super::history::{Step, Transaction};
use super::link::{Arguments, Link, Reply, line};
use super::rooms::Rooms;
use super::shuffle::Shuffler;

/// Commands that are sent at once, in a burst.
const BURST: u64 = 40;

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

/// What a client leaves out, as if the server did: the judge has to find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// Keys are not watched.
    NoWatch,
    /// The commands of a block run one by one.
    TornBlocks,
    /// MGET and MSET are one command a key.
    TornCommands,
}

/// A client at work.
pub(crate) struct Worker<'s> {
    shared: &'s Shared,
    link: Link,
    client: usize,
    chooser: Chooser,
    pub(crate) sabotage: Option<Sabotage>,
    pub(crate) history: Vec<Transaction>,
    pub(crate) shuffler: Shuffler,
    pub(crate) rooms: Rooms,
}

impl<'s> Worker<'s> {
    pub(crate) fn new(address: SocketAddr, shared: &'s Shared, client: usize, seed: u64) -> Self {
        Worker {
            shared,
            link: Link::open(address),
            client,
            chooser: Chooser::new(client, seed),
            sabotage: None,
            history: Vec::new(),
            shuffler: Shuffler::default(),
            rooms: Rooms::default(),
        }
    }

    /// Runs so many transactions.
    pub(crate) fn work(&mut self, transactions: u64) {
        while (self.history.len() as u64) < transactions {
            match self.chooser.random.below(100) {
                0..26 => self.one_command(),
                26..30 => self.burst(),
                30..70 => self.block(),
                70..90 => self.watch(),
                // The judges of these stop at the first thing that is wrong.
                90.. if self.sabotage.is_some() => self.block(),
                90..98 => self.shuffle(),
                98 => self.count_twice(),
                _ => self.enter_rooms(),
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

    /// Many commands and short blocks, sent at once: the workers of the server are then busy at the
    /// same time, and meet within single commands.
    fn burst(&mut self) {
        let commands: Vec<_> = (0..BURST).map(|_| self.command()).collect();
        // Those that go into blocks of two, and those that do not.
        let blocks = if self.sabotage.is_none() { self.chooser.random.below(BURST / 2) } else { 0 };
        let (in_blocks, alone) = commands.split_at(2 * blocks as usize);
        let mut all: Vec<Arguments> = Vec::new();
        for pair in in_blocks.chunks(2) {
            all.push(line("MULTI"));
            all.extend(pair.iter().map(|command| command.arguments.clone()));
            all.push(line("EXEC"));
        }
        all.extend(alone.iter().map(|command| command.arguments.clone()));
        let began = self.shared.now();
        let mut replies = self.link.run_all(&all).into_iter();
        for pair in in_blocks.chunks(2) {
            let reply = replies.nth(3).expect("of EXEC");
            self.finish(began, Vec::new(), pair, reply);
        }
        for (command, reply) in alone.iter().zip(replies) {
            let mut steps = Vec::new();
            self.chooser.understand(&command.meaning, reply, &mut steps);
            self.note(began, true, steps);
        }
    }

    fn run_one(&mut self, command: &Command) {
        let began = self.shared.now();
        let reply = match self.sabotage {
            Some(Sabotage::TornCommands) => self.run_torn(&command.arguments),
            _ => self.link.run(&command.arguments),
        };
        let mut steps = Vec::new();
        self.chooser.understand(&command.meaning, reply, &mut steps);
        self.note(began, true, steps);
    }

    /// Runs MGET and MSET key by key, and what else there is as it is.
    fn run_torn(&mut self, arguments: &Arguments) -> Reply {
        let keys = &arguments[1..];
        let mut run = |command: &str, rest: &[String]| {
            let mut arguments = vec![command.to_owned()];
            arguments.extend_from_slice(rest);
            self.link.run(&arguments)
        };
        match arguments[0].as_str() {
            "MGET" => Reply::Many(keys.chunks(1).map(|key| run("GET", key)).collect()),
            "MSET" => keys.chunks(2).map(|pair| run("SET", pair)).last().expect("a pair"),
            command => run(command, keys),
        }
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
        if self.sabotage == Some(Sabotage::NoWatch) {
            watch = line("SELECT 0");
        }
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
        if self.sabotage == Some(Sabotage::TornBlocks) && end == [line("EXEC")] {
            let began = self.shared.now();
            let replies = commands.iter().map(|command| self.link.run(&command.arguments));
            return (began, Reply::Many(replies.collect()));
        }
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

    /// While many keys come and go elsewhere, a block sees the same number of keys twice.
    fn count_twice(&mut self) {
        let block = ["MULTI", "DBSIZE", "GET t:0", "RANDOMKEY", "DBSIZE", "EXEC"].map(line);
        let counts = self.link.run_all(&block).pop().expect("of EXEC").many();
        assert_eq!(counts[0], counts[3], "others were not kept out");
    }

    fn enter_rooms(&mut self) {
        let began = self.shared.now();
        let token = self.chooser.fresh();
        let step = self.rooms.step(&mut self.link, &mut self.chooser.random, token);
        self.note(began, true, vec![step]);
    }

    fn shuffle(&mut self) {
        let began = self.shared.now();
        let token = self.chooser.fresh();
        if let Some(step) = self.shuffler.step(&mut self.link, &mut self.chooser.random, token) {
            self.note(began, true, vec![step]);
        }
    }
}
