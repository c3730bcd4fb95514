//! Whether a history is strictly serializable, as far as it tells.
//!
//! After Kingsbury and Alvaro, "Elle: Inferring Isolation Anomalies from Experimental Observations"
//! (VLDB 2020). Versions of a key are in a known order: a list tells the order of its elements, a
//! counter that of its sums, and who replaces a register is told what was there. From the order
//! follow the dependencies between transactions:
//!
//! * *ww*: one replaced the version that the other wrote;
//! * *wr*: one read the version that the other wrote;
//! * *rw*: one read a version that the other replaced;
//! * *time*: one had ended before the other began.
//!
//! If each transaction took place at one instant between its beginning and its end, then every
//! dependency points from an earlier one to a later one, so a cycle of them is proof that it was
//! not so. Besides cycles the checker finds what needs no graph: versions that nobody has
//! written, versions of transactions that did not happen or were not done, two writers of one
//! version, lists that contradict each other, and transactions that do not see their own writes.

use std::collections::HashMap;
use std::fmt::Write;

use super::graph::Graph;
use super::history::{ABSENT, Step, Transaction, Version};

/// Why one transaction comes before another one, with the key if there is one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Before {
    /// The other replaced what it wrote.
    Overwritten(u32),
    /// The other read what it wrote.
    Read(u32),
    /// The other replaced what it read.
    Replaced(u32),
    /// It had ended when the other began.
    Ended,
}

/// What is wrong with a history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Anomaly {
    /// A cycle of dependencies, each from, to, why.
    Cycle(Vec<(u32, u32, Before)>),
    /// A version was read that a transaction would have written which did not happen (G1a).
    AbortedRead { reader: u32, writer: u32, key: u32 },
    /// A version was read that its transaction replaced itself (G1b).
    IntermediateRead { reader: u32, writer: u32, key: u32 },
    /// A version was read that nobody wrote.
    Garbage { reader: u32, key: u32, version: Version },
    /// Two transactions wrote one version.
    WrittenTwice { first: u32, second: u32, key: u32, version: Version },
    /// A list was read that is no beginning of one that was read as well.
    Contradiction { reader: u32, other: u32, key: u32 },
    /// An element that was added is not in a list that was read later.
    Lost { writer: u32, reader: u32, key: u32, version: Version },
    /// A transaction did not see what it had done itself.
    Internal { transaction: u32, key: u32 },
}

/// The order of the elements of a list: the longest reading of it, and whose.
struct Order<'h> {
    elements: &'h [Version],
    reader: u32,
}

/// What is known of the writer of a version.
struct Writer {
    transaction: u32,
    /// Whether the transaction wrote no later version of the key.
    is_last: bool,
}

struct Checker<'h> {
    history: &'h [Transaction],
    orders: HashMap<u32, Order<'h>>,
    writers: HashMap<(u32, Version), Writer>,
    /// Key, version and who read it, or replaced it and was told so.
    reads: Vec<(u32, Version, u32)>,
    /// Key, version and who replaced it.
    replaced: Vec<(u32, Version, u32)>,
    anomalies: Vec<Anomaly>,
}

/// What is wrong with a history; nothing, if it may be strictly serializable.
pub(crate) fn check(history: &[Transaction]) -> Vec<Anomaly> {
    let mut checker = Checker {
        history,
        orders: HashMap::new(),
        writers: HashMap::new(),
        reads: Vec::new(),
        replaced: Vec::new(),
        anomalies: Vec::new(),
    };
    checker.find_orders();
    checker.find_writers();
    for (number, _) in checker.committed() {
        checker.look_into(number);
    }
    checker.find_lost();
    checker.judge_reads();
    let mut edges = checker.dependencies();
    let mut cycles = Graph::new(history.len(), edges.clone()).cycles();
    if cycles.is_empty() {
        // Only then: a cycle without regard to the time says more.
        checker.add_time(&mut edges);
        cycles = Graph::new(history.len(), edges).cycles();
    }
    checker.anomalies.extend(cycles.into_iter().map(Anomaly::Cycle));
    checker.anomalies
}

