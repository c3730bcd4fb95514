//! From a difference to the few steps that lead to it.

use std::fmt::Write;
use std::net::TcpStream;

use super::grammar::Step;
use super::harness::show;
use super::pair::{Addresses, Difference, Pair};

/// How many times steps are run again to find fewer.
const REPLAYS_MAX: usize = 400;

/// Steps shown of what cannot be repeated.
const SHOWN_MAX: usize = 40;

/// Steps that end in a difference.
pub(crate) struct Report {
    steps: Vec<Step>,
    difference: Difference,
    is_repeatable: bool,
    origin: String,
}

impl Report {
    /// Shrinks what ran in this protocol up to this difference.
    pub(crate) fn new(
        addresses: Addresses,
        protocol: u32,
        steps: &[Step],
        found: Difference,
        origin: String,
    ) -> Report {
        let steps = steps[..=found.at].to_vec();
        let mut report = Report { steps, difference: found, is_repeatable: false, origin };
        let mut replays_left = REPLAYS_MAX;
        let mut replay = |steps: &[Step]| {
            replays_left = replays_left.checked_sub(1)?;
            // The difference may be that the server ended.
            TcpStream::connect(addresses.ours).ok()?;
            let difference = Pair::new(addresses, protocol).run(steps)?;
            (difference.at + 1 == steps.len()).then_some(difference)
        };
        if replay(&report.steps).is_some() {
            report.is_repeatable = true;
            report.shrink(&mut replay);
        }
        report
    }

    /// Leaves out ever smaller pieces as long as the last step still differs.
    fn shrink(&mut self, replay: &mut dyn FnMut(&[Step]) -> Option<Difference>) {
        let mut size = self.steps.len().div_ceil(2);
        loop {
            let mut start = 0;
            let mut has_shrunk = false;
            while start + 1 < self.steps.len() {
                let end = (start + size).min(self.steps.len() - 1);
                let fewer = [&self.steps[..start], &self.steps[end..]].concat();
                match replay(&fewer) {
                    Some(difference) => {
                        (self.steps, self.difference) = (fewer, difference);
                        has_shrunk = true;
                    }
                    None => start = end,
                }
            }
            if size == 1 && !has_shrunk {
                return;
            }
            size = size.div_ceil(2);
        }
    }

    /// How many steps are left.
    pub(crate) fn len(&self) -> usize {
        self.steps.len()
    }

    /// The same for differences that are likely the same: the command, its subcommand, and what
    /// the replies are.
    pub(crate) fn kind(&self) -> Vec<u8> {
        let mut kind = match self.steps.last() {
            Some(Step::Command(request)) => request[0].to_ascii_uppercase(),
            _ => Vec::new(),
        };
        if let (b"OBJECT" | b"MEMORY", Some(Step::Command(request))) =
            (&kind[..], self.steps.last())
        {
            kind = request.iter().take(2).flatten().map(u8::to_ascii_uppercase).collect();
        }
        for reply in [&self.difference.redis, &self.difference.ours] {
            let shown = if reply.first() == Some(&b'-') { 20 } else { 1 };
            kind.extend(&reply[..reply.len().min(shown)]);
        }
        kind
    }

    /// As text.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{}, {} steps", self.origin, self.steps.len());
        let (last, before) = self.steps.split_last().expect("the step that differs");
        let shown: Vec<&Step> = match self.is_repeatable {
            true => before.iter().collect(),
            false => {
                text.push_str(", not repeatable; the last that share arguments with it");
                let touching = before.iter().rev().filter(|step| shares_arguments(step, last));
                let mut touching: Vec<_> = touching.take(SHOWN_MAX).collect();
                touching.reverse();
                touching
            }
        };
        for step in shown.into_iter().chain([last]) {
            write!(text, "\n    {}", line(step)).expect("a string takes everything");
        }
        let (redis, ours) = (show(&self.difference.redis), show(&self.difference.ours));
        write!(text, "\n  redis: {redis}\n  ours:  {ours}").expect("a string takes everything");
        text
    }
}

/// Whether they name a common key, or the step changes the database.
fn shares_arguments(step: &Step, last: &Step) -> bool {
    match (step, last) {
        (Step::Pause, _) | (_, Step::Pause) => true,
        (Step::Command(step), Step::Command(last)) => {
            let is_of_databases = ["SELECT", "SWAPDB", "FLUSHALL", "FLUSHDB"]
                .iter()
                .any(|name| step[0].eq_ignore_ascii_case(name.as_bytes()));
            is_of_databases || step[1..].iter().any(|argument| last[1..].contains(argument))
        }
    }
}

fn line(step: &Step) -> String {
    match step {
        Step::Pause => "(a pause)".to_owned(),
        Step::Command(request) => {
            let words = request.iter().map(|argument| match argument.as_slice() {
                b"" => "\"\"".to_owned(),
                word if word.contains(&b' ') => format!("\"{}\"", show(word)),
                word => show(word),
            });
            words.collect::<Vec<_>>().join(" ")
        }
    }
}
