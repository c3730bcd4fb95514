//! DEBUG LOADAOF and DEBUG RELOAD: the data as the log tells it.
//!
//! Redis empties its memory and loads its file; RELOAD writes the file before. Here the log is the
//! one file there is, and always as new as the memory, so both do the same. The client has all
//! others out and lends that to the thread that loads, so that it lasts until the end even if the
//! client goes away.

use std::time::{Duration, Instant};

use super::admission::Admission;
use super::context::Context;
use super::long::Work;
use super::progress::Awaited;
use super::refusal::Refusal;
use super::rewriting::RewriteRefusal;
use crate::sync::Arc;
use crate::sync::mpsc::{Receiver, TryRecvError};

/// Between two looks whether it has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// Redis's words for it.
const FAILED: Refusal<'static> =
    Refusal::Text("ERR Error trying to load the AOF files, check server logs.");

/// A log that is being loaded.
#[derive(Debug, Default)]
pub(super) struct Reloading {
    /// Where the outcome comes, once it is asked for.
    ended: Option<Receiver<Result<(), String>>>,
    in_block: bool,
}

impl Reloading {
    /// Asks for it if the others are out; false if they are not.
    fn ask(&mut self, context: &mut Context<'_>) -> Result<bool, Refusal<'static>> {
        let persistence = &context.state.persistence;
        if persistence.is_loading() {
            return Err(Refusal::Loading);
        }
        if self.in_block {
            // A transaction is one entry of the log, which is not yet there.
            return Err(Refusal::Text("ERR DEBUG LOADAOF is not possible inside MULTI"));
        }
        if !persistence.is_on() {
            log::warn!("There is no log to be loaded: start with --aof-path");
            return Err(FAILED);
        }
        if !persistence.is_whole() {
            log::warn!(
                "There is no log to be loaded until it has been rewritten for the first time"
            );
            return Err(FAILED);
        }
        if context.have_all_out() != Admission::Run {
            return Ok(false);
        }
        let exclusion = context.client.ownership.take().ok_or(FAILED)?;
        let asked = context.state.persistence.rewriting.ask_reload(exclusion);
        self.ended = Some(asked.map_err(|refusal| match refusal {
            RewriteRefusal::UnderWay => {
                Refusal::Text("ERR Background append only file rewriting already in progress")
            }
            RewriteRefusal::NoLog | RewriteRefusal::Failed => FAILED,
        })?);
        Ok(true)
    }
}

impl Work for Reloading {
    fn step(&mut self, context: &mut Context<'_>) -> bool {
        let Some(ended) = &self.ended else {
            return match self.ask(context) {
                Ok(_) => false,
                Err(refusal) => {
                    context.refuse(&refusal);
                    true
                }
            };
        };
        match ended.try_recv() {
            Ok(Ok(())) => context.out.ok(),
            Ok(Err(text)) => context.refuse(&Refusal::Log(Arc::from(text))),
            Err(TryRecvError::Empty) => return false,
            Err(TryRecvError::Disconnected) => context.refuse(&FAILED),
        }
        true
    }

    fn awaits(&self) -> Option<Awaited> {
        Some(match self.ended {
            None => Awaited::Exclusion,
            Some(_) => Awaited::Moment(Instant::now() + LOOK_INTERVAL),
        })
    }

    fn hurry(&mut self) {
        self.in_block = true;
    }
}
