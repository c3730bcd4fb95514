//! Whole transactions: WATCH, a change or none, MULTI, some commands, EXEC or DISCARD.

use super::grammar::{Generator, Row, Step};
use super::pool::once_in;
use super::rules::{Rule, needs_every_key_looked_up, rule_of};

/// One step in so many is a transaction.
const ONE_IN: usize = 40;

/// Commands between MULTI and EXEC at most.
const COMMANDS_MAX: usize = 12;

/// What may come between WATCH and MULTI: commands of which both servers say the same, whether they
/// have changed a key.
const BETWEEN: [&str; 7] = ["GET", "GETSET", "SETNX", "INCR", "DEL", "COPY", "EXISTS"];

/// What is not put between MULTI and EXEC: they are not queued.
const NOT_INSIDE: [&str; 2] = ["EXEC", "DISCARD"];

impl Generator {
    /// Now and then a transaction, if it is among the commands.
    pub(crate) fn transaction(&mut self, steps: &mut Vec<Step>) {
        let is_on = self.has("EXEC");
        if !is_on || !once_in(&mut self.random, ONE_IN) {
            return;
        }
        if self.random.bool() {
            self.named(&["WATCH"], steps);
            if self.random.bool() {
                self.named(&BETWEEN, steps);
            }
        }
        steps.push(Step::Command(vec![b"MULTI".to_vec()]));
        for _ in 0..self.random.usize(..COMMANDS_MAX) {
            // EXEC's reply is compared byte by byte.
            let request = loop {
                let row = self.row();
                if NOT_INSIDE.contains(&row.name) || needs_every_key_looked_up(row.name) {
                    continue;
                }
                let request = self.command(row);
                if rule_of(&request) == Rule::Bytes {
                    break request;
                }
            };
            steps.push(Step::Command(request));
        }
        let end = if once_in(&mut self.random, 8) { "DISCARD" } else { "EXEC" };
        steps.push(Step::Command(vec![end.into()]));
    }

    /// A command of one of these names, if there is one among the commands.
    fn named(&mut self, names: &[&str], steps: &mut Vec<Step>) {
        let is_named = |row: &&'static Row| names.contains(&row.name);
        let rows: Vec<&'static Row> = self.rows.iter().copied().filter(is_named).collect();
        if !rows.is_empty() {
            let row = rows[self.random.usize(..rows.len())];
            steps.push(Step::Command(self.command(row)));
        }
    }
}