impl<'h> Checker<'h> {
    fn committed(&self) -> impl Iterator<Item = (u32, &'h Transaction)> + use<'h> {
        let numbered = self.history.iter().enumerate();
        numbered.filter(|(_, one)| one.is_committed).map(|(number, one)| (number as u32, one))
    }

    /// Takes the longest reading of each list for its order, and compares all others with it.
    fn find_orders(&mut self) {
        let mut lists = Vec::new();
        for (reader, transaction) in self.committed() {
            for step in &transaction.steps {
                if let Step::List { key, elements } = step {
                    lists.push((*key, Order { elements, reader }));
                }
            }
        }
        for (key, list) in &lists {
            let longest =
                self.orders.get(key).is_none_or(|o| o.elements.len() < list.elements.len());
            if longest {
                let Order { elements, reader } = *list;
                self.orders.insert(*key, Order { elements, reader });
            }
        }
        for (key, list) in &lists {
            let order = &self.orders[key];
            if !order.elements.starts_with(list.elements) {
                let (reader, other) = (list.reader, order.reader);
                self.anomalies.push(Anomaly::Contradiction { reader, other, key: *key });
            }
        }
    }

    fn find_writers(&mut self) {
        for (number, transaction) in self.history.iter().enumerate() {
            let mut last = HashMap::new();
            for step in &transaction.steps {
                let (key, version) = match *step {
                    Step::Append { key, element } => (key, element),
                    // Absence has no writer that could be known by it.
                    Step::Write { version: ABSENT, .. } => continue,
                    Step::Write { key, version, .. } => (key, version),
                    _ => continue,
                };
                let writer = Writer { transaction: number as u32, is_last: true };
                let before = self.writers.insert((key, version), writer);
                if let Some(Writer { transaction: first, .. }) = before {
                    let second = number as u32;
                    self.anomalies.push(Anomaly::WrittenTwice { first, second, key, version });
                }
                if let Some(earlier) = last.insert(key, version)
                    && let Some(writer) = self.writers.get_mut(&(key, earlier))
                {
                    writer.is_last = false;
                }
            }
        }
        for (key, order) in &self.orders {
            for (place, element) in order.elements.iter().enumerate() {
                let after = place.checked_sub(1).map_or(ABSENT, |place| order.elements[place]);
                if let Some(writer) = self.writers.get(&(*key, *element)) {
                    self.replaced.push((*key, after, writer.transaction));
                }
            }
        }
    }

    /// Notes what a transaction read of others and replaced, and whether it saw its own writes.
    fn look_into(&mut self, number: u32) {
        let mut own: HashMap<u32, Version> = HashMap::new();
        let mut appended: HashMap<u32, Vec<Version>> = HashMap::new();
        for step in &self.history[number as usize].steps {
            let (key, is_right) = match step {
                Step::Read { key, version } => match own.get(key) {
                    Some(written) => (*key, version == written),
                    None => {
                        self.reads.push((*key, *version, number));
                        (*key, true)
                    }
                },
                Step::List { key, elements } => {
                    let added = appended.get(key).map_or(&[][..], Vec::as_slice);
                    let before = elements.strip_suffix(added);
                    if let Some(before) = before {
                        let version = before.last().copied().unwrap_or(ABSENT);
                        self.reads.push((*key, version, number));
                    }
                    (*key, before.is_some())
                }
                Step::Append { key, element } => {
                    appended.entry(*key).or_default().push(*element);
                    (*key, true)
                }
                Step::Write { key, version, after, is_told } => {
                    let before = own.insert(*key, *version);
                    if before.is_none() {
                        self.replaced.push((*key, *after, number));
                        if *is_told {
                            self.reads.push((*key, *after, number));
                        }
                    }
                    (*key, before.is_none_or(|before| before == *after))
                }
            };
            if !is_right {
                self.anomalies.push(Anomaly::Internal { transaction: number, key });
            }
        }
    }

    /// Compares each list with what had been added before it was read for the last time.
    fn find_lost(&mut self) {
        let mut latest: HashMap<u32, (u64, u32, &[Version])> = HashMap::new();
        for (reader, transaction) in self.committed() {
            for step in &transaction.steps {
                if let Step::List { key, elements } = step {
                    let entry = latest.entry(*key).or_insert((0, reader, &[]));
                    if transaction.began >= entry.0 {
                        *entry = (transaction.began, reader, elements);
                    }
                }
            }
        }
        let mut sets: HashMap<u32, std::collections::HashSet<Version>> = HashMap::new();
        for (writer, transaction) in self.committed() {
            for step in &transaction.steps {
                let Step::Append { key, element } = *step else { continue };
                let Some((began, reader, elements)) = latest.get(&key) else { continue };
                let there = sets.entry(key).or_insert_with(|| elements.iter().copied().collect());
                if transaction.ended < *began && !there.contains(&element) {
                    let (reader, version) = (*reader, element);
                    self.anomalies.push(Anomaly::Lost { writer, reader, key, version });
                }
            }
        }
    }

    /// Looks whether what was read was written, and by whom.
    fn judge_reads(&mut self) {
        for (key, version, reader) in &self.reads {
            let (key, version, reader) = (*key, *version, *reader);
            if version == ABSENT {
                continue;
            }
            let Some(writer) = self.writers.get(&(key, version)) else {
                self.anomalies.push(Anomaly::Garbage { reader, key, version });
                continue;
            };
            let (is_last, writer) = (writer.is_last, writer.transaction);
            if !self.history[writer as usize].is_committed {
                self.anomalies.push(Anomaly::AbortedRead { reader, writer, key });
            } else if !is_last && writer != reader {
                self.anomalies.push(Anomaly::IntermediateRead { reader, writer, key });
            }
        }
    }

    fn dependencies(&mut self) -> Vec<(u32, u32, Before)> {
        let mut edges = Vec::new();
        let mut add = |from: u32, to: u32, why| {
            if from != to {
                edges.push((from, to, why));
            }
        };
        self.replaced.sort_unstable();
        for (key, version, writer) in &self.replaced {
            if let Some(before) = self.writers.get(&(*key, *version)) {
                add(before.transaction, *writer, Before::Overwritten(*key));
            }
        }
        for (key, version, reader) in &self.reads {
            if let Some(writer) = self.writers.get(&(*key, *version)) {
                add(writer.transaction, *reader, Before::Read(*key));
            }
            let from = self.replaced.partition_point(|other| (other.0, other.1) < (*key, *version));
            let others = self.replaced[from..].iter();
            for (.., writer) in others.take_while(|other| (other.0, other.1) == (*key, *version)) {
                add(*reader, *writer, Before::Replaced(*key));
            }
        }
        edges
    }

    /// Adds an edge from each transaction to those that began after its end, but for those that
    /// follow by way of others.
    fn add_time(&self, edges: &mut Vec<(u32, u32, Before)>) {
        let by = |time: fn(&Transaction) -> u64| {
            let mut numbers: Vec<u32> = self.committed().map(|(number, _)| number).collect();
            numbers.sort_by_key(|number| time(&self.history[*number as usize]));
            numbers
        };
        let mut ended = by(|transaction| transaction.ended).into_iter().peekable();
        // Those that have ended, without those that had ended before one of them began.
        let mut latest: Vec<u32> = Vec::new();
        for number in by(|transaction| transaction.began) {
            let began = self.history[number as usize].began;
            while let Some(other) =
                ended.next_if(|other| self.history[*other as usize].ended < began)
            {
                let other_began = self.history[other as usize].began;
                latest.retain(|earlier| self.history[*earlier as usize].ended >= other_began);
                latest.push(other);
            }
            edges.extend(latest.iter().map(|earlier| (*earlier, number, Before::Ended)));
        }
    }
}

/// What a cycle is called where such cycles have names.
pub(crate) fn name_of(cycle: &[(u32, u32, Before)]) -> &'static str {
    let count = |is: fn(&Before) -> bool| cycle.iter().filter(|(.., why)| is(why)).count();
    let replaced = count(|why| matches!(why, Before::Replaced(_)));
    let read = count(|why| matches!(why, Before::Read(_)));
    match (count(|why| *why == Before::Ended), replaced, read) {
        (1.., _, _) => "against the order of time",
        (0, 0, 0) => "G0, dirty write",
        (0, 0, _) => "G1c, circular reading",
        (0, 1, _) => "G-single, read skew or lost update",
        (0, _, _) => "G2, write skew",
    }
}

