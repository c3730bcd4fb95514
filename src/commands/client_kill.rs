//! CLIENT KILL: connections closed by command, those of all workers.
//!
//! Whoever kills a connection condemns it first, which succeeds once: so the counts of several
//! clients that kill the same ones are exact, and what is condemned is on no list any more. Its
//! worker then closes it, before it runs another batch. A client that kills itself is answered
//! first.

use super::client_list::{ClientType, USER};
use super::context::Context;
use super::peers::Peer;
use super::post::Parcel;
use super::refusal::Refusal;
use super::row::Outcome;
use crate::record::parse_canonical;
use crate::resp::Args;

/// Which connections are meant: those that fit everything that is given.
#[derive(Default)]
struct Filter<'a> {
    id: Option<u64>,
    kind: Option<ClientType>,
    address: Option<&'a [u8]>,
    local_address: Option<&'a [u8]>,
    spares_own: bool,
}

impl<'a> Filter<'a> {
    /// The filter of pairs of a word and a value.
    fn parse(args: &Args<'a>) -> Result<Filter<'a>, Refusal<'a>> {
        let mut filter = Filter { spares_own: true, ..Filter::default() };
        let mut index = 2;
        while index < args.len() {
            let word = args.get(index).to_ascii_lowercase();
            if index + 1 == args.len() {
                return Err(Refusal::Syntax);
            }
            let value = args.get(index + 1);
            match word.as_slice() {
                b"id" => {
                    let id = parse_canonical(value).and_then(|id: i64| u64::try_from(id).ok());
                    let text = "ERR client-id should be greater than 0";
                    filter.id = Some(id.filter(|&id| id > 0).ok_or(Refusal::Text(text))?);
                }
                b"type" => filter.kind = Some(ClientType::named(value)?),
                b"addr" => filter.address = Some(value),
                b"laddr" => filter.local_address = Some(value),
                // All are that user.
                b"user" if value == USER => {}
                b"user" => return Err(Refusal::NoSuchUser(value)),
                b"skipme" if value.eq_ignore_ascii_case(b"yes") => filter.spares_own = true,
                b"skipme" if value.eq_ignore_ascii_case(b"no") => filter.spares_own = false,
                _ => return Err(Refusal::Syntax),
            }
            index += 2;
        }
        Ok(filter)
    }

    fn fits(&self, peer: &Peer) -> bool {
        self.id.is_none_or(|id| peer.id == id)
            && self.kind.is_none_or(|kind| ClientType::of(peer) == kind)
            && self.address.is_none_or(|address| peer.address.as_bytes() == address)
            && (self.local_address).is_none_or(|local| peer.local_address.as_bytes() == local)
    }
}

/// CLIENT KILL.
pub(super) fn kill<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    let is_old_form = args.len() == 3;
    let filter = match is_old_form {
        true => Filter { address: Some(args.get(2)), ..Filter::default() },
        false => Filter::parse(args)?,
    };
    context.client.publish();
    let own = context.client.id;
    let (mut killed, mut is_own_killed) = (0, false);
    for peer in context.state.peers.list() {
        if !filter.fits(&peer) || (filter.spares_own && peer.id == own) {
            continue;
        }
        if peer.id == own {
            is_own_killed = true;
            killed += 1;
        } else if peer.kill() {
            context.state.post.send(peer.worker, Parcel::Close(peer.id));
            killed += 1;
        }
    }
    match (is_old_form, killed) {
        (true, 0) => return Err(Refusal::Text("ERR No such client")),
        (true, _) => context.out.ok(),
        (false, _) => context.out.integer(killed),
    }
    if is_own_killed {
        context.close_after_reply();
    }
    Ok(())
}
