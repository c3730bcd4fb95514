//! BGREWRITEAOF: the log, written anew and smaller.

use super::context::Context;
use super::refusal::Refusal;
use super::rewriting::RewriteRefusal;
use super::row::Outcome;
use crate::resp::Args;

/// The handler.
pub(super) fn bgrewriteaof<'a>(context: &mut Context<'_>, _: &Args<'a>) -> Outcome<'a> {
    let refused = match context.state.persistence.rewrite() {
        Ok(()) => {
            context.out.simple("Background append only file rewriting started");
            return Ok(());
        }
        Err(refused) => refused,
    };
    Err(Refusal::Text(match refused {
        RewriteRefusal::NoLog => {
            "ERR There is no append only file: CONFIG SET appendonly yes begins one"
        }
        RewriteRefusal::UnderWay => "ERR Background append only file rewriting already in progress",
        RewriteRefusal::Failed => {
            "ERR Can't execute an AOF background rewriting. Please check the server logs for more \
             information."
        }
    }))
}