/// Tells an anomaly, with the transactions that have part in it.
pub(crate) fn tell(history: &[Transaction], anomaly: &Anomaly) -> String {
    let mut text = String::new();
    let mut show = |number: u32| {
        let Transaction { client, began, ended, is_committed, steps } = &history[number as usize];
        let end = if *is_committed { "committed" } else { "did not happen" };
        writeln!(text, "  T{number}: client {client}, {began} to {ended} ns, {end}: {steps:?}")
            .expect("a string takes all");
    };
    let what = match anomaly {
        Anomaly::Cycle(edges) => {
            edges.iter().take(20).for_each(|(from, ..)| show(*from));
            let name = name_of(edges);
            let edges =
                edges.iter().take(20).map(|(from, to, why)| format!("T{from} {why:?} T{to}"));
            format!("a cycle ({name}): {}", edges.collect::<Vec<_>>().join(", "))
        }
        Anomaly::AbortedRead { reader: first, writer: second, .. }
        | Anomaly::IntermediateRead { reader: first, writer: second, .. }
        | Anomaly::Contradiction { reader: first, other: second, .. }
        | Anomaly::Lost { writer: first, reader: second, .. }
        | Anomaly::WrittenTwice { first, second, .. } => {
            show(*first);
            show(*second);
            format!("{anomaly:?}")
        }
        Anomaly::Garbage { reader: number, .. } | Anomaly::Internal { transaction: number, .. } => {
            show(*number);
            format!("{anomaly:?}")
        }
    };
    format!("{what}\n{text}")
}
