//! What goes wrong in a batch: errors by their codes, and the commands that failed or were refused.
//!
//! Kept by the batch, and counted by its worker when it ends: a transaction that was lost and runs
//! again takes back what it has noted (see `atomic`). A batch without errors allocates nothing.

use std::mem;

use super::row::Row;

/// The most bytes of a code that are kept.
const CODE_MAX: usize = 32;

/// What has gone wrong so far.
#[derive(Clone, Default)]
pub(super) struct Setbacks {
    /// How often each error code was sent.
    pub(super) codes: Vec<(Box<[u8]>, u64)>,
    /// Commands that ran and answered with an error.
    pub(super) failed: Vec<(&'static Row, u64)>,
    /// Commands that were refused before they ran.
    pub(super) rejected: Vec<(&'static Row, u64)>,
}

impl Setbacks {
    /// Whether nothing has.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.codes.is_empty() && self.failed.is_empty() && self.rejected.is_empty()
    }

    /// All of it; nothing is left.
    pub(super) fn take(&mut self) -> Setbacks {
        mem::take(self)
    }

    /// Notes an error reply. Its first word is the code.
    pub(super) fn note_error(&mut self, text: &[u8]) {
        self.note_errors(text, 1);
    }

    /// Notes so many of them.
    pub(super) fn note_errors(&mut self, text: &[u8], more: u64) {
        let word = text.split(|&byte| byte == b' ').next().unwrap_or_default();
        let code = &word[..word.len().min(CODE_MAX)];
        match self.codes.iter_mut().find(|(known, _)| **known == *code) {
            Some((_, count)) => *count += more,
            None => self.codes.push((code.into(), more)),
        }
    }

    /// Notes that a command ran and answered with an error.
    pub(super) fn fail(&mut self, row: &'static Row) {
        add(&mut self.failed, row);
    }

    /// Notes that a command was refused before it ran.
    pub(super) fn reject(&mut self, row: &'static Row) {
        add(&mut self.rejected, row);
    }
}

/// Few commands fail in one batch, or the same one again and again: a list is searched soon.
fn add(list: &mut Vec<(&'static Row, u64)>, row: &'static Row) {
    match list.iter_mut().find(|(known, _)| std::ptr::eq(*known, row)) {
        Some((_, count)) => *count += 1,
        None => list.push((row, 1)),
    }
}
