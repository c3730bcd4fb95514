//! COMMAND GETKEYS and GETKEYSANDFLAGS: which arguments of a command are its keys.

use super::command_info::write_names;
use super::context::Context;
use super::lookup;
use super::refusal::Refusal;
use super::row::{Keys, Outcome, Row};
use crate::resp::Args;

/// Where the command in question starts among the arguments.
const COMMAND: usize = 2;

/// COMMAND GETKEYS command [argument ...].
pub(super) fn getkeys<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    let (_, positions) = find(args)?;
    context.out.array(positions.len());
    positions.iter().for_each(|&index| context.out.bulk(args.get(index)));
    Ok(())
}

/// COMMAND GETKEYSANDFLAGS command [argument ...].
pub(super) fn getkeysandflags<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    let (keys, positions) = find(args)?;
    context.out.array(positions.len());
    for (number, index) in positions.into_iter().enumerate() {
        context.out.array(2);
        context.out.bulk(args.get(index));
        let access = match keys.as_used {
            Some(as_used) => as_used(args, COMMAND),
            None => keys.access_of(number),
        };
        write_names(context.out, access.iter().copied());
    }
    Ok(())
}

/// The key specification of the command in question, and the indexes of its keys among `args`.
fn find<'a>(args: &Args<'a>) -> Result<(Keys, Vec<usize>), Refusal<'a>> {
    let count = args.len() - COMMAND;
    let row = row(args, count).ok_or(Refusal::GetKeysUnknownCommand)?;
    let keys = row.keys.ok_or(Refusal::GetKeysNoKeys)?;
    if !row.accepts(count) {
        return Err(Refusal::GetKeysArity);
    }
    let numbers = 0..keys.count(count);
    Ok((keys, numbers.map(|number| COMMAND + keys.position(number)).collect()))
}

fn row(args: &Args<'_>, count: usize) -> Option<&'static Row> {
    let row = lookup::command(args.get(COMMAND))?;
    if row.subcommands.is_empty() || count == 1 {
        return Some(row);
    }
    lookup::subcommand(row, args.get(COMMAND + 1))
}
