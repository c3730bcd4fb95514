//! CLIENT REPLY: a client that wants no replies, to all that it sends or to the next command.
//!
//! Commands write their replies as ever; what is not wanted is taken back. From OFF on everything
//! is, at the end of the batch at the latest, before anything is sent. After SKIP the next command
//! has a window of its own, after which its reply is taken back. So commands pay nothing for it,
//! and a window or a batch pays one look at a word of the client's.
//!
//! What a client is told without having asked (messages, the confirmations of subscriptions) comes
//! whatever it wishes, as in Redis: what is unwanted before it is taken back first, and what is
//! taken back later begins behind it ([`ReplyMode::push`]).

use super::context::Context;
use super::refusal::Refusal;
use super::row::Outcome;
use crate::resp::{Args, Mark, ReplyBuffer};

/// What a client wants to be answered.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ReplyMode {
    wish: Wish,
    /// What comes after this is taken back. None between two batches.
    from: Option<Mark>,
    /// Whether any reply was taken back since somebody asked.
    has_muted: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Wish {
    #[default]
    All,
    /// The next command is not to be answered.
    SkipNext,
    /// This command is not to be answered.
    Skip,
    /// Nothing is to be answered.
    Off,
}

impl ReplyMode {
    /// Whether nothing is to be answered.
    pub(super) fn is_off(&self) -> bool {
        self.wish == Wish::Off
    }

    /// Whether there is anything to do.
    #[inline]
    pub(super) fn is_any(&self) -> bool {
        self.wish != Wish::All
    }

    /// Whether the next command is not to be answered.
    #[inline]
    pub(super) fn skips_next(&self) -> bool {
        self.wish == Wish::SkipNext
    }

    /// A batch begins.
    #[cold]
    pub(super) fn begin_batch(&mut self, out: &ReplyBuffer) {
        self.from = self.is_off().then(|| out.mark());
    }

    /// A batch ends, and what is there is about to be sent.
    #[cold]
    pub(super) fn end_batch(&mut self, out: &mut ReplyBuffer) {
        if self.is_off() {
            self.take_back(out);
        }
        self.from = None;
    }

    /// The command begins that is not to be answered.
    #[cold]
    pub(super) fn begin_skip(&mut self, out: &ReplyBuffer) {
        self.wish = Wish::Skip;
        self.from = Some(out.mark());
    }

    /// It has run, to its end or not. It may have wished for something else.
    #[cold]
    pub(super) fn end_skip(&mut self, out: &mut ReplyBuffer, is_done: bool) {
        match self.wish {
            Wish::Skip => {
                self.take_back(out);
                self.wish = if is_done { Wish::All } else { Wish::SkipNext };
                self.from = None;
            }
            Wish::SkipNext => self.take_back(out),
            Wish::All | Wish::Off => {}
        }
    }

    /// Writes something that comes whatever is wished for.
    pub(super) fn push(&mut self, out: &mut ReplyBuffer, write: impl FnOnce(&mut ReplyBuffer)) {
        self.take_back(out);
        write(out);
        self.go_on_behind(out);
    }

    /// What was unwanted so far is taken back; unwanted from here on is what is written to another
    /// buffer, until [`return_to`](Self::return_to).
    pub(super) fn move_to(&mut self, other: &ReplyBuffer, out: &mut ReplyBuffer) {
        self.take_back(out);
        self.go_on_behind(other);
    }

    /// The end of that: takes back what is unwanted there, and adds the rest to the first buffer.
    pub(super) fn return_to(&mut self, out: &mut ReplyBuffer, mut other: ReplyBuffer) {
        self.take_back(&mut other);
        out.append(other);
        self.go_on_behind(out);
    }

    /// What is taken back, if anything is, begins behind what is there now.
    fn go_on_behind(&mut self, out: &ReplyBuffer) {
        if self.from.is_some() {
            self.from = Some(out.mark());
        }
    }

    /// Nothing is to be answered from here on.
    pub(super) fn go_off(&mut self, out: &ReplyBuffer) {
        // What was not wanted before stays so.
        self.from = self.from.or_else(|| Some(out.mark()));
        self.wish = Wish::Off;
    }

    /// Everything is to be answered, unless this command is not.
    pub(super) fn reset(&mut self, out: &mut ReplyBuffer) {
        if self.is_off() {
            self.go_on(out);
        }
        if self.skips_next() {
            self.wish = Wish::All;
        }
    }

    /// Everything is to be answered from here on.
    fn go_on(&mut self, out: &mut ReplyBuffer) {
        if self.is_off() {
            self.take_back(out);
        }
        self.wish = Wish::All;
        self.from = None;
    }

    fn take_back(&mut self, out: &mut ReplyBuffer) {
        if let Some(from) = self.from {
            out.rewind(from);
            self.has_muted = true;
        }
    }

    /// Whether any reply was taken back since the last call.
    pub(super) fn take_muted(&mut self) -> bool {
        std::mem::take(&mut self.has_muted)
    }
}

/// CLIENT REPLY.
pub(super) fn reply<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    let mode = &mut context.client.reply_mode;
    let wish = args.get(2);
    if wish.eq_ignore_ascii_case(b"on") {
        mode.go_on(context.out);
        context.out.ok();
    } else if wish.eq_ignore_ascii_case(b"off") {
        mode.go_off(context.out);
    } else if wish.eq_ignore_ascii_case(b"skip") {
        if !mode.is_off() {
            mode.wish = Wish::SkipNext;
        }
    } else {
        return Err(Refusal::Syntax);
    }
    Ok(())
}
